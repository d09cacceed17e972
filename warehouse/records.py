"""The landing contract: the records that runners and importers write and the warehouse reads.

JSON records (one document a file) are pydantic models; record tables (one Parquet file each) are
Arrow schemas whose fields carry their description. A change of meaning raises SCHEMA_VERSION.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SCHEMA_VERSION = 1

# No count of examples, tokens or bytes is larger; sums of such counts fit 64 bits.
MAX_COUNT = 10**15

# Abilities and data sources are open sets, since imported studies bring their own; these limits
# keep them usable as labels, file name parts and SQL values.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}$")]
CellId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]

UNLABELLED = "unlabelled"
MIXED_SOURCE = "mixed"


class RecordKind(StrEnum):
    """Folders of the landing zone."""

    PLAN = "plan"
    RUN = "run"
    TRAINING_LOG = "training_log"
    ITEM = "item"
    ITEM_SCORE = "item_score"
    SCORE = "score"
    GENERATION = "generation"
    JUDGE_VOTE = "judge_vote"
    IMPORT = "import"
    EXCLUSION = "exclusion"
    ITEM_FLAG = "item_flag"


class Design(StrEnum):
    """How a cell's training composition was chosen."""

    BASE = "base"
    ALL_ABILITIES = "all_abilities"
    SINGLE_ABILITY = "single_ability"
    LEAVE_ONE_OUT = "leave_one_out"
    MIXTURE = "mixture"
    IMPORTED = "imported"


class RunStatus(StrEnum):
    """How an attempt at a cell ended."""

    DONE = "done"
    FAILED = "failed"


class Record(BaseModel):
    """Base of the JSON records: strict about names, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CompositionPart(Record):
    """Training examples of one source and ability in a cell."""

    data_source: Name
    ability: Name
    n_examples: int = Field(ge=1, le=MAX_COUNT)


class CellRecord(Record):
    """One cell of a plan: everything that tells its result apart from another's."""

    cell_id: CellId
    label: str
    base_model: Name
    base_model_revision: str
    n_params: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    # What the base model is a size of, e.g. OPT; only imports know it apart from the name.
    model_family: Name | None = None
    data_source: Name | None
    design: Design
    design_target: Name | None = None
    composition: tuple[CompositionPart, ...]
    composition_id: str
    volume_setting: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    volume_per: Literal["ability", "total"] | None = None
    seed: int | None = Field(ge=-(2**63), lt=2**63)
    template: str
    training: dict[str, Any]
    scoring: dict[str, Any]


class PlanRecord(Record):
    """What a grid asked for: written when a grid starts, so pending cells are known."""

    schema_version: int = SCHEMA_VERSION
    study: Name
    grid: str
    created_at: datetime
    # Abilities whose gain must stay below this are labelled resistant; None: the default of `fit`.
    resistant_delta: float | None = Field(default=None, gt=0, lt=1)
    # Shown wherever results of the study are, e.g. that the data is generated.
    notice: str | None = None
    # Target abilities that no training data names (out-of-domain exams).
    out_of_domain: tuple[Name, ...] = ()
    grid_settings: dict[str, Any]
    cells: tuple[CellRecord, ...]


class RunRecord(Record):
    """How one attempt at one cell went. A failure is a record with a reason, never a gap."""

    schema_version: int = SCHEMA_VERSION
    cell_id: CellId
    attempt: int = Field(ge=1, lt=2**31)
    status: RunStatus
    failure_stage: str | None = None
    failure_reason: str | None = None
    started_at: datetime
    finished_at: datetime
    git_commit: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    data_hash: str | None = None
    checkpoint_rule: str | None = None
    checkpoint_step: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    n_optimizer_steps: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    n_epochs: float | None = Field(default=None, ge=0)
    n_tokens: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    n_target_tokens: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    n_truncated: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    train_loss: float | None = None
    validation_loss: float | None = None
    train_seconds: float | None = Field(default=None, ge=0)
    score_seconds: float | None = Field(default=None, ge=0)
    wall_seconds: float | None = Field(default=None, ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    energy_joules: float | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)


class ImportedFile(Record):
    """One file that an import read."""

    name: str
    sha256: str
    n_rows: int = Field(ge=0, le=MAX_COUNT)


class IgnoredPart(Record):
    """What an import left out of a file, and why; known traps, not faults."""

    file: str
    what: str
    reason: str


class ImportRecord(Record):
    """Where imported results come from, and the runs as the files tell them."""

    schema_version: int = SCHEMA_VERSION
    # Hash of importer, study, arguments and file contents: the same import again is the same one.
    import_id: CellId
    importer: Name
    study: Name
    imported_at: datetime
    files: tuple[ImportedFile, ...]
    arguments: dict[str, Any] = Field(default_factory=dict)
    ignored: tuple[IgnoredPart, ...] = ()
    citation: str | None = None
    n_rows: int = Field(ge=0, le=MAX_COUNT)
    runs: tuple[RunRecord, ...] = ()


