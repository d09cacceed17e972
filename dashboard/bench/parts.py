"""The benchmarks of analysis by name, and their figures as lines of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"

Row = tuple[str, str, str]


def _fit(_: int | None) -> dict[str, Any]:
    """Published curves, NIST, LCDB, speed."""
    from dashboard.bench.bench_fit import bench_fit

    return bench_fit(_FIXTURES)


def _coverage(n_worlds: int | None) -> dict[str, Any]:
    """Intervals of gains and curve values with 2, 3 and 8 seeds."""
    from dashboard.bench.bench_coverage import bench_coverage

    counts = (2, 3, 8)
    return {f"{n} seeds": bench_coverage(n_worlds or 1000, seeds=n) for n in counts}


def _compare(n_worlds: int | None) -> dict[str, Any]:
    """Sources, scales and abilities."""
    from dashboard.bench.bench_compare import bench_compare

    return bench_compare(n_worlds or 250)


def _transfer(n_worlds: int | None) -> dict[str, Any]:
    """Transfer, effective data and mixtures."""
    from dashboard.bench.bench_transfer import bench_transfer

    n = n_worlds or 300
    return bench_transfer(n, n_effective=n * 2 // 3)


def _budget(n_worlds: int | None) -> dict[str, Any]:
    """Recommendations, their speed, and stated power."""
    from dashboard.bench import bench_budget as of_budget

    n = n_worlds or 120
    return {
        "abilities differ": of_budget.bench_budget(n),
        "all alike": of_budget.bench_budget(n * 4 // 5, alike=True),
        "brute force": of_budget.bench_brute_force(),
        "speed": of_budget.bench_budget_speed(),
        "power": of_budget.bench_power(),
    }


def _judge(n_worlds: int | None) -> dict[str, Any]:
    """Win rates, ratings, agreement and biases."""
    from dashboard.bench.bench_judge import bench_judge

    return bench_judge(n_worlds or 1000)


PARTS: dict[str, Callable[[int | None], dict[str, Any]]] = {
    "fit": _fit,
    "coverage": _coverage,
    "compare": _compare,
    "transfer": _transfer,
    "budget": _budget,
    "judge": _judge,
}

# What a figure should reach, by the end of its name.
_TARGETS = {
    ("budget", "speed / first_answer_seconds"): "at most 3 s",
    ("budget", "speed / whole_seconds"): "at most 10 s",
    ("coverage", "gain / share"): "0.92 to 0.98",
    ("coverage", "value / share"): "0.92 to 0.98",
    ("fit", "cover_pooled"): "0.70 to 0.95",
    ("fit", "standard_analysis / all_seconds"): "at most 8 s",
    ("fit", "against_scipy / times_faster"): "at least 20",
}


def figures_of(part: str, figures: Mapping[str, Any]) -> list[Row]:
    """Return one line a figure: its place in the nested figures, its value, its target."""
    rows = []
    for name, value in _flatten(figures, ()):
        target = next(
            (text for (of, end), text in _TARGETS.items() if of == part and name.endswith(end)), ""
        )
        rows.append((name, value, target))
    return rows


def _flatten(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield every leaf with its place."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flatten(inner, (*path, str(name)))
        return
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    yield " / ".join(path), shown.replace("|", "\\|")
