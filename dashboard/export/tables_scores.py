"""Tables of single growth curves: scores, gains and labels, fit parameters, backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.analysis import CurveFit, ResponseKind
from dashboard.analysis.results import FamilyFit
from dashboard.charts.findings import interval_note, label_rule
from dashboard.charts.tables import backtest_table as backtest_data
from dashboard.charts.tables import gains_table as gains_data
from dashboard.charts.wording import (
    LABEL_WORDS,
    STATUS_WORDS,
    VOLUME_WORDS,
    name_model,
    name_row,
    say_examples,
)
from dashboard.export.tables import (
    Missing,
    PaperTable,
    Shown,
    bounds,
    number,
    p_text,
    say_fixed,
    significant,
    varying,
)

_KEYS = {"base_model": "base model", "data_source": "data source", "metric": "metric"}
_HEADINGS = {"base_model": "Base model", "data_source": "Data", "metric": "Metric"}
_MOST_VOLUMES = 5
_NEXT_TO_NOTHING = 1e-8


def score_tables(curves: Sequence[CurveFit]) -> list[PaperTable]:
    """Return scores by volume, a table for each thing that volumes count and kind of score."""
    groups: dict[tuple[str, ResponseKind], list[CurveFit]] = {}
    for curve in curves:
        groups.setdefault((curve.x_kind, curve.response), []).append(curve)
    several = len({response for _, response in groups}) > 1
    return [
        _score_table(members, f"-{response.value}" if several else "")
        for (_, response), members in groups.items()
    ]


def _score_table(curves: Sequence[CurveFit], suffix: str) -> PaperTable:
    """Return the scores of curves that share their axis."""
    first = curves[0]
    volumes = sorted({float(n) for curve in curves for n in curve.points.n_examples})
    printed = _spread_out(volumes)
    scale, digits = _scale(first)
    data = pd.DataFrame([row for curve in curves for row in _score_rows(curve)])
    rows = _identified(curves)
    names, headings, fixed = _named_columns(rows)
    body: list[tuple[Shown, ...]] = []
    for curve, row in zip(curves, rows, strict=True):
        by_volume = {point["volume"]: point for point in _score_rows(curve)}
        cells = (_say_point(by_volume.get(volume), scale, digits) for volume in printed)
        body.append((*(row[name] for name in names), *cells))
    unit = " in percent" if first.response is ResponseKind.ACCURACY else ""
    left_out = "" if printed == volumes else " Other volumes are in the CSV file."
    return PaperTable(
        name=f"scores-{first.x_kind}{suffix}",
        caption=f"Scores{unit} by {VOLUME_WORDS[first.x_kind]}: the fitted curve with its "
        f"interval, or the mean of the runs with none where no curve is fitted. "
        f"{interval_note(curves)}{left_out}{fixed}",
        headings=(*headings, *(say_examples(volume) for volume in printed)),
        rows=tuple(body),
        n_names=len(names),
        data=data,
    )


def _spread_out(volumes: Sequence[float]) -> list[float]:
    """Return a few volumes, the first and the last among them."""
    if len(volumes) <= _MOST_VOLUMES:
        return list(volumes)
    picked = np.linspace(0, len(volumes) - 1, _MOST_VOLUMES).round().astype(int)
    return [volumes[i] for i in picked]


def _score_rows(curve: CurveFit) -> list[dict[str, Any]]:
    """Return one row a volume: the runs' mean, and the fitted curve there with its interval."""
    points, band = curve.points, curve.band if curve.drawable else None
    rows = []
    for volume in sorted({float(n) for n in points.n_examples}):
        here = points.n_examples == volume
        scores = points.score[here]
        known = scores[np.isfinite(scores)]
        row: dict[str, Any] = _identity(curve) | {
            "volume": volume,
            "volume_counts": curve.x_kind,
            "runs": int(here.sum()),
            "mean_score": float(known.mean()) if known.size else None,
            "items": max(points.n_items[here & np.isfinite(points.n_items)], default=None),
            "fitted": None,
            "low": None,
            "high": None,
            "level": None,
            "interval": None,
        }
        at = None if band is None else np.flatnonzero(band.n_examples == volume)
        if band is not None and at is not None and at.size:
            i = int(at[0])
            row |= {
                "fitted": float(band.estimate[i]),
                "low": float(band.low[i]),
                "high": float(band.high[i]),
                "level": band.level,
                "interval": band.kind.value,
            }
        reasons = [one for one, at_volume in zip(points.excluded, here, strict=True) if at_volume]
        row["reason"] = next((one for one in reasons if one), None) or curve.reason
        rows.append(row)
    return rows


