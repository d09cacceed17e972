"""What a fit hands back: frozen results that views, exports and the CLI read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.analysis.curve_data import FloatArray, ResponseKind


class FitStatus(StrEnum):
    """Outcome of fitting one family, or of one curve as a whole."""

    OK = "ok"
    AT_BOUND = "at_bound"
    """Converged with a parameter at its bound: usable, its standard error is not."""
    ITERATION_CAP = "iteration_cap"
    TOO_FEW_POINTS = "too_few_points"
    NOT_IDENTIFIED = "not_identified"
    FAILED = "failed"


LABEL_BASIS = {
    "items_and_runs": "items and runs",
    "stderr_and_runs": "standard errors and runs",
    "items_only": "items and scatter around the curves",
    "stderr_only": "standard errors and scatter around the curves",
    "residual": "scatter around the curve",
}
"""What a label rests on, by the noise that the curve's intervals cover."""

DRAWABLE = frozenset({FitStatus.OK, FitStatus.AT_BOUND})
"""Statuses under which a curve may be drawn as a fit."""


class Label(StrEnum):
    """Answer to "does more data help?"; the rule is in docs/statistics.md."""

    DECLINING = "declining"
    RESISTANT = "resistant"
    RESPONSIVE = "responsive"
    SATURATING = "saturating"
    UNDECIDED = "undecided"


class IntervalKind(StrEnum):
    """Which noise an interval covers."""

    ITEMS_AND_RUNS = "items_and_runs"
    """Test items and run-to-run differences: an interval for the training procedure."""
    ITEMS_ONLY = "items_only"
    """One seed everywhere: says nothing about another training run."""
    STDERR_AND_RUNS = "stderr_and_runs"
    """Given standard errors instead of items, with run-to-run differences."""
    STDERR_ONLY = "stderr_only"
    RESIDUAL = "residual"
    """Scatter of runs around the curve: neither items nor standard errors are known."""
    BACKTEST = "backtest"
    """Errors made when larger volumes were predicted from smaller ones."""


class PlateauStatus(StrEnum):
    """Whether the next doubling of data would still pay."""

    PLATEAU = "plateau"
    GROWING = "growing"
    UNDECIDED = "undecided"
    UNDERPOWERED = "underpowered"
    """Items and seeds are too few to show a plateau even if there were one."""


class PredictionStatus(StrEnum):
    """What stands behind a predicted score."""

    INSIDE_RANGE = "inside_range"
    BACKTESTED = "backtested"
    UNSUPPORTED_HORIZON = "unsupported_horizon"
    """No held-back volume lies as far out: the interval is a guess and says so."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its bounds: low <= estimate <= high at confidence `level`."""

    estimate: float
    low: float
    high: float
    level: float
    kind: IntervalKind


@dataclass(frozen=True, kw_only=True)
class FamilyFit:
    """One growth family fitted to one curve.

    Attributes
    ----------
    name : str
        Family name as in docs/statistics.md.
    status : FitStatus
        Outcome; `reason` says more where it is not ok.
    params, stderr : dict
        Parameters by symbol with their standard errors (None where undefined, such as at a bound).
    covariance : ndarray, shape (k, k)
        Covariance of `params` in their order; NaN rows for parameters without a standard error.
    log_likelihood : float or None
        Binomial log-likelihood, or Gaussian on the log loss.
    qaicc : float or None
        Criterion at run level; None where n - k - 1 < 1.
    weight : float
        Share in the averaged curve, 0 for families left out.
    rmse : float or None
        Root mean squared residual over runs: score units, or log loss for losses.
    n_free : int
        Free parameters, the overdispersion (or residual variance) not counted.
    """

    name: str
    status: FitStatus
    reason: str | None
    params: dict[str, float]
    stderr: dict[str, float | None]
    covariance: FloatArray
    log_likelihood: float | None
    qaicc: float | None
    weight: float
    rmse: float | None
    n_free: int


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """Gain of the next doubling beyond the largest volume, judged against `delta`.

    Attributes
    ----------
    status : PlateauStatus
        `plateau` if the one-sided 90% upper bound lies below `delta`.
    gain : Interval or None
        Gain of the next doubling, two-sided at the settings' level.
    upper_bound : float or None
        One-sided 90% upper bound.
    minimum_detectable : float or None
        The smallest delta at which a curve that is really flat would be declared so with 80%
        probability, given these items and seeds.
    """

    status: PlateauStatus
    gain: Interval | None
    upper_bound: float | None
    minimum_detectable: float | None
    delta: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Band:
    """The averaged curve with its pointwise band, for drawing; arrays of shape (n_grid,)."""

    n_examples: FloatArray
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    kind: IntervalKind


