"""The grid file: its whole vocabulary, validated by pydantic.

The vocabulary is complete from the first version on, since it fixes the cells' ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runners.judge_spec import JudgeSpec
from warehouse.errors import InputError
from warehouse.records import MAX_COUNT, Name

SHIPPED_GRIDS = Path(__file__).parent / "grids"


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# "model": the chat template that the model's tokenizer carries.
TemplateName = Literal["doit", "chatml", "gemma", "model"]
_CARRIED_OUT = {"micro_batch_size", "offload", "attention", "packing", "packed_length"}


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
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    # From here on: how a step is carried out, not what it computes (`result_settings`).
    # "auto" is decided by `memory.choose_sharding` from the model's size and the hardware.
    zero_stage: Literal["auto", 0, 1, 2, 3] = "auto"
    offload: Literal["auto", "none", "optimizer", "parameters"] = "auto"
    attention: Literal["auto", "sdpa", "eager", "flash"] = "auto"
    gradient_checkpointing: bool = False
    # Several examples in one row, kept apart; rows hold at most `packed_length` tokens
    # (default: max_length).
    packing: bool = False
    packed_length: int | None = Field(default=None, ge=2)
    # Processes of one training job; each holds one GPU or one share of the cores.
    ranks: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSpec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        if self.batch_size % self.ranks:
            raise ValueError("batch_size must be a multiple of ranks")
        if self.offload == "parameters" and self.zero_stage not in ("auto", 3):
            raise ValueError("offload: parameters needs zero_stage 3 (or auto)")
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("offload: optimizer needs zero_stage 1, 2 or 3 (or auto)")
        if self.packed_length is not None and self.packed_length < self.max_length:
            raise ValueError("packed_length must be at least max_length: a row holds any example")
        return self

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that decide the result, for the cell's id.

        How a step is cut up and spread over devices changes its result by float error only, so
        these fields are left out, or stand at the values that ids were first made with: a cell
        that another machine carries out in another way is the same cell.
        """
        settings = self.model_dump(mode="json", exclude=_CARRIED_OUT)
        return settings | {"zero_stage": 2, "gradient_checkpointing": False, "ranks": 1}


class ScoringSpec(_Spec):
    """How checkpoints are scored."""

    batch_size: int = Field(default=64, ge=1)
    # Keep only the first items of each ability (in hash order), for models that are slow here.
    max_items_per_ability: int | None = Field(default=None, ge=1)
    # Folder with YAML files of lm-eval tasks: own ones, or local copies of public ones.
    task_folder: str | None = None


class BaseModelSpec(_Spec):
    """One base model and what differs from the grid's settings for it."""

    name: Name
    # A shipped model's name, a local folder, or a hub id; default: the name itself.
    path: str | None = None
    template: TemplateName | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    # For a dry run where the model is not at hand; a real run counts the parameters itself.
    n_params: int | None = Field(default=None, ge=1, le=MAX_COUNT)


class ExpectedDataSpec(_Spec):
    """What a dataset holds as far as planning needs it, for dry runs where it is not at hand."""

    # Training examples by data source and ability.
    pool_sizes: dict[Name, dict[Name, Annotated[int, Field(ge=1, le=MAX_COUNT)]]]
    n_test_items: int = Field(ge=1, le=MAX_COUNT)
    tokens_per_example: float = Field(gt=0)


class DatasetSpec(_Spec):
    """A DoIT-format folder, or a shipped generator: the demonstration's or plain English."""

    folder: str | None = None
    generator: Literal["demo", "plain"] | None = None
    seed: int = 0
    expected: ExpectedDataSpec | None = None

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
    # Of an unlabelled pool: every file gives the same share, instead of the pool as a whole.
    from_each_file: bool = False

    @model_validator(mode="after")
    def _files_of_unlabelled_pools(self) -> DataSourceSpec:
        if self.from_each_file and self.labelled:
            raise ValueError("from_each_file is for pools with labelled: false")
        return self


class PublicTaskSpec(_Spec):
    """A task or group of tasks that lm-eval knows by name."""

    task: Name
    num_fewshot: int = Field(default=0, ge=0)
    # Put lm-eval's prompt into a user turn of the grid's template instead of giving it bare.
    apply_template: bool = False

    @property
    def ability(self) -> str:
        """The ability that its items count for."""
        chat = "_chat" if self.apply_template else ""
        return f"{self.task}_{self.num_fewshot}shot{chat}"


class EvaluationSpec(_Spec):
    """What checkpoints are scored on: subfolders of the dataset, and tasks of lm-eval."""

    test: str = "curated/test"
    validation: str | None = "curated/valid"
    out_of_domain: tuple[Name, ...] = ()
    public_tasks: tuple[PublicTaskSpec, ...] = ()

    @property
    def untrained_abilities(self) -> tuple[str, ...]:
        """Abilities that no training data names: out-of-domain exams and public tasks."""
        return (*self.out_of_domain, *(task.ability for task in self.public_tasks))


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


class ResourcesSpec(_Spec):
    """What a run may use and what that costs; no part of any cell's identity."""

    # The workspace may grow to this size; None: as far as the disk reaches.
    disk_quota_gb: float | None = Field(default=None, gt=0)
    # Prices in one currency of your choice; the cost of a cell is in it too.
    price_per_gpu_hour: float | None = Field(default=None, ge=0)
    price_per_core_hour: float | None = Field(default=None, ge=0)
    # Attempts at a cell within one run, if workers die, hang or lose their node.
    max_attempts: int = Field(default=2, ge=1, le=20)
    # A worker that reports nothing for so long is taken for hung and killed.
    stall_seconds: float = Field(default=1800.0, gt=0)
    # A long training keeps one rolling checkpoint to resume from, at most this often.
    save_resume_every_seconds: float = Field(default=300.0, gt=0)
    # The GPUs that a dry run elsewhere plans for, and what one of them is thought to reach.
    n_gpus: int | None = Field(default=None, ge=1)
    gpu_memory_gb: float = Field(default=80.0, gt=0)
    # Of the planned machine, for offloading; None: as much as here.
    host_memory_gb: float | None = Field(default=None, gt=0)
    gpu_tflops: float = Field(default=100.0, gt=0)


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
    template: TemplateName = "doit"
    training: TrainingSpec
    scoring: ScoringSpec = ScoringSpec()
    judge: JudgeSpec | None = None
    resources: ResourcesSpec = ResourcesSpec()
    keep_checkpoints: bool = False

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> GridSpec:
        for field, names in (
            ("base_models", [model.name for model in self.base_models]),
            ("data_sources", [source.name for source in self.data_sources]),
            ("seeds", list(self.seeds)),
            ("volumes.values", list(self.volumes.values)),
            ("evaluation.public_tasks", [t.ability for t in self.evaluation.public_tasks]),
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
        raise InputError(f"{where}: {_first_problem(error)}.") from error


def _first_problem(error: ValidationError) -> str:
    """Return the first wrong field and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    field = field and f"{field}: "
    if first["type"] == "extra_forbidden":
        return f"{field}there is no such field; docs/grids.md lists them"
    return field + first["msg"]


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
        raise InputError(f"training override: {_first_problem(error)}.") from error
