"""Excluding a cell: found by name, recorded with a reason, published, taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from warehouse import commands, open_latest
from warehouse.errors import InputError
from warehouse.exclusion import MAX_REASON, exclude_cell, find_cell
from warehouse.ingest import ingest
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

APP = typer.Typer()
commands.register(APP)


def reasons(workspace: Workspace, mart: str) -> dict[str, str | None]:
    with open_latest(workspace) as conn:
        return dict(conn.table(mart).project("cell_id, excluded_reason").fetchall())


def test_a_cell_is_excluded_and_taken_back(demo: Workspace) -> None:
    arguments = ["exclude", "tuned", "--workspace", str(demo.root)]
    result = CliRunner().invoke(APP, [*arguments, "--reason", " bad  disk "])
    assert "label of tuned (tuned) is excluded: bad  disk." in result.stdout, result.output
    assert reasons(demo, "mart_cell") == {
        "base": None,
        "tuned": "bad  disk",
        "broken": None,
        "waiting": None,
    }
    assert reasons(demo, "mart_ability_score") == {"base": None, "tuned": "bad  disk"}
    undone = CliRunner().invoke(APP, [*arguments, "--undo", "--json"])
    document = json.loads(undone.stdout)
    assert (document["cell_id"], document["excluded"], document["is_new"]) == ("tuned", False, True)
    assert Path(document["snapshot"]).is_file()
    assert set(reasons(demo, "mart_cell").values()) == {None}
    # Nothing is overwritten: the history stays.
    assert len(list((demo.landing / "exclusion").iterdir())) == 2


def test_the_same_exclusion_again_lands_nothing(demo: Workspace) -> None:
    assert exclude_cell(demo, "tuned", "bad disk").is_new
    assert not exclude_cell(demo, "tuned", "bad disk").is_new
    assert exclude_cell(demo, "tuned", "worse disk").is_new
    assert exclude_cell(demo, "tuned", None, undo=True).is_new
    assert exclude_cell(demo, "tuned", "bad disk").is_new


def test_a_cell_whose_id_begins_with_anothers_is_not_mixed_up(landing: Landing) -> None:
    landing.plan("demo", [landing.cell("cell-1"), landing.cell("cell-1-b")])
    exclude_cell(landing.workspace, "cell-1-b", "bad disk")
    with pytest.raises(InputError, match="is not excluded"):
        exclude_cell(landing.workspace, "cell-1", None, undo=True)


def test_cells_are_found_by_id_start_and_label(landing: Landing) -> None:
    landing.plan(
        "demo",
        [
            landing.cell("aaaa1", label="one"),
            landing.cell("aaaa2", label="two"),
            landing.cell("bbbb", label="aaaa1"),
            landing.cell("bbbbb", label="two"),
        ],
    )
    workspace = landing.workspace
    assert find_cell(workspace, "one") == ("aaaa1", "one")
    # An id goes before a label, and a whole id before the start of another.
    assert find_cell(workspace, "aaaa1") == ("aaaa1", "one")
    assert find_cell(workspace, "bbbb") == ("bbbb", "aaaa1")
    assert find_cell(workspace, "bbbbb")[0] == "bbbbb"
    for name in ("aaaa", "two"):
        with pytest.raises(InputError, match="means 2 cells"):
            find_cell(workspace, name)
    with pytest.raises(InputError, match=r"no cell 'aaaaa1'.*The nearest: aaaa1"):
        find_cell(workspace, "aaaaa1")
    with pytest.raises(InputError, match="no cell 'bbb'"):
        find_cell(workspace, "bbb")


def test_cells_of_the_snapshot_are_known_where_their_plan_is_gone(demo: Workspace) -> None:
    ingest(demo)
    for path in (demo.landing / "plan").iterdir():
        path.unlink()
    assert find_cell(demo, "tuned") == ("tuned", "label of tuned")


def test_an_empty_workspace_has_no_cell(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="holds no cell yet"):
        exclude_cell(workspace, "tuned", "bad disk")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (None, "needs its reason"),
        ("  ", "is empty"),
        ("x" * (MAX_REASON + 1), "has 501 characters"),
        ("two\nlines", "control character"),
        ("bell\x07", "control character"),
        ("turned \u202e around", "control character"),
        ("half \udcff", "control character"),
    ],
)
def test_reasons_must_be_fit_to_be_shown(demo: Workspace, reason: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        exclude_cell(demo, "tuned", reason)
    assert not (demo.landing / "exclusion").exists()
