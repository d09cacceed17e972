"""From a study's runs to the surfaces and replicates that planning works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.budget.surface import SourceSurface
from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.noise import CurveNoise
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.replicated import CurveJob, FittedJob, fit_job, prepare_study
from dashboard.analysis.replicates import ItemDraws, item_names
from dashboard.analysis.results import IntervalKind
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import value_limits
from warehouse.errors import InputError

_N_GRID = 40
_BEYOND = (2.0, 4.0, 16.0, 64.0, 1000.0)
UNSUPPORTED_REACH = 4.0
"""How far a plan may go beyond the largest observed volume, where it may at all."""
ASSUMED_RUN_STDDEV = 0.3
"""Logit (or log) standard deviation between runs, where no volume has two seeds."""

_WEAKEST = (
    IntervalKind.RESIDUAL,
    IntervalKind.STDERR_ONLY,
    IntervalKind.ITEMS_ONLY,
    IntervalKind.STDERR_AND_RUNS,
    IntervalKind.ITEMS_AND_RUNS,
)


@dataclass(frozen=True, kw_only=True)
class PlannedCurve:
    """One growth curve on the planner's grid.

    Attributes
    ----------
    n_grid : ndarray, shape (G,), ascending from 0
        The same for all curves of a call.
    estimate : ndarray, shape (G,)
        Score; below `first` the score at `first`, as nothing was observed there.
    replicates : ndarray, shape (G, B)
    first, last : float
        Smallest and largest observed volume.
    run_variance : ndarray, shape (G,)
        Variance of one more run's score about the curve, on the items at hand.
    run_noise_known : bool
        Whether repeated seeds (or residuals) tell `run_variance`; assumed otherwise.
    """

    data: CurveData
    response: ResponseKind
    n_grid: FloatArray
    estimate: FloatArray
    replicates: FloatArray
    df: float
    kind: IntervalKind
    first: float
    last: float
    run_variance: FloatArray
    run_noise_known: bool

    @property
    def sign(self) -> float:
        """-1 for losses."""
        return 1.0 if self.data.higher_is_better else -1.0


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A curve that can't be planned with, and why."""

    data: CurveData
    reason: str


def plan_curves(
    curves: Sequence[CurveData],
    wanted: Sequence[CurveData],
    settings: FitSettings,
    *,
    items_fixed: bool = False,
) -> tuple[list[PlannedCurve], list[LeftOut]]:
    """Fit the wanted curves and evaluate them, with replicates, on one grid of volumes.

    Parameters
    ----------
    curves : sequence of CurveData
        All curves of the study: run noise is pooled over them.
    wanted : sequence of CurveData
        The ones to return.
    items_fixed : bool
        Whether the replicates keep the test items as they are. Then they hold only what further
        runs on the same items can teach.

    Returns
    -------
    planned : list of PlannedCurve
    left_out : list of LeftOut
        Curves that could not be fitted.
    """
    keys = {curve.key for curve in wanted}
    jobs, _ = prepare_study(curves, settings)
    jobs = [job for job in jobs if job.data.key in keys]
    fits = [fit_job(_with_fixed_items(job) if items_fixed else job, settings) for job in jobs]
    left_out: list[LeftOut] = []
    usable: list[tuple[CurveJob, FittedJob]] = []
    for job, fitted in zip(jobs, fits, strict=True):
        if fitted is None or not fitted.fitted:
            reason = job.prepared.reason or "too few runs for a growth curve"
            left_out.append(LeftOut(data=job.data, reason=reason))
        else:
            usable.append((job, fitted))
    if not usable:
        return [], left_out
    grid = _grid([fitted.runs.volumes for _, fitted in usable])
    return [_evaluate(job, fitted, grid) for job, fitted in usable], left_out


def source_surfaces(
    planned: Sequence[PlannedCurve], *, allow_unsupported: bool = False
) -> tuple[list[SourceSurface], list[FloatArray], list[LeftOut]]:
    """Arrange curves as one surface per base model.

    Returns
    -------
    surfaces : list of SourceSurface
        In order of model size; all with the same abilities and sources.
    observed : list of ndarray, shape (A, S)
        Largest observed volumes, which `surface.supported` exceeds if `allow_unsupported`.
    left_out : list of LeftOut
        Abilities that some base model has no curve of, so that models can't be compared.

    Raises
    ------
    InputError
        If the curves belong to several studies or metrics of different direction.
    """
    _check_one_scale(planned)
    models = sorted({(c.data.n_params or 0, c.data.base_model) for c in planned})
    sources = tuple(sorted({c.data.data_source for c in planned}))
    known = {(c.data.base_model, c.data.ability) for c in planned}
    abilities = tuple(
        ability
        for ability in sorted({c.data.ability for c in planned})
        if all((model, ability) in known for _, model in models)
    )
    left_out = [
        LeftOut(data=c.data, reason="another base model has no usable curve of this ability")
        for c in planned
        if c.data.ability not in abilities
    ]
    surfaces, observed = [], []
    for _, model in models:
        cells = {
            (abilities.index(c.data.ability), sources.index(c.data.data_source)): c
            for c in planned
            if c.data.base_model == model and c.data.ability in abilities
        }
        surface, last = _surface(model, abilities, sources, cells, allow_unsupported)
        surfaces.append(surface)
        observed.append(last)
    return surfaces, observed, left_out


