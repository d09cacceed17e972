"""What can't be judged or doesn't need to be, and judges that are compared with people."""

from __future__ import annotations

import json

import pytest

from runners.commands.judge import judge_calibrate, judge_run
from tests.runners.judge.made import (
    judge_block,
    land_replies,
    make_workspace,
    write_grid,
)
from tests.runners.judge.runs import (
    by_length,
    landed,
    run_study,
)
from tests.runners.judge.scripted import completion
from warehouse.errors import InputError, WorkError

# --- What can't be judged ---------------------------------------------------------------------


def test_cells_without_replies_are_named_with_the_remedy(serve, tmp_path) -> None:
    server = serve(by_length)
    workspace = make_workspace(tmp_path / "w", judge_block(server.url), n_items=2)
    for path in (workspace.landing / "generation").glob("c64-*"):
        path.unlink()
    run, _ = run_study(workspace)
    assert len(landed(workspace)) == 5 * 2
    (note,) = run.notes
    assert (
        "2 of 7 cells lack replies of up to 16 tokens (first tiny human 64/ability seed 0)" in note
    )
    assert "judge replies" in note


def test_cells_with_fewer_replies_than_others_are_named_too(serve, tmp_path) -> None:
    server = serve(by_length)
    workspace = make_workspace(tmp_path / "w", judge_block(server.url), n_items=4)
    (workspace.landing / "generation" / "c4-0-x.parquet").unlink()
    land_replies(workspace, "c4-0", ["only", "two"])
    run, outcome = run_study(workspace)
    assert outcome.n_decided == 6 * 4 + 2
    assert "1 of 7 cells lack replies of up to 16 tokens (first tiny human 4/" in run.notes[0]


def test_fewer_items_may_be_judged_than_were_replied_to(serve, tmp_path) -> None:
    server = serve(by_length)
    block = judge_block(server.url, max_items_per_ability=2)
    workspace = make_workspace(tmp_path / "w", block, n_items=4)
    run_study(workspace)
    assert {vote["item_id"] for vote in landed(workspace)} == {"item00", "item01"}


def test_a_study_without_any_reply_can_not_be_judged(tmp_path) -> None:
    block = judge_block("http://127.0.0.1:9/v1", abilities=["ethics"])
    workspace = make_workspace(tmp_path / "w", block, n_items=1)
    with pytest.raises(InputError, match="no votes to ask for: 7 of 7 cells lack replies"):
        judge_run(study="made", workspace=workspace.root)


def test_damaged_files_of_replies_are_left_to_the_ingester(serve, tmp_path) -> None:
    server = serve(by_length)
    workspace = make_workspace(tmp_path / "w", judge_block(server.url), n_items=2)
    (workspace.landing / "generation" / "c4-0-x.parquet").write_bytes(b"PAR1")
    run, outcome = run_study(workspace)
    assert outcome.n_decided == 6 * 2
    assert len(run.notes) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Name a grid, or a study"),
        ({"study": "nobody"}, "holds no plan of study 'nobody'"),
        ({"study": "made"}, "has no judges: add a block judge:"),
    ],
)
def test_what_is_missing_is_said(tmp_path, arguments, said) -> None:
    workspace = make_workspace(tmp_path / "w", None, n_items=1)
    with pytest.raises(InputError, match=said):
        judge_run(workspace=workspace.root, **arguments)


def test_a_dry_run_forecasts_and_needs_neither_key_nor_server(tmp_path, capsys) -> None:
    judge = {"key_variable": "NOT_SET_HERE", "prices": {"prompt": 1, "completion": 2}}
    block = judge_block("http://127.0.0.1:9/v1", judge=judge, protocols=["rubric", "pairwise"])
    workspace = make_workspace(tmp_path / "w", block, n_items=5)
    judge_run(study="made", workspace=workspace.root, dry_run=True, json_output=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["n_landed"], document["n_pending"]) == (0, 5 * (7 + 12))
    (umpire,) = document["judges"]
    assert umpire["n_calls"] == 95
    assert 0 < umpire["cost"] < umpire["cost_at_most"]
    assert not (workspace.landing / "judge_vote").exists()
    with pytest.raises(InputError, match="NOT_SET_HERE is not set"):
        judge_run(study="made", workspace=workspace.root)


def test_all_votes_failing_is_a_failure_of_the_command(serve, tmp_path, capsys) -> None:
    server = serve(lambda body, n: completion("no idea"))
    workspace = make_workspace(tmp_path / "w", judge_block(server.url), n_items=1)
    with pytest.raises(WorkError, match="All 7 votes failed, most of them since the reply holds"):
        judge_run(study="made", workspace=workspace.root)
    assert "failed 7 times: the reply holds no JSON object" in capsys.readouterr().out


# --- Calibration ------------------------------------------------------------------------------


@pytest.mark.slow
def test_judges_are_compared_with_people(serve, tmp_path, capfd) -> None:
    server = serve(by_length)
    grid = write_grid(tmp_path, judge_block(server.url))
    lines = []
    for place in range(20):
        long_is_a = place % 2 == 0
        outputs = ("long " * 20, "short")[:: 1 if long_is_a else -1]
        # People agree with the judge on 15 of 20 pairs.
        agrees = place % 4 != 3
        winner = "a" if long_is_a == agrees else "b"
        lines.append({"instruction": f"Say {place}", "output_a": outputs[0],
                      "output_b": outputs[1], "winner": winner})  # fmt: skip
    pairs = tmp_path / "people.jsonl"
    pairs.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    judge_calibrate(pairs, str(grid), workspace=tmp_path / "w", json_output=True, study="checked")
    document = json.loads(capfd.readouterr().out)
    (row,) = document["agreement_with_people"]
    assert (row["annotator_a"], row["n"], row["agreement"]) == ("umpire", 20, 0.75)
    assert row["kappa_interval"]["low"] < row["kappa"] < row["kappa_interval"]["high"]
    assert server.n_asked == 40
    assert any(bias["kind"] == "position" for bias in document["bias"])


@pytest.mark.slow
def test_a_judge_without_a_verdict_is_told_why(serve, tmp_path, capfd) -> None:
    grid = write_grid(tmp_path, judge_block(serve(lambda body, n: completion("no idea")).url))
    row = {"instruction": "x", "output_a": "a", "output_b": "b", "preference": 1}
    pairs = tmp_path / "people.jsonl"
    pairs.write_text(json.dumps(row), "utf-8")
    judge_calibrate(pairs, str(grid), workspace=tmp_path / "w", study="checked")
    assert "Votes that failed: 2: the reply holds no JSON object." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"instruction": "x", "output_a": "a"}, "line 1: output_b is missing"),
        ({"instruction": "x", "output_a": "a", "output_b": "b"}, "line 1: give a preference"),
        (
            {"instruction": "x", "output_a": "a", "output_b": "b", "preference": 3},
            "line 1: give a preference",
        ),
    ],
)
def test_a_bad_row_of_people_s_preferences_is_named(tmp_path, row, said) -> None:
    pairs = tmp_path / "people.jsonl"
    pairs.write_text(json.dumps(row), "utf-8")
    grid = write_grid(tmp_path, judge_block("http://127.0.0.1:9/v1"))
    with pytest.raises(InputError, match=said):
        judge_calibrate(pairs, str(grid), workspace=tmp_path / "w")
    assert not (tmp_path / "w").exists()
