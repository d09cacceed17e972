"""Coverage of gains and curve values at observed volumes in simulated worlds with known truth."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np

from dashboard.analysis import FitSettings, fit_study
from dashboard.bench.worlds import TRUTHS, WorldShape, simulate_study

_CURVES = 4
_SEED = 20261122


def bench_coverage(
    n_worlds: int = 1000, *, seeds: int = 2, n_replicates: int = 500, first_world: int = 0
) -> dict[str, Any]:
    """Count how often 95% intervals hold the truth.

    A world is a study of four abilities, whose true curves are drawn from `TRUTHS`, with `seeds`
    runs at four volumes, 300 items and a run standard deviation of 0.3 on the logit scale. World k
    depends on k alone, so parts run with `first_world` add up.

    Returns
    -------
    dict
        `gain` and `value`: {covered, n, share}, `gain_by_truth`, worlds, seeds, seconds.
    """
    began = time.perf_counter()
    shape = WorldShape(seeds=seeds)
    volumes = np.array(shape.volumes)
    covered: Counter[str] = Counter()
    tried: Counter[str] = Counter()

    def count(name: str, inside: object) -> None:
        hits = np.atleast_1d(np.asarray(inside, dtype=bool))
        covered[name] += int(hits.sum())
        tried[name] += hits.size

    for world in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([_SEED, seeds, world])
        kinds = rng.choice(list(TRUTHS), size=_CURVES, replace=False)
        truths = {(str(kind), "m", "human"): TRUTHS[str(kind)] for kind in kinds}
        curves = simulate_study(truths, shape, rng)
        settings = FitSettings(n_replicates=n_replicates, seed=world)
        for fit in fit_study(curves, settings).curves:
            truth = TRUTHS[fit.ability](volumes)
            assert fit.gain is not None  # every simulated curve is fitted
            assert fit.band is not None
            inside = fit.gain.low <= truth[-1] - truth[0] <= fit.gain.high
            count("gain", inside)
            count(fit.ability, inside)
            at = np.searchsorted(fit.band.n_examples, volumes)
            count("value", (fit.band.low[at] <= truth) & (truth <= fit.band.high[at]))
    return {
        "seeds": seeds,
        "worlds": n_worlds,
        "first_world": first_world,
        "gain": _share(covered["gain"], tried["gain"]),
        "value": _share(covered["value"], tried["value"]),
        "gain_by_truth": {
            kind: _share(covered[kind], tried[kind]) for kind in TRUTHS if tried[kind]
        },
        "seconds": time.perf_counter() - began,
    }


def _share(covered: int, n: int) -> dict[str, float]:
    """Return counts, which parts can add up, and their ratio."""
    return {"covered": covered, "n": n, "share": covered / n}
