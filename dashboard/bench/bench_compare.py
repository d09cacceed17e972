"""Comparisons in simulated worlds with known truth: coverage, type I, power, calibration.

Every part takes `first_world`, so that parts run one after another add up: a world depends on its
number and the number of seeds alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.special import expit

from dashboard.analysis import FitSettings
from dashboard.analysis.compare.abilities import compare_abilities
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.scales import compare_scales
from dashboard.analysis.compare.sources import compare_sources
from dashboard.bench.worlds import TRUTHS, Truth, WorldShape, simulate_study

_SEED = 20261123
_RHO = 0.25
_LOWER = "saturate-lower"
_GROWING = ("rise", "saturate", "power", "sigmoid")


def bench_compare(
    n_worlds: int = 250, *, n_replicates: int = 400, first_world: int = 0
) -> dict[str, Any]:
    """Return the figures of all comparisons; `n_worlds` counts worlds for each number of seeds."""
    began = time.perf_counter()
    return {
        "sources": {
            seeds: bench_sources(
                n_worlds, seeds=seeds, n_replicates=n_replicates, first_world=first_world
            )
            for seeds in (2, 3, 8)
        },
        "scales": bench_scales(n_worlds, n_replicates=n_replicates, first_world=first_world),
        "abilities": bench_abilities(n_worlds, n_replicates=n_replicates, first_world=first_world),
        "worlds": n_worlds,
        "seconds": time.perf_counter() - began,
    }


def bench_sources(
    n_worlds: int, *, seeds: int = 2, n_replicates: int = 400, first_world: int = 0
) -> dict[str, Any]:
    """Two sources on five abilities: two at a quarter of the pace, two alike, one lower ceiling.

    Returns
    -------
    dict
        `difference`: coverage of 95% intervals; `type_one`: share of differences with p < 0.05
        where both sources are alike; `false_discoveries`: their mean share among those with
        q < 0.05; `power`: share of true differences of at least 10 points with q < 0.05; `rate`:
        coverage where identified; `rate_identified`: how often it was; `one_curve_rejected`: share
        of tests of a shared ceiling with p < 0.05, where every pair of sources does share one;
        `two_ceilings_rejected`: the same where ceilings are 0.75 and 0.55.
    """
    shape = WorldShape(seeds=seeds)
    covered, alike, false_share, found = [], [], [], []
    rates, identified = [], []
    ceilings: list[bool] = []
    lower: list[bool] = []
    for world in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([_SEED, seeds, world])
        slower = [str(kind) for kind in rng.choice(_GROWING, size=2, replace=False)]
        truths = _two_sources(slower, [str(k) for k in rng.choice(_GROWING, size=2)])
        curves = simulate_study(truths, shape, rng)
        result = compare_sources(curves, FitSettings(n_replicates=n_replicates, seed=world))
        for pair in result.pairs:
            reference, source = (
                truths[pair.ability, "m", name] for name in (pair.reference, pair.data_source)
            )
            truth = float(reference(pair.n_examples) - source(pair.n_examples))
            assert pair.difference is not None  # simulated sources are always compared
            covered.append(pair.difference.low <= truth <= pair.difference.high)
            if truth == 0:
                assert pair.p_value is not None
                alike.append(pair.p_value < 0.05)
            elif abs(truth) >= 0.1:
                found.append(pair.significant)
        claimed = [pair.ability for pair in result.pairs if pair.significant]
        wrong = sum(ability.endswith("-alike") for ability in claimed)
        false_share.append(wrong / max(len(claimed), 1))
        for rate in result.exchange_rates:
            if rate.ability == _LOWER:
                continue
            truth = 1.0 if rate.ability.endswith("-alike") else 1 / _RHO
            identified.append(rate.status is not RatioStatus.NOT_IDENTIFIED)
            if rate.rate is not None:
                low = 0.0 if rate.rate.low is None else rate.rate.low
                high = np.inf if rate.rate.high is None else rate.rate.high
                rates.append(low <= truth <= high)
        for item in result.shared_curves:
            if item.p_value is not None:
                (lower if item.ability == _LOWER else ceilings).append(item.p_value < 0.05)
    return {
        "difference": _share(covered),
        "type_one": _share(alike),
        "false_discoveries": float(np.mean(false_share)),
        "power": _share(found),
        "rate": _share(rates),
        "rate_identified": _share(identified),
        "one_curve_rejected": _share(ceilings),
        "two_ceilings_rejected": _share(lower),
    }


def bench_scales(n_worlds: int, *, n_replicates: int = 400, first_world: int = 0) -> dict[str, Any]:
    """Four base models with random ceilings: calibration of P(best) and of the stated regret.

    Returns
    -------
    dict
        `p_best_stated` and `p_best_true`: mean probability stated for the model ranked first, and
        how often it was the best; `regret_stated`, `regret_true`: the same for its regret;
        `bins`: the same calibration by stated probability over all models; `type_one`: share of
        scale-by-gain slopes with p < 0.05 where size has no effect.
    """
    models = {"m1": 10**6, "m2": 10**7, "m3": 10**8, "m4": 10**9}
    shape = WorldShape(seeds=2)
    first, stated, true, regret_stated, regret_true, slopes = [], [], [], [], [], []
    for world in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([_SEED, 1000, world])
        spread = 0.0 if world % 2 else 0.12
        tops = 0.65 + spread * rng.normal(size=len(models)).clip(-2, 2)
        truths = {
            ("code", name, "human"): _saturating(float(top))
            for name, top in zip(models, tops, strict=True)
        }
        curves = simulate_study(truths, shape, rng, n_params=models)
        result = compare_scales(curves, FitSettings(n_replicates=n_replicates, seed=world))
        if spread == 0:
            slopes += [
                item.p_value < 0.05
                for item in result.scale_effects
                if item.quantity == "gain" and item.p_value is not None
            ]
            continue
        finals = {name: float(truths["code", name, "human"](256.0)) for name in models}
        best = max(finals, key=lambda name: finals[name])
        for model in result.models:
            assert model.p_best is not None  # every simulated model is fitted
            stated.append(model.p_best)
            true.append(model.base_model == best)
            if model.rank == 1:
                first.append((model.p_best, model.base_model == best))
                regret_true.append(finals[best] - finals[model.base_model])
        last = result.ranking_at[-1]
        assert last.expected_regret is not None
        regret_stated.append(last.expected_regret)
    return {
        "p_best_stated": float(np.mean([p for p, _ in first])) if first else None,
        "p_best_true": float(np.mean([hit for _, hit in first])) if first else None,
        "regret_stated": float(np.mean(regret_stated)) if regret_stated else None,
        "regret_true": float(np.mean(regret_true)) if regret_true else None,
        "bins": _bins(np.array(stated), np.array(true, dtype=float)),
        "type_one": _share(slopes),
    }


def bench_abilities(
    n_worlds: int, *, n_replicates: int = 400, first_world: int = 0
) -> dict[str, Any]:
    """Four abilities, alike in odd worlds: max-t errors, pairs' coverage, the macro mean.

    Returns
    -------
    dict
        `type_one_pace`, `type_one_gain`: share of worlds of equal abilities in which any has an
        adjusted p < 0.05; `gain_pairs`: coverage of differences of gains; `overall`: coverage of
        the macro mean's gain.
    """
    pace, gain, pairs, overall = [], [], [], []
    for world in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([_SEED, 2000, world])
        kinds = ["rise"] * 4 if world % 2 else list(_GROWING)
        truths = {(f"{k}-{i}", "m", "human"): TRUTHS[k] for i, k in enumerate(kinds)}
        curves = simulate_study(truths, WorldShape(), rng)
        result = compare_abilities(curves, FitSettings(n_replicates=n_replicates, seed=world))
        gains = {key[0]: float(f(256.0) - f(0.0)) for key, f in truths.items()}
        if world % 2:
            pace.append(any(a.p_pace is not None and a.p_pace < 0.05 for a in result.abilities))
            gain.append(any(a.p_gain is not None and a.p_gain < 0.05 for a in result.abilities))
        for item in result.pairs:
            if item.quantity == "gain":
                truth = gains[item.ability] - gains[item.other]
                pairs.append(item.difference.low <= truth <= item.difference.high)
        mean = result.overall[0].gain
        assert mean is not None  # four fitted abilities
        overall.append(mean.low <= float(np.mean(list(gains.values()))) <= mean.high)
    return {
        "type_one_pace": _share(pace),
        "type_one_gain": _share(gain),
        "gain_pairs": _share(pairs),
        "overall": _share(overall),
    }


def _two_sources(slower: list[str], alike: list[str]) -> dict[tuple[str, str, str], Truth]:
    """Return truths of two sources: the second grows slower on some abilities."""
    truths: dict[tuple[str, str, str], Truth] = {}
    for index, kind in enumerate(slower):
        truth = TRUTHS[kind]
        truths[f"{kind}-{index}-slower", "m", "human"] = truth
        truths[f"{kind}-{index}-slower", "m", "synthetic"] = _slowed(truth)
    for index, kind in enumerate(alike):
        for source in ("human", "synthetic"):
            truths[f"{kind}-{index}-alike", "m", source] = TRUTHS[kind]
    truths[_LOWER, "m", "human"] = TRUTHS["saturate"]
    truths[_LOWER, "m", "synthetic"] = lambda n: 0.3 + 0.25 * (1 - np.exp(-0.08 * n))
    return truths


def _slowed(truth: Truth) -> Truth:
    """Return a curve whose examples are worth `_RHO` of the others."""
    return lambda n: truth(np.asarray(n) * _RHO)


def _saturating(top: float) -> Truth:
    """Return a curve from 0.3 towards `top`, bounded away from 0 and 1."""
    ceiling = float(expit(np.log(top / (1 - top)))) if 0 < top < 1 else 0.95
    return lambda n: 0.3 + (min(max(ceiling, 0.32), 0.97) - 0.3) * (1 - np.exp(-0.02 * n))


def _bins(stated: Any, true: Any) -> list[dict[str, float]]:
    """Return how often models were best, by the probability stated for them."""
    rows = []
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1.01)):
        inside = (stated >= low) & (stated < high)
        if inside.any():
            rows.append(
                {
                    "n": int(inside.sum()),
                    "stated": float(stated[inside].mean()),
                    "true": float(true[inside].mean()),
                }
            )
    return rows


def _share(hits: list[bool]) -> dict[str, float | int | None]:
    """Return counts, which parts can add up, and their ratio."""
    n = len(hits)
    return {"hits": int(sum(hits)), "n": n, "share": sum(hits) / n if n else None}
