"""What a report says in sentences: a paragraph of findings, then every reading of the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashboard.analysis.compare.results import Reading
from dashboard.analysis.judge.document import read_summary
from dashboard.charts.budget import plan_headline
from dashboard.charts.findings import Sentence, exam_sentence, headline, sentences
from dashboard.charts.findings_beyond import scale_sentence, source_sentences
from dashboard.charts.gains import sort_by_gain
from dashboard.charts.selection import most_trained, select_curves, sources_of
from dashboard.charts.transfer import mirror_sentence, transfer_sentence
from dashboard.charts.wording import say_count
from dashboard.export.study_evidence import StudyEvidence, Unavailable


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Sentences under one heading; plain text."""

    heading: str
    lines: tuple[str, ...]


def write_findings(evidence: StudyEvidence) -> tuple[str, list[Sentence]]:
    """Return the answer in one sentence and what stands behind it.

    They speak of the base model that was trained on most data sources and then most often, and of
    the reference source.
    """
    curves = evidence.fit.curves
    if not curves:
        return (_no_curves(evidence), _others(evidence))
    model, source = most_trained(curves), sources_of(curves)[0]
    chosen = sort_by_gain(select_curves(curves, [model], [source]))
    if not chosen:
        # The largest model was not trained on the reference source: any pair that was will do.
        first = curves[0]
        source = first.data_source
        chosen = sort_by_gain(select_curves(curves, [first.base_model], [source]))
    said = sentences(chosen)
    said += filter(None, (scale_sentence(curves, source), exam_sentence(chosen)))
    if not isinstance(evidence.sources, Unavailable):
        said += source_sentences(evidence.sources.comparison.pairs, chosen[0])
    return headline(chosen), said + _others(evidence)


def _no_curves(evidence: StudyEvidence) -> str:
    """Say why there is no growth to report on."""
    cells = evidence.cells
    if not (cells["status"] == "done").any():
        return "No run of this study is done yet, so there is nothing to report."
    models = say_count(cells["base_model"].nunique(), "base model")
    return (
        f"The study holds scores of {models} and no training volume, so no growth can be reported; "
        "the tables list the scores. Of imported results a mapping file states the volumes "
        "(docs/imports.md)."
    )


def _others(evidence: StudyEvidence) -> list[Sentence]:
    """Say what transfer, mixtures, budget and judges add."""
    said: list[Sentence] = []
    if not isinstance(evidence.transfer, Unavailable):
        for one in evidence.transfer[:1]:
            if sentence := transfer_sentence(one.transfer):
                said.append(replace(sentence, topic=f"Transfer on {one.transfer.base_model}"))
            if mirrored := mirror_sentence(one.transfer):
                said.append(Sentence(topic="Out of domain", text=mirrored))
    if not isinstance(evidence.mixtures, Unavailable):
        said += [Sentence(topic="Mixtures", text=line) for line in evidence.mixtures[0].reading[:2]]
    if not isinstance(evidence.plan, Unavailable) and len(evidence.plan.found.allocation) > 1:
        plan = evidence.plan
        said.append(
            Sentence(
                topic=f"A budget of {plan.found.budget:,.0f} {plan.unit}",
                text=plan_headline(plan.found, plan.response),
            )
        )
    if not isinstance(evidence.judge, Unavailable):
        said.append(Sentence(topic="Judges", text=read_summary(evidence.judge)))
    return said


def list_readings(evidence: StudyEvidence) -> list[Readings]:
    """Return every reading that the analyses give, grouped by question."""
    groups = [
        Readings(
            heading="Growth curves", lines=tuple(curve.reading for curve in evidence.fit.curves)
        )
    ]
    if not isinstance(evidence.sources, Unavailable):
        groups.append(_group("Data sources", evidence.sources.comparison.readings))
    if not isinstance(evidence.scales, Unavailable):
        groups.append(_group("Base models", evidence.scales.comparison.readings))
    if not isinstance(evidence.abilities, Unavailable):
        groups.append(_group("Abilities", evidence.abilities.readings))
    if not isinstance(evidence.transfer, Unavailable):
        lines = [
            line
            for one in evidence.transfer
            for line in (*one.transfer.reading, *one.effective.reading)
        ]
        groups.append(Readings(heading="Transfer", lines=tuple(lines)))
    if not isinstance(evidence.mixtures, Unavailable):
        lines = [line for one in evidence.mixtures for line in one.reading]
        groups.append(Readings(heading="Mixtures", lines=tuple(lines)))
    return [group for group in groups if group.lines]


def _group(heading: str, readings: Sequence[Reading]) -> Readings:
    """Return the sentences of a comparison."""
    return Readings(heading=heading, lines=tuple(one.text for one in readings))
