"""Generates landing files of a large study, of the shape that runs leave, for benchmarks only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa

from warehouse.landing import write_document, write_table
from warehouse.records import (
    ITEM,
    ITEM_SCORE,
    TRAINING_LOG,
    CellRecord,
    CompositionPart,
    Design,
    PlanRecord,
    RecordKind,
    RunRecord,
    RunStatus,
)
from warehouse.workspace import Workspace

STUDY = "large"
SOURCES = ("human", "synthetic")
VOLUMES = (4, 16, 64, 256, 1024, 4096)
_START = datetime(2026, 1, 1, tzinfo=UTC)
# Abilities answered with a letter; the others with a text of their own.
_SHARE_OF_LETTERS = 0.7
_N_TEXTS_PER_ITEM = 100
_N_CHOICES = 4
_N_LOG_STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a generated study is."""

    n_cells: int
    n_abilities: int = 10
    n_items: int = 1000
    with_choices: bool = False

    @property
    def n_item_scores(self) -> int:
        """Item scores over all cells."""
        return self.n_cells * self.n_abilities * self.n_items


def land_study(workspace: Workspace, size: Size) -> None:
    """Land a plan, the items and every cell's run, log and item scores."""
    cells = [cell_record(number, size) for number in range(size.n_cells)]
    plan = PlanRecord(
        study=STUDY,
        grid="generated",
        created_at=_START,
        notice="Generated for a benchmark; no model was run.",
        grid_settings={"n_cells": size.n_cells},
        cells=tuple(cells),
    )
    write_document(workspace, RecordKind.PLAN, f"{STUDY}-plan", plan)
    write_table(workspace, RecordKind.ITEM, f"{STUDY}-items", _items(size))
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(land_cell, workspace, size), range(size.n_cells), chunksize=50):
            pass


def land_cell(workspace: Workspace, size: Size, number: int) -> str:
    """Land what cell `number` leaves; returns its id."""
    rng = np.random.default_rng(number)
    cell = cell_record(number, size)
    scores = _item_scores(cell, size, rng)
    write_table(workspace, RecordKind.ITEM_SCORE, cell.cell_id, scores)
    write_table(workspace, RecordKind.TRAINING_LOG, f"{cell.cell_id}-1", _log(cell, rng))
    began = _START + timedelta(minutes=number)
    run = RunRecord(
        cell_id=cell.cell_id,
        attempt=1,
        status=RunStatus.DONE,
        started_at=began,
        finished_at=began + timedelta(seconds=300),
        git_commit="0" * 40,
        environment={"torch": "2.13.0", "host": "generated"},
        n_optimizer_steps=_N_LOG_STEPS,
        n_tokens=int(rng.integers(10_000, 1_000_000)),
        train_seconds=float(rng.uniform(100, 200)),
        score_seconds=float(rng.uniform(50, 100)),
    )
    write_document(workspace, RecordKind.RUN, f"{cell.cell_id}-1", run)
    return cell.cell_id


