"""Marks that a rubric gave to single answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.shares import clustered_share
from dashboard.analysis.judge.votes import (
    HIGHEST_MARK,
    LOWEST_MARK,
    BoolArray,
    IntArray,
    Votes,
    distinct,
)
from dashboard.analysis.results import Interval


@dataclass(frozen=True, kw_only=True)
class Marks:
    """One entry per item x model x voter, repeated ratings averaged; arrays of shape (n,)."""

    item: IntArray
    model: IntArray
    voter: IntArray
    mark: FloatArray

    def select(self, mask: BoolArray) -> Marks:
        """Return the marks under `mask`."""
        return Marks(
            item=self.item[mask],
            model=self.model[mask],
            voter=self.voter[mask],
            mark=self.mark[mask],
        )


@dataclass(frozen=True, kw_only=True)
class MeanMark:
    """Mean mark of a model over items, each item's voters averaged first.

    `stderr` and `interval` are None with a single item. The interval is that of a share
    (`dashboard.analysis.judge.shares.share_interval`) on the scale of 1 to 10, whose ends it can't
    pass, as Student's t would where most marks are the highest.
    """

    estimate: float
    stderr: float | None
    interval: Interval | None
    n_items: int


def collect_marks(votes: Votes) -> Marks:
    """Return the ratings of single answers; failed ones are left out."""
    use = ~votes.pairwise & ~votes.failed
    item, model, voter = votes.item[use], votes.model_a[use], votes.voter[use]
    unit, inverse = distinct(item, model, voter)
    return Marks(
        item=item[unit],
        model=model[unit],
        voter=voter[unit],
        mark=np.bincount(inverse, weights=votes.rating[use]) / np.bincount(inverse),
    )


def mean_mark(marks: Marks, model: int, level: float = 0.95) -> MeanMark | None:
    """Return the mean mark of a model; None if it has none."""
    own = marks.select(marks.model == model)
    if not len(own.mark):
        return None
    items, inverse = np.unique(own.item, return_inverse=True)
    per_item = np.bincount(inverse, weights=own.mark) / np.bincount(inverse)
    width = HIGHEST_MARK - LOWEST_MARK
    share = clustered_share((per_item - LOWEST_MARK) / width, items, level)
    mean, stderr = float(per_item.mean()), share.stderr
    interval = replace(
        share.interval,
        estimate=mean,
        low=min(LOWEST_MARK + width * share.interval.low, mean),
        high=max(LOWEST_MARK + width * share.interval.high, mean),
    )
    return MeanMark(
        estimate=mean,
        stderr=None if stderr is None else width * stderr,
        interval=None if stderr is None else interval,
        n_items=share.n_items,
    )
