"""The budget commands' answers as tables and sentences; loaded when one prints."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from dashboard.analysis.budget.power import PowerPlan
from dashboard.analysis.budget.results import NextRuns, Recommendation

_PLAIN_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""
_N_CANDIDATES = 15
"""Candidates in the table; JSON has all."""


def print_recommendation(found: Recommendation | None, document: dict[str, Any]) -> None:
    """Print the plan, what it is expected to bring, and the targets."""
    console = _console()
    if found is not None:
        _print_plan(console, found)
    _print_targets(console, document["targets"])
    reasons: dict[str, list[str]] = {}
    for item in document["excluded"]:
        name = f"{item['base_model']}, {item['data_source']} {item['ability']}"
        reasons.setdefault(item["reason"].rstrip("."), []).append(name)
    for reason, names in reasons.items():
        console.print(f"Left out, since {reason}: {'; '.join(names)}.", highlight=False)


def _print_targets(console: Console, targets: list[dict[str, Any]]) -> None:
    """Print the examples that a target score takes, a curve in a row."""
    if not targets:
        return
    table = Table(title=f"Examples for a score of {targets[0]['target']:g}", title_justify="left")
    for heading in ("base model", "ability", "source"):
        table.add_column(heading, overflow="fold")
    for heading in ("examples", "interval", "P(in range)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status")

    def count(value: float | None) -> str:
        return "?" if value is None else f"{value:,.0f}"

    for row in targets:
        chance = row["p_reachable"]
        table.add_row(
            row["base_model"],
            row["ability"],
            row["data_source"],
            "-" if row["n_examples"] is None else count(row["n_examples"]),
            "-" if row["low"] is None else f"{count(row['low'])} to {count(row['high'])}",
            "-" if chance is None else f"{chance:.2f}",
            row["status"].replace("_", " "),
        )
    console.print(table)


def _print_plan(console: Console, found: Recommendation) -> None:
    """Print one plan."""
    table = Table(
        title=f"{found.base_model}: {found.spent:,.6g} of {found.budget:,.6g}",
        title_justify="left",
    )
    for heading in ("ability", "source"):
        table.add_column(heading, overflow="fold")
    for heading in ("examples", "cost", "80% of re-solved", "within x2"):
        table.add_column(heading, justify="right", no_wrap=True)
    stability = {(item.ability, item.data_source): item for item in found.stability}
    for cell in found.allocation:
        item = stability.get((cell.ability, cell.data_source))
        table.add_row(
            cell.ability,
            cell.data_source,
            f"{cell.n_examples:,}" + ("*" if cell.stopped_by else ""),
            f"{cell.cost:,.6g}",
            "-" if item is None else f"{item.low:,} to {item.high:,}",
            "-" if item is None else f"{100 * item.share_within_factor_2:.0f}%",
        )
    console.print(table)
    scores = Table(title="Expected scores", title_justify="left")
    scores.add_column("ability", overflow="fold")
    for heading in ("without data", "uniform plan", "this plan", "interval"):
        scores.add_column(heading, justify="right", no_wrap=True)
    for row in found.expected:
        scores.add_row(
            row.ability,
            f"{row.without_data:.3f}",
            f"{row.uniform:.3f}",
            f"{row.score.estimate:.3f}",
            f"{row.score.low:.3f} to {row.score.high:.3f}",
        )
    console.print(scores)
    if any(cell.stopped_by for cell in found.allocation):
        console.print("* all that is available, or as much as the largest observed run")
    for choice in found.base_models:
        known = choice.reason or f"mean score {choice.score:.3f}, best with {choice.p_best:.2f}"
        console.print(f"{choice.base_model}: {known}", highlight=False)
    for point in found.frontier:
        console.print(
            f"A budget of {point.budget:,.6g} brings {point.score.estimate:.3f} "
            f"[{point.score.low:.3f}, {point.score.high:.3f}]; uniform {point.uniform:.3f}",
            highlight=False,
        )
    for line in (found.reading, *found.warnings, *found.assumptions):
        console.print(line, highlight=False)


def print_next(found: NextRuns) -> None:
    """Print the best candidates."""
    console = _console()
    table = Table(title=f"Next runs for {found.goal}", title_justify="left")
    for heading in ("base model", "source"):
        table.add_column(heading, overflow="fold")
    for heading in ("examples", "seed", "runs now", "removes", found.cost_unit):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in found.cells[:_N_CANDIDATES]:
        table.add_row(
            cell.base_model,
            cell.data_source,
            f"{cell.n_examples:,}",
            str(cell.seed),
            str(cell.n_seeds_now),
            f"{100 * cell.share:.1f}%",
            "-" if cell.cost is None else f"{cell.cost:,.3g}",
        )
    console.print(table)
    reason = (found.cost_reason,) if found.cost_reason else ()
    for line in (found.reading, *reason, *found.warnings):
        console.print(line, highlight=False)


def print_power(found: PowerPlan, document: dict[str, Any]) -> None:
    """Print the power table: items in rows, seeds in columns."""
    console = _console()
    design = found.design
    seeds = sorted({point.n_seeds for point in found.table})
    table = Table(
        title=f"Power to detect {design.what} (smallest detectable)",
        title_justify="left",
    )
    table.add_column("items", justify="right")
    for k in seeds:
        table.add_column(f"{k} seeds", justify="right", no_wrap=True)
    points = {(point.n_items, point.n_seeds): point for point in found.table}
    for m in sorted({point.n_items for point in found.table}):
        row = [points[m, k] for k in seeds]
        table.add_row(
            f"{m:,}",
            *(
                f"{100 * p.power:.0f}% ({'-' if p.detectable is None else f'{p.detectable:.3f}'})"
                for p in row
            ),
        )
    console.print(table)
    console.print(
        f"Noise {document['noise']}: run standard deviation {design.run_stddev:.2f} (logit), item "
        f"correlation {design.seed_correlation:.2f} between seeds and "
        f"{design.setting_correlation:.2f} between settings. {design.n_abilities} abilities, "
        f"correction: {found.correction}.",
        highlight=False,
    )
    console.print(found.reading, highlight=False)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
