"""Three biases of a judge, each with interval and test: position, length, its own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.pairs import TIE, Comparisons
from dashboard.analysis.judge.shares import (
    clustered_stderr,
    share_interval,
    t_interval,
    t_test,
)
from dashboard.analysis.judge.votes import PEOPLE, IntArray, Votes, distinct
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.results import Interval

MIN_ITEMS = 5
"""A bias on fewer items is not tested."""


class BiasKind(StrEnum):
    """What a judge may be biased by."""

    POSITION = "position"
    """Share of the answer shown first over both orders; 0.5 without bias."""
    LENGTH = "length"
    """Change of the preference per standard deviation of length difference; 0 without bias."""
    SELF_PREFERENCE = "self_preference"
    """Judge's share for its own answers minus the other voters' share for them; 0 without bias."""


@dataclass(frozen=True, kw_only=True)
class Bias:
    """One row of the bias table: one voter and one kind of bias.

    Attributes
    ----------
    estimate : Interval or None
        None, with `reason`, where the votes can't show this bias.
    unbiased : float
        The value without bias.
    p_value, q_value : float or None
        Two-sided t test over items, and its Benjamini-Hochberg adjustment over the `n_tests` rows
        that could be tested.
    n, n_items : int
        Comparisons used and the items they lie on.
    """

    voter: str
    kind: BiasKind
    estimate: Interval | None
    unbiased: float
    p_value: float | None
    q_value: float | None
    n_tests: int
    n: int
    n_items: int
    reason: str | None


def bias_table(comparisons: Comparisons, votes: Votes, level: float = 0.95) -> tuple[Bias, ...]:
    """Return a row per judge and kind of bias, and rows of all people together.

    Parameters
    ----------
    comparisons : Comparisons
        Verdicts by voter (no jury).
    votes : Votes
        The votes they come from, for names. A judge of the same name as a model judges its own
        answers.
    level : float
        Level of the intervals (each on its own, not adjusted).

    Notes
    -----
    Length: better answers may be longer, so a slope is a bias only as far as people do not share
    it; compare with their rows. It is fitted within pairs of models, so that a model which is
    better and wordier does not make one. Self-preference: a judge that votes at random is pulled
    towards one half on every model, its own included.
    """
    by_person = votes.is_person[comparisons.voter]
    rows: list[Bias] = []
    for judge in np.unique(comparisons.voter[~by_person]):
        name = votes.voters[judge]
        cast = comparisons.select(comparisons.voter == judge)
        rows.append(_row(name, BiasKind.POSITION, _position(cast), level))
        rows.append(_row(name, BiasKind.LENGTH, _length(cast), level))
        own = _own_answers(comparisons, int(judge), votes)
        rows.append(_row(name, BiasKind.SELF_PREFERENCE, own, level))
    if by_person.any():
        cast = comparisons.select(by_person)
        rows.append(_row(PEOPLE, BiasKind.POSITION, _position(cast), level))
        rows.append(_row(PEOPLE, BiasKind.LENGTH, _length(cast), level))
    tested = [index for index, row in enumerate(rows) if row.p_value is not None]
    if tested:
        p_values = np.array([rows[index].p_value for index in tested], dtype=float)
        for index, q_value in zip(tested, benjamini_hochberg(p_values), strict=True):
            rows[index] = replace(rows[index], q_value=float(q_value), n_tests=len(tested))
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Estimate less its unbiased value, what each comparison adds to its error, or why none."""

    excess: float = np.nan
    influence: FloatArray | None = None
    item: IntArray | None = None
    reason: str | None = None


