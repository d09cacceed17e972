"""Which curves of a study to draw, and the order of its base models and data sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dashboard.analysis import CurveFit

REFERENCE_SOURCE = "human"


def models_of(curves: Sequence[CurveFit]) -> list[str]:
    """Return base models, largest first."""
    sizes = {curve.base_model: curve.n_params or 0 for curve in curves}
    return sorted(sizes, key=lambda model: (-sizes[model], model))


def most_trained(curves: Sequence[CurveFit]) -> str:
    """Return the base model with most data sources, of these most scores, of these the largest."""
    n_sources = Counter(model for model, _ in {(c.base_model, c.data_source) for c in curves})
    n_scores = Counter[str]()
    for curve in curves:
        n_scores[curve.base_model] += len(curve.points.score)
    return max(models_of(curves), key=lambda model: (n_sources[model], n_scores[model]))


def sources_of(curves: Sequence[CurveFit]) -> list[str]:
    """Return data sources, the reference first."""
    return sorted({c.data_source for c in curves}, key=lambda s: (s != REFERENCE_SOURCE, s))


def select_curves(
    curves: Sequence[CurveFit], models: Sequence[str], sources: Sequence[str]
) -> list[CurveFit]:
    """Return the curves of some base models and sources, in the order of both."""
    wanted = [c for c in curves if c.base_model in models and c.data_source in sources]
    return sorted(wanted, key=lambda c: (models.index(c.base_model), sources.index(c.data_source)))
