r"""Length-controlled win rates: what a model would win if both answers were equally long.

For each model, over its comparisons,

    logit P(preferred) = theta + phi tanh(d / sd(d)) + psi gamma

with d the length of its answer minus the opponent's, sd(d) over these comparisons, and gamma the
difficulty of the item. The length-controlled win rate is the mean over the comparisons of the
prediction at d = 0.

phi belongs to the jury as much as to the model, and a model whose answers are nearly all shorter
(or longer) than the opponent's says little about it alone, while its prediction at d = 0 rests on
it. phi is therefore shrunk: w phi_m + (1 - w) mean, w = tau^2 / (tau^2 + stderr_m^2). With five
models or more mean and tau^2 are those of a random-effects model over models (DerSimonian and
Laird); with fewer they are 0 and 1, a weak prior that hardly moves a phi which the votes identify.
theta and psi are refitted at that phi.

References
----------
Dubois, Galambosi, Liang and Hashimoto (2024), Length-Controlled AlpacaEval, arXiv 2404.04475, for
the model. Their program regularises phi too, by added comparisons of the reference with itself told
to be terse or verbose, which a file of votes does not hold, and by an L1 penalty; the shrinking
stands in their place. DerSimonian and Laird (1986), Controlled Clinical Trials 7, for tau^2.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import statsmodels.api as sm
from scipy.special import expit

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.pairs import TIE, Comparisons
from dashboard.analysis.judge.shares import Share, clustered_stderr, share_interval
from dashboard.analysis.judge.votes import IntArray

MIN_ITEMS = 10
"""Fewer items than this do not bear a model of three coefficients."""

MIN_POOLED = 5
"""Fewer models than this do not tell how much the length effect differs between models."""

_SEPARATED = 15.0
# Fitted odds of exp(15) are beyond what any number of votes supports: the likelihood has no
# maximum, and where the search stopped is an accident.


class LengthControlStatus(StrEnum):
    """What stands behind a length-controlled win rate."""

    OK = "ok"
    REGULARISED = "regularised"
    """Length or difficulty separates wins from losses: a weak prior keeps the fit finite."""
    EQUAL_LENGTHS = "equal_lengths"
    """Length differences do not vary, so there is no length effect to remove or to estimate."""
    NO_LENGTHS = "no_lengths"
    TOO_FEW_ITEMS = "too_few_items"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class LengthControlled:
    """Length-controlled win rate of one model.

    Attributes
    ----------
    share : Share or None
        None, with `reason`, where the status gives none.
    length_effect, length_effect_stderr : float or None
        phi after shrinking, in log-odds for an answer that is much longer, and its standard error;
        None where lengths do not vary, and the latter also without a finite maximum.
    own_weight : float or None
        w: near 1 where phi is the model's own, near 0 where it is that of all models.
    used_difficulty : bool
        Whether the item's difficulty is in the model; it is left out unless known throughout.
    """

    status: LengthControlStatus
    reason: str | None
    share: Share | None
    length_effect: float | None = None
    length_effect_stderr: float | None = None
    own_weight: float | None = None
    used_difficulty: bool = False


def length_controlled_win_rates(
    comparisons: Comparisons,
    models: Sequence[int],
    *,
    reference: int | None = None,
    level: float = 0.95,
) -> dict[int, LengthControlled]:
    """Return length-controlled win rates by model, against `reference` or all that each met.

    The standard error is the delta method's over items as clusters: it holds the draw of items
    (their difficulty), the coefficients, and what shrinking phi may have missed. Comparisons
    without lengths are left out. Where all is won or all lost, or length or difficulty separates
    wins from losses, the status is `regularised`: k votes of one half each are spread over the
    comparisons, k the number of coefficients.

    References
    ----------
    Clogg et al. (1991), JASA 86, section 4: the prior of the regularised fit.
    """
    done: dict[int, LengthControlled] = {}
    problems: dict[int, _Problem] = {}
    for model in models:
        problem = _pose(comparisons, model, reference)
        if isinstance(problem, LengthControlled):
            done[model] = problem
        else:
            problems[model] = problem
    alone = {model: _fit_glm(problem.wins, problem) for model, problem in problems.items()}
    prior = _learn_prior(
        [fit for model, fit in alone.items() if fit and problems[model].use_length]
    )
    for model, problem in problems.items():
        done[model] = _control(problem, alone[model], prior, level)
    return done


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """What one model's fit sees; `design` holds 1, then tanh of the length, then difficulty."""

    wins: FloatArray
    design: FloatArray
    item: IntArray
    use_length: bool
    use_difficulty: bool