def _row(voter: str, kind: BiasKind, measured: _Measured, level: float) -> Bias:
    """Turn a measurement into a row of the table."""
    unbiased = TIE if kind is BiasKind.POSITION else 0.0
    estimate, p_value, reason, n, n_items = None, None, measured.reason, 0, 0
    if measured.influence is not None and measured.item is not None:
        n = len(measured.influence)
        stderr, n_items = clustered_stderr(measured.influence, measured.item)
        if stderr is None or n_items < MIN_ITEMS:
            reason = f"too few items ({n_items}); a bias needs {MIN_ITEMS} to be tested"
        else:
            estimate = _interval(kind, measured.excess, stderr, n_items, level)
            p_value = t_test(measured.excess, stderr, n_items)
    return Bias(
        voter=voter,
        kind=kind,
        estimate=estimate,
        unbiased=unbiased,
        p_value=p_value,
        q_value=None,
        n_tests=0,
        n=n,
        n_items=n_items,
        reason=reason,
    )


def _interval(kind: BiasKind, excess: float, stderr: float, n_items: int, level: float) -> Interval:
    """Return the interval of a bias; that of a share where the bias is one."""
    if kind is BiasKind.LENGTH:
        return t_interval(excess, stderr, n_items - 1, level)
    if kind is BiasKind.POSITION:
        return share_interval(TIE + excess, stderr, n_items, level)
    # A difference of shares lies in [-1, 1].
    half = share_interval((1 + excess) / 2, stderr / 2, n_items, level)
    return replace(half, estimate=excess, low=2 * half.low - 1, high=2 * half.high - 1)


def _position(cast: Comparisons) -> _Measured:
    """Return how far the answer shown first wins more often, over pairs in both orders."""
    c = cast.select(np.isfinite(cast.first_share))
    if not len(c):
        return _Measured(reason="no pair is known to be shown in both orders")
    return _mean(c.first_share - TIE, c.item)


def _length(cast: Comparisons) -> _Measured:
    """Return the slope of the preference on the length difference, within pairs of models."""
    c = cast.select(np.isfinite(cast.length_difference))
    if not len(c):
        return _Measured(reason="the votes hold no answer lengths")
    _, group = distinct(c.left, c.right)
    x, y = _within(c.length_difference, group), _within(c.share, group)
    # As many degrees of freedom go into the pairs' means as there are pairs.
    df = len(c) - int(group.max()) - 2
    if df < 1 or np.abs(x).max() <= 1e-9 * (1 + np.abs(c.length_difference).max()):
        return _Measured(reason="length differences do not vary within a pair of models")
    x = x / np.sqrt((x @ x) / (df + 1))
    slope = float((x @ y) / (x @ x))
    # Few items with large differences pull the slope towards themselves and hide their error;
    # dividing by 1 - leverage gives what the slope loses without the item (the jackknife).
    _, item = np.unique(c.item, return_inverse=True)
    leverage = np.bincount(item, weights=x**2)[item] / (x @ x)
    influence = x * (y - slope * x) / ((x @ x) * np.maximum(1 - leverage, 1e-9))
    influence *= np.sqrt((len(c) - 1) / df)
    return _Measured(excess=slope, influence=influence, item=c.item)


def _own_answers(comparisons: Comparisons, judge: int, votes: Votes) -> _Measured:
    """Return how much more a judge likes its own answers than the other voters do."""
    if votes.voters[judge] not in votes.models:
        return _Measured(reason="the judge is none of the models compared")
    held, sign = comparisons.against(votes.models.index(votes.voters[judge]))
    c = comparisons.select(held)
    share = TIE + sign * (c.share - TIE)
    _, unit = distinct(c.item, c.left, c.right)
    others = c.voter != judge
    n_others = np.bincount(unit[others], minlength=len(c))
    total = np.bincount(unit[others], weights=share[others], minlength=len(c))
    mine = ~others & (n_others[unit] > 0)
    if not mine.any():
        return _Measured(reason="no other voter judged the pairs that hold its own answers")
    at = unit[mine]
    return _mean(share[mine] - total[at] / n_others[at], c.item[mine])


def _mean(values: FloatArray, item: IntArray) -> _Measured:
    """Return a mean as a measurement."""
    mean = float(values.mean())
    return _Measured(excess=mean, influence=(values - mean) / len(values), item=item)


def _within(values: FloatArray, group: IntArray) -> FloatArray:
    """Return values less the mean of their group."""
    mean = np.bincount(group, weights=values) / np.bincount(group)
    return np.asarray(values - mean[group])
