"""The grid: what to run, as data. Pure: no model, no data file, no clock.

A grid file is validated into a `GridSpec`; `expand_grid` turns it into frozen cells. A cell's id is
a hash of everything that changes its result, so a rerun skips what is done, a changed setting makes
a new cell, and two grids share the cells that they have in common.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.errors import InputError
from warehouse.records import (
    MIXED_SOURCE,
    UNLABELLED,
    CellRecord,
    CompositionPart,
    Design,
    Name,
)

SHIPPED_GRIDS = Path(__file__).parent / "grids"


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingSpec(_Spec):
    """Full fine-tuning of one cell. Lengths are in tokens, batch sizes in examples."""

    epochs: float | None = Field(default=None, gt=0)
    # A fixed number of optimizer steps, for controls that match steps across volumes.
    steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=16, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)
    final_learning_rate: float = Field(default=0.0, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clipping: float = Field(default=1.0, ge=0)
    max_length: int = Field(default=2048, ge=2)
    checkpoint_rule: Literal["last", "best_validation"] = "last"
    zero_stage: Literal[0, 1, 2, 3] = 2
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False
    # Processes of one training job; each holds one GPU or one share of the cores.
    ranks: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSpec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        if self.batch_size % self.ranks:
            raise ValueError("batch_size must be a multiple of ranks")
        return self


class ScoringSpec(_Spec):
    """How checkpoints are scored."""

    batch_size: int = Field(default=64, ge=1)
    # Keep only the first items of each ability (in hash order), for models that are slow here.
    max_items_per_ability: int | None = Field(default=None, ge=1)


class BaseModelSpec(_Spec):
    """One base model and what differs from the grid's settings for it."""

    name: Name
    # A shipped model's name, a local folder, or a hub id; default: the name itself.
    path: str | None = None
    template: Literal["doit", "chatml"] | None = None
    training: dict[str, Any] = Field(default_factory=dict)


class DatasetSpec(_Spec):
    """A DoIT-format folder, or the demonstration's generator."""

    folder: str | None = None
    generator: Literal["demo"] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _one_origin(self) -> DatasetSpec:
        if (self.folder is None) == (self.generator is None):
            raise ValueError("give exactly one of folder and generator")
        return self


class DataSourceSpec(_Spec):
    """A pool of training data: a subfolder of the dataset."""

    name: Name
    path: str
    # False: the pool is not sorted by ability; its examples count as unlabelled.
    labelled: bool = True


class EvaluationSpec(_Spec):
    """What checkpoints are scored on, as subfolders of the dataset."""

    test: str = "curated/test"
    validation: str | None = "curated/valid"
    out_of_domain: tuple[Name, ...] = ()


class VolumesSpec(_Spec):
    """Training volumes; 0 is the untouched base model."""

    values: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    per: Literal["ability", "total"] = "ability"


class MixturePartSpec(_Spec):
    """Examples of one source and ability ("all": every example of the pool)."""

    data_source: Name
    ability: Name
    n_examples: Annotated[int, Field(ge=1)] | Literal["all"]


class DesignSpec(_Spec):
    """How abilities are put together. Abilities default to all of the source's."""

    kind: Literal["all_abilities", "single_ability", "leave_one_out", "mixture"]
    abilities: tuple[Name, ...] | None = None
    data_sources: tuple[Name, ...] | None = None
    volumes: VolumesSpec | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    # Mixtures only.
    name: Name | None = None
    parts: tuple[MixturePartSpec, ...] = ()

    @model_validator(mode="after")
    def _mixture_is_complete(self) -> DesignSpec:
        is_mixture = self.kind == "mixture"
        if is_mixture != bool(self.parts) or is_mixture != (self.name is not None):
            raise ValueError("a mixture has a name and parts; the other designs have neither")
        if is_mixture and (self.volumes or self.abilities or self.data_sources):
            raise ValueError("a mixture's parts say it all: no volumes, abilities, data_sources")
        return self


class JudgeSpec(_Spec):
    """Reserved vocabulary: which judge compares open-ended replies."""

    model: str
    endpoint: str
    protocol: Literal["pairwise", "rubric"] = "pairwise"