class ExclusionRecord(Record):
    """A tombstone: the cell's results stay, flagged, and no curve uses them.

    A later record of the same cell replaces an earlier one, so `excluded=False` takes it back.
    """

    schema_version: int = SCHEMA_VERSION
    cell_id: CellId
    excluded: bool = True
    reason: str = Field(min_length=1)
    created_at: datetime


class ItemFlag(Record):
    """A test item that training data may give away (`runners.data.flags` says what `sign` means).

    `overlap` is in (0, 1]; `training_item_id` is the training item that gives it away most.
    """

    item_id: str
    sign: str
    overlap: float = Field(gt=0, le=1)
    n_training: int = Field(ge=1, le=MAX_COUNT)
    data_source: str
    training_item_id: str


class ItemFlagRecord(Record):
    """The flagged test items of a study; the latest record of a study counts, an empty one too."""

    schema_version: int = SCHEMA_VERSION
    study: Name
    created_at: datetime
    settings: dict[str, Any] = Field(default_factory=dict)
    items: tuple[ItemFlag, ...] = ()


class WorkerState(Record):
    """What one worker of a running grid does now."""

    worker: int
    cell_id: str | None
    label: str | None
    stage: str
    step: int | None = None
    n_steps: int | None = None
    updated_at: datetime


class Heartbeat(Record):
    """Live progress of one `run-grid`: `heartbeats/<run_id>.json`, replaced every few seconds.

    A heartbeat older than STALE_HEARTBEAT_SECONDS belongs to a dead process.
    """

    run_id: str
    study: Name
    host: str
    pid: int
    started_at: datetime
    updated_at: datetime
    finished: bool = False
    n_total: int
    n_done: int
    n_failed: int
    eta_seconds: float | None = None
    workers: tuple[WorkerState, ...] = ()


STALE_HEARTBEAT_SECONDS = 20.0


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


TRAINING_LOG = pa.schema(
    [
        _field("cell_id", pa.string(), "Cell that was trained."),
        _field("attempt", pa.int32(), "Attempt at the cell, from 1."),
        _field("step", pa.int32(), "Optimizer step, from 1."),
        _field("epoch", pa.float64(), "Epochs finished at this step."),
        _field("loss", pa.float64(), "Mean loss per target token of the step.", nullable=True),
        _field("learning_rate", pa.float64(), "Learning rate of the step."),
        _field("grad_norm", pa.float64(), "Gradient norm before clipping.", nullable=True),
        _field("n_tokens", pa.int64(), "Tokens read so far, padding left out."),
        _field("seconds", pa.float64(), "Seconds since training began."),
    ]
)

ITEM = pa.schema(
    [
        _field("item_id", pa.string(), "Hash of the item: ability, prompt turns, target, choices."),
        _field("task", pa.string(), "lm-eval task that scores the item."),
        _field("ability", pa.string(), "Ability that the item tests."),
        _field("prompt", pa.string(), "The turns before the answer, as JSON messages."),
        _field("target", pa.string(), "The right answer."),
        _field("choices", pa.list_(pa.string()), "Candidates, if the rule has any.", nullable=True),
    ]
)

ITEM_SCORE = pa.schema(
    [
        _field("cell_id", pa.string(), "Cell whose checkpoint was scored."),
        _field("task", pa.string(), "lm-eval task."),
        _field("ability", pa.string(), "Ability that the item tests."),
        _field("item_id", pa.string(), "Hash of the item; equal across cells."),
        _field("prompt_hash", pa.string(), "Hash of the text that the model saw."),
        _field("target_hash", pa.string(), "Hash of the right answer."),
        _field("metric", pa.string(), "What score measures, e.g. accuracy."),
        _field("higher_is_better", pa.bool_(), "Direction of the metric."),
        _field("scoring_rule", pa.string(), "Rule that turned the output into the score."),
        _field("score", pa.float64(), "Score of the item; for accuracy 0 or 1.", nullable=True),
        _field("missing_reason", pa.string(), "Why score is null.", nullable=True),
        _field("parsed", pa.bool_(), "Whether the reply had a valid form.", nullable=True),
        _field("response", pa.string(), "Generated reply or chosen candidate.", nullable=True),
        _field(
            "choice_log_likelihoods",
            pa.list_(pa.float64()),
            "Summed log-likelihood (nats) of each choice.",
            nullable=True,
        ),
        _field(
            "choice_tokens",
            pa.list_(pa.int32()),
            "Tokens of each choice that the sum runs over.",
            nullable=True,
        ),
        _field("chance_level", pa.float64(), "Chance score by the paper's rule."),
        _field(
            "chance_level_uniform",
            pa.float64(),
            "Chance score of a uniform guess over every answer of the right form.",
        ),
    ]
)

