"""One sentence on every ability's pace, and one on every macro mean."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.compare.results import AbilityPace, Overall, Reading
from dashboard.analysis.compare.wording import capital, count_of, score_of, size_of, span_of

_LEVEL = 0.05


def read_abilities(
    abilities: Sequence[AbilityPace], overall: Sequence[Overall]
) -> tuple[Reading, ...]:
    """Read every ability against the mean of the others, then the macro means."""
    readings = [
        Reading(
            study=item.study,
            ability=item.ability,
            base_model=item.base_model,
            data_source=item.data_source,
            metric=item.metric,
            text=_read_pace(item),
        )
        for item in abilities
    ]
    readings += [
        Reading(
            study=item.study,
            ability=None,
            base_model=item.base_model,
            data_source=item.data_source,
            metric=item.metric,
            text=_read_overall(item),
        )
        for item in overall
    ]
    return tuple(readings)


def _read_pace(item: AbilityPace) -> str:
    """Return how fast an ability reaches half of its gain, compared with the others."""
    subject = f"{item.ability} of {item.base_model} on {item.data_source} data"
    if item.half_gain_examples is None:
        return capital(f"{subject} has no pace: {item.reason}.")
    text = f"{subject} reaches half of its gain by {count_of(item.half_gain_examples.estimate)}"
    text += " examples"
    if item.pace_ratio is None or item.p_pace is None:
        return capital(f"{text}; {item.reason}.")
    ratio = item.pace_ratio
    bounds = f"{100 * ratio.level:g}% interval {ratio.low:.2g} to {ratio.high:.2g}"
    if item.p_pace >= _LEVEL:
        return capital(
            f"{text}, {ratio.estimate:.2g} times what the others need ({bounds}): no difference "
            f"of pace is shown among {item.n_pace} abilities."
        )
    word = "slower" if ratio.estimate > 1 else "faster"
    return capital(
        f"{text}, {word} than the others: {ratio.estimate:.2g} times what they need ({bounds}; "
        f"max-t over {item.n_pace} abilities)."
    )


def _read_overall(item: Overall) -> str:
    """Return the macro mean's growth."""
    domain = "Out-of-domain" if item.domain == "out_of_domain" else "In-domain"
    subject = f"{domain} abilities of {item.base_model} on {item.data_source} data"
    if item.gain is None:
        return f"{subject} have no macro mean: {item.reason}."
    accuracy = item.higher_is_better and all(0 <= point.score.estimate <= 1 for point in item.curve)
    first, last = item.curve[0], item.curve[-1]
    text = (
        f"{subject} ({item.metric}, mean of {len(item.abilities)}) went from "
        f"{score_of(first.score.estimate, accuracy)} at {count_of(first.n_examples)} to "
        f"{score_of(last.score.estimate, accuracy)} at {count_of(last.n_examples)} examples: gain "
        f"{size_of(item.gain.estimate, accuracy)} {span_of(item.gain, accuracy)}"
    )
    if item.left_out:
        text += f"; {len(item.left_out)} left out"
    return text + "."
