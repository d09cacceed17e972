"""Figures as bytes: PNG, SVG and PDF through a headless browser, HTML and CSV without one.

One browser serves a whole process. It starts with the first picture and is started anew after a
picture that took too long, since a browser that hangs once goes on hanging. Kaleido's own
synchronous server is not used: it hands answers out in the order of questions, so two threads
could get each other's picture, and a browser that does not start leaves its callers waiting.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from enum import StrEnum
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import EXPORT_WIDTH, suit_print
from dashboard.export.paper import PrintedFigure
from dashboard.export.sheet import Sheet
from warehouse.errors import WorkError

_TIMEOUT_SECONDS = 60.0
_PIXELS_PER_POINT = 2.0
"""PNG pixels per unit of the figure: sharp on paper at half a page's width."""

NO_BROWSER = (
    "PNG, SVG and PDF need Chromium or Chrome, and none was found; install one (Debian, Ubuntu: "
    "apt-get install chromium), or set BROWSER_PATH to it. HTML and CSV work without."
)


PLOTLY_FILE = "plotly.min.js"
"""Script that HTML figures at print size look for beside them."""


class FigureFormat(StrEnum):
    """Formats that a figure can be written in."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"
    HTML = "html"

    @property
    def mime(self) -> str:
        """Media type."""
        return _MIMES[self]


_MIMES = {
    FigureFormat.PNG: "image/png",
    FigureFormat.SVG: "image/svg+xml",
    FigureFormat.PDF: "application/pdf",
    FigureFormat.HTML: "text/html",
}


def render_figure(
    figure: go.Figure,
    file_format: FigureFormat,
    *,
    width: int = EXPORT_WIDTH,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> bytes:
    """Return a figure as the bytes of a file, on white, with its title and notes.

    Parameters
    ----------
    figure : Figure
        With a height of its own, as `dashboard.charts.style.apply_frame` gives it.
    file_format : FigureFormat
        HTML carries plotly.js along, so that it opens without a network, and needs no browser.
    width : int
        Pixels across; lines of titles and notes are broken for the default.
    timeout_seconds : float
        For the browser to draw one figure, its start included.

    Raises
    ------
    WorkError
        If no browser is found, it fails, or it takes too long; says what to do.

    Notes
    -----
    May be called from any thread; pictures are drawn one after another.
    """
    printed = suit_print(figure)
    if file_format is FigureFormat.HTML:
        return str(printed.to_html(include_plotlyjs=True, full_html=True)).encode()
    return _BROWSER.draw(printed, file_format, width, timeout_seconds)


def render_print(
    printed: PrintedFigure,
    formats: Sequence[FigureFormat],
    *,
    dpi: float = 300,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> dict[FigureFormat, bytes]:
    """Return a figure at print size, as the bytes of one file a format.

    Plotly draws once; print and picture are made from its drawing. HTML looks for `plotly.min.js`
    beside it, so that a folder of figures holds that once (`plotly_script`).

    Parameters
    ----------
    printed : PrintedFigure
        From `dashboard.export.paper.suit_paper`.
    dpi : float
        Dots an inch of the PNG, > 0.

    Raises
    ------
    WorkError
        As `render_figure`.
    """
    files: dict[FigureFormat, bytes] = {}
    if FigureFormat.HTML in formats:
        page = printed.figure.to_html(include_plotlyjs="directory", full_html=True)
        files[FigureFormat.HTML] = str(page).encode()
    drawn = [one for one in formats if one is not FigureFormat.HTML]
    if drawn:
        files |= _BROWSER.draw_print(printed, drawn, dpi, timeout_seconds)
    return files


def plotly_script() -> str:
    """Return the content of `PLOTLY_FILE`."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def find_browser() -> str | None:
    """Return the path of the browser that would draw; None without one."""
    from choreographer.browsers.chromium import Chromium

    path = Chromium.find_browser(skip_local=False)
    return path if path and Path(path).is_file() else None


def stop_browser() -> None:
    """Stop the browser, if it runs; the next picture starts one."""
    _BROWSER.stop()


