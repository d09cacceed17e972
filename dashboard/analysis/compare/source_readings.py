"""One sentence for every ability, base model and source, and one over all abilities."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.results import ExchangeRate, Reading, SourceDifference
from dashboard.analysis.compare.wording import (
    capital,
    count_of,
    listed,
    ratio_span,
    size_of,
    span_of,
)


def read_sources(
    pairs: Sequence[SourceDifference], rates: Sequence[ExchangeRate]
) -> tuple[Reading, ...]:
    """Read each comparison at its largest common volume, then all abilities together.

    Never over metrics: each sentence speaks of one.
    """
    largest: dict[tuple[str, ...], SourceDifference] = {}
    for pair in pairs:
        # Volumes ascend within a comparison.
        largest[pair.study, pair.ability, pair.base_model, pair.data_source, pair.metric] = pair
    rate_of = {
        (r.study, r.ability, r.base_model, r.data_source, r.metric, r.n_examples): r for r in rates
    }
    readings = [
        Reading(
            study=pair.study,
            ability=pair.ability,
            base_model=pair.base_model,
            data_source=pair.data_source,
            metric=pair.metric,
            text=_read_pair(pair, rate_of.get((*key, pair.n_examples))),  # type: ignore[arg-type]
        )
        for key, pair in largest.items()
    ]
    groups: dict[tuple[str, str, str, str], list[SourceDifference]] = {}
    for pair in largest.values():
        key = (pair.study, pair.base_model, pair.data_source, pair.metric)
        groups.setdefault(key, []).append(pair)
    overall = [
        Reading(
            study=study,
            ability=None,
            base_model=base_model,
            data_source=data_source,
            metric=metric,
            text=_read_all(members),
        )
        for (study, base_model, data_source, metric), members in groups.items()
    ]
    return (*readings, *overall)


def _read_pair(pair: SourceDifference, rate: ExchangeRate | None) -> str:
    """Return what the largest common volume says about one ability."""
    subject = f"{pair.reference} and {pair.data_source} data on {pair.ability} of {pair.base_model}"
    if pair.difference is None:
        return capital(f"{subject} can't be compared: {pair.reason}.")
    accuracy = _is_accuracy(pair)
    at = f"at {count_of(pair.n_examples)} examples"
    if pair.significant and pair.better is not None:
        winner = pair.better
        loser = pair.data_source if winner == pair.reference else pair.reference
        # Told from the winner's side: for a loss, by how much it is lower.
        sign = 1.0 if pair.difference.estimate > 0 else -1.0
        text = (
            f"{winner} data beats {loser} on {pair.ability} of {pair.base_model} by "
            f"{size_of(abs(pair.difference.estimate), accuracy)} {at} "
            f"{span_of(pair.difference, accuracy, sign)}"
        )
    else:
        text = (
            f"{subject} can't be told apart {at}: the difference is "
            f"{size_of(pair.difference.estimate, accuracy)} {span_of(pair.difference, accuracy)}"
        )
    return capital(text + _read_rate(pair, rate) + ".")


def _read_rate(pair: SourceDifference, rate: ExchangeRate | None) -> str:
    """Return the exchange rate as the sentence's second half, where there is one."""
    if rate is None or rate.rate is None:
        return ""
    what = f"; one {pair.reference} example there is worth"
    if rate.status is RatioStatus.NEVER_UNDER_FAMILY:
        return (
            f"; no number of {pair.data_source} examples is seen to reach the {pair.reference} "
            f"score (the fitted curves never do in {rate.p_never_under_family:.0%} of replicates)"
        )
    if rate.status is RatioStatus.BEYOND_OBSERVED:
        most = f"{rate.largest_observed_rate:.2g}"
        return (
            f"{what} more than {most} {pair.data_source} example{'' if most == '1' else 's'}, the "
            f"most that was observed (in {rate.p_beyond_observed:.0%} of replicates)"
        )
    return f"{what} {rate.rate.estimate:.2g} {pair.data_source} ones {ratio_span(rate.rate)}"


def _read_all(members: Sequence[SourceDifference]) -> str:
    """Return how many abilities each source wins, at their largest common volumes."""
    first = members[0]
    usable = [pair for pair in members if pair.difference is not None]
    if not usable:
        return (
            f"{capital(first.reference)} and {first.data_source} data can't be compared on any "
            f"ability of {first.base_model} ({first.metric})."
        )
    wins = {
        source: [p.ability for p in usable if p.significant and p.better == source]
        for source in (first.reference, first.data_source)
    }
    open_ = [pair.ability for pair in usable if not pair.significant]
    parts = [
        f"{source} data is better on {len(names)} ({listed(names)})" if names
        else f"{source} data is better on none"
        for source, names in wins.items()
    ]  # fmt: skip
    return (
        f"By {first.metric}, at the largest common volumes of {first.base_model}: of "
        f"{len(usable)} abilities {parts[0]}, {parts[1]}, and {len(open_)} can't be told apart "
        f"(Benjamini-Hochberg over {usable[0].n_tests} differences)."
    )


def _is_accuracy(pair: SourceDifference) -> bool:
    """Say whether scores read as percentages."""
    inside = all(0 <= score <= 1 for score in (pair.score, pair.score_reference))
    return pair.higher_is_better and inside
