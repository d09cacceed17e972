"""A budget in figures: what to buy, what it brings, what other budgets would, what to run next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard.analysis import ResponseKind
from dashboard.analysis.budget.results import (
    AllocatedCell,
    Comparison,
    FirstAnswer,
    NextRuns,
    Recommendation,
)
from dashboard.charts.wording import (
    name_ability,
    say_count,
    say_gain,
    say_interval,
    say_list,
    say_score,
)

ALLOCATION_NOTE = (
    "Whiskers: the middle 80% of plans when replicates are solved in the data's place. "
    "■ as much as any run supports; □ all that is available."
)
EXPECTED_NOTE = "Intervals: of the training procedure's expected score; one run varies more."


# --- Sentences --------------------------------------------------------------------------------


def plan_headline(found: Recommendation, response: ResponseKind) -> str:
    """Return what to buy and what it brings, in a sentence."""
    cells = sorted((c for c in found.allocation if c.n_examples), key=lambda c: -c.n_examples)
    if not cells:
        return (
            f"Buy nothing for {found.base_model}: no data is expected to raise the weighted mean."
        )
    named = say_list([_say_cell(cell) for cell in cells[:3]])
    more = f", and less of {len(cells) - 3} more" if len(cells) > 3 else ""
    lead = found.versus[0]
    said = f"{say_score(found.score.estimate, response)} on average"
    if lead.difference.estimate > 0:
        gain = say_gain(lead.difference.estimate, response).removeprefix("+")
        said += f", {gain} more than an even split (better with probability {lead.p_better:.0%})"
    else:
        said += ", no better than an even split as far as these runs tell"
    return f"For {found.base_model}, buy {named}{more}: {said}."


def first_headline(first: FirstAnswer, response: ResponseKind) -> str:
    """Return the quick answer in a sentence that says it is one."""
    cells = sorted((c for c in first.allocation if c.n_examples), key=lambda c: -c.n_examples)
    named = say_list([_say_cell(cell) for cell in cells[:3]]) or "nothing"
    return (
        f"First answer for {first.base_model}: buy {named}"
        f"{f' and less of {len(cells) - 3} more' if len(cells) > 3 else ''}; about "
        f"{say_score(first.score, response)} on average, before taking off what choosing the best "
        "overstates."
    )


def allocation_title(cells: Sequence[AllocatedCell]) -> str:
    """Say which abilities and sources get most, and which nothing."""
    total = sum(cell.n_examples for cell in cells)
    if not total:
        return "The plan buys nothing"
    by_source: dict[str, int] = {}
    by_ability: dict[str, int] = {}
    for cell in cells:
        by_source[cell.data_source] = by_source.get(cell.data_source, 0) + cell.n_examples
        by_ability[cell.ability] = by_ability.get(cell.ability, 0) + cell.n_examples
    first = max(by_source, key=lambda name: by_source[name])
    most = max(by_ability, key=lambda name: by_ability[name])
    none = sum(1 for count in by_ability.values() if not count)
    text = f"{'Most' if len(by_ability) > 1 else 'All'} goes to {name_ability(most)}"
    if len(by_source) > 1:
        text = f"{by_source[first] / total:.0%} {first} data; {text[0].lower()}{text[1:]}"
    return text + (f", nothing to {say_count(none, 'ability', 'abilities')}" if none else "")


def expected_title(found: Recommendation, response: ResponseKind) -> str:
    """Say which ability gains most from the plan."""
    sign = 1 if found.higher_is_better else -1
    gains = {e.ability: sign * (e.score.estimate - e.without_data) for e in found.expected}
    most = max(gains, key=lambda ability: gains[ability])
    gain = say_gain(gains[most], response).removeprefix("+")
    return f"{name_ability(most).capitalize()} improves most over no data, by {gain}"


def frontier_title(found: Recommendation, response: ResponseKind) -> str:
    """Say what a doubled budget would bring."""
    points = {point.budget: point for point in found.frontier}
    here = points.get(found.budget)
    double = next((p for p in found.frontier if abs(p.budget / found.budget - 2) < 0.3), None)
    if here is None or double is None:
        return "What other budgets would bring"
    sign = 1 if found.higher_is_better else -1
    change = sign * (double.score.estimate - here.score.estimate)
    if change <= 0:
        return "A doubled budget is not expected to improve the mean score"
    gain = say_gain(change, response).removeprefix("+")
    return f"A doubled budget would improve the mean score by {gain}"


def versus_sentences(found: Recommendation, response: ResponseKind) -> list[str]:
    """Return how the plan compares with the uniform one and the user's own, a sentence each."""
    return [_say_versus(item, response) for item in found.versus]


