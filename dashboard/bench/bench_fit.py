"""The fitting engine against published figures.

`bench_fit` runs everything; figures of docs/statistics.md and docs/benchmarks.md come from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dashboard.analysis import CurveData, FitSettings, PredictionStatus, fit_study
from dashboard.analysis.curve_data import FloatArray
from dashboard.bench.bench_speed import bench_against_scipy, bench_standard_analysis
from dashboard.bench.nist import bench_nist

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"

_CUTS = (8, 16, 32)
_LEAST_STDDEV = 1e-3
"""Curves whose seeds differ by less, in score units, have almost no variance."""


def bench_fit(fixtures: Path = FIXTURES) -> dict[str, Any]:
    """Run all checks of the engine; about five minutes of one core, most of it scipy's."""
    return {
        "nist": bench_nist(fixtures / "published" / "nist_strd.json"),
        "flan": bench_flan(fixtures),
        "lcdb": bench_lcdb(fixtures / "published" / "lcdb_seed_level_sample.csv"),
        "standard_analysis": bench_standard_analysis(),
        "against_scipy": bench_against_scipy(),
    }


# --------------------------------------------------------------------------- published curves


def flan_curves(fixtures: Path = FIXTURES) -> list[CurveData]:
    """Return the 30 fine-tuning loss curves of Lin et al. 2024."""
    rows = pd.read_csv(fixtures / "lin2024_flan.csv")
    return [
        make_curve(
            group["n_examples"].to_numpy(float),
            group["test_loss"].to_numpy(float),
            study="lin2024",
            ability="flan",
            base_model=str(name),
            metric="loss",
            higher_is_better=False,
            n_params=int(group["n_params"].iloc[0]),
        )
        for name, group in rows.groupby("base_model")
    ]


def bench_flan(fixtures: Path = FIXTURES, n_replicates: int = 50) -> dict[str, Any]:
    """Compare fitted errors with the published ones, and predict the largest volume.

    Returns
    -------
    dict
        `at_or_below_published` of `curves`; `cuts`: for the largest volume over 8, 16, 32 the mean
        absolute log error of the prediction, the coverage of its 80% interval, and statuses;
        `coverage` pooled over the cuts.
    """
    curves = flan_curves(fixtures)
    published = pd.read_csv(fixtures / "lin2024_flan_published_rmse.csv")
    limits = dict(zip(published["base_model"], published["rectified_rmse_log_loss"], strict=True))
    alone = FitSettings(families=("rectified",), n_replicates=n_replicates)
    below = 0
    for fit in fit_study(curves, alone).curves:
        below += (fit.families[0].rmse or np.inf) <= limits[fit.base_model]
    cuts: dict[str, Any] = {}
    inside: list[bool] = []
    for cut in _CUTS:
        errors, covered, statuses = _predict_largest(curves, cut, n_replicates)
        inside += covered
        cuts[f"1/{cut}"] = {
            "mean_error": float(np.mean(errors)),
            "coverage": float(np.mean(covered)),
            "backtested": sum(status is PredictionStatus.BACKTESTED for status in statuses),
        }
    return {
        "curves": len(curves),
        "at_or_below_published": below,
        "cuts": cuts,
        "coverage": float(np.mean(inside)),
    }


def _predict_largest(
    curves: Sequence[CurveData], cut: int, n_replicates: int
) -> tuple[list[float], list[bool], list[PredictionStatus]]:
    """Fit below a cut; return log errors at the largest volume, coverage and statuses."""
    largest = float(curves[0].n_examples.max())
    settings = FitSettings(
        n_replicates=n_replicates,
        families=("rectified",),
        max_examples=largest / cut,
        predict=(largest,),
        level=0.8,
    )
    errors, covered, statuses = [], [], []
    for curve, fit in zip(curves, fit_study(curves, settings).curves, strict=True):
        truth = float(curve.score[curve.n_examples == largest][0])
        (prediction,) = fit.predictions
        estimate, low, high = prediction.estimate, prediction.low, prediction.high
        assert estimate is not None
        assert low is not None
        assert high is not None
        errors.append(abs(float(np.log(estimate / truth))))
        covered.append(low <= truth <= high)
        statuses.append(prediction.status)
    return errors, covered, statuses


def bench_lcdb(path: Path, n_replicates: int = 1000) -> dict[str, Any]:
    """Fit five seeds a size; count how often 95% intervals hold the mean of all seeds.

    At every size, the five pairs are the first by (inner - outer) modulo 5, then outer: the
    diagonal where it is complete.

    Returns
    -------
    dict
        Coverage by curve; pooled over curves with variance (`coverage`), over the others
        (`coverage_without_variance`), and over all.
    """
    rows = pd.read_csv(path)
    rows["rank"] = (rows["inner_seed"] - rows["outer_seed"]) % 5
    curves, targets, spreads = [], [], []
    for (dataset, learner), group in rows.groupby(["openmlid", "learner"]):
        ordered = group.sort_values(["size_train", "rank", "outer_seed"])
        five = ordered.groupby("size_train").head(5)
        curves.append(
            make_curve(
                five["size_train"].to_numpy(float),
                five["score_valid"].to_numpy(float),
                study="lcdb",
                ability=f"{dataset} {learner}",
                seed=tuple(int(s) for s in 5 * five["outer_seed"] + five["inner_seed"]),
            )
        )
        targets.append(group.groupby("size_train")["score_valid"].mean())
        spreads.append(float(group.groupby("size_train")["score_valid"].std().mean()))
    fits = fit_study(curves, FitSettings(n_replicates=n_replicates)).curves
    by_curve: dict[str, Any] = {}
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for fit, target, spread in zip(fits, targets, spreads, strict=True):
        assert fit.band is not None
        at = np.searchsorted(fit.band.n_examples, target.index.to_numpy(float))
        truth = target.to_numpy(float)
        inside = (fit.band.low[at] <= truth) & (truth <= fit.band.high[at])
        hits[spread > _LEAST_STDDEV] += inside.tolist()
        by_curve[fit.ability] = {"coverage": float(inside.mean()), "sizes": len(inside)}
    return {
        "by_curve": by_curve,
        "coverage": float(np.mean(hits[True])),
        "coverage_without_variance": float(np.mean(hits[False])) if hits[False] else None,
        "coverage_of_all": float(np.mean(hits[True] + hits[False])),
    }


def make_curve(n: FloatArray, score: FloatArray, **changes: Any) -> CurveData:
    """Return a published curve: scores without items or errors, one seed unless given."""
    fields: dict[str, Any] = {
        "base_model": "published",
        "n_params": None,
        "data_source": "published",
        "metric": "accuracy",
        "higher_is_better": True,
        "chance_level": None,
        "n_examples": n,
        "score": score,
        "stderr": np.full(len(n), np.nan),
        "n_items": np.full(len(n), np.nan),
        "seed": tuple(None if volume == 0 else 0 for volume in n),
        "cell_id": tuple(f"point {index}" for index in range(len(n))),
    }
    return CurveData(**(fields | changes))
