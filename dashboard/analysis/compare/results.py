"""What comparisons return: frozen results with interval, status and correction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.analysis.compare.ceilings import SharedVerdict
from dashboard.analysis.compare.inversion import RatioStatus, VolumeRatio
from dashboard.analysis.results import FitStatus, Interval, PredictionStatus

CORRECTION = "Benjamini-Hochberg"


class PairStatus(StrEnum):
    """Outcome of one comparison of observed scores."""

    OK = "ok"
    NO_NOISE = "no_noise"
    """Neither items, standard errors, repeated seeds nor a fitted curve: no interval."""
    DIFFERENT_AXES = "different_axes"
    """Volumes of the two count different things, so no volume is equal."""
    NO_COMMON_VOLUME = "no_common_volume"


@dataclass(frozen=True, kw_only=True)
class SourceDifference:
    """Reference minus source at one volume: means over seeds, paired by item.

    Attributes
    ----------
    n_examples : float
        Volume at which both were trained.
    score_reference, score : float
        The two means.
    difference : Interval or None
        score_reference - score in the metric's own direction: for a loss, positive means that the
        reference's loss is higher. `better` says which source that makes the better one.
    better : str or None
        Source with the better mean; None at a tie.
    significant : bool
        Whether q_value lies below the false discovery rate.
    q_value : float or None
        Adjusted over the `n_tests` differences of the study and metric.
    """

    study: str
    ability: str
    base_model: str
    n_params: int | None
    data_source: str
    reference: str
    metric: str
    higher_is_better: bool
    x_kind: str
    out_of_domain: bool
    n_examples: float
    n_runs_reference: int
    n_runs: int
    score_reference: float
    score: float
    difference: Interval | None
    stderr: float | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    better: str | None
    significant: bool
    status: PairStatus
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ExchangeRate:
    """Examples of the source worth one example of the reference (1 / rho) at one volume.

    Attributes
    ----------
    n_examples : float
        Volume of the reference whose score the source must reach.
    rate : VolumeRatio or None
        Source's volume over `n_examples`.
    p_beyond_observed : float or None
        Share of replicates in which the source doesn't reach the score within its observed
        volumes; it includes those in which it never does.
    p_never_under_family : float or None
        Share of replicates in which the fitted families never reach it, at any volume.
    largest_observed_rate : float or None
        Rate that the source's largest volume stands for: above it, nothing was observed.
    """

    study: str
    ability: str
    base_model: str
    data_source: str
    reference: str
    metric: str
    n_examples: float
    rate: VolumeRatio | None
    p_beyond_observed: float | None
    p_never_under_family: float | None
    largest_observed_rate: float | None
    status: RatioStatus
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class StillGrowing:
    """Gain over the last x4 of data of both sources, positive = better, and their difference."""

    study: str
    ability: str
    base_model: str
    data_source: str
    reference: str
    metric: str
    last_reference: float | None
    last: float | None
    gain_reference: Interval | None
    gain: Interval | None
    difference: Interval | None
    status: FitStatus
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class SharedCurve:
    """Shared against source-specific ceilings (see `ceilings`), adjusted over study and metric."""

    study: str
    ability: str
    base_model: str
    data_source: str
    reference: str
    metric: str
    verdict: SharedVerdict
    family: str | None
    chi_square_shared: float | None
    chi_square_own: float | None
    criterion_difference: float | None
    rho: float | None
    ceiling_reference: float | None
    ceiling_source: float | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One plain sentence; a key is None where the sentence speaks of all of them."""

    study: str
    ability: str | None
    base_model: str | None
    data_source: str
    metric: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SourceComparison:
    """Everything that `compare sources` knows; all lists in order of study, ability and model.

    `reason` says why there is nothing to compare; None where there is.
    """

    pairs: tuple[SourceDifference, ...]
    exchange_rates: tuple[ExchangeRate, ...]
    still_growing: tuple[StillGrowing, ...]
    shared_curves: tuple[SharedCurve, ...]
    readings: tuple[Reading, ...]
    correction: str = CORRECTION
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelScore:
    """One base model's curve at the target volume.

    Attributes
    ----------
    score : Interval or None
        At the target: the averaged curve within the observed range, the backtested prediction
        beyond it (`prediction_status` says which).
    rank : int or None
        1 for the best expected score.
    p_best : float or None
        Probability that this model's expected score at the target is the best.
    gain : Interval or None
        From the first to the target volume (the last observed one, if the target lies beyond).
    """

    study: str
    ability: str
    data_source: str
    metric: str
    base_model: str
    n_params: int | None
    higher_is_better: bool
    n_examples: float
    score: Interval | None
    prediction_status: PredictionStatus | None
    rank: int | None
    p_best: float | None
    gain: Interval | None
    status: FitStatus
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class VolumeRanking:
    """Ranking of base models by their fitted scores at one volume, judged at the target.

    Attributes
    ----------
    order : tuple of str
        Base models, best first.
    p_best : float or None
        Probability that the first of `order` is the best at the target.
    expected_regret : float or None
        Expected loss of score at the target by taking the first of `order`, in score units.
    rank_correlation : float or None
        Spearman's, with the ranking at the target.
    """

    study: str
    ability: str
    data_source: str
    metric: str
    n_examples: float
    target: float
    order: tuple[str, ...]
    p_best: float | None
    expected_regret: float | None
    rank_correlation: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class RankingBacktest:
    """How well rankings made from small volumes foretold the observed one at the largest.

    Attributes
    ----------
    method : str
        `last_score` ranks by the score at `max_examples`, `predicted` by the backtested prediction
        from volumes up to it, `n_params` by size.
    rank_correlation : float
        Spearman's, with the observed ranking at `n_examples`.
    regret : float
        Observed score of the best model minus that of the one ranked first, positive.
    """

    study: str
    ability: str
    data_source: str
    metric: str
    method: str
    max_examples: float
    n_examples: float
    n_models: int
    chosen: str
    rank_correlation: float | None
    regret: float


