"""Win rates: the share of comparisons that a model wins, ties as halves."""

from __future__ import annotations

import numpy as np

from dashboard.analysis.judge.pairs import TIE, Comparisons
from dashboard.analysis.judge.shares import Share, clustered_share


def win_rate(
    comparisons: Comparisons, model: int, *, reference: int | None = None, level: float = 0.95
) -> Share | None:
    """Return the win rate of a model with an interval over items.

    Parameters
    ----------
    comparisons : Comparisons
        Verdicts of one voter or of a jury.
    model : int
        Code of the model.
    reference : int, optional
        Only comparisons against this model; by default against all that it met, each comparison
        counting once.
    level : float
        Level of the interval.

    Returns
    -------
    Share or None
        None if there is no such comparison. At 0% and 100% the standard error is 0 and the
        interval that of as many coin flips as there are items.
    """
    held, sign = comparisons.against(model, reference)
    if not held.any() or model == reference:
        return None
    values = TIE + sign * (comparisons.share[held] - TIE)
    # Halves of doubles: 1 - share must not turn a win into 0.9999.
    return clustered_share(np.clip(values, 0, 1), comparisons.item[held], level)
