"""Abilities against each other: pace and gain, and the macro mean over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import t

from dashboard.analysis.compare.ability_readings import read_abilities
from dashboard.analysis.compare.inversion import first_reached
from dashboard.analysis.compare.overall import overall_of
from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.results import AbilityComparison, AbilityPace, AbilityPair, Overall
from dashboard.analysis.curve_data import CurveData, FloatArray
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.replicated import CurveJob, FittedJob, why_no_fit
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval, IntervalKind
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.shared_fits import share_fits
from dashboard.analysis.summary import (
    EvaluationGrid,
    Replicated,
    difference,
    evaluation_grid,
    half_gain,
)
from dashboard.analysis.trend import growth_p_value

_QUANTITIES = ("half_gain_examples", "gain", "gain_per_fourfold")
_SMALLEST = 1e-300


@dataclass(frozen=True, kw_only=True)
class _Ability:
    """One ability's curve with its summaries; `pace` is the log of the half-gain volume.

    `values` holds estimate and replicates, shape (1 + B,), of pace (where there is one), gain and
    gain per x4.
    """

    job: CurveJob
    curve: Replicated | None
    reason: str | None
    gain: Interval | None
    gain_per_fourfold: Interval | None
    half_gain_examples: Interval | None
    values: dict[str, FloatArray]

    @property
    def name(self) -> str:
        """The ability."""
        return self.job.data.ability


def compare_abilities(
    curves: Sequence[CurveData], settings: FitSettings | None = None
) -> AbilityComparison:
    """Compare the abilities of every study, base model, source and metric.

    Paces are compared between abilities whose volumes count the same thing, and only where a gain
    is established as `fit` establishes it: what is not there has no half.

    Returns
    -------
    AbilityComparison
        Each ability against the mean of the others (max-t), all pairs (Benjamini-Hochberg over
        the pairs of a quantity), and macro means in domain and out of domain apart.
    """
    settings = settings or FitSettings()
    shared = share_fits(curves, settings)
    groups: dict[tuple[str, ...], list[CurveJob]] = {}
    for job in shared.jobs:
        data = job.data
        key = (data.study, data.base_model, data.data_source, data.metric)
        groups.setdefault(key, []).append(job)
    paces: list[AbilityPace] = []
    pairs: list[AbilityPair] = []
    overall: list[Overall] = []
    for members in groups.values():
        fitted = [shared.fit(job) for job in members]
        significant = _significant(members, fitted, settings)
        abilities = [
            _summarise(job, item, proven, settings)
            for job, item, proven in zip(members, fitted, significant, strict=True)
        ]
        for x_kind in dict.fromkeys(job.data.x_kind for job in members):
            alike = [ability for ability in abilities if ability.job.data.x_kind == x_kind]
            paces += _against_mean(alike, settings)
            pairs += _all_pairs(alike, settings)
        for out_of_domain in (False, True):
            chosen = [
                (job, item)
                for job, item in zip(members, fitted, strict=True)
                if job.data.out_of_domain is out_of_domain
            ]
            if chosen:
                overall.append(overall_of(chosen, settings))
    return AbilityComparison(
        abilities=tuple(paces),
        pairs=tuple(pairs),
        overall=tuple(overall),
        readings=read_abilities(paces, overall),
    )


def _significant(
    jobs: Sequence[CurveJob], fitted: Sequence[FittedJob | None], settings: FitSettings
) -> list[bool]:
    """Say which curves change, by the test and the correction that `fit` uses."""
    tested = [index for index, item in enumerate(fitted) if item is not None]
    p_values = np.ones(len(tested))
    for place, index in enumerate(tested):
        item = fitted[index]
        assert item is not None  # `tested` holds fitted curves
        residual = item.kind is IntervalKind.RESIDUAL
        p_values[place] = growth_p_value(
            item.runs,
            jobs[index].noise,
            residual_stddev=item.model.residual_stddev if residual else None,
            residual_df=item.model.residual_df,
        )
    significant = [False] * len(jobs)
    for index, q_value in zip(tested, benjamini_hochberg(p_values), strict=True):
        significant[index] = bool(q_value < settings.fdr)
    return significant


def _summarise(
    job: CurveJob, fitted: FittedJob | None, significant: bool, settings: FitSettings
) -> _Ability:
    """Read gain, slope and pace off one averaged curve and its replicates."""
    empty = _Ability(
        job=job,
        curve=None,
        reason=job.prepared.reason if fitted is None else None,
        gain=None,
        gain_per_fourfold=None,
        half_gain_examples=None,
        values={},
    )
    if fitted is None:
        return empty
    if not fitted.fitted:
        return replace(empty, reason=why_no_fit(fitted))
    runs = fitted.runs
    grid = evaluation_grid(runs, ())
    curve = fitted.curve(grid.n)
    sign = 1.0 if job.data.higher_is_better else -1.0
    last = int(np.flatnonzero(grid.n[: grid.drawn] == runs.volumes[-1])[0])
    low, high = grid.fourfold
    stacked = sign * np.column_stack([curve.estimate, curve.replicates])
    values = {
        "gain": stacked[last] - stacked[0],
        "gain_per_fourfold": stacked[high] - stacked[low],
    }
    gain = difference(curve, 0, last, sign, settings.level, runs.response)
    half: Interval | None = None
    reason: str | None = "no gain is established, so there is none to halve"
    if significant and gain.estimate > 0:
        half, reason = half_gain(curve, grid, sign, settings.level), None
        values["half_gain_examples"] = _log_pace(grid, stacked)
    return replace(
        empty,
        curve=curve,
        reason=reason,
        gain=gain,
        gain_per_fourfold=difference(curve, low, high, sign, settings.level, runs.response),
        half_gain_examples=half,
        values=values,
    )


def _log_pace(grid: EvaluationGrid, stacked: FloatArray) -> FloatArray:
    """Return the log of the volume of half the gain, shape (1 + B,).

    Replicates without a gain reach half of it at the largest volume, as in `half_gain`.
    """
    n = grid.n[: grid.drawn]
    gains = stacked[: grid.drawn] - stacked[0]
    total = gains[-1]
    found = first_reached(n, gains, 0.5 * total)
    volume = np.where((total > 0) & np.isfinite(found), found, n[-1])
    return np.asarray(np.log(np.maximum(volume, n[n > 0].min())))


# ----------------------------------------------------------------------- against mean and in pairs


def _against_mean(abilities: Sequence[_Ability], settings: FitSettings) -> list[AbilityPace]:
    """Compare each ability with the mean of the others; p-values by max-t over all of them."""
    pace, gain = (
        _max_t([a for a in abilities if quantity in a.values], quantity, settings)
        for quantity in ("half_gain_examples", "gain")
    )
    result = []
    for ability in abilities:
        data = ability.job.data
        ratio, p_pace = pace.get(ability.name, (None, None))
        more, p_gain = gain.get(ability.name, (None, None))
        reason = ability.reason
        if reason is None and ratio is None:
            reason = "no other ability with an established gain to compare the pace with"
        result.append(
            AbilityPace(
                study=data.study,
                ability=ability.name,
                base_model=data.base_model,
                data_source=data.data_source,
                metric=data.metric,
                higher_is_better=data.higher_is_better,
                x_kind=data.x_kind,
                out_of_domain=data.out_of_domain,
                gain=ability.gain,
                gain_per_fourfold=ability.gain_per_fourfold,
                half_gain_examples=ability.half_gain_examples,
                pace_ratio=None if ratio is None else _exponential(ratio),
                p_pace=p_pace,
                n_pace=len(pace),
                gain_difference=more,
                p_gain=p_gain,
                n_gain=len(gain),
                reason=reason,
            )
        )
    return result


def _max_t(
    abilities: Sequence[_Ability], quantity: str, settings: FitSettings
) -> dict[str, tuple[Interval, float]]:
    """Return each ability's difference from the mean of the others, with its max-t p-value.

    The null distribution is that of the largest studentised deviation of the replicates from their
    own mean, over all abilities, widened for the degrees of freedom of the run noise. A standard
    error counts as at least the abilities' median: one that is small by chance is no finding.
    """
    if len(abilities) < 2:
        return {}
    values = np.array([ability.values[quantity] for ability in abilities])
    n = len(abilities)
    deviation = (values - values.mean(axis=0)) * n / (n - 1)
    own = np.maximum(deviation[:, 1:].std(axis=1), 1e-12)
    stderr = np.maximum(own, np.median(own))
    df = _df(abilities)
    centred = deviation[:, 1:] - deviation[:, 1:].mean(axis=1, keepdims=True)
    largest = np.abs(centred / own[:, None]).max(axis=0)
    if np.isfinite(df):
        rng = np.random.default_rng([settings.seed, n])
        largest = largest / np.sqrt(rng.chisquare(df, size=largest.shape) / df)
    kind = _kind(abilities)
    found = {}
    for ability, row, scale in zip(abilities, deviation, stderr, strict=True):
        beyond = int((largest >= abs(row[0]) / scale).sum())
        found[ability.name] = (
            stretched_interval(float(row[0]), row[1:], settings.level, df, kind),
            (1 + beyond) / (1 + len(largest)),
        )
    return found


def _all_pairs(abilities: Sequence[_Ability], settings: FitSettings) -> list[AbilityPair]:
    """Compare all pairs of abilities in every quantity that both have."""
    result: list[AbilityPair] = []
    for quantity in _QUANTITIES:
        usable = [ability for ability in abilities if quantity in ability.values]
        pairs = list(combinations(usable, 2))
        if not pairs:
            continue
        differences = [a.values[quantity] - b.values[quantity] for a, b in pairs]
        df, kind = _df(usable), _kind(usable)
        p_values = np.array([_p_value(found, df) for found in differences])
        for (a, b), found, p_value, q_value in zip(
            pairs, differences, p_values, benjamini_hochberg(p_values), strict=True
        ):
            interval = stretched_interval(float(found[0]), found[1:], settings.level, df, kind)
            data = a.job.data
            result.append(
                AbilityPair(
                    study=data.study,
                    ability=a.name,
                    other=b.name,
                    base_model=data.base_model,
                    data_source=data.data_source,
                    metric=data.metric,
                    quantity=quantity,
                    difference=_exponential(interval) if quantity == _QUANTITIES[0] else interval,
                    p_value=float(p_value),
                    q_value=float(q_value),
                    n_tests=len(pairs),
                )
            )
    return result


def _p_value(found: FloatArray, df: float) -> float:
    """Return the two-sided p-value of an estimate by its replicates' spread."""
    stderr = float(found[1:].std())
    if stderr == 0:
        return 1.0 if found[0] == 0 else _SMALLEST
    return max(2 * float(t.sf(abs(float(found[0])) / stderr, df)), _SMALLEST)


def _df(abilities: Sequence[_Ability]) -> float:
    """Return the fewest degrees of freedom."""
    return min(ability.curve.df for ability in abilities if ability.curve is not None)


def _kind(abilities: Sequence[_Ability]) -> IntervalKind:
    """Return what intervals over several abilities cover."""
    return weaker([ability.curve.kind for ability in abilities if ability.curve is not None])


def _exponential(interval: Interval) -> Interval:
    """Return a difference of logs as a ratio."""
    return replace(
        interval,
        estimate=float(np.exp(interval.estimate)),
        low=float(np.exp(interval.low)),
        high=float(np.exp(interval.high)),
    )
