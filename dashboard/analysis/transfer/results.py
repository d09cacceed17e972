"""What a transfer analysis hands back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.results import Interval


class TransferDesign(StrEnum):
    """Which runs an effect compares."""

    SINGLE_ABILITY = "single_ability"
    """The source ability alone against the base model."""
    LEAVE_ONE_OUT = "leave_one_out"
    """All abilities against all but the source ability."""


class Verdict(StrEnum):
    """What a cell says of transfer.

    It needs both: an effect beyond the mean of the other sources (q below the rate) and a raw
    effect whose interval lies on the same side of 0. A source that does nothing while another one
    helps much lies below the others' mean, and is not called harmful for it.
    """

    HELPS = "helps"
    HURTS = "hurts"
    NOT_SHOWN = "not_shown"
    """Neither is established: no proof that there is no transfer."""


@dataclass(frozen=True, kw_only=True)
class TransferCell:
    """The effect of one ability's training data on one target.

    Effects are differences of scores, positive when the target improves.

    Attributes
    ----------
    design : TransferDesign
    base_model, data_source, metric : str
    volume : float or None
        The grid's volume setting, which counts what `volume_per` says.
    length_rule : str
        What fixed the optimizer steps: `steps`, `epochs` or "".
    source_ability, target_ability : str
    own : bool
        Whether source and target are the same ability.
    out_of_domain : bool
        Whether the target is an exam that no training data belongs to.
    effect : Interval or None
        The raw effect. Any fine-tuning teaches the answer format, so it is no proof of transfer.
    beyond_format : Interval or None
        The effect minus the mean effect of the other sources (the target's own data left out).
    p_value, q_value : float or None
        Test of `effect` against 0, and after Benjamini-Hochberg over the matrix.
    beyond_format_p_value, beyond_format_q_value : float or None
        The same for `beyond_format`: the test of transfer.
    verdict : Verdict or None
        None where nothing is tested.
    n_tests : int
        Effects that the correction is over: one study, base model, data source and metric.
    n_others : int
        Sources that `beyond_format` is relative to.
    parse_rate_change : float or None
        Change of the share of replies of a valid form.
    given_parsed_change : float or None
        Change of the score over replies of a valid form.
    n_steps, n_steps_reference : float or None
        Mean optimizer steps of the runs with (for leave-one-out: all) and of those compared with.
    steps_matched : bool or None
        Whether all runs behind `beyond_format` took the same steps; None if unknown.
    n_runs : int
        Runs that the effect rests on, both sides.
    reason : str or None
        Why something is unknown.
    """

    design: TransferDesign
    base_model: str
    data_source: str
    metric: str
    volume: float | None
    volume_per: str | None
    length_rule: str
    source_ability: str
    target_ability: str
    own: bool
    out_of_domain: bool
    response: ResponseKind
    effect: Interval | None
    beyond_format: Interval | None
    p_value: float | None
    q_value: float | None
    beyond_format_p_value: float | None
    beyond_format_q_value: float | None
    verdict: Verdict | None
    n_tests: int
    n_others: int
    parse_rate_change: float | None
    given_parsed_change: float | None
    n_steps: float | None
    n_steps_reference: float | None
    steps_matched: bool | None
    n_runs: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """How far out-of-domain growth mirrors in-domain growth, over the recipes of a base model.

    A recipe is a composition with its training; its point is the change of the mean score since
    the base model, in domain (all trained abilities) and out of domain.

    Attributes
    ----------
    target : str
        An exam's name, or "all exams" for their mean.
    n_recipes : int
    slope : Interval or None
        Out-of-domain change per point of in-domain change (least squares with an intercept).
    rank_correlation : Interval or None
        Spearman's, over recipes.
    reason : str or None
        Why there is none.
    """

    base_model: str
    metric: str
    target: str
    n_recipes: int
    slope: Interval | None
    rank_correlation: Interval | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """Transfer of one study and base model.

    Attributes
    ----------
    cells : tuple of TransferCell
        By design, volume, source and target.
    mirrors : tuple of Mirror
        All exams together first.
    status : str
        `ok`, or `not_identified` where no run can tell transfer.
    reason : str or None
    reading : tuple of str
        Plain sentences.
    """

    study: str
    base_model: str
    cells: tuple[TransferCell, ...]
    mirrors: tuple[Mirror, ...]
    status: str
    reason: str | None
    reading: tuple[str, ...]
