"""What the fits say, in sentences and rows: which abilities grow, how fast, which are flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.analysis import CurveFit, IntervalKind, Label, ResponseKind
from dashboard.charts.style import LABEL_STYLES
from dashboard.charts.wording import (
    INTERVAL_WORDS,
    LABEL_WORDS,
    STATUS_WORDS,
    name_ability,
    name_row,
    say_count,
    say_examples,
    say_first,
    say_gain,
    say_interval,
    say_list,
    say_pace,
    say_start,
    say_volume_kind,
)

GROWING = frozenset({Label.RESPONSIVE, Label.SATURATING})


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One finding: what it is about, and what it says."""

    topic: str
    text: str


def headline(curves: Sequence[CurveFit]) -> str:
    """Return the answer in one sentence: how many abilities grow, and which do not.

    Parameters
    ----------
    curves : sequence of CurveFit
        One an ability, of one base model, data source and metric; out-of-domain ones are left
        out of the count.
    """
    inside = [curve for curve in curves if not curve.out_of_domain] or list(curves)
    if not inside:
        return "There is no ability to report on."
    model, source = inside[0].base_model, inside[0].data_source
    labelled = [curve for curve in inside if curve.label is not None]
    if not labelled:
        return _unlabelled_headline(inside)
    growing = [curve for curve in inside if curve.label in GROWING]
    total = say_count(len(inside), "ability", "abilities")
    falling = _falling(inside)
    if falling:
        parts = [f"The {falling} falls in {len(growing)} of {total} of {model} with {source} data"]
    else:
        grow = "grows" if len(growing) == 1 else "grow"
        parts = [f"{len(growing)} of {total} of {model} {grow} with {source} data"]
    flat = _names(inside, Label.RESISTANT)
    if flat:
        parts.append(f"{say_list(flat)} {'stays' if len(flat) == 1 else 'stay'} flat")
    declining = _names(inside, Label.DECLINING)
    if declining:
        parts.append(f"{say_list(declining)} {'declines' if len(declining) == 1 else 'decline'}")
    return "; ".join(parts) + "."


def _unlabelled_headline(inside: Sequence[CurveFit]) -> str:
    """Say what the gains are where no label can be given, since no smallest gain is stated."""
    first = inside[0]
    on = f"of {first.base_model} on {first.data_source} data"
    known = [curve for curve in inside if curve.gain is not None]
    if not known or any(curve.delta is not None for curve in inside):
        return f"No ability {on} can be labelled yet."
    if len(inside) == 1:
        curve = known[0]
        gain = say_interval(curve.gain, curve.response, signed=True).removeprefix("+")
        last = say_examples(float(curve.points.n_examples.max()))
        size = f"by {gain} from {say_first(curve)} to {last} {say_volume_kind(curve)}"
        what = name_ability(curve.ability).capitalize()
        if curve.response is ResponseKind.LOSS and curve.gain and curve.gain.estimate > 0:
            return f"{what} {on}: the loss falls {size}."
        return f"{what} {on} improves {size}."
    better = sum(curve.gain.low > 0 for curve in known if curve.gain)
    said = say_count(len(inside), "ability", "abilities")
    falling = _falling(inside)
    if falling:
        return f"The {falling} falls beyond its interval in {better} of {said} {on}."
    ending = "improves beyond its interval" if better == 1 else "improve beyond their intervals"
    return f"{better} of {said} {on} {ending}."


