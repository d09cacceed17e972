"""Compares what an importer found with what landed before.

Rows that landed before with equal values are known and left out; rows with other values are a
contradiction that only `replace` lets through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import LandingError
from warehouse.importers.contract import (
    N_REJECTED_SHOWN,
    Imported,
    Origin,
    RejectedImportError,
    RejectedRow,
    hash_text,
    printable,
    safe_stem,
)
from warehouse.landing import read_document
from warehouse.records import TABLES, ImportRecord, RecordKind
from warehouse.workspace import Workspace

_Row = tuple[Any, ...]
_KEYS = {
    RecordKind.SCORE: ("cell_id", "task", "metric"),
    RecordKind.JUDGE_VOTE: ("vote_id",),
}
REPLACE_REMEDY = "pass --replace to let these results count instead, or name another --study."


def find_new_rows(
    workspace: Workspace, imported: Imported, kind: RecordKind, import_id: str, *, replace: bool
) -> pa.Table | None:
    """Return the scores or votes that no earlier import brought; None without any.

    Raises
    ------
    RejectedImportError
        If a row contradicts an earlier import and may not replace it.
    """
    is_score = kind is RecordKind.SCORE
    table = imported.scores if is_score else imported.votes
    if table is None or not table.num_rows:
        return None
    table = _with_import_id(table, kind, import_id)
    known = known_rows(workspace, imported.study, kind)
    rows = _keyed(table, kind)
    differing = [i for i, (key, row) in enumerate(rows) if known.get(key, row) != row]
    if differing and not replace:
        rejected = [
            _contradiction(
                origin_of(imported, i, kind),
                rows[i][0],
                value_names(kind),
                known[rows[i][0]],
                rows[i][1],
            )
            for i in differing[:N_REJECTED_SHOWN]
        ]
        raise RejectedImportError(rejected, len(differing))
    new = sorted({*differing, *(i for i, (key, _) in enumerate(rows) if key not in known)})
    if not new:
        return None
    # The file of an import that is complete already is replaced, so it must stay whole.
    complete = import_document(workspace, import_id).is_file()
    return table if complete else table.take(pa.array(new, pa.int64()))


def known_rows(workspace: Workspace, study: str, kind: RecordKind) -> dict[_Row, _Row]:
    """Return rows of a study's complete imports by key; of several, the latest import's."""
    imports: list[tuple[str, list[tuple[_Row, _Row]]]] = []
    for path in sorted((workspace.landing / kind.value).glob("*.parquet")):
        stem, _, import_id = path.stem.rpartition("-")
        if stem == safe_stem(study) and import_document(workspace, import_id).is_file():
            imports.append((import_id, _keyed(read_landed_table(path), kind)))
    known = {key: row for _, rows in imports for key, row in rows}
    if len(known) < sum(len(rows) for _, rows in imports):
        # Some were replaced; only then are the documents, which may be large, read.
        imports.sort(key=lambda item: _imported_at(workspace, item[0]))
        known = {key: row for _, rows in imports for key, row in rows}
    return known


def _imported_at(workspace: Workspace, import_id: str) -> datetime:
    """Return when an earlier import was made."""
    record = read_document(import_document(workspace, import_id), RecordKind.IMPORT)
    assert isinstance(record, ImportRecord)
    return record.imported_at


def find_new_units(
    workspace: Workspace, imported: Imported, *, replace: bool
) -> dict[str, pa.Table]:
    """Return item scores by file stem, those left out that landed before with equal content.

    Raises
    ------
    RejectedImportError
        If a cell and task landed with other item scores, which may not be replaced.
    """
    new: dict[str, pa.Table] = {}
    rejected = []
    for cell_id, task, table in _units(imported.item_scores):
        path = unit_path(workspace, cell_id, task)
        if path.is_file():
            known = read_landed_table(path)
            if known.equals(table):
                continue
            if not replace:
                rejected.append(_differing_unit(imported, cell_id, task, known, table))
        new[path.stem] = table
    if rejected:
        raise RejectedImportError(rejected, len(rejected))
    return new


def unit_path(workspace: Workspace, cell_id: str, task: str) -> Path:
    """Path of the item scores of an imported cell and task."""
    stem = f"{cell_id}-{hash_text(task)[:8]}"
    return workspace.landing / RecordKind.ITEM_SCORE.value / f"{stem}.parquet"


def _units(table: pa.Table | None) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield item scores by cell and task, rows in their order."""
    if table is None or not table.num_rows:
        return
    table = _cast(table, RecordKind.ITEM_SCORE)
    cells = table["cell_id"].combine_chunks().dictionary_encode()
    tasks = table["task"].combine_chunks().dictionary_encode()
    codes = cells.indices.to_numpy().astype(np.int64) * len(tasks.dictionary)
    codes += tasks.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        cell, task = divmod(int(codes[order[start]]), len(tasks.dictionary))
        yield (
            cells.dictionary[cell].as_py(),
            tasks.dictionary[task].as_py(),
            table.take(pa.array(order[start:end])),
        )


