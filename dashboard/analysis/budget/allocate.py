r"""The best allocation: a mixed-integer start on piecewise-linear curves, then exchanges.

Start. With breakpoints (N_j, E_j) of each cell's effective examples and (X_k, Y_k) of each ladder,

.. math:: \max \sum_a v_a \Big(\sum_k \mu_{ak} Y_{ak} + \sum_{sj} \lambda_{asj} D_{asj}\Big)

subject to sum_j lambda = 1, sum_k mu = 1, sum_k mu_ak X_ak <= sum_bs w_abs sum_j lambda_bsj E_bsj,
and the budget, limits and minima on n_as = sum_j lambda_asj N_asj; money costs what it has to bring
(`BudgetProblem.least_gain`). Curves that are not concave get one binary per segment, of which
exactly one is open (the convex-combination form of [1]_).

Polish. From the start and from the uniform plan, examples move between pairs of cells as long as
the objective rises, in steps from a quarter of the budget down to single examples. The objective
is that of the mean over replicates, as in the sample-average approximation of [2]_. All numbers
stay whole.

References
----------
.. [1] Vielma, Ahmed, Nemhauser, "Mixed-integer models for nonseparable piecewise-linear
   optimization", Oper. Res. 58 (2010), section 3.
.. [2] Kleywegt, Shapiro, Homem-de-Mello, "The sample average approximation method for stochastic
   discrete optimization", SIAM J. Optim. 12 (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.surface import Pieces
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray

_TOLERANCE = 5e-4
"""Goodness, relative to a curve's span, by which thinned pieces may miss it."""
_IMPROVES = 1e-9
_TIDY = 2e-3
"""Share of a plan's gain that may be given up for fewer, larger purchases."""
_MAX_MOVES = 60
_GAP = 1e-3


def milp_start(
    pieces: Pieces,
    problem: BudgetProblem,
    *,
    least: FloatArray | None = None,
    time_limit_seconds: float = 1.5,
) -> FloatArray | None:
    """Return the plan (A, S) that is best on piecewise-linear curves, before rounding.

    Parameters
    ----------
    least : ndarray, shape (A,), optional
        Goodness that each ability must reach; -inf where none.
    time_limit_seconds : float
        The best plan found by then is returned.

    Returns
    -------
    ndarray or None
        None if no plan satisfies the constraints, or none was found in time.
    """
    program = _Program()
    n_abilities, n_sources = problem.cost.shape
    # The curves' values of each ability: columns of lambda by cell and of mu by ability.
    cells: dict[tuple[int, int], tuple[np.ndarray, FloatArray, FloatArray, FloatArray]] = {}
    for b, s in np.argwhere(problem.limit > 0):
        at = _breakpoints(pieces.n, float(problem.limit[b, s]))
        worth = np.interp(at, pieces.n, pieces.worth[b, s])
        extra = np.interp(at, pieces.n, pieces.extra[b, s])
        keep = _thin(at, np.stack([worth, extra]))
        at, worth, extra = at[keep], worth[keep], extra[keep]
        concave = _is_concave(at, worth) and _is_concave(at, extra)
        paid = max(problem.price_of_spending, 0.0) * problem.cost[b, s] * at
        columns = program.add_curve(problem.weight[b] * extra - paid, at, concave=concave)
        cells[int(b), int(s)] = (columns, at, worth, extra)
    ladders: list[tuple[np.ndarray, FloatArray]] = []
    for a in range(n_abilities):
        keep = _thin(pieces.n, pieces.ladder[a][None])
        x, y = pieces.n[keep], pieces.ladder[a][keep]
        columns = program.add_curve(problem.weight[a] * y, x, concave=_is_concave(x, y))
        ladders.append((columns, y))
        link = {int(c): float(v) for c, v in zip(columns, x, strict=True)}
        for (b, s), (their, _, worth, _) in cells.items():
            if pieces.weight[a, b, s] > 0:
                for column, value in zip(their, worth, strict=True):
                    link[int(column)] = -float(pieces.weight[a, b, s] * value)
        program.add_row(link, -np.inf, 0.0)
        if least is not None and np.isfinite(least[a]):
            row = {int(c): float(v) for c, v in zip(columns, y, strict=True)}
            for s in range(n_sources):
                if (a, s) in cells:
                    their, _, _, extra = cells[a, s]
                    row |= {int(c): float(v) for c, v in zip(their, extra, strict=True)}
            program.add_row(row, float(least[a]), np.inf)

    def add_total(counted: FloatArray, low: float, high: float) -> None:
        """Bound the examples of all cells, each counted (A, S) times."""
        row = {
            int(column): float(counted[b, s] * value)
            for (b, s), (columns, at, _, _) in cells.items()
            for column, value in zip(columns, at, strict=True)
            if counted[b, s]
        }
        program.add_row(row, low, high)

    every_a, every_s = np.indices(problem.cost.shape)
    add_total(problem.cost, -np.inf, problem.budget)
    for source in np.flatnonzero(np.isfinite(problem.source_limit)):
        add_total(1.0 * (every_s == source), -np.inf, float(problem.source_limit[source]))
    for ability in np.flatnonzero(problem.ability_minimum > 0):
        add_total(1.0 * (every_a == ability), float(problem.ability_minimum[ability]), np.inf)
    for ability, source in np.argwhere(problem.minimum > 0):
        only = 1.0 * ((every_a == ability) & (every_s == source))
        add_total(only, float(problem.minimum[ability, source]), np.inf)
    solution = program.solve(time_limit_seconds)
    if solution is None:
        return None
    plan = np.zeros(problem.cost.shape)
    for (b, s), (columns, at, _, _) in cells.items():
        plan[b, s] = float(solution[columns] @ at)
    return plan


