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


@dataclass(frozen=True, kw_only=True)
class VolumeAxis:
    """Positions and ticks: linear from 0 to the smallest volume above it, logarithmic beyond.

    Attributes
    ----------
    volumes : tuple of float
        Distinct volumes that get a tick, ascending, >= 0.
    n_break : float
        Smallest volume above 0, where the scale changes.
    step : float
        Width of the linear part in powers of two: the median step between volumes.
    """

    volumes: tuple[float, ...]
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
        low, high = self.position(np.array([self.volumes[0], self.volumes[-1]]))
        room = max(0.06 * (high - low), 0.35)
        return (float(low - room), float(high + room))

    @property
    def break_position(self) -> float:
        """Where the break mark stands."""
        return float(np.log2(self.n_break)) - self.step / 2


def plan_volume_axis(volumes: npt.ArrayLike) -> VolumeAxis:
    """Return the axis for observed volumes (count >= 0; any shape, repeats allowed)."""
    distinct = np.unique(np.asarray(volumes, dtype=np.float64))
    positive = distinct[distinct > 0]
    steps = np.diff(np.log2(positive))
    return VolumeAxis(
        volumes=tuple(float(volume) for volume in distinct),
        n_break=float(positive[0]) if positive.size else 1.0,
        step=float(np.median(steps)) if steps.size else _DEFAULT_STEP,
    )


def volume_axis_layout(axis: VolumeAxis, *, show_labels: bool) -> dict[str, object]:
    """Return the Plotly axis for `axis`."""
    shown = _thin(axis)
    return {
        "range": list(axis.limits),
        "tickvals": [float(axis.position(volume)) for volume in shown],
        "ticktext": [f"{volume:,.0f}" for volume in shown],
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


def add_break_mark(figure: go.Figure, axis: VolumeAxis, xref: str, yref: str) -> None:
    """Draw two strokes on a panel's axis line between 0 and the smallest volume."""
    if not axis.has_zero or len(axis.volumes) < 2:
        return
    width = 0.012 * (axis.limits[1] - axis.limits[0])
    for offset in (-width, width):
        figure.add_shape(
            type="line",
            name="axis break",
            xref=xref,
            yref=f"{yref} domain",
            x0=axis.break_position + offset - width,
            x1=axis.break_position + offset + width,
            y0=-0.035,
            y1=0.035,
            line={"color": GREY, "width": 1},
        )


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


def _thin(axis: VolumeAxis) -> list[float]:
    """Leave out ticks that would run into their neighbours on a small panel."""
    low, high = axis.limits
    shown: list[float] = []
    for volume in reversed(axis.volumes):
        room = 0.035 * (1 + len(f"{volume:,.0f}")) * (high - low)
        if not shown or float(axis.position(shown[-1]) - axis.position(volume)) >= room:
            shown.append(volume)
    return shown[::-1]
