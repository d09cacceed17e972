"""Landing of imports: idempotent, whole or not at all, and honest about contradictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.warehouse.importers.made_imports import (
    TABLE_KINDS,
    cell,
    contents,
    imported,
    landed_rows,
    only_record,
    score,
    table,
    vote,
)
from warehouse.errors import LandingError
from warehouse.importers import landed
from warehouse.importers.contract import printable, safe_stem
from warehouse.importers.landed import land
from warehouse.landing import list_landing, read_document
from warehouse.records import (
    ImportRecord,
    PlanRecord,
    RecordKind,
)
from warehouse.workspace import Workspace


def test_an_import_lands_as_valid_files_of_every_kind(workspace: Workspace) -> None:
    report = land(workspace, imported())
    assert (report.study, report.n_files, report.n_rows, report.n_new_rows) == ("mine:1+2", 1, 2, 6)
    assert report.ignored[0].what == "column note"
    import_id = report.import_id
    assert len(import_id) >= 16 and set(import_id) <= set("0123456789abcdef")
    names = set(contents(workspace))
    assert {
        f"item/{import_id}.parquet",
        f"score/{safe_stem('mine:1+2')}-{import_id}.parquet",
        f"plan/{safe_stem('mine:1+2')}-import-{import_id}.json",
        f"import/{import_id}.json",
    } < names
    assert sum(name.startswith("item_score/imp-1-") for name in names) == 2
    for kind in TABLE_KINDS:
        assert landed_rows(workspace, kind)
    scores = landed_rows(workspace, RecordKind.SCORE)
    assert [(row["cell_id"], row["score"]) for row in scores] == [("imp-1", 0.25), ("imp-2", 0.5)]
    assert {row["import_id"] for row in scores} == {import_id}
    (plan_path,) = list_landing(workspace, RecordKind.PLAN)
    plan = read_document(plan_path, RecordKind.PLAN)
    assert isinstance(plan, PlanRecord)
    assert (plan.study, plan.grid, plan.notice) == (
        "mine:1+2",
        "import curves",
        "not measured here",
    )
    assert plan.grid_settings == {"metric": "accuracy"}
    assert [row.cell_id for row in plan.cells] == ["imp-1", "imp-2"]
    record = only_record(workspace)
    assert record.citation == "Somebody 2024" and record.files[0].sha256 == "aa"
    assert [(run.cell_id, run.attempt, run.status) for run in record.runs] == [
        ("imp-1", 1, "done"),
        ("imp-2", 1, "done"),
    ]
    assert record.runs[0].finished_at == record.imported_at == plan.created_at


def test_a_run_that_the_files_tell_of_is_kept(workspace: Workspace) -> None:
    land(workspace, imported())
    told = only_record(workspace).runs[0].model_copy(update={"n_tokens": 77})
    land(workspace, imported("bb", study="other", runs=(told,)))
    records = [
        read_document(path, RecordKind.IMPORT)
        for path in list_landing(workspace, RecordKind.IMPORT)
    ]
    (record,) = [row for row in records if isinstance(row, ImportRecord) and row.study == "other"]
    assert {run.cell_id: run.n_tokens for run in record.runs} == {"imp-1": 77, "imp-2": None}


def test_the_same_import_again_writes_nothing(workspace: Workspace) -> None:
    first = land(workspace, imported())
    before = {path: path.stat().st_mtime_ns for path in workspace.landing.rglob("*")}
    for again in (land(workspace, imported()), land(workspace, imported(), replace=True)):
        assert again == replace(first, n_new_rows=0)
    assert {path: path.stat().st_mtime_ns for path in workspace.landing.rglob("*")} == before


@pytest.mark.parametrize(
    "changes",
    [{"importer": "helm"}, {"study": "b"}, {"arguments": {}}, {"sha256": "bb"}],
    ids=str,
)
def test_importer_study_arguments_and_contents_make_the_import(
    workspace: Workspace, changes: dict[str, Any]
) -> None:
    first = land(workspace, imported())
    assert land(workspace, imported(**changes)).import_id != first.import_id


def test_a_grown_file_lands_only_its_new_rows(workspace: Workspace) -> None:
    land(workspace, imported())
    grown = imported(
        "bb",
        cells=(*imported().cells, cell("imp-3")),
        scores=table(
            RecordKind.SCORE,
            [score("imp-1", 0.25), score("imp-3", 0.75), score("imp-2", 0.5)],
        ),
        votes=table(RecordKind.JUDGE_VOTE, [vote("v1", 1.5), vote("v2", 2.0)]),
    )
    report = land(workspace, grown)
    assert report.n_new_rows == 2
    (path,) = (workspace.landing / "score").glob(f"*{report.import_id}*")
    assert pq.read_table(path)["cell_id"].to_pylist() == ["imp-3"]
    assert sorted(row["vote_id"] for row in landed_rows(workspace, RecordKind.JUDGE_VOTE)) == [
        "v1",
        "v2",
    ]


def test_studies_of_similar_names_stay_apart(workspace: Workspace) -> None:
    for study in ("a:b", "a+b", "a_b", "a", "a_b-more"):
        assert land(workspace, imported(study=study, item_scores=None)).n_new_rows == 3


class _KilledError(Exception):
    pass


def _die_after(
    monkeypatch: pytest.MonkeyPatch, n_writes: int
) -> Callable[[Callable[..., Path]], Callable[..., Path]]:
    left = [n_writes]

    def dying(write: Callable[..., Path]) -> Callable[..., Path]:
        def run(*arguments: Any) -> Path:
            if not left[0]:
                raise _KilledError
            left[0] -= 1
            return write(*arguments)

        return run

    for name in ("write_table", "write_document"):
        monkeypatch.setattr(landed, name, dying(getattr(landed, name)))
    return dying


@pytest.mark.parametrize("n_writes", range(7))
@pytest.mark.parametrize("grown", [False, True])
def test_an_import_killed_after_any_write_is_completed_by_the_same_import(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_writes: int,
    grown: bool,
) -> None:
    whole = Workspace(root=tmp_path / "whole")
    if grown:
        for place in (workspace, whole):
            first = table(RecordKind.SCORE, [score("imp-2", 0.5)])
            land(place, imported("zz", scores=first, votes=None, item_scores=None))
    expected = land(whole, imported())
    with monkeypatch.context() as patched, pytest.raises(_KilledError):
        _die_after(patched, n_writes)
        land(workspace, imported())
    report = land(workspace, imported())
    assert contents(workspace) == contents(whole)
    assert report.import_id == expected.import_id
    assert land(workspace, imported()).n_new_rows == 0


def test_what_an_unfinished_import_left_contradicts_nobody(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(_KilledError):
        _die_after(patched, 5)
        land(workspace, imported())
    corrected = imported(
        "bb",
        scores=table(RecordKind.SCORE, [score("imp-1", 0.75)]),
        votes=table(RecordKind.JUDGE_VOTE, [vote("v1", 2.0)]),
    )
    assert land(workspace, corrected).n_new_rows == 2


def test_a_damaged_earlier_file_is_named(workspace: Workspace) -> None:
    land(workspace, imported())
    (path,) = list_landing(workspace, RecordKind.SCORE)
    path.write_bytes(b"PAR1")
    with pytest.raises(LandingError, match=path.name):
        land(workspace, imported("bb"))


def test_values_of_others_are_shown_short_and_harmless() -> None:
    assert printable("red \x1b[31m\n") == r"red \x1b[31m\n"
    assert len(printable("x" * 1000)) == 120
