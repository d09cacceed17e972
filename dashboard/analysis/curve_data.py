"""What one growth curve is fitted to: its runs, their scores and the items behind them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import InputError

FloatArray = NDArray[np.float64]

_UNITS = {"tokens": "tokens", "steps": "optimizer steps", "cost": "units of cost"}


class ResponseKind(StrEnum):
    """How a score is distributed, which fixes the likelihood and the families."""

    ACCURACY = "accuracy"
    """In [0, 1]: binomial quasi-likelihood with variance p (1 - p) / n_items."""
    LOSS = "loss"
    """Positive and lower is better: least squares on the log."""
    SCORE = "score"
    """Anything else, such as a judge's mark from 1 to 10: least squares."""


@dataclass(frozen=True, kw_only=True)
class CurveData:
    """The runs of one ability, base model, data source and metric, in one stated design.

    One point is one run scored on one ability. The base model (`n_examples` = 0) is a single
    evaluation and appears once, whatever the number of seeds. Arrays are copied and made
    read-only.

    Attributes
    ----------
    study, ability, base_model, data_source, metric : str
        What identifies the curve within a workspace.
    n_params : int or None
        Parameters of the base model (N).
    higher_is_better : bool
        Direction of the metric; a gain is positive when it improves.
    chance_level : float or None
        Score of a guesser that answers in form, in [0, 1); None if there is none or unknown.
    n_examples : ndarray, shape (n_points,), >= 0
        Training volume of each run: own examples unless `x_kind` says otherwise; NaN only for
        points with a `missing_reason`.
    score : ndarray, shape (n_points,)
        Mean score; a NaN point is kept, shown as excluded and never fitted.
    stderr : ndarray, shape (n_points,), >= 0
        Standard error over items, NaN if unknown.
    n_items : ndarray, shape (n_points,), count
        Test items behind each score, NaN if unknown.
    seed : tuple of (int or None), length n_points
        Data seed of each run; None for the base model.
    cell_id : tuple of str, length n_points
        The cell that each point comes from.
    item_scores : ndarray, shape (n_points, n_items), or None
        Per-item scores with items aligned over points; NaN where a run lacks the item.
    item_ids : tuple of str or None
        Names of the items, so that several curves can share one draw of items; None means that
        the position names the item.
    x_kind : str
        What `n_examples` counts: "own" or "total" examples, "tokens", "steps" or "cost".
        Out-of-domain abilities have no examples of their own, so their curves use the total.
    out_of_domain : bool
        Whether the ability is never trained on.
    delta : float or None
        The smallest gain that matters, as the study states it; None leaves it to the settings.
    invalid_reason : str or None
        Why these rows can't be fitted (for example contradictory chance levels); such a curve
        gets the status `failed` with this reason.
    missing_reason : tuple of (str or None), length n_points or 0
        Why a point is never fitted (say, a user excluded its cell); it is shown hollow.
    item_hash : tuple of (str or None), length n_points, or None
        Hash of the item scores behind each point, where the warehouse knows it: part of a fit's
        key, so that items need not be loaded to find out that a fit is known.

    Raises
    ------
    InputError
        If arrays differ in length, a volume is negative or not finite, a standard error is
        negative, or the chance level lies outside [0, 1).
    """

    study: str
    ability: str
    base_model: str
    n_params: int | None
    data_source: str
    metric: str
    higher_is_better: bool
    chance_level: float | None
    n_examples: FloatArray
    score: FloatArray
    stderr: FloatArray
    n_items: FloatArray
    seed: tuple[int | None, ...]
    cell_id: tuple[str, ...]
    item_scores: FloatArray | None = None
    item_ids: tuple[str, ...] | None = None
    x_kind: str = "own"
    out_of_domain: bool = False
    delta: float | None = None
    invalid_reason: str | None = None
    missing_reason: tuple[str | None, ...] = ()
    item_hash: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        """Normalise arrays and refuse what can't be a curve."""
        for name in ("n_examples", "score", "stderr", "n_items"):
            _freeze(self, name, 1)
        if self.item_scores is not None:
            _freeze(self, "item_scores", 2)
        object.__setattr__(self, "seed", tuple(self.seed))
        object.__setattr__(self, "cell_id", tuple(self.cell_id))
        n_points = len(self.n_examples)
        reasons = tuple(self.missing_reason) or (None,) * n_points
        object.__setattr__(self, "missing_reason", reasons)
        lengths = {
            name: len(getattr(self, name))
            for name in ("score", "stderr", "n_items", "seed", "cell_id", "missing_reason")
        }
        if self.item_hash is not None:
            object.__setattr__(self, "item_hash", tuple(self.item_hash))
            lengths["item_hash"] = len(self.item_hash)
        if self.item_scores is not None:
            lengths["item_scores"] = len(self.item_scores)
        for name, length in lengths.items():
            if length != n_points:
                raise InputError(
                    f"{self.title}: {name} has {length} entries for {n_points} points; "
                    "give one a point."
                )
        if self.item_ids is not None:
            object.__setattr__(self, "item_ids", tuple(self.item_ids))
            n_columns = 0 if self.item_scores is None else self.item_scores.shape[1]
            if len(self.item_ids) != n_columns:
                raise InputError(
                    f"{self.title}: {len(self.item_ids)} item ids for {n_columns} items; "
                    "give one an item."
                )
        told = np.array([reason is not None for reason in self.missing_reason], dtype=bool)
        bad = (~np.isfinite(self.n_examples) & ~told) | (self.n_examples < 0)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{self.title}: cell {self.cell_id[first]} has n_examples = "
                f"{self.n_examples[first]:g}; a volume is a count of 0 or more."
            )
        if (self.stderr < 0).any():
            first = int(np.flatnonzero(self.stderr < 0)[0])
            raise InputError(
                f"{self.title}: cell {self.cell_id[first]} has a standard error of "
                f"{self.stderr[first]:g}; it must be 0 or more, or unknown."
            )
        if self.chance_level is not None and not 0 <= self.chance_level < 1:
            raise InputError(
                f"{self.title}: chance level {self.chance_level:g} lies outside [0, 1); "
                "correct it or leave it unknown."
            )

    @property
    def title(self) -> str:
        """Human-readable name of the curve, for messages."""
        return (
            f"{self.ability} of {self.base_model} on {self.data_source} data "
            f"({self.metric}, study {self.study})"
        )

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """(study, ability, base_model, data_source, metric)."""
        return (self.study, self.ability, self.base_model, self.data_source, self.metric)

    @property
    def is_base(self) -> NDArray[np.bool_]:
        """Mask of points that are the untouched base model, which has no run-level noise."""
        return np.asarray(
            [
                volume == 0 and seed is None
                for volume, seed in zip(self.n_examples, self.seed, strict=True)
            ],
            dtype=bool,
        )

    @property
    def response(self) -> ResponseKind:
        """Likelihood that the scores call for.

        Items that are all 0 or 1, or a higher-is-better metric within [0, 1], make an accuracy;
        any other lower-is-better metric is a loss.
        """
        items = self.item_scores
        if items is not None and items.size:
            known = items[np.isfinite(items)]
            if known.size and bool(((known == 0) | (known == 1)).all()):
                return ResponseKind.ACCURACY
        score = self.score[np.isfinite(self.score)]
        if not self.higher_is_better:
            return ResponseKind.LOSS
        inside = bool(((score >= 0) & (score <= 1)).all())
        return ResponseKind.ACCURACY if inside else ResponseKind.SCORE


def unit_of(x_kind: str) -> str:
    """Return what volumes of a kind are counted in, for messages."""
    return _UNITS.get(x_kind, "examples")


def _freeze(curve: CurveData, name: str, n_dims: int) -> None:
    """Replace an array field by a read-only float copy of `n_dims` dimensions."""
    try:
        array = np.array(getattr(curve, name), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{curve.title}: {name} holds something that is no number.") from error
    if array.ndim != n_dims:
        raise InputError(f"{curve.title}: {name} has {array.ndim} dimensions, not {n_dims}.")
    array.setflags(write=False)
    object.__setattr__(curve, name, array)
