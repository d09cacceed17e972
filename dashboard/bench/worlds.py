"""Simulated studies with known curves: items of differing difficulty, runs that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from dashboard.analysis import CurveData
from dashboard.analysis.curve_data import FloatArray

VOLUMES = (0.0, 4.0, 16.0, 64.0, 256.0)

Truth = Callable[[Any], Any]
"""Expected score at volumes."""

TRUTHS: dict[str, Truth] = {
    "flat": lambda n: np.full(np.shape(n), 0.25),
    "even": lambda n: np.full(np.shape(n), 0.5),
    "rise": lambda n: expit(-1.2 + 0.55 * np.log1p(n / 4)),
    "saturate": lambda n: 0.3 + 0.45 * (1 - np.exp(-0.08 * n)),
    "power": lambda n: 0.85 - 0.5 * (1 + n / 10) ** -0.6,
    "sigmoid": lambda n: 0.25 + 0.6 * n**1.6 / (n**1.6 + 60**1.6),
    "slow": lambda n: expit(0.06 * np.log1p(n / 4)),
    "fall": lambda n: expit(1.0 - 0.35 * np.log1p(n / 4)),
}


@dataclass(frozen=True, kw_only=True)
class WorldShape:
    """Size and noise of a simulated study; run noise is on the logit scale."""

    volumes: Sequence[float] = VOLUMES
    seeds: int = 2
    n_items: int = 300
    run_stddev: float = 0.3
    shared: float = 0.4


def draw_items(
    p: FloatArray,
    n_items: int,
    rng: np.random.Generator,
    shared: float = 0.4,
    difficulty: FloatArray | None = None,
) -> FloatArray:
    """Return 0/1 items, shape (P, m), with success rates p, correlated over runs by difficulty."""
    if difficulty is None:
        difficulty = rng.normal(size=n_items)
    own = rng.normal(size=(len(p), n_items))
    latent = np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * own
    return np.asarray((latent < norm.ppf(p)[:, None]).astype(float))


def simulate_study(
    truths: Mapping[tuple[str, str, str], Truth],
    shape: WorldShape,
    rng: np.random.Generator,
    n_params: Mapping[str, int] | None = None,
) -> list[CurveData]:
    """Simulate one study with a curve for every (ability, base_model, data_source).

    All curves of an ability share its items; curves of one ability and base model share the base
    model's evaluation, so their truths must agree at 0.
    """
    n = np.array([0.0, *np.repeat(shape.volumes[1:], shape.seeds)])
    seed = (None, *(k for _ in shape.volumes[1:] for k in range(shape.seeds)))
    difficulty: dict[str, FloatArray] = {}
    base: dict[tuple[str, str], FloatArray] = {}
    curves = []
    for (ability, base_model, data_source), truth in truths.items():
        if ability not in difficulty:
            difficulty[ability] = rng.normal(size=shape.n_items)
        noise = rng.normal(0, 1, len(n)) * shape.run_stddev
        noise[0] = 0
        p = expit(logit(truth(n)) + noise)
        items = draw_items(p, shape.n_items, rng, shape.shared, difficulty[ability])
        items[0] = base.setdefault((ability, base_model), items[0])
        score = items.mean(axis=1)
        curves.append(
            CurveData(
                study="world",
                ability=ability,
                base_model=base_model,
                n_params=None if n_params is None else n_params[base_model],
                data_source=data_source,
                metric="accuracy",
                higher_is_better=True,
                chance_level=0.25,
                n_examples=n,
                score=score,
                stderr=np.sqrt(score * (1 - score) / shape.n_items),
                n_items=np.full(len(n), float(shape.n_items)),
                seed=seed,
                cell_id=tuple(f"{base_model}.{data_source}.{k}" for k in range(len(n))),
                item_scores=items,
            )
        )
    return curves