def sentences(curves: Sequence[CurveFit]) -> list[Sentence]:
    """Return what stands behind the headline: largest gain, paces, the flat, the undecided."""
    inside = [curve for curve in curves if not curve.out_of_domain] or list(curves)
    said = []
    growing = sorted(
        (curve for curve in inside if curve.label in GROWING and curve.gain is not None),
        key=lambda curve: -(curve.gain.estimate if curve.gain else 0.0),
    )
    if growing:
        most = growing[0]
        gain = say_interval(most.gain, most.response, signed=True)
        largest = say_examples(float(most.points.n_examples.max()))
        said.append(
            Sentence(
                topic="Largest gain",
                text=f"{name_ability(most.ability)}, {gain} from {say_first(most)} to {largest} "
                f"{say_volume_kind(most)}.",
            )
        )
    paced = sorted(
        (curve for curve in growing if curve.half_gain_examples is not None),
        key=lambda curve: curve.half_gain_examples.estimate if curve.half_gain_examples else 0.0,
    )
    if len(paced) > 1:
        quick, slow = paced[0], paced[-1]
        said.append(
            Sentence(
                topic="Pace",
                text=f"{name_ability(quick.ability)} has half of its gain by {say_pace(quick)} "
                f"examples, {name_ability(slow.ability)} only by {say_pace(slow)}.",
            )
        )
    flat = [curve for curve in inside if curve.label is Label.RESISTANT and curve.gain is not None]
    if flat:
        said.append(Sentence(topic="Flat", text=_flat_text(flat)))
    undecided = _names(inside, Label.UNDECIDED)
    if undecided:
        said.append(
            Sentence(
                topic="Undecided",
                text=f"{say_list(undecided)}; more seeds or test questions would tell.",
            )
        )
    return said


def _flat_text(flat: Sequence[CurveFit]) -> str:
    """Name flat abilities with their gains and the bound that makes them flat."""
    gains = [
        f"{name_ability(curve.ability)} {say_interval(curve.gain, curve.response, signed=True)}"
        for curve in flat
    ]
    delta = flat[0].delta
    if delta is None:
        return f"{say_list(gains)}."
    smallest = say_gain(delta, flat[0].response).removeprefix("+")
    lies = "lies" if len(flat) == 1 else "lie"
    return f"{say_list(gains)}; the one-sided 95% upper bound {lies} below {smallest}."


def exam_sentence(curves: Sequence[CurveFit]) -> Sentence | None:
    """Say whether out-of-domain exams grow along; None without exams."""
    exams = [curve for curve in curves if curve.out_of_domain]
    if not exams:
        return None
    growing = [curve for curve in exams if curve.label in GROWING]
    grow = "grows" if len(growing) == 1 else "grow"
    text = f"{len(growing)} of {say_count(len(exams), 'exam')} {grow} along"
    most = max(
        (curve for curve in exams if curve.gain is not None),
        key=lambda curve: curve.gain.estimate if curve.gain else 0.0,
        default=None,
    )
    if most is not None:
        gain = say_interval(most.gain, most.response, signed=True)
        text += f"; most: {name_ability(most.ability)}, {gain}"
    return Sentence(topic="Out of domain", text=f"{text}.")


def finding_rows(curves: Sequence[CurveFit]) -> list[dict[str, str]]:
    """Return the table of findings, one row an ability, as text."""
    rows = []
    start = say_start(curves)
    for curve in curves:
        rows.append(
            {
                "Ability": name_row(curve.ability, out_of_domain=curve.out_of_domain),
                f"Score at {start}": say_interval(curve.score_first, curve.response),
                "At the largest volume": say_interval(curve.score_last, curve.response),
                "Gain": say_interval(curve.gain, curve.response, signed=True),
                "Label": f"{LABEL_STYLES[curve.label].glyph} {LABEL_WORDS[curve.label]}",
                "Examples to half the gain": say_pace(curve) if curve.half_gain_examples else "—",
            }
        )
    return rows


def fit_warnings(curves: Sequence[CurveFit]) -> list[str]:
    """Return a sentence for lone seeds, and one for every curve that has no converged fit."""
    said = []
    if any(curve.noise is IntervalKind.ITEMS_ONLY for curve in curves):
        covered = INTERVAL_WORDS[IntervalKind.ITEMS_ONLY]
        said.append(f"Every volume has one seed: intervals cover {covered}.")
    return said + [
        f"{name_ability(c.ability)} of {c.base_model} on {c.data_source} data: no curve, "
        f"{c.reason or STATUS_WORDS[c.status]}."
        for c in curves
        if not c.drawable
    ]


def interval_note(curves: Sequence[CurveFit]) -> str:
    """Say which intervals are shown and what they cover."""
    kinds = dict.fromkeys(curve.noise for curve in curves if curve.noise is not None)
    levels = dict.fromkeys(curve.gain.level for curve in curves if curve.gain is not None)
    if not kinds or not levels:
        return "No interval could be computed."
    level = " and ".join(f"{100 * value:g}%" for value in levels)
    # With one seed the items' interval is no interval for the procedure, so it isn't called one.
    if IntervalKind.ITEMS_ONLY in kinds:
        level = "Items-only"
    return f"{level} intervals cover {say_list([INTERVAL_WORDS[kind] for kind in kinds])}."


