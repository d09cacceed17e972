"""Who looks at the app in its benchmark: a browser, and sessions that only speak its protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from dashboard.export.render import NO_BROWSER, find_browser
from warehouse.errors import InputError

SOURCE_LABEL = "Data source"
_TIMEOUT_SECONDS = 120.0
_SCREEN = {"width": 1280, "height": 720}
_DRAWN = "document.querySelector('.js-plotly-plot .scatterlayer path') !== null"
# What the first figure shows now, and when that last changed after a key was pressed.
_WATCH = """() => {
  const shown = () => {
    const figure = document.querySelector('.js-plotly-plot');
    return figure && figure.data
      ? JSON.stringify(figure.data.map(trace => Array.from(trace.y || []).slice(0, 9))) : '';
  };
  window.benchStart = null;
  document.addEventListener('keydown', event => {
    if (event.key !== 'Enter') return;
    const before = shown(), began = performance.now();
    window.benchMs = null;
    const look = () => {
      if (shown() !== before && document.querySelector('.js-plotly-plot .scatterlayer path'))
        window.benchMs = performance.now() - began;
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""


@contextmanager
def browser() -> Iterator[Any]:
    """Run a headless browser.

    Raises
    ------
    InputError
        If there is none.
    """
    path = find_browser()
    if path is None:
        raise InputError(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def time_first_paint(chromium: Any, url: str) -> tuple[float, float]:
    """Return seconds from opening an address until the first mark of a figure is drawn.

    Parameters
    ----------
    chromium : Browser
        From `browser`.
    url : str
        What to open.

    Returns
    -------
    cold, warm : float
        For a browser that was never there, and for its second visit, with the app's files.
    """
    with chromium.new_context(viewport=_SCREEN) as context:
        cold, warm = (_open(context, url) for _ in range(2))
    return cold, warm


def _open(context: Any, url: str) -> float:
    """Open an address in a new tab; return seconds to its first figure."""
    with context.new_page() as page:
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_function(_DRAWN, polling="raf", timeout=1000 * _TIMEOUT_SECONDS)
        return time.perf_counter() - began


def time_changes(chromium: Any, url: str, sources: Sequence[str], n_changes: int) -> list[float]:
    """Return seconds from choosing another data source until the figure shows it."""
    page = chromium.new_page(viewport=_SCREEN)
    page.goto(url)
    page.wait_for_function(_DRAWN, timeout=1000 * _TIMEOUT_SECONDS)
    # The rest of the page is drawn after its first figure.
    page.wait_for_timeout(3000)
    page.evaluate(_WATCH)
    seconds = []
    box = page.get_by_label(SOURCE_LABEL, exact=True)
    for change in range(n_changes + 2):
        box.click()
        box.fill(sources[(change + 1) % len(sources)])
        box.press("Enter")
        page.wait_for_function("window.benchMs !== null", timeout=1000 * _TIMEOUT_SECONDS)
        # The first change of each kind finds nothing cached.
        if change >= len(sources):
            seconds.append(page.evaluate("window.benchMs") / 1000)
        page.wait_for_timeout(300)
    page.close()
    return seconds


async def keep_sessions(
    url: str,
    page_name: str,
    queries: Sequence[dict[str, str]],
    n_sessions: int,
    stop: asyncio.Event,
) -> tuple[list[float], list[str]]:
    """Run sessions that ask for the page again and again, each with the next query.

    Returns
    -------
    seconds : list of float
        From each question to the end of the answer.
    errors : list of str
        Exceptions that a page showed, and connections that broke.
    """
    seconds: list[float] = []
    errors: list[str] = []
    turns = [list(queries[i:]) + list(queries[:i]) for i in range(len(queries))]
    visitors = (
        _visit(url, page_name, turns[i % len(turns)], stop, seconds, errors)
        for i in range(n_sessions)
    )
    await asyncio.gather(*visitors)
    return seconds, errors


async def _visit(
    url: str,
    page_name: str,
    queries: Sequence[dict[str, str]],
    stop: asyncio.Event,
    seconds: list[float],
    errors: list[str],
) -> None:
    """One session: a question about every second, until told to stop."""
    import websockets

    # Only the messages of the protocol; nothing here is part of a page.
    from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: TID251
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: TID251

    address = f"ws://{urlsplit(url).netloc}/_stcore/stream"
    asked = 0
    try:
        async with websockets.connect(
            address, subprotocols=[websockets.Subprotocol("streamlit")], max_size=None
        ) as socket:
            while not stop.is_set():
                question = BackMsg()
                question.rerun_script.query_string = urlencode(queries[asked % len(queries)])
                question.rerun_script.page_name = page_name
                asked += 1
                began = time.perf_counter()
                await socket.send(question.SerializeToString())
                while True:
                    text = await asyncio.wait_for(socket.recv(), _TIMEOUT_SECONDS)
                    message = ForwardMsg()
                    message.ParseFromString(text if isinstance(text, bytes) else text.encode())
                    if message.delta.new_element.HasField("exception"):
                        errors.append(message.delta.new_element.exception.message[:200])
                    if message.WhichOneof("type") == "script_finished":
                        break
                seconds.append(time.perf_counter() - began)
                await asyncio.sleep(1.0)
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        errors.append(f"{type(error).__name__}: {error}"[:200])
