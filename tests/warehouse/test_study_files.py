"""One study packed alone: all that makes its results, and nothing of any other study."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from warehouse import commands, open_latest
from warehouse.archive import export_landing, import_landing
from warehouse.errors import InputError, LandingError
from warehouse.ingest import ingest
from warehouse.landing import write_document, write_table
from warehouse.records import TABLES, ItemFlag, ItemFlagRecord, RecordKind
from warehouse.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

APP = typer.Typer()
commands.register(APP)

SHARED = {
    "plan/demo-1.json",
    "item/items.parquet",
    "run/base-1.json",
    "item_score/base.parquet",
    "training_log/base-1.parquet",
    "run/tuned-1.json",
    "run/tuned-2.json",
    "item_score/tuned.parquet",
    "training_log/tuned-2.parquet",
    "run/broken-1.json",
    "exclusion/tuned-21.json",
    "generation/tuned-replies.parquet",
    "judge_vote/v1.parquet",
    "item/voted.parquet",
    "item_flag/demo-flags.json",
    "item/flagged.parquet",
}
OTHERS = {
    "plan/other-1.json",
    "run/lonely-1.json",
    "item_score/lonely.parquet",
    "training_log/lonely-1.parquet",
    "item/other-items.parquet",
    "exclusion/lonely-21.json",
    "generation/lonely-replies.parquet",
    "judge_vote/v2.parquet",
    "item_flag/other-flags.json",
    "run/unplanned-1.json",
}
IMPORTED = {"plan/past-1.json", "import/imp-1.json", "score/imp-cell-imp-1.parquet"}


def flag(landing: Landing, study: str, item_id: str) -> None:
    record = ItemFlagRecord(
        study=study,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        items=(
            ItemFlag(
                item_id=item_id,
                sign="question",
                overlap=1.0,
                n_training=1,
                data_source="human",
                training_item_id="t",
            ),
        ),
    )
    write_document(landing.workspace, RecordKind.ITEM_FLAG, f"{study}-flags", record)


def reply(landing: Landing, cell_id: str, item_id: str) -> None:
    row: dict[str, Any] = {
        "cell_id": cell_id,
        "item_id": item_id,
        "ability": "math",
        "prompt_hash": "p",
        "max_new_tokens": 32,
        "reply": "four",
    }
    table = pa.Table.from_pylist([row], schema=TABLES[RecordKind.GENERATION])
    write_table(landing.workspace, RecordKind.GENERATION, f"{cell_id}-replies", table)


@pytest.fixture
def studies(demo: Workspace, landing: Landing) -> Workspace:
    """`demo` and `other` share the base cell; `past` was imported; a run belongs to nobody."""
    landing.plan("other", [landing.base_cell("base"), landing.cell("lonely")])
    landing.finished_cell("lonely", {"history": [1.0, 0.0]})
    landing.items("other-items", {"history": 2})
    landing.items("voted", {"chat": 1})
    landing.items("flagged", {"trivia": 1})
    for cell in ("tuned", "lonely"):
        landing.exclusion(cell, "bad disk", day=21)
    reply(landing, "tuned", "math-item-0")
    reply(landing, "lonely", "history-item-0")
    landing.vote("v1", item_id="chat-item-0")
    landing.vote("v2", study="other", item_id="history-item-0", model_a="lonely")
    flag(landing, "demo", "trivia-item-0")
    flag(landing, "other", "history-item-0")
    landing.run("unplanned")
    landing.plan("past", [landing.cell("imp-cell", design="imported")])
    landing.imported("imp-1", "past", cells=("imp-cell",))
    landing.whole_score("imp-1", "imp-cell", 1.5)
    return demo


def packed(workspace: Workspace, study: str, out: Path) -> set[str]:
    return {
        file.path.removeprefix("landing/") for file in export_landing(workspace, out, study=study)
    }


def rows_of(workspace: Workspace, study: str) -> dict[str, list[Any]]:
    """What people read of a study."""
    names = (
        "mart_study",
        "mart_cell",
        "mart_ability_score",
        "mart_composition",
        "dim_item_flag",
        "fact_judge_vote",
        "dim_import",
    )
    with open_latest(workspace) as conn:
        rows = {name: conn.table(name).order("ALL").fetchall() for name in names}
    return {name: [row for row in found if study in row] for name, found in rows.items()}


def test_a_study_is_packed_with_all_that_is_its_own_or_shared_and_nothing_else(
    studies: Workspace, tmp_path: Path
) -> None:
    base = {"run/base-1.json", "item_score/base.parquet", "training_log/base-1.parquet"}
    # The texts of the items on which the shared base cell was scored.
    theirs = {"item/items.parquet"}
    assert packed(studies, "demo", tmp_path / "a.zip") == SHARED
    assert (
        packed(studies, "other", tmp_path / "b.zip")
        == OTHERS - {"run/unplanned-1.json"} | base | theirs
    )
    assert packed(studies, "past", tmp_path / "c.zip") == IMPORTED
    every = {
        file.path.removeprefix("landing/") for file in export_landing(studies, tmp_path / "d.zip")
    }
    assert every == SHARED | OTHERS | IMPORTED


@pytest.mark.parametrize("study", ["demo", "other", "past"])
def test_a_study_unpacked_alone_has_the_rows_that_it_had_beside_others(
    studies: Workspace, tmp_path: Path, study: str
) -> None:
    ingest(studies)
    archive = tmp_path / "one.tar.zst"
    export_landing(studies, archive, study=study)
    alone = open_workspace(tmp_path / "alone", create=True)
    import_landing(alone, archive)
    report = ingest(alone)
    assert report.quarantined == ()
    found = rows_of(alone, study)
    assert found == rows_of(studies, study) and found["mart_cell"]
    with open_latest(alone) as conn:
        assert conn.execute("SELECT study FROM mart_study").fetchall() == [(study,)]
    # What is there already is known by its content, so that both may live in one workspace.
    assert import_landing(studies, archive).n_new == 0


def test_a_study_that_has_not_landed_is_refused_with_those_that_have(
    studies: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--study 'quickstrat': nothing .*: demo, other, past"):
        export_landing(studies, tmp_path / "one.zip", study="quickstrat")
    assert not (tmp_path / "one.zip").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("run", "odd-1.json"), ("item_score", "odd.parquet")],
)
def test_a_file_of_which_nobody_knows_whose_it_is_stops_the_packing(
    studies: Workspace, tmp_path: Path, kind: str, name: str
) -> None:
    (studies.landing / kind / name).write_text("{")
    with pytest.raises(LandingError, match=rf"^{name}.* sets it aside"):
        export_landing(studies, tmp_path / "one.zip", study="demo")
    assert not (tmp_path / "one.zip").exists()
    ingest(studies)
    assert packed(studies, "demo", tmp_path / "one.zip") == SHARED


def test_the_command_packs_the_study_asked_for(studies: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "past.zip"
    words = ["export", "landing", "--study", "past", "--out", str(out), "--json"]
    result = CliRunner().invoke(APP, [*words, "--workspace", str(studies.root)])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["study"], document["files"]) == ("past", len(IMPORTED))