def round_down(problem: BudgetProblem, plan: FloatArray) -> FloatArray:
    """Return whole numbers at or below the plan's, with minima restored."""
    n = np.clip(np.floor(plan + 1e-6), problem.minimum, np.maximum(problem.limit, problem.minimum))
    for a in range(len(n)):
        missing = problem.ability_minimum[a] - n[a].sum()
        for s in np.argsort(problem.cost[a]):
            step = float(np.clip(problem.limit[a, s] - n[a, s], 0, max(missing, 0)))
            n[a, s] += step
            missing -= step
    return np.asarray(n)


def polish(
    surface: GrowthSurface,
    problem: BudgetProblem,
    starts: Sequence[FloatArray],
    accept: Callable[[FloatArray], bool] | None = None,
) -> FloatArray | None:
    """Improve whole-number plans by moving examples between cells; return the best.

    Parameters
    ----------
    starts : sequence of ndarray, shape (A, S)
        Plans to begin from; those outside the problem's limits are left out.
    accept : callable, optional
        Further condition on a plan (floors).

    Returns
    -------
    ndarray or None
        None if no start is allowed.
    """
    best: FloatArray | None = None
    best_value = -np.inf
    for start in starts:
        if not problem.allows(start) or (accept is not None and not accept(start)):
            continue
        plan, value = _climb(surface, problem, start, accept)
        if value > best_value + _IMPROVES:
            best, best_value = plan, value
    return None if best is None else _tidy(surface, problem, best, accept)


def neighbours(problem: BudgetProblem, n: FloatArray, step: float) -> FloatArray:
    """Return the allowed plans (M, A, S) that move `step` of the budget between two cells."""
    return _moves(problem, n, np.argwhere(problem.limit > 0), step)


def objective(surface: GrowthSurface, problem: BudgetProblem, n: FloatArray) -> FloatArray:
    """Return the weighted goodness of plans n (..., A, S)."""
    return np.asarray(surface.scores(n) @ problem.weight)


def merit(surface: GrowthSurface, problem: BudgetProblem, n: FloatArray) -> FloatArray:
    """Return the weighted goodness of plans n (..., A, S), less what spending has to bring."""
    spent = (problem.cost * n).sum(axis=(-2, -1))
    return np.asarray(objective(surface, problem, n) - problem.price_of_spending * spent)


def _climb(
    surface: GrowthSurface,
    problem: BudgetProblem,
    start: FloatArray,
    accept: Callable[[FloatArray], bool] | None,
) -> tuple[FloatArray, float]:
    """Take the best move again and again, in ever smaller steps."""
    n = np.array(start)
    value = float(merit(surface, problem, n))
    usable = np.argwhere(problem.limit > 0)
    step = problem.budget / 4
    cheapest = float(problem.cost[problem.limit > 0].min())
    while True:
        for _ in range(_MAX_MOVES):
            moves = _moves(problem, n, usable, step)
            if not len(moves):
                break
            values = merit(surface, problem, moves)
            chosen = None
            for index in np.argsort(-values)[:8]:
                if values[index] <= value + _IMPROVES:
                    break
                if accept is None or accept(moves[index]):
                    chosen = index
                    break
            if chosen is None:
                break
            n, value = moves[chosen], float(values[chosen])
        if step <= cheapest:
            return n, value
        step = max(step / 2, cheapest)


def _tidy(
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    accept: Callable[[FloatArray], bool] | None,
) -> FloatArray:
    """Empty small cells into others where hardly anything is lost: a handful is no purchase."""
    some, none = objective(surface, problem, np.stack([plan, np.zeros_like(plan)]))
    allowed = float(merit(surface, problem, plan)) - _TIDY * max(float(some - none), 0.0)
    spent = plan * problem.cost
    for a, s in sorted(np.argwhere(plan > 0).tolist(), key=lambda cell: spent[tuple(cell)]):
        emptied = np.array(plan)
        emptied[a, s] = 0
        free = problem.spend(plan) - problem.spend(emptied)
        more = np.floor(np.minimum(free / problem.cost, problem.limit - emptied))
        # The last one buys nothing for it.
        moves = np.repeat(emptied[None], more.size + 1, axis=0)
        every = np.arange(more.size)
        moves[(every, *np.unravel_index(every, more.shape))] += more.ravel()
        moves = moves[problem.allows(moves) & (moves[:, a, s] == 0)]
        if not len(moves):
            continue
        values = merit(surface, problem, moves)
        best = int(values.argmax())
        if values[best] >= allowed and (accept is None or accept(moves[best])):
            plan = moves[best]
    return plan


