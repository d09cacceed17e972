"""What a user asks of a budget, by names, and the problem that it makes on a surface."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

_NUMBERS = ("budget", "budget_cost", "floor_probability")
LEAST_GAIN = 0.0002
"""Weighted mean score that a tenth of the budget must be expected to bring: 0.02 points."""
_AT_ANY_PRICE = -1.0
"""The same where all is to be spent: no tenth of a budget costs a whole point of accuracy."""


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """A budget request. A cell is named `source:ability`.

    Attributes
    ----------
    budget : float or None
        Examples; or
    budget_cost : float or None
        money, which needs `cost`.
    cost : dict
        Price of an example by source or cell; a cell's own price counts.
    available : dict
        Most examples by source (over all abilities) or cell.
    weight : dict
        By ability; 1 where not named.
    minimum : dict
        Least examples by ability (of any source) or cell.
    floor : dict
        Score that an ability must reach with `floor_probability`.
    training_cost : dict
        Cost of one training run by base model, paid from `budget_cost`.
    own_plan : dict
        Examples by cell, to compare with.
    spend_all : bool
        Whether to spend also where no gain is expected.
    """

    budget: float | None = None
    budget_cost: float | None = None
    cost: dict[str, float] = field(default_factory=dict)
    available: dict[str, float] = field(default_factory=dict)
    weight: dict[str, float] = field(default_factory=dict)
    minimum: dict[str, float] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)
    floor_probability: float = 0.8
    training_cost: dict[str, float] = field(default_factory=dict)
    own_plan: dict[str, float] = field(default_factory=dict)
    spend_all: bool = False

    @property
    def amount(self) -> float:
        """The budget, in examples or money.

        Raises
        ------
        InputError
            If it is given twice or not at all, or prices come without a budget of money.
        """
        if (self.budget is None) == (self.budget_cost is None):
            raise InputError("Give one budget: --budget in examples or --budget-cost in money.")
        if self.budget_cost is not None:
            return self.budget_cost
        for name in ("cost", "training_cost"):
            if getattr(self, name):
                raise InputError(
                    f"--{name.replace('_', '-')} needs --budget-cost: a budget of examples counts "
                    "every example as 1."
                )
        assert self.budget is not None
        return self.budget


def parse_plan(document: object, where: str) -> PlanSpec:
    """Return the request in a YAML document.

    Raises
    ------
    InputError
        If a field is unknown or its value is no number, naming `where` and the field.
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{where}: a plan is a mapping of fields such as budget and cost.")
    known = [item.name for item in fields(PlanSpec)]
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            raise InputError(f"{where}: unknown field {key!r}; known: {', '.join(known)}.")
        if key == "spend_all":
            if not isinstance(value, bool):
                raise InputError(f"{where}: spend_all is {value!r}; give true or false.")
            values[key] = value
        elif key in _NUMBERS:
            values[key] = _number(value, f"{where}: {key}")
        else:
            values[str(key)] = parse_table(value, f"{where}: {key}")
    return PlanSpec(**values)


