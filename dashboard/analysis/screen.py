"""From p-values to labels: one correction per comparison, then the label rule and the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.one_seed import ONE_SEED, Scatter, pool_scatter, widen_for_label
from dashboard.analysis.reading import read_curve
from dashboard.analysis.results import (
    DRAWABLE,
    CurveFit,
    FitStatus,
    Plateau,
    PlateauStatus,
)
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import give_label

_FEW_VOLUMES = 3
_FEW_RUNS = 4

_SCATTER = "how much training runs differ is judged by the scatter around the curves"
_CONSTANT = "the constant was the only family fitted, and it presumes that nothing grows"
_NO_SCATTER = "too few volumes show a scatter that would tell how much training runs differ"
_ONE_SEED = "one seed everywhere"
_EQUAL_SEEDS = "seeds differ nowhere, since runs got all items right or none"


def adjust_and_label(fits: Sequence[CurveFit], settings: FitSettings) -> tuple[CurveFit, ...]:
    """Fill in q-values over each comparison's abilities, then labels and readings.

    With one seed everywhere, p-values and labels rest on the scatter around the curves too
    (`one_seed`).
    """
    scatters = pool_scatter(fits)
    fits = [
        fit
        if scatter is None or fit.p_value is None
        else replace(fit, p_value=scatter.p_value(fit.p_value))
        for fit, scatter in zip(fits, scatters, strict=True)
    ]
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for index, fit in enumerate(fits):
        if fit.p_value is not None:
            key = (fit.study, fit.base_model, fit.data_source, fit.metric)
            groups.setdefault(key, []).append(index)
    result = [_admit_few_volumes(fit) for fit in fits]
    for members in groups.values():
        p_values = np.array([fits[i].p_value for i in members], dtype=float)
        for index, q_value in zip(members, benjamini_hochberg(p_values), strict=True):
            fit = replace(result[index], q_value=float(q_value), n_tests=len(members))
            result[index] = _labelled(fit, settings, scatters[index])
    return tuple(replace(fit, reading=read_curve(fit)) for fit in result)


def _admit_few_volumes(fit: CurveFit) -> CurveFit:
    """Take back what a straight line through three volumes, or four runs, can't tell."""
    few = fit.n_volumes <= _FEW_VOLUMES or fit.n_points <= _FEW_RUNS
    if fit.status is not FitStatus.OK or not few:
        return fit
    reason = (
        f"{fit.n_points} runs at {fit.n_volumes} volumes can't tell a bend from a straight line in "
        "log volume, so its ceiling, its pace and a plateau are not known"
    )
    plateau = Plateau(
        status=PlateauStatus.UNDECIDED,
        gain=None,
        upper_bound=None,
        minimum_detectable=None,
        delta=fit.plateau.delta,
        reason=reason,
    )
    return replace(fit, reason=reason, plateau=plateau, half_gain_examples=None)


def _labelled(fit: CurveFit, settings: FitSettings, scatter: Scatter | None) -> CurveFit:
    """Give a curve with gain and q-value its label; halve only gains that are there."""
    if fit.gain is None or fit.gain_upper_bound is None or fit.q_value is None:
        return fit
    if {family.name for family in fit.families} == {"constant"}:
        plateau = replace(fit.plateau, status=PlateauStatus.UNDECIDED, reason=_CONSTANT)
        return replace(
            fit,
            label=None,
            label_reason=_CONSTANT,
            plateau=plateau,
            half_gain_examples=None,
            half_gain_reason=_CONSTANT,
        )
    if fit.status not in DRAWABLE:
        # Two points give a difference, but no growth to put a name to.
        return replace(
            fit,
            label=None,
            label_reason=fit.reason or "no growth curve could be fitted",
            half_gain_examples=None,
            half_gain_reason="no growth curve could be fitted",
        )
    gain, upper_bound, plateau = fit.gain, fit.gain_upper_bound, fit.plateau
    if scatter is not None:
        gain, upper_bound, plateau = widen_for_label(fit, scatter)
    label, reason = give_label(gain, upper_bound, fit.q_value, fit.delta, plateau, settings.fdr)
    half, why = fit.half_gain_examples, None
    if not (fit.q_value < settings.fdr and fit.gain.estimate > 0):
        half, why = None, "no gain is established, so there is none to halve"
    elif half is None:
        why = fit.reason or "no averaged curve is available"
    if label is not None and fit.noise in ONE_SEED:
        why_scatter = _ONE_SEED if fit.n_seeds < 2 else _EQUAL_SEEDS
        label = None if scatter is None else label
        reason = f"{why_scatter}: {_NO_SCATTER if scatter is None else _SCATTER}"
    return replace(
        fit, label=label, label_reason=reason, half_gain_examples=half, half_gain_reason=why
    )
