"""Imports that contradict what landed before, or themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.warehouse.importers.made_imports import (
    contents,
    imported,
    item_score,
    landed_rows,
    score,
    table,
    vote,
)
from warehouse.connection import open_latest
from warehouse.importers.landed import Imported, RejectedImportError, land, land_all
from warehouse.ingest import ingest
from warehouse.records import RecordKind
from warehouse.workspace import Workspace


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
