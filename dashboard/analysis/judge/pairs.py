"""From votes to comparisons: two orders of a pair become one verdict, several judges a jury."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.votes import NONE, BoolArray, IntArray, Votes, distinct

TIE = 0.5


class JuryRule(StrEnum):
    """How the verdicts of several voters on one pair become one."""

    MEAN = "mean"
    """Mean of the shares: a split jury is in between, and graded preferences keep their grade."""
    MAJORITY = "majority"
    """The answer that more voters prefer wins; as many for either (or all ties) is a tie."""


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """One entry per item x pair of models x voter; arrays of shape (n_comparisons,).

    Models of a pair are ordered by name (`left` before `right`), whichever way they were listed.

    Attributes
    ----------
    item, left, right, voter : ndarray of int
        Codes of `Votes`; `voter` is -1 for a jury.
    share : ndarray, in [0, 1]
        Preference for `left`: 1 = left preferred, 0.5 = tie, graded between.
    both_orders : ndarray of bool
        Whether both answers were shown first once.
    inconsistent : ndarray of bool
        Whether the verdict changed with the order; such a comparison is a tie.
    first_share : ndarray, in [0, 1]
        Share of the answer shown first over both orders, 0.5 without an effect of the order; NaN
        unless both orders are known.
    order : ndarray, in [-1, 1]
        1 = left shown first, -1 = right, 0 = balanced or unknown.
    listed : ndarray of int
        1 = left was listed as model_a, -1 = as model_b, 0 = both.
    length_difference : ndarray
        Length of left's answer minus right's; NaN if unknown.
    difficulty : ndarray
        Difficulty of the item; NaN if unknown.
    """

    item: IntArray
    left: IntArray
    right: IntArray
    voter: IntArray
    share: FloatArray
    both_orders: BoolArray
    inconsistent: BoolArray
    first_share: FloatArray
    order: FloatArray
    listed: IntArray
    length_difference: FloatArray
    difficulty: FloatArray

    def __len__(self) -> int:
        """Return the number of comparisons."""
        return len(self.item)

    def select(self, mask: BoolArray) -> Comparisons:
        """Return the comparisons under `mask`."""
        return Comparisons(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})

    def against(self, model: int, reference: int | None = None) -> tuple[BoolArray, FloatArray]:
        """Return which comparisons hold `model` (and `reference`), and for these its side.

        The side is +1 where the model is left and -1 where it is right.
        """
        held = (self.left == model) | (self.right == model)
        if reference is not None:
            held &= (self.left == reference) | (self.right == reference)
        return held, np.where(self.left[held] == model, 1.0, -1.0)


def combine_orders(votes: Votes) -> Comparisons:
    r"""Combine the votes of one voter on one item and pair of models.

    With m_1 and m_2 the mean shares of `left` when it was shown first and second, the verdicts
    agree if sign(m_1 - 1/2) = sign(m_2 - 1/2); then share = (m_1 + m_2) / 2, else 1/2. A vote in
    one order only counts as it stands, and repeated votes in one order are averaged. Where no
    vote of a pair says what was shown first and the models were listed both ways, the listing is
    taken as the order.

    Failed votes, ratings of one answer, and votes on two answers of the same model are left out.

    Notes
    -----
    A win in one order and a tie in the other is a verdict that changed with the order as well, so
    it is a tie (the rule of MT-bench: Zheng et al. 2023, arXiv 2306.05685, section 3.4).
    """
    use = votes.pairwise & ~votes.failed & (votes.model_a != votes.model_b)
    a, b = votes.model_a[use], votes.model_b[use]
    left, right = np.minimum(a, b), np.maximum(a, b)
    a_is_left = a == left
    unit, inverse = distinct(votes.item[use], left, right, votes.voter[use])
    n = len(unit)
    share = np.where(a_is_left, 2 - votes.preference[use], votes.preference[use] - 1)

    # Slot 0: left shown first, 1: right shown first, 2: unknown.
    shown = votes.first[use]
    slot = np.where(shown == NONE, 2, np.where((shown == 0) == a_is_left, 0, 1))
    by_listing = np.where(a_is_left, 0, 1)
    n_listed = _spread(inverse, by_listing, n, 2)
    n_unknown = np.bincount(inverse[slot == 2], minlength=n)
    mirrored = (n_listed > 0).all(axis=1) & (n_unknown == n_listed.sum(axis=1))
    slot = np.where(mirrored[inverse], by_listing, slot)

    count = _spread(inverse, slot, n, 3)
    total = _spread(inverse, slot, n, 3, share)
    both = (count[:, 0] > 0) & (count[:, 1] > 0)
    mean = total / np.maximum(count, 1)
    agree = np.sign(mean[:, 0] - TIE) == np.sign(mean[:, 1] - TIE)
    one_order = total.sum(axis=1) / count.sum(axis=1)
    verdict = np.where(both, np.where(agree, (mean[:, 0] + mean[:, 1]) / 2, TIE), one_order)
    known_first = (count[:, :2] > 0).astype(float)

    length = np.where(a_is_left, 1.0, -1.0) * (votes.len_a[use] - votes.len_b[use])
    return Comparisons(
        item=votes.item[use][unit],
        left=left[unit],
        right=right[unit],
        voter=votes.voter[use][unit],
        share=verdict,
        both_orders=both,
        inconsistent=both & ~agree,
        first_share=np.where(both & ~mirrored, TIE + (mean[:, 0] - mean[:, 1]) / 2, np.nan),
        order=np.where(mirrored, 0.0, known_first[:, 0] - known_first[:, 1]),
        listed=np.sign(n_listed[:, 0]) - np.sign(n_listed[:, 1]),
        length_difference=_known_mean(inverse, length, n),
        difficulty=_known_mean(inverse, votes.difficulty[use], n),
    )


def form_jury(comparisons: Comparisons, rule: JuryRule = JuryRule.MEAN) -> Comparisons:
    """Combine all voters on an item and pair of models into one verdict.

    Whoever voted is the jury of that item: its size may differ between items. With one voter the
    comparisons come back as they are, apart from `voter`.
    """
    c = comparisons
    unit, inverse = distinct(c.item, c.left, c.right)
    n = len(unit)
    if rule is JuryRule.MEAN:
        share = _known_mean(inverse, c.share, n)
    else:
        for_left = np.bincount(inverse, weights=np.sign(c.share - TIE), minlength=n)
        share = TIE + np.sign(for_left) / 2
    return Comparisons(
        item=c.item[unit],
        left=c.left[unit],
        right=c.right[unit],
        voter=np.full(n, NONE),
        share=share,
        both_orders=np.bincount(inverse, weights=c.both_orders, minlength=n) > 0,
        inconsistent=np.bincount(inverse, weights=c.inconsistent, minlength=n) > 0,
        first_share=_known_mean(inverse, c.first_share, n),
        order=_known_mean(inverse, c.order, n),
        listed=np.sign(np.bincount(inverse, weights=c.listed, minlength=n)).astype(np.int64),
        length_difference=_known_mean(inverse, c.length_difference, n),
        difficulty=_known_mean(inverse, c.difficulty, n),
    )


def _spread(
    row: IntArray, column: IntArray, n: int, width: int, weights: FloatArray | None = None
) -> FloatArray:
    """Return counts (or sums of weights) by row and column, shape (n, width)."""
    flat = np.bincount(row * width + column, weights=weights, minlength=n * width)
    return flat.reshape(n, width).astype(np.float64)


def _known_mean(group: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Return the mean of the known values of each group, NaN where none is known."""
    known = np.isfinite(values)
    total = np.bincount(group[known], weights=values[known], minlength=n)
    count = np.bincount(group[known], minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
