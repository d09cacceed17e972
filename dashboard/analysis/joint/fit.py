r"""Fit the joint law of model size and data to all curves of an ability.

For each study x ability x data source x metric, over models m and runs i,

    losses:     minimise sum_i huber(log y_i - log(E + A / N_i^alpha + B / n_i^beta)),
    accuracies: the binomial quasi-deviance of the twin with a logit link.

Standard errors are those of a Bayesian bootstrap [1]_: points get exponential weights instead of
being drawn with replacement, so that no replicate loses a model size. From eight models on that
have several points each, whole models are reweighted, since a model's points err together.

References
----------
.. [1] Rubin, "The Bayesian bootstrap", Annals of Statistics 9 (1981).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.engine import Precision, deviance_terms, fit_batch
from dashboard.analysis.joint.law import JointLaw
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.prepare import run_weights
from dashboard.analysis.results import FitStatus
from dashboard.analysis.settings import FitSettings

_MIN_POINTS = 6
_CLUSTER_MODELS = 8
_FINAL = Precision(tolerance=1e-12, max_iterations=2000, n_starts=8)
_REPLICATE = Precision(tolerance=1e-6, max_iterations=300, n_starts=1)
_CHUNK = 200_000
"""Points x replicates that are fitted at once, to bound memory."""
_SINGULAR = 1e-11
_BOUND_SLACK = 1e-6
_OFTEN = 0.2


@dataclass(frozen=True, kw_only=True)
class _Points:
    """Runs of several models: sizes, volumes, scores and weights, each of shape (P,)."""

    size: FloatArray
    volume: FloatArray
    score: FloatArray
    weight: FloatArray
    model: np.ndarray
    response: ResponseKind


def fit_joint(
    curves: Sequence[CurveData], settings: FitSettings | None = None
) -> tuple[JointFit, ...]:
    """Fit the joint law to every study x ability x data source x metric.

    Parameters
    ----------
    curves : sequence of CurveData
        Curves of several models, in any order; a model with a single run counts too. Runs at
        n = 0, without a model size, missing, or beyond `settings.max_examples` are left out.
    settings : FitSettings, optional
        `n_replicates`, `seed`, `level` and `max_examples` are used.

    Returns
    -------
    tuple of JointFit
        One a group, ordered by its first curve.
    """
    settings = settings or FitSettings()
    groups: dict[tuple[str, str, str, str], list[CurveData]] = {}
    for curve in curves:
        key = (curve.study, curve.ability, curve.data_source, curve.metric)
        groups.setdefault(key, []).append(curve)
    return tuple(_fit_group(members, settings) for members in groups.values())


def _fit_group(curves: Sequence[CurveData], settings: FitSettings) -> JointFit:
    """Fit one group, or say why not."""
    points, n_left_out = _collect(curves, settings)
    n_models, n_volumes = len(np.unique(points.size)), len(np.unique(points.volume))
    empty = JointFit.without_fit(
        curves[0],
        points.response,
        n_points=len(points.score),
        n_left_out=n_left_out,
        n_models=n_models,
        n_volumes=n_volumes,
        level=settings.level,
    )
    refused = _refusal(curves, points, n_models, n_volumes)
    if refused is not None:
        return empty.but(status=refused[0], reason=refused[1])
    law, u, cost, converged = _best_fit(curves, points)
    if not np.isfinite(cost) or not np.isfinite(u).all():
        return empty.but(
            status=FitStatus.FAILED, reason="the likelihood is not finite at any start"
        )
    if not converged:
        reason = f"no optimum in {_FINAL.max_iterations} steps"
        return empty.but(status=FitStatus.ITERATION_CAP, reason=reason)
    known = _identified(law, points, u)
    bound = _at_bound(law, u[:, None])[:, 0]
    by_model = _reweighs_models(points)
    replicates = _bootstrap(law, points, u, by_model, curves[0], settings)
    fitted = law.predict(u[:, None], points.volume)[:, 0]
    return empty.described(
        law=law,
        u=u,
        replicates=np.stack([law.natural(replicates[:, b]) for b in range(replicates.shape[1])]),
        known=known,
        bound=bound,
        doubtful=_at_bound(law, replicates).mean(axis=1) > _OFTEN,
        by_model=by_model,
        rmse=_rmse(points, fitted),
    )


def _collect(curves: Sequence[CurveData], settings: FitSettings) -> tuple[_Points, int]:
    """Return the points of all models, and how many were left out."""
    rows: list[tuple[float, float, float, float, float, int]] = []
    n_left_out = 0
    limit = np.inf if settings.max_examples is None else settings.max_examples
    for index, curve in enumerate(curves):
        for i, n in enumerate(curve.n_examples):
            usable = (
                curve.missing_reason[i] is None
                and np.isfinite(curve.score[i])
                and 0 < n <= limit
                and (curve.n_params or 0) > 0
            )
            if not usable:
                n_left_out += 1
                continue
            size = float(curve.n_params or 0)
            rows.append((size, n, curve.score[i], curve.stderr[i], curve.n_items[i], index))
    table = np.array(rows, dtype=float).reshape(-1, 6)
    kinds = {curve.response for curve in curves if np.isfinite(curve.score).any()}
    response = kinds.pop() if len(kinds) == 1 else ResponseKind.SCORE
    score = table[:, 2]
    weight = np.ones(len(score))
    if response is ResponseKind.ACCURACY:
        weight, _ = run_weights(response, score, table[:, 3], table[:, 4], None)
    return (
        _Points(
            size=table[:, 0],
            volume=table[:, 1],
            score=score,
            weight=weight,
            model=table[:, 5].astype(int),
            response=response,
        ),
        n_left_out,
    )


def _refusal(
    curves: Sequence[CurveData], points: _Points, n_models: int, n_volumes: int
) -> tuple[FitStatus, str] | None:
    """Return why a group can't be fitted, or None."""
    for curve in curves:
        if curve.invalid_reason is not None:
            return FitStatus.FAILED, curve.invalid_reason
    if points.response is ResponseKind.SCORE:
        return FitStatus.FAILED, "the joint law is for losses and for accuracies in [0, 1]"
    if points.response is ResponseKind.LOSS and (points.score <= 0).any():
        return FitStatus.FAILED, "a loss of 0 or less is among the runs; a loss must be positive"
    if n_models < 2:
        nameless = any(curve.n_params is None for curve in curves)
        unknown = " (n_params is not known of every base model)" if nameless else ""
        return (
            FitStatus.TOO_FEW_POINTS,
            f"{n_models} model size(s){unknown}; a joint law needs at least two",
        )
    if n_volumes < 2:
        return FitStatus.TOO_FEW_POINTS, f"{n_volumes} volume(s); a joint law needs at least two"
    if len(points.score) < _MIN_POINTS:
        return (
            FitStatus.TOO_FEW_POINTS,
            f"{len(points.score)} runs for five parameters; a joint law needs {_MIN_POINTS}",
        )
    return None


