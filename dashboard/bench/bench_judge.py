"""Judge statistics in simulated worlds with known truth: coverage, type I errors, speed.

Items are drawn anew in every world; abilities, biases and lengths' effect are fixed. For the item i
and models a, b

    logit P(a preferred) = theta_a - theta_b + sd_item (u_ia - u_ib) + psi (s_a - s_b) gamma_i
                           + phi tanh(d / sd(d)) + position (a first: +, b first: -)

so models differ in what they are good at (u), and the truth of win rates and ratings is the mean
over 200,000 items.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.bradley_terry import fit_ratings
from dashboard.analysis.judge.pairs import Comparisons
from dashboard.analysis.judge.summary import summarise_votes
from dashboard.analysis.judge.votes import NONE, Votes
from dashboard.analysis.results import Interval

WORLD_SEED = 20261122
_TRUTH_ITEMS = 200_000


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true in a simulated study; `theta` has one entry per model."""

    theta: tuple[float, ...]
    sd_item: float = 0.7
    difficulty_effect: float = 0.0
    length_effect: float = 0.0
    length_effect_sd: float = 0.0
    position: float = 0.0
    n_items: int = 200
    round_robin: bool = False
    graded: bool = False
    both_orders: bool = True

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Return the pairs compared: all, or each model with the first."""
        n = len(self.theta)
        if self.round_robin:
            return [(a, b) for a in range(n) for b in range(a + 1, n)]
        return [(0, b) for b in range(1, n)]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Win rates against model 0 (or all met), at equal length, and ratings."""

    win_rate: FloatArray
    length_controlled: FloatArray
    rating: FloatArray


def draw_votes(world: World, rng: np.random.Generator) -> Votes:
    """Draw the votes of one judge in one world."""
    latent, _, lengths, gamma = _latent(world, rng, world.n_items)
    n_items, n_models = world.n_items, len(world.theta)
    parts = []
    for index, (a, b) in enumerate(world.pairs):
        for first in (0, 1) if world.both_orders else (0,):
            side = np.full(n_items, first)
            if not world.both_orders:
                side = rng.integers(2, size=n_items)
            p = expit(latent[index] + world.position * np.where(side == 0, 1, -1))
            if world.graded:
                share = rng.beta(2 * p, 2 * (1 - p))
            else:
                share = (rng.random(n_items) < p).astype(float)
            parts.append(
                np.stack(
                    [
                        np.arange(n_items), np.full(n_items, a), np.full(n_items, b), side,
                        2 - share, lengths[:, a], lengths[:, b], gamma,
                    ]
                )
            )  # fmt: skip
    columns = np.concatenate(parts, axis=1)
    whole = columns[:4].astype(np.int64)
    n_votes = columns.shape[1]
    return Votes(
        items=tuple(f"item{index}" for index in range(n_items)),
        models=tuple(f"model{index}" for index in range(n_models)),
        voters=("judge",),
        is_person=np.array([False]),
        item=whole[0],
        voter=np.zeros(n_votes, dtype=np.int64),
        model_a=whole[1],
        model_b=whole[2],
        first=whole[3],
        preference=columns[4],
        rating=np.full(n_votes, np.nan),
        len_a=columns[5],
        len_b=columns[6],
        difficulty=columns[7] if world.difficulty_effect else np.full(n_votes, np.nan),
    )


def find_truth(world: World) -> Truth:
    """Return the truth of a world: expectations over items, verdicts and orders."""
    rng = np.random.default_rng(WORLD_SEED)
    latent, equal, _, _ = _latent(world, rng, _TRUTH_ITEMS)
    n_models = len(world.theta)
    sums = np.zeros((2, n_models))
    counts = np.zeros(n_models)
    pairs = np.array(world.pairs)
    expected = (expit(latent + world.position) + expit(latent - world.position)) / 2
    for index, (a, b) in enumerate(world.pairs):
        for which, share in enumerate((expected[index].mean(), expit(equal[index]).mean())):
            sums[which, a] += share
            sums[which, b] += 1 - share
        counts[[a, b]] += 1
    n = len(pairs)
    as_comparisons = Comparisons(
        item=np.arange(n), left=pairs[:, 0], right=pairs[:, 1], voter=np.zeros(n, dtype=np.int64),
        share=expected.mean(axis=1), both_orders=np.ones(n, dtype=bool),
        inconsistent=np.zeros(n, dtype=bool), first_share=np.full(n, 0.5), order=np.zeros(n),
        listed=np.ones(n, dtype=np.int64), length_difference=np.full(n, np.nan),
        difficulty=np.full(n, np.nan),
    )  # fmt: skip
    names = [str(index) for index in range(n_models)]
    ratings = fit_ratings(as_comparisons, names, reference=0, n_replicates=50)
    rates = sums / counts
    return Truth(win_rate=rates[0], length_controlled=rates[1], rating=ratings.theta)


