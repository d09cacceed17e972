"""A blank page of the browser on which a drawing is printed and photographed."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import Any

_CSS_PIXELS_PER_INCH = 96
_POINTS_PER_INCH = 72
_MEDIA_BOX = re.compile(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]")
_MOST_ROUNDING = 1.0
_INCHES_PER_METRE = 1 / 0.0254
_PNG_HEADER_BYTES = 33
"""Signature and first chunk; others may follow."""


class Sheet:
    """One tab of a browser, spoken to in the Chrome DevTools Protocol.

    Parameters
    ----------
    tab : choreographer.Tab
        Blank; used for nothing else.
    """

    def __init__(self, tab: Any) -> None:
        """Keep the tab."""
        self._tab = tab
        self._frame_id: str | None = None

    async def show(self, svg: bytes) -> None:
        """Show a drawing at the sheet's corner."""
        if self._frame_id is None:
            tree = await self._send("Page.getFrameTree")
            self._frame_id = tree["frameTree"]["frame"]["id"]
        # As an image a drawing runs no script, whatever text it holds.
        data = base64.b64encode(svg).decode()
        page = (
            "<style>html, body { margin: 0 } img { display: block }</style>"
            f'<img src="data:image/svg+xml;base64,{data}">'
        )
        await self._send("Page.setDocumentContent", frameId=self._frame_id, html=page)
        await self._send(
            "Runtime.evaluate", expression="document.images[0].decode()", awaitPromise=True
        )

    async def print_pdf(self, width: float, height: float) -> bytes:
        """Return the drawing as a page of its size, in CSS pixels; text stays text."""
        result = await self._send(
            "Page.printToPDF",
            printBackground=True,
            paperWidth=width / _CSS_PIXELS_PER_INCH,
            paperHeight=height / _CSS_PIXELS_PER_INCH,
            marginTop=0,
            marginBottom=0,
            marginLeft=0,
            marginRight=0,
            pageRanges="1",
        )
        points = _POINTS_PER_INCH / _CSS_PIXELS_PER_INCH
        return crop_pdf(base64.b64decode(result["data"]), width * points, height * points)

    async def take_png(self, width: float, height: float, dpi: float) -> bytes:
        """Return the drawing as a picture that knows its dots an inch."""
        result = await self._send(
            "Page.captureScreenshot",
            format="png",
            clip={
                "x": 0,
                "y": 0,
                "width": width,
                "height": height,
                "scale": dpi / _CSS_PIXELS_PER_INCH,
            },
            captureBeyondViewport=True,
        )
        return _with_dpi(base64.b64decode(result["data"]), dpi)

    async def _send(self, command: str, **params: Any) -> dict[str, Any]:
        """Send a command; raise what the browser complains of."""
        answer = await self._tab.send_command(command, params=params)
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error'].get('message', 'unknown error')}")
        result: dict[str, Any] = answer["result"]
        return result


def crop_pdf(pdf: bytes, width: float, height: float) -> bytes:
    """Return a page of exactly this size in points: the browser rounds up to 1/75 of an inch.

    What was added at the right and below is cut off. The box is written over in place, so that no
    offset in the file moves; a file with another structure than the browser's is left as it is.
    """
    boxes = list(_MEDIA_BOX.finditer(pdf))
    if len(boxes) != 1:
        return pdf
    wide, high = float(boxes[0][1]), float(boxes[0][2])
    new = f"[0 {high - height:.2f} {width:.2f} {high:.2f}]".encode()
    start, end = boxes[0].span()
    room = end - start - len(b"/MediaBox ")
    if not (0 <= wide - width < _MOST_ROUNDING and 0 <= high - height < _MOST_ROUNDING):
        return pdf
    if len(new) > room:
        return pdf
    return pdf[:start] + b"/MediaBox " + new.ljust(room) + pdf[end:]


def _with_dpi(png: bytes, dpi: float) -> bytes:
    """Add the physical size, by which LaTeX and word processors place a picture (PNG, 11.3.4.3)."""
    dots = round(dpi * _INCHES_PER_METRE)
    body = b"pHYs" + struct.pack(">IIB", dots, dots, 1)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]