def _best_fit(
    curves: Sequence[CurveData], points: _Points
) -> tuple[JointLaw, FloatArray, float, bool]:
    """Fit with a floor of 0 and, for accuracies, of chance; return the better one."""
    floors = {0.0}
    if points.response is ResponseKind.ACCURACY:
        floors |= {curve.chance_level for curve in curves if curve.chance_level is not None}
    found = []
    for floor in sorted(floors):
        law = JointLaw(points.size, points.volume, points.response, floor)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch = fit_batch(law, points.response, points.score[:, None], points.weight, _FINAL)
        found.append((law, batch.u[:, 0], float(batch.cost[0]), bool(batch.converged[0])))
    return min(found, key=lambda item: item[2] if np.isfinite(item[2]) else np.inf)


def _identified(law: JointLaw, points: _Points, u: FloatArray) -> np.ndarray:
    """Say which parameters these sizes and volumes determine, shape (5,)."""
    y = np.log(points.score) if points.response is ResponseKind.LOSS else points.score
    terms = deviance_terms(
        law, points.response, y[:, None], points.weight[:, None], u[:, None], robust=False
    )
    information = terms.curvature[:, :, 0]
    scale = np.sqrt(np.diag(information))
    known = scale > 1e-12 * scale.max()
    block = information[np.ix_(known, known)] / np.outer(scale[known], scale[known])
    values, vectors = np.linalg.eigh(block)
    lost = np.abs(vectors[:, values < _SINGULAR]).max(axis=1, initial=0.0) > 0.05
    known[np.flatnonzero(known)[lost]] = False
    # Two sizes (or volumes) are two heights for three parameters, however the rounding falls.
    for values, unknown in (
        (points.size, ("E", "A", "alpha")),
        (points.volume, ("E", "B", "beta")),
    ):
        if len(np.unique(values)) < 3:
            known &= ~np.isin(law.symbols, unknown)
    return np.asarray(known)


def _at_bound(law: JointLaw, u: FloatArray) -> np.ndarray:
    """Say which working parameters, (5, B), lie at a bound."""
    lower, upper = law.lower[:, None], law.upper[:, None]
    return np.asarray((u - lower <= _BOUND_SLACK) | (upper - u <= _BOUND_SLACK))


def _reweighs_models(points: _Points) -> bool:
    """Say whether the bootstrap reweighs models instead of runs."""
    counts = np.unique(points.model, return_counts=True)[1]
    return len(counts) >= _CLUSTER_MODELS and bool(np.median(counts) > 1)


def _bootstrap(
    law: JointLaw,
    points: _Points,
    u: FloatArray,
    by_model: bool,
    first: CurveData,
    settings: FitSettings,
) -> FloatArray:
    """Return working parameters, shape (5, B), under random weights of runs or models."""
    name = "\x1f".join((first.study, first.ability, first.data_source, first.metric, "joint"))
    rng = np.random.default_rng([settings.seed, zlib.crc32(name.encode())])
    _, cluster = np.unique(points.model, return_inverse=True)
    if not by_model:
        cluster = np.arange(len(points.score))
    parts = []
    per_chunk = max(1, _CHUNK // len(points.score))
    for begin in range(0, settings.n_replicates, per_chunk):
        size = min(per_chunk, settings.n_replicates - begin)
        draws = rng.standard_exponential((int(cluster.max()) + 1, size))
        weight = points.weight[:, None] * draws[cluster]
        scores = np.repeat(points.score[:, None], size, axis=1)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch = fit_batch(law, points.response, scores, weight, _REPLICATE, start=u)
        parts.append(batch.u)
    return np.concatenate(parts, axis=1)


def _rmse(points: _Points, fitted: FloatArray) -> float:
    """Return the root mean squared residual: of the log for losses."""
    if points.response is ResponseKind.LOSS:
        residual = np.log(points.score) - np.log(fitted)
    else:
        residual = points.score - fitted
    return float(np.sqrt((residual**2).mean()))
