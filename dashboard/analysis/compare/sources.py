"""Human against synthetic, or any two sources: differences, exchange rates, ceilings, growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dashboard.analysis.compare.ceilings import SharedVerdict, compare_ceilings
from dashboard.analysis.compare.inversion import (
    GriddedCurve,
    RatioStatus,
    judge_ratio,
    ratio_interval,
)
from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.results import (
    ExchangeRate,
    SharedCurve,
    SourceComparison,
    SourceDifference,
    StillGrowing,
)
from dashboard.analysis.compare.rivals import Rivals, pair_rivals
from dashboard.analysis.compare.source_differences import adjust_differences, source_differences
from dashboard.analysis.compare.source_readings import read_sources
from dashboard.analysis.curve_data import CurveData, ResponseKind
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.replicated import CurveJob
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import FitStatus
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.shared_fits import share_fits
from warehouse.errors import InputError

DEFAULT_REFERENCE = "human"


def compare_sources(
    curves: Sequence[CurveData],
    settings: FitSettings | None = None,
    reference: str | None = None,
) -> SourceComparison:
    """Compare every data source with the reference, ability by ability.

    Parameters
    ----------
    curves : sequence of CurveData
        All curves of one or several studies: run noise and corrections are over whole studies.
    reference : str, optional
        Source that the others are compared with; by default "human", or a study's first source by
        name where it has none.

    Returns
    -------
    SourceComparison
        Per metric throughout: which source wins can depend on the metric, and nothing here sums
        over metrics.

    Raises
    ------
    InputError
        If no curve has the reference source.
    """
    settings = settings or FitSettings()
    sources = sorted({curve.data_source for curve in curves})
    if reference is not None and reference not in sources:
        known = ", ".join(sources) or "none"
        raise InputError(f"--reference {reference!r} has no curves; known sources: {known}.")
    shared_fits = share_fits(curves, settings)
    groups: dict[tuple[str, ...], list[CurveJob]] = {}
    for job in shared_fits.jobs:
        data = job.data
        groups.setdefault((data.study, data.ability, data.base_model, data.metric), []).append(job)
    pairs: list[SourceDifference] = []
    rates: list[ExchangeRate] = []
    growing: list[StillGrowing] = []
    shared: list[SharedCurve] = []
    for members in groups.values():
        rival = _reference_of(members[0].data.study, curves, reference)
        for rivals in pair_rivals(members, rival, shared_fits):
            pairs += source_differences(rivals, settings)
            rates += _exchange_rates(rivals, settings)
            growing.append(_still_growing(rivals, settings))
            shared.append(_shared_curve(rivals))
    pairs = adjust_differences(pairs, settings)
    shared = _adjust_shared(shared, settings)
    return SourceComparison(
        pairs=tuple(pairs),
        exchange_rates=tuple(rates),
        still_growing=tuple(growing),
        shared_curves=tuple(shared),
        readings=read_sources(pairs, rates),
        reason=None if pairs else _why_nothing(sources),
    )


def _why_nothing(sources: Sequence[str]) -> str:
    """Say why no two sources could be compared."""
    if len(sources) < 2:
        only = f"only {sources[0]!r} has" if sources else "no data source has"
        return f"{only} growth curves; a comparison needs two sources"
    return f"no ability of one base model was trained on two of the sources {', '.join(sources)}"


def _reference_of(study: str, curves: Sequence[CurveData], asked: str | None) -> str:
    """Return a study's reference source."""
    if asked is not None:
        return asked
    sources = {curve.data_source for curve in curves if curve.study == study}
    return DEFAULT_REFERENCE if DEFAULT_REFERENCE in sources else min(sources)


# --------------------------------------------------------------------------------- exchange rates


def _exchange_rates(rivals: Rivals, settings: FitSettings) -> list[ExchangeRate]:
    """Return what one example of the reference is worth, at each of its volumes."""
    a, b = rivals.reference.gridded, rivals.source.gridded
    if a is None or b is None:
        reason = rivals.reference.reason if a is None else rivals.source.reason
        return [_no_rate(rivals, np.nan, RatioStatus.NO_CURVE, reason)]
    if rivals.reference.job.data.x_kind != rivals.source.job.data.x_kind:
        reason = "the volumes of the two sources count different things; compare with --x total"
        return [_no_rate(rivals, np.nan, RatioStatus.NO_CURVE, reason)]
    volumes = [float(v) for v in a.fitted.runs.volumes if v > a.first]
    return [_exchange_rate(rivals, a, b, volume, settings) for volume in volumes]


