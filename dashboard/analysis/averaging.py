r"""Choosing among families inside the observed range: QAICc at run level, and averaging.

With n runs, k free parameters and K = k + 1 (the overdispersion, or residual variance, counts),

- known noise scale (accuracies): QAICc = D / c + 2 K + 2 K (K + 1) / (n - K - 1), D the deviance
  over runs and c = max(1, X^2 / (n - k)) the Pearson overdispersion of the largest family;
- unknown noise scale (losses): n log(RSS / n) in place of D / c.

where n in the last term is the run noise's degrees of freedom if the study's pool has more than
the curve has runs: the term pays for estimating the noise scale, which then is not estimated from
this curve. (Charging a five-volume, two-seed curve at n = 9 picks three-parameter curves where
four are needed, and simulated intervals for steep curves then cover 90% instead of 95%.)

The constant is fitted and reported, and the test is against it, but it is not averaged in: mixed
into the curve it pulls small gains towards 0 by more than the interval admits (in simulations the
interval of a flat ability was 0.4 points wide where runs differ by 5).

Families with n - K - 1 < 1 are left out; where that leaves none, as with three or four runs, the
straight line in log volume is used alone, and what it can't show is said. Weights are
proportional to exp(-QAICc / 2) and are computed anew in every replicate; the curve shown is the
weighted mean of the families.

References
----------
.. [1] Burnham, Anderson, "Model selection and multimodel inference" (2002), sections 2.4, 2.5, 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.engine import (
    REPLICATE,
    fit_batch,
    saturated_cost,
)
from dashboard.analysis.families import FAMILIES, Constant, Family, LogLinear
from dashboard.analysis.observed import describe, fit_observed, scatter
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.results import FamilyFit, FitStatus
from dashboard.analysis.seed_noise import correlate, estimate_decay, run_correlation

_MIN_VOLUMES = 3
"""A straight line through two volumes fits whatever they are."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One family fitted to a curve, with what replicates need of it.

    `averaged` says whether it takes part in the averaged curve.
    """

    family: Family
    u: FloatArray
    fit: FamilyFit
    averaged: bool


@dataclass(frozen=True, kw_only=True)
class CurveModel:
    """All families of one curve, the averaged ones' weights and the noise scale.

    Attributes
    ----------
    overdispersion : float or None
        Pearson overdispersion, floored at 1; None where the noise scale is not known.
    residual_stddev, residual_df : float
        Scatter of runs around the best family (log scale for losses) and its df.
    residual_decay : float
        How this scatter fades between volumes of one seed (`seed_noise`); infinite where runs
        look independent and where items or standard errors tell the noise.
    """

    members: tuple[Member, ...]
    overdispersion: float | None
    residual_stddev: float
    residual_df: float
    residual_decay: float

    @property
    def averaged(self) -> list[Member]:
        """Members of the averaged curve."""
        return [member for member in self.members if member.averaged]

    @property
    def grows(self) -> bool:
        """Whether any family besides the constant is in the average."""
        return any(not isinstance(member.family, Constant) for member in self.averaged)

    def curve(self, n: FloatArray) -> FloatArray:
        """Return the averaged curve at volumes `n`, shape (len(n),)."""
        total = np.zeros(len(n))
        for member in self.averaged:
            total += member.fit.weight * member.family.predict(member.u[:, None], n)[:, 0]
        return total


def fit_families(
    runs: FittedRuns, names: Sequence[str] | None, noise_df: float = 0.0
) -> CurveModel:
    """Fit every suitable family to the observed runs.

    Parameters
    ----------
    names : sequence of str or None
        Families asked for (unknown ones are refused earlier); None means all that suit.
    noise_df : float
        Degrees of freedom of the run noise behind the weights, 0 without.

    Notes
    -----
    log_linear's floor is fixed at 0 where the runs are too few to estimate it. A single family
    asked for by name is used whether or not QAICc is defined for it.
    """
    n_runs = len(runs.score)
    y = runs.volume_means(runs.score[:, None])
    within = _within_cost(runs, runs.score[:, None])
    fitted: list[tuple[Family, FloatArray, float, FitStatus, str | None]] = []
    for family in suitable_families(runs, names):
        fitted.append((family, *fit_observed(family, runs, y, within)))
    forced = names is not None and len(set(names)) == 1
    usable = [
        status in (FitStatus.OK, FitStatus.AT_BOUND, FitStatus.NOT_IDENTIFIED)
        and bool(np.isfinite(cost))
        and (forced or n_runs - family.n_free - 2 >= 1)
        and (forced or not isinstance(family, Constant))
        for family, _, cost, status, _ in fitted
    ]
    if not any(usable) and len(runs.volumes) >= _MIN_VOLUMES:
        usable = [
            isinstance(family, LogLinear) and status in (FitStatus.OK, FitStatus.AT_BOUND)
            for family, _, _, status, _ in fitted
        ]
    richest = _richest([item for item, use in zip(fitted, usable, strict=True) if use])
    overdispersion: float | None = None
    if runs.weight_known:
        overdispersion = 1.0
        if richest is not None and n_runs > richest[0].n_free:
            statistic = pearson(runs, richest[0], richest[1][:, None], runs.score[:, None], y)
            overdispersion = max(1.0, float(statistic[0]) / (n_runs - richest[0].n_free))
    scores = [
        float(
            criterion(
                np.array([cost]),
                n_runs,
                family.n_free,
                None if overdispersion is None else np.array([overdispersion]),
                noise_df,
            )[0]
        )
        if n_runs - family.n_free - 2 >= 1 and np.isfinite(cost)
        else None
        for family, _, cost, _, _ in fitted
    ]
    weights = _observed_weights(scores, usable)
    best = int(np.argmax(weights)) if any(usable) else None
    residual_stddev, residual_df = 0.0, 1.0
    decay = np.inf if _noise_is_told(runs) else estimate_decay(runs)
    if best is not None:
        residual_stddev, residual_df = scatter(
            runs, fitted[best][0], fitted[best][1], run_correlation(runs, decay)
        )
    members = tuple(
        Member(
            family=family,
            u=u,
            averaged=bool(use),
            fit=describe(
                runs, family, u, cost, status, reason, score, float(weight), overdispersion
            ),
        )
        for (family, u, cost, status, reason), use, score, weight in zip(
            fitted, usable, scores, weights, strict=True
        )
    )
    return CurveModel(
        members=members,
        overdispersion=overdispersion,
        residual_stddev=residual_stddev,
        residual_df=residual_df,
        residual_decay=decay,
    )


def _noise_is_told(runs: FittedRuns) -> bool:
    """Say whether items or standard errors tell the noise, which otherwise is residual."""
    given = bool(np.isfinite(runs.stderr).all() and (runs.stderr > 0).any())
    return runs.items is not None or runs.weight_known or given


def _carry_seeds(runs: FittedRuns, model: CurveModel, scores: FloatArray) -> FloatArray:
    """Give residual noise, drawn independently around the curve, what seeds carry."""
    if not np.isfinite(model.residual_decay) or not model.averaged:
        return scores
    fitted = model.curve(runs.volumes)[runs.group][:, None]
    if runs.response is ResponseKind.LOSS:
        return fitted * np.exp(correlate(runs, model.residual_decay, np.log(scores / fitted)))
    carried = fitted + correlate(runs, model.residual_decay, scores - fitted)
    return np.clip(carried, 0, 1) if runs.response is ResponseKind.ACCURACY else carried


def suitable_families(runs: FittedRuns, names: Sequence[str] | None) -> list[Family]:
    """Return the families that suit a curve's response, on its volumes."""
    families: list[Family] = []
    for name, kind in FAMILIES.items():
        if names is not None and name not in names:
            continue
        if runs.response not in kind.responses:
            continue
        if kind is LogLinear:
            chance = runs.data.chance_level if runs.data.higher_is_better else None
            few = len(runs.score) - 5 < 1 or len(runs.volumes) < 3
            families.append(LogLinear(runs.volumes, runs.response, chance, fixed_floor=few))
        else:
            families.append(kind(runs.volumes, runs.response, runs.data.chance_level))
    return families


