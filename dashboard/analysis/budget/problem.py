"""What may be bought: budget, prices, availability, minima, weights and floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

_CENT = 1e-9
"""Spending that rounding could cause."""


@dataclass(frozen=True, kw_only=True)
class BudgetProblem:
    """Choose n (A, S) examples to maximise the weighted score sum_a weight_a score_a.

    Attributes
    ----------
    abilities, sources : tuple of str
    budget : float
        Money, or examples where every example costs 1.
    cost : ndarray, shape (A, S), > 0
        Price of one example.
    limit : ndarray, shape (A, S), whole numbers
        Most examples that may be bought: what is available and what is supported, whichever is
        less.
    source_limit : ndarray, shape (S,)
        Most examples of a source over all abilities; infinite where it is not limited.
    minimum : ndarray, shape (A, S), whole numbers
        Least examples of each ability and source.
    ability_minimum : ndarray, shape (A,), whole numbers
        Least examples of each ability, of whatever source.
    weight : ndarray, shape (A,), >= 0
        What a point of each ability is worth.
    floor : ndarray, shape (A,)
        Goodness that each ability must reach with probability `floor_probability`; -inf where
        none is asked.
    least_gain : float
        Weighted mean goodness that a tenth of the budget must be expected to bring, else it stays
        unspent; below 0, money is spent even at a loss.

    Raises
    ------
    InputError
        If no plan can satisfy the minima, naming the first that fails.
    """

    abilities: tuple[str, ...]
    sources: tuple[str, ...]
    budget: float
    cost: FloatArray
    limit: FloatArray
    source_limit: FloatArray
    minimum: FloatArray
    ability_minimum: FloatArray
    weight: FloatArray
    floor: FloatArray
    floor_probability: float
    least_gain: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers out of range and minima that nothing can satisfy."""
        if not 0 < self.budget < np.inf:
            raise InputError(f"The budget is {self.budget:g}; give a positive number.")
        if not ((self.cost > 0) & np.isfinite(self.cost)).all():
            a, s = np.argwhere(~((self.cost > 0) & np.isfinite(self.cost)))[0]
            raise InputError(
                f"An example of {self._cell(a, s)} costs {self.cost[a, s]:g}; give a price above 0."
            )
        if not (self.weight >= 0).all() or not (self.weight > 0).any():
            raise InputError("Weights are 0 or more, and at least one ability has one above 0.")
        if not 0.5 <= self.floor_probability < 1:
            raise InputError(
                f"The floors' probability is {self.floor_probability:g}; give 0.5 or more and "
                "less than 1."
            )
        if self.limit.max() < 1:
            raise InputError(
                "Nothing can be bought: no ability has a usable growth curve of a source that is "
                "available."
            )
        self._check_minima()

    @property
    def price_of_spending(self) -> float:
        """Weighted goodness that a unit of money, or an example, must bring."""
        return float(10 * self.least_gain * self.weight.sum() / self.budget)

    def spend(self, n: FloatArray) -> float:
        """Return what a plan n (A, S) costs."""
        return float((self.cost * n).sum())

    def allows(self, n: FloatArray) -> np.ndarray:
        """Return which of the plans n (..., A, S) keep to budget, limits and minima."""
        return np.asarray(
            ((self.cost * n).sum(axis=(-2, -1)) <= self.budget + _CENT * self.budget)
            & (n <= self.limit).all(axis=(-2, -1))
            & (n.sum(axis=-2) <= self.source_limit).all(axis=-1)
            & (n >= self.minimum).all(axis=(-2, -1))
            & (n.sum(axis=-1) >= self.ability_minimum).all(axis=-1)
        )

    def uniform(self) -> FloatArray:
        """Return the same number of examples for every ability and source, as many as can be had.

        Cells that can have no more stay at their limit and the others go on. Minima per ability
        and floors are not part of it: this is what one buys who knows nothing.
        """
        low, high = 0, int(self.limit.max())
        while low < high:
            middle = (low + high + 1) // 2
            if self.spend(self._level(middle)) <= self.budget * (1 + _CENT):
                low = middle
            else:
                high = middle - 1
        return self._level(low)

    def _level(self, level: int) -> FloatArray:
        """Return `level` examples everywhere, within limits and minima."""
        n = np.maximum(np.minimum(level, self.limit), self.minimum)
        for s in np.flatnonzero(n.sum(axis=0) > self.source_limit):
            lower = level
            while lower > 0 and n[:, s].sum() > self.source_limit[s]:
                lower -= max(1, int((n[:, s].sum() - self.source_limit[s]) // len(n)))
                n[:, s] = np.maximum(np.minimum(lower, self.limit[:, s]), self.minimum[:, s])
        return n

    def _check_minima(self) -> None:
        """Name the first minimum that availability, support or budget rule out."""
        for a, s in np.argwhere(self.minimum > self.limit):
            raise InputError(
                f"The minimum of {self.minimum[a, s]:,.0f} examples of {self._cell(a, s)} is more "
                f"than the {self.limit[a, s]:,.0f} that are available and supported."
            )
        for a in np.flatnonzero(self.ability_minimum > self.limit.sum(axis=1)):
            raise InputError(
                f"The minimum of {self.ability_minimum[a]:,.0f} examples of {self.abilities[a]} is "
                f"more than the {self.limit[a].sum():,.0f} that are available and supported."
            )
        for s in np.flatnonzero(self.minimum.sum(axis=0) > self.source_limit):
            raise InputError(
                f"The minima of {self.sources[s]} data sum to {self.minimum[:, s].sum():,.0f} "
                f"examples, more than the {self.source_limit[s]:,.0f} that are available."
            )
        least = self.spend(self._cheapest_minima())
        if least > self.budget * (1 + _CENT):
            raise InputError(
                f"The minima alone cost {least:,.6g}, more than the budget of {self.budget:,.6g}."
            )

    def _cheapest_minima(self) -> FloatArray:
        """Return the cheapest plan that meets the minima, source totals aside."""
        n = np.array(self.minimum)
        for a in range(len(self.abilities)):
            missing = self.ability_minimum[a] - n[a].sum()
            for s in np.argsort(self.cost[a]):
                step = min(max(missing, 0), self.limit[a, s] - n[a, s])
                n[a, s] += step
                missing -= step
        return n

    def _cell(self, a: int, s: int) -> str:
        return f"{self.sources[s]} {self.abilities[a]}"