def _say_point(point: Mapping[str, Any] | None, scale: float, digits: int) -> Shown:
    """Return one score for print."""
    if point is None:
        return Missing(reason="no run at this volume")
    if point["fitted"] is None:
        if point["mean_score"] is None:
            return Missing(reason=point["reason"] or "no score is known")
        return number(point["mean_score"], digits, scale=scale)
    low, high = (number(point[name], digits, scale=scale) for name in ("low", "high"))
    return f"{number(point['fitted'], digits, scale=scale)} [{low}, {high}]"


def gain_table(curves: Sequence[CurveFit]) -> PaperTable:
    """Return gains, paces, tests and labels, one row a curve."""
    rows = _identified(curves)
    names, headings, fixed = _named_columns(rows)
    body: list[tuple[Shown, ...]] = []
    for curve, row in zip(curves, rows, strict=True):
        scale, digits = _scale(curve)
        why = curve.reason or "no curve is fitted"
        body.append(
            (
                *(row[name] for name in names),
                Missing(reason=why)
                if curve.gain is None
                else bounds(curve.gain, digits, scale=scale, signed=True),
                Missing(reason=curve.half_gain_reason or why)
                if curve.half_gain_examples is None
                else f"{say_examples(curve.half_gain_examples.estimate)} "
                f"[{say_examples(curve.half_gain_examples.low)}, "
                f"{say_examples(curve.half_gain_examples.high)}]",
                p_text(curve.q_value, why),
                Missing(reason=curve.label_reason or why)
                if curve.label is None
                else LABEL_WORDS[curve.label],
                Missing(reason=curve.plateau.reason or why)
                if curve.plateau.gain is None
                else curve.plateau.status.value,
            )
        )
    tests = sorted({curve.n_tests for curve in curves if curve.p_value is not None})
    counted = " or ".join(map(str, tests)) or "no"
    return PaperTable(
        name="gains",
        caption="Gain from the first to the largest volume (accuracies in points, positive is "
        "better), the volume by which half of it is reached, and the test of growth; q is "
        f"adjusted after Benjamini-Hochberg over the abilities of one base model, source and "
        f"metric ({counted} tests). {interval_note(curves)} {label_rule(curves)}{fixed}",
        headings=(*headings, "Gain", "Half by", "q", "Label", "Plateau"),
        rows=tuple(body),
        n_names=len(names),
        data=gains_data(curves),
    )


def family_table(curves: Sequence[CurveFit]) -> PaperTable:
    """Return the family that weighs most in each curve; all of them are in the CSV."""
    rows = _identified(curves)
    names, headings, fixed = _named_columns(rows)
    body: list[tuple[Shown, ...]] = []
    for curve, row in zip(curves, rows, strict=True):
        known = [family for family in curve.families if family.weight > 0]
        identity = [row[name] for name in names]
        if not known:
            why = Missing(reason=curve.reason or "no family could be fitted")
            body.append((*identity, *(why,) * 5, STATUS_WORDS[curve.status]))
            continue
        first = max(known, key=lambda family: family.weight)
        body.append(
            (
                *identity,
                first.name.replace("_", " "),
                f"{number(first.weight, 2)} of {len(known)}",
                *(_parameter(first, role) for role in ("ceiling", "rate")),
                Missing(reason="too few runs") if first.rmse is None else number(first.rmse, 3),
                STATUS_WORDS[first.status],
            )
        )
    return PaperTable(
        name="fits",
        caption="The growth family that weighs most in each averaged curve, with its weight and "
        "how many are averaged: the ceiling (best score at any volume) and the rate (k, beta, b or "
        "h), each with its standard error in brackets; RMSE is over runs, in score units (losses: "
        "of the log loss). Every family with every parameter is in the CSV file."
        f"{fixed}",
        headings=(*headings, "Family", "Weight", "Ceiling", "Rate", "RMSE", "Status"),
        rows=tuple(body),
        n_names=len(names) + 1,
        data=pd.DataFrame(
            [
                row
                for curve in curves
                for family in curve.families
                for row in _family_rows(curve, family)
            ]
        ),
    )


