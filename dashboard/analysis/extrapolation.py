r"""Beyond the observed range: methods weighted, and intervals sized, by backtest.

The family that fits best is not the one that predicts best. So every method is refitted on
prefixes of every curve of the study, asked for the held-back larger volumes, and judged by its
errors e there; on the log for losses, in score units otherwise. With h = target volume / largest
fitted volume, method j's score for a horizon H is

    r_j = (S m_j + 1) / (S + 1),    m_j = sum_i v_i (e_ij^2 / mean_k e_ik^2) / sum_i v_i,

where v_i = min(h_i / H, H / h_i), so that a long horizon, which has few cases of its own, borrows
from shorter ones; errors are taken relative to the case, so that no single curve or long horizon
decides alone; and S counts the starting volumes behind the cases, so that little backtest pulls
the weights towards the plain mean. Weights are proportional to r_j^-2. The interval is the
quantile of the averaged method's absolute errors at the same horizon on the *other* curves.

A family takes part where it has a volume to spare: with as many parameters as volumes it bends to
every wobble, and errors made like that say nothing about a start with more volumes.

Methods: the growth families of `BACKTEST_FAMILIES`, `tail_line` (a straight line through the last
three volumes, log loss or logit accuracy against log volume) and `last_value`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.engine import Precision, fit_batch
from dashboard.analysis.families import FAMILIES, Family
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.results import (
    BacktestError,
    IntervalKind,
    Prediction,
    PredictionStatus,
)
from dashboard.analysis.settings import FitSettings

BACKTEST_FAMILIES = {
    ResponseKind.ACCURACY: ("log_linear", "exponential"),
    ResponseKind.LOSS: ("rectified",),
    ResponseKind.SCORE: ("exponential",),
}
"""Families that take part in extrapolation: flexible ones run wild beyond the data."""

_TAIL = 3
_MIN_VOLUMES = 3
_SAME_HORIZON = 0.5
_FEW_ORIGINS = 3
_POWER = 2.0
_PRECISION = Precision(tolerance=1e-6, max_iterations=150, n_starts=5)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One backtest: errors of all methods for one curve, origin and target.

    `errors` is NaN for families without a volume to spare.
    """

    curve: int
    origin: float
    horizon: float
    errors: FloatArray


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Curves that are backtested together: one study and one kind of score."""

    methods: tuple[str, ...]
    cases: tuple[_Case, ...]


class Extrapolator:
    """Backtests and predictions for the curves of a fit.

    Parameters
    ----------
    runs : sequence of (FittedRuns or None)
        Curves in the order of the fit; None where nothing is fitted.
    settings : FitSettings
        Level of intervals and the volumes asked for.
    """

    def __init__(self, runs: Sequence[FittedRuns | None], settings: FitSettings) -> None:
        """Backtest every study and kind of score once."""
        self._runs = list(runs)
        self._settings = settings
        self._group_of: dict[int, _Group] = {}
        members: dict[tuple[str, ResponseKind], list[int]] = {}
        for index, item in enumerate(self._runs):
            if item is not None:
                members.setdefault((item.data.study, item.response), []).append(index)
        for (_, response), indices in members.items():
            group = self._backtest_group(response, indices)
            self._group_of.update(dict.fromkeys(indices, group))

    def backtest(self, index: int) -> tuple[BacktestError, ...]:
        """Return the methods' pooled errors at the horizons asked for, else at the shortest."""
        group, runs = self._group_of.get(index), self._runs[index]
        if group is None or runs is None or not group.cases:
            return ()
        largest = float(runs.volumes[-1])
        asked = {volume / largest for volume in self._settings.predict if volume > largest}
        if not asked:
            asked = {min(case.horizon for case in group.cases)}
        found: dict[tuple[str, float], BacktestError] = {}
        for horizon in sorted(asked):
            supported, cases = _same_horizon(group.cases, horizon)
            if not cases:
                continue
            weights = _method_weights(group.cases, horizon, _can_predict(runs))
            absolute = np.abs(np.array([case.errors for case in cases]))
            for column, (name, weight) in enumerate(zip(group.methods, weights, strict=True)):
                errors = absolute[np.isfinite(absolute[:, column]), column]
                found[name, supported] = BacktestError(
                    family=name,
                    horizon=supported,
                    error=float(errors.mean()) if errors.size else None,
                    weight=float(weight),
                    n_predictions=errors.size,
                )
        return tuple(found.values())

    def predict(self, index: int, volume: float) -> Prediction:
        """Predict one curve at a volume beyond its largest.

        Status `unsupported_horizon` where no held-back volume lies as far out: the interval then
        comes from the longest horizon there is and grows with the log of the horizon; with
        no backtest at all the interval is as wide as the score allows or, for losses, twice the
        extrapolated change.
        """
        runs, group = self._runs[index], self._group_of.get(index)
        assert runs is not None  # only fitted curves are predicted
        horizon = volume / float(runs.volumes[-1])
        guesses = self._guesses(runs, volume)
        level = self._settings.level
        if group is None or not group.cases:
            return self._guess_wide(runs, volume, guesses)
        supported, cases = _same_horizon(group.cases, horizon)
        others = [case for case in group.cases if case.curve != index] or list(group.cases)
        weights = _method_weights(others, horizon, np.isfinite(guesses))
        centre = _average(guesses[None], weights)[0]
        near = [case for case in cases if case.curve != index] or list(cases)
        errors = np.abs(_average(np.array([case.errors for case in near]), weights))
        half = _upper_quantile(errors, level)
        reached = abs(np.log2(horizon / supported)) <= _SAME_HORIZON
        origins = {case.origin for case in cases}
        reason = None
        if not reached:
            half *= 1.5 * max(np.log(horizon) / np.log(supported), 1.0)
            reason = (
                f"no held-back volume lies {horizon:.3g} times as far out (the nearest: "
                f"{supported:.3g}); the interval is a guess"
            )
        elif len(origins) < _FEW_ORIGINS:
            # Few starting points, all early in the curves, say little about a later start.
            half *= 1.5
            reason = f"only {len(origins)} starting volumes stand behind this horizon"
        status = PredictionStatus.BACKTESTED if reached else PredictionStatus.UNSUPPORTED_HORIZON
        low, high = _unlink(runs, centre - half), _unlink(runs, centre + half)
        return Prediction(
            n_examples=volume,
            estimate=_unlink(runs, centre),
            low=low,
            high=high,
            level=level,
            status=status,
            kind=IntervalKind.BACKTEST,
            reason=reason,
        )

    def _guess_wide(self, runs: FittedRuns, volume: float, guesses: FloatArray) -> Prediction:
        """Predict without any backtest: a guess with an interval that says so."""
        known = guesses[np.isfinite(guesses)]
        centre, last = float(known.mean()), float(known[-1])
        spread = 2 * max(abs(centre - last), float(np.ptp(known)), 1e-3)
        low, high = _unlink(runs, centre - spread), _unlink(runs, centre + spread)
        if runs.response is ResponseKind.ACCURACY:
            low, high = 0.0, 1.0
        return Prediction(
            n_examples=volume,
            estimate=_unlink(runs, centre),
            low=low,
            high=high,
            level=self._settings.level,
            status=PredictionStatus.UNSUPPORTED_HORIZON,
            kind=None,
            reason="too few volumes to test any extrapolation; the interval is a guess",
        )

    def _guesses(self, runs: FittedRuns, volume: float) -> FloatArray:
        """Return every method's prediction of one curve, on the error scale, last_value last.

        NaN for families without a volume to spare.
        """
        y = runs.volume_means(runs.score[:, None])
        predicted = _predict_all(runs, y, len(runs.volumes), np.array([volume]))
        return _link(runs, predicted)[:, 0, 0]

    def _backtest_group(self, response: ResponseKind, indices: list[int]) -> _Group:
        """Backtest the curves of one study, in batches that share volumes and chance level."""
        batches: dict[tuple[object, ...], list[int]] = {}
        for index in indices:
            runs = self._runs[index]
            assert runs is not None
            chance = runs.data.chance_level
            batches.setdefault((tuple(runs.volumes), chance), []).append(index)
        cases: list[_Case] = []
        for members in batches.values():
            first = self._runs[members[0]]
            assert first is not None
            y = np.concatenate(
                [
                    runs.volume_means(runs.score[:, None])
                    for index in members
                    if (runs := self._runs[index]) is not None
                ],
                axis=1,
            )
            cases += _backtest_batch(first, y, members)
        return _Group(
            methods=(*BACKTEST_FAMILIES[response], "tail_line", "last_value"), cases=tuple(cases)
        )


