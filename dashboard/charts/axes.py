"""A volume axis that is logarithmic and still shows 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from dashboard.charts.style import FAINT, GREY, SMALL_SIZE

FloatArray = npt.NDArray[np.float64]

# Width of the part between 0 and the smallest volume, in powers of two, if volumes can't tell.
_DEFAULT_STEP = 2.0
# More distinct volumes than this are no grid's own: each run has its own tokens or cost.
_MAX_VOLUMES = 12


@dataclass(frozen=True, kw_only=True)
class VolumeAxis:
    """Positions and ticks: linear from 0 to the smallest volume above it, logarithmic beyond.

    Attributes
    ----------
    volumes : tuple of float
        Volumes that get a tick, ascending, >= 0: the distinct ones, or round numbers among many.
    n_last : float
        Largest volume.
    n_break : float
        Smallest volume above 0, where the scale changes.
    step : float
        Width of the linear part in powers of two: the median step between volumes.
    """

    volumes: tuple[float, ...]
    n_last: float
    n_break: float
    step: float

    @property
    def has_zero(self) -> bool:
        """Whether 0 is among the volumes."""
        return bool(self.volumes) and self.volumes[0] == 0

    def position(self, n_examples: npt.ArrayLike) -> FloatArray:
        """Return positions on the axis, in powers of two."""
        n = np.asarray(n_examples, dtype=np.float64)
        linear = np.log2(self.n_break) - self.step * (1 - n / self.n_break)
        logarithmic = np.log2(np.maximum(n, self.n_break))
        return np.where(n < self.n_break, linear, logarithmic)

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the axis with room at both ends."""
        if not self.volumes:
            return (-1.0, 1.0)
        first = 0.0 if self.has_zero else self.n_break
        low, high = self.position(np.array([first, self.n_last]))
        room = max(0.06 * (high - low), 0.35)
        return (float(low - room), float(high + room))

    @property
    def break_position(self) -> float:
        """Where the break mark stands."""
        return float(np.log2(self.n_break)) - self.step / 2


def plan_volume_axis(volumes: npt.ArrayLike) -> VolumeAxis:
    """Return the axis for observed volumes (count >= 0; any shape, repeats allowed)."""
    known = np.asarray(volumes, dtype=np.float64)
    distinct = np.unique(known[np.isfinite(known)])
    positive = distinct[distinct > 0]
    steps = np.diff(np.log2(positive))
    shown = distinct
    if len(positive) > _MAX_VOLUMES:
        steps = np.array([])
        shown = np.concatenate([distinct[distinct == 0], _round_numbers(positive)])
    return VolumeAxis(
        volumes=tuple(float(volume) for volume in shown),
        n_last=float(distinct[-1]) if distinct.size else 1.0,
        n_break=float(positive[0]) if positive.size else 1.0,
        step=float(np.median(steps)) if steps.size else _DEFAULT_STEP,
    )


def _round_numbers(positive: FloatArray) -> FloatArray:
    """Return powers of ten between the smallest and the largest, with halves where few fit."""
    low, high = np.log10(positive[[0, -1]])
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        powers = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1)
        ticks = np.sort(np.outer(powers, factors).ravel())
        ticks = ticks[(ticks >= positive[0]) & (ticks <= positive[-1])]
        if len(ticks) >= 3:
            break
    return ticks


def say_tick(volume: float) -> str:
    """Return a tick's text: "256", "40k", "1.5M", "0.02"."""
    if volume >= 1e6:
        return f"{volume / 1e6:g}M"
    return f"{volume / 1e3:g}k" if volume >= 1e4 else f"{volume:,g}"


def volume_axis_layout(
    axis: VolumeAxis, *, show_labels: bool, wide: bool = False, small: bool = False
) -> dict[str, object]:
    """Return the Plotly axis for `axis`.

    A `wide` figure has room for more ticks than a panel, a `small` panel for fewer.
    """
    shown = _thin(axis, 0.012 if wide else 0.055 if small else 0.035)
    return {
        "range": list(axis.limits),
        "tickvals": [float(axis.position(volume)) for volume in shown],
        "ticktext": [say_tick(volume) for volume in shown],
        "showticklabels": show_labels,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": GREY,
        "tickfont": {"size": SMALL_SIZE - 1},
        "tickangle": 0,
        "showgrid": False,
        "showline": True,
        "linecolor": GREY,
        "zeroline": False,
    }


def add_break_mark(
    figure: go.Figure, axis: VolumeAxis, xref: str, yref: str, *, wide: bool = False
) -> None:
    """Draw two strokes on a panel's axis line between 0 and the smallest volume."""
    for stroke in break_mark(axis, xref, yref, wide=wide):
        figure.add_shape(stroke)


def break_mark(
    axis: VolumeAxis, xref: str, yref: str, *, wide: bool = False
) -> list[dict[str, object]]:
    """Return the two strokes as shapes; figures of many panels set all of theirs at once."""
    if not axis.has_zero or len(axis.volumes) < 2:
        return []
    width = (0.004 if wide else 0.012) * (axis.limits[1] - axis.limits[0])
    return [
        {
            "type": "line",
            "name": "axis break",
            "xref": xref,
            "yref": f"{yref} domain",
            "x0": axis.break_position + offset - width,
            "x1": axis.break_position + offset + width,
            "y0": -0.035,
            "y1": 0.035,
            "line": {"color": GREY, "width": 1},
        }
        for offset in (-width, width)
    ]


def score_axis_layout(
    limits: tuple[float, float], *, percent: bool, show_labels: bool
) -> dict[str, object]:
    """Return the Plotly axis for scores."""
    return {
        "range": list(limits),
        "tickformat": ".0%" if percent else "~g",
        "nticks": 6,
        "showticklabels": show_labels,
        "tickfont": {"size": SMALL_SIZE - 1},
        "gridcolor": FAINT,
        "gridwidth": 1,
        "zeroline": False,
        "showline": False,
    }


def _thin(axis: VolumeAxis, character: float) -> list[float]:
    """Leave out ticks that would run into their neighbours; `character`: share of the axis."""
    low, high = axis.limits
    shown: list[float] = []
    for volume in reversed(axis.volumes):
        room = character * (1 + len(say_tick(volume))) * (high - low)
        if not shown or float(axis.position(shown[-1]) - axis.position(volume)) >= room:
            shown.append(volume)
    return shown[::-1]
