"""Replies and own votes on their way into the marts: what counts, what doesn't, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tests.runners.judge.made import ABILITY, land_replies, make_workspace
from warehouse import open_latest
from warehouse.ingest import ingest
from warehouse.landing import write_table
from warehouse.records import GENERATION, JUDGE_VOTE, RecordKind
from warehouse.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "w", None, n_items=3)


def on_day(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC).replace(tzinfo=None)


def vote(number: int, **changes) -> dict:
    row = dict.fromkeys(JUDGE_VOTE.names) | {
        "vote_id": f"v{number}", "study": "made", "protocol": "pairwise", "item_id": "item00",
        "ability": ABILITY, "model_a": "c4-0", "model_b": "base-1", "shown_first": "a",
        "judge": "umpire", "parameters": json.dumps({"against": "base"}),
        "created_at": on_day(2),
    }  # fmt: skip
    return row | changes


def land_votes(workspace: Workspace, stem: str, rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows, schema=JUDGE_VOTE)
    write_table(workspace, RecordKind.JUDGE_VOTE, stem, table)


def judge_scores(workspace: Workspace) -> list[tuple]:
    ingest(workspace)
    with open_latest(workspace) as conn:
        return conn.execute(
            "SELECT cell_id, metric, score, stderr, n_items, n_scored FROM mart_ability_score "
            "WHERE metric LIKE 'judge%' ORDER BY cell_id, metric"
        ).fetchall()


def test_a_pair_counts_in_both_orders_and_a_changed_verdict_is_a_tie(workspace) -> None:
    land_votes(workspace, "one", [
        # A win in both orders, a changed verdict, and a pair whose second order failed.
        vote(1, preference=1.0), vote(2, preference=1.0, shown_first="b"),
        vote(3, item_id="item01", preference=1.0),
        vote(4, item_id="item01", preference=2.0, shown_first="b"),
        vote(5, item_id="item02", preference=2.0),
        vote(6, item_id="item02", failed_reason="cut", shown_first="b"),
    ])  # fmt: skip
    assert judge_scores(workspace) == [("c4-0", "judge_win_rate", 0.75, 0.25, 3, 2)]


def test_judges_of_one_item_are_averaged_before_the_items(workspace) -> None:
    marks = {"protocol": "rubric", "model_b": None, "shown_first": None, "parameters": "{}"}
    land_votes(workspace, "one", [
        vote(1, rating=10.0, **marks), vote(2, rating=1.0, judge="referee", **marks),
        vote(3, rating=10.0, item_id="item01", **marks),
        vote(4, rating=10.0, model_a="c16-0", **marks),
    ])  # fmt: skip
    assert judge_scores(workspace) == [
        ("c16-0", "judge_rating", 1.0, None, 1, 1),
        ("c4-0", "judge_rating", 0.75, 0.25, 2, 2),
    ]


def test_a_cell_without_any_verdict_has_a_reason_and_no_score(workspace) -> None:
    land_votes(workspace, "one", [vote(1, failed_reason="the reply is empty")])
    assert judge_scores(workspace) == [("c4-0", "judge_win_rate", None, None, 1, 0)]
    with open_latest(workspace) as conn:
        reasons = conn.execute(
            "SELECT missing_reason FROM mart_ability_score WHERE metric = 'judge_win_rate'"
        ).fetchall()
    assert reasons == [("no judge has given a verdict",)]


def test_a_later_verdict_replaces_a_failure_and_never_the_other_way_round(workspace) -> None:
    both = [vote(1, preference=1.0), vote(2, preference=1.0, shown_first="b")]
    land_votes(workspace, "a-later", both)
    late = on_day(31)
    failed = [row | {"preference": None, "failed_reason": "x", "created_at": late} for row in both]
    land_votes(workspace, "b-earlier", failed)
    assert judge_scores(workspace) == [("c4-0", "judge_win_rate", 1.0, None, 1, 1)]


def test_chains_imports_and_people_make_no_scores_of_cells(workspace) -> None:
    chained = {"parameters": json.dumps({"against": "previous"})}
    land_votes(workspace, "one", [
        vote(1, preference=1.0, **chained),
        vote(2, preference=1.0, shown_first="b", **chained),
        vote(3, preference=1.0, judge=None, annotator="ann", parameters=None),
        vote(4, preference=1.0, ability=None),
    ])  # fmt: skip
    assert judge_scores(workspace) == []


def test_only_the_way_of_asking_that_gave_the_latest_verdict_counts(workspace) -> None:
    def rated(number, rating, way, day, **changes):
        return vote(number, protocol="rubric", model_b=None, shown_first=None, rating=rating,
                    parameters=way, created_at=on_day(day), **changes)  # fmt: skip

    land_votes(workspace, "one", [
        rated(1, 10.0, "old", 1), rated(2, 1.0, "new", 2),
        # Another judge and another ability have ways of their own; a failure shows no way.
        rated(3, 10.0, "old", 1, judge="referee"),
        rated(4, None, "newest", 3, failed_reason="cut"),
    ])  # fmt: skip
    assert judge_scores(workspace) == [("c4-0", "judge_rating", 0.5, None, 1, 1)]
    with open_latest(workspace) as conn:
        current = conn.execute(
            "SELECT vote_id FROM fact_judge_vote WHERE is_current ORDER BY vote_id"
        ).fetchall()
    assert current == [("v2",), ("v3",)]


def test_replies_are_kept_by_cell_item_and_length(workspace) -> None:
    land_replies(workspace, "extra", ["one", "two"])
    ingest(workspace)
    with open_latest(workspace) as conn:
        rows = conn.execute(
            "SELECT item_id, reply, n_tokens, finish_reason FROM fact_generation "
            "WHERE cell_id = 'extra' ORDER BY item_id"
        ).fetchall()
    assert rows == [("item00", "one", 5, "stop"), ("item01", "two", 5, "stop")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reply": None}, "item i has neither a reply nor a missing_reason"),
        ({"ability": "two words"}, "ability two words is not a name"),
        ({"max_new_tokens": 0}, "has no prompt_hash or limit of the reply"),
        ({"finish_reason": "bored"}, "bad n_tokens or finish_reason"),
        ({"n_tokens": -1}, "bad n_tokens or finish_reason"),
        ({"item_id": ""}, "a row without cell_id or item_id"),
        ({"reply": "x" * 10_000_001}, "reply that is too long"),
    ],
)
def test_bad_replies_are_put_aside_with_the_reason(workspace, changes, reason) -> None:
    good = {
        "cell_id": "c", "item_id": "i", "ability": "code", "prompt_hash": "p",
        "max_new_tokens": 5, "reply": "r", "n_tokens": 1, "finish_reason": "stop",
        "missing_reason": None,
    }  # fmt: skip
    table = pa.Table.from_pylist([good | changes], schema=GENERATION)
    write_table(workspace, RecordKind.GENERATION, "bad", table)
    (quarantined,) = ingest(workspace).quarantined
    assert reason in quarantined.reason


def test_a_reply_that_stands_twice_in_a_file_is_refused(workspace) -> None:
    rows = [
        {"cell_id": "c", "item_id": "i", "ability": "code", "prompt_hash": "p",
         "max_new_tokens": 5, "reply": "r"}
    ] * 2  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=GENERATION)
    write_table(workspace, RecordKind.GENERATION, "bad", table)
    (quarantined,) = ingest(workspace).quarantined
    assert "item i appears twice" in quarantined.reason
