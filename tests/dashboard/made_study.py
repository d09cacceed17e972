"""A study made from known growth curves, landed and ingested like a real one.

Run as a script, it writes a workspace of the demonstration's shape to look at:
`python -m tests.dashboard.made_study FOLDER`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from warehouse.ingest import ingest
from warehouse.landing import write_document, write_table
from warehouse.records import (
    TABLES,
    CellRecord,
    CompositionPart,
    Design,
    PlanRecord,
    RecordKind,
    RunRecord,
    RunStatus,
)
from warehouse.workspace import Workspace, open_workspace

BEGAN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

# Ability: score at 0 and at very many examples, examples to half of the way, chance level.
ABILITIES: dict[str, tuple[float, float, float, float]] = {
    "biology": (0.50, 0.98, 14, 0.25),
    "chinese": (0.50, 0.82, 22, 0.25),
    "code": (0.28, 0.62, 110, 0.25),
    "creative_writing": (0.42, 0.97, 22, 1 / 3),
    "ethics": (0.01, 0.70, 160, 1 / 15),
    "history": (0.50, 0.95, 90, 0.25),
    "math": (0.22, 0.44, 5, 0.0),
    "reasoning": (0.25, 0.26, 30, 0.25),
    "role_play": (0.55, 0.99, 4, 1 / 3),
    "understanding": (0.27, 0.36, 60, 0.25),
}
EXAMS: dict[str, tuple[float, float, float, float]] = {
    "ceval_physician_fshot": (0.26, 0.42, 60, 0.25),
    "ceval_teacher_qualification_fshot": (0.27, 0.36, 60, 0.25),
    "ceval_urban_and_rural_planner_fshot": (0.25, 0.27, 60, 0.25),
}
# How much of the way to the ceiling a model or a source can go.
MODELS = {"ladder-s": (112_000, 0.55), "ladder-m": (420_000, 0.8), "ladder-l": (914_000, 1.0)}
SOURCES = {"human": 1.0, "synthetic": 0.6}


@dataclass(frozen=True, kw_only=True)
class StudyShape:
    """What to make."""

    study: str = "quickstart"
    abilities: Sequence[str] = tuple(ABILITIES)
    exams: Sequence[str] = tuple(EXAMS)
    models: Sequence[str] = tuple(MODELS)
    sources: Sequence[str] = tuple(SOURCES)
    volumes: Sequence[int] = (4, 16, 64, 256)
    seeds: Sequence[int] = (0, 1)
    n_items: int = 200
    # Cells for which this is true failed, or are still to be done.
    fails: Callable[[CellRecord], bool] = field(default=lambda cell: False)
    waits: Callable[[CellRecord], bool] = field(default=lambda cell: False)
    failure_reason: str = "CUDA out of memory. Tried to allocate 2.00 GiB <b>here</b>"
    notice: str | None = "A demonstration on generated data."


def small_shape(**changes: Any) -> StudyShape:
    """Three abilities, one exam, two models: enough for every part of a page, quick to fit."""
    fields: dict[str, Any] = {
        "abilities": ("code", "reasoning", "role_play"),
        "exams": ("ceval_physician_fshot",),
        "models": ("ladder-s", "ladder-l"),
        "n_items": 60,
    }
    return StudyShape(**(fields | changes))


def make_workspace(root: Path, *shapes: StudyShape) -> Workspace:
    """Land and ingest studies; return their workspace."""
    workspace = open_workspace(root, create=True)
    for shape in shapes:
        land_study(workspace, shape)
    ingest(workspace)
    return workspace


def land_study(workspace: Workspace, shape: StudyShape) -> None:
    """Land a plan and what its cells left."""
    cells = [_base_cell(model) for model in shape.models] + [
        _tuned_cell(shape, model, source, volume, seed)
        for model in shape.models
        for source in shape.sources
        for volume in shape.volumes
        for seed in shape.seeds
    ]
    plan = PlanRecord(
        study=shape.study,
        grid=shape.study,
        created_at=BEGAN,
        resistant_delta=0.05,
        notice=shape.notice,
        out_of_domain=tuple(shape.exams),
        grid_settings={"study": shape.study},
        cells=tuple(cells),
    )
    write_document(workspace, RecordKind.PLAN, f"{shape.study}-plan", plan)
    _land_items(workspace, shape)
    for index, cell in enumerate(cells):
        if shape.waits(cell):
            continue
        began = BEGAN + timedelta(seconds=20 * index)
        if shape.fails(cell):
            _land_failure(workspace, shape, cell, began)
        else:
            _land_done(workspace, shape, cell, began)


def _base_cell(model: str) -> CellRecord:
    return CellRecord(
        cell_id=f"base-{model}",
        label=f"{model} base",
        base_model=model,
        base_model_revision="r1",
        n_params=MODELS[model][0],
        data_source=None,
        design=Design.BASE,
        composition=(),
        composition_id="none",
        volume_setting=0,
        seed=None,
        template="doit",
        training={"dtype": "fp32"},
        scoring={"batch_size": 64},
    )


def _tuned_cell(shape: StudyShape, model: str, source: str, volume: int, seed: int) -> CellRecord:
    name = f"{model}-{source}-{volume}-{seed}-{'-'.join(shape.abilities)}"
    return CellRecord(
        cell_id=hashlib.sha256(name.encode()).hexdigest()[:12],
        label=f"{model} {source} {volume}/ability seed {seed}",
        base_model=model,
        base_model_revision="r1",
        n_params=MODELS[model][0],
        data_source=source,
        design=Design.ALL_ABILITIES,
        composition=tuple(
            CompositionPart(data_source=source, ability=ability, n_examples=volume)
            for ability in shape.abilities
        ),
        composition_id=f"{source}-{volume}",
        volume_setting=volume,
        volume_per="ability",
        seed=seed,
        template="doit",
        training={"learning_rate": 5e-4, "epochs": 4.0},
        scoring={"batch_size": 64},
    )


def _land_items(workspace: Workspace, shape: StudyShape) -> None:
    rows = [
        {
            "item_id": f"{ability}-{i}",
            "task": ability,
            "ability": ability,
            "prompt": '[{"role": "user", "content": "?"}]',
            "target": "A",
            "choices": None,
        }
        for ability in (*shape.abilities, *shape.exams)
        for i in range(shape.n_items)
    ]
    table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.ITEM])
    write_table(workspace, RecordKind.ITEM, f"{shape.study}-items", table)


def _land_done(workspace: Workspace, shape: StudyShape, cell: CellRecord, began: datetime) -> None:
    rng = np.random.default_rng(int(hashlib.sha256(cell.cell_id.encode()).hexdigest()[:8], 16))
    volume = cell.volume_setting or 0
    n_steps = 0 if cell.design is Design.BASE else max(4, volume * len(shape.abilities) // 4)
    rows = [
        row
        for ability in (*shape.abilities, *shape.exams)
        for row in _score_rows(shape, cell, ability, volume, rng)
    ]
    table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.ITEM_SCORE])
    write_table(workspace, RecordKind.ITEM_SCORE, f"{cell.cell_id}.1", table)
    if n_steps:
        _land_log(workspace, cell, n_steps, rng)
    size = (cell.n_params or 0) / 1e6
    write_document(
        workspace,
        RecordKind.RUN,
        f"{cell.cell_id}.1",
        RunRecord(
            cell_id=cell.cell_id,
            attempt=1,
            status=RunStatus.DONE,
            started_at=began,
            finished_at=began + timedelta(seconds=5 + 0.1 * n_steps * size),
            git_commit="499e6152ea1b2c3d",
            environment={"torch": "2.13.0", "deepspeed": "0.19.8"},
            data_hash=None if not n_steps else f"data-{cell.composition_id}-{cell.seed}",
            checkpoint_rule="last",
            checkpoint_step=n_steps,
            n_optimizer_steps=n_steps,
            n_epochs=4.0 if n_steps else 0.0,
            n_tokens=n_steps * 700,
            n_target_tokens=n_steps * 90,
            n_truncated=0,
            train_loss=0.3 + 2 / (1 + n_steps) if n_steps else None,
            train_seconds=0.1 * n_steps * size,
            score_seconds=4.0,
            wall_seconds=5 + 0.1 * n_steps * size,
            peak_memory_bytes=int(3e8 + 2e8 * size),
        ),
    )


def _land_failure(
    workspace: Workspace, shape: StudyShape, cell: CellRecord, began: datetime
) -> None:
    record = RunRecord(
        cell_id=cell.cell_id,
        attempt=2,
        status=RunStatus.FAILED,
        failure_stage="train",
        failure_reason=shape.failure_reason,
        started_at=began,
        finished_at=began + timedelta(seconds=3),
    )
    write_document(workspace, RecordKind.RUN, f"{cell.cell_id}.2", record)


def _land_log(
    workspace: Workspace, cell: CellRecord, n_steps: int, rng: np.random.Generator
) -> None:
    rows = [
        {
            "cell_id": cell.cell_id,
            "attempt": 1,
            "step": step,
            "epoch": 4 * step / n_steps,
            "loss": 0.3 + 2.2 * float(np.exp(-6 * step / n_steps)) + 0.08 * float(rng.random()),
            "learning_rate": 5e-4 * (1 - (step - 1) / n_steps),
            "grad_norm": 1.0,
            "n_tokens": 700 * step,
            "seconds": 0.1 * step,
        }
        for step in range(1, n_steps + 1)
    ]
    table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.TRAINING_LOG])
    write_table(workspace, RecordKind.TRAINING_LOG, f"{cell.cell_id}.1", table)


def _score_rows(
    shape: StudyShape, cell: CellRecord, ability: str, volume: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    first, ceiling, half, chance = (ABILITIES | EXAMS)[ability]
    reach = MODELS[cell.base_model][1] * SOURCES.get(cell.data_source or "human", 1.0)
    mean = first + reach * (ceiling - first) * volume / (volume + half)
    if cell.seed is not None:
        odds = mean / (1 - mean) * np.exp(0.15 * rng.standard_normal())
        mean = odds / (1 + odds)
    # Hard items stay hard: most of an item's luck is its own, the same in every cell.
    own = np.random.default_rng(len(ability) * 7919).random(shape.n_items)
    fresh = rng.random(shape.n_items)
    luck = np.where(rng.random(shape.n_items) < 0.7, own, fresh)
    return [
        {
            "cell_id": cell.cell_id,
            "task": ability,
            "ability": ability,
            "item_id": f"{ability}-{i}",
            "prompt_hash": "p",
            "target_hash": "t",
            "metric": "accuracy",
            "higher_is_better": True,
            "scoring_rule": "letter",
            "score": float(luck[i] < mean),
            "missing_reason": None,
            "parsed": True,
            "response": "A",
            "choice_log_likelihoods": None,
            "choice_tokens": None,
            "chance_level": chance,
            "chance_level_uniform": chance,
        }
        for i in range(shape.n_items)
    ]


if __name__ == "__main__":
    make_workspace(
        Path(sys.argv[1]),
        StudyShape(
            fails=lambda cell: cell.base_model == "ladder-s" and cell.volume_setting == 256,
            waits=lambda cell: cell.base_model == "ladder-m" and cell.volume_setting == 256,
        ),
    )