@dataclass(frozen=True, kw_only=True)
class ScaleEffect:
    """Slope over log2 of the parameters, for the score at a volume or for the gain.

    Attributes
    ----------
    quantity : str
        `score` at `n_examples`, or `gain` from the first volume to `n_examples`: the
        volume-by-scale interaction, positive where bigger models gain more.
    slope : Interval or None
        Change for twice the parameters, positive = better; of the log for losses.
    """

    study: str
    ability: str
    data_source: str
    metric: str
    quantity: str
    n_examples: float
    n_models: int
    slope: Interval | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class DataEquivalent:
    """Examples on the smaller model worth one example on the larger, at the larger's volume."""

    study: str
    ability: str
    data_source: str
    metric: str
    base_model: str
    larger: str
    n_examples: float
    ratio: VolumeRatio | None
    p_beyond_observed: float | None
    p_never_under_family: float | None
    status: RatioStatus
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ScaleComparison:
    """Everything that `compare scales` knows."""

    models: tuple[ModelScore, ...]
    ranking_at: tuple[VolumeRanking, ...]
    ranking_backtest: tuple[RankingBacktest, ...]
    scale_effects: tuple[ScaleEffect, ...]
    data_equivalents: tuple[DataEquivalent, ...]
    readings: tuple[Reading, ...]
    correction: str = CORRECTION


@dataclass(frozen=True, kw_only=True)
class AbilityPace:
    """One ability against the mean of the others with the same base model, source and metric.

    Attributes
    ----------
    gain, gain_per_fourfold : Interval or None
        As `fit` reports them.
    half_gain_examples : Interval or None
        The pace; None where no gain is established.
    pace_ratio : Interval or None
        Pace over the geometric mean of the other abilities' paces: above 1 is slower.
    gain_difference : Interval or None
        Gain minus the mean gain of the other abilities.
    p_pace, p_gain : float or None
        Adjusted for all abilities of the group at once by the largest of the studentised
        differences (max-t), over `n_pace` and `n_gain` abilities.
    """

    study: str
    ability: str
    base_model: str
    data_source: str
    metric: str
    higher_is_better: bool
    x_kind: str
    out_of_domain: bool
    gain: Interval | None
    gain_per_fourfold: Interval | None
    half_gain_examples: Interval | None
    pace_ratio: Interval | None
    p_pace: float | None
    n_pace: int
    gain_difference: Interval | None
    p_gain: float | None
    n_gain: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AbilityPair:
    """Two abilities of one base model, source and metric: `ability` against `other`.

    `quantity` is `half_gain_examples` (difference is a ratio, above 1: `ability` is slower),
    `gain` or `gain_per_fourfold` (difference in score units).
    """

    study: str
    ability: str
    other: str
    base_model: str
    data_source: str
    metric: str
    quantity: str
    difference: Interval
    p_value: float
    q_value: float
    n_tests: int


@dataclass(frozen=True, kw_only=True)
class OverallPoint:
    """Macro mean over abilities at one volume."""

    n_examples: float
    score: Interval


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Macro mean over abilities as a growth curve, in domain and out of domain apart.

    Attributes
    ----------
    domain : str
        `in_domain` or `out_of_domain`.
    abilities : tuple of str
        Those that are averaged; `left_out` names the others.
    curve : tuple of OverallPoint
        At the volumes that all of them have runs at.
    gain : Interval or None
        Last minus first point, positive = better.
    run_correlation : float
        Correlation of an ability's run noise with another's in the same run, which the intervals
        hold.
    """

    study: str
    base_model: str
    data_source: str
    metric: str
    domain: str
    higher_is_better: bool
    x_kind: str
    abilities: tuple[str, ...]
    left_out: tuple[str, ...]
    curve: tuple[OverallPoint, ...]
    gain: Interval | None
    run_correlation: float
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AbilityComparison:
    """Everything that `compare abilities` knows."""

    abilities: tuple[AbilityPace, ...]
    pairs: tuple[AbilityPair, ...]
    overall: tuple[Overall, ...]
    readings: tuple[Reading, ...]
    correction: str = "pairs: Benjamini-Hochberg; against the mean of the others: max-t"
