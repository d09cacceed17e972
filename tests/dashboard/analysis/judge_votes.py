"""Votes for tests: short rows of item, pair, preference and order."""

from __future__ import annotations

import csv
from pathlib import Path

from dashboard.analysis.judge import Votes

PUBLISHED = Path(__file__).parents[2] / "fixtures" / "published" / "judge"


def make_votes(*rows: tuple, **columns: list) -> Votes:
    """Return votes of (item, model_a, model_b, preference[, first[, judge[, annotator]]])."""
    filled = [(*row, *(None,) * (7 - len(row))) for row in rows]
    item, a, b, preference, first, judge, annotator = zip(*filled, strict=True)
    return Votes.from_columns(
        item=item, model_a=a, model_b=b, preference=preference, shown_first=first,
        judge=judge, annotator=annotator, **columns,
    )  # fmt: skip


def count_votes(name: str, first: str, second: str, wins: tuple[str, str]) -> Votes:
    """Return one vote per game of a published table of counts, each game an item of its own."""
    rows = []
    with (PUBLISHED / name).open() as file:
        for line in csv.DictReader(file):
            for preference, column in zip((1.0, 2.0), wins, strict=True):
                for _ in range(int(line[column])):
                    rows.append((f"game{len(rows)}", line[first], line[second], preference, "a"))
    return make_votes(*rows)


def baseball() -> Votes:
    return count_votes("baseball.csv", "home.team", "away.team", ("home.wins", "away.wins"))


def citations() -> Votes:
    return count_votes("citations.csv", "a", "b", ("wins_a", "wins_b"))
