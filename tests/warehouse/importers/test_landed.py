"""Landing of imports: idempotent, whole or not at all, and honest about contradictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse.connection import open_latest
from warehouse.errors import LandingError
from warehouse.importers import landed
from warehouse.importers.contract import printable, safe_stem
from warehouse.importers.landed import Imported, RejectedImportError, land, land_all
from warehouse.ingest import ingest
from warehouse.landing import check_table, list_landing, read_document
from warehouse.records import (
    TABLES,
    CellRecord,
    CompositionPart,
    IgnoredPart,
    ImportedFile,
    ImportRecord,
    PlanRecord,
    RecordKind,
)
from warehouse.workspace import Workspace

TABLE_KINDS = (
    RecordKind.ITEM,
    RecordKind.ITEM_SCORE,
    RecordKind.SCORE,
    RecordKind.JUDGE_VOTE,
)


def cell(cell_id: str) -> CellRecord:
    return CellRecord(
        cell_id=cell_id,
        label=f"label of {cell_id}",
        base_model="opt-1.3b",
        base_model_revision="unknown",
        data_source="human",
        design="imported",
        composition=(CompositionPart(data_source="human", ability="unlabelled", n_examples=16),),
        composition_id="comp-16",
        volume_setting=16,
        volume_per="total",
        seed=3,
        template="unknown",
        training={},
        scoring={},
    )


def table(kind: RecordKind, rows: Sequence[dict[str, Any]]) -> pa.Table:
    empty = dict.fromkeys(TABLES[kind].names)
    full = [empty | {"import_id": "set by land"} | row for row in rows]
    names = TABLES[kind].names
    return pa.Table.from_pylist(
        [{name: row[name] for name in names} for row in full], schema=TABLES[kind]
    )


def score(cell_id: str, value: float, *, task: str = "gsm8k", **changes: Any) -> dict[str, Any]:
    fields = {
        "cell_id": cell_id,
        "task": task,
        "ability": "math",
        "metric": "accuracy",
        "higher_is_better": True,
        "score": value,
    }
    return fields | changes


def item_score(cell_id: str, number: int, value: float, *, task: str = "arc") -> dict[str, Any]:
    return {
        "cell_id": cell_id,
        "task": task,
        "ability": "science",
        "item_id": f"item-{number}",
        "prompt_hash": "p",
        "target_hash": "t",
        "metric": "accuracy",
        "higher_is_better": True,
        "scoring_rule": "letter",
        "score": value,
        "choice_log_likelihoods": [-1.0, -2.5],
        "chance_level": 0.25,
        "chance_level_uniform": 0.25,
    }


def vote(vote_id: str, preference: float) -> dict[str, Any]:
    return {
        "vote_id": vote_id,
        "study": "mine",
        "protocol": "pairwise",
        "item_id": "q1",
        "model_a": "x",
        "model_b": "y",
        "preference": preference,
    }


def imported(sha256: str = "aa", **changes: Any) -> Imported:
    """Two cells with scores, one with items, and a vote."""
    fields: dict[str, Any] = {
        "importer": "curves",
        "study": "mine:1+2",
        "files": (ImportedFile(name="curves.csv", sha256=sha256, n_rows=2),),
        "n_rows": 2,
        "cells": (cell("imp-1"), cell("imp-2")),
        "scores": table(RecordKind.SCORE, [score("imp-1", 0.25), score("imp-2", 0.5)]),
        "score_origins": (("curves.csv", 2), ("curves.csv", 3)),
        "item_scores": table(
            RecordKind.ITEM_SCORE,
            [
                item_score("imp-1", 0, 1.0),
                item_score("imp-1", 0, 0.0, task="drop/it"),
                item_score("imp-1", 1, 0.0),
            ],
        ),
        "items": table(
            RecordKind.ITEM,
            [
                {
                    "item_id": "item-0",
                    "task": "arc",
                    "ability": "science",
                    "prompt": "[]",
                    "target": "A",
                }
            ],
        ),
        "votes": table(RecordKind.JUDGE_VOTE, [vote("v1", 1.5)]),
        "ignored": (IgnoredPart(file="curves.csv", what="column note", reason="not known"),),
        "arguments": {"metric": "accuracy"},
        "citation": "Somebody 2024",
        "notice": "not measured here",
    }
    return Imported(**(fields | changes))


def contents(workspace: Workspace) -> dict[str, bytes]:
    """Every landing file, the moments of plan and import documents left out."""
    files = [path for path in workspace.landing.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(workspace.landing)): path.read_bytes()
        if path.suffix == ".parquet"
        else b""
        for path in files
    }


def landed_rows(workspace: Workspace, kind: RecordKind) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in list_landing(workspace, kind):
        check_table(path, kind)
        rows += pq.read_table(path).to_pylist()
    return rows


def only_record(workspace: Workspace) -> ImportRecord:
    (path,) = list_landing(workspace, RecordKind.IMPORT)
    record = read_document(path, RecordKind.IMPORT)
    assert isinstance(record, ImportRecord)
    return record


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


def test_another_score_is_rejected_with_place_values_and_remedy(workspace: Workspace) -> None:
    land(workspace, imported())
    before = contents(workspace)
    changed = imported(
        "bb",
        scores=table(RecordKind.SCORE, [score("imp-1", 0.25), score("imp-2", 0.625)]),
    )
    with pytest.raises(RejectedImportError) as caught:
        land(workspace, changed)
    (row,) = caught.value.rejected
    assert (row.file, row.line, row.value) == ("curves.csv", 3, "0.625")
    assert "0.5" in row.reason and "--replace" in row.reason and "--study" in row.reason
    assert contents(workspace) == before


@pytest.mark.parametrize(
    "change",
    [{"stderr": 0.125}, {"n_items": 7}, {"chance_level": 0.5}, {"ability": "code"}],
    ids=str,
)
def test_a_corrected_companion_of_a_score_is_not_lost_silently(
    workspace: Workspace, change: dict[str, Any]
) -> None:
    land(workspace, imported())
    changed = imported("bb", scores=table(RecordKind.SCORE, [score("imp-1", 0.25, **change)]))
    with pytest.raises(RejectedImportError, match=next(iter(change))):
        land(workspace, changed)


def test_replace_lands_the_new_scores_and_the_latest_import_is_what_is_known(
    workspace: Workspace,
) -> None:
    def with_score(sha256: str, value: float) -> Imported:
        rows = table(RecordKind.SCORE, [score("imp-1", value), score("imp-2", 0.5)])
        return imported(sha256, scores=rows)

    land(workspace, with_score("aa", 0.25))
    assert land(workspace, with_score("bb", 0.75), replace=True).n_new_rows == 1
    # The same values in another file are known now; the first ones are a contradiction.
    assert land(workspace, with_score("cc", 0.75)).n_new_rows == 0
    with pytest.raises(RejectedImportError, match=r"0\.75"):
        land(workspace, with_score("dd", 0.25))
    # Going back to the first file makes it the latest import again, whole.
    assert land(workspace, with_score("aa", 0.25)).n_new_rows == 0
    back = land(workspace, with_score("aa", 0.25), replace=True)
    assert back.n_new_rows == 2
    assert land(workspace, with_score("dd", 0.25)).n_new_rows == 0


def test_a_metric_keeps_its_direction_within_a_study(workspace: Workspace) -> None:
    land(workspace, imported())
    turned = score("imp-9", 0.1, higher_is_better=False)
    with pytest.raises(RejectedImportError, match="higher is better"):
        land(workspace, imported("bb", scores=table(RecordKind.SCORE, [turned])), replace=True)
    land(workspace, imported("bb", study="other", scores=table(RecordKind.SCORE, [turned])))


def of_items(mean: float, sha256: str = "ii", **changes: Any) -> Imported:
    """The items of one task of one cell."""
    rows = [item_score("imp-1", n, float(n < mean * 4)) | changes for n in range(4)]
    items = table(RecordKind.ITEM_SCORE, rows)
    return imported(
        sha256, item_scores=items, scores=None, score_origins=(), items=None, votes=None
    )


def of_a_score(value: float, sha256: str = "ss", **changes: Any) -> Imported:
    """The same task as one score."""
    row = score("imp-1", value, task="arc", ability="science") | changes
    origins = (("curves.csv", 2),)
    return imported(
        sha256,
        scores=table(RecordKind.SCORE, [row]),
        score_origins=origins,
        item_scores=None,
        items=None,
        votes=None,
    )


@pytest.mark.parametrize("items_first", [True, False])
def test_items_count_before_a_score_of_their_task_whichever_came_first(
    workspace: Workspace, items_first: bool
) -> None:
    both = [of_items(0.75), of_a_score(0.75)]
    for part in both if items_first else reversed(both):
        land(workspace, part)
        assert ingest(workspace).published
    with open_latest(workspace) as conn:
        rows = conn.execute("SELECT score, n_items FROM mart_ability_score").fetchall()
    assert rows == [(0.75, 4)]


def test_a_score_that_its_items_contradict_is_rejected(workspace: Workspace) -> None:
    land(workspace, of_items(0.75))
    for replaces in (False, True):
        with pytest.raises(
            RejectedImportError, match=r"item by item, with mean 0\.75, and is 0\.5"
        ):
            land(workspace, of_a_score(0.5), replace=replaces)


def test_items_that_contradict_a_score_are_rejected_or_replace_it(workspace: Workspace) -> None:
    land(workspace, of_a_score(0.5))
    with pytest.raises(
        RejectedImportError, match=r"imported as 0\.5, and its items have mean 0\.75"
    ):
        land(workspace, of_items(0.75))
    land(workspace, of_items(0.75), replace=True)
    ingest(workspace)
    with open_latest(workspace) as conn:
        assert conn.execute("SELECT score FROM mart_ability_score").fetchall() == [(0.75,)]


def test_items_keep_the_direction_that_a_study_knows(workspace: Workspace) -> None:
    land(workspace, of_items(0.75))
    ingest(workspace)
    changes = {"task": "other", "higher_is_better": False}
    for part in (of_items(0.5, "jj", **changes), of_a_score(0.5, **changes)):
        with pytest.raises(
            RejectedImportError, match=r"imported into study .* as higher is better"
        ):
            land(workspace, part)
    assert not ingest(workspace).published


def test_an_import_that_contradicts_its_own_direction_is_rejected(workspace: Workspace) -> None:
    rows = [item_score("imp-1", n, 1.0) | {"higher_is_better": n == 0} for n in range(2)]
    part = replace(of_items(1.0), item_scores=table(RecordKind.ITEM_SCORE, rows))
    with pytest.raises(RejectedImportError, match="is better"):
        land(workspace, part)


@pytest.mark.parametrize("name", ["score", "stderr"])
def test_a_number_that_cannot_be_averaged_is_rejected(workspace: Workspace, name: str) -> None:
    part = of_a_score(7.0, metric="word_perplexity", **{name: 1e200})
    with pytest.raises(RejectedImportError, match=f"line 2: '1e.200': {name} of arc is beyond"):
        land(workspace, part)


def test_other_item_scores_of_a_task_are_rejected_or_replace_the_file(
    workspace: Workspace,
) -> None:
    land(workspace, imported())
    before = contents(workspace)
    other = imported(
        "bb",
        item_scores=table(
            RecordKind.ITEM_SCORE, [item_score("imp-1", 0, 1.0), item_score("imp-1", 1, 1.0)]
        ),
    )
    with pytest.raises(RejectedImportError, match=r"score = 0\.0 and 1\.0 here for item item-1"):
        land(workspace, other)
    assert contents(workspace) == before
    assert land(workspace, other, replace=True).n_new_rows == 2
    found = landed_rows(workspace, RecordKind.ITEM_SCORE)
    assert sorted((row["task"], row["item_id"], row["score"]) for row in found) == [
        ("arc", "item-0", 1.0),
        ("arc", "item-1", 1.0),
        ("drop/it", "item-0", 0.0),
    ]


def test_another_preference_of_a_vote_is_rejected(workspace: Workspace) -> None:
    land(workspace, imported())
    other = imported("bb", votes=table(RecordKind.JUDGE_VOTE, [vote("v1", 1.0)]))
    with pytest.raises(RejectedImportError, match=r"preference of v1 was imported as 1\.5"):
        land(workspace, other)
    assert land(workspace, other, replace=True).n_new_rows == 1


def test_one_rejected_import_of_a_call_keeps_the_others_out(workspace: Workspace) -> None:
    land(workspace, imported())
    before = contents(workspace)
    good = imported("bb", study="other")
    bad = imported("cc", scores=table(RecordKind.SCORE, [score("imp-1", 0.75)]))
    with pytest.raises(RejectedImportError):
        land_all(workspace, [good, bad])
    assert contents(workspace) == before


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