def _say_versus(item: Comparison, response: ResponseKind) -> str:
    against = "the uniform plan" if item.against == "uniform" else "your own plan"
    if (item.difference.low, item.difference.high) == (0, 0):
        return f"The plan is {against}."
    return (
        f"Against {against}: {say_interval(item.difference, response, signed=True)} in the "
        f"weighted mean, better with probability {item.p_better:.0%}."
    )


def how_budget(found: Recommendation) -> list[tuple[str, str]]:
    """Say how a plan was found and judged."""
    return [
        (
            "Plan",
            "whole numbers of examples with the largest weighted mean of expected scores; see "
            "docs/budget.md",
        ),
        (
            "Optimism",
            f"{found.optimism:.4f}: by how much the fitted curves at face value overstate the "
            "plan's lead, since what noise overrates is chosen; it is taken off",
        ),
        ("Whiskers", f"from {say_count(found.n_resolved, 'replicate')} solved anew"),
        (
            "Uniform plan",
            "the same number of examples of every ability and source, as many as the budget buys",
        ),
        *(("Assumption", text) for text in found.assumptions),
    ]


# --- Tables -----------------------------------------------------------------------------------


def allocation_table(found: Recommendation) -> pd.DataFrame:
    """Return one row an ability and source: examples, cost, what stops it, how it moves."""
    stability = {(s.ability, s.data_source): s for s in found.stability}
    rows = []
    for cell in found.allocation:
        moves = stability.get((cell.ability, cell.data_source))
        rows.append(
            {
                "ability": cell.ability,
                "data_source": cell.data_source,
                "n_examples": cell.n_examples,
                "cost": cell.cost,
                "low": moves.low if moves else None,
                "high": moves.high if moves else None,
                "share_within_factor_2": moves.share_within_factor_2 if moves else None,
                "stopped_by": cell.stopped_by,
                "unsupported": cell.unsupported,
            }
        )
    return pd.DataFrame(rows)


def expected_table(found: Recommendation) -> pd.DataFrame:
    """Return one row an ability: expected score with interval, and under other plans."""
    return pd.DataFrame(
        [
            {
                "ability": e.ability,
                "score": e.score.estimate,
                "low": e.score.low,
                "high": e.score.high,
                "without_data": e.without_data,
                "uniform": e.uniform,
                "p_floor": e.p_floor,
            }
            for e in found.expected
        ]
    )


def frontier_table(found: Recommendation) -> pd.DataFrame:
    """Return one row a budget: spent, score with interval, uniform plan's score."""
    return pd.DataFrame(
        [
            {
                "budget": p.budget,
                "spent": p.spent,
                "score": p.score.estimate,
                "low": p.score.low,
                "high": p.score.high,
                "uniform": p.uniform,
            }
            for p in found.frontier
        ]
    )


def models_table(found: Recommendation) -> pd.DataFrame:
    """Return one row a base model that was free to choose; empty without a choice."""
    return pd.DataFrame(
        [
            {
                "base_model": m.base_model,
                "score of its best plan": m.score,
                "P(best)": m.p_best,
                "training_cost": m.training_cost,
                "reason": m.reason,
            }
            for m in found.base_models
        ]
    )


def next_table(found: NextRuns, n_runs: int = 10) -> pd.DataFrame:
    """Return the runs that could come next, the best first."""
    return pd.DataFrame(
        [
            {
                "base_model": c.base_model,
                "data_source": c.data_source,
                "examples per ability": c.n_examples,
                "seed": c.seed,
                "runs there now": c.n_seeds_now,
                "would remove": c.share,
                f"cost ({found.cost_unit})": c.cost,
            }
            for c in found.cells[:n_runs]
        ]
    )


def stable_ranges(found: Recommendation) -> dict[tuple[str, str], tuple[int, int]]:
    """Return where re-solved plans lie, by ability and source."""
    return {
        (s.ability, s.data_source): (min(s.low, s.n_examples), max(s.high, s.n_examples))
        for s in found.stability
    }


# --- Parts ------------------------------------------------------------------------------------


def _say_cell(cell: AllocatedCell) -> str:
    names = dict.fromkeys((cell.data_source, name_ability(cell.ability)))
    return f"{cell.n_examples:,} {' '.join(names)}"
