"""Which voters judged the same things, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.agreement import Agreement, Weighting, measure_agreement
from dashboard.analysis.judge.marks import Marks
from dashboard.analysis.judge.pairs import TIE, Comparisons
from dashboard.analysis.judge.votes import PEOPLE, BoolArray, IntArray, Votes, distinct


@dataclass(frozen=True, kw_only=True)
class AgreementRow:
    """Agreement of two voters, or of one with all people ("people"), over pairs or ratings."""

    annotator_a: str
    annotator_b: str
    on: str
    """"pairs" or "ratings"."""
    result: Agreement


@dataclass(frozen=True, kw_only=True)
class DoubleVerdicts:
    """What two voters said about one thing; arrays of shape (n,), `voter_a` < `voter_b`."""

    voter_a: IntArray
    voter_b: IntArray
    verdict_a: FloatArray
    verdict_b: FloatArray
    item: IntArray

    def select(self, mask: BoolArray | IntArray) -> DoubleVerdicts:
        """Return the entries under `mask`, or at these places."""
        return DoubleVerdicts(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})


def double_verdicts(comparisons: Comparisons) -> DoubleVerdicts:
    """Return the verdicts of every two voters on one item and pair of models.

    Verdicts are 1 = the model listed as model_a, 0.5 = tie, 0 = the other one; `left` stands for
    model_a where a pair is listed both ways. Graded preferences count by the side that they
    favour.
    """
    c = comparisons
    _, unit = distinct(c.item, c.left, c.right)
    listed = np.sign(np.bincount(unit, weights=c.listed))[unit]
    verdict = TIE + np.where(listed < 0, -1, 1) * np.sign(c.share - TIE) / 2
    return _double(unit, c.voter, verdict, c.item)


def double_marks(marks: Marks) -> DoubleVerdicts:
    """Return the marks of every two voters for one answer."""
    _, unit = distinct(marks.item, marks.model)
    return _double(unit, marks.voter, marks.mark, marks.item)


def agree_by_two(
    votes: Votes, comparisons: Comparisons, marks: Marks, level: float
) -> Iterator[AgreementRow]:
    """Yield the agreement of every two voters with something in common, on pairs and ratings."""
    for on, both in (("pairs", double_verdicts(comparisons)), ("ratings", double_marks(marks))):
        _, group = distinct(both.voter_a, both.voter_b)
        order = np.argsort(group, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            part = both.select(rows)
            result = _measure(part, on, level)
            if result is not None:
                yield AgreementRow(
                    annotator_a=votes.voters[part.voter_a[0]],
                    annotator_b=votes.voters[part.voter_b[0]],
                    on=on,
                    result=result,
                )


def agree_with_people(
    votes: Votes, comparisons: Comparisons, marks: Marks, level: float
) -> Iterator[AgreementRow]:
    """Yield each judge's agreement with all people, and people's with each other."""
    for on, both in (("pairs", double_verdicts(comparisons)), ("ratings", double_marks(marks))):
        # Judges come before people, so a person in the first place has one in the second.
        with_person = votes.is_person[both.voter_b]
        by_person = votes.is_person[both.voter_a]
        groups = {
            votes.voters[judge]: with_person & (both.voter_a == judge)
            for judge in np.unique(both.voter_a[with_person & ~by_person])
        }
        for name, mask in (groups | {PEOPLE: by_person}).items():
            result = _measure(both.select(mask), on, level)
            if result is not None:
                yield AgreementRow(annotator_a=name, annotator_b=PEOPLE, on=on, result=result)


def _measure(both: DoubleVerdicts, on: str, level: float) -> Agreement | None:
    """Return the agreement in the way that suits verdicts or ratings."""
    rated = on == "ratings"
    return measure_agreement(
        both.verdict_a,
        both.verdict_b,
        both.item,
        weighting=Weighting.QUADRATIC if rated else Weighting.NONE,
        tie=None if rated else TIE,
        level=level,
    )


def _double(unit: IntArray, voter: IntArray, verdict: FloatArray, item: IntArray) -> DoubleVerdicts:
    """Join the entries of each unit with each other; a voter has one entry a unit."""
    order = np.lexsort((voter, unit))
    largest = int(np.bincount(unit).max(initial=0))
    first, second = [order[:0]], [order[:0]]
    for step in range(1, largest):
        same = unit[order[:-step]] == unit[order[step:]]
        first.append(order[:-step][same])
        second.append(order[step:][same])
    a, b = np.concatenate(first), np.concatenate(second)
    return DoubleVerdicts(
        voter_a=voter[a], voter_b=voter[b], verdict_a=verdict[a], verdict_b=verdict[b], item=item[a]
    )
