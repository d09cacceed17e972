"""Whether the next doubling of data would still pay, ability by ability."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import CurveFit, ResponseKind
from dashboard.analysis.results import PlateauStatus
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.style import escape
from dashboard.charts.wording import (
    name_ability,
    name_model,
    say_count,
    say_gain,
    say_interval,
    say_list,
)

PLATEAU_NOTE = (
    "Filled: decided, either a plateau (the one-sided 90% upper bound of the next doubling's gain "
    "lies below the smallest that pays) or still growing. Hollow: undecided. Underpowered: items "
    "and seeds are too few to show a plateau even if there were one."
)
_WORDS = {
    PlateauStatus.PLATEAU: "plateau",
    PlateauStatus.GROWING: "still growing",
    PlateauStatus.UNDECIDED: "undecided",
    PlateauStatus.UNDERPOWERED: "underpowered",
}
_DECIDED = (PlateauStatus.PLATEAU, PlateauStatus.GROWING)


def plateau_figure(
    curves: Sequence[CurveFit], *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw what the next doubling of data would gain, one row an ability.

    Parameters
    ----------
    curves : sequence of CurveFit
        At least one, of one data source and kind of score; one an ability, or one a base model
        where there is one ability.
    title, note : str
        The finding; source and uncertainty.
    narrow : bool
        Whether the figure is for one column of a paper.
    """
    percent = curves[0].response is ResponseKind.ACCURACY
    deltas = dict.fromkeys(c.plateau.delta for c in curves if c.plateau.delta is not None)
    factor = 100.0 if percent else 1.0
    smallest = [(factor * delta, "smallest that pays") for delta in deltas]
    by_model = len({curve.ability for curve in curves}) < len(curves)
    return forest_figure(
        [_row(curve, factor, by_model=by_model) for curve in _order(curves)],
        plan_named_series(["gain"]),
        Axis(
            title="Gain of the next doubling" + (" (points)" if percent else ""),
            references=((0.0, "" if smallest else "flat"), *smallest[:1]),
        ),
        title=title,
        subtitle="Gain expected from twice the largest volume"
        + ("" if by_model else f" of {curves[0].base_model}")
        + f" on {curves[0].data_source} data, with interval",
        note=note,
        text_heading="Verdict",
        narrow=narrow,
    )


def plateau_title(curves: Sequence[CurveFit]) -> str:
    """Say where more data stops paying, and where it still does."""
    inside = [curve for curve in curves if not curve.out_of_domain] or list(curves)
    flat = [c for c in inside if c.plateau.status is PlateauStatus.PLATEAU]
    growing = [c for c in inside if c.plateau.status is PlateauStatus.GROWING]
    noun = ("ability", "abilities") if len({c.ability for c in inside}) > 1 else ("curve", None)
    total = say_count(len(inside), *noun)
    parts = [f"{len(growing)} still grow"] if growing else []
    parts += [f"{len(flat)} have reached a plateau"] if flat else []
    rest = len(inside) - len(flat) - len(growing)
    parts += [f"{rest} can't be told"] if rest else []
    return f"At the largest volume, of {total}: {say_list(parts)}"


def plateau_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return one row a curve: gain of the next doubling, bound, verdict, as numbers."""
    return pd.DataFrame(
        [
            {
                "study": curve.study,
                "ability": curve.ability,
                "base_model": curve.base_model,
                "data_source": curve.data_source,
                "metric": curve.metric,
                "gain": curve.plateau.gain.estimate if curve.plateau.gain else None,
                "low": curve.plateau.gain.low if curve.plateau.gain else None,
                "high": curve.plateau.gain.high if curve.plateau.gain else None,
                "upper_bound_90": curve.plateau.upper_bound,
                "smallest_that_pays": curve.plateau.delta,
                "minimum_detectable": curve.plateau.minimum_detectable,
                "status": curve.plateau.status.value,
                "reason": curve.plateau.reason,
            }
            for curve in _order(curves)
        ]
    )


def _order(curves: Sequence[CurveFit]) -> list[CurveFit]:
    """Order curves by the next doubling's gain, the largest first; exams last."""
    return sorted(
        curves,
        key=lambda curve: (
            curve.out_of_domain,
            curve.plateau.gain is None,
            -(curve.plateau.gain.estimate if curve.plateau.gain else 0.0),
            curve.ability,
            curve.base_model,
        ),
    )


def _row(curve: CurveFit, factor: float, *, by_model: bool) -> Row:
    """Return one curve's row."""
    gain = curve.plateau.gain
    name = name_ability(curve.ability)
    if by_model:
        name = name_model(curve.base_model, curve.n_params)
    words = _WORDS[curve.plateau.status]
    marks: tuple[Mark, ...] = ()
    if gain is not None:
        lines = [
            f"<b>{escape(name)}</b>: {words}",
            f"{say_interval(gain, curve.response, signed=True)}, {gain.level:.0%} interval",
        ]
        if curve.plateau.minimum_detectable is not None:
            least = say_gain(curve.plateau.minimum_detectable, curve.response).removeprefix("+")
            lines.append(f"a plateau could be shown from {least}")
        marks = (
            Mark(
                series="gain",
                estimate=factor * gain.estimate,
                low=factor * gain.low,
                high=factor * gain.high,
                hover="<br>".join(lines),
                filled=curve.plateau.status in _DECIDED,
            ),
        )
    return Row(
        name=name,
        marks=marks,
        text=words if marks else "no curve",
        apart=curve.out_of_domain,
    )