def label_rule(curves: Sequence[CurveFit]) -> str:
    """State the rule behind the labels, with the smallest gain that matters."""
    deltas = dict.fromkeys(
        say_gain(curve.delta, curve.response).removeprefix("+")
        for curve in curves
        if curve.delta is not None
    )
    if not deltas:
        return "No label: the study states no smallest gain that matters."
    return (
        "Resistant: the one-sided 95% upper bound of the gain lies below "
        f"{say_list(list(deltas))}; responsive: a gain above 0, significant after correction; "
        "saturating: responsive, and the next doubling gains next to nothing; else undecided."
    )


def gains_title(curves: Sequence[CurveFit]) -> str:
    """Return the title of the gains figure: from the smallest gain to the largest."""
    known = sorted(
        ((c.gain.estimate, c) for c in curves if c.gain is not None and not c.out_of_domain),
        key=lambda pair: pair[0],
    )
    if not known:
        return "No gain could be estimated"
    (low, least), (high, most) = known[0], known[-1]
    if len(known) == 1:
        gain = say_gain(high, most.response)
        name = name_ability(most.ability)
        if most.response is ResponseKind.LOSS:
            return f"The loss in {name} falls by {gain[1:]}" if high > 0 else f"{name}: {gain}"
        return f"{name.capitalize()} gains {gain}"
    return (
        f"From {say_gain(low, least.response)} in {name_ability(least.ability)} to "
        f"{say_gain(high, most.response)} in {name_ability(most.ability)}"
    )


def growth_title(curves: Sequence[CurveFit]) -> str:
    """Return the title of the growth figure: the headline, or what several curves compare."""
    groups = list(dict.fromkeys((curve.base_model, curve.data_source) for curve in curves))
    if len(groups) == 1:
        return headline(curves).removesuffix(".")
    inside = [curve for curve in curves if not curve.out_of_domain] or list(curves)
    labelled = any(curve.label is not None for curve in inside)
    by_model: dict[str, list[str]] = {}
    for model, source in groups:
        growing = sum(
            _grows(curve, labelled=labelled)
            for curve in inside
            if (curve.base_model, curve.data_source) == (model, source)
        )
        by_model.setdefault(model, []).append(f"{growing} on {source}")
    parts = [f"{model} {say_list(counts)} data" for model, counts in by_model.items()]
    falling = _falling(inside)
    what = f"whose {falling} falls" if falling else "that grow"
    if not labelled:
        what += " beyond its interval" if falling else " beyond their intervals"
    return f"Abilities {what}, of {len({c.ability for c in inside})}: {'; '.join(parts)}"


def growth_note(curves: Sequence[CurveFit]) -> str:
    """Explain the growth figure's marks and its uncertainty."""
    marks = ", ".join(
        f"{LABEL_STYLES[label].glyph} {LABEL_WORDS[label]}"
        for label in LABEL_STYLES
        if any(curve.label is label for curve in curves)
    )
    excluded = any(reason is not None for c in curves for reason in c.points.excluded)
    hollow = " Hollow: left out of the fit." if excluded else ""
    return (
        f"{marks}. Small marks: single runs with \N{PLUS-MINUS SIGN}1 standard error over test "
        f"items; large marks: their mean.{hollow} Line and band: averaged curve. "
        f"{interval_note(curves)} Dashed grey: guessing."
    )


def _grows(curve: CurveFit, *, labelled: bool) -> bool:
    """Tell whether an ability grows: by its label, or by its interval where a study gives none."""
    if labelled:
        return curve.label in GROWING
    return curve.gain is not None and curve.gain.low > 0


def _falling(curves: Sequence[CurveFit]) -> str | None:
    """Return the name of what falls where abilities grow; None where higher is better."""
    names = dict.fromkeys(curve.metric.replace("_", " ") for curve in curves)
    if any(curve.higher_is_better for curve in curves):
        return None
    return next(iter(names)) if len(names) == 1 else "score"


def _names(curves: Sequence[CurveFit], label: Label) -> list[str]:
    """Return the names of the abilities with a label."""
    return [name_ability(curve.ability) for curve in curves if curve.label is label]
