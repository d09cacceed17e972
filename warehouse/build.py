"""Builds staging views and marts over the raw tables, and names what they were built from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import duckdb

from warehouse.dictionary import fill_dictionary
from warehouse.migrations import load_schema_version
from warehouse.statements import load_statement

# In order of dependence: a view or mart may read those before it.
STAGING = (
    "stg_plan",
    "stg_study_cell",
    "stg_composition",
    "stg_run",
    "stg_training_log",
    "stg_item",
    "stg_item_score",
    "stg_score",
    "stg_task_score",
    "stg_exclusion",
    "stg_item_flag",
    "stg_generation",
    "stg_judge_vote",
    "stg_judge_score",
)
MARTS = (
    "dim_base_model",
    "dim_ability",
    "dim_task",
    "dim_item",
    "dim_item_flag",
    "dim_data_source",
    "dim_composition",
    "dim_run",
    "dim_checkpoint",
    "dim_judge",
    "dim_import",
    "fact_item_score",
    "fact_task_score",
    "fact_choice_log_likelihood",
    "fact_training_log",
    "fact_generation",
    "fact_judge_vote",
    "mart_ability_score",
    "mart_flagged_score",
    "mart_cell",
    "mart_composition",
    "mart_study",
)

_BLANKS = re.compile(r"\s+")


def build_marts(conn: duckdb.DuckDBPyConnection) -> None:
    """Create the staging views and marts anew inside the open transaction and record the content.

    Marts are built in full, from scores by load unit that were kept when the items were loaded:
    that takes well under a second at 50 million item scores, and content depends on nothing but
    the raw tables.
    """
    for name in STAGING:
        conn.execute(load_statement("staging", name))
    for name in MARTS:
        conn.execute(load_statement("marts", name))
    fill_dictionary(conn)
    conn.execute("DELETE FROM warehouse_build")
    conn.execute(
        "INSERT INTO warehouse_build VALUES (?, now() AT TIME ZONE 'UTC')",
        [plan_content_version(conn)],
    )


def plan_content_version(conn: duckdb.DuckDBPyConnection) -> str:
    """Hash what the marts follow from: schema version, SQL of the layers, files loaded (12 hex)."""
    files = conn.execute(
        "SELECT kind, file_name, content_hash FROM raw_file ORDER BY kind, file_name"
    ).fetchall()
    texts = [load_statement("staging", name) for name in STAGING]
    texts += [load_statement("marts", name) for name in MARTS]
    parts = [str(load_schema_version(conn)), *(_BLANKS.sub(" ", text) for text in texts)]
    return _digest([*parts, *("/".join(row) for row in files)])


def load_content_version(conn: duckdb.DuckDBPyConnection) -> str | None:
    """Return the content that the marts in `conn`'s database were built from; None if never."""
    row = conn.execute("SELECT content_version FROM warehouse_build").fetchone()
    return str(row[0]) if row else None


def _digest(parts: Iterable[str]) -> str:
    """Hash a sequence of strings so that moving a boundary between them changes the hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]
