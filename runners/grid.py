"""From a grid to its cells. Pure: no model, no data file, no clock.

A cell's id is a hash of everything that changes its result, so a rerun skips what is done, a
changed setting makes a new cell, and two grids share the cells that they have in common.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from runners.grid_spec import (
    BaseModelSpec,
    DesignSpec,
    GridSpec,
    TrainingSpec,
    VolumesSpec,
    merge_training,
)
from warehouse.errors import InputError
from warehouse.records import MIXED_SOURCE, UNLABELLED, CellRecord, CompositionPart, Design

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run (or base model) to be scored.

    Attributes
    ----------
    record : CellRecord
        What lands: identity and settings.
    dataset_hash : str or None
        Hash of the training subset; None for a base model.
    n_examples : int
        Training examples of the subset, count >= 0.
    n_optimizer_steps : int
        Steps that the training will take; 0 for a base model only.
    """

    record: CellRecord
    dataset_hash: str | None
    n_examples: int
    n_optimizer_steps: int
    model: BaseModelSpec
    training: TrainingSpec | None


@dataclass(frozen=True, kw_only=True)
class GridContext:
    """What expansion must know of the world beyond the grid file.

    Attributes
    ----------
    pool_sizes : mapping of data source to mapping of ability to count
        Training examples at hand.
    subset_hash : callable
        (composition, seed) -> hash of the training subset that they select.
    model_revisions, model_sizes : mapping of base model name to revision hash / parameter count
    evaluation_hash : str
        Hash of the test items and, for `best_validation`, the validation items.
    task_files_hash : str or None
        Hash of the files in `scoring.task_folder`; None where there is no such folder.
    dtype : str
        What "auto" means on this machine: fp32 or bf16.
    """

    pool_sizes: Mapping[str, Mapping[str, int]]
    subset_hash: Callable[[tuple[CompositionPart, ...], int], str]
    model_revisions: Mapping[str, str]
    model_sizes: Mapping[str, int | None]
    evaluation_hash: str
    dtype: str
    task_files_hash: str | None = None


def short_hash(value: object, length: int = 12) -> str:
    """Return the first hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(_CANONICAL.encode(value).encode()).hexdigest()[:length]


def count_steps(training: TrainingSpec, n_examples: int) -> int:
    """Return the optimizer steps of a training: the last, smaller batch of an epoch counts."""
    if training.steps is not None:
        return training.steps if n_examples else 0
    assert training.epochs is not None
    return math.floor(math.ceil(n_examples / training.batch_size) * training.epochs)


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A composition of the grid before models and seeds."""

    design: Design
    target: str | None
    parts: tuple[CompositionPart, ...]
    volume: int | None
    per: Literal["ability", "total"] | None
    training: Mapping[str, Any]

    # A grid of 100,000 cells asks for these once a draft, not once a cell.
    @cached_property
    def n_examples(self) -> int:
        """Training examples."""
        return sum(part.n_examples for part in self.parts)

    @cached_property
    def source(self) -> str:
        """Their source, or that there are several."""
        sources = {part.data_source for part in self.parts}
        return sources.pop() if len(sources) == 1 else MIXED_SOURCE

    @cached_property
    def composition_id(self) -> str:
        """Hash of the parts."""
        return short_hash([part.model_dump() for part in self.parts])

    @cached_property
    def label(self) -> str:
        """What tells it apart for people."""
        design = "" if self.design is Design.ALL_ABILITIES else f" {self.target or self.design}"
        left_out = " left out" if self.design is Design.LEAVE_ONE_OUT else ""
        volume = "" if self.volume is None else f" {self.volume}/{self.per}"
        return f"{self.source}{design}{left_out}{volume}"


