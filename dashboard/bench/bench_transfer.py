"""Transfer, effective data and mixtures in simulated worlds with known truth, and their speed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dashboard.analysis import FitSettings
from dashboard.analysis.effective import WorthStatus, fit_effective
from dashboard.analysis.mixtures import compare_mixtures
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.transfer import TransferDesign, fit_transfer
from dashboard.bench.run_worlds import World, plan, run, simulate_table

_SEED = 424242
_ABILITIES = ("a", "b", "c", "d")
_RHO = {"human": 1.0, "synthetic": 0.4}


def bench_transfer(
    n_worlds: int = 300, *, n_effective: int = 200, n_replicates: int = 400
) -> dict[str, Any]:
    """Simulate grids of four abilities with two seeds, 200 items and 0.3 logits of run noise.

    Returns
    -------
    dict
        `format_only`: worlds in which every fine-tuning raises every score and no ability helps
        another: share of p < 0.05 (must be at most 0.05) and coverage of `beyond_format`, by
        design. `nothing`: worlds without any effect on other abilities: the same for the raw
        effect. `planted`: two helpful pairs: false discovery proportion and power. `effective`:
        coverage of rho, of positive and of zero tau, p < 0.05 where tau is 0, power. `mixtures`:
        p < 0.05 and coverage for two equal mixtures, single targets and overall means, with luck
        that a run's abilities share. `speed`: seconds for ten abilities and three exams.
    """
    return {
        "n_worlds": n_worlds,
        "n_effective": n_effective,
        "format_only": _null_matrix(n_worlds, n_replicates, format_gain=1.0),
        "nothing": _null_effects(n_worlds, n_replicates),
        "planted": _planted_matrix(n_worlds, n_replicates),
        "effective": _effective(n_effective, n_replicates),
        "mixtures": _mixtures(n_worlds, n_replicates),
        "speed": _speed(),
    }


def _null_matrix(n_worlds: int, n_replicates: int, *, format_gain: float) -> dict[str, Any]:
    """Rejections and coverage of `beyond_format` where no ability helps another."""
    world = World(abilities=_ABILITIES, tau=np.eye(4), format_gain=format_gain)
    seen: dict[str, list[tuple[bool, bool]]] = {design.value: [] for design in TransferDesign}
    for k in range(n_worlds):
        table = simulate_table(world, plan(_ABILITIES), np.random.default_rng([_SEED, 1, k]))
        for cell in fit_transfer(table, FitSettings(n_replicates=n_replicates)).cells:
            if not cell.own and cell.beyond_format is not None:
                assert cell.beyond_format_p_value is not None  # two seeds: always tested
                seen[cell.design.value].append(
                    (
                        cell.beyond_format_p_value < 0.05,
                        cell.beyond_format.low <= 0 <= cell.beyond_format.high,
                    )
                )
    return {name: _rates(values) for name, values in seen.items()}


def _null_effects(n_worlds: int, n_replicates: int) -> dict[str, Any]:
    """Rejections and coverage of the raw effect where there is none."""
    world = World(abilities=_ABILITIES, tau=np.eye(4))
    seen: dict[str, list[tuple[bool, bool]]] = {design.value: [] for design in TransferDesign}
    for k in range(n_worlds):
        table = simulate_table(world, plan(_ABILITIES), np.random.default_rng([_SEED, 2, k]))
        for cell in fit_transfer(table, FitSettings(n_replicates=n_replicates)).cells:
            if not cell.own and cell.effect is not None and cell.p_value is not None:
                covers = cell.effect.low <= 0 <= cell.effect.high
                seen[cell.design.value].append((cell.p_value < 0.05, covers))
    return {name: _rates(values) for name, values in seen.items()}


def _planted_matrix(n_worlds: int, n_replicates: int) -> dict[str, float]:
    """False discoveries and power at q < 0.05 among single abilities."""
    world = World(abilities=_ABILITIES, tau=_planted(), format_gain=0.5)
    proportions, power = [], []
    for k in range(n_worlds):
        table = simulate_table(world, plan(_ABILITIES), np.random.default_rng([_SEED, 3, k]))
        result = fit_transfer(table, FitSettings(n_replicates=n_replicates))
        found = [
            (cell.source_ability, cell.target_ability)
            for cell in result.cells
            if cell.design is TransferDesign.SINGLE_ABILITY
            and cell.beyond_format_q_value is not None
            and cell.beyond_format_q_value < 0.05
        ]
        # Beside a helpful source the others look harmful, so only untouched targets are null.
        false = [pair for pair in found if pair[0] != pair[1] and pair[1] in ("a", "c")]
        proportions.append(len(false) / max(len(found), 1))
        power += [found.count(pair) / 2 for pair in (("a", "b"), ("c", "d"))]
    return {
        "false_discovery_proportion": float(np.mean(proportions)),
        "power": float(np.mean(power)),
    }


def _effective(n_worlds: int, n_replicates: int) -> dict[str, Any]:
    """Coverage of worths, level and power of their tests."""
    tau = _planted()
    world = World(abilities=_ABILITIES, tau=tau, rho=_RHO)
    runs = plan(_ABILITIES, other_sources={"synthetic": (16, 64, 256)})
    covered: dict[str, list[bool]] = {"rho": [], "tau_positive": [], "tau_zero": []}
    rejected: list[bool] = []
    power: list[bool] = []
    unknown = total = 0
    for k in range(n_worlds):
        table = simulate_table(world, runs, np.random.default_rng([_SEED, 4, k]))
        fit = fit_effective(table, FitSettings(n_replicates=n_replicates // 2))
        for worth in fit.tau:
            total += 1
            source, target = (
                _ABILITIES.index(name) for name in (worth.source_ability, worth.target_ability)
            )
            true = tau[source, target]
            if worth.status is WorthStatus.NOT_IDENTIFIED or worth.tau is None:
                unknown += 1
                continue
            name = "tau_positive" if true > 0 else "tau_zero"
            covered[name].append(worth.tau.low <= true <= worth.tau.high)
            assert worth.p_value is not None  # given wherever tau is
            (power if true > 0 else rejected).append(worth.p_value < 0.05)
        for source_worth in fit.rho:
            if source_worth.rho is not None:
                interval = source_worth.rho
                covered["rho"].append(interval.low <= _RHO["synthetic"] <= interval.high)
    return {
        "coverage": {name: float(np.mean(values)) for name, values in covered.items()},
        "rejected_where_zero": float(np.mean(rejected)),
        "power": float(np.mean(power)),
        "not_identified": unknown / total,
    }


def _mixtures(n_worlds: int, n_replicates: int) -> dict[str, Any]:
    """Two mixtures that are the same, where a run's luck is shared by its abilities."""
    counts = {("human", ability): 32.0 for ability in _ABILITIES}
    runs = plan(_ABILITIES, volumes=(16,))
    runs += [
        run(f"{name}-{seed}", "mixture", name, counts, volume=None, seed=seed)
        for name in ("one", "two")
        for seed in range(2)
    ]
    world = World(abilities=_ABILITIES, tau=np.eye(4))
    seen: dict[str, list[tuple[bool, bool]]] = {"single": [], "overall": []}
    for k in range(n_worlds):
        table = simulate_table(world, runs, np.random.default_rng([_SEED, 5, k]), shared_luck=0.7)
        for pair in compare_mixtures(table, FitSettings(n_replicates=n_replicates)).pairs:
            if pair.difference is not None and pair.p_value is not None:
                covers = pair.difference.low <= 0 <= pair.difference.high
                seen["overall" if pair.overall else "single"].append((pair.p_value < 0.05, covers))
    return {name: _rates(values) for name, values in seen.items()}


