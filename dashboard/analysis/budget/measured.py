"""Run noise and item correlations of a study at hand, as a start for planning the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.replicated import prepare_study
from dashboard.analysis.settings import FitSettings
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MeasuredNoise:
    """What `PowerDesign` needs to know, measured.

    Attributes
    ----------
    run_stddev : float
        On the logit scale, pooled over the study.
    run_df : float
    seed_correlation : float
        Mean correlation of item results between two seeds of one setting.
    setting_correlation : float
        The same between two volumes, or two sources at one volume.
    """

    run_stddev: float
    run_df: float
    seed_correlation: float
    setting_correlation: float


def measure_noise(curves: Sequence[CurveData]) -> MeasuredNoise:
    """Measure the noise of a study's accuracies.

    Raises
    ------
    InputError
        If no volume has two seeds, or no run has item results.
    """
    curves = [c for c in curves if c.response is ResponseKind.ACCURACY]
    _, pools = prepare_study(curves, FitSettings())
    if not pools:
        raise InputError(
            "These curves can't tell run-to-run noise: no volume has two seeds. Give --run-stddev."
        )
    seeds: list[float] = []
    settings: list[float] = []
    for curve in curves:
        if curve.item_scores is None:
            continue
        trained = np.flatnonzero((curve.n_examples > 0) & np.isfinite(curve.score))
        for i, first in enumerate(trained):
            for second in trained[i + 1 :]:
                found = _correlation(curve.item_scores[first], curve.item_scores[second])
                if np.isfinite(found):
                    same = curve.n_examples[first] == curve.n_examples[second]
                    (seeds if same else settings).append(found)
    if not seeds or not settings:
        raise InputError(
            "These curves have no item results to correlate; give --seed-correlation and "
            "--setting-correlation."
        )
    between_seeds = float(np.clip(np.mean(seeds), 0.0, 0.99))
    return MeasuredNoise(
        run_stddev=pools[0].stddev,
        run_df=pools[0].df,
        seed_correlation=between_seeds,
        setting_correlation=float(np.clip(np.mean(settings), 0.0, between_seeds)),
    )


def _correlation(first: FloatArray, second: FloatArray) -> float:
    """Return the correlation of two runs' item results; NaN where one has no variance."""
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if both.sum() < 3 or first.std() == 0 or second.std() == 0:
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])
