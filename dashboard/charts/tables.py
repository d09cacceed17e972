"""The numbers behind figures, as frames for tables and downloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.analysis import CurveFit, Interval
from dashboard.charts.wording import LABEL_WORDS, STATUS_WORDS

_IDENTITY = ("study", "ability", "base_model", "data_source", "metric")


def points_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return what a growth figure shows: a row a run and a row a point of a curve (`kind` tells).

    Scores are as measured (fractions for accuracies), so that the file can be computed with.
    """
    rows: list[dict[str, Any]] = []
    for curve in curves:
        identity = {name: getattr(curve, name) for name in _IDENTITY}
        points = curve.points
        for i, n_examples in enumerate(points.n_examples):
            rows.append(
                identity
                | {
                    "kind": "run",
                    "n_examples": float(n_examples),
                    "score": float(points.score[i]),
                    "stderr": float(points.stderr[i]),
                    "n_items": float(points.n_items[i]),
                    "seed": points.seed[i],
                    "cell_id": points.cell_id[i],
                    "excluded": points.excluded[i],
                }
            )
        if curve.drawable and curve.band is not None:
            band = curve.band
            for n, mean, low, high in zip(
                band.n_examples, band.estimate, band.low, band.high, strict=True
            ):
                rows.append(
                    identity
                    | {
                        "kind": "curve",
                        "n_examples": float(n),
                        "score": float(mean),
                        "low": float(low),
                        "high": float(high),
                        "level": band.level,
                    }
                )
    columns = [*_IDENTITY, "kind", "n_examples", "score", "stderr", "low", "high", "level"]
    columns += ["n_items", "seed", "cell_id", "excluded"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def gains_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return one row a curve: scores, gain, pace, test and label, as numbers."""
    rows = []
    for curve in curves:
        row: dict[str, Any] = {name: getattr(curve, name) for name in _IDENTITY}
        row["n_params"] = curve.n_params
        for name in ("score_first", "score_last", "gain", "half_gain_examples"):
            row |= _flat(name, getattr(curve, name))
        row |= {
            "p_value": curve.p_value,
            "q_value": curve.q_value,
            "n_tests": curve.n_tests,
            "label": LABEL_WORDS[curve.label],
            "delta": curve.delta,
            "status": curve.status.value,
            "reason": curve.reason or curve.label_reason,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def families_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return one row a curve and growth family: weight, criterion, parameters, status."""
    rows = [
        {
            "ability": curve.ability,
            "base_model": curve.base_model,
            "data_source": curve.data_source,
            "family": family.name,
            "weight": family.weight,
            "status": STATUS_WORDS[family.status],
            "reason": family.reason,
            "QAICc": family.qaicc,
            "RMSE": family.rmse,
            "log_likelihood": family.log_likelihood,
            "parameters": _say_parameters(family.params, family.stderr),
        }
        for curve in curves
        for family in curve.families
    ]
    columns = ["ability", "base_model", "data_source", "family", "weight", "status", "reason"]
    columns += ["QAICc", "RMSE", "log_likelihood", "parameters"]
    return pd.DataFrame(rows, columns=columns)


def trend_tests_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return one row a curve: status, runs, noise, test and correction."""
    rows = [
        {
            "ability": curve.ability,
            "base_model": curve.base_model,
            "data_source": curve.data_source,
            "status": STATUS_WORDS[curve.status],
            "label": LABEL_WORDS[curve.label],
            "p_value": curve.p_value,
            "q_value": curve.q_value,
            "runs": curve.n_points,
            "seeds": curve.n_seeds,
            "run_stddev": curve.run_stddev,
            "reason": curve.reason or curve.label_reason,
        }
        for curve in curves
    ]
    return pd.DataFrame(rows)


def backtest_table(curves: Sequence[CurveFit]) -> pd.DataFrame:
    """Return one row a curve, method and horizon: how well it predicted held-back volumes."""
    rows = [
        {
            "base_model": curve.base_model,
            "data_source": curve.data_source,
            "method": one.family.replace("_", " "),
            "times_as_far": one.horizon,
            "mean_absolute_error": one.error,
            "weight": one.weight,
            "predictions_judged": one.n_predictions,
        }
        for curve in curves
        for one in curve.backtest
    ]
    columns = ["base_model", "data_source", "method", "times_as_far", "mean_absolute_error"]
    return pd.DataFrame(rows, columns=[*columns, "weight", "predictions_judged"])


def to_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV; text that a spreadsheet would run as a formula is quoted off."""
    safe = {
        name: [_defuse(value) for value in frame[name]]
        if not pd.api.types.is_numeric_dtype(frame[name])
        else frame[name]
        for name in frame.columns
    }
    return pd.DataFrame(safe, columns=frame.columns).to_csv(index=False)


def _defuse(value: Any) -> Any:
    """Put an apostrophe before text that starts like a spreadsheet formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _flat(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Spread an interval over three columns."""
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {
        name: interval.estimate,
        f"{name}_low": interval.low,
        f"{name}_high": interval.high,
    }


def _say_parameters(params: dict[str, float], stderr: dict[str, float | None]) -> str:
    """Return "a = 1.2 (0.3), b = 0.5": estimates with their standard errors."""
    parts: Iterable[str] = (
        f"{name} = {value:.4g}" + (f" ({stderr[name]:.2g})" if _is_known(stderr.get(name)) else "")
        for name, value in params.items()
    )
    return ", ".join(parts)


def _is_known(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))
