"""Simulated run tables with known transfer: scores follow effective data, runs and items differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from dashboard.analysis.run_table import Run, RunTable, Target, TrainedOn


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true: score = g(n_eff) with g the same for all abilities, plus shifts of logits.

    `tau[s, a]` and `rho[source]` are worths, `harm[s, a]` is taken off the score in full at the
    most examples of s.
    """

    abilities: tuple[str, ...]
    tau: np.ndarray
    rho: Mapping[str, float] = field(default_factory=lambda: {"human": 1.0})
    harm: np.ndarray | None = None
    # The answer format: one effect of any fine-tuning, whatever it is about (logits).
    format_gain: float = 0.0
    floor: float = 0.2
    span: float = 0.6
    half: float = 30.0

    def growth(self, n: np.ndarray) -> np.ndarray:
        """g(n) = floor + span n / (n + half)."""
        return self.floor + self.span * n / (n + self.half)

    def score(self, counts: np.ndarray, sources: Sequence[str], most: float) -> np.ndarray:
        """Expected scores, one an ability, of examples (n_sources, n_abilities)."""
        worth = np.array([self.rho[source] for source in sources])
        n_eff = (worth @ counts) @ self.tau
        p = self.growth(n_eff)
        if self.harm is not None:
            reach = np.log1p(counts.sum(axis=0) / 4) / np.log1p(most / 4)
            p = p - reach @ self.harm
        trained = counts.sum() > 0
        return np.asarray(expit(logit(np.clip(p, 0.01, 0.99)) + self.format_gain * trained))


def run(
    cell: str, design: str, target: str | None, counts: Mapping[tuple[str, str], float],
    *, volume: float | None, seed: int | None, steps: int = 160, rule: str = "steps",
) -> Run:  # fmt: skip
    """One run of examples by (source, ability)."""
    sources = {source for source, _ in counts}
    return Run(
        cell_id=cell,
        design=design,
        design_target=target,
        data_source=None if not sources else sources.pop() if len(sources) == 1 else "mixed",
        composition=tuple(
            TrainedOn(data_source=s, ability=a, n_examples=float(n))
            for (s, a), n in sorted(counts.items())
        ),
        volume=volume,
        volume_per=None if volume is None else "ability",
        n_steps=0 if design == "base" else steps,
        length_rule="" if design == "base" else rule,
        seed=seed,
    )


def plan(
    abilities: Sequence[str],
    *,
    volumes: Sequence[int] = (16, 64),
    all_volumes: Sequence[int] = (4, 16, 64, 256),
    other_sources: Mapping[str, Sequence[int]] | None = None,
    designs: Sequence[str] = ("single_ability", "leave_one_out"),
    seeds: int = 2,
) -> list[Run]:
    """The runs of a transfer grid."""
    runs = [run("base", "base", None, {}, volume=0, seed=None)]
    for seed in range(seeds):
        for n in all_volumes:
            counts = {("human", a): n for a in abilities}
            runs.append(run(f"all-{n}-{seed}", "all_abilities", None, counts, volume=n, seed=seed))
        for source, some in (other_sources or {}).items():
            for n in some:
                counts = {(source, a): n for a in abilities}
                cell = f"all-{source}-{n}-{seed}"
                runs.append(run(cell, "all_abilities", None, counts, volume=n, seed=seed))
        for n in volumes:
            for a in abilities:
                if "single_ability" in designs:
                    cell = f"single-{a}-{n}-{seed}"
                    counts = {("human", a): n}
                    runs.append(run(cell, "single_ability", a, counts, volume=n, seed=seed))
                if "leave_one_out" in designs:
                    cell = f"without-{a}-{n}-{seed}"
                    counts = {("human", b): n for b in abilities if b != a}
                    runs.append(run(cell, "leave_one_out", a, counts, volume=n, seed=seed))
    return runs


def simulate_table(
    world: World,
    runs: Sequence[Run],
    rng: np.random.Generator,
    *,
    m: int = 200,
    run_stddev: float = 0.3,
    shared: float = 0.4,
    shared_luck: float = 0.0,
    noiseless: bool = False,
) -> RunTable:
    """Score every run on every ability: items correlated over runs, run noise on the logit.

    Parameters
    ----------
    shared : float
        Share of an item's latent variance that is its own difficulty, the same in all runs.
    shared_luck : float
        Share of a run's noise variance that all its abilities have in common.
    noiseless : bool
        Expected scores without items.
    """
    sources = sorted({p.data_source for one in runs for p in one.composition}) or ["human"]
    p = np.empty((len(runs), len(world.abilities)))
    most = max((part.n_examples for one in runs for part in one.composition), default=1.0)
    for row, one in enumerate(runs):
        counts = np.zeros((len(sources), len(world.abilities)))
        for part in one.composition:
            counts[sources.index(part.data_source), world.abilities.index(part.ability)] += (
                part.n_examples
            )
        p[row] = world.score(counts, sources, most)
    is_base = np.array([one.is_base for one in runs])
    noise = rng.normal(0, run_stddev, p.shape) if run_stddev else np.zeros(p.shape)
    if shared_luck:
        common = rng.normal(0, run_stddev, (len(runs), 1))
        noise = np.sqrt(1 - shared_luck) * noise + np.sqrt(shared_luck) * common
    noise[is_base] = 0
    noisy = expit(logit(p) + noise)
    targets = []
    for a, ability in enumerate(world.abilities):
        if noiseless:
            items, score = None, p[:, a]
        else:
            difficulty = rng.normal(size=m)
            latent = np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * rng.normal(
                size=(len(runs), m)
            )
            items = (latent < norm.ppf(noisy[:, a])[:, None]).astype(float)
            score = items.mean(axis=1)
        targets.append(
            Target(
                ability=ability,
                metric="accuracy",
                higher_is_better=True,
                chance_level=world.floor,
                out_of_domain=ability.startswith("exam"),
                score=score,
                stderr=np.sqrt(score * (1 - score) / m),
                n_items=np.full(len(runs), float(m)),
                item_scores=items,
            )
        )
    return RunTable(
        study="s", base_model="m", n_params=1000, runs=tuple(runs), targets=tuple(targets)
    )
