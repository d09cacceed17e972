"""What comparisons say, in sentences: other data sources, other base models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dashboard.analysis import CurveFit
from dashboard.charts.findings import Sentence
from dashboard.charts.wording import (
    name_ability,
    name_model,
    say_count,
    say_examples,
    say_interval,
    say_score,
    say_volume_kind,
)

if TYPE_CHECKING:
    # Loads SciPy, which pages that only read results do without.
    from dashboard.analysis.compare.results import SourceDifference

# Means must not pass for findings: the page Scale tests what this only sums up.
_UNTESTED = "(plain means; the comparison of base models tests them)"

_MAX_MODELS = 5


def source_sentences(pairs: Sequence[SourceDifference], curve: CurveFit) -> list[Sentence]:
    """Say, for each other source, in how many abilities which one is really better.

    Parameters
    ----------
    pairs : sequence of SourceDifference
        Paired tests of a whole study; those of the curve's base model and source are told, at the
        largest volume that the abilities have in common, out-of-domain ones left out.
    curve : CurveFit
        Names base model and reference source.
    """
    mine = [
        pair
        for pair in pairs
        if pair.base_model == curve.base_model
        and pair.difference is not None
        and not pair.out_of_domain
    ]
    said = []
    for pair in dict.fromkeys((p.reference, p.data_source) for p in mine):
        if curve.data_source not in pair:
            continue
        tested = [p for p in mine if (p.reference, p.data_source) == pair]
        largest = max(p.n_examples for p in tested)
        said.append(_source_sentence([p for p in tested if p.n_examples == largest], curve))
    return said


def _source_sentence(tested: Sequence[SourceDifference], curve: CurveFit) -> Sentence:
    """Put the tests of two sources at one volume into a sentence."""
    first = tested[0]
    sure = [p for p in tested if p.significant and p.difference is not None]
    counts = {
        name: [p for p in sure if p.better == name] for name in (first.reference, first.data_source)
    }
    parts = [f"{name} is better in {len(won)}" for name, won in counts.items() if won]
    text = (
        f"{' and '.join(parts) or 'neither is shown to be better in any'} of "
        f"{say_count(len(tested), 'ability', 'abilities')} at {say_examples(first.n_examples)} "
        f"{say_volume_kind(curve)}"
    )
    most = max(sure, key=lambda p: abs(p.difference.estimate) if p.difference else 0, default=None)
    if most is not None and most.difference is not None:
        text += f", most in {name_ability(most.ability)} ({_say_difference(most, curve)})"
    return Sentence(
        topic=f"{first.reference.capitalize()} against {first.data_source}",
        text=f"{text}; paired by test item, corrected over {say_count(first.n_tests, 'test')}.",
    )


def _say_difference(pair: SourceDifference, curve: CurveFit) -> str:
    """Return "human ahead by 12.3 points [8.0, 16.1]"."""
    difference = pair.difference
    assert difference is not None
    estimate, ends = difference.estimate, (difference.low, difference.high)
    if estimate < 0:
        estimate, ends = -estimate, (-difference.high, -difference.low)
    ahead = replace(difference, estimate=estimate, low=ends[0], high=ends[1])
    size = say_interval(ahead, curve.response, signed=True).removeprefix("+")
    return f"{pair.better} ahead by {size}"


def scale_sentence(curves: Sequence[CurveFit], data_source: str) -> Sentence | None:
    """Say what bigger base models score at the largest volume; None with a single model."""
    mine = [c for c in curves if c.data_source == data_source and not c.out_of_domain]
    by_model: dict[str, dict[str, CurveFit]] = {}
    for curve in sorted(mine, key=lambda c: (c.n_params or 0, c.base_model)):
        by_model.setdefault(curve.base_model, {})[curve.ability] = curve
    if len(by_model) < 2:
        return None
    shared = set.intersection(*(set(members) for members in by_model.values()))
    volumes = [_volumes(members[a]) for members in by_model.values() for a in shared]
    common = set.intersection(*volumes) if volumes else set()
    if not common or max(common) == 0:
        return None
    largest = max(common)
    means = {
        model: float(np.mean([_mean_score(members[ability], largest) for ability in shared]))
        for model, members in by_model.items()
    }
    parts = [
        f"{name_model(model, next(iter(by_model[model].values())).n_params)} "
        f"{say_score(mean, mine[0].response)}"
        for model, mean in means.items()
    ]
    if len(parts) > _MAX_MODELS:
        best = (max if mine[0].higher_is_better else min)(means, key=lambda model: means[model])
        named = dict(zip(means, parts, strict=True))
        parts = [f"{parts[0]} (smallest)", f"{parts[-1]} (largest)", f"{named[best]} (best)"]
    return Sentence(
        topic="Bigger base models",
        text=f"{', '.join(parts)} {_say_shared(shared)} "
        f"at {say_examples(largest)} {say_volume_kind(mine[0])} of {data_source} data {_UNTESTED}.",
    )


def _say_shared(abilities: set[str]) -> str:
    """Say what means are over."""
    if len(abilities) == 1:
        return f"in {name_ability(*abilities)}"
    return f"on average over {len(abilities)} abilities"


def _mean_score(curve: CurveFit, n_examples: float) -> float:
    """Return the mean observed score over the runs at one volume, NaN without any."""
    points = curve.points
    at_volume = (points.n_examples == n_examples) & np.isfinite(points.score)
    return float(points.score[at_volume].mean()) if at_volume.any() else float("nan")


def _volumes(curve: CurveFit) -> set[float]:
    """Return the volumes at which a curve has a score."""
    points = curve.points
    return {float(n) for n in points.n_examples[np.isfinite(points.score)]}