class GridSpec(_Spec):
    """A whole grid file."""

    study: Name
    notice: str | None = None
    resistant_delta: float | None = Field(default=None, gt=0, lt=1)
    base_models: tuple[BaseModelSpec, ...] = Field(min_length=1)
    dataset: DatasetSpec
    data_sources: tuple[DataSourceSpec, ...] = Field(min_length=1)
    evaluation: EvaluationSpec = EvaluationSpec()
    volumes: VolumesSpec
    designs: tuple[DesignSpec, ...] = (DesignSpec(kind="all_abilities"),)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    template: Literal["doit", "chatml"] = "doit"
    training: TrainingSpec
    scoring: ScoringSpec = ScoringSpec()
    judge: JudgeSpec | None = None
    keep_checkpoints: bool = False

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> GridSpec:
        for field, names in (
            ("base_models", [model.name for model in self.base_models]),
            ("data_sources", [source.name for source in self.data_sources]),
            ("seeds", list(self.seeds)),
            ("volumes.values", list(self.volumes.values)),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{field} lists the same entry twice")
        known = {source.name for source in self.data_sources}
        for design in self.designs:
            used = {part.data_source for part in design.parts} | set(design.data_sources or ())
            if unknown := sorted(used - known):
                raise ValueError(f"designs name unknown data sources: {', '.join(unknown)}")
        return self


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
    dtype : str
        What "auto" means on this machine: fp32 or bf16.
    """

    pool_sizes: Mapping[str, Mapping[str, int]]
    subset_hash: Callable[[tuple[CompositionPart, ...], int], str]
    model_revisions: Mapping[str, str]
    model_sizes: Mapping[str, int | None]
    evaluation_hash: str
    dtype: str


def short_hash(value: object, length: int = 12) -> str:
    """Return the first hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def load_grid(name_or_path: str) -> tuple[str, GridSpec]:
    """Read a grid by the name of a shipped one or by path; return its label and content.

    Raises
    ------
    InputError
        If there is no such grid, or the file is not YAML, or a field is wrong (named).
    """
    import yaml

    path = Path(name_or_path)
    if not path.is_file():
        path = SHIPPED_GRIDS / f"{name_or_path}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(grid.stem for grid in SHIPPED_GRIDS.glob("*.yaml")))
        raise InputError(
            f"There is no grid {name_or_path!r}: neither a file nor a shipped grid ({shipped})."
        )
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not UTF-8 text"
        raise InputError(f"{path}{where}: not valid YAML ({problem}).") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: a grid is a mapping of fields such as study and base_models.")
    return path.stem, parse_grid(document, str(path))


def parse_grid(document: dict[str, Any], where: str) -> GridSpec:
    """Validate a grid document; errors name `where` and the field.

    Raises
    ------
    InputError
        If a field is missing, unknown or wrong.
    """
    try:
        return GridSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "grid"
        raise InputError(f"{where}: {field}: {first['msg']}.") from error


def merge_training(base: TrainingSpec, *overrides: Mapping[str, Any]) -> TrainingSpec:
    """Return `base` with overrides applied in order; naming steps drops epochs and vice versa.

    Raises
    ------
    InputError
        If an override names an unknown field or a wrong value.
    """
    merged = base.model_dump()
    for override in overrides:
        if "steps" in override:
            merged["epochs"] = None
        if "epochs" in override:
            merged["steps"] = None
        merged.update(override)
    try:
        return TrainingSpec.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"training override: {field or 'training'}: {first['msg']}.") from error


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


def _source(draft: _Draft) -> str:
    sources = {part.data_source for part in draft.parts}
    return sources.pop() if len(sources) == 1 else MIXED_SOURCE


def _label(draft: _Draft, model: str, seed: int) -> str:
    design = "" if draft.design is Design.ALL_ABILITIES else f" {draft.target or draft.design}"
    left_out = " left out" if draft.design is Design.LEAVE_ONE_OUT else ""
    volume = "" if draft.volume is None else f" {draft.volume}/{draft.per}"
    return f"{model} {_source(draft)}{design}{left_out}{volume} seed {seed}"


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
    wants_base = 0 in spec.volumes.values
    for model in spec.base_models:
        template = model.template or spec.template
        scoring = spec.scoring.model_dump() | {"evaluation_hash": context.evaluation_hash}
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
            dtype = merge_training(spec.training, model.training).dtype
            dtype = context.dtype if dtype == "auto" else dtype
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
        for draft in drafts:
            training = merge_training(spec.training, model.training, draft.training)
            if training.dtype == "auto":
                training = training.model_copy(update={"dtype": context.dtype})
            n_examples = sum(part.n_examples for part in draft.parts)
            steps = count_steps(training, n_examples)
            settings = training.model_dump(mode="json")
            composition = [part.model_dump() for part in draft.parts]
            for seed in spec.seeds:
                label = _label(draft, model.name, seed)
                if steps < 1:
                    raise InputError(
                        f"{label}: {n_examples} examples for {training.epochs} epochs make no "
                        "optimizer step; raise training.epochs or the volume."
                    )
                dataset_hash = context.subset_hash(draft.parts, seed)
                # The micro-batch only decides how a step is cut up, not what it computes.
                counted = {k: v for k, v in settings.items() if k != "micro_batch_size"}
                cell_id = short_hash(
                    identity | {"data": dataset_hash, "training": counted, "seed": seed}
                )
                cells[cell_id] = Cell(
                    record=CellRecord(
                        cell_id=cell_id,
                        label=label,
                        n_params=n_params,
                        data_source=_source(draft),
                        design=draft.design,
                        design_target=draft.target,
                        composition=draft.parts,
                        composition_id=short_hash(composition),
                        volume_setting=draft.volume,
                        volume_per=draft.per,
                        seed=seed,
                        training=settings,
                        **common,
                    ),
                    dataset_hash=dataset_hash,
                    n_examples=n_examples,
                    n_optimizer_steps=steps,
                    model=model,
                    training=training,
                )
    return tuple(cells.values())