@dataclass(frozen=True, kw_only=True)
class Refits:
    """Every averaged family refitted to B replicates.

    Attributes
    ----------
    members : tuple of (Family, ndarray)
        Families and their optima, shape (k, B).
    weight : ndarray, shape (F, B)
        Weights anew in every replicate; they sum to 1 over the families.
    failures : float
        Share of fits that hit the iteration cap; their best point is used.
    """

    members: tuple[tuple[Family, FloatArray], ...]
    weight: FloatArray
    failures: float

    def curve(self, n: FloatArray) -> FloatArray:
        """Return the averaged curves at volumes `n`, shape (len(n), B)."""
        total = np.zeros((len(n), self.weight.shape[1]))
        for (family, optimum), weight in zip(self.members, self.weight, strict=True):
            total += weight * family.predict(optimum, n)
        return total


def refit_families(
    runs: FittedRuns, model: CurveModel, scores: FloatArray, noise_df: float = 0.0
) -> Refits:
    """Refit every averaged family to replicate scores and weigh it anew.

    Parameters
    ----------
    scores : ndarray, shape (P, B)
        Replicate scores of the runs.
    """
    n_runs, n_replicates = scores.shape
    scores = _carry_seeds(runs, model, scores)
    y = runs.volume_means(scores)
    within = _within_cost(runs, scores)
    families = [member.family for member in model.averaged]
    costs = np.empty((len(families), n_replicates))
    optima: list[FloatArray] = []
    n_failed = 0
    for index, member in enumerate(model.averaged):
        batch = fit_batch(
            member.family, runs.response, y, runs.volume_weight, REPLICATE, start=member.u
        )
        costs[index] = batch.cost + within
        optima.append(batch.u)
        n_failed += int((~batch.converged).sum())
    weight = np.ones((1, n_replicates))
    if len(families) > 1:
        overdispersion = None
        if runs.weight_known:
            largest = max(
                range(len(families)), key=lambda i: (families[i].n_free, -costs[i].mean())
            )
            richest = families[largest]
            statistic = pearson(runs, richest, optima[largest], scores, y)
            overdispersion = np.maximum(1.0, statistic / max(n_runs - richest.n_free, 1))
        scored = np.stack(
            [
                criterion(cost, n_runs, family.n_free, overdispersion, noise_df)
                for family, cost in zip(families, costs, strict=True)
            ]
        )
        weight = np.exp(-0.5 * (scored - scored.min(axis=0)))
        weight /= weight.sum(axis=0)
    return Refits(
        members=tuple(zip(families, optima, strict=True)),
        weight=weight,
        failures=n_failed / (n_replicates * len(families)),
    )


