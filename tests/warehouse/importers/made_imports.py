"""An import of made-up rows of every kind, and what landed of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.importers.landed import Imported
from warehouse.landing import check_table, list_landing, read_document
from warehouse.records import (
    TABLES,
    CellRecord,
    CompositionPart,
    IgnoredPart,
    ImportedFile,
    ImportRecord,
    RecordKind,
)
from warehouse.workspace import Workspace

TABLE_KINDS = (
    RecordKind.ITEM,
    RecordKind.ITEM_SCORE,
    RecordKind.SCORE,
    RecordKind.JUDGE_VOTE,
)


def cell(cell_id: str) -> CellRecord:
    return CellRecord(
        cell_id=cell_id,
        label=f"label of {cell_id}",
        base_model="opt-1.3b",
        base_model_revision="unknown",
        data_source="human",
        design="imported",
        composition=(CompositionPart(data_source="human", ability="unlabelled", n_examples=16),),
        composition_id="comp-16",
        volume_setting=16,
        volume_per="total",
        seed=3,
        template="unknown",
        training={},
        scoring={},
    )


def table(kind: RecordKind, rows: Sequence[dict[str, Any]]) -> pa.Table:
    empty = dict.fromkeys(TABLES[kind].names)
    full = [empty | {"import_id": "set by land"} | row for row in rows]
    names = TABLES[kind].names
    return pa.Table.from_pylist(
        [{name: row[name] for name in names} for row in full], schema=TABLES[kind]
    )


def score(cell_id: str, value: float, *, task: str = "gsm8k", **changes: Any) -> dict[str, Any]:
    fields = {
        "cell_id": cell_id,
        "task": task,
        "ability": "math",
        "metric": "accuracy",
        "higher_is_better": True,
        "score": value,
    }
    return fields | changes


def item_score(cell_id: str, number: int, value: float, *, task: str = "arc") -> dict[str, Any]:
    return {
        "cell_id": cell_id,
        "task": task,
        "ability": "science",
        "item_id": f"item-{number}",
        "prompt_hash": "p",
        "target_hash": "t",
        "metric": "accuracy",
        "higher_is_better": True,
        "scoring_rule": "letter",
        "score": value,
        "choice_log_likelihoods": [-1.0, -2.5],
        "chance_level": 0.25,
        "chance_level_uniform": 0.25,
    }


def vote(vote_id: str, preference: float) -> dict[str, Any]:
    return {
        "vote_id": vote_id,
        "study": "mine",
        "protocol": "pairwise",
        "item_id": "q1",
        "model_a": "x",
        "model_b": "y",
        "preference": preference,
    }


def imported(sha256: str = "aa", **changes: Any) -> Imported:
    """Two cells with scores, one with items, and a vote."""
    fields: dict[str, Any] = {
        "importer": "curves",
        "study": "mine:1+2",
        "files": (ImportedFile(name="curves.csv", sha256=sha256, n_rows=2),),
        "n_rows": 2,
        "cells": (cell("imp-1"), cell("imp-2")),
        "scores": table(RecordKind.SCORE, [score("imp-1", 0.25), score("imp-2", 0.5)]),
        "score_origins": (("curves.csv", 2), ("curves.csv", 3)),
        "item_scores": table(
            RecordKind.ITEM_SCORE,
            [
                item_score("imp-1", 0, 1.0),
                item_score("imp-1", 0, 0.0, task="drop/it"),
                item_score("imp-1", 1, 0.0),
            ],
        ),
        "items": table(
            RecordKind.ITEM,
            [
                {
                    "item_id": "item-0",
                    "task": "arc",
                    "ability": "science",
                    "prompt": "[]",
                    "target": "A",
                }
            ],
        ),
        "votes": table(RecordKind.JUDGE_VOTE, [vote("v1", 1.5)]),
        "ignored": (IgnoredPart(file="curves.csv", what="column note", reason="not known"),),
        "arguments": {"metric": "accuracy"},
        "citation": "Somebody 2024",
        "notice": "not measured here",
    }
    return Imported(**(fields | changes))


def contents(workspace: Workspace) -> dict[str, bytes]:
    """Every landing file, the moments of plan and import documents left out."""
    files = [path for path in workspace.landing.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(workspace.landing)): path.read_bytes()
        if path.suffix == ".parquet"
        else b""
        for path in files
    }


def landed_rows(workspace: Workspace, kind: RecordKind) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in list_landing(workspace, kind):
        check_table(path, kind)
        rows += pq.read_table(path).to_pylist()
    return rows


def only_record(workspace: Workspace) -> ImportRecord:
    (path,) = list_landing(workspace, RecordKind.IMPORT)
    record = read_document(path, RecordKind.IMPORT)
    assert isinstance(record, ImportRecord)
    return record