def _backtest_batch(runs: FittedRuns, y: FloatArray, members: list[int]) -> list[_Case]:
    """Backtest curves, columns of y (U, B), that share volumes and chance level."""
    cases: list[_Case] = []
    volumes = runs.volumes
    for end in range(_MIN_VOLUMES, len(volumes)):
        predicted = _link(runs, _predict_all(runs, y, end, volumes[end:]))
        errors = predicted - _link(runs, y[end:])[None]
        origin = float(volumes[end - 1])
        for column, curve in enumerate(members):
            for target in range(len(volumes) - end):
                cases.append(
                    _Case(
                        curve=curve,
                        origin=origin,
                        horizon=float(volumes[end + target]) / origin,
                        errors=errors[:, target, column],
                    )
                )
    return cases


def _predict_all(runs: FittedRuns, y: FloatArray, end: int, n: FloatArray) -> FloatArray:
    """Return predictions (methods, len(n), B) of all methods from the first `end` volumes.

    NaN for families that have as many free parameters as volumes.
    """
    volumes = runs.volumes[:end]
    seen = y[:end]
    weight = runs.volume_weight[:end]
    values: list[FloatArray] = []
    for name in BACKTEST_FAMILIES[runs.response]:
        family = _family(name, volumes, runs)
        if family.n_free >= end:
            values.append(np.full((len(n), y.shape[1]), np.nan))
            continue
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch = fit_batch(family, runs.response, seen, weight, _PRECISION)
        predicted = family.predict(batch.u, n)
        values.append(np.where(np.isfinite(predicted), predicted, seen[-1]))
    values.append(_tail_line(runs, volumes, seen, n))
    values.append(np.broadcast_to(seen[-1], (len(n), y.shape[1])))
    return np.stack(values)


