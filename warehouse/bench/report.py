"""Puts the figures of a benchmark into docs/benchmarks.md."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from warehouse.errors import WorkError
from warehouse.landing import write_atomically

REPORT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

Row = tuple[str, str, str]
"""Figure, value and target (empty if there is none)."""


def write_section(name: str, rows: Sequence[Row], *, packages: Sequence[str]) -> None:
    """Replace the section of one benchmark, which stands between two markers of its name.

    Parameters
    ----------
    name : str
        Marker: `<!-- name -->` ... `<!-- /name -->`.
    rows : sequence of (figure, value, target)
        Lines of the table.
    packages : sequence of str
        Distributions whose versions the figures depend on.

    Raises
    ------
    WorkError
        If the page has no such section.
    """
    text = REPORT.read_text("utf-8")
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(opening) != 1 or text.count(closing) != 1:
        raise WorkError(f"{REPORT} has no section {opening}; add the two markers.")
    before, rest = text.split(opening)
    _, after = rest.split(closing)
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    lines = [
        opening,
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {processor()}, "
        f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {versions}.",
        "",
        "| figure | value | target |",
        "|---|---|---|",
        *(f"| {figure} | {value} | {target} |" for figure, value, target in rows),
        closing,
    ]
    content = before + "\n".join(lines) + after
    write_atomically(REPORT, lambda path: path.write_text(content, "utf-8"))


def processor() -> str:
    """Name the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()
