"""Simulated studies with known curves: items of differing difficulty, runs that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from dashboard.analysis import CurveData
from dashboard.bench.worlds import TRUTHS, VOLUMES, draw_items

__all__ = ["TRUTHS", "VOLUMES", "draw_items", "make_curve", "simulate"]


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
