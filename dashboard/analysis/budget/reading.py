"""One plain sentence per answer about budgets, for the app, the CLI and reports."""

from __future__ import annotations

from dashboard.analysis.budget.results import NextRuns, Recommendation, TargetStatus, TargetVolume

_MANY = 3
"""Cells named in a sentence."""


def read_recommendation(found: Recommendation) -> str:
    """Return what a recommendation says, in one sentence."""
    cells = sorted((c for c in found.allocation if c.n_examples), key=lambda c: -c.n_examples)
    if not cells:
        return (
            f"Buy nothing for {found.base_model}: none of the data is expected to raise the "
            f"weighted mean score, so {_amount(found.unspent)} of {_amount(found.budget)} stays "
            "unspent."
        )
    named = ", ".join(f"{c.n_examples:,} {c.data_source} {c.ability}" for c in cells[:_MANY])
    rest = len(cells) - _MANY
    more = f" and {rest} more" if rest > 0 else ""
    largest = " (largest first)" if len(cells) > 1 else ""
    lead = found.versus[0]
    nothing = (lead.difference.low, lead.difference.high) == (0, 0)
    better = (
        "as the uniform plan does"
        if nothing
        else f"better than the uniform plan with probability {lead.p_better:.2f} "
        f"(by {lead.difference.estimate:+.3f})"
    )
    kept = ""
    if found.unspent > 0.01 * found.budget:
        kept = f" {_amount(found.unspent)} stays unspent: more is not expected to help."
    return (
        f"For {found.base_model}, {_amount(found.spent)} of {_amount(found.budget)} buys "
        f"{named}{more}{largest}: weighted mean score {found.score.estimate:.3f} "
        f"({100 * found.score.level:g}% interval {found.score.low:.3f} to "
        f"{found.score.high:.3f}), {better}.{kept}"
    )


def read_target(found: TargetVolume) -> str:
    """Return what is known about a target, in one sentence."""
    subject = (
        f"{found.ability} of {found.base_model} on {found.data_source} data and a score of "
        f"{found.target:g}"
    )
    chance = "" if found.p_reachable is None else f" (probability {found.p_reachable:.2f})"
    if found.status is TargetStatus.NOT_FITTED:
        return f"{subject}: unknown, since {found.reason}."
    if found.status is TargetStatus.ALREADY_REACHED:
        return f"{subject}: reached without any data{chance}."
    if found.status is TargetStatus.REACHED:
        low = _count(found.low) if found.low is not None else "0"
        upper = f"to {_count(found.high)}" if found.high is not None else "and no upper bound"
        return (
            f"{subject}: {_count(found.n_examples)} examples ({100 * found.level:g}% interval "
            f"from {low} {upper}), within the {_count(found.supported_max)} observed with "
            f"probability {found.p_reachable:.2f}."
        )
    if found.status is TargetStatus.NOT_WITHIN_SUPPORTED:
        return f"{subject}: not within the {_count(found.supported_max)} examples observed{chance}."
    return (
        f"{subject}: never, as the fitted curve goes; within the {_count(found.supported_max)} "
        f"examples observed with probability {found.p_reachable:.2f}."
    )


def read_next(found: NextRuns) -> str:
    """Return which run to do next, in one sentence."""
    if not found.cells:
        return "There is no run to suggest: no candidate would teach anything about this goal."
    first = found.cells[0]
    what = "expected regret of the budget" if found.goal == "budget" else f"{found.goal} variance"
    cost = "1 run" if (first.cost, found.cost_unit) == (1, "runs") else None
    if cost is None and first.cost is not None:
        cost = f"{first.cost:,.3g} {found.cost_unit}"
    paid = "" if cost is None else f" at {cost}"
    return (
        f"Next, train {first.base_model} on {first.n_examples:,} {first.data_source} examples per "
        f"ability with seed {first.seed}{paid}: it is expected to remove "
        f"{100 * first.share:.0f}% of the {what}."
    )


def _count(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _amount(value: float) -> str:
    """Write money or examples without an exponent."""
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.6g}"
