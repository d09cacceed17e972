"""What one ability's data does to another: the matrix, the evidence behind a cell, and worths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis import Interval
from dashboard.analysis.effective.results import EffectiveFit, WorthStatus
from dashboard.analysis.run_table import Run, RunTable, Target
from dashboard.analysis.transfer.contrasts import Arm, ArmSet, find_arms
from dashboard.analysis.transfer.results import (
    TransferCell,
    TransferDesign,
    TransferResult,
    Verdict,
)
from dashboard.charts.findings import Sentence
from dashboard.charts.wording import (
    name_ability,
    say_count,
    say_examples,
    say_gain,
    say_interval,
    say_list,
    say_score,
)

RAW, BEYOND = "raw", "beyond format"
MODES = (BEYOND, RAW)

MATRIX_NOTE = (
    "▲ helps, ▼ hurts: the effect beyond format is significant after correction and the raw effect "
    "lies on the same side of 0. No mark: not shown, which is no proof that there is none. "
    "Outlined: the ability's own data."
)
TAU_NOTE = (
    "*: q < 0.05 after correction over all pairs. ≥, ≤: only that bound is known; it gives the "
    "colour. ?: not identified. Worths hold all that helps, the form of answers too."
)
_VERDICT_WORDS = {
    Verdict.HELPS: "it helps",
    Verdict.HURTS: "it hurts",
    Verdict.NOT_SHOWN: "neither help nor harm is shown",
    None: "nothing was tested",
}
_DESIGN_WORDS = {
    TransferDesign.SINGLE_ABILITY: "one ability alone",
    TransferDesign.LEAVE_ONE_OUT: "all but one ability",
}
_RULE_WORDS = {"steps": "fixed steps", "epochs": "fixed epochs"}
_MIRROR_TARGET = "all exams"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One matrix: cells of one design, data source, volume, training length and metric."""

    name: str
    cells: tuple[TransferCell, ...]
    reading: str

    @property
    def first(self) -> TransferCell:
        """Any cell, for what all have in common."""
        return self.cells[0]


def list_comparisons(result: TransferResult) -> list[Comparison]:
    """Return the matrices of a result, the one to look at first on top.

    Runs of stated steps come before those of stated epochs, and more data before less.
    """
    groups: dict[tuple[object, ...], list[TransferCell]] = {}
    for cell in result.cells:
        key = (cell.design, cell.data_source, cell.volume, cell.length_rule, cell.metric)
        groups.setdefault(key, []).append(cell)
    # Readings stand in the order of the groups; those about exams as a whole follow.
    several = len({cell.metric for cell in result.cells}) > 1
    found = [
        Comparison(name=_name(cells[0], several), cells=tuple(cells), reading=reading)
        for cells, reading in zip(groups.values(), result.reading, strict=False)
    ]
    return sorted(
        found,
        key=lambda one: (
            one.first.design is not TransferDesign.SINGLE_ABILITY,
            one.first.length_rule != "steps",
            -(one.first.volume or 0.0),
        ),
    )


def _name(cell: TransferCell, with_metric: bool) -> str:
    """Return what a comparison is called where it is chosen."""
    volume = "" if cell.volume is None else f", {say_examples(cell.volume)} per {cell.volume_per}"
    rule = f", {_RULE_WORDS[cell.length_rule]}" if cell.length_rule in _RULE_WORDS else ""
    metric = f" ({cell.metric})" if with_metric else ""
    return f"{_DESIGN_WORDS[cell.design]}, {cell.data_source} data{volume}{rule}{metric}"


# --- Sentences --------------------------------------------------------------------------------


def transfer_headline(comparison: Comparison) -> str:
    """Return how many effects of one ability's data on another there are, in a sentence."""
    cross = [cell for cell in comparison.cells if not cell.own]
    if all(cell.verdict is None for cell in cross):
        why = next((cell.reason for cell in cross if cell.reason), "nothing could be tested")
        return f"Transfer can't be tested: {why}."
    helps = [cell for cell in cross if cell.verdict is Verdict.HELPS]
    hurts = [cell for cell in cross if cell.verdict is Verdict.HURTS]
    total = say_count(len(cross), "effect")
    if not helps and not hurts:
        return f"Of {total} of one ability's data on another, none stands out beyond format."
    parts = [f"{len(helps)} help"] if helps else []
    parts += [f"{len(hurts)} hurt"] if hurts else []
    most = max((*helps, *hurts), key=lambda cell: abs(value_of(cell, BEYOND) or 0.0))
    return (
        f"Of {total} of one ability's data on another, {say_list(parts)} beyond format; the "
        f"largest is {name_ability(most.source_ability)} on {name_ability(most.target_ability)}, "
        f"{say_interval(most.beyond_format, most.response, signed=True)}."
    )