def _exchange_rate(
    rivals: Rivals, a: GriddedCurve, b: GriddedCurve, volume: float, settings: FitSettings
) -> ExchangeRate:
    """Return the rate at one volume of the reference, by inverting the source's curve.

    Not identified unless the lower bound of the reference's gain up to the volume lies above 0:
    what brings no gain can't be exchanged.
    """
    target, targets = a.at(volume)
    begin, begins = a.at(a.first)
    gain = stretched_interval(
        a.sign * (target - begin), a.sign * (targets - begins), settings.level, a.curve.df,
        a.curve.kind,
    )  # fmt: skip
    names = rivals.keys
    if gain.low <= 0:
        return _no_rate(
            rivals,
            volume,
            RatioStatus.NOT_IDENTIFIED,
            f"no gain of {names['reference']} data up to {volume:g} examples is established",
        )
    reached, draws = b.reaches(target, targets)
    df = min(a.curve.df, b.curve.df)
    kind = weaker((a.curve.kind, b.curve.kind))
    rate = ratio_interval(reached, draws, volume, settings.level, df, kind, floor=b.first)
    p_never = float(np.isinf(draws).mean())
    status, reason = judge_ratio(reached, p_never, b, names["data_source"])
    if status is RatioStatus.OK and rate.high is None:
        reason = "no upper bound: in some replicates the score is never reached"
    return ExchangeRate(
        **names,
        n_examples=volume,
        rate=rate,
        p_beyond_observed=float((draws > b.last).mean()),
        p_never_under_family=p_never,
        largest_observed_rate=b.last / volume,
        status=status,
        reason=reason,
    )


def _no_rate(rivals: Rivals, volume: float, status: RatioStatus, reason: str) -> ExchangeRate:
    """Return an exchange rate that can't be had."""
    return ExchangeRate(
        **rivals.keys,
        n_examples=volume,
        rate=None,
        p_beyond_observed=None,
        p_never_under_family=None,
        largest_observed_rate=None,
        status=status,
        reason=reason,
    )


# ------------------------------------------------------------------------- growth and ceilings


def _still_growing(rivals: Rivals, settings: FitSettings) -> StillGrowing:
    """Return the gains over the last x4 of data."""
    a, b = rivals.reference.gridded, rivals.source.gridded
    empty = StillGrowing(
        **rivals.keys,
        last_reference=None if a is None else a.last,
        last=None if b is None else b.last,
        gain_reference=None,
        gain=None,
        difference=None,
        status=FitStatus.OK,
        reason=None,
    )
    if a is None or b is None:
        contender = rivals.reference if a is None else rivals.source
        return replace(empty, status=FitStatus.TOO_FEW_POINTS, reason=contender.reason)
    steps = []
    for curve in (a, b):
        # The grid holds last / 4 of every source; below the first volume nothing is known.
        start = max(curve.last / 4, curve.first)
        (begin, begins), (end, ends) = curve.at(start), curve.at(curve.last)
        steps.append((rivals.sign * (end - begin), rivals.sign * (ends - begins)))
    (gain_a, draws_a), (gain_b, draws_b) = steps
    level, df = settings.level, min(a.curve.df, b.curve.df)
    kind = weaker((a.curve.kind, b.curve.kind))
    return replace(
        empty,
        gain_reference=stretched_interval(gain_a, draws_a, level, a.curve.df, a.curve.kind),
        gain=stretched_interval(gain_b, draws_b, level, b.curve.df, b.curve.kind),
        difference=stretched_interval(gain_a - gain_b, draws_a - draws_b, level, df, kind),
    )


def _shared_curve(rivals: Rivals) -> SharedCurve:
    """Test whether one curve with one exchange rate serves both sources."""
    a, b = rivals.reference.fitted, rivals.source.fitted
    empty = SharedCurve(
        **rivals.keys,
        verdict=SharedVerdict.NOT_TESTABLE,
        family=None,
        chi_square_shared=None,
        chi_square_own=None,
        criterion_difference=None,
        rho=None,
        ceiling_reference=None,
        ceiling_source=None,
        p_value=None,
        q_value=None,
        n_tests=0,
        reason=None,
    )
    if a is None or b is None or not (a.fitted and b.fitted):
        contender = rivals.reference if a is None or not a.fitted else rivals.source
        return replace(empty, reason=contender.reason)
    if a.runs.data.x_kind != b.runs.data.x_kind:
        return replace(empty, reason="the volumes of the two sources count different things")
    if a.runs.response is ResponseKind.SCORE and not a.runs.weight_known:
        return replace(empty, reason="scores without items or standard errors")
    found = compare_ceilings(a, b)
    return replace(
        empty,
        family=found.family,
        chi_square_shared=found.chi_square_shared,
        chi_square_own=found.chi_square_own,
        criterion_difference=found.criterion_difference,
        rho=found.rho,
        ceiling_reference=found.ceiling_reference,
        ceiling_source=found.ceiling_source,
        p_value=found.p_value,
        reason=found.reason,
    )


def _adjust_shared(shared: Sequence[SharedCurve], settings: FitSettings) -> list[SharedCurve]:
    """Adjust p-values over study and metric and give the verdicts."""
    result = list(shared)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(shared):
        if item.p_value is not None:
            groups.setdefault((item.study, item.metric), []).append(index)
    for members in groups.values():
        p_values = np.array([shared[i].p_value for i in members], dtype=float)
        for i, q_value in zip(members, benjamini_hochberg(p_values), strict=True):
            rejected = q_value < settings.fdr
            result[i] = replace(
                shared[i],
                q_value=float(q_value),
                n_tests=len(members),
                verdict=SharedVerdict.REJECTED if rejected else SharedVerdict.NOT_REJECTED,
            )
    return result