def _surface(
    model: str,
    abilities: tuple[str, ...],
    sources: tuple[str, ...],
    cells: dict[tuple[int, int], PlannedCurve],
    allow_unsupported: bool,
) -> tuple[SourceSurface, FloatArray]:
    """Arrange one base model's curves; return also the largest observed volumes."""
    first = next(iter(cells.values()))
    shape = (len(abilities), len(sources))
    curves = np.zeros((*shape, len(first.n_grid)))
    replicates = np.zeros((*curves.shape, first.replicates.shape[1]))
    observed = np.zeros(shape)
    for index, curve in cells.items():
        curves[index] = curve.sign * curve.estimate
        replicates[index] = curve.sign * curve.replicates
        observed[index] = curve.last
    low, high = value_limits(first.response)
    surface = SourceSurface(
        abilities=abilities,
        sources=sources,
        base_model=model,
        sign=first.sign,
        n_grid=first.n_grid,
        curves=curves,
        replicates=replicates,
        supported=observed * (UNSUPPORTED_REACH if allow_unsupported else 1.0),
        df=min(curve.df for curve in cells.values()),
        kind=min((curve.kind for curve in cells.values()), key=_WEAKEST.index),
        limits=(low, high) if first.sign > 0 else (-high, -low),
        first=max(curve.first for curve in cells.values()),
        counts_all=len(abilities) > 1
        and any(curve.data.x_kind != "own" for curve in cells.values()),
    )
    return surface, observed


def _check_one_scale(planned: Sequence[PlannedCurve]) -> None:
    """Refuse sums over scores that can't be added."""
    studies = sorted({c.data.study for c in planned})
    if len(studies) > 1:
        raise InputError(
            f"A budget is planned for one study, and there are {', '.join(studies)}; "
            "choose one with --study."
        )
    metrics = {(c.response, c.data.higher_is_better) for c in planned}
    if len(metrics) > 1:
        names = ", ".join(sorted({c.data.metric for c in planned}))
        raise InputError(
            f"The abilities' scores can't be added: {names} are of different kinds; choose one "
            "with --metric."
        )


def _with_fixed_items(job: CurveJob) -> CurveJob:
    """Return the job with every item drawn once; what is left of chance is in the run noise.

    Its standard deviation grows by the item x run part: on the same items another run still gets
    some of them right by luck.
    """
    runs = job.prepared.runs
    if runs is None or runs.items is None:
        return job
    names = item_names(runs)
    draws = ItemDraws(
        counts=np.ones((len(names), 1), dtype=np.float32),
        position={name: index for index, name in enumerate(names)},
    )
    known = job.noise is not None
    stddev = job.noise.stddev if job.noise is not None else ASSUMED_RUN_STDDEV
    stddev = float(np.hypot(stddev, _luck_stddev(runs)))
    df = job.noise.df if job.noise is not None and known else np.inf
    return replace(job, draws=draws, noise=CurveNoise(stddev=stddev, df=df))


def _luck_stddev(runs: FittedRuns) -> float:
    """Return the item x run standard deviation of a score, on the link scale."""
    assert runs.items is not None
    complete = runs.items[:, np.isfinite(runs.items).all(axis=0)]
    n_runs, n_items = complete.shape
    if runs.response is not ResponseKind.ACCURACY or n_items < 2:
        return 0.0
    rest = complete - complete.mean(axis=0) - complete.mean(axis=1, keepdims=True) + complete.mean()
    variance = (rest**2).sum() / ((n_runs - 1) * (n_items - 1)) / n_items
    slope = np.mean(runs.score * (1 - runs.score))
    return float(np.sqrt(variance) / slope) if slope > 0 else 0.0


def _grid(volumes: Sequence[FloatArray]) -> FloatArray:
    """Return the grid: 0, the observed volumes, log-spaced ones between, and some far beyond."""
    observed = np.unique(np.concatenate(volumes))
    positive = observed[observed > 0]
    spaced = np.geomspace(positive[0] / 4, positive[-1], _N_GRID)
    last = np.unique([v[-1] for v in volumes])
    beyond = np.unique(np.outer(last, _BEYOND))
    return np.unique(np.concatenate([[0.0], observed, spaced, beyond]).round(9))


def _evaluate(job: CurveJob, fitted: FittedJob, grid: FloatArray) -> PlannedCurve:
    """Evaluate one curve on the grid."""
    first, last = float(fitted.runs.volumes[0]), float(fitted.runs.volumes[-1])
    curve = fitted.curve(np.maximum(grid, first))
    known = job.noise is not None or fitted.kind is IntervalKind.RESIDUAL
    if fitted.kind is IntervalKind.RESIDUAL:
        stddev = fitted.model.residual_stddev
    else:
        stddev = ASSUMED_RUN_STDDEV if job.noise is None else job.noise.stddev
        if fitted.runs.items is not None:
            stddev = float(np.hypot(stddev, _luck_stddev(fitted.runs)))
    return PlannedCurve(
        data=job.data,
        response=job.prepared.response,
        n_grid=grid,
        estimate=curve.estimate,
        replicates=curve.replicates,
        df=fitted.df,
        kind=fitted.kind,
        first=first,
        last=last,
        run_variance=_score_variance(job.prepared.response, curve.estimate, stddev),
        run_noise_known=known,
    )


def _score_variance(response: ResponseKind, score: FloatArray, stddev: float) -> FloatArray:
    """Return the variance of scores whose link varies with `stddev`."""
    if response is ResponseKind.ACCURACY:
        return np.asarray((stddev * score * (1 - score)) ** 2)
    if response is ResponseKind.LOSS:
        return np.asarray((stddev * score) ** 2)
    return np.full(score.shape, stddev**2)
