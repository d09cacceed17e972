"""The example queries, on a study whose answers are known by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.warehouse.conftest import Landing
from warehouse import open_latest
from warehouse.ad_hoc import run_select
from warehouse.errors import InputError
from warehouse.examples import list_questions, load_example
from warehouse.ingest import ingest
from warehouse.landing import write_document
from warehouse.records import (
    CellRecord,
    CompositionPart,
    ExclusionRecord,
    ItemFlag,
    ItemFlagRecord,
    RecordKind,
)
from warehouse.workspace import open_workspace

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
N_ITEMS = 20
N_PARAMS = {"small": 100, "large": 200}

# Right answers out of 20 in maths, code and the exam.
BASE = {"small": (4, 10, 5), "large": (6, 12, 6)}
TRAINED = {
    ("small", "human", 20, 0): (8, 10, 5),
    ("small", "human", 20, 1): (10, 10, 7),
    ("small", "human", 80, 0): (14, 11, 9),
    ("small", "human", 80, 1): (16, 9, 11),
    # Excluded: no answer may move because of it.
    ("small", "human", 80, 2): (0, 0, 0),
    ("small", "synthetic", 20, 0): (6, 10, 5),
    ("small", "synthetic", 20, 1): (8, 10, 5),
    ("small", "synthetic", 80, 0): (10, 10, 6),
    ("small", "synthetic", 80, 1): (10, 10, 6),
    ("large", "human", 20, 0): (12, 12, 8),
    ("large", "human", 80, 0): (18, 14, 12),
}
MIXTURES = {
    ("lean", 0): (10, 10, 6),
    ("lean", 1): (12, 12, 8),
    ("rich", 0): (14, 10, 10),
    ("rich", 1): (16, 12, 12),
}


def make_study(landing: Landing) -> None:
    cells: list[CellRecord] = []

    def add(cell: CellRecord, right: tuple[int, int, int] | None, **run: Any) -> None:
        cells.append(cell)
        if right is None:
            return
        rows = []
        for ability, count in zip(("math", "code", "exam"), right, strict=True):
            for number in range(N_ITEMS):
                row = landing.score_row(cell.cell_id, ability, number, float(number < count))
                # The untouched small model answers half of the maths in no valid form.
                if cell.cell_id == "base-small" and ability == "math":
                    row["parsed"] = number < N_ITEMS // 2
                rows.append(row)
        landing.scores(cell.cell_id, rows)
        landing.run(cell.cell_id, wall_seconds=55.0, cost=0.55, **run)

    for model, right in BASE.items():
        base = landing.base_cell(f"base-{model}", base_model=model, n_params=N_PARAMS[model])
        add(base, right)
    for (model, source, volume, seed), right in TRAINED.items():
        add(trained(landing, model, source, volume, seed), right)
    for name, rule, right in (
        ("single-steps", {"steps": 30, "epochs": None}, (9, 8, 5)),
        ("single-epochs", {"steps": None, "epochs": 4.0}, (7, 10, 6)),
    ):
        single = trained(
            landing,
            *("small", "human", 20, 0),
            cell_id=name,
            design="single_ability",
            design_target="math",
            composition=(CompositionPart(data_source="human", ability="math", n_examples=20),),
            training=rule,
        )
        add(single, right)
    for (name, seed), right in MIXTURES.items():
        changes = {"cell_id": f"{name}-{seed}", "design": "mixture", "design_target": name}
        add(trained(landing, "small", "human", 80, seed, **changes), right)
    add(trained(landing, "large", "human", 80, 1), None)
    landing.failure("large-human-80-1", reason="out of memory")
    add(trained(landing, "large", "human", 80, 2), None)
    landing.plan("known", cells)
    landing.items("items", {"math": N_ITEMS, "code": N_ITEMS, "exam": N_ITEMS})
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    record = ExclusionRecord(cell_id="small-human-80-2", reason="bad disk", created_at=moment)
    write_document(landing.workspace, RecordKind.EXCLUSION, "small-human-80-2-1", record)
    # The earlier check flagged other items: only the latest one counts.
    for hour, flagged in enumerate((range(20), range(5))):
        flags = ItemFlagRecord(
            study="known",
            created_at=moment.replace(hour=hour),
            items=tuple(
                ItemFlag(
                    item_id=landing.score_row("c", "math", number, 1.0)["item_id"],
                    sign="question",
                    overlap=1.0,
                    n_training=1,
                    data_source="human",
                    training_item_id="t",
                )
                for number in flagged
            ),
        )
        write_document(landing.workspace, RecordKind.ITEM_FLAG, f"known-{hour}", flags)


def trained(
    landing: Landing, model: str, source: str, volume: int, seed: int, **changes: Any
) -> CellRecord:
    parts = tuple(
        CompositionPart(data_source=source, ability=ability, n_examples=volume // 2)
        for ability in ("math", "code")
    )
    fields: dict[str, Any] = {
        "cell_id": f"{model}-{source}-{volume}-{seed}",
        "base_model": model,
        "n_params": N_PARAMS[model],
        "data_source": source,
        "composition": parts,
        "composition_id": f"{source}-{volume}",
        "volume_setting": volume // 2,
        "seed": seed,
    }
    return landing.cell(**(fields | changes))


@pytest.fixture(scope="module")
def conn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    workspace = open_workspace(tmp_path_factory.mktemp("examples") / "workspace", create=True)
    make_study(Landing(workspace))
    report = ingest(workspace)
    assert not report.quarantined, report.quarantined
    with open_latest(workspace) as opened:
        yield opened


def answer(conn: duckdb.DuckDBPyConnection, name: str, **wanted: Any) -> list[dict[str, Any]]:
    """Rows of an example, of those whose columns have the wanted values."""
    result = run_select(conn, load_example(name), row_limit=1000, time_limit_seconds=30)
    assert not result.truncated
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def one(conn: duckdb.DuckDBPyConnection, name: str, **wanted: Any) -> dict[str, Any]:
    (row,) = answer(conn, name, **wanted)
    return row


def pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_gain_by_ability(conn: duckdb.DuckDBPyConnection) -> None:
    found = {
        (row["base_model"], row["data_source"], row["ability"]): pick(
            row, "n_examples_total", "n_runs", "base_score", "score", "gain"
        )
        for row in answer(conn, "gain_by_ability")
    }
    assert len(found) == 9
    assert found["small", "human", "math"] == (80, 2, 0.2, 0.75, 0.55)
    assert found["small", "human", "code"] == (80, 2, 0.5, 0.5, 0.0)
    assert found["small", "synthetic", "math"] == (80, 2, 0.2, 0.5, 0.3)
    assert found["large", "human", "math"] == (80, 1, 0.3, 0.9, 0.6)


def test_last_doubling(conn: duckdb.DuckDBPyConnection) -> None:
    wanted = {"base_model": "small", "ability": "math"}
    human = one(conn, "last_doubling", data_source="human", **wanted)
    # From 20 to 80 are two doublings.
    assert pick(human, "previous_n_examples", "n_examples_total", "gain_per_doubling") == (
        20,
        80,
        0.15,
    )
    synthetic = one(conn, "last_doubling", data_source="synthetic", **wanted)
    assert synthetic["gain_per_doubling"] == 0.075


def test_scale_at_equal_volume(conn: duckdb.DuckDBPyConnection) -> None:
    wanted = {"ability": "math", "base_model": "large"}
    row = one(conn, "scale_at_equal_volume", n_examples_total=80, **wanted)
    assert pick(row, "score", "gain_over_smaller") == (0.9, 0.15)
    base = one(conn, "scale_at_equal_volume", n_examples_total=0, **wanted)
    assert pick(base, "data_source", "gain_over_smaller") == (None, 0.1)
    smallest = answer(conn, "scale_at_equal_volume", base_model="small")
    assert {row["gain_over_smaller"] for row in smallest} == {None}


def test_human_minus_synthetic(conn: duckdb.DuckDBPyConnection) -> None:
    row = one(conn, "human_minus_synthetic", ability="math", n_examples_total=80)
    # Differences of 4/20 and 6/20; the excluded run has no partner either.
    assert pick(row, "base_model", "n_pairs", "human_minus_synthetic", "stderr") == (
        "small",
        2,
        0.25,
        0.05,
    )


def test_transfer_from_one_ability(conn: duckdb.DuckDBPyConnection) -> None:
    rows = answer(conn, "transfer_from_one_ability")
    effects = {(row["length_rule"], row["target_ability"]): row["effect"] for row in rows}
    assert effects == {
        ("steps", "math"): 0.25,
        ("steps", "code"): -0.1,
        ("steps", "exam"): 0.0,
        ("epochs", "math"): 0.15,
        ("epochs", "code"): 0.0,
        ("epochs", "exam"): 0.05,
    }
    assert len(rows) == len(effects) and {row["n_runs"] for row in rows} == {1}


def test_composition(conn: duckdb.DuckDBPyConnection) -> None:
    single = one(conn, "composition", label="label of single-steps")
    assert pick(single, "ability", "n_examples", "share") == ("math", 20, 1.0)
    halves = answer(conn, "composition", label="label of small-synthetic-80-1")
    assert [pick(row, "ability", "n_examples", "share") for row in halves] == [
        ("code", 40, 0.5),
        ("math", 40, 0.5),
    ]


def test_first_volume_at_target(conn: duckdb.DuckDBPyConnection) -> None:
    found = {
        (row["base_model"], row["data_source"], row["ability"]): row["first_n_examples"]
        for row in answer(conn, "first_volume_at_target")
    }
    assert found["small", "human", "math"] == 80
    assert found["small", "human", "code"] == 20
    assert found["large", "human", "math"] == 20
    assert found["small", "synthetic", "exam"] is None


def test_cost_per_point(conn: duckdb.DuckDBPyConnection) -> None:
    row = one(
        conn,
        "cost_per_point",
        base_model="small",
        data_source="human",
        design="all_abilities",
        n_examples_total=80,
    )
    # Maths gains 10 and 12 of 20, code 1 and -1; the exam is out of domain.
    assert pick(row, "n_runs", "points", "seconds") == (2, 27.5, 55.0)
    assert pick(row, "seconds_per_point", "cost_per_point") == (2.0, 0.02)


def test_failed_or_pending(conn: duckdb.DuckDBPyConnection) -> None:
    names = ("cell_id", "state", "failure_stage", "reason")
    assert [pick(row, *names) for row in answer(conn, "failed_or_pending")] == [
        ("small-human-80-2", "excluded", None, "bad disk"),
        ("large-human-80-1", "failed", "train", "out of memory"),
        ("large-human-80-2", "pending", None, None),
    ]


def test_mixtures(conn: duckdb.DuckDBPyConnection) -> None:
    names = ("mixture", "n_runs", "macro_score", "against_mean_of_mixtures", "stderr")
    inside = answer(conn, "mixtures", out_of_domain=False)
    # Each seed has its own level, and the same difference.
    assert [pick(row, *names) for row in inside] == [
        ("rich", 2, 0.65, 0.05, 0.0),
        ("lean", 2, 0.55, -0.05, 0.0),
    ]
    outside = answer(conn, "mixtures", out_of_domain=True)
    assert [pick(row, "mixture", "macro_score") for row in outside] == [
        ("rich", 0.55),
        ("lean", 0.35),
    ]


def test_parse_rate(conn: duckdb.DuckDBPyConnection) -> None:
    rows = answer(conn, "parse_rate")
    assert pick(rows[0], "base_model", "ability", "n_examples_total", "parse_rate") == (
        "small",
        "math",
        0,
        0.5,
    )
    assert {row["parse_rate"] for row in rows[1:]} == {1.0}


def test_overall_score(conn: duckdb.DuckDBPyConnection) -> None:
    wanted = {"base_model": "small", "data_source": "human", "n_examples_total": 80}
    inside = one(conn, "overall_score", out_of_domain=False, **wanted)
    assert pick(inside, "n_abilities", "n_runs", "macro_score") == (2, 2, 0.625)
    outside = one(conn, "overall_score", out_of_domain=True, **wanted)
    assert pick(outside, "n_abilities", "n_runs", "macro_score") == (1, 2, 0.5)


def test_scores_without_flagged(conn: duckdb.DuckDBPyConnection) -> None:
    rows = answer(conn, "scores_without_flagged")
    assert {row["ability"] for row in rows} == {"math"}
    wanted = {"base_model": "small", "data_source": "human", "n_examples_total": 80}
    row = one(conn, "scores_without_flagged", **wanted)
    # 14 and 16 of 20 are right, the five flagged ones among them: 9 and 11 of 15 without them.
    assert pick(row, "n_runs", "n_items", "n_flagged") == (2, 20, 5)
    assert pick(row, "score", "score_unflagged", "change") == (0.75, 0.6667, -0.0833)


def test_an_example_is_found_by_name_and_number() -> None:
    first, question = list_questions()[0]
    assert first == "01_gain_by_ability" and question.endswith("?")
    assert load_example("01") == load_example("gain_by_ability") == load_example(first)
    with pytest.raises(InputError, match="did you mean 01_gain_by_ability"):
        load_example("gain_by_abilities")
    with pytest.raises(InputError, match="no example 'zzz'"):
        load_example("zzz")


def test_the_page_shows_every_example_as_it_is() -> None:
    text = PAGE.read_text("utf-8")
    shown = dict(re.findall(r"### (\S+)\n.*?```sql\n(.*?)```", text, re.DOTALL))
    assert shown == {name: load_example(name) for name, _ in list_questions()}
    assert len(shown) >= 10
