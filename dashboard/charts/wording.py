"""How numbers, labels and names are put into words, alike in all figures, tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.analysis import CurveFit, FitStatus, Interval, IntervalKind, Label, ResponseKind

LABEL_WORDS = {
    Label.RESPONSIVE: "responsive",
    Label.SATURATING: "saturating",
    Label.RESISTANT: "resistant",
    Label.DECLINING: "declining",
    Label.UNDECIDED: "undecided",
    None: "no label",
}

STATUS_WORDS = {
    FitStatus.OK: "fitted",
    FitStatus.AT_BOUND: "fitted, a parameter at its bound",
    FitStatus.ITERATION_CAP: "did not converge",
    FitStatus.TOO_FEW_POINTS: "too few points",
    FitStatus.NOT_IDENTIFIED: "not identified",
    FitStatus.FAILED: "failed",
}

INTERVAL_WORDS = {
    IntervalKind.ITEMS_AND_RUNS: "test items and run-to-run differences",
    IntervalKind.ITEMS_ONLY: "test items only (one seed: another training run may differ more)",
    IntervalKind.STDERR_AND_RUNS: "the given standard errors and run-to-run differences",
    IntervalKind.STDERR_ONLY: "the given standard errors only",
    IntervalKind.RESIDUAL: "scatter around the curve only",
    IntervalKind.BACKTEST: "errors made when larger volumes were predicted from smaller ones",
}

VOLUME_WORDS = {
    "own": "examples per ability",
    "total": "examples in total",
    "tokens": "training tokens",
    "steps": "optimizer steps",
    "cost": "cost of training",
}


def name_ability(ability: str) -> str:
    """Return an ability's name for people: `role_play` is "role play"."""
    return ability.replace("_", " ")


def name_row(ability: str, *, out_of_domain: bool) -> str:
    """Return an ability's name for a table, marked as an exam unless its name says so."""
    name = name_ability(ability)
    return f"{name} (exam)" if out_of_domain and "exam" not in name.lower() else name


def count_params(n_params: int | None) -> str:
    """Return a model size such as "135M"; an empty string if unknown."""
    if n_params is None:
        return ""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if n_params >= limit:
            return f"{n_params / limit:.3g}{unit}"
    return str(n_params)


def name_model(base_model: str, n_params: int | None) -> str:
    """Return a base model's name with its size."""
    size = count_params(n_params)
    return f"{base_model} ({size})" if size else base_model


def say_score(score: float | None, response: ResponseKind) -> str:
    """Return a score as text: percent for accuracies, else a plain number."""
    if score is None or not math.isfinite(score):
        return "unknown"
    return f"{100 * score:.1f}%" if response is ResponseKind.ACCURACY else f"{score:.3g}"


def say_interval(interval: Interval | None, response: ResponseKind, *, signed: bool = False) -> str:
    """Return "61.2% [58.0, 64.1]"; a gain (`signed`) is in points, "+12.3 points [8.0, 16.1]"."""
    if interval is None:
        return "unknown"
    factor, digits = (100, ".1f") if response is ResponseKind.ACCURACY else (1, ".3g")
    sign = "+" if signed else ""
    unit = ""
    if response is ResponseKind.ACCURACY:
        unit = " points" if signed else "%"
    estimate, low, high = (
        _minus(f"{factor * value:{form}{digits}}")
        for value, form in ((interval.estimate, sign), (interval.low, ""), (interval.high, ""))
    )
    return f"{estimate}{unit} [{low}, {high}]"


def say_gain(gain: float, response: ResponseKind) -> str:
    """Return a gain without its interval: "+12 points" for accuracies, else a plain number."""
    if response is ResponseKind.ACCURACY:
        points = round(100 * gain)
        return _minus(f"{points:+d} {'point' if abs(points) == 1 else 'points'}")
    return _minus(f"{gain:+.3g}")


def say_examples(n_examples: float) -> str:
    """Return a volume: "1" or "2,560"; below ten with one decimal if it has one."""
    if 0 < n_examples < 1:
        return f"{n_examples:.2g}"
    if n_examples < 10 and n_examples != round(n_examples):
        return f"{n_examples:.1f}"
    return f"{n_examples:,.0f}"


def say_pace(curve: CurveFit) -> str:
    """Return "half the gain by 14 examples [9, 22]", or why there is no pace."""
    pace = curve.half_gain_examples
    if pace is None:
        return curve.half_gain_reason or "no gain to halve"
    return f"{say_examples(pace.estimate)} [{say_examples(pace.low)}, {say_examples(pace.high)}]"


def say_list(parts: Sequence[str]) -> str:
    """Join words: "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def say_count(count: int, noun: str, plural: str | None = None) -> str:
    """Return "1 cell" or "3 cells"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def say_volume_kind(curve: CurveFit) -> str:
    """Return what a curve's volumes count."""
    return VOLUME_WORDS[curve.x_kind]


def say_start(curves: Sequence[CurveFit]) -> str:
    """Return the volume at which the curves begin, or "the start" where they differ."""
    starts = {say_first(curve) for curve in curves if curve.score_first is not None}
    return starts.pop() if len(starts) == 1 else "the start"


def say_first(curve: CurveFit) -> str:
    """Return the volume at which a curve begins: 0, or the smallest for losses."""
    return say_examples(float(curve.band.n_examples[0])) if curve.band is not None else "0"


def _minus(number: str) -> str:
    """Use the minus sign, which is as wide as a digit."""
    return number.replace("-", "\N{MINUS SIGN}")
