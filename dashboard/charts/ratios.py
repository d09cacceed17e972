"""Ratios of volumes in words and marks: exchange rates and data equivalents."""

from __future__ import annotations

from dashboard.analysis.compare.inversion import RatioStatus, VolumeRatio
from dashboard.charts.forest import Mark
from dashboard.charts.style import escape

RATIO_WORDS = {
    RatioStatus.OK: "within the observed volumes",
    RatioStatus.BEYOND_OBSERVED: "only beyond the observed volumes",
    RatioStatus.NEVER_UNDER_FAMILY: "never, as the fitted curves go",
    RatioStatus.BELOW_OBSERVED: "already at the smallest volume",
    RatioStatus.NOT_IDENTIFIED: "no gain to exchange",
    RatioStatus.NO_CURVE: "no curve",
}


def say_ratio(ratio: VolumeRatio | None, status: RatioStatus) -> str:
    """Return "1.4 [0.9, 2.2]", "never [1.9, open]", or why there is no ratio."""
    if ratio is None:
        return RATIO_WORDS[status]
    bounds = f"[{_say(ratio.low)}, {_say(ratio.high)}]"
    if status is RatioStatus.NEVER_UNDER_FAMILY:
        return f"never {bounds}" if ratio.low is not None else "never"
    if status is RatioStatus.NOT_IDENTIFIED:
        return RATIO_WORDS[status]
    beyond = "beyond " if status is RatioStatus.BEYOND_OBSERVED else ""
    estimate = "" if ratio.estimate is None else f"{_say(ratio.estimate)} "
    return f"{beyond}{estimate}{bounds}"


def ratio_mark(series: str, ratio: VolumeRatio | None, status: RatioStatus) -> Mark | None:
    """Return a ratio's mark: filled where it lies within what was observed; None without one."""
    if ratio is None or status in (RatioStatus.NOT_IDENTIFIED, RatioStatus.NO_CURVE):
        return None
    return Mark(
        series=series,
        estimate=None if status is RatioStatus.NEVER_UNDER_FAMILY else ratio.estimate,
        # Next to nothing has no place on a logarithmic axis: an open end.
        low=ratio.low or None,
        high=ratio.high,
        hover=f"<b>{escape(series)}</b><br>{escape(say_ratio(ratio, status))}: "
        f"{RATIO_WORDS[status]}<br>{ratio.level:.0%} interval",
        filled=status is RatioStatus.OK,
    )


def _say(value: float | None) -> str:
    """Return a ratio's figure."""
    if value is None:
        return "open"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