def _family(name: str, volumes: FloatArray, runs: FittedRuns) -> Family:
    """Return a family on some volumes."""
    return FAMILIES[name](volumes, runs.response, runs.data.chance_level)


def _tail_line(runs: FittedRuns, volumes: FloatArray, y: FloatArray, n: FloatArray) -> FloatArray:
    """Extend the straight line through the last volumes, (len(n), B)."""
    tail = np.flatnonzero(volumes > 0)[-_TAIL:]
    if len(tail) < 2:
        return np.broadcast_to(y[-1], (len(n), y.shape[1]))
    x = np.log(volumes[tail])
    if runs.response is ResponseKind.ACCURACY:
        z = logit(np.clip(y[tail], 0.005, 0.995))
    else:
        z = np.log(y[tail]) if runs.response is ResponseKind.LOSS else y[tail]
    centred = (x - x.mean())[:, None]
    slope = (centred * z).sum(axis=0) / (centred**2).sum()
    line = z.mean(axis=0) + slope * (np.log(n) - x.mean())[:, None]
    if runs.response is ResponseKind.ACCURACY:
        return np.asarray(expit(line))
    return np.asarray(np.exp(line) if runs.response is ResponseKind.LOSS else line)


def _link(runs: FittedRuns, values: FloatArray) -> FloatArray:
    """Return values on the scale of errors."""
    return np.log(np.maximum(values, 1e-12)) if runs.response is ResponseKind.LOSS else values


def _unlink(runs: FittedRuns, value: float) -> float:
    """Return a score from the scale of errors, within its range."""
    if runs.response is ResponseKind.LOSS:
        return float(np.exp(value))
    return float(np.clip(value, 0, 1)) if runs.response is ResponseKind.ACCURACY else float(value)


def _same_horizon(cases: Sequence[_Case], horizon: float) -> tuple[float, list[_Case]]:
    """Return cases about as far out, or else those at the longest horizon below."""
    distances = np.abs(np.log2([case.horizon / horizon for case in cases]))
    near = [c for c, d in zip(cases, distances, strict=True) if d <= _SAME_HORIZON]
    if near:
        return horizon, near
    supported = max(
        (case.horizon for case in cases if case.horizon < horizon),
        default=min(case.horizon for case in cases),
    )
    return supported, [
        case for case in cases if abs(np.log2(case.horizon / supported)) <= _SAME_HORIZON
    ]


def _can_predict(runs: FittedRuns) -> NDArray[np.bool_]:
    """Say which methods have a volume to spare on a curve, shape (M,)."""
    free = [_family(name, runs.volumes, runs).n_free for name in BACKTEST_FAMILIES[runs.response]]
    return np.array([n_free < len(runs.volumes) for n_free in (*free, 2, 1)])


def _method_weights(
    cases: Sequence[_Case], horizon: float, usable: NDArray[np.bool_]
) -> FloatArray:
    """Return weights of the methods for a horizon, shape (M,), summing to 1 over usable ones.

    Methods are compared on the cases that judge all that any case judges; one that no case
    judges counts as an average one.
    """
    errors = np.array([case.errors for case in cases])
    judged = np.isfinite(errors).any(axis=0)
    complete = np.isfinite(errors[:, judged]).all(axis=1)
    squares = errors[complete][:, judged] ** 2
    relative = squares / np.maximum(squares.mean(axis=1, keepdims=True), 1e-24)
    chosen = [case for case, use in zip(cases, complete, strict=True) if use]
    nearness = 0.5 ** np.abs(np.log2([case.horizon / horizon for case in chosen]))
    n_origins = len({case.origin for case in chosen})
    score = np.ones(errors.shape[1])
    score[judged] = (n_origins * (nearness @ relative / nearness.sum()) + 1) / (n_origins + 1)
    raw = np.where(usable, score**-_POWER, 0.0)
    return np.asarray(raw / raw.sum())


def _average(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return weighted means of rows, (C, M) -> (C,), over the methods that each row has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0) @ weights
    return np.asarray(total / np.maximum(known @ weights, 1e-300))


def _upper_quantile(errors: FloatArray, level: float) -> float:
    """Return the conformal quantile: the ceil((n + 1) level)-th smallest error, or beyond."""
    ordered = np.sort(errors)
    rank = int(np.ceil((len(ordered) + 1) * level))
    if rank <= len(ordered):
        return float(ordered[rank - 1])
    # Too few errors for this level: the largest one, widened in proportion.
    return float(ordered[-1] * rank / len(ordered))
