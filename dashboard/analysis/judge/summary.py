"""What the votes of one study say: win rates, ratings, agreement and biases, in one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.judge.between_voters import (
    AgreementRow,
    agree_by_two,
    agree_with_people,
)
from dashboard.analysis.judge.bias import Bias, bias_table
from dashboard.analysis.judge.bradley_terry import Ratings, fit_ratings
from dashboard.analysis.judge.length_controlled import (
    LengthControlled,
    LengthControlStatus,
    length_controlled_win_rates,
)
from dashboard.analysis.judge.marks import (
    Marks,
    MeanMark,
    collect_marks,
    mean_mark,
)
from dashboard.analysis.judge.pairs import (
    TIE,
    Comparisons,
    JuryRule,
    combine_orders,
    form_jury,
)
from dashboard.analysis.judge.shares import Share
from dashboard.analysis.judge.votes import BoolArray, IntArray, Votes
from dashboard.analysis.judge.win_rates import win_rate
from dashboard.analysis.results import Interval
from warehouse.errors import InputError

BY_DEFINITION = "the reference: one half by definition"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """What the jury says about one model.

    Attributes
    ----------
    is_reference : bool
        Whether the other models' win rates are against this one; its own is then 1/2 by
        definition, with a standard error of 0.
    win_rate : Share or None
        Against the reference, or against all models met where there is none; None, with
        `win_rate_reason`, if the model was never compared so.
    win_rate_overall : Share or None
        Against all models met.
    length_controlled : LengthControlled or None
        As `win_rate`, at equal length; None without a win rate, and for the reference if no
        model has one.
    rating : Interval or None
        Bradley-Terry rating (log-odds); None, with `rating_reason`, if there is none.
    inconsistent_rate : float or None
        Share of verdicts that changed with the order, among those cast in both orders; None if
        there are none.
    n_both_orders, n_one_order : int
        Verdicts of single voters in both orders and in one only.
    n_failed : int
        Votes without a verdict; they count in nothing else.
    mean_mark : MeanMark or None
        Mean rating by rubric.
    """

    model: str
    is_reference: bool
    win_rate: Share | None
    win_rate_reason: str | None
    win_rate_overall: Share | None
    length_controlled: LengthControlled | None
    rating: Interval | None
    rating_stderr: float | None
    rating_reason: str | None
    inconsistent_rate: float | None
    n_both_orders: int
    n_one_order: int
    n_failed: int
    mean_mark: MeanMark | None


@dataclass(frozen=True, kw_only=True)
class JudgeSummary:
    """Everything that the votes of one study say.

    Attributes
    ----------
    models : tuple of ModelRow
        By win rate (or mean mark), best first.
    agreement : tuple of AgreementRow
        Every two voters with something in common.
    agreement_with_people : tuple of AgreementRow
        Each judge against all people together and, as the yardstick, people against each other.
    bias : tuple of Bias
        Position, length and self-preference of each judge; position and length of people.
    jury : tuple of str
        Voters behind the models' rows: the judges, or the people where no judge voted.
    reference : str or None
        Model that win rates are against and whose rating is 0.
    reference_given : bool
        Whether the caller chose it; otherwise it is the one model that is in every comparison.
    n_votes, n_failed, n_self : int
        The jury's votes, those without a verdict, and those on two answers of one model, which
        count in nothing else.
    n_comparisons, n_ties : int
        The jury's verdicts, and the ties among them, inconsistent ones included.
    n_both_orders, n_one_order, n_inconsistent : int
        Single voters' verdicts in both orders, in one order only, and changed with the order.
    """

    models: tuple[ModelRow, ...]
    agreement: tuple[AgreementRow, ...]
    agreement_with_people: tuple[AgreementRow, ...]
    bias: tuple[Bias, ...]
    ratings: Ratings
    jury: tuple[str, ...]
    jury_rule: JuryRule
    reference: str | None
    reference_given: bool
    n_votes: int
    n_failed: int
    n_self: int
    n_comparisons: int
    n_both_orders: int
    n_one_order: int
    n_inconsistent: int
    n_ties: int
    level: float
    n_replicates: int


def summarise_votes(
    votes: Votes,
    *,
    reference: str | None = None,
    judges: Sequence[str] | None = None,
    jury_rule: JuryRule = JuryRule.MEAN,
    order_effect: bool = False,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 20231030,
) -> JudgeSummary:
    """Summarise the votes of one study.

    Parameters
    ----------
    votes : Votes
        All votes, of judges and of people.
    reference : str, optional
        Model to measure the others against. By default the one model that is in every comparison,
        if there are three models or more and one such.
    judges : sequence of str, optional
        Voters that make the jury; by default all judges, or all people where no judge voted.
    jury_rule : JuryRule
        How several voters' verdicts become one.
    order_effect : bool
        Whether ratings allow for an advantage of being shown first, which matters only where
        pairs were shown in one order.
    level, n_replicates, seed : float, int, int
        Of the intervals.

    Raises
    ------
    InputError
        If there are no votes, or the reference or a judge is not among them.
    """
    if not len(votes):
        raise InputError("No votes to summarise; import judgments or run a judge first.")
    if not 0 < level < 1:
        raise InputError(f"--level is {level:g}; give a number between 0 and 1.")
    if n_replicates < 50:
        raise InputError(f"--replicates is {n_replicates}; give at least 50.")
    by_voter = combine_orders(votes)
    members = _members(votes, judges)
    voted = np.isin(votes.voter, members)
    cast = by_voter.select(np.isin(by_voter.voter, members))
    jury = form_jury(cast, jury_rule)
    anchor = _find_reference(votes, jury, reference)
    judged = [int(model) for model in np.flatnonzero(_per_model(votes, voted))]
    marks = collect_marks(votes)
    jury_work = _JuryWork(
        votes=votes,
        cast=cast,
        jury=jury,
        anchor=anchor,
        ratings=fit_ratings(
            jury,
            votes.models,
            reference=anchor,
            order_effect=order_effect,
            level=level,
            n_replicates=n_replicates,
            seed=seed,
        ),
        controlled=length_controlled_win_rates(
            jury, [model for model in judged if model != anchor], reference=anchor, level=level
        ),
        marks=marks.select(np.isin(marks.voter, members)),
        n_failed=_per_model(votes, votes.failed & voted),
        level=level,
    )
    same = votes.model_a == votes.model_b
    return JudgeSummary(
        models=tuple(sorted((_model_row(jury_work, model) for model in judged), key=_rank)),
        agreement=tuple(agree_by_two(votes, by_voter, marks, level)),
        agreement_with_people=tuple(agree_with_people(votes, by_voter, marks, level)),
        bias=bias_table(by_voter, votes, level),
        ratings=jury_work.ratings,
        jury=tuple(votes.voters[code] for code in members),
        jury_rule=jury_rule,
        reference=None if anchor is None else votes.models[anchor],
        reference_given=reference is not None,
        n_votes=int(voted.sum()),
        n_failed=int((votes.failed & voted).sum()),
        n_self=int((same & voted & ~votes.failed).sum()),
        n_comparisons=len(jury),
        n_both_orders=int(cast.both_orders.sum()),
        n_one_order=int((~cast.both_orders).sum()),
        n_inconsistent=int(cast.inconsistent.sum()),
        n_ties=int((jury.share == TIE).sum()),
        level=level,
        n_replicates=n_replicates,
    )


@dataclass(frozen=True, kw_only=True)
class _JuryWork:
    """What the rows of all models are made of."""

    votes: Votes
    cast: Comparisons
    jury: Comparisons
    anchor: int | None
    ratings: Ratings
    controlled: dict[int, LengthControlled]
    marks: Marks
    n_failed: IntArray
    level: float


def _members(votes: Votes, judges: Sequence[str] | None) -> IntArray:
    """Return the codes of the voters that make the jury."""
    present = np.unique(votes.voter)
    if judges:
        unknown = [name for name in judges if name not in votes.voters]
        if unknown:
            raise InputError(
                f"--judge {unknown[0]!r} cast no vote; known: {_listed(votes.voters)}."
            )
        return np.array([code for code in present if votes.voters[code] in judges])
    models = present[~votes.is_person[present]]
    return models if len(models) else present


def _find_reference(votes: Votes, jury: Comparisons, reference: str | None) -> int | None:
    """Return the code of the reference: the one given, or the one in every comparison."""
    if reference is not None:
        if reference not in votes.models:
            raise InputError(
                f"--reference {reference!r} is none of the models compared; known: "
                f"{_listed(votes.models)}."
            )
        return votes.models.index(reference)
    compared = np.unique(np.concatenate([jury.left, jury.right]))
    if len(compared) < 3:
        return None
    held = [int(model) for model in compared if jury.against(int(model))[0].all()]
    return held[0] if len(held) == 1 else None


def _per_model(votes: Votes, mask: BoolArray) -> IntArray:
    """Return how many votes under `mask` each model takes part in."""
    second = mask & votes.pairwise & (votes.model_a != votes.model_b)
    counts = np.bincount(votes.model_a[mask], minlength=len(votes.models))
    return counts + np.bincount(votes.model_b[second], minlength=len(votes.models))


def _model_row(work: _JuryWork, model: int) -> ModelRow:
    """Gather what the jury says about one model."""
    names, anchor = work.votes.models, work.anchor
    overall = win_rate(work.jury, model, level=work.level)
    share, reason = overall, None
    controlled = work.controlled.get(model)
    if model == anchor and overall is not None:
        share, reason = _against_itself(overall), BY_DEFINITION
        if any(other.share is not None for other in work.controlled.values()):
            controlled = LengthControlled(status=LengthControlStatus.OK, reason=reason, share=share)
    elif anchor is not None:
        share = win_rate(work.jury, model, reference=anchor, level=work.level)
    if share is None:
        against = names[anchor] if anchor is not None and anchor != model else "another model"
        reason = f"no verdict compares it with {against}"
    own = work.cast.select(work.cast.against(model)[0])
    n_both = int(own.both_orders.sum())
    rating, stderr, why_no_rating = work.ratings.of(model)
    return ModelRow(
        model=names[model],
        is_reference=model == anchor,
        win_rate=share,
        win_rate_reason=reason,
        win_rate_overall=overall,
        length_controlled=None if share is None else controlled,
        rating=rating,
        rating_stderr=stderr,
        rating_reason=why_no_rating,
        inconsistent_rate=float(own.inconsistent.sum() / n_both) if n_both else None,
        n_both_orders=n_both,
        n_one_order=len(own) - n_both,
        n_failed=int(work.n_failed[model]),
        mean_mark=mean_mark(work.marks, model, work.level),
    )


def _against_itself(overall: Share) -> Share:
    """Return the win rate of the reference, which is no estimate."""
    half = replace(overall.interval, estimate=TIE, low=TIE, high=TIE)
    return replace(overall, estimate=TIE, stderr=0.0, interval=half)


def _rank(row: ModelRow) -> tuple[float, float, str]:
    """Return the sort key of models: best first."""
    share = -1.0 if row.win_rate is None else row.win_rate.estimate
    mark = -np.inf if row.mean_mark is None else row.mean_mark.estimate
    return (-share, -mark, row.model)


def _listed(names: Sequence[str]) -> str:
    """Return up to ten names."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
