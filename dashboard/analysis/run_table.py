"""The runs of one study and base model, whatever their composition, scored on every target."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

UNLABELLED = "unlabelled"
"""Ability of training examples whose ability nobody knows."""

BASE_DESIGN = "base"


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """Examples of one source and ability in a run."""

    data_source: str
    ability: str
    n_examples: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: the base model, or a fine-tuning with its composition.

    Attributes
    ----------
    cell_id : str
        The cell that the run comes from.
    design : str
        `base`, `all_abilities`, `single_ability`, `leave_one_out`, `mixture` or `imported`.
    design_target : str or None
        The ability trained alone or left out, or the mixture's name.
    data_source : str or None
        The one source, `mixed`, or None for the base model.
    composition : tuple of TrainedOn
        Empty for the base model.
    volume : float or None
        The grid's volume setting; what it counts is in `volume_per`.
    volume_per : str or None
        `ability` or `total`.
    n_steps : int or None
        Optimizer steps really taken; 0 for the base model, None if unknown.
    length_rule : str
        What fixed the steps: `steps` (the grid states them), `epochs`, or "" if unknown.
    seed : int or None
        Data seed; None for the base model.
    """

    cell_id: str
    design: str
    design_target: str | None
    data_source: str | None
    composition: tuple[TrainedOn, ...]
    volume: float | None
    volume_per: str | None
    n_steps: int | None
    length_rule: str
    seed: int | None

    @property
    def n_examples(self) -> float:
        """All training examples."""
        return sum(part.n_examples for part in self.composition)

    @property
    def is_base(self) -> bool:
        """Whether this is the untouched base model, which has no run noise."""
        return self.design == BASE_DESIGN

    @property
    def recipe(self) -> tuple[object, ...]:
        """What runs that differ by their seed alone have in common."""
        return (
            self.design,
            self.design_target,
            self.composition,
            self.volume,
            self.volume_per,
            self.n_steps,
            self.length_rule,
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """One ability or exam, scored in some or all runs of a table.

    Attributes
    ----------
    ability, metric : str
    higher_is_better : bool
    chance_level : float or None
    out_of_domain : bool
        Whether it is an exam that no training data belongs to.
    score, stderr, n_items : ndarray, shape (n_runs,)
        As in `CurveData`; a run that was not scored on this target has a NaN score.
    parse_rate, score_given_parsed : ndarray, shape (n_runs,), or None
        Share of replies of a valid form, and the score over those alone; NaN where unknown.
    item_scores : ndarray, shape (n_runs, m), or None
        Items aligned over runs, NaN where missing.
    item_ids : tuple of str or None
    """

    ability: str
    metric: str
    higher_is_better: bool
    chance_level: float | None
    out_of_domain: bool
    score: FloatArray
    stderr: FloatArray
    n_items: FloatArray
    parse_rate: FloatArray | None = None
    score_given_parsed: FloatArray | None = None
    item_scores: FloatArray | None = None
    item_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """All runs of one study and base model.

    Raises
    ------
    InputError
        If a target's arrays do not hold one entry a run, or a cell is given twice.
    """

    study: str
    base_model: str
    n_params: int | None
    runs: tuple[Run, ...]
    targets: tuple[Target, ...]

    def __post_init__(self) -> None:
        """Refuse targets of another length."""
        if len({run.cell_id for run in self.runs}) != len(self.runs):
            raise InputError(f"{self.title}: a cell is given twice; give each run once.")
        for target in self.targets:
            for name in ("score", "stderr", "n_items"):
                length = len(getattr(target, name))
                if length != len(self.runs):
                    raise InputError(
                        f"{self.title}, {target.ability}: {name} has {length} entries for "
                        f"{len(self.runs)} runs; give one a run (NaN where there is none)."
                    )

    @property
    def title(self) -> str:
        """Human-readable name, for messages."""
        return f"{self.base_model} in study {self.study}"

    def recipes(self) -> tuple[tuple[int, ...], ...]:
        """Return indices of runs that differ by their seed alone, in order of appearance."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for index, run in enumerate(self.runs):
            groups.setdefault(run.recipe, []).append(index)
        return tuple(tuple(members) for members in groups.values())
