"""The typed reads of the app: filters, order and types."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pytest

from warehouse import open_latest, queries
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.item_matrix import load_item_matrix
from warehouse.workspace import Workspace


@pytest.fixture(scope="module")
def conn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a workspace in which two studies share a cell."""
    from tests.warehouse.conftest import Landing

    landing = Landing(Workspace(root=tmp_path_factory.mktemp("queries") / "workspace"))
    landing.demo()
    cell = landing.cell("synth", base_model="ladder-s", n_params=100, data_source="synthetic")
    landing.plan("other", [cell, landing.cell("tuned")])
    landing.finished_cell("synth", {"math": [0.0], "code": [1.0]})
    ingest(landing.workspace)
    with open_latest(landing.workspace) as opened:
        yield opened


def test_studies_and_cells(conn: duckdb.DuckDBPyConnection) -> None:
    studies = queries.load_studies(conn)
    assert studies["study"].tolist() == ["demo", "other"]
    assert list(studies["abilities"][1]) == ["code", "exam", "math"]
    cells = queries.load_cells(conn, study="demo")
    assert len(cells) == 4
    assert cells.set_index("cell_id").loc["base", "seed"] is not None
    assert str(cells["seed"].dtype) == "Int64" and cells["seed"].isna().sum() == 1
    assert str(cells["n_optimizer_steps"].dtype) == "Int64"
    # All NULL here, and still text.
    assert str(cells["design_target"].dtype) == "str"
    assert len(queries.load_cells(conn)) == 6


def test_ability_scores_are_filtered(conn: duckdb.DuckDBPyConnection) -> None:
    def found(**filters: str | list[str]) -> list[tuple[str, ...]]:
        frame = queries.load_ability_scores(conn, **filters)
        rows = frame[["study", "cell_id", "ability"]].itertuples(index=False)
        return sorted(tuple(row) for row in rows)

    assert len(found()) == 8
    assert found(study="demo", ability="math") == [
        ("demo", "base", "math"),
        ("demo", "tuned", "math"),
    ]
    assert found(base_model="ladder-s") == [("other", "synth", "code"), ("other", "synth", "math")]
    # Base cells have no source and are where every source's curve starts.
    assert found(data_source="synthetic", ability=["math", "code"]) == [
        ("demo", "base", "math"),
        ("other", "synth", "code"),
        ("other", "synth", "math"),
    ]
    assert found(study=["demo", "other"], ability="code") == [("other", "synth", "code")]
    assert found(metric="loss") == []
    assert found(study=[]) == []
    assert found(study="x' OR '1'='1") == []


def test_item_scores_belong_to_ability_scores(conn: duckdb.DuckDBPyConnection) -> None:
    items = queries.load_item_scores(conn, ability="math", base_model="ladder-m")
    assert list(items.columns) == ["cell_id", "ability", "metric", "item_id", "score"]
    # Both studies hold the cell `tuned`; its items come once.
    assert items["cell_id"].tolist() == ["base"] * 4 + ["tuned"] * 4
    assert items["score"].isna().tolist() == [False] * 7 + [True]
    scores = queries.load_ability_scores(conn, study="demo", ability="math")
    means = items.groupby("cell_id")["score"].mean()
    assert means.to_dict() == dict(zip(scores["cell_id"], scores["score"], strict=True))
    assert len(queries.load_item_scores(conn)) == 4 + 2 + 4 + 2 + 2


def test_item_matrices_hold_the_same_scores_as_rows_do(conn: duckdb.DuckDBPyConnection) -> None:
    rows = queries.load_item_scores(conn, study="demo", ability="math", base_model="ladder-m")
    wide = rows.pivot(index="cell_id", columns="item_id", values="score")
    matrix = load_item_matrix(
        conn, ability="math", metric="accuracy", study=["demo"], base_model=["ladder-m"]
    )
    assert matrix.cells == tuple(wide.index) and matrix.items == tuple(wide.columns)
    np.testing.assert_array_equal(matrix.scores, wide.to_numpy())
    chosen = matrix.select(["tuned", "unknown"])
    assert chosen is not None
    scores, items = chosen
    assert items == tuple(wide.columns[wide.loc["tuned"].notna()])
    np.testing.assert_array_equal(scores[0], wide.loc["tuned"].dropna())
    assert np.isnan(scores[1]).all()
    nothing = load_item_matrix(
        conn, ability="math", metric="loss", study=["demo"], base_model=["ladder-m"]
    )
    assert nothing.cells == () and nothing.select(["tuned"]) is None


def test_training_log_and_compositions(conn: duckdb.DuckDBPyConnection) -> None:
    log = queries.load_training_log(conn, cell_id="tuned")
    assert log[["attempt", "step", "loss"]].to_numpy().tolist() == [[2, 1, 2.0], [2, 2, 1.0]]
    assert queries.load_training_log(conn, cell_id="nobody").empty
    parts = queries.load_compositions(conn, study="other")
    assert parts.groupby("cell_id")["n_examples"].sum().to_dict() == {"synth": 31, "tuned": 31}


def test_threads_may_share_a_connection(conn: duckdb.DuckDBPyConnection) -> None:
    def count(ability: str) -> int:
        return len(queries.load_item_scores(conn, ability=ability))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, ["math", "exam", "code"] * 8)) == [9, 4, 1] * 8


def test_a_snapshot_of_another_version_says_what_to_do() -> None:
    with duckdb.connect() as conn:
        conn.execute("CREATE TABLE mart_study (name VARCHAR)")
        with pytest.raises(WorkError, match=r"python cli\.py ingest"):
            queries.load_cells(conn)
