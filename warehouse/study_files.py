"""Which landing files hold the results of one study.

A study is its plans and imports, what landed of the cells that they name, the judges' votes and
the flagged items of the study, and the texts of all items that these refer to. A cell that two
studies share belongs to both.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warehouse.errors import InputError, LandingError
from warehouse.landing import read_document
from warehouse.records import (
    ExclusionRecord,
    ImportRecord,
    ItemFlagRecord,
    PlanRecord,
    Record,
    RecordKind,
    RunRecord,
)

_MENDED_BY = "python cli.py ingest sets it aside with the reason, then pack again"


def find_study_files(files: Iterable[tuple[RecordKind, Path]], study: str) -> frozenset[Path]:
    """Return the landing files that a study's results are made of.

    A table belongs to the study whole if any of its rows does; every writer gives a study, and
    all but items a cell, files of their own.

    Parameters
    ----------
    files : iterable of (RecordKind, Path)
        All landing files of a workspace.
    study : str

    Raises
    ------
    InputError
        If nothing of that study has landed.
    LandingError
        If a file can't be read, so that nobody knows whose it is.
    """
    by_kind: dict[RecordKind, list[Path]] = {kind: [] for kind in RecordKind}
    for kind, path in files:
        by_kind[kind].append(path)
    found: set[Path] = set()
    studies: set[str] = set()
    cells: set[str] = set()
    items: set[str] = set()
    for kind in (RecordKind.PLAN, RecordKind.IMPORT, RecordKind.ITEM_FLAG):
        for path in by_kind[kind]:
            record = _read(path, kind)
            assert isinstance(record, PlanRecord | ImportRecord | ItemFlagRecord)
            studies.add(record.study)
            if record.study != study:
                continue
            found.add(path)
            if isinstance(record, PlanRecord):
                cells |= {cell.cell_id for cell in record.cells}
            elif isinstance(record, ItemFlagRecord):
                items |= {item.item_id for item in record.items}
    for path in by_kind[RecordKind.JUDGE_VOTE]:
        named = _values(path, "study")
        studies |= named
        if study in named:
            found.add(path)
            items |= _values(path, "item_id")
    if not found:
        known = ", ".join(sorted(studies)[:10]) or "none"
        raise InputError(f"--study {study!r:.130}: nothing of it has landed; known: {known}.")
    for kind in (RecordKind.RUN, RecordKind.EXCLUSION):
        for path in by_kind[kind]:
            record = _read(path, kind)
            assert isinstance(record, RunRecord | ExclusionRecord)
            if record.cell_id in cells:
                found.add(path)
    for kind in (
        RecordKind.TRAINING_LOG,
        RecordKind.ITEM_SCORE,
        RecordKind.SCORE,
        RecordKind.GENERATION,
    ):
        for path in by_kind[kind]:
            if not cells.isdisjoint(_values(path, "cell_id")):
                found.add(path)
                if kind in (RecordKind.ITEM_SCORE, RecordKind.GENERATION):
                    items |= _values(path, "item_id")
    found |= {
        path for path in by_kind[RecordKind.ITEM] if not items.isdisjoint(_values(path, "item_id"))
    }
    return frozenset(found)


def _read(path: Path, kind: RecordKind) -> Record:
    """Read one JSON record."""
    try:
        return read_document(path, kind)
    except LandingError as error:
        raise LandingError(f"{str(error).rstrip('.')}; {_MENDED_BY}.") from error


def _values(path: Path, column: str) -> set[str]:
    """Return the distinct texts of a table's column."""
    try:
        found = pq.read_table(path, columns=[column])[column]
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise LandingError(f"{path.name} can't be read ({error}); {_MENDED_BY}.") from error
    return set(pc.unique(found).to_pylist())
