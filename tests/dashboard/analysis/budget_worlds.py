"""Small surfaces and problems with known answers, for the tests of budgets."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from dashboard.analysis import IntervalKind
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.surface import SourceSurface
from dashboard.analysis.budget.transfer_surface import TransferSurface
from dashboard.analysis.effective.model import EffectiveModel

GRID = np.unique(np.concatenate([[0.0], np.geomspace(1, 200, 40)]))


def hill(start: float, gain: float, half: float, steep: float = 1.0) -> np.ndarray:
    """A growth curve on the grid; sigmoid for steep > 1."""
    return start + gain * GRID**steep / (GRID**steep + half**steep)


def make_surface(
    curves: list[list[np.ndarray]], *, noise: float = 0.0, n_replicates: int = 200, **changes: Any
) -> SourceSurface:
    """A surface of curves[ability][source]; replicates differ by a tilt of each curve."""
    table = np.array(curves)
    rng = np.random.default_rng(7)
    tilt = noise * rng.normal(size=(*table.shape[:2], 1, n_replicates))
    fields: dict[str, Any] = {
        "abilities": tuple(f"a{index}" for index in range(table.shape[0])),
        "sources": ("human", "synthetic")[: table.shape[1]],
        "base_model": "m",
        "sign": 1.0,
        "n_grid": GRID,
        "curves": table,
        "replicates": table[..., None] + tilt * (np.log1p(GRID) / np.log1p(GRID[-1]))[:, None],
        "supported": np.full(table.shape[:2], 200.0),
        "df": np.inf,
        "kind": IntervalKind.ITEMS_AND_RUNS,
    }
    return SourceSurface(**(fields | changes))


def make_problem(surface: Any, budget: float, **changes: Any) -> BudgetProblem:
    """A problem without constraints but the budget."""
    shape = surface.supported.shape
    fields: dict[str, Any] = {
        "abilities": surface.abilities,
        "sources": surface.sources,
        "budget": budget,
        "cost": np.ones(shape),
        "limit": np.floor(surface.supported),
        "source_limit": np.full(shape[1], np.inf),
        "minimum": np.zeros(shape),
        "ability_minimum": np.zeros(shape[0]),
        "weight": np.ones(shape[0]),
        "floor": np.full(shape[0], -np.inf),
        "floor_probability": 0.8,
    }
    return BudgetProblem(**(fields | changes))


def best_by_force(surface: Any, problem: BudgetProblem) -> tuple[float, np.ndarray]:
    """The best plan of all there are."""
    ranges = [
        range(int(low), int(min(limit, problem.budget // cost)) + 1)
        for low, limit, cost in zip(
            problem.minimum.ravel(), problem.limit.ravel(), problem.cost.ravel(), strict=True
        )
    ]
    plans = np.array(list(product(*ranges)), dtype=float).reshape(-1, *problem.cost.shape)
    plans = plans[problem.allows(plans)]
    values = surface.scores(plans) @ problem.weight
    return float(values.max()), plans[values.argmax()]


def make_transfer(tau: np.ndarray, *, n_replicates: int = 50) -> TransferSurface:
    """Two abilities, one source, the same curve; transfer as given."""
    curve = np.stack([hill(0.2, 0.6, 30), hill(0.3, 0.5, 40)])
    model = EffectiveModel(
        abilities=("a0", "a1"),
        sources=("human",),
        reference="human",
        n_grid=GRID,
        curve=curve,
        curve_replicates=np.repeat(curve[..., None], n_replicates, axis=2),
        rho=np.ones((2, 1)),
        rho_replicates=np.ones((2, 1, n_replicates)),
        tau=tau,
        tau_replicates=np.repeat(tau[..., None], n_replicates, axis=2),
        tau_identified=True,
        supported_max=np.full(2, 200.0),
    )
    return TransferSurface(
        model=model,
        base_model="m",
        sign=1.0,
        supported=np.full((2, 1), 200.0),
        df=np.inf,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )
