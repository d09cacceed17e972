"""What the runs can tell: by design, by the rank of the Jacobian, by the profile likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.effective.growth import Shape
from dashboard.analysis.effective.results import WorthStatus
from dashboard.analysis.effective.solver import (
    LOG_WORTH_MAX,
    Compositions,
    TargetRuns,
    evaluate,
    solve,
)

Statuses = list[WorthStatus | None]
"""One a worth; None for those fixed by definition, and for those still to be judged."""
Reasons = list[str | None]

_RANK_TOLERANCE = 1e-7
_SAME_SPAN = 1e-6
_MUCH = 4.0
"""A profile's upper end: a worth at which the most examples seen are this many times the own."""


def held_parameters(shape: Shape, data: Compositions, status: Statuses) -> NDArray[np.bool_]:
    """Return which parameters (P,) a fit holds."""
    unknown = np.array([one is WorthStatus.NOT_IDENTIFIED for one in status])
    return np.concatenate([shape.lower == shape.upper, data.fixed | unknown])


def count_free(shape: Shape, data: Compositions, status: Statuses) -> int:
    """Return the number of parameters that a fit moves."""
    return int((~held_parameters(shape, data, status)).sum())


def by_design(data: Compositions) -> tuple[Statuses, Reasons]:
    """Hold what the compositions can't separate; None in the place of a status means: go on.

    Other abilities are judged first: where they always come with the target's own examples they
    are held at nothing, and sources can then be told from own examples alone.
    """
    columns = np.concatenate([data.own, data.other.sum(axis=1), data.pool], axis=1)
    columns = columns / np.maximum(columns.max(axis=0), 1e-300)
    status: Statuses = [None] * data.n_worths
    reason: Reasons = [None] * data.n_worths
    others = range(data.n_sources, data.n_sources + data.n_others)
    rest = [i for i in range(data.n_worths) if i not in others and not data.fixed[i]]
    for judged in (others, rest):
        kept = [i for i in range(data.n_worths) if status[i] is None]
        rank = np.linalg.matrix_rank(columns[:, kept], tol=_SAME_SPAN)
        for index in judged:
            if not columns[:, index].any():
                status[index], reason[index] = WorthStatus.NOT_IDENTIFIED, "no run holds such data"
                continue
            without = columns[:, [i for i in kept if i != index]]
            if np.linalg.matrix_rank(without, tol=_SAME_SPAN) == rank:
                status[index] = WorthStatus.NOT_IDENTIFIED
                reason[index] = (
                    "no run varies this data apart from the rest; it takes single_ability, "
                    "leave_one_out or mixture runs"
                )
    return status, reason


def hold_all(
    data: Compositions, status: Statuses, reason: Reasons, why: str
) -> tuple[Statuses, Reasons]:
    """Hold every worth; what was not held before gets the reason `why`."""
    lost = WorthStatus.NOT_IDENTIFIED
    before = [one is lost for one in status]
    return (
        [None if fixed else lost for fixed in data.fixed],
        [
            None if fixed else old if held else why
            for fixed, held, old in zip(data.fixed, before, reason, strict=True)
        ],
    )


def by_rank(
    shape: Shape,
    u: FloatArray,
    runs: TargetRuns,
    status: Statuses,
    reason: Reasons,
) -> tuple[Statuses, Reasons]:
    """Hold worths along which the Jacobian has lost rank."""
    k = len(shape.lower)
    held = held_parameters(shape, runs.data, status)
    at = u.copy()
    # Where data of another ability hurts, ask what its help would look like.
    theta = slice(k + runs.data.n_sources, k + runs.data.n_sources + runs.data.n_others)
    at[theta] = np.where(held[theta], 0.0, np.maximum(at[theta], 0.05))
    _, gradient = evaluate(shape, runs.data, at[:, None])
    jacobian = gradient[~held, :, 0].T * np.sqrt(runs.weight)[:, None]
    length = np.linalg.norm(jacobian, axis=0)
    where = np.flatnonzero(~held)
    # Flat curves make every worth's column tiny beside the scores' noise of 1 unit.
    lost = set(where[length < 1e-6])
    _, singular, rows = np.linalg.svd(jacobian / np.maximum(length, 1e-300), full_matrices=True)
    full = np.zeros(len(where))
    full[: len(singular)] = singular
    for value, row in zip(full, rows, strict=True):
        if value < _RANK_TOLERANCE * full[0]:
            lost |= set(where[np.abs(row) > 1e-3])
    status, reason = list(status), list(reason)
    for index in lost:
        if index >= k:
            status[index - k] = WorthStatus.NOT_IDENTIFIED
            reason[index - k] = "the Jacobian has lost rank: several worths give the same scores"
    return status, reason