@dataclass(frozen=True, kw_only=True)
class _Glm:
    """A finite maximum: coefficients, inverse information, clustered errors, fitted values."""

    params: FloatArray
    bread: FloatArray
    stderr: FloatArray
    fitted: FloatArray


@dataclass(frozen=True, kw_only=True)
class _Prior:
    """Mean of phi over models, the variance of that mean, and tau^2."""

    mean: float
    variance: float
    between: float


_WEAK_PRIOR = _Prior(mean=0.0, variance=0.0, between=1.0)


@dataclass(frozen=True, kw_only=True)
class _Effect:
    """phi as used, its variance, the share that is the model's own, and what shrinking missed."""

    phi: float = 0.0
    variance: float = 0.0
    own_weight: float = 1.0
    missed: float = 0.0


def _pose(
    comparisons: Comparisons, model: int, reference: int | None
) -> _Problem | LengthControlled:
    """Return wins and design of one model, or the result that says why there is none."""
    held, sign = comparisons.against(model, reference)
    known = np.isfinite(comparisons.length_difference[held])
    if not known.any():
        return _without(LengthControlStatus.NO_LENGTHS, "the votes hold no answer lengths")
    sign = sign[known]
    c = comparisons.select(held).select(known)
    n_items = len(np.unique(c.item))
    if n_items < MIN_ITEMS:
        return _without(
            LengthControlStatus.TOO_FEW_ITEMS,
            f"{n_items} items with lengths; length control needs {MIN_ITEMS}",
        )
    difference = sign * c.length_difference
    spread = float(difference.std(ddof=1))
    columns = [np.ones(len(c))]
    if spread > 0:
        columns.append(np.tanh(difference / spread))
    use_difficulty = bool(np.isfinite(c.difficulty).all() and np.ptp(c.difficulty) > 0)
    if use_difficulty:
        columns.append(c.difficulty)
    design = np.column_stack(columns)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return _without(
            LengthControlStatus.FAILED,
            "length difference and difficulty go together, so length has no effect of its own",
        )
    return _Problem(
        wins=np.clip(TIE + sign * (c.share - TIE), 0, 1),
        design=design,
        item=c.item,
        use_length=spread > 0,
        use_difficulty=use_difficulty,
    )


def _learn_prior(fits: list[_Glm]) -> _Prior:
    """Return the random-effects mean of phi; with fewer than five models a weak prior."""
    # A standard error of 0 is a perfect fit, which says nothing about chance.
    fits = [fit for fit in fits if fit.stderr[1] > 0]
    if len(fits) < MIN_POOLED:
        return _WEAK_PRIOR
    phi = np.array([fit.params[1] for fit in fits])
    weight = 1 / np.array([fit.stderr[1] for fit in fits]) ** 2
    fixed = float(weight @ phi / weight.sum())
    excess = float(weight @ (phi - fixed) ** 2) - (len(fits) - 1)
    between = max(0.0, excess / float(weight.sum() - weight @ weight / weight.sum()))
    weight = 1 / (1 / weight + between)
    return _Prior(
        mean=float(weight @ phi / weight.sum()), variance=float(1 / weight.sum()), between=between
    )


