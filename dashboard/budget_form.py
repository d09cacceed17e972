"""The tables in which a budget is asked for, and the request that they make; no streamlit here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
import yaml

from dashboard.analysis.budget.spec import PlanSpec
from dashboard.analysis.serialise import to_plain
from warehouse.errors import InputError

EXAMPLES, MONEY = "examples", "money"
UNITS = (EXAMPLES, MONEY)

SOURCE, ABILITY = "data source", "ability"
PRICE, AVAILABLE, WEIGHT = "price", "available", "weight"
AT_LEAST, FLOOR, OWN, OBSERVED = "at least", "score at least", "own plan", "observed up to"

Observed = Mapping[tuple[str, str], float]
"""Largest observed volume by (data source, ability)."""


@dataclass(frozen=True, kw_only=True)
class FormTables:
    """What a user may fill in: by data source, by ability, and by both. Blank is not stated."""

    sources: pd.DataFrame
    abilities: pd.DataFrame
    cells: pd.DataFrame


def empty_tables(observed: Observed) -> FormTables:
    """Return the tables before anything is filled in.

    Parameters
    ----------
    observed : mapping
        What runs stand behind, by data source and ability.
    """
    sources = list(dict.fromkeys(source for source, _ in observed))
    abilities = sorted({ability for _, ability in observed})
    return FormTables(
        sources=_blank({SOURCE: sources}, {PRICE: 1.0, AVAILABLE: None}),
        abilities=_blank({ABILITY: abilities}, {WEIGHT: 1.0, AT_LEAST: None, FLOOR: None}),
        cells=_blank(
            {
                SOURCE: [source for source, _ in observed],
                ABILITY: [ability for _, ability in observed],
                OBSERVED: list(observed.values()),
            },
            {PRICE: None, AVAILABLE: None, AT_LEAST: None, OWN: None},
        ),
    )


def read_request(amount: float, unit: str, tables: FormTables) -> PlanSpec:
    """Return what the filled-in tables ask for.

    Parameters
    ----------
    amount : float
        Budget, > 0.
    unit : str
        `EXAMPLES`, where every example costs 1 and prices are left out, or `MONEY`.
    tables : FormTables
        As the user left them.

    Raises
    ------
    InputError
        Naming the first number that is below 0, infinite or no number, or a budget of 0.
    """
    if not (math.isfinite(amount) and amount > 0):
        raise InputError(f"The budget is {amount:g}; give a number above 0.")
    sources, abilities, cells = tables.sources, tables.abilities, tables.cells
    money = unit == MONEY
    cost = _column(sources, PRICE, [SOURCE]) | _column(cells, PRICE, [SOURCE, ABILITY])
    weight = _column(abilities, WEIGHT, [ABILITY])
    if weight and not any(weight.values()):
        raise InputError("Every weight is 0; give at least one ability a weight above 0.")
    return PlanSpec(
        budget=None if money else amount,
        budget_cost=amount if money else None,
        cost=cost if money else {},
        available=_column(sources, AVAILABLE, [SOURCE])
        | _column(cells, AVAILABLE, [SOURCE, ABILITY]),
        # 1 is what an ability without a weight has.
        weight={name: value for name, value in weight.items() if value != 1},
        minimum=_column(abilities, AT_LEAST, [ABILITY])
        | _column(cells, AT_LEAST, [SOURCE, ABILITY]),
        floor=_column(abilities, FLOOR, [ABILITY]),
        own_plan=_column(cells, OWN, [SOURCE, ABILITY]),
    )


def request_yaml(spec: PlanSpec) -> str:
    """Return a request as the file that `recommend --plan` reads."""
    usual = PlanSpec()
    stated = {
        item.name: to_plain(getattr(spec, item.name))
        for item in fields(spec)
        if getattr(spec, item.name) != getattr(usual, item.name)
    }
    return "# A budget, for `recommend --plan`.\n" + yaml.safe_dump(stated, sort_keys=False)


def grid_yaml(grid: Mapping[str, Any], reading: str) -> str:
    """Return a grid as the file that `run-grid` takes, with what it rests on above it.

    Parameters
    ----------
    grid : mapping
        From `dashboard.budget_evidence.recommended_grid`.
    reading : str
        The recommendation in a sentence; written as comment lines.
    """
    lines = "".join(f"# {line}\n" for line in reading.splitlines())
    return f"# A recommended mixture, for `run-grid`.\n{lines}" + yaml.safe_dump(
        dict(grid), sort_keys=False, allow_unicode=True
    )


def usual_budget(observed: Observed) -> float:
    """Return a budget to begin with: a quarter of the largest volumes of one source."""
    first = next(iter(observed))[0]
    largest = sum(volume for (source, _), volume in observed.items() if source == first)
    return float(max(round(largest / 4), 1))


def _blank(names: dict[str, list[Any]], numbers: dict[str, float | None]) -> pd.DataFrame:
    """Return a table of names and columns of numbers, blank where there is no default."""
    frame = pd.DataFrame(names)
    for name, value in numbers.items():
        frame[name] = pd.Series([value] * len(frame), dtype="float64")
    return frame


def _column(frame: pd.DataFrame, column: str, keys: Sequence[str]) -> dict[str, float]:
    """Return a column's numbers by name, blanks left out; a cell is named source:ability."""
    values: dict[str, float] = {}
    for row in frame.to_dict("records"):
        value = row[column]
        if value is None or value != value:
            continue
        name = ":".join(str(row[key]) for key in keys)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
            raise InputError(f"{column.capitalize()} of {name} is {value!r}; give 0 or more.")
        values[name] = float(value)
    return values
