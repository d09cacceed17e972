"""Writes every table of a snapshot as Parquet, for pandas, polars, DuckDB or Spark.

The folder also holds the landing files, from which `import warehouse` recreates everything, and,
last, a manifest: a folder without one was cut short.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from warehouse.archive import MANIFEST, ArchivedFile, describe_files, list_sources
from warehouse.connection import latest_snapshot, open_latest
from warehouse.errors import InputError, WorkError
from warehouse.migrations import load_schema_version
from warehouse.workspace import Workspace

_BATCH_ROWS = 100_000
# Staging views repeat what the marts are made of, and raw tables what lies in landing/.
_LIST_TABLES = r"""
SELECT table_name
FROM information_schema.tables
WHERE regexp_matches(table_name, '^(mart|dim|fact)_')
ORDER BY table_name
"""


@dataclass(frozen=True, kw_only=True)
class TableExport:
    """What an export wrote; `n_rows` counts by table."""

    folder: Path
    snapshot: str
    n_rows: dict[str, int]
    n_landing_files: int


def export_warehouse(workspace: Workspace, out: Path) -> TableExport:
    """Write `tables/<table>/part-0.parquet`, `landing/` and `manifest.json` into a new folder.

    Parameters
    ----------
    workspace : Workspace
        Whose latest snapshot and landing files to write.
    out : Path
        A folder that doesn't exist or is empty; it appears in one step, complete.

    Raises
    ------
    InputError
        If nothing was published yet, or `out` can't be made or holds something.
    WorkError
        If a table can't be written, or the disk is full.
    """
    snapshot = latest_snapshot(workspace)
    sources = list_sources(workspace)
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} holds something already; name a new folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    except OSError as error:
        raise InputError(f"--out {out} can't be made ({error.strerror}).") from error
    try:
        with contextlib.closing(open_latest(snapshot.path)) as conn:
            version = load_schema_version(conn)
            names = [name for (name,) in conn.execute(_LIST_TABLES).fetchall()]
            tables = [_write_table(conn, temporary, name) for name in names]
        landed = [_copy(source, temporary / path, path) for path, source in sources]
        manifest = describe_files(landed) | {
            "snapshot": snapshot.id,
            "warehouse_schema_version": version,
            "exported_at": datetime.now(UTC).isoformat(),
            "tables": tables,
        }
        (temporary / MANIFEST).write_text(f"{json.dumps(manifest, indent=1)}\n", "utf-8")
        temporary.chmod(0o755)
        os.sync()
        temporary.replace(out)
    except (duckdb.Error, OSError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise WorkError(f"The export into {out} failed ({reason}); nothing was written.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return TableExport(
        folder=out,
        snapshot=snapshot.id,
        n_rows={str(table["table"]): int(table["rows"]) for table in tables},
        n_landing_files=len(landed),
    )


def _write_table(conn: duckdb.DuckDBPyConnection, folder: Path, name: str) -> dict[str, Any]:
    """Write one table with DuckDB's own types; return its entry in the manifest."""
    path = folder / "tables" / name / "part-0.parquet"
    path.parent.mkdir(parents=True)
    n_rows = 0
    reader = conn.table(name).to_arrow_reader(_BATCH_ROWS)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            n_rows += batch.num_rows
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {
        "table": name,
        "rows": n_rows,
        "columns": {field.name: str(field.type) for field in reader.schema},
        "path": path.relative_to(folder).as_posix(),
        "size_bytes": path.stat().st_size,
        "sha256": digest,
    }


def _copy(source: Path, target: Path, path: str) -> ArchivedFile:
    """Copy one landing file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with target.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return ArchivedFile(path=path, size_bytes=target.stat().st_size, sha256=digest)