def _shrink(own: _Glm, prior: _Prior) -> _Effect:
    """Return phi of one model, shrunk as far as its own is uncertain."""
    phi, variance = float(own.params[1]), float(own.stderr[1]) ** 2
    # A mean without any spread is as good as the truth.
    weight = prior.between / (prior.between + variance) if prior.between > 0 else 0.0
    missed = (1 - weight) ** 2 * (prior.between + prior.variance)
    return _Effect(
        phi=weight * phi + (1 - weight) * prior.mean,
        variance=weight**2 * variance + missed,
        own_weight=weight,
        missed=missed,
    )


def _control(
    problem: _Problem, alone: _Glm | None, prior: _Prior, level: float
) -> LengthControlled:
    """Fit one model at its shrunken phi and predict at equal length."""
    n, k = problem.design.shape
    wins, own, status, reason = problem.wins, alone, LengthControlStatus.OK, None
    if not problem.use_length:
        status = LengthControlStatus.EQUAL_LENGTHS
        reason = "length differences are the same in all comparisons"
    if alone is None:
        status = LengthControlStatus.REGULARISED
        reason = "wins and losses are separated, so a weak prior keeps the fit finite"
        wins = (n * wins + k / 2) / (n + k)
        own = _fit_glm(wins, problem)
    if own is None:
        return _without(LengthControlStatus.FAILED, "the fit did not converge")
    effect, length, rest = _Effect(), np.zeros(n), problem.design
    if problem.use_length:
        effect = _shrink(own, prior)
        length = problem.design[:, 1]
        rest = np.delete(problem.design, 1, axis=1)
    fit = _fit_glm(wins, problem, design=rest, offset=effect.phi * length)
    if fit is None:
        return _without(LengthControlStatus.FAILED, "the fit did not converge")
    predicted = expit(rest @ fit.params)
    estimate = float(predicted.mean())
    slope = (predicted * (1 - predicted)) @ rest / n @ fit.bread
    influence = (predicted - estimate) / n + (wins - fit.fitted) * (rest @ slope)
    # A larger phi moves the other coefficients, and through them the prediction.
    by_phi = -float(slope @ (rest.T @ (fit.fitted * (1 - fit.fitted) * length)))
    if problem.use_length:
        of_phi = (wins - own.fitted) * (problem.design @ own.bread[:, 1])
        influence += by_phi * effect.own_weight * of_phi
    sampling, n_items = clustered_stderr(influence, problem.item)
    assert sampling is not None  # MIN_ITEMS is more than one
    stderr = float(np.hypot(sampling, by_phi * np.sqrt(effect.missed)))
    share = Share(
        estimate=estimate,
        stderr=stderr,
        interval=share_interval(estimate, stderr, n_items, level),
        n=n,
        n_items=n_items,
    )
    if not problem.use_length:
        return LengthControlled(
            status=status, reason=reason, share=share, used_difficulty=problem.use_difficulty
        )
    return LengthControlled(
        status=status,
        reason=reason,
        share=share,
        length_effect=effect.phi,
        length_effect_stderr=None if alone is None else float(np.sqrt(effect.variance)),
        own_weight=effect.own_weight,
        used_difficulty=problem.use_difficulty,
    )


def _fit_glm(
    wins: FloatArray,
    problem: _Problem,
    *,
    design: FloatArray | None = None,
    offset: FloatArray | None = None,
) -> _Glm | None:
    """Fit the logistic model to shares; None if the likelihood has no maximum."""
    design = problem.design if design is None else design
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Separation and its overflows are found below, whatever statsmodels says on the way.
        warnings.simplefilter("ignore")
        fit = sm.GLM(wins, design, family=sm.families.Binomial(), offset=offset).fit(
            cov_type="cluster", cov_kwds={"groups": problem.item}
        )
    linear = design @ fit.params + (0 if offset is None else offset)
    if not fit.converged or not np.abs(linear).max() < _SEPARATED:
        return None
    return _Glm(
        params=np.asarray(fit.params),
        bread=np.asarray(fit.normalized_cov_params),
        stderr=np.asarray(fit.bse),
        fitted=np.asarray(fit.fittedvalues),
    )


def _without(status: LengthControlStatus, reason: str) -> LengthControlled:
    """Return a result without a number."""
    return LengthControlled(status=status, reason=reason, share=None)