def criterion(
    cost: FloatArray,
    n_runs: int,
    n_free: int,
    overdispersion: FloatArray | None,
    noise_df: float = 0.0,
) -> FloatArray:
    """Return QAICc (or AICc where the noise scale is not known), shape of `cost`.

    Parameters
    ----------
    noise_df : float
        Degrees of freedom of the run noise behind the weights.
    """
    k = n_free + 1
    # The small-sample term pays for a noise scale learned from these runs alone; a scale that the
    # study's pool knows better is charged at the pool's degrees of freedom.
    n_scale = max(float(n_runs), noise_df)
    penalty = 2 * k + 2 * k * (k + 1) / max(n_scale - k - 1, 1)
    if overdispersion is not None:
        return cost / overdispersion + penalty
    return n_runs * np.log(np.maximum(cost / n_runs, 1e-20)) + penalty


def pearson(
    runs: FittedRuns, family: Family, u: FloatArray, scores: FloatArray, y: FloatArray
) -> FloatArray:
    """Return the Pearson chi-square over runs, shape (B,)."""
    mu = family.predict(u, runs.volumes)
    squares = _within_squares(runs, scores, y) + runs.volume_weight[:, None] * (y - mu) ** 2
    if runs.response is ResponseKind.ACCURACY:
        # A mean of a few items can't be told from 0 or 1 by less than half an item.
        edge = 0.5 / (runs.volume_weight[:, None] + 1)
        mu = np.clip(mu, edge, 1 - edge)
        squares = squares / (mu * (1 - mu))
    return np.asarray(squares.sum(axis=0))


def _within_squares(runs: FittedRuns, scores: FloatArray, y: FloatArray) -> FloatArray:
    """Return weighted squares of runs about their volume's mean, shape (U, B)."""
    deviation = runs.weight[:, None] * (scores - y[runs.group]) ** 2
    total = np.zeros_like(y)
    np.add.at(total, runs.group, deviation)
    return total


def _within_cost(runs: FittedRuns, scores: FloatArray) -> FloatArray:
    """Return the part of the cost over runs that no curve can explain, shape (B,)."""
    if len(runs.volumes) == len(runs.score):
        return np.zeros(scores.shape[1])
    y = runs.volume_means(scores)
    if runs.response is ResponseKind.ACCURACY:
        w, total = runs.weight[:, None], runs.volume_weight[:, None]
        return saturated_cost(runs.response, y, total) - saturated_cost(runs.response, scores, w)
    if runs.response is ResponseKind.LOSS:
        scores, y = np.log(scores), np.log(y)
    return np.asarray(_within_squares(runs, scores, y).sum(axis=0))


def _richest(
    fitted: list[tuple[Family, FloatArray, float, FitStatus, str | None]],
) -> tuple[Family, FloatArray, float, FitStatus, str | None] | None:
    """Return the family with most parameters, the better-fitting one among equals."""
    return max(fitted, key=lambda item: (item[0].n_free, -item[2])) if fitted else None


def _observed_weights(scores: list[float | None], usable: list[bool]) -> FloatArray:
    """Return weights that sum to 1 over usable families."""
    weights = np.zeros(len(scores))
    chosen = [index for index, use in enumerate(usable) if use]
    if len(chosen) == 1:
        weights[chosen] = 1.0
    elif chosen:
        values = np.array([scores[index] for index in chosen], dtype=float)
        raw = np.exp(-0.5 * (values - values.min()))
        weights[chosen] = raw / raw.sum()
    return weights
