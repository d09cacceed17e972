"""Turns the JSON records of the landing zone into rows of the raw tables."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from warehouse.errors import LandingError
from warehouse.records import (
    ExclusionRecord,
    ImportRecord,
    ItemFlagRecord,
    PlanRecord,
    Record,
    RunRecord,
    RunStatus,
)

# Rows of one document, by the raw table (without its prefix) that they belong to.
Rows = dict[str, list[dict[str, Any]]]


def document_rows(file_name: str, record: Record) -> Rows:
    """Turn one record into rows of the raw tables.

    Raises
    ------
    LandingError
        If the record contradicts itself.
    """
    if isinstance(record, PlanRecord):
        return _plan_rows(file_name, record)
    if isinstance(record, RunRecord):
        return {"run": [_run_row(file_name, record)]}
    if isinstance(record, ImportRecord):
        return _import_rows(file_name, record)
    if isinstance(record, ExclusionRecord):
        row = record.model_dump(exclude={"schema_version"})
        return {
            "exclusion": [row | {"file_name": file_name, "created_at": _utc(record.created_at)}]
        }
    if isinstance(record, ItemFlagRecord):
        return _item_flag_rows(file_name, record)
    raise TypeError(f"{type(record).__name__} has no raw table.")


def _plan_rows(file_name: str, plan: PlanRecord) -> Rows:
    """Rows of raw_plan and raw_plan_cell."""
    counts = Counter(cell.cell_id for cell in plan.cells)
    twice = [cell_id for cell_id, count in counts.items() if count > 1]
    if twice:
        raise LandingError(f"{file_name}: cells: {twice[0]} appears {counts[twice[0]]} times.")
    head = plan.model_dump(exclude={"schema_version", "cells"})
    head |= {
        "file_name": file_name,
        "created_at": _utc(plan.created_at),
        "grid_settings": _json(plan.grid_settings),
    }
    cells = [
        cell.model_dump(mode="python")
        | {
            "file_name": file_name,
            "study": plan.study,
            "training": _json(cell.training),
            "scoring": _json(cell.scoring),
        }
        for cell in plan.cells
    ]
    return {"plan": [head], "plan_cell": cells}


def _import_rows(file_name: str, record: ImportRecord) -> Rows:
    """Rows of raw_import and raw_run."""
    parts = record.model_dump(mode="json", include={"files", "ignored", "arguments"})
    head = record.model_dump(exclude={"schema_version", "runs"})
    head |= {name: _json(value) for name, value in parts.items()}
    head |= {"file_name": file_name, "imported_at": _utc(record.imported_at)}
    return {"import": [head], "run": [_run_row(file_name, run) for run in record.runs]}


def _item_flag_rows(file_name: str, record: ItemFlagRecord) -> Rows:
    """Rows of raw_item_flag; of a check that flagged nothing, one without an item."""
    head = {
        "file_name": file_name,
        "study": record.study,
        "created_at": _utc(record.created_at),
        "settings": _json(record.settings),
    }
    return {"item_flag": [head | item.model_dump() for item in record.items] or [head]}


def _run_row(file_name: str, run: RunRecord) -> dict[str, Any]:
    """Row of raw_run."""
    if run.status is RunStatus.FAILED and not run.failure_reason:
        raise LandingError(f"{file_name}: failure_reason: a failed run must say why.")
    return run.model_dump(exclude={"schema_version"}) | {
        "file_name": file_name,
        "started_at": _utc(run.started_at),
        "finished_at": _utc(run.finished_at),
        "environment": _json(run.environment),
    }


def _utc(moment: datetime) -> datetime:
    """Bring a moment to UTC without its zone, as the tables hold it; one without zone is UTC."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _json(value: Any) -> str:
    """Serialise settings so that equal ones have equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