_ROLES = {
    # Symbols as docs/statistics.md has them; a loss has its best value at E.
    "ceiling": ("c", "hi", "E"),
    "rate": ("k", "beta", "b", "h"),
}


def _parameter(family: FamilyFit, role: str) -> Shown:
    """Return the parameter that plays a role, with its standard error."""
    symbol = next((one for one in _ROLES[role] if one in family.params), None)
    if symbol is None:
        return Missing(reason=f"this family has no {role}")
    value, error = family.params[symbol], family.stderr.get(symbol)
    if error is None:
        # Bounds at 0 are a little above it.
        return f"{'0' if abs(value) < _NEXT_TO_NOTHING else significant(value)} (at its bound)"
    return f"{significant(value)} ({significant(error)})"


def _family_rows(curve: CurveFit, family: FamilyFit) -> list[dict[str, Any]]:
    """Return one row a parameter; a family without parameters keeps one row."""
    shared = _identity(curve) | {
        "family": family.name,
        "status": family.status.value,
        "reason": family.reason,
        "weight": family.weight,
        "qaicc": family.qaicc,
        "rmse": family.rmse,
        "log_likelihood": family.log_likelihood,
    }
    return [
        shared
        | {
            "parameter": symbol,
            "estimate": family.params.get(symbol),
            "stderr": family.stderr.get(symbol),
        }
        for symbol in (family.params or [""])
    ]


def backtest_table(curves: Sequence[CurveFit]) -> PaperTable | None:
    """Return how well methods predicted held-back larger volumes; None where nothing was."""
    # Errors are pooled over a study's curves of one kind of score: each curve repeats them.
    data = backtest_data(curves).drop(columns=["base_model", "data_source"]).drop_duplicates()
    if data.empty:
        return None
    columns = ["method", "times_as_far", "mean_absolute_error", "weight", "predictions_judged"]
    body = tuple(
        (
            str(row["method"]).replace("_", " "),
            number(row["times_as_far"], 1),
            Missing(reason="no held-back volume judges this method so far out")
            if pd.isna(row["mean_absolute_error"])
            else number(row["mean_absolute_error"], 3),
            number(row["weight"], 2),
            number(row["predictions_judged"], 0),
        )
        for row in data[columns].to_dict("records")
    )
    return PaperTable(
        name="backtest",
        caption="How well larger volumes were predicted from smaller ones, pooled over the study's "
        "curves: mean absolute error (score units; losses: of the log loss) at volumes so many "
        "times the largest one fitted, and the method's weight in predictions there.",
        headings=("Method", "Times as far", "Error", "Weight", "Predictions"),
        rows=body,
        n_names=1,
        data=data,
    )


def _identity(curve: CurveFit) -> dict[str, Any]:
    """Return what names a curve."""
    names = ("study", "ability", "base_model", "n_params", "data_source", "metric")
    return {name: getattr(curve, name) for name in names}


def _identified(curves: Sequence[CurveFit]) -> list[dict[str, str]]:
    """Return the names of curves as they are printed."""
    return [
        {
            "ability": name_row(curve.ability, out_of_domain=curve.out_of_domain),
            "base_model": name_model(curve.base_model, curve.n_params),
            "data_source": curve.data_source,
            "metric": curve.metric,
        }
        for curve in curves
    ]


def _named_columns(rows: Sequence[dict[str, str]]) -> tuple[list[str], list[str], str]:
    """Return names and headings of the columns that tell rows apart, and what all rows share."""
    names = varying(rows, _KEYS)
    headings = ["Ability", *(_HEADINGS[name] for name in names)]
    return ["ability", *names], headings, say_fixed(rows, _KEYS)


def _scale(curve: CurveFit) -> tuple[float, int]:
    """Return the factor and the digits of scores in print."""
    return (100.0, 1) if curve.response is ResponseKind.ACCURACY else (1.0, 3)
