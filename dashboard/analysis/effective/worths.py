"""Worths of sources and abilities with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.effective.gather import FittedTarget
from dashboard.analysis.effective.results import AbilityWorth, SourceWorth, WorthStatus
from dashboard.analysis.effective.solver import MOST_WORTH
from dashboard.analysis.effective.target import TargetFit
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval
from dashboard.analysis.run_contrasts import adjust
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import usual_df


def _widened(fit: TargetFit, index: int) -> tuple[float, FloatArray]:
    """Return a worth's estimate and its replicates, spread by the lack of fit."""
    estimate = float(fit.u[len(fit.shape.lower) + index])
    spread = float(np.sqrt(fit.overdispersion))
    return estimate, np.asarray(estimate + spread * (fit.worths[index] - estimate))


def _interval(
    one: FittedTarget, estimate: float, replicates: FloatArray, settings: FitSettings,
    limits: tuple[float, float], status: WorthStatus,
) -> Interval:  # fmt: skip
    """Return an interval, open where the status says so."""
    draws = one.draws
    found = stretched_interval(
        estimate, replicates, settings.level, usual_df(draws), draws.kind, limits
    )
    low = 0.0 if status is WorthStatus.OPEN_BELOW else found.low
    high = np.inf if status is WorthStatus.OPEN_ABOVE else found.high
    return Interval(estimate=estimate, low=low, high=high, level=found.level, kind=found.kind)


def source_worths(
    one: FittedTarget,
    sources: Sequence[str],
    reference: str,
    settings: FitSettings,
    *,
    pool: bool = False,
) -> list[SourceWorth]:
    """Return rho, or with `pool` the worth of unlabelled examples, of one target."""
    if one.fit is None or one.runs is None:
        return []
    data, fit = one.runs.data, one.fit
    worths = []
    for c, source in enumerate(sources):
        index = c if not pool else data.n_sources + data.n_others + c
        held = data.pool if pool else np.concatenate([data.own[..., None], data.other], axis=2)
        status = fit.status[index]
        if status is None or not held[:, c].any():
            continue
        interval, reason = None, fit.reason[index]
        if status is not WorthStatus.NOT_IDENTIFIED:
            estimate, replicates = _widened(fit, index)
            worth, drawn = float(np.exp(estimate)), np.exp(replicates)
            found = _interval(one, worth, drawn, settings, (0.0, np.inf), status)
            status, reason = opened(found, status, reason)
            if status is not WorthStatus.NOT_IDENTIFIED:
                interval = _interval(one, worth, drawn, settings, (0.0, np.inf), status)
        worths.append(
            SourceWorth(
                ability=one.draws.target.ability,
                data_source=source,
                status=status,
                rho=interval,
                reason=reason,
            )
        )
    return worths


def opened(
    interval: Interval, status: WorthStatus, reason: str | None
) -> tuple[WorthStatus, str | None]:
    """Call an end open that reaches beyond any worth to believe in, whatever the profile said."""
    below = status is WorthStatus.OPEN_BELOW or interval.low < 1 / MOST_WORTH
    above = status is WorthStatus.OPEN_ABOVE or interval.high > MOST_WORTH
    if below and above:
        return WorthStatus.NOT_IDENTIFIED, "the interval reaches from next to nothing to very much"
    if below and status is WorthStatus.OK:
        return WorthStatus.OPEN_BELOW, "the interval reaches down to next to nothing"
    if above and status is WorthStatus.OK:
        return WorthStatus.OPEN_ABOVE, "the interval reaches up to very much"
    return status, reason


def ability_worths(one: FittedTarget, settings: FitSettings) -> list[AbilityWorth]:
    """Return tau, and shifts, of one target."""
    worths = []
    for k, source in enumerate(one.others):
        status, reason = WorthStatus.NOT_IDENTIFIED, one.reason
        tau, shift, p_value = None, None, None
        if one.fit is not None and one.runs is not None:
            index = one.runs.data.n_sources + k
            status = one.fit.status[index] or WorthStatus.NOT_IDENTIFIED
            reason = one.fit.reason[index]
            if status is not WorthStatus.NOT_IDENTIFIED:
                p_value = float(one.fit.p_values[index])
                theta, replicates = _widened(one.fit, index)
                tau = _interval(
                    one, max(theta, 0.0), np.maximum(replicates, 0.0), settings, (0.0, np.inf),
                    status,
                )  # fmt: skip
                sign = one.draws.sign
                hurt = np.minimum(replicates, 0.0)
                tail = (1 - settings.level) / 2
                if theta < 0 or np.mean(hurt < 0) > tail:
                    worse = _interval(
                        one, min(theta, 0.0), hurt, settings, (-np.inf, 0.0), WorthStatus.OK
                    )
                    shift = worse if sign > 0 else _mirrored(worse)
        worths.append(
            AbilityWorth(
                source_ability=source,
                target_ability=one.draws.target.ability,
                status=status,
                tau=tau,
                shift=shift,
                p_value=p_value,
                q_value=None,
                n_tests=0,
                reason=reason,
            )
        )
    return worths


def adjust_worths(worths: Sequence[AbilityWorth]) -> tuple[AbilityWorth, ...]:
    """Fill in q-values over all pairs of a base model."""
    q_values, n_tests = adjust([worth.p_value for worth in worths])
    return tuple(
        replace(worth, q_value=q_value, n_tests=n_tests)
        for worth, q_value in zip(worths, q_values, strict=True)
    )


def _mirrored(interval: Interval) -> Interval:
    """Return the interval of the negative: a loss rises where an accuracy falls."""
    return Interval(
        estimate=-interval.estimate,
        low=-interval.high,
        high=-interval.low,
        level=interval.level,
        kind=interval.kind,
    )