def transfer_sentence(result: TransferResult) -> Sentence | None:
    """Return what the matrix to look at first says, as a finding; None without a matrix."""
    comparisons = list_comparisons(result)
    if not comparisons:
        return None
    first = comparisons[0]
    return Sentence(topic="Transfer", text=f"{transfer_headline(first)} Compared: {first.name}.")


def cell_sentences(cell: TransferCell) -> list[str]:
    """Return what is known of one cell, a sentence each."""
    source, target = name_ability(cell.source_ability), name_ability(cell.target_ability)
    said = [
        f"{source.capitalize()} data on {target}: {_VERDICT_WORDS[cell.verdict]}"
        + ("" if cell.reason is None else f" ({cell.reason})")
        + (", and it is the ability's own data." if cell.own else ".")
    ]
    if cell.effect is not None:
        against = (
            "against the base model"
            if cell.design is TransferDesign.SINGLE_ABILITY
            else "against all but it"
        )
        said.append(
            f"Raw effect {against}: {say_interval(cell.effect, cell.response, signed=True)}"
            f"{say_tests(cell.p_value, cell.q_value)}."
        )
    if cell.beyond_format is not None:
        others = say_count(cell.n_others, "other ability", "other abilities")
        said.append(
            f"Beyond format, relative to the mean of {others}: "
            f"{say_interval(cell.beyond_format, cell.response, signed=True)}"
            f"{say_tests(cell.beyond_format_p_value, cell.beyond_format_q_value)}."
        )
    if cell.parse_rate_change is not None:
        change = f"Replies of a valid form change by {_points(cell.parse_rate_change)}"
        if cell.given_parsed_change is not None:
            change += f", the score over those replies alone by {_points(cell.given_parsed_change)}"
        said.append(f"{change}.")
    steps = {
        True: "All runs compared took the same optimizer steps.",
        False: "The runs compared took different steps, so amounts of training are mixed in.",
        None: "How many steps the runs took is not known.",
    }[cell.steps_matched]
    said.append(steps)
    return said


def how_transfer(comparison: Comparison, effective: EffectiveFit) -> list[tuple[str, str]]:
    """Say how transfer was estimated."""
    first = comparison.first
    raw = (
        "score after training on the ability alone minus the base model's"
        if first.design is TransferDesign.SINGLE_ABILITY
        else "score after training on all abilities minus all but it"
    )
    return [
        ("Raw effect", f"{raw}, paired by test item"),
        (
            "Beyond format",
            "raw effect minus the mean effect of the other abilities (the target's own data left "
            "out): any fine-tuning teaches the form of an answer",
        ),
        (
            "Significant",
            f"q < 0.05, Benjamini-Hochberg over {first.n_tests} cells of the base model, data "
            "source and metric, once for each kind of effect",
        ),
        (
            "Interval",
            "test items and run-to-run differences, pooled over all compositions and targets",
        ),
        (
            "Effective data",
            f"score = g(n_eff), fitted to {say_count(effective.n_runs, 'run')}; one "
            f"{effective.reference} example of the ability itself counts as one"
            + "".join(f"; left out: {why}" for why in effective.left_out),
        ),
    ]


def matrix_title(comparison: Comparison, mode: str) -> str:
    """Say from which to which the effects on other abilities go."""
    cross = [(c, v) for c in comparison.cells if not c.own and (v := value_of(c, mode)) is not None]
    if not cross:
        return "No effect could be estimated"
    (least, low), (most, high) = (pick(cross, key=lambda item: item[1]) for pick in (min, max))
    kind = "Raw effects" if mode == RAW else "Effects beyond format"
    return (
        f"{kind} go from {say_gain(low, least.response)} ({_pair(least)}) to "
        f"{say_gain(high, most.response)} ({_pair(most)})"
    )


def evidence_title(evidence: Evidence) -> str:
    """Say what a cell compares."""
    trained = _mean(evidence, evidence.arm.with_source)
    without = _mean(evidence, evidence.arm.without)
    source = name_ability(evidence.cell.source_ability)
    target = name_ability(evidence.cell.target_ability)
    return f"{target.capitalize()}: {trained} with {source} data, {without} without"


# --- The matrix -------------------------------------------------------------------------------


def strongest_cell(comparison: Comparison) -> TransferCell:
    """Return the cell to show first: established effects on others before all else."""
    return max(
        comparison.cells,
        key=lambda cell: (
            not cell.own,
            cell.verdict in (Verdict.HELPS, Verdict.HURTS),
            abs(value_of(cell, BEYOND) or 0.0),
        ),
    )


def value_of(cell: TransferCell, mode: str) -> float | None:
    """Return a cell's effect of one kind; None where it is unknown."""
    interval = cell.effect if mode == RAW else cell.beyond_format
    return None if interval is None else interval.estimate


