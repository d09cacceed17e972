"""Each earlier schema version migrates to the one that a new database gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.warehouse.test_ingest import content_of
from warehouse import migrations
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.migrations import list_migrations, load_schema_version, migrate, plan_migrations
from warehouse.workspace import Workspace

LATEST = len(list_migrations())


def schema_of(conn: duckdb.DuckDBPyConnection) -> list[Any]:
    return conn.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY ALL"
    ).fetchall()


@pytest.mark.parametrize("version", range(LATEST + 1))
def test_each_earlier_version_migrates(version: int) -> None:
    with duckdb.connect() as new, duckdb.connect() as old:
        assert migrate(new) == LATEST
        assert migrate(old, up_to=version) == version
        assert load_schema_version(old) == version
        assert [step.version for step in plan_migrations(old)] == list(
            range(version + 1, LATEST + 1)
        )
        assert migrate(old) == LATEST - version
        assert schema_of(old) == schema_of(new)
        names = old.execute("SELECT name FROM schema_migration ORDER BY version").fetchall()
        assert [name for (name,) in names] == [step.name for step in list_migrations()]
        assert migrate(old) == 0


def test_a_failing_migration_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrations.load_statement

    def spoiled(folder: str, name: str) -> str:
        return "CREATE TABEL oops" if name.startswith("0003") else real(folder, name)

    monkeypatch.setattr(migrations, "load_statement", spoiled)
    with duckdb.connect() as conn:
        with pytest.raises(duckdb.ParserException):
            migrate(conn)
        assert schema_of(conn) == []
        monkeypatch.undo()
        assert migrate(conn) == LATEST


def test_a_later_version_is_refused_until_rebuilt(demo: Workspace) -> None:
    ingest(demo)
    with duckdb.connect(str(demo.warehouse / "work.duckdb")) as conn:
        conn.execute("INSERT INTO schema_migration VALUES (999, 'future', now()::TIMESTAMP)")
    with pytest.raises(WorkError, match=r"schema version 999.*--rebuild"):
        ingest(demo)
    assert ingest(demo, rebuild=True).published


def test_migration_files_are_numbered_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "list_statements", lambda _: ("0001_one", "0003_three"))
    with pytest.raises(WorkError, match="0002"):
        list_migrations()


def test_each_sql_file_holds_one_statement() -> None:
    with duckdb.connect() as conn:
        for path in (Path(__file__).parents[2] / "sql").rglob("*.sql"):
            assert len(conn.extract_statements(path.read_text())) == 1, path


def test_marts_state_their_grain() -> None:
    for path in (Path(__file__).parents[2] / "sql" / "marts").glob("*.sql"):
        assert path.read_text().startswith("-- Grain: one row per "), path


# What a database of version 8, the last with texts in every row, held of the same landing files.
_OLD_ITEM_SCORES = """
INSERT INTO raw_item_score
SELECT
    units.file_name, units.cell_id, units.task, ability, item_id, prompt_hash, target_hash, metric,
    higher_is_better, scoring_rule, score, missing_reason, parsed, response,
    CAST(choice_log_likelihoods AS DOUBLE[]), choice_tokens, chance_level, chance_level_uniform
FROM new.raw_item_score
INNER JOIN new.raw_unit AS units USING (unit_key)
INNER JOIN new.raw_scoring USING (scoring_key)
INNER JOIN new.raw_prompt USING (prompt_key)
LEFT JOIN new.raw_reply USING (reply_key)
LEFT JOIN new.raw_choice_tokens USING (choice_tokens_key)
"""


def test_item_scores_of_an_earlier_version_are_carried_over(demo: Workspace) -> None:
    report = ingest(demo)
    expected = content_of(demo)
    new = (demo.warehouse / "work.duckdb").rename(demo.warehouse / "new.duckdb")
    with duckdb.connect(str(demo.warehouse / "work.duckdb")) as old:
        migrate(old, up_to=8)
        old.execute(f"ATTACH '{new}' AS new (READ_ONLY)")
        for table in ("file", "plan", "plan_cell", "run", "training_log", "item"):
            columns = old.table(f"raw_{table}").columns
            old.table(f"new.raw_{table}").select(*columns).insert_into(f"raw_{table}")
        old.execute(_OLD_ITEM_SCORES)
        # As that version left it: views that its own marts were read through.
        old.execute("CREATE VIEW stg_item_score AS FROM raw_item_score")
        old.execute("CREATE VIEW mart_item_score AS FROM stg_item_score")
        old.execute("CREATE VIEW mart_training_log AS FROM raw_training_log")
    new.unlink()
    assert report.snapshot is not None
    report.snapshot.unlink()
    assert ingest(demo).n_files == 0
    assert len(expected["fact_item_score"]) == 12
    assert content_of(demo) == expected