def by_profile(
    shape: Shape,
    u: FloatArray,
    runs: TargetRuns,
    status: Statuses,
    reason: Reasons,
    level: float,
) -> tuple[Statuses, Reasons, FloatArray]:
    """Refit with each worth held at extremes, and judge by how much worse that is.

    Returns
    -------
    status, reason : list, length n_worths
    p_values : ndarray, shape (n_worths,)
        Of theta = 0 (the other ability's data does nothing): the rise of the weighted squares at 0
        over their overdispersion, against F with 1 and the residual degrees of freedom. NaN for
        other worths and where theta is held.
    """
    from scipy.stats import chi2, f

    data, k = runs.data, len(shape.lower)
    held = held_parameters(shape, data, status)
    asked = [i for i in range(data.n_worths) if not held[k + i]]
    p_values = np.full(data.n_worths, np.nan)
    if not asked:
        return _settle(data, status), reason, p_values
    largest = _MUCH * np.maximum(data.own.sum(axis=1).max(), data.n_unit)
    most = np.maximum(data.other.sum(axis=1).max(axis=0), 1.0) if data.n_others else np.empty(0)
    start = np.repeat(u[:, None], 2 * len(asked), axis=1)
    fixed = np.repeat(held[:, None], 2 * len(asked), axis=1)
    for column, index in enumerate(asked):
        is_theta = data.n_sources <= index < data.n_sources + data.n_others
        ends = (-LOG_WORTH_MAX, LOG_WORTH_MAX)
        if is_theta:
            ends = (0.0, float(max(largest / most[index - data.n_sources], 2.0)))
        start[k + index, 2 * column : 2 * column + 2] = ends
        fixed[k + index, 2 * column : 2 * column + 2] = True
    y = np.repeat(runs.y[:, None], start.shape[1], axis=1)
    found = solve(shape, data, y, runs.weight, start, fixed)
    best = solve(shape, data, runs.y[:, None], runs.weight, u[:, None], held[:, None])
    rest = max(len(runs.y) - int((~held).sum()), 1)
    spread = max(1.0, float(best.cost[0]) / rest)
    threshold = float(chi2.ppf(level, 1)) * spread
    rise = found.cost - best.cost[0]
    status, reason = list(status), list(reason)
    for column, index in enumerate(asked):
        low_open, high_open = rise[2 * column : 2 * column + 2] < threshold
        is_theta = data.n_sources <= index < data.n_sources + data.n_others
        status[index], reason[index] = _verdict(bool(low_open), bool(high_open), is_theta)
        if is_theta:
            p_values[index] = f.sf(max(float(rise[2 * column]), 0.0) / spread, 1, rest)
    return _settle(data, status), reason, p_values


def _verdict(low_open: bool, high_open: bool, is_theta: bool) -> tuple[WorthStatus, str | None]:
    """Turn open ends of a profile into a status."""
    if low_open and high_open:
        return WorthStatus.NOT_IDENTIFIED, (
            "the profile likelihood is flat: from nothing to very much, any worth fits these runs"
        )
    if high_open:
        return WorthStatus.OPEN_ABOVE, "any larger worth fits as well: only a lower bound is known"
    if low_open and not is_theta:
        return WorthStatus.OPEN_BELOW, "next to nothing fits as well: only an upper bound is known"
    return WorthStatus.OK, None


def _settle(data: Compositions, status: Statuses) -> Statuses:
    """Leave None to what is fixed by definition only."""
    fixed = data.fixed
    return [None if f else one for f, one in zip(fixed, status, strict=True)]
