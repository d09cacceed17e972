"""What planning hands back: frozen results that the CLI and the app read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.analysis.results import Interval


@dataclass(frozen=True, kw_only=True)
class AllocatedCell:
    """Examples to get of one ability and source.

    Attributes
    ----------
    stopped_by : str or None
        "available" or "supported" where the plan takes all that may be had; more might help.
    unsupported : bool
        Whether the volume lies beyond every observed run (only if that was allowed).
    """

    ability: str
    data_source: str
    n_examples: int
    cost: float
    stopped_by: str | None
    unsupported: bool


@dataclass(frozen=True, kw_only=True)
class ExpectedScore:
    """Score of one ability under the plan, in the metric's own unit.

    Attributes
    ----------
    score : Interval
    without_data : float
        Score of the curves at 0 examples.
    uniform : float
        Score under the uniform plan.
    p_floor : float or None
        Probability that the floor is reached; None where none is asked.
    """

    ability: str
    score: Interval
    without_data: float
    uniform: float
    p_floor: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The plan against another one, by weighted mean score; positive = the plan is better.

    Attributes
    ----------
    against : str
        "uniform" or "own plan".
    p_better : float
        Probability that the plan is better, from draws that did not choose it.
    difference : Interval
    """

    against: str
    p_better: float
    difference: Interval


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """The best plan of another budget: its weighted mean score, and the uniform plan's."""

    budget: float
    spent: float
    score: Interval
    uniform: float


@dataclass(frozen=True, kw_only=True)
class CellStability:
    """How one cell of the plan moves when replicates are solved in the data's place.

    Attributes
    ----------
    share_within_factor_2 : float
        Share of re-solved plans with between half and twice the examples (0 means 0 here).
    low, high : int
        Range of the middle 80% of the re-solved plans.
    """

    ability: str
    data_source: str
    n_examples: int
    share_within_factor_2: float
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """What the same budget brings with each base model, its training paid first."""

    base_model: str
    training_cost: float
    score: float | None
    p_best: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A plan with what is known about it.

    Attributes
    ----------
    budget, spent, unspent : float
        Money, or examples; `spent` includes `training_cost`. Money stays unspent where nothing
        that can be had is expected to help.
    allocation : tuple of AllocatedCell
        One per ability and source that could be bought, zeros included.
    expected : tuple of ExpectedScore
    score : Interval
        Weighted mean score, expected after pooling the abilities' curves.
    versus : tuple of Comparison
        Against the uniform plan, then against the user's own if there is one.
    optimism : float
        By how much the fitted curves, taken at face value, overstate the plan's lead over the
        uniform plan (winner's curse): their difference to the lead after pooling.
    frontier : tuple of FrontierPoint
        By budget.
    stability : tuple of CellStability
    n_resolved : int
        Replicates that were solved anew.
    base_models : tuple of ModelChoice
        Where the model was free to choose.
    assumptions, warnings : tuple of str
    reading : str
        One plain sentence.
    """

    base_model: str
    higher_is_better: bool
    budget: float
    spent: float
    unspent: float
    training_cost: float
    allocation: tuple[AllocatedCell, ...]
    expected: tuple[ExpectedScore, ...]
    score: Interval
    versus: tuple[Comparison, ...]
    optimism: float
    frontier: tuple[FrontierPoint, ...]
    stability: tuple[CellStability, ...]
    n_resolved: int
    base_models: tuple[ModelChoice, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    reading: str


@dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """The plan of the plug-in curves alone: quick, and too optimistic about itself."""

    base_model: str
    allocation: tuple[AllocatedCell, ...]
    score: float
    uniform: float


class TargetStatus(StrEnum):
    """Whether a target score can be reached."""

    ALREADY_REACHED = "already_reached"
    """The curve starts there."""
    REACHED = "reached"
    NOT_WITHIN_SUPPORTED = "not_within_supported"
    """Only beyond the largest observed volume, where the curve is a guess."""
    NEVER_UNDER_FAMILIES = "never_under_families"
    """Not at 1,000 times the largest observed volume either."""
    NOT_FITTED = "not_fitted"


@dataclass(frozen=True, kw_only=True)
class TargetVolume:
    """Examples needed for a target score.

    Attributes
    ----------
    n_examples : float or None
        Where the curve reaches the target; None with `reason` where it does not.
    low, high : float or None
        Bounds at `level`; `high` is None where that many replicates do not reach it within the
        supported range (`high_reason`).
    p_reachable : float or None
        Probability that the target is reached within `supported_max`.
    supported_max : float or None
        Largest observed volume.
    """

    study: str
    ability: str
    base_model: str
    data_source: str
    metric: str
    x_kind: str
    target: float
    status: TargetStatus
    n_examples: float | None
    low: float | None
    high: float | None
    level: float
    high_reason: str | None
    p_reachable: float | None
    supported_max: float | None
    reason: str | None
    reading: str


@dataclass(frozen=True, kw_only=True)
class CandidateCell:
    """A training run that could come next, scored by what it would teach.

    Attributes
    ----------
    n_examples : int
        Examples of each ability; `n_examples_total` of all of them.
    n_seeds_now : int
        Runs of this model, source and volume that exist.
    expected_reduction : float
        Of the goal's variance summed over abilities (squared score), or, for the budget, of the
        recommendation's expected regret (weighted score).
    share : float
        The same over what there is to reduce.
    cost : float or None
        In the unit that the result names.
    reduction_per_cost : float or None
    """

    design: str
    base_model: str
    data_source: str
    n_examples: int
    n_examples_total: int
    seed: int
    n_seeds_now: int
    expected_reduction: float
    share: float
    cost: float | None
    reduction_per_cost: float | None


@dataclass(frozen=True, kw_only=True)
class NextRuns:
    """Candidate runs, the best first.

    Attributes
    ----------
    goal : str
    now : float
        What there is to reduce: the variance, or the expected regret.
    standard_deviation : float or None
        Root mean variance over abilities, in score units; None for the budget.
    cost_unit : str
        "seconds", "price" or "runs" (each costs 1).
    """

    goal: str
    now: float
    standard_deviation: float | None
    cost_unit: str
    cost_reason: str | None
    cells: tuple[CandidateCell, ...]
    warnings: tuple[str, ...]
    reading: str
