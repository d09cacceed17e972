"""Budgets in simulated worlds with known truth: whether P(better) holds, and the regret.

A world is a study of six abilities and two sources with two seeds at four volumes. Starts, gains,
paces and the second source's ceiling and pace are drawn at random; three abilities in ten do not
grow. The truth of a plan that mixes sources follows the planner's own mixing rule on the true
curves, so that rule itself is not tested here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from dashboard.analysis import FitSettings, IntervalKind
from dashboard.analysis.budget.allocate import milp_start, objective, polish, round_down
from dashboard.analysis.budget.build import plan_curves, source_surfaces
from dashboard.analysis.budget.power import (
    PowerDesign,
    PowerQuestion,
    critical_value,
    effect_variance,
    gain_weights,
    power_of,
)
from dashboard.analysis.budget.recommend import Option, first_answer, recommend
from dashboard.analysis.budget.solve import solve
from dashboard.analysis.budget.spec import PlanSpec, build_problem
from dashboard.analysis.budget.surface import SourceSurface
from dashboard.analysis.curve_data import FloatArray
from dashboard.bench.worlds import Truth, WorldShape, simulate_study

_SEED = 20261122
_SOURCES = ("human", "synthetic")
_GRID = np.concatenate([[0.0], np.geomspace(1, 256, 60)])


def bench_budget(
    n_worlds: int = 120,
    *,
    n_abilities: int = 6,
    n_replicates: int = 200,
    first_world: int = 0,
    alike: bool = False,
) -> dict[str, Any]:
    """Recommend a budget in every world and judge it by the truth.

    World k depends on k alone, so parts run with `first_world` add up. The user's own plan is drawn
    at random. With `alike` all abilities grow alike and so do their sources, nearly: the uniform
    plan is about the best there is, and whatever looks better is luck.

    Returns
    -------
    dict
        `uniform` and `own_plan`: mean stated P(better), share of worlds where the plan is truly
        better (a plan that is the same counts half), and the same by bins of the stated
        probability; `regret`: weighted score lost against the truly best plan (mean, 90% quantile)
        beside the uniform plan's; `lead`: stated and true lead over the uniform plan; `covered`:
        share of 95% intervals that hold the truth, of the weighted score, of the lead and of single
        abilities' scores; `spent`: mean share of the budget.
    """
    began = time.perf_counter()
    stated: dict[str, list[float]] = {"uniform": [], "own_plan": []}
    better: dict[str, list[float]] = {"uniform": [], "own_plan": []}
    regret: list[float] = []
    regret_uniform: list[float] = []
    bias: list[float] = []
    leads: list[tuple[float, float]] = []
    spent: list[float] = []
    covered: dict[str, list[bool]] = {"score": [], "lead": [], "ability": []}
    for world in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([_SEED, world])
        truths = draw_truths(n_abilities, rng, alike=alike)
        curves = simulate_study(
            {(a, "m", s): truth for (a, s), truth in truths.items()}, WorldShape(n_items=200), rng
        )
        settings = FitSettings(n_replicates=n_replicates, seed=world)
        planned, _ = plan_curves(curves, curves, settings)
        (surface,), _, _ = source_surfaces(planned)
        problem = build_problem(PlanSpec(budget=float(rng.integers(100, 1500))), surface)
        share = rng.dirichlet(np.full(problem.cost.size, 0.5)).reshape(problem.cost.shape)
        own = np.floor(np.minimum(share * problem.budget, problem.limit))
        found = recommend(
            [Option(surface=surface, problem=problem)],
            own_plan=own,
            frontier=(),
            n_resolved=0,
        )
        plan = np.zeros(problem.cost.shape)
        for cell in found.allocation:
            index = (surface.abilities.index(cell.ability), surface.sources.index(cell.data_source))
            plan[index] = cell.n_examples
        truth = true_surface(truths)
        best = polish(
            truth,
            problem,
            [problem.uniform(), plan, round_down(problem, _start(truth, problem))],
        )
        assert best is not None  # the uniform plan is always allowed here
        weight = 1 / n_abilities
        true = weight * objective(truth, problem, np.stack([plan, problem.uniform(), own, best]))
        for name, comparison, value in zip(stated, found.versus, true[1:3], strict=True):
            stated[name].append(comparison.p_better)
            better[name].append((1 + float(np.sign(true[0] - value))) / 2)
        regret.append(float(true[3] - true[0]))
        regret_uniform.append(float(true[3] - true[1]))
        bias.append(found.score.estimate - float(true[0]))
        lead = found.versus[0].difference
        leads.append((lead.estimate, float(true[0] - true[1])))
        spent.append(found.spent / found.budget)
        covered["score"].append(found.score.low <= true[0] <= found.score.high)
        covered["lead"].append(lead.low <= true[0] - true[1] <= lead.high)
        for row, value in zip(found.expected, truth.scores(plan), strict=True):
            covered["ability"].append(bool(row.score.low <= value <= row.score.high))
    return {
        "worlds": n_worlds,
        "first_world": first_world,
        "alike": alike,
        "uniform": _calibration(stated["uniform"], better["uniform"]),
        "own_plan": _calibration(stated["own_plan"], better["own_plan"]),
        "regret": _summary(regret),
        "regret_of_uniform": _summary(regret_uniform),
        "score_bias": _summary(bias),
        "lead": {
            "stated": float(np.mean([stated for stated, _ in leads])),
            "true": float(np.mean([true for _, true in leads])),
        },
        "spent": float(np.mean(spent)),
        "covered": {name: float(np.mean(hits)) for name, hits in covered.items()},
        "seconds": time.perf_counter() - began,
    }


def bench_budget_speed(n_abilities: int = 10, n_replicates: int = 1000) -> dict[str, float]:
    """Time a whole answer, fits included, for many abilities and two sources."""
    rng = np.random.default_rng(_SEED)
    truths = draw_truths(n_abilities, rng)
    curves = simulate_study(
        {(a, "m", s): truth for (a, s), truth in truths.items()}, WorldShape(n_items=200), rng
    )
    began = time.perf_counter()
    planned, _ = plan_curves(curves, curves, FitSettings(n_replicates=n_replicates))
    (surface,), _, _ = source_surfaces(planned)
    problem = build_problem(PlanSpec(budget=1000), surface)
    fitted = time.perf_counter()
    first_answer([Option(surface=surface, problem=problem)])
    first = time.perf_counter()
    recommend([Option(surface=surface, problem=problem)])
    return {
        "abilities": n_abilities,
        "fit_seconds": fitted - began,
        "first_answer_seconds": first - began,
        "whole_seconds": time.perf_counter() - began,
    }


def bench_brute_force(n_problems: int = 60, budget: int = 20) -> dict[str, float]:
    """Compare the plans found on known curves with the best of all plans that there are.

    Returns
    -------
    dict
        `best_found`: share of problems of two abilities and two sources whose best plan was found;
        `largest_loss`: weighted mean score that the worst one lost.
    """
    counts = np.array(list(product(range(budget + 1), repeat=4)), dtype=float)
    every = counts[counts.sum(axis=1) <= budget].reshape(-1, 2, 2)
    losses = []
    for index in range(n_problems):
        truth = true_surface(draw_truths(2, np.random.default_rng([_SEED, 1, index])))
        problem = build_problem(PlanSpec(budget=budget), truth)
        problem = replace(problem, least_gain=0.0)
        found = solve(truth, problem)
        best = float(objective(truth, problem, every).max())
        losses.append((best - float(objective(truth, problem, found))) / 2)
    return {
        "problems": n_problems,
        "plans": len(every),
        "best_found": float(np.mean(np.array(losses) < 1e-9)),
        "largest_loss": float(np.max(losses)),
    }


def bench_power(
    design: PowerDesign | None = None, *, n_items: int = 200, n_seeds: int = 3, n_worlds: int = 2000
) -> dict[str, float]:
    """Compare the stated power and variance with simulated runs of the same design.

    The test takes the variance as known. Items have the design's correlations at scores about 1/2.
    """
    design = design or PowerDesign(score=0.45, effect=0.1)
    rng = np.random.default_rng(_SEED)
    estimates = np.array([_one_study(design, n_items, n_seeds, rng) for _ in range(n_worlds)])
    variance = effect_variance(design, n_items, n_seeds)
    critical = critical_value(design, n_seeds)
    return {
        "stated_power": power_of(design, n_items, n_seeds),
        "simulated_power": float(np.mean(estimates > critical * np.sqrt(variance))),
        "stated_variance": variance,
        "simulated_variance": float(estimates.var()),
        "mean_estimate": float(estimates.mean()),
        "n_worlds": n_worlds,
    }


def _one_study(design: PowerDesign, n_items: int, n_seeds: int, rng: np.random.Generator) -> float:
    """Run one study: the estimated gain or difference."""
    # At p = 1/2 two thresholded normals with correlation r agree with 2 / pi arcsin(r).
    within, between = (
        np.sin(np.pi / 2 * r) for r in (design.seed_correlation, design.setting_correlation)
    )
    shared = rng.normal(size=n_items)

    def score(p: float, runs: int, run_stddev: float) -> float:
        """Return the mean score of a setting's runs."""
        setting = rng.normal(size=n_items)
        own = rng.normal(size=(runs, n_items))
        latent = (
            np.sqrt(between) * shared
            + np.sqrt(within - between) * setting
            + np.sqrt(1 - within) * own
        )
        rate = expit(logit(p) + run_stddev * rng.normal(size=(runs, 1)))
        return float((latent < norm.ppf(rate)).mean())

    if design.question is PowerQuestion.DIFFERENCE:
        first, second = design.score, design.score + design.effect
        sd = design.run_stddev
        return score(second, n_seeds, sd) - score(first, n_seeds, sd)
    weights, _ = gain_weights(design, n_items, n_seeds)
    n = np.array(sorted(design.volumes))
    shape = np.log1p(n / n[0]) / np.log1p(n[-1] / n[0])
    base = score(design.score, 1, 0.0)
    trained = [score(design.score + design.effect * s, n_seeds, design.run_stddev) for s in shape]
    return float(weights @ (np.array(trained) - base))


