"""From a curve as given to the runs that are fitted: exclusions, volumes and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind, unit_of
from dashboard.analysis.results import FitStatus, ObservedPoints
from dashboard.analysis.settings import FitSettings

_ITEM_MEAN_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class FittedRuns:
    """The runs of one curve that are fitted, and how they group by volume.

    Attributes
    ----------
    n, score, stderr : ndarray, shape (P,)
        Volume, score and standard error (NaN if unknown) of each fitted run.
    denominator : ndarray, shape (P,)
        Binomial denominators (accuracies), 1 / stderr^2 (other scores with standard errors) or 1.
    weight : ndarray, shape (P,)
        What the fit uses: `denominator`, less for runs with run noise (`weigh_by_noise`).
    weight_known : bool
        Whether weights set the scale of the noise; otherwise it is estimated from residuals.
    is_base : ndarray of bool, shape (P,)
        Runs without run-level noise.
    seed : tuple of (int or None), length P
        Data seed of each run.
    items : ndarray, shape (P, m), or None
        Item scores, NaN where missing; None where items can't stand in for the score.
    volumes : ndarray, shape (U,)
        Distinct volumes, ascending.
    group : ndarray of int, shape (P,)
        Index into `volumes` of each run.
    """

    data: CurveData
    response: ResponseKind
    n: FloatArray
    score: FloatArray
    stderr: FloatArray
    denominator: FloatArray
    weight: FloatArray
    weight_known: bool
    is_base: NDArray[np.bool_]
    seed: tuple[int | None, ...]
    items: FloatArray | None
    volumes: FloatArray
    group: NDArray[np.intp]

    @property
    def n_seeds(self) -> int:
        """Most runs at one volume."""
        return int(np.bincount(self.group).max()) if self.group.size else 0

    @property
    def volume_weight(self) -> FloatArray:
        """Sum of weights at each volume, shape (U,)."""
        total = np.bincount(self.group, weights=self.weight, minlength=len(self.volumes))
        return total.astype(np.float64)

    def volume_means(self, scores: FloatArray) -> FloatArray:
        """Return weighted means by volume, (P, B) -> (U, B); of logs for losses."""
        share = np.zeros((len(self.volumes), len(self.weight)))
        share[self.group, np.arange(len(self.weight))] = (
            self.weight / self.volume_weight[self.group]
        )
        if self.response is ResponseKind.LOSS:
            return np.exp(share @ np.log(scores))
        return share @ scores


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Fitted runs, or why there are none to fit, and all points for drawing."""

    points: ObservedPoints
    response: ResponseKind
    runs: FittedRuns | None
    status: FitStatus
    reason: str | None


def prepare_curve(data: CurveData, settings: FitSettings) -> Prepared:
    """Decide which runs of a curve are fitted.

    Excluded, each with its reason: runs that the data call missing, runs without a score, runs
    beyond `settings.max_examples`, and the base model of a loss curve unless
    `settings.include_base` (zero-shot loss is off the law that fine-tuned losses follow).

    Returns
    -------
    Prepared
        With status `failed` for rows that contradict each other or scores outside the metric's
        range, `too_few_points` for fewer than two runs, `not_identified` where all runs have the
        same volume, else `ok`.
    """
    response = data.response
    excluded: list[str | None] = [
        _exclusion(data, response, settings, i) for i in range(len(data.n_examples))
    ]
    points = ObservedPoints(
        n_examples=data.n_examples,
        score=data.score,
        stderr=data.stderr,
        n_items=data.n_items,
        seed=data.seed,
        cell_id=data.cell_id,
        excluded=tuple(excluded),
    )

    def without_fit(status: FitStatus, reason: str) -> Prepared:
        return Prepared(points=points, response=response, runs=None, status=status, reason=reason)

    if data.invalid_reason is not None:
        return without_fit(FitStatus.FAILED, data.invalid_reason)
    used = np.array([reason is None for reason in excluded], dtype=bool)
    problem = _range_problem(data, response, used)
    if problem is not None:
        return without_fit(FitStatus.FAILED, problem)
    n_used = int(used.sum())
    if n_used < 2:
        return without_fit(
            FitStatus.TOO_FEW_POINTS,
            f"{n_used} of {len(used)} runs can be fitted{_main_reason(excluded)}; a curve needs at "
            "least two volumes.",
        )
    runs = _fitted_runs(data, response, used)
    if len(runs.volumes) < 2:
        return without_fit(
            FitStatus.NOT_IDENTIFIED,
            f"all {n_used} runs have {runs.volumes[0]:g} {unit_of(data.x_kind)}; "
            "growth needs different volumes.",
        )
    return Prepared(points=points, response=response, runs=runs, status=FitStatus.OK, reason=None)


def weigh_by_noise(runs: FittedRuns, run_stddev: float) -> FittedRuns:
    r"""Return runs weighted by the inverse of item and run variance together.

    A run with m items and run standard deviation sigma on the logit scale has variance
    p (1 - p) / m + sigma^2 (p (1 - p))^2, as if it had m / (1 + m sigma^2 p (1 - p)) items. The
    base model, which has no run noise, keeps its m and so anchors the curve. p is the volume's
    mean, half an item away from 0 and 1. Only for weights known as such.
    """
    if not runs.weight_known or run_stddev <= 0:
        return runs
    variance = np.full(len(runs.n), run_stddev**2)
    if runs.response is ResponseKind.ACCURACY:
        total = np.bincount(runs.group, weights=runs.denominator)
        right = np.bincount(runs.group, weights=runs.denominator * runs.score)
        p = ((right + 0.5) / (total + 1))[runs.group]
        variance = variance * p * (1 - p)
    variance[runs.is_base] = 0
    weight = runs.denominator / (1 + runs.denominator * variance)
    return replace(runs, weight=weight)


