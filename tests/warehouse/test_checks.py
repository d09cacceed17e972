"""Every check is shown to fire, and a failing one keeps its ingest from being published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from warehouse import open_latest
from warehouse.checks import run_checks
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.statements import list_statements
from warehouse.workspace import open_workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

# Check, what breaks it, and the values that its first row must show.
BREAKS = [
    (
        "unique_ability_score",
        "INSERT INTO mart_ability_score FROM mart_ability_score WHERE ability = 'math'",
        {"cell_id": "base", "n_rows": 2},
    ),
    (
        "unique_cell",
        "INSERT INTO mart_cell FROM mart_cell WHERE cell_id = 'waiting'",
        {"cell_id": "waiting", "n_rows": 2},
    ),
    (
        "unique_composition",
        "INSERT INTO mart_composition FROM mart_composition WHERE ability = 'code'",
        {"ability": "code", "n_rows": 2},
    ),
    ("unique_study", "INSERT INTO mart_study FROM mart_study", {"study": "demo", "n_rows": 2}),
    (
        "unique_item_score",
        "INSERT INTO raw_item_score SELECT s.* FROM raw_item_score AS s JOIN raw_prompt USING "
        "(prompt_key) WHERE item_id = 'exam-item-1' LIMIT 1",
        {"item_id": "exam-item-1", "n_rows": 2},
    ),
    (
        "unique_unit",
        "INSERT INTO raw_unit FROM raw_unit WHERE cell_id = 'base'",
        {"cell_id": "base", "n_rows": 2, "files": ["base.parquet", "base.parquet"]},
    ),
    (
        "related_item_score",
        "DELETE FROM raw_prompt WHERE item_id = 'math-item-3'",
        {"cell_id": "base", "n_expected": 4, "n_found": 3},
    ),
    (
        "related_item_score",
        "DELETE FROM raw_item_score WHERE score IS NULL",
        {"cell_id": "tuned", "n_expected": 4, "n_found": 3},
    ),
    (
        "unique_task_score",
        "INSERT INTO stg_unit_score FROM stg_unit_score WHERE ability = 'exam'",
        {"ability": "exam", "n_rows": 2},
    ),
    (
        "unique_judge_vote",
        "CREATE OR REPLACE VIEW fact_judge_vote AS "
        "FROM raw_judge_vote UNION ALL FROM raw_judge_vote",
        {"vote_id": "vote-1", "n_rows": 2},
    ),
    (
        "range_judge_vote",
        "UPDATE raw_judge_vote SET preference = 2.5",
        {"vote_id": "vote-1", "preference": 2.5},
    ),
    (
        "unique_dim_base_model",
        "INSERT INTO dim_base_model FROM dim_base_model",
        {"base_model": "ladder-m", "n_rows": 2},
    ),
    (
        "unique_dim_ability",
        "INSERT INTO dim_ability FROM dim_ability",
        {"ability": "math", "n_rows": 2},
    ),
    ("unique_dim_task", "INSERT INTO dim_task FROM dim_task", {"task": "task-math", "n_rows": 2}),
    (
        "unique_dim_data_source",
        "INSERT INTO dim_data_source FROM dim_data_source",
        {"data_source": "human", "n_rows": 2},
    ),
    (
        "unique_dim_composition",
        "INSERT INTO dim_composition FROM dim_composition",
        {"ability": "math", "n_rows": 2},
    ),
    (
        "unique_training_log",
        "INSERT INTO raw_training_log FROM raw_training_log WHERE cell_id = 'base'",
        {"cell_id": "base", "n_rows": 2, "files": ["base-1.parquet"]},
    ),
    (
        "not_null_ability_score",
        "UPDATE mart_ability_score SET base_model = NULL WHERE cell_id = 'tuned'",
        {"cell_id": "tuned"},
    ),
    (
        "not_null_ability_score",
        "UPDATE mart_ability_score SET score = NULL WHERE cell_id = 'tuned'",
        {"score": None},
    ),
    (
        "range_ability_score",
        "UPDATE mart_ability_score SET score = 1.5 WHERE ability = 'math'",
        {"score": 1.5},
    ),
    (
        "range_ability_score",
        "UPDATE mart_ability_score SET score = 'nan', metric = 'loss' WHERE ability = 'math'",
        {"metric": "loss"},
    ),
    (
        "range_ability_score",
        "UPDATE mart_ability_score SET n_scored = 5 WHERE ability = 'math'",
        {"n_scored": 5},
    ),
    ("range_cell", "UPDATE mart_cell SET failure_reason = NULL", {"cell_id": "broken"}),
    ("range_cell", "UPDATE mart_cell SET train_seconds = -1", {"cell_id": "base"}),
    (
        "base_cell",
        "UPDATE mart_cell SET seed = 1 WHERE cell_id = 'base'",
        {"cell_id": "base", "seed": 1},
    ),
    (
        "cell_identity",
        "INSERT INTO raw_plan_cell SELECT * REPLACE ('other' AS base_model, 'p2' AS file_name) "
        "FROM raw_plan_cell WHERE cell_id = 'tuned'",
        {"cell_id": "tuned", "files": ["demo-1.json", "p2"]},
    ),
    (
        "metric_direction",
        "UPDATE stg_unit_score SET higher_is_better = false WHERE ability = 'math' AND unit_key = "
        "(SELECT unit_key FROM raw_unit WHERE cell_id = 'base' AND task = 'task-math')",
        {"metric": "accuracy", "files": ["base.parquet", "tuned.parquet"]},
    ),
    (
        "related_ability_score",
        "UPDATE mart_ability_score SET cell_id = 'nobody' WHERE cell_id = 'tuned'",
        {"cell_id": "nobody", "status": None},
    ),
    (
        "related_cell",
        "INSERT INTO mart_cell SELECT * REPLACE ('lost' AS study) FROM mart_cell "
        "WHERE cell_id = 'base'",
        {"study": "lost", "n_cells": 1},
    ),
    (
        "related_composition",
        "UPDATE mart_composition SET n_examples = 99 WHERE cell_id = 'tuned' AND ability = 'code'",
        {"cell_id": "tuned", "n_examples": 16 + 99},
    ),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    from tests.warehouse.conftest import Landing as Writer

    workspace = open_workspace(tmp_path_factory.mktemp("checks") / "w", create=True)
    writer = Writer(workspace)
    writer.demo()
    writer.vote("vote-1")
    ingest(workspace)
    with duckdb.connect(str(Path(workspace.warehouse, "work.duckdb"))) as conn:
        yield conn


def test_good_content_passes(database: duckdb.DuckDBPyConnection) -> None:
    assert run_checks(database) == ()


@pytest.mark.parametrize(("check", "statement", "shown"), BREAKS)
def test_a_check_fires(
    database: duckdb.DuckDBPyConnection, check: str, statement: str, shown: dict[str, object]
) -> None:
    database.begin()
    try:
        database.execute(statement)
        failures = {failure.check: failure for failure in run_checks(database)}
    finally:
        database.rollback()
    failure = failures[check]
    rows = [dict(zip(failure.columns, row, strict=True)) for row in failure.rows]
    assert any(all(row[key] == value for key, value in shown.items()) for row in rows)


def test_every_check_is_shown_to_fire() -> None:
    assert {check for check, _, _ in BREAKS} == set(list_statements("checks"))


def test_new_rows_alone_are_checked(database: duckdb.DuckDBPyConnection) -> None:
    database.begin()
    try:
        database.execute("INSERT INTO raw_item_score FROM raw_item_score")
        assert [f.check for f in run_checks(database, since_load=1)] == ["related_item_score"]
        assert run_checks(database, since_load=2) == ()
        everything = [failure.check for failure in run_checks(database)]
        assert everything == ["related_item_score", "unique_item_score"]
    finally:
        database.rollback()


def test_a_failing_check_publishes_nothing_and_names_the_file(landing: Landing) -> None:
    landing.plan("demo", [landing.cell("a"), landing.cell("b")])
    landing.finished_cell("a", {"math": [1.0]})
    first = ingest(landing.workspace)
    landing.scores("b", [landing.score_row("b", "math", 0, 0.0, higher_is_better=False)])
    landing.run("b")
    expected = r"check metric_direction found 1 bad rows, first: study=demo.*b\.parquet"
    with pytest.raises(WorkError, match=expected):
        ingest(landing.workspace)
    with open_latest(landing.workspace) as conn:
        assert conn.execute("SELECT count(*) FROM mart_ability_score").fetchone() == (1,)
    # As the message says: without the file the rest is published.
    (landing.workspace.landing / "item_score" / "b.parquet").unlink()
    repaired = ingest(landing.workspace, rebuild=True)
    assert repaired.published and repaired.snapshot != first.snapshot