def parse_table(value: object, where: str) -> dict[str, float]:
    """Return a mapping of names to numbers.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is a mapping of names to numbers, such as human: 1.5.")
    return {str(key): _number(number, f"{where}: {key}") for key, number in value.items()}


def parse_pairs(pairs: list[str] | None, option: str) -> dict[str, float]:
    """Return the mapping that repeated `NAME=NUMBER` options make.

    Raises
    ------
    InputError
        If one has another form.
    """
    table = {}
    for pair in pairs or ():
        name, equals, number = pair.rpartition("=")
        if not equals or not name:
            raise InputError(f"{option} {pair!r} is not of the form NAME=NUMBER.")
        table[name] = _number(number, f"{option} {name}")
    return table


def check_names(
    spec: PlanSpec,
    abilities: Sequence[str],
    sources: Sequence[str],
    base_models: Sequence[str],
) -> None:
    """Refuse a request that names what there is no growth curve of, before anything is fitted.

    Raises
    ------
    InputError
        Naming the option and the name, and those that are known.
    """
    known_abilities, known_sources = tuple(abilities), tuple(sources)
    for option, table in (
        ("--cost", spec.cost),
        ("--available", spec.available),
        ("--own-plan", spec.own_plan),
    ):
        _split(table, option, known_sources, known_abilities)
    _split(spec.minimum, "--min", known_abilities, known_sources, flipped=True)
    _named(spec.weight, "--weight", known_abilities)
    _named(spec.floor, "--floor", known_abilities)
    _named(spec.training_cost, "--training-cost", tuple(base_models))


def build_problem(
    spec: PlanSpec, surface: GrowthSurface, training_cost: float = 0.0
) -> BudgetProblem:
    """Return the problem that a request makes on a surface.

    Raises
    ------
    InputError
        If a name is unknown, a price is missing, training alone exceeds the budget, or no plan can
        satisfy the minima.
    """
    abilities, sources = surface.abilities, surface.sources
    shape = (len(abilities), len(sources))
    left = spec.amount - training_cost
    if left <= 0 and training_cost == 0:
        raise InputError(f"The budget is {spec.amount:g}; give one above 0.")
    if left <= 0:
        raise InputError(
            f"Training {surface.base_model} alone costs {training_cost:g}, and the budget is "
            f"{spec.amount:g}."
        )
    cost = np.ones(shape)
    if spec.budget_cost is not None:
        by_source, cells = _split(spec.cost, "--cost", sources, abilities)
        cost = np.full(shape, np.nan)
        for s, price in by_source.items():
            cost[:, s] = price
        for index, price in cells.items():
            cost[index] = price
        for a, s in np.argwhere(np.isnan(cost) & (surface.supported > 0)):
            raise InputError(
                f"There is no price for {sources[s]} {abilities[a]}; give --cost "
                f"{sources[s]}=PRICE."
            )
        cost = np.where(np.isnan(cost), 1.0, cost)
    limit = np.floor(surface.supported)
    by_source, cells = _split(spec.available, "--available", sources, abilities)
    source_limit = np.full(len(sources), np.inf)
    for s, count in by_source.items():
        source_limit[s] = math.floor(count)
    for index, count in cells.items():
        limit[index] = min(limit[index], math.floor(count))
    by_ability, cells = _split(spec.minimum, "--min", abilities, sources, flipped=True)
    minimum, ability_minimum = np.zeros(shape), np.zeros(shape[0])
    for a, count in by_ability.items():
        ability_minimum[a] = math.ceil(count)
    for index, count in cells.items():
        minimum[index] = math.ceil(count)
    weight = np.ones(shape[0])
    for a, value in _named(spec.weight, "--weight", abilities).items():
        weight[a] = value
    floor = np.full(shape[0], -np.inf)
    for a, value in _named(spec.floor, "--floor", abilities).items():
        floor[a] = surface.sign * value
    return BudgetProblem(
        abilities=abilities,
        sources=sources,
        budget=left,
        cost=cost,
        limit=np.maximum(limit, 0.0),
        source_limit=source_limit,
        minimum=minimum,
        ability_minimum=ability_minimum,
        weight=weight,
        floor=floor,
        floor_probability=spec.floor_probability,
        least_gain=_AT_ANY_PRICE if spec.spend_all else LEAST_GAIN,
    )


def own_plan(spec: PlanSpec, surface: GrowthSurface) -> FloatArray | None:
    """Return the user's own plan, shape (A, S); None if there is none.

    Raises
    ------
    InputError
        If a cell is unknown, or holds more examples than any run stands behind.
    """
    if not spec.own_plan:
        return None
    whole, cells = _split(spec.own_plan, "--own-plan", surface.sources, surface.abilities)
    if whole:
        name = surface.sources[next(iter(whole))]
        raise InputError(f"--own-plan names {name!r}; name cells, as in {name}:ABILITY.")
    plan = np.zeros(surface.supported.shape)
    for (a, s), count in cells.items():
        if count > surface.supported[a, s]:
            raise InputError(
                f"--own-plan has {count:,.0f} examples of {surface.sources[s]} "
                f"{surface.abilities[a]}; runs stand behind {surface.supported[a, s]:,.0f} at "
                "most (--allow-unsupported goes further)."
            )
        plan[a, s] = count
    return plan


def _number(value: object, where: str) -> float:
    """Return a count or price, 0 or more."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise InputError(f"{where} is {value!r}; give a number of 0 or more.")
    return number


def _split(
    table: Mapping[str, float],
    option: str,
    whole: tuple[str, ...],
    part: tuple[str, ...],
    *,
    flipped: bool = False,
) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
    """Return a table's entries by whole name, and by cell (ability, source).

    `whole` is what a name without a colon means: a source, or with `flipped` an ability.
    """
    sources, abilities = (part, whole) if flipped else (whole, part)
    names, cells = {}, {}
    for key, value in table.items():
        source, colon, ability = key.partition(":")
        if not colon:
            names[_index(key, whole, option)] = value
        else:
            index = (_index(ability, abilities, option), _index(source, sources, option))
            cells[index] = value
    return names, cells


def _named(table: Mapping[str, float], option: str, known: tuple[str, ...]) -> dict[int, float]:
    """Return a table's entries by ability."""
    return {_index(key, known, option): value for key, value in table.items()}


def _index(name: str, known: tuple[str, ...], option: str) -> int:
    """Return the position of a name."""
    if name not in known:
        raise InputError(f"{option} names {name!r}; known: {', '.join(known)}.")
    return known.index(name)