def _moves(problem: BudgetProblem, n: FloatArray, usable: np.ndarray, step: float) -> FloatArray:
    """Return the allowed plans (M, A, S) that spend `step` on a cell, free or taken from another.

    What one cell gives up pays for what the other gets, rounded down, plus what was left over.
    """
    left = problem.budget - problem.spend(n)
    rows, columns = usable[:, 0], usable[:, 1]
    cost = problem.cost[rows, columns]
    have = n[rows, columns]
    room = problem.limit[rows, columns] - have
    can_give = np.minimum(have - problem.minimum[rows, columns], np.ceil(step / cost))
    # One more giver: the money that is not spent yet.
    paid = np.append(np.minimum(can_give * cost, step) + left, min(left, step))
    bought = np.minimum(np.floor(paid[:, None] / cost + 1e-9), room)
    giver, taker = np.nonzero(bought > 0)
    moves = np.repeat(n[None], len(giver), axis=0)
    from_cell = giver < len(usable)
    index = np.arange(len(giver))
    moves[index[from_cell], rows[giver[from_cell]], columns[giver[from_cell]]] -= can_give[
        giver[from_cell]
    ]
    moves[index, rows[taker], columns[taker]] += bought[giver, taker]
    different = giver != taker
    # A cell that hurts can also give and nobody take.
    drops = np.repeat(n[None], len(usable), axis=0)
    drops[np.arange(len(usable)), rows, columns] -= can_give
    moves = np.concatenate([moves[different], drops[can_give > 0]])
    return np.asarray(moves[problem.allows(moves)])


class _Program:
    """A mixed-integer linear program, put together row by row."""

    def __init__(self) -> None:
        """Start empty."""
        self._value: list[float] = []
        self._binary: list[bool] = []
        self._rows: list[tuple[dict[int, float], float, float]] = []

    def add_curve(self, value: FloatArray, at: FloatArray, *, concave: bool) -> np.ndarray:
        """Add the weights of a curve's breakpoints; return their columns."""
        columns = self._add_columns(value, binary=False)
        self.add_row(dict.fromkeys(columns.tolist(), 1.0), 1.0, 1.0)
        if not concave:
            open_segment = self._add_columns(np.zeros(len(at) - 1), binary=True)
            self.add_row(dict.fromkeys(open_segment.tolist(), 1.0), 1.0, 1.0)
            for k, column in enumerate(columns.tolist()):
                beside = {int(c): -1.0 for c in open_segment[max(k - 1, 0) : k + 1]}
                self.add_row({column: 1.0, **beside}, -np.inf, 0.0)
        return columns

    def add_row(self, coefficients: dict[int, float], low: float, high: float) -> None:
        """Add low <= coefficients . x <= high."""
        self._rows.append((coefficients, low, high))

    def solve(self, time_limit_seconds: float) -> FloatArray | None:
        """Maximise; return the best solution found, or None."""
        entries = [
            (i, column, value)
            for i, (coefficients, _, _) in enumerate(self._rows)
            for column, value in coefficients.items()
        ]
        row, column, value = (np.array(part) for part in zip(*entries, strict=True))
        matrix = csr_array((value, (row, column)), shape=(len(self._rows), len(self._value)))
        found = milp(
            -np.array(self._value),
            integrality=np.array(self._binary, dtype=int),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(
                matrix,
                np.array([low for _, low, _ in self._rows]),
                np.array([high for _, _, high in self._rows]),
            ),
            options={"time_limit": time_limit_seconds, "mip_rel_gap": _GAP},
        )
        return None if found.x is None else np.asarray(found.x)

    def _add_columns(self, value: FloatArray, *, binary: bool) -> np.ndarray:
        first = len(self._value)
        self._value += [float(v) for v in value]
        self._binary += [binary] * len(value)
        return np.arange(first, len(self._value))


def _breakpoints(n: FloatArray, limit: float) -> FloatArray:
    """Return the grid's volumes up to a limit, the limit included."""
    return np.append(n[n < limit], limit)


def _thin(x: FloatArray, y: FloatArray) -> np.ndarray:
    """Return the indices of few points whose polyline keeps within a tolerance of y (rows, G)."""
    span = np.ptp(y, axis=1, keepdims=True)
    y = y / np.where(span > 0, span, 1.0)
    keep = [0]
    while keep[-1] < len(x) - 1:
        start = keep[-1]
        end = start + 1
        while end + 1 < len(x):
            share = (x[start : end + 2] - x[start]) / (x[end + 1] - x[start])
            line = y[:, [start]] + share * (y[:, [end + 1]] - y[:, [start]])
            if np.abs(line - y[:, start : end + 2]).max() > 4 * _TOLERANCE:
                break
            end += 1
        keep.append(end)
    return np.array(keep)


def _is_concave(x: FloatArray, y: FloatArray) -> bool:
    """Say whether a polyline is concave, up to rounding of its slopes."""
    slope = np.diff(y) / np.diff(x)
    return bool((np.diff(slope) <= 1e-9 + 1e-3 * np.abs(slope[:-1])).all())
