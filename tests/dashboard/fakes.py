"""Fit results made by hand, so that figures and sentences are tested without fitting anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from dashboard.analysis import (
    Band,
    CurveFit,
    FitStatus,
    Interval,
    IntervalKind,
    Label,
    ObservedPoints,
    Plateau,
    PlateauStatus,
    ResponseKind,
)

VOLUMES = (0.0, 4.0, 16.0, 64.0, 256.0)


def interval(estimate: float, half_width: float) -> Interval:
    return Interval(
        estimate=estimate,
        low=estimate - half_width,
        high=estimate + half_width,
        level=0.95,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )


def true_score(n: Any, first: float, last: float, half: float) -> Any:
    """Hill curve from `first` at 0 to `last` at 256, about half-way at `half`."""
    n = np.asarray(n, dtype=float)
    return first + (last - first) * (n / (n + half)) / (256 / (256 + half))


def make_points(
    first: float = 0.25, last: float = 0.65, half: float = 16.0, *, seeds: int = 2
) -> ObservedPoints:
    rows: list[tuple[float, int | None]] = [(0.0, None)]
    rows += [(n, seed) for n in VOLUMES[1:] for seed in range(seeds)]
    n = np.array([row[0] for row in rows])
    wobble = np.array([0.0 if seed is None else 0.02 * (-1) ** seed for _, seed in rows])
    score = np.clip(true_score(n, first, last, half) + wobble, 0, 1)
    return ObservedPoints(
        n_examples=n,
        score=score,
        stderr=np.sqrt(score * (1 - score) / 200),
        n_items=np.full(len(n), 200.0),
        seed=tuple(row[1] for row in rows),
        cell_id=tuple(f"cell-{i}" for i in range(len(rows))),
        excluded=(None,) * len(rows),
    )


def make_curve(
    ability: str = "code",
    *,
    first: float = 0.25,
    last: float = 0.65,
    half: float = 16.0,
    label: Label | None = Label.RESPONSIVE,
    **changes: Any,
) -> CurveFit:
    """A converged curve from `first` to `last`; keyword arguments replace fields."""
    grid = np.concatenate([np.linspace(0, 4, 9), np.geomspace(4.5, 256, 40)])
    estimate = true_score(grid, first, last, half)
    band = Band(
        n_examples=grid,
        estimate=estimate,
        low=estimate - 0.04,
        high=estimate + 0.04,
        level=0.95,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )
    gain = last - first
    fields: dict[str, Any] = {
        "study": "demo",
        "ability": ability,
        "base_model": "ladder-l",
        "n_params": 900_000,
        "data_source": "human",
        "metric": "accuracy",
        "higher_is_better": True,
        "chance_level": 0.25,
        "x_kind": "own",
        "out_of_domain": False,
        "response": ResponseKind.ACCURACY,
        "status": FitStatus.OK,
        "reason": None,
        "drawable": True,
        "n_points": 9,
        "n_volumes": 5,
        "n_seeds": 2,
        "noise": IntervalKind.ITEMS_AND_RUNS,
        "run_stddev": 0.2,
        "run_df": 40.0,
        "overdispersion": 1.0,
        "families": (),
        "score_first": interval(first, 0.03),
        "score_last": interval(last, 0.03),
        "gain": interval(gain, 0.045),
        "gain_upper_bound": gain + 0.04,
        "gain_per_fourfold": interval(gain / 4, 0.02),
        "half_gain_examples": interval(half, half / 3) if abs(gain) > 0.05 else None,
        "half_gain_reason": None if abs(gain) > 0.05 else "no gain to halve",
        "p_value": 0.001,
        "q_value": 0.002,
        "n_tests": 10,
        "plateau": Plateau(
            status=PlateauStatus.UNDECIDED,
            gain=None,
            upper_bound=None,
            minimum_detectable=None,
            delta=0.01,
            reason=None,
        ),
        "label": label,
        "label_reason": None,
        "delta": 0.05,
        "band": band,
        "points": make_points(first, last, half),
        "backtest": (),
        "predictions": (),
        "reading": "A sentence.",
        "replicate_failures": 0.0,
    }
    return CurveFit(**(fields | changes))


def make_failed_curve(ability: str = "ethics", **changes: Any) -> CurveFit:
    """A curve whose fit hit the iteration cap."""
    fields: dict[str, Any] = {
        "status": FitStatus.ITERATION_CAP,
        "reason": "no family converged",
        "drawable": False,
        "band": None,
        "score_first": None,
        "score_last": None,
        "gain": None,
        "gain_upper_bound": None,
        "half_gain_examples": None,
        "half_gain_reason": "no curve",
        "p_value": None,
        "q_value": None,
        "label": None,
        "label_reason": "no converged curve",
    }
    return make_curve(ability, **(fields | changes))


def make_study() -> list[CurveFit]:
    """Ten abilities and three exams on one base model and source."""
    rows = [
        ("biology", 0.50, 0.97, 12.0, Label.SATURATING),
        ("chinese", 0.48, 0.78, 18.0, Label.RESPONSIVE),
        ("code", 0.28, 0.46, 60.0, Label.RESPONSIVE),
        ("creative_writing", 0.42, 0.91, 20.0, Label.SATURATING),
        ("ethics", 0.02, 0.40, 90.0, Label.RESPONSIVE),
        ("history", 0.50, 0.72, 45.0, Label.RESPONSIVE),
        ("math", 0.25, 0.43, 6.0, Label.SATURATING),
        ("reasoning", 0.24, 0.25, 10.0, Label.RESISTANT),
        ("role_play", 0.60, 0.99, 5.0, Label.SATURATING),
        ("understanding", 0.26, 0.32, 30.0, Label.UNDECIDED),
    ]
    curves = [make_curve(a, first=f, last=la, half=h, label=lb) for a, f, la, h, lb in rows]
    for i, exam in enumerate(("ceval_physician_fshot", "ceval_teacher", "ceval_planner")):
        points = make_points(0.26, 0.3 + 0.05 * i, 30.0)
        total = points.n_examples * 10
        fake = make_curve(
            exam,
            first=0.26,
            last=0.3 + 0.05 * i,
            label=Label.UNDECIDED,
            out_of_domain=True,
            x_kind="total",
        )
        assert fake.band is not None
        curves.append(
            make_curve(
                exam,
                first=0.26,
                last=0.3 + 0.05 * i,
                label=Label.UNDECIDED,
                out_of_domain=True,
                x_kind="total",
                points=ObservedPoints(**(vars(points) | {"n_examples": total})),
                band=Band(**(vars(fake.band) | {"n_examples": fake.band.n_examples * 10})),
            )
        )
    return curves
