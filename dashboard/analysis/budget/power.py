r"""Before any run: the items, seeds and volumes that a difference or a gain takes to be seen.

The score of one run with success rate p on m items varies by

.. math:: \frac{p (1 - p)}{m} + \sigma^2 \, (p (1 - p))^2

items and runs, sigma being the run standard deviation on the logit scale. Two runs on the same
items share part of the items' luck: r_w is the correlation of an item's 0/1 results between two
seeds of one setting, r_b <= r_w that between two settings. So a difference of two settings with k
seeds each has the variance

.. math:: V = \sum_{c = 1, 2} \frac{p_c (1 - p_c)}{m}
          \Big[(r_w - r_b) + \frac{1 - r_w}{k_c}\Big] + \frac{\sigma^2 (p_c (1 - p_c))^2}{k_c}

where the base model, one evaluation of a fixed model, has k = 1 and no run noise. More seeds do not
help the first part, more items do not help the last. For a gain seen at volumes n_1 ... n_V the
shape is s_v = log(1 + n_v / n_1) / log(1 + n_V / n_1), and the gain is estimated by generalised
least squares over the base model and the volumes. The test is two-sided, of t with the run noise's
degrees of freedom, at level alpha / (number of abilities).

References
----------
.. [1] Miller, "Adding error bars to evals: a statistical approach to language model evaluations",
   arXiv 2411.00640 (2024), sections 4 and 5 (paired differences and power).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.stats import nct, t

from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

_MAX_ITEMS = 100_000
_TABLE_ITEMS = (50, 100, 200, 500, 1000, 2000)
_TABLE_SEEDS = (2, 3, 4, 5, 8)


class PowerQuestion(StrEnum):
    """What is to be detected."""

    GAIN = "gain"
    """From the base model to the largest volume, by the trend over all volumes."""
    DIFFERENCE = "difference"
    """Between two settings, say two data sources, at one volume."""


@dataclass(frozen=True, kw_only=True)
class PowerDesign:
    """What is assumed of a study before it is run.

    Attributes
    ----------
    question : PowerQuestion
    effect : float
        The gain or difference to detect, in score units (0.05 is five points).
    score : float
        Score without the effect, in (0, 1).
    volumes : tuple of float
        Training volumes above 0.
    run_stddev : float
        sigma, on the logit scale.
    seed_correlation, setting_correlation : float
        r_w and r_b.
    n_abilities : int
        Abilities tested; alpha is divided by it (Bonferroni, which Benjamini-Hochberg never does
        worse than).
    n_settings : int
        Curves per ability (base models x sources) behind the pooled run noise.
    alpha, power : float

    Raises
    ------
    InputError
        If a value lies outside its range, naming it.
    """

    question: PowerQuestion = PowerQuestion.GAIN
    effect: float = 0.05
    score: float = 0.5
    volumes: tuple[float, ...] = (4.0, 16.0, 64.0, 256.0)
    run_stddev: float = 0.3
    seed_correlation: float = 0.4
    setting_correlation: float = 0.2
    n_abilities: int = 10
    n_settings: int = 2
    alpha: float = 0.05
    power: float = 0.8

    @property
    def what(self) -> str:
        """The effect in words, such as "a gain of 5 points"."""
        noun = self.question.value
        if self.effect < 0:
            noun = "loss" if self.question is PowerQuestion.GAIN else "negative difference"
        return f"a {noun} of {100 * abs(self.effect):g} points"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 < self.score < 1 or not 0 < self.score + self.effect < 1 or self.effect == 0:
            raise InputError(
                f"A score of {self.score:g} and an effect of {self.effect:g} must both stay "
                "inside (0, 1), and the effect can't be 0."
            )
        if not self.volumes or not all(0 < n < np.inf for n in self.volumes):
            raise InputError("Volumes are counts above 0; give at least one.")
        if len(set(self.volumes)) != len(self.volumes):
            raise InputError("The same volume is given twice.")
        if self.run_stddev < 0:
            raise InputError(f"The run standard deviation is {self.run_stddev:g}; give 0 or more.")
        if not 0 <= self.setting_correlation <= self.seed_correlation < 1:
            raise InputError(
                "Item correlations must satisfy 0 <= between settings <= between seeds < 1, not "
                f"{self.setting_correlation:g} and {self.seed_correlation:g}."
            )
        if self.n_abilities < 1 or self.n_settings < 1:
            raise InputError("There is at least one ability and one setting.")
        for name, value in (("alpha", self.alpha), ("power", self.power)):
            if not 0 < value < 1:
                raise InputError(f"{name} is {value:g}; give a number between 0 and 1.")


@dataclass(frozen=True, kw_only=True)
class PowerPoint:
    """Power of one design, and the smallest effect that it shows with the wanted power.

    `detectable` is None where no effect below the ceiling is detected.
    """

    n_items: int
    n_seeds: int
    power: float
    detectable: float | None


@dataclass(frozen=True, kw_only=True)
class NeededItems:
    """Items that reach the wanted power with some seeds; None with the reason where none do."""

    n_seeds: int
    n_items: int | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class PowerPlan:
    """What a study can show: a table of designs, and the items needed by seeds."""

    design: PowerDesign
    table: tuple[PowerPoint, ...]
    needed: tuple[NeededItems, ...]
    correction: str
    reading: str


def plan_power(
    design: PowerDesign,
    *,
    n_items: Sequence[int] = _TABLE_ITEMS,
    n_seeds: Sequence[int] = _TABLE_SEEDS,
) -> PowerPlan:
    """Return the power of designs, and the items each number of seeds needs.

    Raises
    ------
    InputError
        If a number of items or seeds is too small: one seed can't tell run noise, so it can't test
        anything about the training procedure.
    """
    for m in n_items:
        if m < 2:
            raise InputError(f"{m} items make no test; give at least 2.")
    for k in n_seeds:
        if k < 2:
            raise InputError(
                f"{k} seed can't tell an effect from run-to-run noise; give at least 2."
            )
    table = tuple(
        PowerPoint(
            n_items=m,
            n_seeds=k,
            power=power_of(design, m, k),
            detectable=detectable_effect(design, m, k),
        )
        for m in n_items
        for k in n_seeds
    )
    needed = tuple(_needed_items(design, k) for k in n_seeds)
    plan = PowerPlan(
        design=design,
        table=table,
        needed=needed,
        correction="Bonferroni" if design.n_abilities > 1 else "none",
        reading="",
    )
    return replace(plan, reading=_read(plan))


def power_of(design: PowerDesign, n_items: int, n_seeds: int) -> float:
    """Return the probability that the effect is found, shape of a float in (0, 1).

    The probability of the wrong sign is left out.
    """
    df = _degrees_of_freedom(design, n_seeds)
    critical = critical_value(design, n_seeds)
    shift = abs(design.effect) / np.sqrt(effect_variance(design, n_items, n_seeds))
    return float(np.clip(nct.sf(critical, df, shift), 0.0, 1.0)) if shift < 30 else 1.0


def critical_value(design: PowerDesign, n_seeds: int) -> float:
    """Return the t above which an effect counts as found, after the correction."""
    df = _degrees_of_freedom(design, n_seeds)
    return float(t.ppf(1 - design.alpha / design.n_abilities / 2, df))


def effect_variance(design: PowerDesign, n_items: int, n_seeds: int) -> float:
    """Return V, the variance of the estimated gain or difference."""
    if design.question is PowerQuestion.DIFFERENCE:
        items, runs = zip(
            *(
                _score_parts(design, p, n_items, n_seeds)
                for p in (design.score, design.score + design.effect)
            ),
            strict=True,
        )
        return float(sum(items) + sum(runs))
    return gain_weights(design, n_items, n_seeds)[1]


def gain_weights(design: PowerDesign, n_items: int, n_seeds: int) -> tuple[FloatArray, float]:
    """Return the weights (V,) of the volumes' differences to the base model, and V.

    The weighted sum of the differences is the generalised-least-squares estimate of the gain.
    """
    shape = _shape(design)
    p = design.score + design.effect * shape
    covariance = np.diag([sum(_score_parts(design, float(q), n_items, n_seeds)) for q in p])
    # The base model's own luck is in every difference; what volumes share with it cancels.
    base = design.score * (1 - design.score) / n_items * (1 - design.setting_correlation)
    solved = np.linalg.solve(covariance + base, shape)
    variance = float(1 / (shape @ solved))
    return np.asarray(variance * solved), variance


def detectable_effect(design: PowerDesign, n_items: int, n_seeds: int) -> float | None:
    """Return the smallest effect (of the design's sign) that has the wanted power."""
    sign = float(np.sign(design.effect))
    room = (1 - design.score if sign > 0 else design.score) * 0.999
    low, high = 0.0, room
    if power_of(replace(design, effect=sign * high), n_items, n_seeds) < design.power:
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        if power_of(replace(design, effect=sign * middle), n_items, n_seeds) < design.power:
            low = middle
        else:
            high = middle
    return high


def _score_parts(design: PowerDesign, p: float, n_items: int, n_seeds: int) -> tuple[float, float]:
    """Return one setting's part of V: of items and of runs."""
    r_w, r_b = design.seed_correlation, design.setting_correlation
    items = p * (1 - p) / n_items * ((r_w - r_b) + (1 - r_w) / n_seeds)
    return items, design.run_stddev**2 * (p * (1 - p)) ** 2 / n_seeds


def _shape(design: PowerDesign) -> FloatArray:
    """Return how much of the gain each volume shows, shape (V,), 1 at the largest."""
    n = np.array(sorted(design.volumes))
    return np.asarray(np.log1p(n / n[0]) / np.log1p(n[-1] / n[0]))


def _degrees_of_freedom(design: PowerDesign, n_seeds: int) -> float:
    """Return those of the run noise, pooled over abilities, settings and volumes."""
    return float(design.n_abilities * design.n_settings * len(design.volumes) * (n_seeds - 1))


def _needed_items(design: PowerDesign, n_seeds: int) -> NeededItems:
    """Return the fewest items that reach the wanted power."""
    if power_of(design, _MAX_ITEMS, n_seeds) < design.power:
        return NeededItems(
            n_seeds=n_seeds,
            n_items=None,
            reason="run-to-run noise alone hides the effect; more seeds are needed, not items",
        )
    low, high = 1, _MAX_ITEMS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle)
            if power_of(design, middle, n_seeds) >= design.power
            else (
                middle,
                high,
            )
        )
    return NeededItems(n_seeds=n_seeds, n_items=high, reason=None)


def _read(plan: PowerPlan) -> str:
    """Return what a study needs, in one sentence."""
    design = plan.design
    usable = [item for item in plan.needed if item.n_items is not None]
    if not usable:
        most = max(item.n_seeds for item in plan.needed)
        return (
            f"To detect {design.what} with {100 * design.power:g}% power, more than {most} seeds "
            "are needed: run-to-run noise alone hides it, however many items there are."
        )
    choices = " or ".join(f"{item.n_items:,} items x {item.n_seeds} seeds" for item in usable)
    return (
        f"To detect {design.what} in each of {design.n_abilities} abilities with "
        f"{100 * design.power:g}% power: {choices}."
    )