def _latent(
    world: World, rng: np.random.Generator, n_items: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return log-odds with and without length effect, (pairs, items), lengths and difficulty."""
    theta = np.array(world.theta)
    n_models = len(theta)
    skill = world.sd_item * rng.standard_normal((n_items, n_models))
    gamma = rng.standard_normal(n_items)
    # The length effect differs between pairs by fixed normal scores; later models write longer.
    scores = norm.ppf((np.arange(len(world.pairs)) + 0.5) / len(world.pairs))
    effects = world.length_effect + world.length_effect_sd * np.random.default_rng(0).permutation(
        scores
    )
    lengths = rng.gamma(4.0, 50.0 * (1 + 0.3 * np.arange(n_models)), size=(n_items, n_models))
    equal, with_length = [], []
    for effect, (a, b) in zip(effects, world.pairs, strict=True):
        base = theta[a] - theta[b] + skill[:, a] - skill[:, b]
        base += world.difficulty_effect * (a - b) / n_models * gamma
        difference = lengths[:, a] - lengths[:, b]
        equal.append(base)
        with_length.append(base + effect * np.tanh(difference / difference.std(ddof=1)))
    return np.array(with_length), np.array(equal), lengths, gamma


def cover(
    world: World, n_worlds: int, *, n_replicates: int = 300, first_world: int = 0
) -> dict[str, dict[str, float]]:
    """Count how often 95% intervals hold the truth, and how often biases test below 5%.

    World k depends on k alone, so parts run with `first_world` add up.

    Returns
    -------
    dict
        `win_rate`, `length_controlled`, `rating`, `position_rejected`, `length_rejected`: {hits, n,
        share} over models (or judges) and worlds.
    """
    truth = find_truth(world)
    reference = None if world.round_robin else "model0"
    # Without a reference ratings have mean 0.
    ratings = truth.rating - (truth.rating.mean() if world.round_robin else 0.0)
    tally = _Tally()
    for index in range(first_world, first_world + n_worlds):
        votes = draw_votes(world, np.random.default_rng([WORLD_SEED, index]))
        summary = summarise_votes(votes, reference=reference, n_replicates=n_replicates, seed=index)
        for row in summary.models:
            model = int(row.model.removeprefix("model"))
            if row.is_reference or row.win_rate is None:
                continue
            tally.holds("win_rate", row.win_rate.interval, truth.win_rate[model])
            tally.holds("rating", row.rating, ratings[model])
            controlled = row.length_controlled
            if controlled is not None and controlled.share is not None:
                tally.holds(
                    "length_controlled", controlled.share.interval, truth.length_controlled[model]
                )
        for bias in summary.bias:
            if bias.p_value is not None:
                tally.count(f"{bias.kind.value}_rejected", bias.p_value < 0.05)
    return tally.shares()


def cover_voters(n_worlds: int, *, first_world: int = 0) -> dict[str, dict[str, float]]:
    """Count how often agreement and kappa hold the truth, and self-preference tests below 5%.

    Three voters (a judge that is one of the models, another judge, a person) know each pair's
    strength, which differs between items, and vote independently given it: 20% ties.
    """
    n_items, names = 60, ("model0", "model1", "model2")
    strengths = expit(np.random.default_rng(WORLD_SEED).standard_normal(_TRUTH_ITEMS))
    each = np.stack([0.8 * strengths, np.full(_TRUTH_ITEMS, 0.2), 0.8 * (1 - strengths)])
    agree = float((each**2).sum(axis=0).mean())
    by_chance = float((each.mean(axis=1) ** 2).sum())
    tally = _Tally()
    for index in range(first_world, first_world + n_worlds):
        rng = np.random.default_rng([WORLD_SEED, 1, index])
        strength = expit(rng.standard_normal((2, n_items)))
        drawn = rng.random((3, 2, n_items))
        verdict = np.where(drawn < 0.8 * strength, 1.0, np.where(drawn < 0.8, 0.0, 0.5))
        voter, pair, item = (part.ravel() for part in np.indices(verdict.shape))
        unknown = np.full(verdict.size, np.nan)
        votes = Votes(
            items=tuple(str(number) for number in range(n_items)),
            models=names,
            voters=("judge", "model1", "person"),
            is_person=np.array([False, False, True]),
            item=item,
            voter=voter,
            model_a=np.zeros_like(pair),
            model_b=pair + 1,
            first=np.full(verdict.size, NONE),
            preference=2 - verdict.ravel(),
            rating=unknown,
            len_a=unknown,
            len_b=unknown,
            difficulty=unknown,
        )
        summary = summarise_votes(votes, n_replicates=50)
        for row in summary.agreement:
            tally.holds("agreement", row.result.agreement.interval, agree)
            tally.holds("kappa", row.result.kappa, (agree - by_chance) / (1 - by_chance))
        for bias in summary.bias:
            if bias.p_value is not None:
                tally.count(f"{bias.kind.value}_rejected", bias.p_value < 0.05)
    return tally.shares()


class _Tally:
    """Counts of what was tried and what held."""

    def __init__(self) -> None:
        """Start from nothing."""
        self.hits: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()

    def count(self, name: str, hit: bool) -> None:
        """Count one try."""
        self.tried[name] += 1
        self.hits[name] += bool(hit)

    def holds(self, name: str, interval: Interval | None, truth: float) -> None:
        """Count whether an interval holds the truth; a missing one does not."""
        self.count(name, interval is not None and interval.low <= truth <= interval.high)

    def shares(self) -> dict[str, dict[str, float]]:
        """Return counts, which parts can add up, and their ratio."""
        return {
            name: {"hits": self.hits[name], "n": n, "share": self.hits[name] / n}
            for name, n in self.tried.items()
        }


def measure_speed() -> dict[str, float]:
    """Return seconds for 20 models x 805 items x 2 orders, against a reference and all pairs."""
    figures = {}
    for name, round_robin in (("reference", False), ("round_robin", True)):
        world = World(
            theta=tuple(np.linspace(-1, 1, 20)), n_items=805, round_robin=round_robin,
            length_effect=0.5,
        )  # fmt: skip
        votes = draw_votes(world, np.random.default_rng(WORLD_SEED))
        summarise_votes(votes, n_replicates=50)
        started = time.perf_counter()
        summarise_votes(votes, n_replicates=500)
        figures[f"seconds_{name}"] = time.perf_counter() - started
        figures[f"votes_{name}"] = float(len(votes))
    return figures


WORLDS: dict[str, World] = {
    "few_items": World(theta=(0.0, -0.8, 0.4, 1.2), n_items=30),
    "plain": World(theta=(0.0, -0.8, 0.4, 1.2), n_items=200),
    "one_sided": World(theta=(0.0, -2.5, -3.5, 2.5), n_items=200),
    "position": World(theta=(0.0, -0.8, 0.4, 1.2), n_items=200, position=0.6),
    "length": World(
        theta=(0.0, -0.8, 0.4, 1.2), n_items=200, sd_item=0.0, length_effect=0.8,
        difficulty_effect=1.0,
    ),
    "many_models": World(
        theta=tuple(np.linspace(-3, 1, 8)), n_items=200, sd_item=0.0, length_effect=0.8,
        length_effect_sd=0.3, graded=True, both_orders=False,
    ),
    "graded": World(
        theta=(0.0, -0.8, 0.4, 1.2), n_items=200, graded=True, both_orders=False, length_effect=0.5
    ),
    "round_robin": World(theta=(0.0, -0.8, 0.4, 1.2), n_items=60, round_robin=True),
}  # fmt: skip


def bench_judge(
    n_worlds: int = 1000, *, n_replicates: int = 300, first_world: int = 0
) -> dict[str, Any]:
    """Run every world and the speed measurement.

    Returns
    -------
    dict
        Figures of `cover` by world, of `cover_voters` under `voters`, of `measure_speed` under
        `speed`, and seconds.
    """
    began = time.perf_counter()
    figures: dict[str, Any] = {
        name: cover(world, n_worlds, n_replicates=n_replicates, first_world=first_world)
        for name, world in WORLDS.items()
    }
    figures["voters"] = cover_voters(n_worlds, first_world=first_world)
    figures["speed"] = measure_speed()
    figures["seconds"] = time.perf_counter() - began
    return figures
