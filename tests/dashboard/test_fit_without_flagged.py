"""`fit --without-flagged`: curves as if the items that `data check` flagged had not been asked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dashboard import commands
from dashboard.evidence import leave_out_flagged, load_curves
from tests.dashboard.made_study import BEGAN, make_workspace, small_shape
from tests.dashboard.page_runs import RunPage, run_page
from warehouse.connection import open_latest
from warehouse.ingest import ingest
from warehouse.landing import write_document
from warehouse.records import ItemFlag, ItemFlagRecord, RecordKind
from warehouse.workspace import Workspace

FLAGGED = 5

__all__ = ["run_page"]

app = typer.Typer()
commands.register(app)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study with five flagged items of code, and one without any."""
    shapes = small_shape(), small_shape(study="clean", abilities=("code",), exams=())
    made = make_workspace(tmp_path_factory.mktemp("made") / "workspace", *shapes)
    flags = ItemFlagRecord(
        study="quickstart",
        created_at=BEGAN,
        items=tuple(
            ItemFlag(
                item_id=f"code-{number}",
                sign="question",
                overlap=1.0,
                n_training=1,
                data_source="human",
                training_item_id="t",
            )
            for number in range(FLAGGED)
        ),
    )
    write_document(made, RecordKind.ITEM_FLAG, "flags", flags)
    ingest(made)
    return made


@pytest.fixture
def conn(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with contextlib.closing(open_latest(workspace)) as opened:
        yield opened


def fit(workspace: Workspace, *options: str) -> dict[str, Any]:
    arguments = ["fit", "--workspace", str(workspace.root), "--replicates", "60", "--study"]
    result = CliRunner().invoke(app, [*arguments, "quickstart", "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_scores_and_errors_are_those_of_the_other_items(conn) -> None:
    curves = load_curves(conn, studies=["quickstart"])
    for before, after in zip(curves, leave_out_flagged(conn, curves), strict=True):
        if before.ability != "code":
            assert after is before
            continue
        flagged = {f"code-{number}" for number in range(FLAGGED)}
        assert set(after.item_ids) == set(before.item_ids) - flagged
        columns = [i for i, name in enumerate(before.item_ids) if name not in flagged]
        items = before.item_scores[:, columns]
        assert set(after.n_items) == {60 - FLAGGED}
        np.testing.assert_allclose(after.score, items.mean(axis=1))
        np.testing.assert_allclose(after.stderr, items.std(axis=1, ddof=1) / np.sqrt(55))


def test_they_agree_with_the_warehouse(conn) -> None:
    marts = dict(
        conn.execute(
            "SELECT cell_id, score_unflagged FROM mart_flagged_score WHERE metric = 'accuracy'"
        ).fetchall()
    )
    curves = leave_out_flagged(conn, load_curves(conn, studies=["quickstart"]))
    code = [curve for curve in curves if curve.ability == "code"]
    assert len(code) == 4
    for curve in code:
        expected = [marts[cell] for cell in curve.cell_id]
        np.testing.assert_allclose(curve.score, expected)


def test_a_study_without_flags_is_left_as_it_is(conn) -> None:
    curves = load_curves(conn, studies=["clean"])
    assert leave_out_flagged(conn, curves) == curves


def test_curves_without_item_scores_are_no_longer_valid(conn) -> None:
    # Their means hold the flagged items, and nothing can take those out.
    (first, *_) = load_curves(conn, studies=["quickstart"])
    (after,) = leave_out_flagged(conn, [replace(first, item_scores=None, item_ids=None)])
    assert "no item scores" in after.invalid_reason


def test_the_command_says_so_and_keeps_both_fits(workspace: Workspace) -> None:
    plain = fit(workspace)
    without = fit(workspace, "--without-flagged")
    assert (plain["without_flagged"], without["without_flagged"]) == (False, True)
    stored = sorted(Path(workspace.fits).glob("*.parquet"))
    assert len(stored) == 2
    for before, after in zip(plain["curves"], without["curves"], strict=True):
        # Other abilities share the study's pooled noise only.
        if before["ability"] == "code":
            assert before["score_last"] != after["score_last"]
    assert fit(workspace, "--without-flagged") == without
    assert sorted(Path(workspace.fits).glob("*.parquet")) == stored


def test_the_overview_names_the_command(run_page: RunPage, workspace: Workspace) -> None:
    app = run_page(workspace.root, "overview", study="quickstart")
    (told,) = [one.value for one in app.warning if "given away" in one.value]
    assert "5 test items" in told
    assert "python cli.py fit --study quickstart --without-flagged" in told.replace("\\", "")
