"""What an effective-data fit hands back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.analysis.effective.model import EffectiveModel
from dashboard.analysis.results import Interval


class WorthStatus(StrEnum):
    """What the runs can tell about the worth of other data."""

    OK = "ok"
    OPEN_ABOVE = "open_above"
    """Only a lower bound is known: any larger worth fits as well."""
    OPEN_BELOW = "open_below"
    """Only an upper bound is known: a worth of next to nothing fits as well."""
    NOT_IDENTIFIED = "not_identified"


@dataclass(frozen=True, kw_only=True)
class SourceWorth:
    """What one example of a data source is worth, in examples of the reference source.

    Attributes
    ----------
    rho : Interval or None
        Examples of the reference source; 1 / rho is the exchange rate. Where the status is not ok
        the estimate is what the fit holds, and `reason` says what is not known.
    """

    ability: str
    data_source: str
    status: WorthStatus
    rho: Interval | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AbilityWorth:
    """What one example of another ability is worth, in examples of the target's own.

    Attributes
    ----------
    tau : Interval or None
        At least 0. It holds whatever helps the target, the answer format among it.
    shift : Interval or None
        Negative transfer: change of the score (accuracies: fraction) at the most examples of the
        source ability seen, at most 0; None where `tau` is positive and so is its interval.
    p_value, q_value : float or None
        Test of neither help nor harm, and after Benjamini-Hochberg over all pairs of the base
        model; None where the status is not_identified.
    n_tests : int
        Pairs that the correction is over.
    """

    source_ability: str
    target_ability: str
    status: WorthStatus
    tau: Interval | None
    shift: Interval | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AbilityFit:
    """The fit of one target ability.

    Attributes
    ----------
    shape : str or None
        Growth shape of g; None where nothing could be fitted.
    params : dict
        Its parameters, in working form.
    n_compositions : int
        Distinct compositions behind the fit, the base model among them.
    n_parameters : int
        Free parameters: of g, of sources and of abilities.
    overdispersion : float
        Weighted squares over degrees of freedom, at least 1; intervals are widened by its root,
        so that a lack of fit shows.
    status : str
        `ok`, `poor_fit` (errors far beyond noise: no worth is reported and the curve is plain
        growth) or `too_few_points`.
    """

    ability: str
    shape: str | None
    params: dict[str, float]
    n_compositions: int
    n_parameters: int
    overdispersion: float
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class EffectiveFit:
    """Effective data of one study and base model.

    Attributes
    ----------
    status : str
        `ok` where something beyond plain growth is identified, `not_identified` where the model
        below is growth in own examples of the reference source alone, `failed` without a model.
    tau_identified : bool
        Whether any worth of another ability is known.
    abilities : tuple of AbilityFit
    rho : tuple of SourceWorth
    unlabelled : tuple of SourceWorth
        Worth of an example whose ability nobody knows.
    tau : tuple of AbilityWorth
        Every pair of different abilities.
    model : EffectiveModel or None
        For budgets. Shifts are not part of it.
    n_runs : int
        Runs used.
    left_out : tuple of str
        Why runs were not used, a sentence each.
    reading : tuple of str
    """

    study: str
    base_model: str
    metric: str
    reference: str
    status: str
    reason: str | None
    tau_identified: bool
    abilities: tuple[AbilityFit, ...]
    rho: tuple[SourceWorth, ...]
    unlabelled: tuple[SourceWorth, ...]
    tau: tuple[AbilityWorth, ...]
    model: EffectiveModel | None
    n_runs: int
    left_out: tuple[str, ...]
    reading: tuple[str, ...]