def _shares(volumes: VolumesSpec, n: int, abilities: Sequence[str]) -> dict[str, int]:
    if volumes.per == "ability":
        return dict.fromkeys(abilities, n)
    if n % len(abilities):
        raise InputError(
            f"volumes: {n} in total can't be shared equally by {len(abilities)} abilities; "
            "use a multiple, or per: ability."
        )
    return dict.fromkeys(abilities, n // len(abilities))


def _design_drafts(
    design: DesignSpec, source: str, volumes: VolumesSpec, pool: Mapping[str, int]
) -> list[_Draft]:
    """Return one design's drafts for one labelled or unlabelled source."""
    kind = Design(design.kind)
    known = sorted(pool)
    if known == [UNLABELLED]:
        # A pool that isn't sorted by ability can only be drawn from as a whole.
        chosen = [UNLABELLED] if kind is Design.ALL_ABILITIES else []
    else:
        chosen = sorted(design.abilities or known)
    if unknown := sorted(set(chosen) - set(known)):
        raise InputError(
            f"designs: source {source} has no training data for {', '.join(unknown)}; "
            f"it has {', '.join(known)}."
        )
    if kind is Design.ALL_ABILITIES:
        groups: list[tuple[str | None, list[str]]] = [(None, chosen)]
    elif kind is Design.SINGLE_ABILITY:
        groups = [(ability, [ability]) for ability in chosen]
    else:
        groups = [(ability, [a for a in known if a != ability]) for ability in chosen]
    return [
        _Draft(
            design=kind,
            target=target,
            parts=tuple(
                CompositionPart(data_source=source, ability=ability, n_examples=count)
                for ability, count in _shares(volumes, n, members).items()
            ),
            volume=n,
            per=volumes.per,
            training=design.training,
        )
        for n in volumes.values
        if n > 0
        for target, members in groups
        if members
    ]


def _mixture_draft(design: DesignSpec, pools: Mapping[str, Mapping[str, int]]) -> _Draft:
    parts = []
    for part in design.parts:
        at_hand = pools[part.data_source].get(part.ability, 0)
        count = at_hand if part.n_examples == "all" else part.n_examples
        if not at_hand:
            raise InputError(
                f"mixture {design.name}: source {part.data_source} has no {part.ability} data."
            )
        parts.append(
            CompositionPart(data_source=part.data_source, ability=part.ability, n_examples=count)
        )
    parts.sort(key=lambda part: (part.data_source, part.ability))
    return _Draft(
        design=Design.MIXTURE,
        target=design.name,
        parts=tuple(parts),
        volume=None,
        per=None,
        training=design.training,
    )


def _drafts(spec: GridSpec, pools: Mapping[str, Mapping[str, int]]) -> list[_Draft]:
    drafts: list[_Draft] = []
    for design in spec.designs:
        if design.kind == "mixture":
            drafts.append(_mixture_draft(design, pools))
            continue
        for source in design.data_sources or tuple(source.name for source in spec.data_sources):
            volumes = design.volumes or spec.volumes
            drafts += _design_drafts(design, source, volumes, pools[source])
    for draft in drafts:
        for part in draft.parts:
            at_hand = pools[part.data_source].get(part.ability, 0)
            if part.n_examples > at_hand:
                raise InputError(
                    f"{part.n_examples} {part.ability} examples are asked of source "
                    f"{part.data_source}, which holds {at_hand}; lower the volume or add data."
                )
    return drafts


def _scoring_settings(spec: GridSpec, context: GridContext) -> dict[str, Any]:
    """Return what scores depend on beside weights.

    Fields that came later are left out where they say nothing, so that older ids stay.
    """
    settings = spec.scoring.model_dump(exclude={"task_folder"})
    settings["evaluation_hash"] = context.evaluation_hash
    if spec.evaluation.public_tasks:
        tasks = [task.model_dump() for task in spec.evaluation.public_tasks]
        settings |= {"public_tasks": tasks, "task_files_hash": context.task_files_hash}
    return settings


def expand_grid(spec: GridSpec, context: GridContext) -> tuple[Cell, ...]:
    """Return every cell of a grid, base models first, each cell once.

    Raises
    ------
    InputError
        If a volume exceeds its pool, a design names unknown abilities, or a cell would take no
        optimizer step.
    """
    cells: dict[str, Cell] = {}
    drafts = _drafts(spec, context.pool_sizes)
    # Base models share the data, and hashing a subset costs more than the rest of its cell.
    data_hashes: dict[tuple[int, int], str] = {}
    wants_base = 0 in spec.volumes.values
    for model in spec.base_models:
        template = model.template or spec.template
        scoring = _scoring_settings(spec, context)
        common: dict[str, Any] = {
            "base_model": model.name,
            "base_model_revision": context.model_revisions[model.name],
            "template": template,
            "scoring": scoring,
        }
        # How many items go through the model at once is no part of what the result means.
        identity = {**common, "scoring": {k: v for k, v in scoring.items() if k != "batch_size"}}
        n_params = context.model_sizes[model.name]
        if wants_base:
            asked = merge_training(spec.training, model.training).dtype
            dtype = context.dtype if asked == "auto" else asked
            cell_id = f"base-{short_hash(identity | {'dtype': dtype})}"
            cells[cell_id] = Cell(
                record=CellRecord(
                    cell_id=cell_id,
                    label=f"{model.name} base",
                    n_params=n_params,
                    data_source=None,
                    design=Design.BASE,
                    composition=(),
                    composition_id=short_hash([]),
                    volume_setting=0,
                    seed=None,
                    training={"dtype": dtype},
                    **common,
                ),
                dataset_hash=None,
                n_examples=0,
                n_optimizer_steps=0,
                model=model,
                training=None,
            )
        for number, draft in enumerate(drafts):
            training = merge_training(spec.training, model.training, draft.training)
            if training.dtype == "auto":
                training = training.model_copy(update={"dtype": context.dtype})
            steps = count_steps(training, draft.n_examples)
            if steps < 1:
                raise InputError(
                    f"{model.name} {draft.label}: {draft.n_examples} examples for "
                    f"{training.epochs} epochs make no optimizer step; raise training.epochs or "
                    "the volume."
                )
            settings = training.model_dump(mode="json")
            counted = training.result_settings()
            for seed in spec.seeds:
                if (number, seed) not in data_hashes:
                    data_hashes[number, seed] = context.subset_hash(draft.parts, seed)
                dataset_hash = data_hashes[number, seed]
                cell_id = short_hash(
                    identity | {"data": dataset_hash, "training": counted, "seed": seed}
                )
                cells[cell_id] = Cell(
                    record=CellRecord(
                        cell_id=cell_id,
                        label=f"{model.name} {draft.label} seed {seed}",
                        n_params=n_params,
                        data_source=draft.source,
                        design=draft.design,
                        design_target=draft.target,
                        composition=draft.parts,
                        composition_id=draft.composition_id,
                        volume_setting=draft.volume,
                        volume_per=draft.per,
                        seed=seed,
                        training=settings,
                        **common,
                    ),
                    dataset_hash=dataset_hash,
                    n_examples=draft.n_examples,
                    n_optimizer_steps=steps,
                    model=model,
                    training=training,
                )
    return tuple(cells.values())
