"""Where the score of one more training run would fall: wider than the interval of the curve."""

from __future__ import annotations

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.results import Band, CurveFit, IntervalKind

_WITH_RUNS = frozenset({IntervalKind.ITEMS_AND_RUNS, IntervalKind.STDERR_AND_RUNS})


def new_run_band(curve: CurveFit) -> Band | None:
    """Return the pointwise prediction band of a curve for one more run on as many test items.

    On the logit scale, with h the half-width of the curve's band, s the run-to-run standard
    deviation on df degrees of freedom, and p the score on n items:

        h_new^2 = h^2 + t(df)^2 (s^2 + 1 / (n p (1 - p)))

    Parameters
    ----------
    curve : CurveFit
        An accuracy; p is kept half an item away from 0 and 1, where the logit has no value.

    Returns
    -------
    Band or None
        From the smallest trained volume on: the untouched base model is no run of chance.
        None where nothing says how much runs differ (one seed a volume), how many items there
        are, or there is no curve.
    """
    band = curve.band
    counts = curve.points.n_items[np.isfinite(curve.points.n_items)]
    if (
        band is None
        or curve.response is not ResponseKind.ACCURACY
        or curve.noise not in _WITH_RUNS
        or curve.run_stddev is None
        or not counts.size
    ):
        return None
    from scipy.special import stdtrit

    n_items = float(np.median(counts))
    t = float(stdtrit(curve.run_df or np.inf, 0.5 + band.level / 2))
    trained = curve.points.n_examples[curve.points.n_examples > 0]
    drawn = band.n_examples >= np.min(trained, initial=np.inf)
    p = _inside(band.estimate[drawn], n_items)
    high, low = (_logit(_inside(edge[drawn], n_items)) for edge in (band.high, band.low))
    width = (high - low) / 2
    noise = t**2 * (curve.run_stddev**2 + 1 / (n_items * p * (1 - p)))
    half = np.sqrt(width**2 + noise)
    return Band(
        n_examples=band.n_examples[drawn],
        estimate=band.estimate[drawn],
        low=1 / (1 + np.exp(half - _logit(p))),
        high=1 / (1 + np.exp(-half - _logit(p))),
        level=band.level,
        kind=curve.noise,
    )


def _inside(score: FloatArray, n_items: float) -> FloatArray:
    """Keep scores half an item away from 0 and 1."""
    return np.clip(score, 0.5 / n_items, 1 - 0.5 / n_items)


def _logit(p: FloatArray) -> FloatArray:
    return np.log(p / (1 - p))
