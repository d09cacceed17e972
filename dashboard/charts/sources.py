"""Two data sources compared: differences, exchange rates, who is still growing, balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dashboard.analysis import CurveFit, Interval, ResponseKind
from dashboard.analysis.compare.ceilings import SharedVerdict
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.results import (
    ExchangeRate,
    Reading,
    SharedCurve,
    SourceComparison,
    SourceDifference,
    StillGrowing,
)
from dashboard.charts.wording import (
    name_ability,
    say_count,
    say_examples,
    say_gain,
    say_list,
)

VERDICT_WORDS = {
    SharedVerdict.REJECTED: "ceilings differ",
    SharedVerdict.NOT_REJECTED: "one is not rejected",
    SharedVerdict.NOT_TESTABLE: "can't be tested",
}

_BALANCED = "Both sources were trained on in the same proportions"
FILLED_NOTE = "Filled: significant after correction for all tests."
RATE_NOTE = (
    "Filled: reached within the observed volumes. Hollow: only beyond them, as the fitted curves "
    "continue. Arrow: an open end, since too many replicates never reach the score."
)
GROWING_NOTE = "Filled: the interval lies above 0."

T = TypeVar("T", SourceDifference, ExchangeRate, StillGrowing, SharedCurve, Reading)


@dataclass(frozen=True, kw_only=True)
class SourceView:
    """What one page shows: two sources on one base model, at one volume.

    Attributes
    ----------
    volume : float or None
        Examples (of all abilities, for exams `exam_factor` times as many); None is each
        ability's largest common volume.
    pairs : tuple of SourceDifference
        One an ability, the largest difference first, exams last; `all_pairs` at every volume.
    """

    reference: str
    source: str
    base_model: str
    volume: float | None
    pairs: tuple[SourceDifference, ...]
    all_pairs: tuple[SourceDifference, ...]
    rates: Mapping[str, ExchangeRate]
    growing: Mapping[str, StillGrowing]
    shared: Mapping[str, SharedCurve]
    readings: tuple[Reading, ...]
    balance: tuple[Mapping[str, Any], ...]
    responses: Mapping[str, ResponseKind]

    @property
    def inside(self) -> list[SourceDifference]:
        """Differences on abilities that are trained; on exams if there are no others."""
        return [pair for pair in self.pairs if not pair.out_of_domain] or list(self.pairs)


def select_sources(
    comparison: SourceComparison,
    balance: Sequence[Mapping[str, Any]],
    curves: Sequence[CurveFit],
    *,
    reference: str,
    source: str,
    base_model: str,
    volume: float | None,
) -> SourceView:
    """Select what belongs to two sources, a base model and a volume."""

    def mine(rows: Sequence[T]) -> list[T]:
        return [r for r in rows if r.data_source == source and r.base_model == base_model]

    all_pairs = mine(comparison.pairs)
    factor = exam_factor(all_pairs)
    at: dict[str, SourceDifference] = {}
    for pair in all_pairs:
        wanted = None if volume is None else volume * (factor if pair.out_of_domain else 1.0)
        # Volumes ascend within an ability, so that the last one stays.
        if wanted is None or pair.n_examples == wanted:
            at[pair.ability] = pair
    pairs = sorted(at.values(), key=_order)
    rates = {(rate.ability, rate.n_examples): rate for rate in mine(comparison.exchange_rates)}
    return SourceView(
        reference=reference,
        source=source,
        base_model=base_model,
        volume=volume,
        pairs=tuple(pairs),
        all_pairs=tuple(all_pairs),
        rates={
            p.ability: rates[p.ability, p.n_examples]
            for p in pairs
            if (p.ability, p.n_examples) in rates
        },
        growing={one.ability: one for one in mine(comparison.still_growing)},
        shared={one.ability: one for one in mine(comparison.shared_curves)},
        readings=tuple(mine(comparison.readings)),
        balance=tuple(row for row in balance if row["data_source"] in (reference, source)),
        responses={curve.ability: curve.response for curve in curves},
    )


def common_volumes(comparison: SourceComparison, source: str, base_model: str) -> list[float]:
    """Return the volumes that both sources have, of the trained abilities if there are any."""
    pairs = [p for p in comparison.pairs if p.data_source == source and p.base_model == base_model]
    inside = [p for p in pairs if not p.out_of_domain] or pairs
    return sorted({p.n_examples for p in inside})


def exam_factor(pairs: Sequence[SourceDifference]) -> float:
    """Return how many times the trained abilities' volumes exams' volumes are."""
    largest = {
        out: max((p.n_examples for p in pairs if p.out_of_domain is out), default=0.0)
        for out in (False, True)
    }
    return largest[True] / largest[False] if all(largest.values()) else 1.0


# --- Sentences --------------------------------------------------------------------------------


def sources_headline(view: SourceView) -> str:
    """Return on how many abilities one source beats the other, in a sentence."""
    usable = [pair for pair in view.inside if pair.difference is not None]
    if not usable:
        return (
            f"{view.reference.capitalize()} and {view.source} data can't be compared on any "
            f"ability of {view.base_model}."
        )
    wins = {
        name: [name_ability(p.ability) for p in usable if p.significant and p.better == name]
        for name in (view.reference, view.source)
    }
    total = say_count(len(usable), "ability", "abilities")
    at = "at their largest common volumes"
    if view.volume is not None:
        at = f"at {say_examples(view.volume)} examples"
    parts = [
        f"{winner} data beats {loser} on {len(wins[winner])} of {total} {_named(wins[winner])}"
        for winner, loser in ((view.reference, view.source), (view.source, view.reference))
        if wins[winner]
    ]
    text = " and ".join(parts)
    if not parts:
        text = f"{view.reference} and {view.source} data can't be told apart on any of {total}"
    rest = len(usable) - sum(len(names) for names in wins.values())
    rest_said = f"; {rest} can't be told apart" if parts and rest else ""
    return f"{text[0].upper()}{text[1:]} {at}, for {view.base_model}{rest_said}."


def difference_title(view: SourceView) -> str:
    """Say from which to which the differences go."""
    known = [(p, p.difference) for p in view.inside if p.difference is not None]
    if not known:
        return "No difference could be estimated"
    ordered = sorted(known, key=lambda item: item[1].estimate)
    (least, low), (most, high) = ordered[0], ordered[-1]
    if len(known) == 1:
        return f"{name_ability(most.ability).capitalize()}: {_say(high, most, view)}"
    return (
        f"From {_say(low, least, view)} in {name_ability(least.ability)} to "
        f"{_say(high, most, view)} in {name_ability(most.ability)}"
    )


def rates_title(view: SourceView) -> str:
    """Say how often the other source can stand in for the reference."""
    rates = [view.rates[p.ability] for p in view.inside if p.ability in view.rates]
    within = [r for r in rates if r.status in (RatioStatus.OK, RatioStatus.BELOW_OBSERVED)]
    beyond = [r for r in rates if r.status is RatioStatus.BEYOND_OBSERVED]
    never = [r for r in rates if r.status is RatioStatus.NEVER_UNDER_FAMILY]
    if not (within or beyond or never):
        return "No exchange rate can be told: the reference shows no gain to exchange"
    parts = [f"{view.source} data reaches the {view.reference} score in {len(within)}"]
    parts += [f"only beyond what was observed in {len(beyond)}"] if beyond else []
    parts += [f"never as the fitted curves go in {len(never)}"] if never else []
    total = say_count(len(within) + len(beyond) + len(never), "ability", "abilities")
    text = ", ".join(parts)
    return f"Of {total} with a gain to exchange, {text}"


def growing_title(view: SourceView) -> str:
    """Say which source is still growing at the end, in how many abilities."""
    found = [view.growing[p.ability] for p in view.inside if p.ability in view.growing]
    known = [one for one in found if one.gain_reference is not None and one.gain is not None]
    if not known:
        return "Who is still growing can't be told"
    counts = {
        view.reference: sum(one.gain_reference.low > 0 for one in known if one.gain_reference),
        view.source: sum(one.gain.low > 0 for one in known if one.gain),
    }
    said = say_list([f"{count} on {name}" for name, count in counts.items()])
    total = say_count(len(known), "ability", "abilities")
    return f"Of {total}, still growing over the last fourfold of data: {said}"


def ceilings_sentence(view: SourceView) -> str:
    """Say for how many abilities the sources lead to different ceilings."""
    inside = [view.shared[p.ability] for p in view.inside if p.ability in view.shared]
    tested = [one for one in inside if one.q_value is not None]
    if not tested:
        return "Whether the sources lead to one ceiling can't be tested."
    differ = [name_ability(one.ability) for one in tested if one.verdict is SharedVerdict.REJECTED]
    total = say_count(len(tested), "ability", "abilities")
    if not differ:
        return (
            f"In none of {total} is one shared ceiling rejected: the sources may lead to the same "
            "place at different paces."
        )
    return f"Ceilings differ in {len(differ)} of {total} {_named(differ)}."


def balance_title(view: SourceView) -> str:
    """Say how evenly the two sources' runs were spread over abilities."""
    shares = shares_of(view)
    if any(None in by_source.values() for by_source in shares.values()):
        return "Shares of training examples by ability"
    unlabelled = [s for s in (view.reference, view.source) if "unlabelled" in _abilities(view, s)]
    if unlabelled:
        return f"{say_list(unlabelled).capitalize()} data is not sorted by ability"
    gaps = {
        ability: abs(by_source.get(view.reference, 0) - by_source.get(view.source, 0))
        for ability, by_source in shares.items()
    }
    if not gaps or max(gaps.values()) < 0.005:
        return _BALANCED
    widest = max(gaps, key=lambda ability: gaps[ability])
    return (
        f"The sources' proportions differ by up to {100 * gaps[widest]:.0f} points "
        f"({name_ability(widest)})"
    )


