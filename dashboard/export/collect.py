"""The complete set of a study's figures, for a page size: each drawn, or missing with its reason.

Figures are those of the app (`dashboard.charts`), with the results that its pages show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dashboard.charts import budget as budget_words
from dashboard.charts import budget_figures as budget_charts
from dashboard.charts import judge as judge_charts
from dashboard.export.collect_comparisons import (
    mixture_figures,
    scale_figures,
    source_figures,
    transfer_figures,
)
from dashboard.export.collect_growth import exam_figures, growth_figures
from dashboard.export.figure_set import FigureSet, MissingFigure, PaperFigure
from dashboard.export.paper import Page
from dashboard.export.parts import Found, missing, present, slug
from dashboard.export.study_evidence import StudyEvidence, Unavailable


def build_figure_set(evidence: StudyEvidence, page: Page) -> FigureSet:
    """Return all figures of a study, in the order of a paper.

    Parameters
    ----------
    evidence : StudyEvidence
        From `dashboard.export.read_study.load_study_evidence`.
    page : Page
        For whose width they are laid out (`dashboard.export.paper.Preset`).
    """
    found = [
        *growth_figures(evidence, page),
        *source_figures(evidence, page),
        *exam_figures(evidence, page),
        *mixture_figures(evidence, page),
        *scale_figures(evidence, page),
        *transfer_figures(evidence, page),
        *budget_figures(evidence, page),
        *judge_figures(evidence, page),
    ]
    return FigureSet(
        figures=tuple(_with_names([one for one in found if isinstance(one, PaperFigure)])),
        missing=tuple(one for one in found if isinstance(one, MissingFigure)),
    )


def budget_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return the plan of a usual budget, what it brings, and what other budgets would."""
    names = ("budget-allocation", "budget-expected-scores", "budget-frontier")
    plan = evidence.plan
    if isinstance(plan, Unavailable):
        return missing(names, plan)
    found = plan.found
    result: list[Found] = [
        present(
            names[0],
            budget_charts.allocation_figure(
                found.allocation,
                title=budget_words.allocation_title(found.allocation),
                subtitle=f"Examples to get for {found.base_model}: {found.spent:,.6g} of "
                f"{found.budget:,.6g} {plan.unit}",
                note=f"{budget_words.ALLOCATION_NOTE}\n{evidence.source_note}",
                ranges=budget_words.stable_ranges(found),
            ),
            lambda: budget_words.allocation_table(found),
        ),
        present(
            names[1],
            budget_charts.expected_figure(
                found,
                plan.response,
                title=budget_words.expected_title(found, plan.response),
                note=f"{budget_words.EXPECTED_NOTE}\n{evidence.source_note}",
                narrow=page.narrow,
            ),
            lambda: budget_words.expected_table(found),
            budget_words.plan_headline(found, plan.response),
        ),
    ]
    if len(found.frontier) < 2:
        return result + missing(names[2:], "no other budget than this one could be planned")
    result.append(
        present(
            names[2],
            budget_charts.frontier_figure(
                found,
                plan.response,
                plan.unit,
                title=budget_words.frontier_title(found, plan.response),
                note=evidence.source_note,
            ),
            lambda: budget_words.frontier_table(found),
            f"Band: {found.score.level:.0%} interval of the best plans' expected score",
        )
    )
    return result


def judge_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return win rates and ratings where judges have voted."""
    names = ("judge-win-rates", "judge-ratings")
    summary = evidence.judge
    if isinstance(summary, Unavailable):
        return missing(names, summary)
    note = (
        f"{judge_charts.NOTE.format(level=summary.level)} {judge_charts.PRIOR_NOTE}"
        f"\n{evidence.source_note}"
    )
    result: list[Found] = []
    for name, title, draw, reason in (
        (
            names[0],
            judge_charts.win_rate_title(summary),
            judge_charts.win_rate_figure,
            "no pair of answers was compared",
        ),
        (
            names[1],
            judge_charts.rating_title(summary),
            judge_charts.rating_figure,
            summary.ratings.reason or "no two models are rated",
        ),
    ):
        figure = draw(summary, title=title, note=note, narrow=page.narrow)
        if figure is None:
            result += missing([name], reason)
        else:
            result.append(present(name, figure, lambda: judge_charts.models_table(summary)))
    return result


def _with_names(figures: Sequence[PaperFigure]) -> Iterator[PaperFigure]:
    """Give each figure a file name of its own, whatever abilities and models are called."""
    used: set[str] = set()
    for figure in figures:
        name = base = slug(figure.name)
        number = 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        yield replace(figure, name=name)
