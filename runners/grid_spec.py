"""The grid file: its whole vocabulary, validated by pydantic.

The vocabulary is complete from the first version on, since it fixes the cells' ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.errors import InputError
from warehouse.records import Name

SHIPPED_GRIDS = Path(__file__).parent / "grids"


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingSpec(_Spec):
    """Full fine-tuning of one cell. Lengths are in tokens, batch sizes in examples.

    The defaults are the paper's: AdamW, learning rate 1e-5 falling to 1e-6, weight decay 0.1,
    eight examples on each of eight GPUs, ZeRO 2.
    """

    epochs: float | None = Field(default=None, gt=0)
    # A fixed number of optimizer steps, for controls that match steps across volumes.
    steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=64, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
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