@dataclass(frozen=True, kw_only=True)
class ObservedPoints:
    """The runs behind a curve, for drawing; arrays of shape (n_points,).

    `excluded` gives for each point why it was not fitted, or None: excluded points are drawn
    hollow.
    """

    n_examples: FloatArray
    score: FloatArray
    stderr: FloatArray
    n_items: FloatArray
    seed: tuple[int | None, ...]
    cell_id: tuple[str, ...]
    excluded: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class BacktestError:
    """Mean absolute error of one method on held-back larger volumes, pooled over the study.

    `error` is in score units, or in log loss for losses, and None where no held-back volume judges
    the method at this horizon; `weight` is the share that the method
    has in predictions at that horizon. `horizon` is the largest volume over the largest volume
    fitted.
    """

    family: str
    horizon: float
    error: float | None
    weight: float
    n_predictions: int


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted score of a run at `n_examples`, with interval and what stands behind it."""

    n_examples: float
    estimate: float | None
    low: float | None
    high: float | None
    level: float
    status: PredictionStatus
    kind: IntervalKind | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class CurveFit:
    """Everything a page or a script needs to know about one growth curve.

    Attributes
    ----------
    status : FitStatus
        Of the averaged curve; `reason` says more where it is not ok.
    drawable : bool
        Whether there is a curve to draw (`band` is then not None).
    n_points, n_volumes, n_seeds : int
        Fitted runs, their distinct volumes, and the most seeds at one volume.
    noise : IntervalKind or None
        What the intervals cover.
    run_stddev, run_df : float or None
        Run-to-run standard deviation (logit scale for accuracies, log for losses) after shrinking
        towards the study's pool, and its degrees of freedom; None with one seed everywhere.
    overdispersion : float or None
        Pearson chi-square over its degrees of freedom, floored at 1.
    score_first, score_last : Interval or None
        Averaged curve at the first volume (0 for accuracies) and at the largest.
    gain : Interval or None
        score_last - score_first, positive = better.
    gain_upper_bound : float or None
        One-sided 95% upper bound of the gain, which `resistant` compares with `delta`.
    gain_per_fourfold : Interval or None
        Gain per x4 of data at mid-range.
    half_gain_examples : Interval or None
        The pace: volume at which half of the total gain is reached; None, with
        `half_gain_reason`, where there is no gain to halve.
    p_value, q_value : float or None
        Test against a constant whose null keeps the run noise (with one seed everywhere, the
        scatter around the study's curves in its place), and its Benjamini-Hochberg
        adjustment over the `n_tests` abilities of this study, base model, source and metric.
    label : Label or None
        None with `label_reason` where no label can be given; with one seed everywhere
        `label_reason` says how runs are judged to differ.
    delta : float or None
        Smallest gain that matters, as used by the label.
    replicate_failures : float
        Share of replicate fits that hit the iteration cap (their last, best point is used).
    reading : str
        One plain sentence.
    """

    study: str
    ability: str
    base_model: str
    n_params: int | None
    data_source: str
    metric: str
    higher_is_better: bool
    chance_level: float | None
    x_kind: str
    out_of_domain: bool
    response: ResponseKind
    status: FitStatus
    reason: str | None
    drawable: bool
    n_points: int
    n_volumes: int
    n_seeds: int
    noise: IntervalKind | None
    run_stddev: float | None
    run_df: float | None
    overdispersion: float | None
    families: tuple[FamilyFit, ...]
    score_first: Interval | None
    score_last: Interval | None
    gain: Interval | None
    gain_upper_bound: float | None
    gain_per_fourfold: Interval | None
    half_gain_examples: Interval | None
    half_gain_reason: str | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    plateau: Plateau
    label: Label | None
    label_reason: str | None
    delta: float | None
    band: Band | None
    points: ObservedPoints
    backtest: tuple[BacktestError, ...]
    predictions: tuple[Prediction, ...]
    replicate_failures: float
    reading: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """(study, ability, base_model, data_source, metric)."""
        return (self.study, self.ability, self.base_model, self.data_source, self.metric)

    @property
    def label_basis(self) -> str | None:
        """What the label rests on, in words; None without a label."""
        if self.label is None or self.noise is None:
            return None
        return LABEL_BASIS[self.noise.value]


@dataclass(frozen=True, kw_only=True)
class RunNoise:
    """Run-to-run noise of a study, pooled over volumes, abilities and models.

    Attributes
    ----------
    response : ResponseKind
        Scale: logit for accuracies, log for losses, score units otherwise.
    stddev : float
        Pooled run standard deviation on that scale.
    df : float
        Degrees of freedom behind the pool (repeated seeds).
    prior_df : float
        Weight of the pool in a single curve's variance, in degrees of freedom; infinite where
        curves do not differ more than chance allows.
    """

    study: str
    response: ResponseKind
    stddev: float
    df: float
    prior_df: float


@dataclass(frozen=True, kw_only=True)
class StudyFit:
    """All curves fitted together, in the order given, with the noise that they share."""

    curves: tuple[CurveFit, ...]
    run_noise: tuple[RunNoise, ...]
    analysis_version: str
    correction: str = "Benjamini-Hochberg"
