"""Results as plain JSON values and back, and the document that `fit --json` prints."""

from __future__ import annotations

import math
import types
import typing
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

import numpy as np

from dashboard.analysis.results import CurveFit, Interval, Prediction

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Return dataclasses as dicts, arrays and tuples as lists, NaN as null, infinity as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else str(value)
    return value


def from_plain(kind: type[T], value: Any) -> T:
    """Return the dataclass `kind` from what `to_plain` made of it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If `value` has another shape.
    """
    return typing.cast(T, _decode(kind, value))


def curve_document(fit: CurveFit) -> dict[str, Any]:
    """Return one curve as `fit --json` prints it (see docs/statistics.md).

    Unknown values are null with a reason beside them.
    """
    document: dict[str, Any] = {
        name: to_plain(getattr(fit, name))
        for name in (
            "study",
            "ability",
            "base_model",
            "n_params",
            "data_source",
            "metric",
            "higher_is_better",
            "chance_level",
            "x_kind",
            "out_of_domain",
            "n_points",
            "n_volumes",
            "n_seeds",
            "status",
            "reason",
            "drawable",
            "label",
            "label_basis",
            "label_reason",
            "delta",
            "noise",
            "run_stddev",
            "run_df",
            "overdispersion",
            "p_value",
            "q_value",
            "n_tests",
        )
    }
    document["families"] = [
        {
            name: to_plain(getattr(family, name))
            for name in (
                "name",
                "status",
                "reason",
                "params",
                "stderr",
                "log_likelihood",
                "qaicc",
                "weight",
                "rmse",
                "n_free",
            )
        }
        for family in fit.families
    ]
    document["left_out"] = [
        {"cell_id": cell, "n_examples": to_plain(float(n)), "reason": reason}
        for cell, n, reason in zip(
            fit.points.cell_id, fit.points.n_examples, fit.points.excluded, strict=True
        )
        if reason is not None
    ]
    missing = fit.reason or "no curve was fitted"
    document["score_first"] = _interval(fit.score_first)
    document["score_last"] = _interval(fit.score_last)
    document["gain"] = _interval(fit.gain)
    document["gain_reason"] = None if fit.gain is not None else missing
    document["gain_upper_bound"] = fit.gain_upper_bound
    document["gain_per_fourfold"] = _interval(fit.gain_per_fourfold)
    document["half_gain_examples"] = _interval(fit.half_gain_examples)
    document["half_gain_reason"] = fit.half_gain_reason
    document["plateau"] = {**to_plain(fit.plateau), "gain": _interval(fit.plateau.gain)}
    document["backtest"] = to_plain(fit.backtest)
    document["predictions"] = [_prediction(item) for item in fit.predictions]
    document["replicate_failures"] = fit.replicate_failures
    document["reading"] = fit.reading
    return document


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    """Return an interval as JSON."""
    return None if interval is None else to_plain(interval)


def _prediction(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON."""
    document: dict[str, Any] = to_plain(prediction)
    return document


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the resolved annotations of a dataclass."""
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any) -> Any:
    """Return `value` as an object of the annotated type `kind`."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (inner,) = [option for option in typing.get_args(kind) if option is not type(None)]
        return _decode(inner, value)
    if origin is np.ndarray:
        return np.array(_nan_for_null(value), dtype=np.float64)
    if origin is tuple:
        (inner, _) = typing.get_args(kind)
        return tuple(_decode(inner, item) for item in value)
    if origin is dict:
        _, inner = typing.get_args(kind)
        return {key: _decode(inner, item) for key, item in value.items()}
    if is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        return typing.cast(Any, kind)(
            **{field.name: _decode(hints[field.name], value[field.name]) for field in fields(kind)}
        )
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    if kind is float:
        return math.nan if value is None else float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {value!r:.40}")
    return value


def _nan_for_null(value: Any) -> Any:
    """Return nested lists with NaN in place of null."""
    if isinstance(value, list):
        return [_nan_for_null(item) for item in value]
    return math.nan if value is None else value
