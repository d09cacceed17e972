"""One family fitted to one curve's observed runs: optimum, status, covariance, description."""

from __future__ import annotations

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.engine import FINAL, Precision, deviance_terms, fit_batch
from dashboard.analysis.families import Family
from dashboard.analysis.likelihood import GrowthModel, build_results
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.results import FamilyFit, FitStatus

_BOUND_SLACK = 1e-7
_SINGULAR = 1e-11


def fit_observed(
    family: Family,
    runs: FittedRuns,
    y: FloatArray,
    within: FloatArray,
    precision: Precision = FINAL,
) -> tuple[FloatArray, float, FitStatus, str | None]:
    """Fit one family to the observed runs, from several starts.

    Parameters
    ----------
    y : ndarray, shape (U, 1)
        Weighted mean score at each volume.
    within : ndarray, shape (1,)
        Cost within volumes, which no curve explains; added to the fit's.

    Returns
    -------
    u : ndarray, shape (k,)
        Working parameters; NaN where there are fewer volumes than free parameters.
    cost : float
        Deviance over runs (accuracies) or residual sum of squares; infinite without a fit.
    status : FitStatus
    reason : str or None
    """
    k = len(family.symbols)
    if family.n_free > len(runs.volumes):
        return (
            np.full(k, np.nan),
            np.inf,
            FitStatus.TOO_FEW_POINTS,
            f"{family.n_free} parameters need as many volumes, there are {len(runs.volumes)}",
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        batch = fit_batch(family, runs.response, y, runs.volume_weight, precision)
    u, cost = batch.u[:, 0], float(batch.cost[0] + within[0])
    if not np.isfinite(cost) or not np.isfinite(u).all():
        return u, np.inf, FitStatus.FAILED, "the likelihood is not finite at any start"
    if not batch.converged[0]:
        return u, cost, FitStatus.ITERATION_CAP, f"no optimum in {precision.max_iterations} steps"
    at_bound = _at_bound(family, u)
    if at_bound.any():
        held = ", ".join(
            name for name, hit in zip(_working_names(family), at_bound, strict=True) if hit
        )
        return u, cost, FitStatus.AT_BOUND, f"at the bound: {held}"
    if _is_singular(family, runs, y, u):
        return (
            u,
            cost,
            FitStatus.NOT_IDENTIFIED,
            "several parameter values give the same curve over these volumes",
        )
    return u, cost, FitStatus.OK, None


def describe(
    runs: FittedRuns,
    family: Family,
    u: FloatArray,
    cost: float,
    status: FitStatus,
    reason: str | None,
    qaicc: float | None,
    weight: float,
    overdispersion: float | None,
) -> FamilyFit:
    """Wrap one family's optimum as statsmodels results and read them off.

    Parameters
    ----------
    u, cost, status, reason
        As `fit_observed` returned them.
    qaicc : float or None
        The family's criterion.
    weight : float
        Its share in the averaged curve.
    overdispersion : float or None
        Multiplies the covariance; None takes the residual variance instead.

    Returns
    -------
    FamilyFit
        Without parameters where there is no fit.
    """
    k = len(family.symbols)
    if not np.isfinite(cost):
        return FamilyFit(
            name=family.name,
            status=status,
            reason=reason,
            params={},
            stderr={},
            covariance=np.full((k, k), np.nan),
            log_likelihood=None,
            qaicc=None,
            weight=0.0,
            rmse=None,
            n_free=family.n_free,
        )
    natural = family.natural(u)
    covariance = _covariance(runs, family, u, cost, overdispersion)
    model = GrowthModel(
        runs.score, runs.n, family=family, weight=runs.weight, weight_known=runs.weight_known
    )
    results = build_results(model, natural, covariance)
    variance = np.diag(np.asarray(results.cov_params(), dtype=float))
    stderr = {
        symbol: float(np.sqrt(value)) if np.isfinite(value) and value >= 0 else None
        for symbol, value in zip(family.symbols, variance, strict=True)
    }
    residuals = _residuals(runs, family, u)
    return FamilyFit(
        name=family.name,
        status=status,
        reason=reason,
        params={s: float(v) for s, v in zip(family.symbols, natural, strict=True)},
        stderr=stderr,
        covariance=covariance,
        log_likelihood=float(results.llf),
        qaicc=qaicc,
        weight=weight,
        rmse=float(np.sqrt((residuals**2).mean())),
        n_free=family.n_free,
    )


def scatter(
    runs: FittedRuns, family: Family, u: FloatArray, correlation: FloatArray
) -> tuple[float, float]:
    r"""Return the residual standard deviation (log scale for losses) and its degrees of freedom.

    With M = I - H, H the projection on the curve's gradient, and R the runs' correlation, residual
    squares have expectation sigma^2 tr(MR), and tr(MR)^2 / tr(MRMR) degrees of freedom
    (Satterthwaite): n - k for independent runs, less for correlated ones, whose common luck the
    curve follows.
    """
    value, jacobian = family.evaluate(u[:, None], runs.volumes)
    if runs.response is ResponseKind.LOSS:
        jacobian = jacobian / np.maximum(value, 1e-300)
    moved = jacobian[family.upper > family.lower][:, runs.group, 0].T
    basis = np.linalg.qr(moved)[0]
    rest = correlation - basis @ (basis.T @ correlation)
    expected = float(np.trace(rest))
    if expected <= 1e-9 * len(rest):
        return 0.0, 1.0
    df = max(expected**2 / max(float((rest * rest.T).sum()), 1e-300), 1.0)
    total = float((_residuals(runs, family, u) ** 2).sum())
    return float(np.sqrt(total / max(expected, 1.0))), df


def _working_names(family: Family) -> list[str]:
    """Name working parameters for messages."""
    if family.name in ("power_law", "exponential", "weibull"):
        rest = {"power_law": ["n0", "beta"], "exponential": ["k"], "weibull": ["k", "d"]}
        return ["value at 0", "c", *rest[family.name]]
    return list(family.symbols)


def _at_bound(family: Family, u: FloatArray) -> np.ndarray:
    """Return which free parameters lie at a bound."""
    free = family.upper > family.lower
    slack = _BOUND_SLACK * np.maximum(1.0, np.abs(u))
    return free & ((u - family.lower <= slack) | (family.upper - u <= slack))


def _information(
    family: Family, runs: FittedRuns, y: FloatArray, u: FloatArray
) -> tuple[FloatArray, np.ndarray]:
    """Return the expected information (k, k) and which parameters it speaks of."""
    target = np.log(y) if runs.response is ResponseKind.LOSS else y
    terms = deviance_terms(family, runs.response, target, runs.volume_weight[:, None], u[:, None])
    inside = (family.upper > family.lower) & ~_at_bound(family, u)
    return terms.curvature[:, :, 0], inside


def _is_singular(family: Family, runs: FittedRuns, y: FloatArray, u: FloatArray) -> bool:
    """Say whether the scaled information matrix has lost rank."""
    information, inside = _information(family, runs, y, u)
    if not inside.any():
        return False
    block = information[np.ix_(inside, inside)]
    scale = np.sqrt(np.maximum(np.diag(block), 0))
    if (scale <= 0).any():
        return True
    return bool(np.linalg.eigvalsh(block / np.outer(scale, scale))[0] < _SINGULAR)


def _residuals(runs: FittedRuns, family: Family, u: FloatArray) -> FloatArray:
    """Return residuals of the runs, of logs for losses."""
    mu = family.predict(u[:, None], runs.volumes)[runs.group, 0]
    if runs.response is ResponseKind.LOSS:
        return np.asarray(np.log(runs.score) - np.log(np.maximum(mu, 1e-300)))
    return np.asarray(runs.score - mu)


def _covariance(
    runs: FittedRuns, family: Family, u: FloatArray, cost: float, overdispersion: float | None
) -> FloatArray:
    """Return the covariance (k, k) of natural parameters by the delta method.

    Parameters at a bound are held there; natural parameters that depend on them alone get NaN.
    """
    k = len(u)
    unknown = np.full((k, k), np.nan)
    y = runs.volume_means(runs.score[:, None])
    if _is_singular(family, runs, y, u):
        return unknown
    information, inside = _information(family, runs, y, u)
    scale = overdispersion
    if scale is None:
        scale = cost / max(len(runs.score) - family.n_free, 1)
    working = np.zeros((k, k))
    working[np.ix_(inside, inside)] = np.linalg.inv(information[np.ix_(inside, inside)]) * scale
    jacobian = family.natural_jacobian(u)
    with np.errstate(over="ignore", invalid="ignore"):
        covariance = jacobian @ working @ jacobian.T
    moved = np.abs(jacobian[:, inside]).sum(axis=1) > 0
    covariance[~moved] = np.nan
    covariance[:, ~moved] = np.nan
    return np.where(np.isfinite(covariance), covariance, np.nan)
