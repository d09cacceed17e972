"""What the fits say, in sentences and rows: which abilities grow, how fast, which are flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dashboard.analysis import CurveFit, IntervalKind, Label, ResponseKind
from dashboard.charts.style import LABEL_STYLES
from dashboard.charts.wording import (
    INTERVAL_WORDS,
    LABEL_WORDS,
    STATUS_WORDS,
    name_ability,
    name_model,
    name_row,
    say_count,
    say_examples,
    say_first,
    say_gain,
    say_interval,
    say_list,
    say_pace,
    say_score,
    say_start,
    say_volume_kind,
)

if TYPE_CHECKING:
    # Both load SciPy, which pages that only read results do without.
    from dashboard.analysis.compare.results import SourceDifference
    from dashboard.analysis.transfer.results import TransferCell

# Means must not pass for findings: the page Scale tests what this only sums up.
_UNTESTED = "(plain means; the comparison of base models tests them)"

_MAX_MODELS = 5

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


def source_sentences(pairs: Sequence[SourceDifference], curve: CurveFit) -> list[Sentence]:
    """Say, for each other source, in how many abilities which one is really better.

    Parameters
    ----------
    pairs : sequence of SourceDifference
        Paired tests of a whole study; those of the curve's base model and source are told, at the
        largest volume that the abilities have in common, out-of-domain ones left out.
    curve : CurveFit
        Names base model and reference source.
    """
    mine = [
        pair
        for pair in pairs
        if pair.base_model == curve.base_model
        and pair.difference is not None
        and not pair.out_of_domain
    ]
    said = []
    for pair in dict.fromkeys((p.reference, p.data_source) for p in mine):
        if curve.data_source not in pair:
            continue
        tested = [p for p in mine if (p.reference, p.data_source) == pair]
        largest = max(p.n_examples for p in tested)
        said.append(_source_sentence([p for p in tested if p.n_examples == largest], curve))
    return said


def _source_sentence(tested: Sequence[SourceDifference], curve: CurveFit) -> Sentence:
    """Put the tests of two sources at one volume into a sentence."""
    first = tested[0]
    sure = [p for p in tested if p.significant and p.difference is not None]
    counts = {
        name: [p for p in sure if p.better == name] for name in (first.reference, first.data_source)
    }
    parts = [f"{name} is better in {len(won)}" for name, won in counts.items() if won]
    text = (
        f"{' and '.join(parts) or 'neither is shown to be better in any'} of "
        f"{say_count(len(tested), 'ability', 'abilities')} at {say_examples(first.n_examples)} "
        f"{say_volume_kind(curve)}"
    )
    most = max(sure, key=lambda p: abs(p.difference.estimate) if p.difference else 0, default=None)
    if most is not None and most.difference is not None:
        text += f", most in {name_ability(most.ability)} ({_say_difference(most, curve)})"
    return Sentence(
        topic=f"{first.reference.capitalize()} against {first.data_source}",
        text=f"{text}; paired by test item, corrected over {say_count(first.n_tests, 'test')}.",
    )


def _say_difference(pair: SourceDifference, curve: CurveFit) -> str:
    """Return "human ahead by 12.3 points [8.0, 16.1]"."""
    difference = pair.difference
    assert difference is not None
    estimate, ends = difference.estimate, (difference.low, difference.high)
    if estimate < 0:
        estimate, ends = -estimate, (-difference.high, -difference.low)
    ahead = replace(difference, estimate=estimate, low=ends[0], high=ends[1])
    size = say_interval(ahead, curve.response, signed=True).removeprefix("+")
    return f"{pair.better} ahead by {size}"


def transfer_sentence(cells: Sequence[TransferCell]) -> Sentence | None:
    """Say how many pairs of abilities help or hurt each other; None without an estimate."""
    pairs = [cell for cell in cells if not cell.own and cell.effect is not None]
    if not pairs:
        return None
    helping = [cell for cell in pairs if cell.verdict == "helps"]
    hurting = [cell for cell in pairs if cell.verdict == "hurts"]
    text = (
        f"of {say_count(len(pairs), 'pair')} of one ability's data and another's score, "
        f"{len(helping)} help and {len(hurting)} hurt beyond answer format"
    )
    most = max(
        helping or hurting,
        key=lambda cell: abs(cell.effect.estimate) if cell.effect else 0,
        default=None,
    )
    if most is not None:
        text += (
            f"; most: {name_ability(most.source_ability)} on {name_ability(most.target_ability)}, "
            f"{say_interval(most.effect, most.response, signed=True)}"
        )
    return Sentence(topic="Transfer", text=f"{text}.")


def scale_sentence(curves: Sequence[CurveFit], data_source: str) -> Sentence | None:
    """Say what bigger base models score at the largest volume; None with a single model."""
    mine = [c for c in curves if c.data_source == data_source and not c.out_of_domain]
    by_model: dict[str, dict[str, CurveFit]] = {}
    for curve in sorted(mine, key=lambda c: (c.n_params or 0, c.base_model)):
        by_model.setdefault(curve.base_model, {})[curve.ability] = curve
    if len(by_model) < 2:
        return None
    shared = set.intersection(*(set(members) for members in by_model.values()))
    volumes = [_volumes(members[a]) for members in by_model.values() for a in shared]
    common = set.intersection(*volumes) if volumes else set()
    if not common or max(common) == 0:
        return None
    largest = max(common)
    means = {
        model: float(np.mean([mean_score(members[ability], largest) for ability in shared]))
        for model, members in by_model.items()
    }
    parts = [
        f"{name_model(model, next(iter(by_model[model].values())).n_params)} "
        f"{say_score(mean, mine[0].response)}"
        for model, mean in means.items()
    ]
    if len(parts) > _MAX_MODELS:
        best = (max if mine[0].higher_is_better else min)(means, key=lambda model: means[model])
        named = dict(zip(means, parts, strict=True))
        parts = [f"{parts[0]} (smallest)", f"{parts[-1]} (largest)", f"{named[best]} (best)"]
    return Sentence(
        topic="Bigger base models",
        text=f"{', '.join(parts)} {_say_shared(shared)} "
        f"at {say_examples(largest)} {say_volume_kind(mine[0])} of {data_source} data {_UNTESTED}.",
    )


def _say_shared(abilities: set[str]) -> str:
    """Say what means are over."""
    if len(abilities) == 1:
        return f"in {name_ability(*abilities)}"
    return f"on average over {len(abilities)} abilities"


def mean_score(curve: CurveFit, n_examples: float) -> float:
    """Return the mean observed score over the runs at one volume, NaN without any."""
    points = curve.points
    at_volume = (points.n_examples == n_examples) & np.isfinite(points.score)
    return float(points.score[at_volume].mean()) if at_volume.any() else float("nan")


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


def _volumes(curve: CurveFit) -> set[float]:
    """Return the volumes at which a curve has a score."""
    points = curve.points
    return {float(n) for n in points.n_examples[np.isfinite(points.score)]}
