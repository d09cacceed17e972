"""A study's tables as values: what is printed, the numbers behind it, and why a cell is empty.

Builders are in `tables_scores`, `tables_tests` and `tables_runs`; `tables_write` gives them the
form of a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard.analysis import Interval

MINUS = "\N{MINUS SIGN}"
RANGE = "\N{EN DASH}"

_MANY_NOTES = 12
_NUMERIC = frozenset("0123456789+<>[") | {MINUS, RANGE}


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What stands in a cell that holds no value."""

    reason: str


Shown = str | Missing
"""What is printed in one cell: plain text, never markup."""


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table of a study.

    Attributes
    ----------
    name : str
        File name without its ending: letters, digits and hyphens ("scores-examples-per-ability").
    caption : str
        What is listed, its unit, interval and correction; plain text, one paragraph.
    headings : tuple of str
        Of the columns that are printed.
    rows : tuple of tuples of str or Missing
        What is printed, one entry a heading.
    n_names : int
        Columns at the left that name a row.
    data : DataFrame
        The same and more as numbers, for CSV.
    """

    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]
    n_names: int
    data: pd.DataFrame

    def is_number(self, column: int) -> bool:
        """Say whether a column holds numbers, which are set flush right."""
        cells = [row[column] for row in self.rows if isinstance(row[column], str)]
        return column >= self.n_names and all(str(cell)[:1] in _NUMERIC for cell in cells)

    def notes(self) -> dict[str, str]:
        """Return the reasons of missing values with their marks, in order of appearance.

        Beyond a dozen different ones the rest share a mark, which names where to read them.
        """
        reasons = dict.fromkeys(
            cell.reason for row in self.rows for cell in row if isinstance(cell, Missing)
        )
        marks = {}
        for index, reason in enumerate(reasons):
            marks[reason] = "abcdefghijklmnopqrstuvwxyz"[min(index, _MANY_NOTES)]
        return marks


@dataclass(frozen=True, kw_only=True)
class MissingTable:
    """A table that the data can't give; `reason` is a sentence without its full stop."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """All tables of a study, in the order of a paper, and those that are missing."""

    tables: tuple[PaperTable, ...]
    missing: tuple[MissingTable, ...]


def note_lines(table: PaperTable) -> list[tuple[str, str]]:
    """Return (mark, sentence) of a table's missing values."""
    lines: dict[str, str] = {}
    for reason, mark in table.notes().items():
        known = mark in lines
        lines[mark] = "several reasons, listed in the CSV file" if known else reason
    return [(mark, text[:1].upper() + text[1:].rstrip(".") + ".") for mark, text in lines.items()]


def varying(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """Return the names whose values differ between rows: only they need a column."""
    return [name for name in names if len({row[name] for row in rows}) > 1]


def say_fixed(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Return " All rows: base model pond-1b, metric accuracy.", or nothing."""
    fixed = [
        f"{word} {rows[0][name]}"
        for name, word in names.items()
        if rows and len({row[name] for row in rows}) == 1
    ]
    return f" All rows: {', '.join(fixed)}." if fixed else ""


def number(value: float | None, digits: int, *, scale: float = 1.0, signed: bool = False) -> str:
    """Return a number with a minus sign as wide as a digit; an en dash where it is unknown."""
    if value is None or not math.isfinite(value):
        return RANGE
    # Adding 0 turns a rounded -0.0 into 0.0.
    text = f"{round(scale * value, digits) + 0.0:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS)


def bounds(interval: Interval, digits: int, *, scale: float = 1.0, signed: bool = False) -> str:
    """Return "61.2 [58.0, 64.1]"."""
    estimate = number(interval.estimate, digits, scale=scale, signed=signed)
    low, high = (number(v, digits, scale=scale) for v in (interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def significant(value: float | None) -> str:
    """Return a positive number of any size with two or three digits that count."""
    if value is None or not math.isfinite(value):
        return RANGE
    if abs(value) >= 100:
        return f"{value:,.0f}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS)


def p_text(value: float | None, reason: str) -> Shown:
    """Return a p- or q-value."""
    if value is None:
        return Missing(reason=reason)
    return "<0.001" if value < 0.001 else f"{value:.3f}"