# --- The evidence behind a cell ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The runs behind a cell.

    Attributes
    ----------
    arm : Arm
        Runs with and without the source ability.
    others : tuple of Arm
        Those of the other source abilities.
    """

    cell: TransferCell
    runs: tuple[Run, ...]
    target: Target
    arm: Arm
    others: tuple[Arm, ...]

    @property
    def single(self) -> bool:
        """Whether abilities were trained alone."""
        return self.cell.design is TransferDesign.SINGLE_ABILITY


def find_evidence(table: RunTable, cell: TransferCell) -> Evidence | None:
    """Return the runs that a cell of this table rests on; None if it is of another table."""
    arms: ArmSet | None = next(
        (
            one
            for one in find_arms(table)
            if (one.design, one.data_source, one.volume, one.length_rule)
            == (cell.design, cell.data_source, cell.volume, cell.length_rule)
        ),
        None,
    )
    target = next(
        (
            one
            for one in table.targets
            if (one.ability, one.metric) == (cell.target_ability, cell.metric)
        ),
        None,
    )
    by_source = {} if arms is None else {arm.source_ability: arm for arm in arms.arms}
    if target is None or cell.source_ability not in by_source:
        return None
    return Evidence(
        cell=cell,
        runs=table.runs,
        target=target,
        arm=by_source.pop(cell.source_ability),
        others=tuple(by_source.values()),
    )


# --- Effective data ---------------------------------------------------------------------------


def tau_title(effective: EffectiveFit, fdr: float) -> str:
    """Say how many worths are established, and how many can't be told."""
    unknown = sum(worth.status is WorthStatus.NOT_IDENTIFIED for worth in effective.tau)
    sure = [w for w in effective.tau if w.q_value is not None and w.q_value < fdr]
    helps = sum(1 for w in sure if w.tau is not None and w.tau.estimate > 0)
    total = say_count(len(effective.tau), "pair")
    text = f"Of {total} of abilities, an example of one is worth something to the other in {helps}"
    hurts = len(sure) - helps
    text += f" and hurts in {hurts}" if hurts else ""
    return text + (f"; {unknown} are not identified" if unknown else "")


def unidentified(effective: EffectiveFit) -> list[str]:
    """Return what can't be told of effective data and why, a sentence a reason."""
    reasons: dict[str, list[str]] = {}
    for worth in effective.tau:
        if worth.status is WorthStatus.NOT_IDENTIFIED:
            reasons.setdefault(worth.reason or "no reason is known", []).append(
                f"{name_ability(worth.source_ability)} for {name_ability(worth.target_ability)}"
            )
    return [
        f"Not identified, {say_count(len(pairs), 'pair')} ({', '.join(pairs[:3])}"
        f"{', …' if len(pairs) > 3 else ''}): {reason}."
        for reason, pairs in reasons.items()
    ]


def mirror_sentence(result: TransferResult) -> str | None:
    """Return how exams as a whole mirror the trained abilities; None without exams."""
    found = [m for m in result.mirrors if m.target == _MIRROR_TARGET and m.slope is not None]
    if not found:
        return None
    slope = say_plain(found[0].slope)
    return (
        f"Out-of-domain exams change by {slope} points for each point that the trained abilities "
        f"gain, over {say_count(found[0].n_recipes, 'recipe')}."
    )


def _pair(cell: TransferCell) -> str:
    return f"{name_ability(cell.source_ability)} on {name_ability(cell.target_ability)}"


def _mean(evidence: Evidence, members: Sequence[int]) -> str:
    scores = evidence.target.score[list(members)]
    known = scores[np.isfinite(scores)]
    return say_score(float(known.mean()) if known.size else None, evidence.cell.response)


def say_tests(p_value: float | None, q_value: float | None) -> str:
    """Return ", p = 0.01, q = 0.04"."""
    if p_value is None or q_value is None:
        return ", not tested"
    return f", p = {p_value:.2g}, q = {q_value:.2g}"


def say_worth(interval: Interval | None, status: WorthStatus) -> str:
    """Return a worth with its interval, or the one bound that is known."""
    if interval is None or status is WorthStatus.NOT_IDENTIFIED:
        return "not identified"
    if status is WorthStatus.OPEN_ABOVE:
        return f"at least {interval.low:.2g}"
    if status is WorthStatus.OPEN_BELOW:
        return f"at most {interval.high:.2g}"
    return f"{interval.estimate:.2g} [{interval.low:.2g}, {interval.high:.2g}]"


def say_plain(interval: Interval | None) -> str:
    """Return a ratio with its interval."""
    if interval is None:
        return "unknown"
    said = f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    return said.replace("-", "\N{MINUS SIGN}")


def say_signed(value: float, *, whole: bool) -> str:
    """Return "+12", "−5" or "0"."""
    if whole:
        return f"{round(value):+d}".replace("-", "\N{MINUS SIGN}") if round(value) else "0"
    return f"{value:+.2g}".replace("-", "\N{MINUS SIGN}")


def _points(change: float) -> str:
    return f"{100 * change:+.1f} points".replace("-", "\N{MINUS SIGN}")
