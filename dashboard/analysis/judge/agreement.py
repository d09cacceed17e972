"""Agreement between voters on the same comparisons: percent, and beyond chance (Cohen's kappa)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.pairs import TIE
from dashboard.analysis.judge.shares import Share, clustered_share, clustered_stderr, t_interval
from dashboard.analysis.judge.votes import IntArray
from dashboard.analysis.results import Interval


class Weighting(StrEnum):
    """How far two different verdicts still agree, for kappa."""

    NONE = "none"
    """Not at all."""
    LINEAR = "linear"
    """1 - |x - y| / range: a tie agrees by half with a win."""
    QUADRATIC = "quadratic"
    """1 - (x - y)^2 / range^2, for ratings on a scale."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two voters agree on what both judged.

    Attributes
    ----------
    n, n_items : int
        Verdicts compared and the items they lie on.
    agreement : Share
        Share of equal verdicts, a tie being a verdict.
    kappa : Interval or None
        Agreement beyond chance; None, with `kappa_reason`, where both always give one and the
        same verdict, or with a single item.
    agreement_decided : Share or None
        Share of equal verdicts where neither called a tie; None if there are none, or for ratings.
    weighting : Weighting
        Of kappa.
    """

    n: int
    n_items: int
    agreement: Share
    kappa: Interval | None
    kappa_reason: str | None
    agreement_decided: Share | None
    weighting: Weighting


def measure_agreement(
    first: FloatArray,
    second: FloatArray,
    item: IntArray,
    *,
    weighting: Weighting = Weighting.NONE,
    tie: float | None = TIE,
    level: float = 0.95,
) -> Agreement | None:
    r"""Return percent agreement and Cohen's kappa with intervals clustered by item.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the mean weight of the pairs of verdicts and p_e its
    mean if both voters kept their shares of verdicts and drew independently. The interval is the
    delta method's, Student's t at n_items - 1 degrees of freedom.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Verdicts or ratings of both voters.
    item : ndarray, shape (n,), int
        Item of each.
    weighting : Weighting
        Of kappa; percent agreement always counts equal verdicts.
    tie : float or None
        The verdict that is a tie; None for ratings.
    level : float
        Level of the intervals.

    Returns
    -------
    Agreement or None
        None if they have nothing in common.

    References
    ----------
    Cohen (1960), Educational and Psychological Measurement 20; Fleiss, Cohen and Everitt (1969),
    Psychological Bulletin 72, for the standard error, here summed over items.
    """
    if not len(first):
        return None
    equal = (first == second).astype(float)
    decided = np.zeros(len(first), dtype=bool)
    if tie is not None:
        decided = (first != tie) & (second != tie)
    kappa, reason = _kappa(first, second, item, weighting, level)
    agreement = clustered_share(equal, item, level)
    return Agreement(
        n=len(first),
        n_items=agreement.n_items,
        agreement=agreement,
        kappa=kappa,
        kappa_reason=reason,
        agreement_decided=(
            clustered_share(equal[decided], item[decided], level) if decided.any() else None
        ),
        weighting=weighting,
    )


def _kappa(
    first: FloatArray, second: FloatArray, item: IntArray, weighting: Weighting, level: float
) -> tuple[Interval | None, str | None]:
    """Return kappa with its interval, or why there is none."""
    values, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    if len(values) == 1:
        return None, "both voters always give the same verdict, so chance explains all agreement"
    a, b = codes[: len(first)], codes[len(first) :]
    distance = np.abs(values[:, None] - values) / np.ptp(values)
    power = {Weighting.LINEAR: 1, Weighting.QUADRATIC: 2}
    weight = (
        (distance == 0).astype(float)
        if weighting is Weighting.NONE
        else 1 - distance ** power[weighting]
    )
    n = len(first)
    share_a = np.bincount(a, minlength=len(values)) / n
    share_b = np.bincount(b, minlength=len(values)) / n
    observed = weight[a, b]
    p_o, p_e = float(observed.mean()), float(share_a @ weight @ share_b)
    kappa = (p_o - p_e) / (1 - p_e)
    by_chance = (weight @ share_b)[a] + (weight.T @ share_a)[b] - 2 * p_e
    influence = ((observed - p_o) - (1 - kappa) * by_chance) / (n * (1 - p_e))
    stderr, n_items = clustered_stderr(influence, item)
    if stderr is None:
        return None, "a single item says nothing about agreement beyond chance"
    interval = t_interval(kappa, stderr, n_items - 1, level)
    return replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0)), None