# Scores without items: published curves, corpus-level metrics, losses.
SCORE = pa.schema(
    [
        _field("import_id", pa.string(), "Import that brought the score."),
        _field("cell_id", pa.string(), "Cell that was scored."),
        _field("task", pa.string(), "Task or test set."),
        _field("ability", pa.string(), "Ability that the task tests."),
        _field("metric", pa.string(), "What score measures, e.g. accuracy or loss."),
        _field("higher_is_better", pa.bool_(), "Direction of the metric."),
        _field("score", pa.float64(), "Score of the task.", nullable=True),
        _field("missing_reason", pa.string(), "Why score is null.", nullable=True),
        _field("stderr", pa.float64(), "Standard error of the score.", nullable=True),
        _field("n_items", pa.int64(), "Items that the score is over.", nullable=True),
        _field("parse_rate", pa.float64(), "Share of replies of a valid form.", nullable=True),
        _field("chance_level", pa.float64(), "Chance score.", nullable=True),
    ]
)

# Replies that a judge is to read, in the model's own words.
GENERATION = pa.schema(
    [
        _field("cell_id", pa.string(), "Cell whose checkpoint replied."),
        _field("item_id", pa.string(), "Hash of the item; equal across cells."),
        _field("ability", pa.string(), "Ability that the item tests."),
        _field("prompt_hash", pa.string(), "Hash of the text that the model saw."),
        _field("max_new_tokens", pa.int32(), "Longest reply that was let pass, in tokens."),
        _field("reply", pa.string(), "What the model wrote, decoded greedily.", nullable=True),
        _field(
            "n_tokens", pa.int32(), "Tokens of the reply, its end token included.", nullable=True
        ),
        _field("finish_reason", pa.string(), "stop, or length if it was cut.", nullable=True),
        _field("missing_reason", pa.string(), "Why reply is null.", nullable=True),
    ]
)

JUDGE_VOTE = pa.schema(
    [
        _field("vote_id", pa.string(), "Hash of what tells the vote apart from every other."),
        _field("import_id", pa.string(), "Import that brought the vote.", nullable=True),
        _field("study", pa.string(), "Study that the vote belongs to."),
        _field("protocol", pa.string(), "pairwise, rubric or reference."),
        _field("item_id", pa.string(), "Item that was answered."),
        _field("ability", pa.string(), "Ability that the item tests.", nullable=True),
        _field("model_a", pa.string(), "Model (or cell_id) that wrote one answer."),
        _field("model_b", pa.string(), "The other one; null if one was rated.", nullable=True),
        _field("shown_first", pa.string(), "a or b: the answer shown first.", nullable=True),
        _field("judge", pa.string(), "Model that voted.", nullable=True),
        _field("annotator", pa.string(), "Person that voted.", nullable=True),
        _field(
            "preference",
            pa.float64(),
            "1 = model_a, 2 = model_b, between is graded, 1.5 a tie.",
            nullable=True,
        ),
        _field("rating", pa.float64(), "Mark that a rubric gave, from 1 to 10.", nullable=True),
        _field("failed_reason", pa.string(), "Why there is no verdict.", nullable=True),
        _field("len_a", pa.int64(), "Length of model_a's answer.", nullable=True),
        _field("len_b", pa.int64(), "Length of model_b's answer.", nullable=True),
        _field("instruction_difficulty", pa.float64(), "Difficulty of the item.", nullable=True),
        _field("prompt_hash", pa.string(), "Hash of the judge's prompt.", nullable=True),
        _field("parameters", pa.string(), "Judge's parameters, as JSON.", nullable=True),
        _field("raw_text", pa.string(), "The judge's reply.", nullable=True),
        _field("n_tokens", pa.int64(), "Tokens of prompt and reply.", nullable=True),
        _field("latency_seconds", pa.float64(), "Seconds that the reply took.", nullable=True),
        _field("cost", pa.float64(), "Cost of the vote.", nullable=True),
        _field("created_at", pa.timestamp("us"), "When it was cast, UTC.", nullable=True),
    ]
)

TABLES: dict[RecordKind, pa.Schema] = {
    RecordKind.TRAINING_LOG: TRAINING_LOG,
    RecordKind.ITEM: ITEM,
    RecordKind.ITEM_SCORE: ITEM_SCORE,
    RecordKind.SCORE: SCORE,
    RecordKind.GENERATION: GENERATION,
    RecordKind.JUDGE_VOTE: JUDGE_VOTE,
}
DOCUMENTS: dict[RecordKind, type[Record]] = {
    RecordKind.PLAN: PlanRecord,
    RecordKind.RUN: RunRecord,
    RecordKind.IMPORT: ImportRecord,
    RecordKind.EXCLUSION: ExclusionRecord,
    RecordKind.ITEM_FLAG: ItemFlagRecord,
}