class _Browser:
    """Kaleido's browser in an event loop of its own, which any thread may use."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kaleido: Any = None
        self._sheet: Sheet | None = None

    def draw(
        self, figure: go.Figure, file_format: FigureFormat, width: int, timeout_seconds: float
    ) -> bytes:
        """Return a picture."""
        options = {
            "format": file_format.value,
            "width": width,
            "height": figure.layout.height or round(width * 0.6),
            "scale": _PIXELS_PER_POINT if file_format is FigureFormat.PNG else 1,
        }
        picture: bytes = self._ask(
            lambda: self._draw(figure, options), file_format.value.upper(), timeout_seconds
        )
        return picture

    def draw_print(
        self,
        printed: PrintedFigure,
        formats: Sequence[FigureFormat],
        dpi: float,
        timeout_seconds: float,
    ) -> dict[FigureFormat, bytes]:
        """Return a drawing, and what is asked for of its print and picture."""
        files: dict[FigureFormat, bytes] = self._ask(
            lambda: self._draw_print(printed, formats, dpi), "figure", timeout_seconds
        )
        return files

    def _ask(
        self, make: Callable[[], Coroutine[Any, Any, Any]], what: str, timeout_seconds: float
    ) -> Any:
        """Run one job at a time; whatever fails becomes a sentence and a fresh browser."""
        from choreographer.errors import ChromeNotFoundError

        with self._lock:
            try:
                return self._run(make, timeout_seconds)
            except ChromeNotFoundError as error:
                self._stop()
                raise WorkError(NO_BROWSER) from error
            except (TimeoutError, FutureTimeoutError) as error:
                self._stop()
                raise WorkError(
                    f"The browser drew no {what} within {timeout_seconds:g} seconds; try again, "
                    "or take HTML, which needs none."
                ) from error
            except Exception as error:
                # Whatever the browser died of, the next picture gets a fresh one.
                self._stop()
                raise WorkError(
                    f"The browser could not draw the figure ({type(error).__name__}: "
                    f"{str(error).partition(chr(10))[0][:200]}); try again, or take HTML."
                ) from error

    async def _draw(self, figure: go.Figure, options: dict[str, Any]) -> bytes:
        """Start the browser where needed, and draw."""
        import kaleido

        if self._kaleido is None:
            # Without MathJax: it would be fetched from the network and leaves boxes in PDFs.
            browser = kaleido.Kaleido(mathjax=False, timeout=None)
            await browser.open()
            self._kaleido = browser
        picture: bytes = await self._kaleido.calc_fig(figure, opts=options)
        return picture

    async def _draw_print(
        self, printed: PrintedFigure, formats: Sequence[FigureFormat], dpi: float
    ) -> dict[FigureFormat, bytes]:
        """Draw as SVG, then print and photograph the drawing in a tab of its own."""
        layout = printed.figure.layout
        options = {
            "format": FigureFormat.SVG.value,
            "width": layout.width,
            "height": layout.height,
            "scale": printed.scale,
        }
        svg = await self._draw(printed.figure, options)
        files = {FigureFormat.SVG: svg} if FigureFormat.SVG in formats else {}
        if not {FigureFormat.PDF, FigureFormat.PNG} & set(formats):
            return files
        if self._sheet is None:
            self._sheet = Sheet(await self._kaleido.create_tab())
        width, height = layout.width * printed.scale, layout.height * printed.scale
        await self._sheet.show(svg)
        if FigureFormat.PDF in formats:
            files[FigureFormat.PDF] = await self._sheet.print_pdf(width, height)
        if FigureFormat.PNG in formats:
            files[FigureFormat.PNG] = await self._sheet.take_png(width, height, dpi)
        return files

    def stop(self) -> None:
        """Stop the browser and its loop."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        browser, self._kaleido, self._sheet = self._kaleido, None, None
        if self._loop is None:
            return
        if browser is not None:
            # A browser that hangs or has died may not even close in order.
            with contextlib.suppress(Exception):
                self._run(browser.close, 10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = None

    def _run(self, make: Callable[[], Coroutine[Any, Any, Any]], timeout_seconds: float) -> Any:
        """Run a coroutine in the loop and wait for it."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), daemon=True).start()
            # Registered late, to run before the temporary folders of the browser are swept away.
            atexit.unregister(stop_browser)
            atexit.register(stop_browser)
        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        try:
            return future.result(timeout_seconds)
        except (TimeoutError, FutureTimeoutError):
            future.cancel()
            raise


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, then let go of it."""
    loop.run_forever()
    loop.close()


_BROWSER = _Browser()
