"""What the marts say of landing files: every field, attempts, shared cells, imports."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import stdev

import pytest

from tests.warehouse.conftest import Landing, rows_of
from warehouse.ingest import ingest
from warehouse.records import CompositionPart
from warehouse.workspace import Workspace


def test_ability_scores_carry_each_field(results: Workspace) -> None:
    rows = rows_of(results, "FROM mart_ability_score ORDER BY cell_id DESC, ability DESC")
    assert rows[0] == {
        "study": "demo",
        "cell_id": "tuned",
        "label": "label of tuned",
        "ability": "math",
        "base_model": "ladder-m",
        "n_params": 400_123,
        "data_source": "human",
        "design": "all_abilities",
        "design_target": None,
        "composition_id": "comp-31",
        "volume_setting": 17,
        "volume_per": "ability",
        "n_examples_own": 16,
        "n_examples_total": 31,
        "seed": 3,
        "metric": "accuracy",
        # Scores 1, 1, 0: mean 2/3, sample variance 1/3, and sqrt(1/3) / sqrt(3) = 1/3.
        "score": pytest.approx(2 / 3),
        "stderr": pytest.approx(1 / 3),
        "n_items": 4,
        "n_scored": 3,
        "parse_rate": 0.75,
        "chance_level": 0.25,
        "chance_level_uniform": 0.125,
        "higher_is_better": True,
        "out_of_domain": False,
        "missing_reason": None,
        "excluded_reason": None,
        "item_hash": rows[0]["item_hash"],
    }
    # The exam was answered alike by both cells.
    assert len({row["item_hash"] for row in rows}) == 3
    exam, base = rows[1], rows[2]
    assert (exam["ability"], exam["out_of_domain"], exam["n_examples_own"]) == ("exam", True, 0)
    assert (exam["score"], exam["stderr"], exam["chance_level"]) == (0.5, 0.5, 0.375)
    assert (base["cell_id"], base["design"], base["score"]) == ("base", "base", 0.25)
    assert (base["data_source"], base["seed"], base["volume_per"]) == (None, None, None)
    assert (base["n_examples_own"], base["n_examples_total"], base["volume_setting"]) == (0, 0, 0)
    assert len(rows) == 4


def test_cells_carry_each_field(results: Workspace) -> None:
    by_id = {row["cell_id"]: row for row in rows_of(results, "FROM mart_cell")}
    assert by_id["tuned"] == {
        "study": "demo",
        "cell_id": "tuned",
        "label": "label of tuned",
        "status": "done",
        "failure_stage": None,
        "failure_reason": None,
        "n_attempts": 2,
        "attempt": 2,
        "base_model": "ladder-m",
        "base_model_revision": "rev-7",
        "n_params": 400_123,
        "model_family": None,
        "data_source": "human",
        "design": "all_abilities",
        "design_target": None,
        "composition_id": "comp-31",
        "volume_setting": 17,
        "volume_per": "ability",
        "n_examples_total": 31,
        "seed": 3,
        "template": "template-1",
        "training": '{"lr": 0.001}',
        "scoring": '{"batch": 8}',
        "n_optimizer_steps": 24,
        "n_epochs": 4.5,
        "n_tokens": 2501,
        "n_target_tokens": 602,
        "n_truncated": 2,
        "checkpoint_rule": "last",
        "checkpoint_step": 23,
        "train_loss": 1.25,
        "validation_loss": 1.75,
        "train_seconds": 61.5,
        "score_seconds": 32.25,
        "wall_seconds": 99.0,
        "peak_memory_bytes": 123_456_789,
        "energy_joules": 77.0,
        "cost": 0.125,
        "n_item_scores": 6,
        "data_hash": "data-9",
        "git_commit": "0123abc",
        "environment": '{"torch": "2.13.0"}',
        "started_at": datetime(2026, 11, 20, 9, 0, 1),  # noqa: DTZ001
        "finished_at": datetime(2026, 11, 20, 9, 2, 3),  # noqa: DTZ001
        "excluded_reason": None,
    }
    broken, waiting = by_id["broken"], by_id["waiting"]
    assert (broken["status"], broken["failure_stage"]) == ("failed", "train")
    assert (broken["failure_reason"], broken["n_attempts"]) == ("out of memory", 1)
    assert (waiting["status"], waiting["n_attempts"], waiting["attempt"]) == ("pending", 0, None)
    assert by_id["base"]["status"] == "done"


def test_study_composition_log_and_items_carry_each_field(results: Workspace) -> None:
    assert rows_of(results, "FROM mart_study") == [
        {
            "study": "demo",
            "grid": "grid-of-demo",
            "notice": "generated data",
            "resistant_delta": 0.05,
            "abilities": ["exam", "math"],
            "out_of_domain": ["exam"],
            "n_cells": 4,
            "n_done": 2,
            "n_failed": 1,
            "n_pending": 1,
            "n_excluded": 0,
            "created_at": datetime(2026, 11, 20, 8, 15, 30),  # noqa: DTZ001
            "last_planned_at": datetime(2026, 11, 20, 8, 15, 30),  # noqa: DTZ001
            "last_finished_at": datetime(2026, 11, 20, 9, 2, 3),  # noqa: DTZ001
        }
    ]
    parts = rows_of(results, "FROM mart_composition WHERE cell_id = 'tuned' ORDER BY ability")
    shared = {"study": "demo", "cell_id": "tuned", "data_source": "human"}
    assert parts == [
        shared | {"ability": "code", "n_examples": 15},
        shared | {"ability": "math", "n_examples": 16},
    ]
    log = rows_of(results, "FROM fact_training_log WHERE cell_id = 'tuned' ORDER BY step")
    assert log[1] == {
        "cell_id": "tuned",
        "attempt": 2,
        "is_counted": True,
        "step": 2,
        "epoch": 1.0,
        "loss": 1.0,
        "learning_rate": 0.005,
        "grad_norm": 0.75,
        "n_tokens": 200,
        "seconds": 3.0,
    }
    assert log[0]["grad_norm"] is None  # NaN has landed
    item = "WHERE cell_id = 'tuned' AND item_id = 'math-item-3'"
    assert rows_of(results, f"FROM fact_item_score {item}") == [
        {
            "cell_id": "tuned",
            "task": "task-math",
            "ability": "math",
            "metric": "accuracy",
            "item_id": "math-item-3",
            "score": None,
            "parsed": False,
            "response": "B",
            "missing_reason": "no reply",
            "higher_is_better": True,
            "scoring_rule": "letter",
            "chance_level": 0.25,
            "chance_level_uniform": 0.125,
            "prompt_hash": "prompt-3",
            "target_hash": "target-3",
        }
    ]
    choice = {"cell_id": "tuned", "task": "task-math", "metric": "accuracy"}
    assert rows_of(results, f"FROM fact_choice_log_likelihood {item} ORDER BY choice") == [
        choice | {"item_id": "math-item-3", "choice": 1, "log_likelihood": -1.5, "n_tokens": 3},
        choice | {"item_id": "math-item-3", "choice": 2, "log_likelihood": -2.5, "n_tokens": 4},
    ]
    assert rows_of(results, "FROM stg_item WHERE item_id = 'math-item-3'") == [
        {
            "item_id": "math-item-3",
            "task": "task-math",
            "ability": "math",
            "prompt": '[{"role": "user", "content": "math question 3"}]',
            "target": "answer 3",
            "choices": ["A", "B"],
        }
    ]


def test_the_latest_done_attempt_counts_else_the_last_failed(landing: Landing) -> None:
    landing.plan("demo", [landing.cell(name) for name in ("a", "b")])
    landing.scores("a", landing.score_rows("a", {"math": [1.0]}))
    landing.run("a", attempt=1, train_loss=0.5)
    landing.run("a", attempt=2, train_loss=0.25)
    landing.failure("a", attempt=3)
    landing.failure("b", attempt=1, reason="first")
    landing.failure("b", attempt=2, reason="second")
    ingest(landing.workspace)
    query = "SELECT status, attempt, n_attempts, train_loss, failure_reason FROM mart_cell"
    assert [tuple(row.values()) for row in rows_of(landing.workspace, f"{query} ORDER BY ALL")] == [
        ("done", 2, 3, 0.25, None),
        ("failed", 2, 2, None, "second"),
    ]


def test_studies_share_cells_and_unite_their_plans(landing: Landing) -> None:
    later = datetime(2026, 11, 21, 7, tzinfo=UTC)
    shared = landing.cell("shared")
    landing.plan("first", [shared])
    renamed = landing.cell("shared", label="new label")
    landing.plan("first", [renamed, landing.cell("more")], stem="first-2", created_at=later)
    landing.plan("second", [shared], resistant_delta=None, notice=None)
    landing.finished_cell("shared", {"math": [1.0]})
    ingest(landing.workspace)
    cells = rows_of(landing.workspace, "SELECT study, cell_id, label FROM mart_cell ORDER BY ALL")
    assert [tuple(row.values()) for row in cells] == [
        ("first", "more", "label of more"),
        ("first", "shared", "new label"),
        ("second", "shared", "label of shared"),
    ]
    scores = rows_of(landing.workspace, "SELECT study FROM mart_ability_score ORDER BY study")
    assert [row["study"] for row in scores] == ["first", "second"]
    times = rows_of(landing.workspace, "SELECT created_at, last_planned_at FROM mart_study")
    assert times[0]["last_planned_at"].day == 21 and times[0]["created_at"].day == 20


def test_scores_count_only_once_the_run_is_done(landing: Landing) -> None:
    landing.plan("demo", [landing.cell("a")])
    landing.scores("a", landing.score_rows("a", {"math": [1.0]}))
    ingest(landing.workspace)
    assert rows_of(landing.workspace, "FROM mart_ability_score") == []
    landing.run("a")
    ingest(landing.workspace)
    assert len(rows_of(landing.workspace, "FROM mart_ability_score")) == 1
    assert len(rows_of(landing.workspace, "FROM fact_item_score")) == 1


def test_imported_scores_count_with_their_latest_import(landing: Landing) -> None:
    cell = landing.cell(
        "curve-10",
        design="imported",
        composition=(CompositionPart(data_source="web", ability="unlabelled", n_examples=10),),
        data_source="web",
        model_family="OPT",
    )
    landing.plan("curves", [cell], out_of_domain=())
    landing.whole_score("first", "curve-10", 2.5)
    assert ingest(landing.workspace).n_rows == 2
    # The import's own record comes last: until then nothing of it counts.
    assert rows_of(landing.workspace, "FROM mart_ability_score") == []
    landing.imported("first", "curves", cells=["curve-10"])
    landing.whole_score("second", "curve-10", 2.25, stderr=0.5, n_items=40, chance_level=None)
    later = datetime(2026, 11, 22, tzinfo=UTC)
    landing.imported("second", "curves", cells=["curve-10"], imported_at=later)
    ingest(landing.workspace)
    (row,) = rows_of(landing.workspace, "FROM mart_ability_score")
    assert (row["score"], row["stderr"], row["n_items"], row["n_scored"]) == (2.25, 0.5, 40, 40)
    assert (row["n_examples_own"], row["n_examples_total"]) == (10, 10)
    assert (row["metric"], row["higher_is_better"], row["item_hash"]) == ("loss", False, None)
    (cell_row,) = rows_of(landing.workspace, "FROM mart_cell")
    assert (cell_row["status"], cell_row["n_tokens"], cell_row["model_family"]) == (
        "done",
        1234,
        "OPT",
    )
    imports = rows_of(landing.workspace, "FROM dim_import ORDER BY imported_at")
    assert [row["import_id"] for row in imports] == ["first", "second"]
    runs = rows_of(landing.workspace, "FROM dim_run ORDER BY finished_at")
    assert [(row["import_id"], row["is_counted"]) for row in runs] == [
        ("first", False),
        ("second", True),
    ]


def test_an_excluded_cell_is_flagged_until_it_is_taken_back(landing: Landing) -> None:
    landing.demo()
    landing.exclusion("tuned", "wrong data", day=21)
    landing.exclusion("nobody", "a cell that no plan names", day=21)
    ingest(landing.workspace)
    query = "SELECT DISTINCT cell_id, excluded_reason FROM mart_ability_score ORDER BY cell_id"
    assert [tuple(row.values()) for row in rows_of(landing.workspace, query)] == [
        ("base", None),
        ("tuned", "wrong data"),
    ]
    assert rows_of(landing.workspace, "SELECT n_excluded FROM mart_study") == [{"n_excluded": 1}]
    landing.exclusion("tuned", "it was right", day=22, excluded=False)
    ingest(landing.workspace)
    assert [row["excluded_reason"] for row in rows_of(landing.workspace, query)] == [None, None]


def test_tasks_of_an_ability_are_pooled_over_their_items(landing: Landing) -> None:
    landing.plan("demo", [landing.cell("one")])
    rows = landing.score_rows("one", {"math": [1.0, 0.0, 1.0, 1.0]})
    rows += [landing.score_row("one", "math", 10 + n, 0.0, task="task-2") for n in range(2)]
    landing.scores("one", rows)
    landing.run("one")
    ingest(landing.workspace)
    (row,) = rows_of(landing.workspace, "FROM mart_ability_score")
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert (row["score"], row["n_items"]) == (pytest.approx(0.5), 6)
    assert row["stderr"] == pytest.approx(stdev(values) / 6**0.5)
    tasks = rows_of(landing.workspace, "SELECT task, score FROM fact_task_score ORDER BY task")
    assert tasks == [{"task": "task-2", "score": 0.0}, {"task": "task-math", "score": 0.75}]