def _exclusion(
    data: CurveData, response: ResponseKind, settings: FitSettings, index: int
) -> str | None:
    """Return why a point is not fitted, or None."""
    if data.missing_reason[index] is not None:
        return data.missing_reason[index]
    if not np.isfinite(data.score[index]):
        return "the score is missing"
    if settings.max_examples is not None and data.n_examples[index] > settings.max_examples:
        return f"beyond --max-examples {settings.max_examples:g}"
    if response is ResponseKind.LOSS and data.n_examples[index] == 0 and not settings.include_base:
        return "the base model is not part of a loss curve (--include-base adds it)"
    return None


def _main_reason(excluded: Sequence[str | None]) -> str:
    """Return why most points are left out, in brackets."""
    reasons = Counter(reason for reason in excluded if reason is not None)
    return f" ({reasons.most_common(1)[0][0]})" if reasons else ""


def _range_problem(data: CurveData, response: ResponseKind, used: NDArray[np.bool_]) -> str | None:
    """Return one sentence if a score lies outside its metric's range."""
    score = np.where(used, data.score, 0.5)
    if response is ResponseKind.LOSS:
        bad, rule = score <= 0, "a loss must be positive"
    elif response is ResponseKind.ACCURACY:
        bad, rule = (score < 0) | (score > 1), "an accuracy lies in [0, 1]"
    else:
        return None
    if not bad.any():
        return None
    first = int(np.flatnonzero(bad)[0])
    return f"cell {data.cell_id[first]} has {data.metric} = {score[first]:g}; {rule}."


def _fitted_runs(data: CurveData, response: ResponseKind, used: NDArray[np.bool_]) -> FittedRuns:
    """Collect the used points, ordered by volume."""
    keep = np.flatnonzero(used)
    keep = keep[np.argsort(data.n_examples[keep], kind="stable")]
    n = data.n_examples[keep]
    volumes, group = np.unique(n, return_inverse=True)
    score = np.array(data.score[keep])
    stderr = np.array(data.stderr[keep])
    if response is ResponseKind.SCORE:
        stderr = _borrow_spread(stderr, data.n_items[keep])
    items = _usable_items(data, keep)
    weight, known = run_weights(response, score, stderr, data.n_items[keep], items)
    return FittedRuns(
        data=data,
        response=response,
        n=n,
        score=score,
        stderr=stderr,
        denominator=weight,
        weight=weight,
        weight_known=known,
        is_base=data.is_base[keep],
        seed=tuple(data.seed[index] for index in keep),
        items=items,
        volumes=volumes,
        group=group.astype(np.intp),
    )


def _borrow_spread(stderr: FloatArray, n_items: FloatArray) -> FloatArray:
    """Replace standard errors of 0 by what the curve's other runs have at that number of items.

    A judge that gives every one of ten replies the same mark has not measured without error.
    """
    known = (stderr > 0) & (n_items > 0)
    if not known.any():
        return stderr
    spread = float(np.median(stderr[known] * np.sqrt(n_items[known])))
    equal = (stderr == 0) & (n_items > 0)
    return np.where(equal, spread / np.sqrt(np.where(equal, n_items, 1.0)), stderr)


def _usable_items(data: CurveData, keep: NDArray[np.intp]) -> FloatArray | None:
    """Return item scores if every run has some and their mean is the score."""
    if data.item_scores is None:
        return None
    items = data.item_scores[keep]
    present = np.isfinite(items)
    if items.shape[1] < 2 or (present.sum(axis=1) < 2).any():
        return None
    mean = np.where(present, items, 0).sum(axis=1) / present.sum(axis=1)
    if np.abs(mean - data.score[keep]).max() > _ITEM_MEAN_TOLERANCE:
        # A corpus-level metric, say F1: resampling item means would bootstrap something else.
        return None
    return items


def run_weights(
    response: ResponseKind,
    score: FloatArray,
    stderr: FloatArray,
    n_items: FloatArray,
    items: FloatArray | None,
) -> tuple[FloatArray, bool]:
    """Return weights of the runs and whether they set the scale of the noise."""
    if response is ResponseKind.LOSS:
        return np.ones(len(score)), False
    if response is ResponseKind.SCORE:
        usable = np.isfinite(stderr).all() and bool((stderr > 0).all())
        return (1 / stderr**2, True) if usable else (np.ones(len(score)), False)
    if items is not None:
        weight = np.isfinite(items).sum(axis=1).astype(float)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            implied = score * (1 - score) / stderr**2
        weight = np.where(n_items > 0, n_items, implied)
        weight = np.where(np.isfinite(weight) & (weight > 0), weight, np.nan)
    if not np.isfinite(weight).any():
        return np.ones(len(score)), False
    return np.where(np.isfinite(weight), weight, np.nanmedian(weight)), True
