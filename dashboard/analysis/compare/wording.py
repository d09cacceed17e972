"""Numbers and intervals in plain words, for the sentences of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.compare.inversion import VolumeRatio
from dashboard.analysis.results import Interval, IntervalKind

_COVERS = {
    IntervalKind.ITEMS_AND_RUNS: "items and runs",
    IntervalKind.ITEMS_ONLY: "items only, one seed",
    IntervalKind.STDERR_AND_RUNS: "standard errors and runs",
    IntervalKind.STDERR_ONLY: "standard errors only, one seed",
    IntervalKind.RESIDUAL: "scatter around the curve",
    IntervalKind.BACKTEST: "backtested",
}


def size_of(value: float, accuracy: bool) -> str:
    """Return a difference: in points (hundredths) for accuracies, else in the metric's unit."""
    return f"{100 * value:.1f} points" if accuracy else f"{value:.3g}"


def score_of(value: float, accuracy: bool) -> str:
    """Return a score."""
    return f"{100 * value:.1f}%" if accuracy else f"{value:.3g}"


def span_of(interval: Interval, accuracy: bool, sign: float = 1.0) -> str:
    """Return "(95% interval 8.1 to 16.7; items and runs)", turned round where sign is -1."""
    low, high = sorted((sign * interval.low, sign * interval.high))
    scale, form = (100, ".1f") if accuracy else (1, ".3g")
    return (
        f"({100 * interval.level:g}% interval {low * scale:{form}} to {high * scale:{form}}; "
        f"{_COVERS[interval.kind]})"
    )


def ratio_span(ratio: VolumeRatio) -> str:
    """Return "(95% interval 1.2 to 5)", with "no limit" for a bound that is never reached."""
    low = "no limit" if ratio.low is None else f"{ratio.low:.2g}"
    high = "no limit" if ratio.high is None else f"{ratio.high:.3g}"
    return f"({100 * ratio.level:g}% interval {low} to {high})"


def count_of(volume: float) -> str:
    """Return a volume."""
    return f"{volume:,.0f}" if volume >= 10 or volume == int(volume) else f"{volume:.1f}"


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c", or "none"."""
    if not names:
        return "none"
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + " and " + names[-1]


def capital(text: str) -> str:
    """Return a sentence with a capital first letter."""
    return text[:1].upper() + text[1:]