# --- Contradictions ---------------------------------------------------------------------------


def _contradiction(
    origin: Origin, key: _Row, names: Sequence[str], known: _Row, new: _Row
) -> RejectedRow:
    """Say how a row differs from the one of an earlier import."""
    name, before, now = next(
        (name, before, now)
        for name, before, now in zip(names, known, new, strict=True)
        if before != now
    )
    return RejectedRow(
        file=origin[0],
        line=origin[1],
        value=printable(now),
        reason=(
            f"{name} of {printable(' '.join(map(str, key)))} was imported as {printable(before)} "
            f"and is {printable(now)} here; {REPLACE_REMEDY}"
        ),
    )


def _differing_unit(
    imported: Imported, cell_id: str, task: str, known: pa.Table, new: pa.Table
) -> RejectedRow:
    """Say how the item scores of a cell and task differ from those that landed."""
    file, line = origin_of(imported, None)
    before = {row["item_id"]: row for row in known.to_pylist()}
    differs = f"has {known.num_rows} item scores and {new.num_rows} here"
    for row in new.to_pylist():
        known_row = before.get(row["item_id"], row)
        name = next((name for name in row if known_row[name] != row[name]), None)
        if name is not None:
            differs = (
                f"has {name} = {printable(known_row[name])} and {printable(row[name])} here for "
                f"item {printable(row['item_id'])}"
            )
            break
    return RejectedRow(
        file=file,
        line=line,
        value=printable(task),
        reason=f"cell {cell_id} {differs}; {REPLACE_REMEDY}",
    )


def origin_of(imported: Imported, row: int | None, kind: RecordKind = RecordKind.SCORE) -> Origin:
    """Return where a score or vote stands; the file alone where its line is not known."""
    is_score = kind is RecordKind.SCORE
    origins = imported.score_origins if is_score else imported.vote_origins
    if row is not None and origins:
        return origins[row]
    names = [file.name for file in imported.files]
    return (names[0] if len(names) == 1 else f"{len(names)} files", None)


# --- Tables -----------------------------------------------------------------------------------


def value_names(kind: RecordKind) -> tuple[str, ...]:
    """Columns of a table that its key does not hold."""
    return tuple(name for name in TABLES[kind].names if name not in (*_KEYS[kind], "import_id"))


def _keyed(table: pa.Table, kind: RecordKind) -> list[tuple[_Row, _Row]]:
    """Return the rows of a table as (key, values)."""
    keys = zip(*(table[name].to_pylist() for name in _KEYS[kind]), strict=True)
    rows = zip(*(table[name].to_pylist() for name in value_names(kind)), strict=True)
    return list(zip(keys, rows, strict=True))


def _cast(table: pa.Table, kind: RecordKind) -> pa.Table:
    """Bring rows to the landing schema."""
    schema = TABLES[kind]
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise LandingError(f"Imported rows do not fit the {kind} schema ({error}).") from error


def _with_import_id(table: pa.Table, kind: RecordKind, import_id: str) -> pa.Table:
    """Bring rows to the landing schema and say which import they come from."""
    schema = TABLES[kind]
    values = pa.repeat(pa.scalar(import_id), table.num_rows)
    if "import_id" in table.schema.names:
        table = table.drop_columns(["import_id"])
    return _cast(table.append_column(schema.field("import_id"), values), kind)


def read_landed_table(path: Path) -> pa.Table:
    """Read an earlier landing file.

    Raises
    ------
    LandingError
        If it can't be read.
    """
    try:
        return pq.read_table(path).replace_schema_metadata(None)
    except (pa.ArrowInvalid, OSError) as error:
        raise LandingError(
            f"{path.name} landed earlier and can't be read ({error}); run ingest, which puts it "
            "into quarantine, then import again."
        ) from error


def import_document(workspace: Workspace, import_id: str) -> Path:
    """Path of an import's document, which exists once the import is complete."""
    return workspace.landing / RecordKind.IMPORT.value / f"{import_id}.json"
