"""One plain sentence per curve, for the app, the CLI and reports."""

from __future__ import annotations

from dashboard.analysis.curve_data import ResponseKind, unit_of
from dashboard.analysis.results import CurveFit, Interval, IntervalKind, Label

_CAVEATS = {
    IntervalKind.ITEMS_ONLY: (
        "one seed, so the interval covers test items only, not another training run"
    ),
    IntervalKind.STDERR_ONLY: ("one seed, so the interval covers the scores' standard errors only"),
    IntervalKind.RESIDUAL: "the interval rests on the scatter around the curve",
}


def read_curve(fit: CurveFit) -> str:
    """Return what a curve says, in one sentence.

    Accuracies are told in points (hundredths), losses in their own unit.
    """
    subject = f"{fit.ability} of {fit.base_model} on {fit.data_source} data"
    if fit.gain is None or fit.score_first is None or fit.score_last is None:
        return f"{subject}: no growth curve, since {_lower(fit.reason or 'nothing was fitted')}."
    accuracy = fit.response is ResponseKind.ACCURACY
    if fit.n_points and all(
        score == fit.points.score[0] for score in fit.points.score if score == score
    ):
        verb = f"scored {_score(fit.points.score[0], accuracy)} in every run"
    else:
        verb = (
            f"{_verb(fit)} from {_score(fit.score_first.estimate, accuracy)} to "
            f"{_score(fit.score_last.estimate, accuracy)}"
        )
    parts = [f"{subject} {verb}: gain {_gain(fit.gain, accuracy)}"]
    if fit.label is not None:
        parts.append(_verdict(fit, accuracy))
    else:
        parts.append(f"no label, since {_lower(fit.label_reason or 'none applies')}")
    if fit.half_gain_examples is not None:
        parts.append(
            f"half of it by {_count(fit.half_gain_examples.estimate)} {unit_of(fit.x_kind)}"
        )
    caveat = _CAVEATS.get(fit.noise) if fit.noise is not None else None
    if caveat is not None:
        parts.append(caveat)
    if fit.reason is not None and fit.reason != fit.label_reason:
        parts.append(_lower(fit.reason))
    return "; ".join(parts) + "."


def _verb(fit: CurveFit) -> str:
    """Return how the score moved, as far as the label knows."""
    if fit.label in (Label.RESPONSIVE, Label.SATURATING):
        return "improved"
    return "declined" if fit.label is Label.DECLINING else "went"


def _verdict(fit: CurveFit, accuracy: bool) -> str:
    """Return the label in words."""
    if fit.label is Label.RESPONSIVE:
        return "it responds to more data"
    if fit.label is Label.SATURATING:
        return "it responded and has levelled off"
    if fit.label is Label.DECLINING:
        return "more data made it worse"
    delta = _size(fit.delta or 0.0, accuracy)
    if fit.label is Label.RESISTANT:
        return f"resistant, as a gain of {delta} or more is ruled out"
    return f"undecided, as these runs neither show a gain nor rule out one of {delta}"


def _gain(gain: Interval, accuracy: bool) -> str:
    scale = 100 if accuracy else 1
    digits = 1 if accuracy else 3
    unit = " points" if accuracy else ""
    level = f"{100 * gain.level:g}%"
    # Adding 0 turns a rounded -0.0 into 0.0.
    estimate, low, high = (
        round(value * scale, digits) + 0.0 for value in (gain.estimate, gain.low, gain.high)
    )
    return (
        f"{estimate:+.{digits}f}{unit} ({level} interval {low:+.{digits}f} to {high:+.{digits}f})"
    )


def _score(value: float, accuracy: bool) -> str:
    return f"{100 * value:.1f}%" if accuracy else f"{value:.3f}"


def _size(value: float, accuracy: bool) -> str:
    return f"{100 * value:g} points" if accuracy else f"{value:g}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _lower(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]