def cell_record(number: int, size: Size) -> CellRecord:
    """Describe cell `number`: source, volume, seed and model change in turn."""
    source = SOURCES[number % 2]
    volume = VOLUMES[number // 2 % len(VOLUMES)]
    seed = number // (2 * len(VOLUMES)) % 8
    model = number // (2 * len(VOLUMES) * 8)
    parts = tuple(
        CompositionPart(data_source=source, ability=_ability(ability), n_examples=volume)
        for ability in range(size.n_abilities)
    )
    return CellRecord(
        cell_id=_digest("cell", number)[:20],
        label=f"model-{model} {source} {volume} seed {seed}",
        base_model=f"model-{model}",
        base_model_revision="generated",
        n_params=(model + 1) * 1_000_000,
        data_source=source,
        design=Design.ALL_ABILITIES,
        composition=parts,
        composition_id=_digest("composition", source, volume)[:16],
        volume_setting=volume,
        volume_per="ability",
        seed=seed,
        template="generated",
        training={"learning_rate": 0.001},
        scoring={"batch_size": 32},
    )


def _item_scores(cell: CellRecord, size: Size, rng: np.random.Generator) -> pa.Table:
    """Answers of one cell: right more often after more data, letters or texts."""
    volume = cell.volume_setting or 0
    n_rows = size.n_abilities * size.n_items
    ability = np.repeat(np.arange(size.n_abilities), size.n_items)
    pace = 0.1 + 0.05 * ability
    right = 0.25 + 0.6 * (1 - np.exp(-pace * np.log1p(volume)))
    score = (rng.random(n_rows) < right).astype(float)
    letters = ability < _SHARE_OF_LETTERS * size.n_abilities
    item = np.arange(n_rows)
    texts = pa.compute.binary_join_element_wise(
        "answer ",
        pa.array(item).cast(pa.string()),
        pa.array(rng.integers(0, _N_TEXTS_PER_ITEM, n_rows)).cast(pa.string()),
        " and a few more words of reasoning",
        " ",
    )
    choice = pa.array(np.array(list("ABCD"))[rng.integers(0, _N_CHOICES, n_rows)])
    names = [_ability(number) for number in range(size.n_abilities)]
    columns: dict[str, object] = {
        "cell_id": [cell.cell_id] * n_rows,
        "task": pa.array([f"task-{name}" for name in names]).take(ability),
        "ability": pa.array(names).take(ability),
        "item_id": _ids("item", n_rows),
        "prompt_hash": _ids("prompt", n_rows),
        "target_hash": _ids("target", n_rows),
        "metric": ["accuracy"] * n_rows,
        "higher_is_better": [True] * n_rows,
        "scoring_rule": ["letter"] * n_rows,
        "score": score,
        "missing_reason": pa.nulls(n_rows, pa.string()),
        "parsed": rng.random(n_rows) < 0.97,
        "response": pa.compute.if_else(pa.array(letters), choice, texts),
        "choice_log_likelihoods": None,
        "choice_tokens": None,
        "chance_level": np.full(n_rows, 0.25),
        "chance_level_uniform": np.full(n_rows, 0.2),
    }
    for name in ("choice_log_likelihoods", "choice_tokens"):
        field = ITEM_SCORE.field(name)
        if not size.with_choices:
            columns[name] = pa.nulls(n_rows, field.type)
            continue
        values = (
            -rng.gamma(2.0, 5.0, n_rows * _N_CHOICES).astype(np.float32)
            if name == "choice_log_likelihoods"
            # What an item's choices are cut into depends on the item, not on the cell.
            else np.random.default_rng(0).integers(1, 6, n_rows * _N_CHOICES)
        )
        offsets = np.arange(0, n_rows * _N_CHOICES + 1, _N_CHOICES)
        columns[name] = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.array(values).cast(field.type.value_type)
        )
    return pa.table(columns, schema=ITEM_SCORE)


def _items(size: Size) -> pa.Table:
    """Texts of all items."""
    n_rows = size.n_abilities * size.n_items
    abilities = [_ability(number // size.n_items) for number in range(n_rows)]
    return pa.table(
        {
            "item_id": _ids("item", n_rows),
            "task": [f"task-{name}" for name in abilities],
            "ability": abilities,
            "prompt": [f'[{{"role": "user", "content": "question {n}"}}]' for n in range(n_rows)],
            "target": [f"answer {n}" for n in range(n_rows)],
            "choices": pa.nulls(n_rows, pa.list_(pa.string())),
        },
        schema=ITEM,
    )


def _log(cell: CellRecord, rng: np.random.Generator) -> pa.Table:
    """Training log of one cell."""
    step = np.arange(1, _N_LOG_STEPS + 1)
    return pa.table(
        {
            "cell_id": [cell.cell_id] * _N_LOG_STEPS,
            "attempt": np.full(_N_LOG_STEPS, 1, np.int32),
            "step": step.astype(np.int32),
            "epoch": step / _N_LOG_STEPS,
            "loss": 3.0 / np.sqrt(step) + 0.1 * rng.random(_N_LOG_STEPS),
            "learning_rate": 0.001 * (1 - step / (_N_LOG_STEPS + 1)),
            "grad_norm": rng.random(_N_LOG_STEPS),
            "n_tokens": step * 1000,
            "seconds": step * 2.5,
        },
        schema=TRAINING_LOG,
    )


# As the scorer writes them.
_HASH_LENGTHS = {"item": 16, "prompt": 64, "target": 64}

_known_ids: dict[tuple[str, int], pa.Array] = {}


def _ids(kind: str, n_rows: int) -> pa.Array:
    """Hashes that are equal for all cells, made once a process."""
    key = (kind, n_rows)
    if key not in _known_ids:
        length = _HASH_LENGTHS[kind]
        _known_ids[key] = pa.array([_digest(kind, number)[:length] for number in range(n_rows)])
    return _known_ids[key]


def _ability(number: int) -> str:
    """Name an ability."""
    return f"ability-{number}"


def _digest(*parts: object) -> str:
    """Hash the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def curve_filters(n_models: int, n_abilities: int) -> Iterator[dict[str, Sequence[str] | str]]:
    """Yield filters of single curves, as the app's focused view asks for them."""
    rng = np.random.default_rng(0)
    while True:
        yield {
            "study": STUDY,
            "ability": _ability(int(rng.integers(n_abilities))),
            "base_model": f"model-{int(rng.integers(n_models))}",
            "data_source": SOURCES[int(rng.integers(2))],
        }