def draw_truths(
    n_abilities: int, rng: np.random.Generator, *, alike: bool = False
) -> dict[tuple[str, str], Truth]:
    """Draw the true curve of every ability and source: Hill curves in the volume."""
    truths: dict[tuple[str, str], Truth] = {}
    for index in range(n_abilities):
        if index == 0 or not alike:
            start = rng.uniform(0.2, 0.55)
            gain = 0.0 if rng.random() < 0.3 and not alike else rng.uniform(0.05, 0.4)
            half, steep = np.exp(rng.uniform(np.log(8), np.log(200))), rng.uniform(0.7, 1.6)
            reach, pace = (0.9, 1.2) if alike else (rng.uniform(0.3, 1.0), rng.uniform(0.5, 4.0))
        truths[f"ability{index}", "human"] = _hill(start, gain, half, steep)
        truths[f"ability{index}", "synthetic"] = _hill(start, reach * gain, pace * half, steep)
    return truths


def true_surface(truths: dict[tuple[str, str], Truth]) -> SourceSurface:
    """Return the surface of the true curves."""
    abilities = tuple(sorted({ability for ability, _ in truths}))
    curves = np.array([[truths[a, s](_GRID) for s in _SOURCES] for a in abilities])
    return SourceSurface(
        abilities=abilities,
        sources=_SOURCES,
        base_model="m",
        sign=1.0,
        n_grid=_GRID,
        curves=curves,
        replicates=curves[..., None][..., :0],
        supported=np.full(curves.shape[:2], _GRID[-1]),
        df=np.inf,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )


def _start(truth: SourceSurface, problem: Any) -> FloatArray:
    found = milp_start(truth.pieces(), problem)
    return problem.uniform() if found is None else found


def _hill(start: float, gain: float, half: float, steep: float) -> Truth:
    return lambda n: start + gain * np.asarray(n) ** steep / (np.asarray(n) ** steep + half**steep)


def _calibration(stated: list[float], better: list[float]) -> dict[str, Any]:
    """Return mean stated probability and observed share, overall and by bin."""
    p, hit = np.array(stated), np.array(better)
    edges = np.array([0.0, 0.6, 0.8, 0.9, 0.97, 1.0])
    bins = []
    for low, high in pairwise(edges):
        inside = (p >= low) & (p < high if high < 1 else p <= high)
        if inside.any():
            bins.append(
                {
                    "from": float(low),
                    "to": float(high),
                    "n": int(inside.sum()),
                    "stated": float(p[inside].mean()),
                    "better": float(hit[inside].mean()),
                }
            )
    return {"stated": float(p.mean()), "better": float(hit.mean()), "n": len(p), "bins": bins}


def _summary(values: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "q90": float(np.quantile(values, 0.9))}
