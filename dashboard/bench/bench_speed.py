"""The speed of the analysis: what an app opens with, and the engine against scipy."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np

from dashboard.analysis import FitSettings, ResponseKind, fit_study
from dashboard.analysis.compare.sources import compare_sources
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.engine import REPLICATE, fit_batch
from dashboard.analysis.families import FAMILIES, Family
from dashboard.analysis.transfer import fit_transfer
from dashboard.bench.bench_transfer import speed_table
from dashboard.bench.worlds import TRUTHS, WorldShape, simulate_study

_LOSS_FAMILIES = ("constant", "log_linear", "power_law", "exponential", "weibull", "rectified")


def bench_standard_analysis(n_replicates: int = 1000) -> dict[str, float]:
    """Time what an app opens with: 60 growth curves, their source pairs, a transfer matrix.

    Fifteen abilities on two models and two sources, six families, two seeds of 300 items at six
    volumes; the matrix is of ten abilities and three exams.

    Returns
    -------
    dict
        Wall seconds of the three parts and of all, CPU seconds of all, peak memory of the
        process, and the share of replicates that hit the iteration cap.
    """
    names = list(TRUTHS)
    truths = {
        (f"ability{k:02}", model, source): TRUTHS[names[k % len(names)]]
        for k in range(15)
        for model in ("m", "l")
        for source in ("human", "synthetic")
    }
    curves = simulate_study(truths, WorldShape(), np.random.default_rng(1))
    table = speed_table()
    settings = FitSettings(n_replicates=n_replicates)
    fit_study(curves[:1], FitSettings(n_replicates=50))  # imports are not what is timed
    marks, cpu = [time.perf_counter()], time.process_time()
    fits = fit_study(curves, settings).curves
    marks.append(time.perf_counter())
    compare_sources(curves, settings)
    marks.append(time.perf_counter())
    fit_transfer(table, settings)
    marks.append(time.perf_counter())
    return {
        "curves": len(curves),
        "replicates": n_replicates,
        "fits_seconds": marks[1] - marks[0],
        "sources_seconds": marks[2] - marks[1],
        "matrix_seconds": marks[3] - marks[2],
        "all_seconds": marks[3] - marks[0],
        "cpu_seconds": time.process_time() - cpu,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "iteration_cap_share": float(np.mean([fit.replicate_failures for fit in fits])),
    }


def bench_against_scipy(
    n_curves: int = 60, n_replicates: int = 1000, n_scipy: int = 4
) -> dict[str, Any]:
    """Refit loss curves with the engine and with a loop over `scipy.optimize.curve_fit`.

    Same objective (least squares on log loss), same bounds, same starts (the screened start or
    the observed curve's optimum, whichever is cheaper) and the family's own gradient for both.
    scipy refits `n_scipy` replicates of every curve and family, as 1,000 would take too long.

    Returns
    -------
    dict
        CPU microseconds per fit of both, their ratio, failures (iteration cap; error), and the
        share of common fits in which one is worse by more than 1% of the residual variance.
    """
    rng = np.random.default_rng(7)
    n = (200 * 2 ** np.arange(10)).astype(np.float64)
    seconds = {"engine": 0.0, "scipy": 0.0}
    n_fits = {"engine": 0, "scipy": 0}
    failed = {"engine": 0, "scipy": 0}
    worse = {"engine": 0, "scipy": 0}
    for _ in range(n_curves):
        e, b, d, beta = rng.uniform((0.5, 100, 50, 0.3), (2, 400, 400, 0.8))
        loss = (e + b / (d + n**beta)) * np.exp(rng.normal(0, 0.01, len(n)))
        scores = loss[:, None] * np.exp(rng.normal(0, 0.01, (len(n), n_replicates)))
        for name in _LOSS_FAMILIES:
            family = FAMILIES[name](n, ResponseKind.LOSS)
            weight = np.ones(len(n))
            with np.errstate(all="ignore"):
                observed = fit_batch(family, ResponseKind.LOSS, loss[:, None], weight, REPLICATE).u[
                    :, 0
                ]
                began = time.process_time()
                batch = fit_batch(
                    family, ResponseKind.LOSS, scores, weight, REPLICATE, start=observed
                )
                seconds["engine"] += time.process_time() - began
                n_fits["engine"] += n_replicates
                failed["engine"] += int((~batch.converged).sum())
                for k in range(n_scipy):
                    began = time.process_time()
                    cost = _scipy_cost(family, scores[:, k], observed)
                    seconds["scipy"] += time.process_time() - began
                    n_fits["scipy"] += 1
                    failed["scipy"] += not np.isfinite(cost)
                    slack = 0.01 * min(cost, float(batch.cost[k])) / len(n)
                    worse["engine"] += bool(batch.cost[k] > cost + slack)
                    worse["scipy"] += bool(cost > batch.cost[k] + slack)
    micro = {name: 1e6 * seconds[name] / n_fits[name] for name in seconds}
    return {
        "microseconds_per_fit": micro,
        "times_faster": micro["scipy"] / micro["engine"],
        "fits": n_fits,
        "failed_share": {name: failed[name] / n_fits[name] for name in failed},
        "worse_share": {name: worse[name] / n_fits["scipy"] for name in worse},
    }


def _scipy_cost(family: Family, scores: FloatArray, observed: FloatArray) -> float:
    """Return the residual sum of squares of one curve_fit; infinite where it fails."""
    from scipy.optimize import curve_fit

    target = np.log(scores)
    free = family.upper > family.lower

    def unpack(params: FloatArray) -> FloatArray:
        u = observed.copy()
        u[free] = params
        return u[:, None]

    def value(n: FloatArray, *params: float) -> FloatArray:
        return np.log(np.maximum(family.predict(unpack(np.array(params)), n)[:, 0], 1e-300))

    def gradient(n: FloatArray, *params: float) -> FloatArray:
        at, jacobian = family.evaluate(unpack(np.array(params)), n)
        return (jacobian[free] / np.maximum(at, 1e-300))[:, :, 0].T

    screened = family.starts(scores[:, None], 1 / scores[:, None] ** 2, 1)[:, 0, 0]
    starts = [np.clip(start, family.lower, family.upper)[free] for start in (screened, observed)]
    costs = [float(((target - value(family.n, *start)) ** 2).sum()) for start in starts]
    try:
        best, _ = curve_fit(
            value,
            family.n,
            target,
            p0=starts[int(np.argmin(costs))],
            jac=gradient,
            bounds=(family.lower[free], family.upper[free]),
        )
    except (RuntimeError, ValueError):
        return float("inf")
    return float(((target - value(family.n, *best)) ** 2).sum())
