"""Simulated studies with known curves: items of differing difficulty, runs that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from dashboard.analysis import CurveData

VOLUMES = (0.0, 4.0, 16.0, 64.0, 256.0)

TRUTHS: dict[str, Callable[[Any], Any]] = {
    "flat": lambda n: np.full(np.shape(n), 0.25),
    "even": lambda n: np.full(np.shape(n), 0.5),
    "rise": lambda n: expit(-1.2 + 0.55 * np.log1p(n / 4)),
    "saturate": lambda n: 0.3 + 0.45 * (1 - np.exp(-0.08 * n)),
    "power": lambda n: 0.85 - 0.5 * (1 + n / 10) ** -0.6,
    "sigmoid": lambda n: 0.25 + 0.6 * n**1.6 / (n**1.6 + 60**1.6),
    "slow": lambda n: expit(0.06 * np.log1p(n / 4)),
    "fall": lambda n: expit(1.0 - 0.35 * np.log1p(n / 4)),
}


def make_curve(score: Sequence[float], n: Sequence[float] = VOLUMES, **changes: Any) -> CurveData:
    """A curve with one run a volume, without items; the run at 0 is the base model."""
    n_points = len(n)
    fields: dict[str, Any] = {
        "study": "s",
        "ability": "code",
        "base_model": "m",
        "n_params": 1000,
        "data_source": "human",
        "metric": "accuracy",
        "higher_is_better": True,
        "chance_level": 0.25,
        "n_examples": n,
        "score": score,
        "stderr": np.full(n_points, np.nan),
        "n_items": np.full(n_points, np.nan),
        "seed": tuple(None if volume == 0 else 0 for volume in n),
        "cell_id": tuple(f"c{index}" for index in range(n_points)),
    }
    return CurveData(**(fields | changes))


def draw_items(p: Any, m: int, rng: np.random.Generator, shared: float = 0.4) -> np.ndarray:
    """0/1 items with success rates p, shape (P,), correlated over runs by difficulty."""
    difficulty = rng.normal(size=m)
    own = rng.normal(size=(len(p), m))
    latent = np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * own
    return (latent < norm.ppf(p)[:, None]).astype(float)


def simulate(
    kinds: Sequence[str],
    *,
    seeds: int = 2,
    m: int = 300,
    run_stddev: float = 0.3,
    rng: np.random.Generator,
    volumes: Sequence[float] = VOLUMES,
    **changes: Any,
) -> list[CurveData]:
    """One study with a curve per kind; run noise on the logit scale, none for the base model."""
    n = np.array([volumes[0], *np.repeat(volumes[1:], seeds)])
    seed = (None, *(k for _ in volumes[1:] for k in range(seeds)))
    curves = []
    for index, kind in enumerate(kinds):
        noise = rng.normal(0, run_stddev, len(n)) if run_stddev else np.zeros(len(n))
        noise[0] = 0
        items = draw_items(expit(logit(TRUTHS[kind](n)) + noise), m, rng)
        score = items.mean(axis=1)
        fields: dict[str, Any] = {
            "ability": f"{kind}-{index}",
            "stderr": np.sqrt(score * (1 - score) / m),
            "n_items": np.full(len(n), m),
            "seed": seed,
            "item_scores": items,
        }
        curves.append(make_curve(score, n, **(fields | changes)))
    return curves