def speed_table() -> RunTable:
    """Return a simulated grid like the shipped one: ten abilities, three exams."""
    names = tuple(f"ability{i}" for i in range(10)) + tuple(f"exam{i}" for i in range(3))
    tau = np.eye(13)
    tau[:10, 10:] = 0.1
    runs = plan(names[:10], other_sources={"synthetic": (16, 64, 256)})
    world = World(abilities=names, tau=tau, rho=_RHO)
    return simulate_table(world, runs, np.random.default_rng(_SEED))


def _speed() -> dict[str, float]:
    """Seconds for `speed_table`."""
    table = speed_table()
    began = time.perf_counter()
    fit_transfer(table)
    matrix = time.perf_counter()
    fit_effective(table, FitSettings(n_replicates=400))
    effective = time.perf_counter()
    return {
        "n_runs": float(len(table.runs)),
        "n_targets": float(len(table.targets)),
        "matrix_seconds": matrix - began,
        "effective_seconds": effective - matrix,
    }


def _planted() -> np.ndarray:
    tau = np.eye(4)
    tau[0, 1], tau[2, 3] = 0.3, 0.8
    return tau


def _rates(values: list[tuple[bool, bool]]) -> dict[str, float]:
    table = np.array(values, dtype=float)
    return {
        "n": float(len(table)),
        "rejected": float(table[:, 0].mean()),
        "covered": float(table[:, 1].mean()),
    }