def is_balanced(view: SourceView) -> bool:
    """Tell whether both sources were trained on in the same proportions: nothing to draw."""
    return balance_title(view) == _BALANCED


def how_sources(comparison: SourceComparison, view: SourceView) -> list[tuple[str, str]]:
    """Say how sources were compared."""
    n_tests = max((pair.n_tests for pair in view.all_pairs), default=0)
    n_ceilings = max((one.n_tests for one in view.shared.values()), default=0)
    return [
        (
            "Difference",
            f"{view.reference} minus {view.source}: means over seeds at one volume, paired by "
            "test item",
        ),
        (
            "Significant",
            f"q below the false discovery rate, {comparison.correction} over {n_tests} differences "
            "of the study and metric (all abilities, base models and volumes)",
        ),
        (
            "Exchange rate",
            f"volume at which the curve of {view.source} data reaches the score of "
            f"{view.reference} data, over that volume",
        ),
        (
            "Beyond, never",
            "beyond observed: only past the largest volume that was run, as the fitted curves "
            "continue; never: the fitted curves do not reach it at any volume",
        ),
        ("Still growing", "gain over the last fourfold of data of the averaged curve"),
        (
            "Ceilings",
            "one shared ceiling against one for each source, the same growth family; "
            f"{comparison.correction} over {n_ceilings} tests",
        ),
    ]


# --- Parts ------------------------------------------------------------------------------------


def _order(pair: SourceDifference) -> tuple[bool, bool, float, str]:
    """Sort trained abilities first, the largest difference on top."""
    estimate = pair.difference.estimate if pair.difference else 0.0
    return (pair.out_of_domain, pair.difference is None, -estimate, pair.ability)


def _say(interval: Interval, pair: SourceDifference, view: SourceView) -> str:
    return say_gain(interval.estimate, response_of(view, pair.ability))


def _named(names: Sequence[str]) -> str:
    return f"({say_list(list(names))})" if len(names) <= 6 else f"({', '.join(names[:5])}, …)"


def response_of(view: SourceView, ability: str) -> ResponseKind:
    """Return an ability's kind of score."""
    return view.responses.get(ability, ResponseKind.SCORE)


def _abilities(view: SourceView, source: str) -> set[str]:
    return {str(row["ability"]) for row in view.balance if row["data_source"] == source}


def shares_of(view: SourceView) -> dict[str, dict[str, Any]]:
    """Return shares by ability and source."""
    shares: dict[str, dict[str, Any]] = {}
    for row in view.balance:
        shares.setdefault(str(row["ability"]), {})[str(row["data_source"])] = row["share"]
    return shares
