"""Real HTTP, a real model: SmolLM2-135M judges, left to itself and held to the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runners.judge.landed import load_judged_study
from runners.judge.run import judge_study
from tests.runners.judge.made import judge_block, make_workspace
from tests.runners.judge.test_run import landed
from tests.runners.serving import ServedModel, serve_smollm2, serve_smollm2_in_form

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def vote(served: ServedModel, root: Path, max_tokens: int) -> list[dict[str, Any]]:
    """Have one item of two cells judged in both ways; return the votes."""
    judge = {"name": "smollm2", "model": served.model, "concurrency": 1, "timeout_seconds": 300}
    block = judge_block(
        served.url, judge=judge, protocols=["rubric", "pairwise"], max_tokens=max_tokens
    )
    workspace = make_workspace(root, block, n_items=1)
    for path in (workspace.landing / "generation").iterdir():
        if not path.name.startswith(("base-1", "c16-0")):
            path.unlink()
    outcome = judge_study(workspace, load_judged_study(workspace, None, "made")).run()
    assert outcome.stopped is None
    votes = landed(workspace)
    assert len(votes) == outcome.n_asked == 4
    assert {one["protocol"] for one in votes} == {"rubric", "pairwise"}
    assert {one["shown_first"] for one in votes} == {None, "a", "b"}
    for one in votes:
        assert (mark(one) is None) == bool(one["failed_reason"])
        assert one["raw_text"]
        assert one["n_tokens"] > 100
        assert one["latency_seconds"] > 0
        assert json.loads(one["parameters"])["model"] == served.model
    return votes


def mark(one: dict[str, Any]) -> float | None:
    return one["rating"] if one["protocol"] == "rubric" else one["preference"]


def test_a_served_model_rates_and_compares(tmp_path: Path) -> None:
    # Its server knows no schemas, and it is too small to find the form by itself; a vote that
    # can't be read says so and is no score.
    with serve_smollm2(tmp_path) as served:
        vote(served, tmp_path / "w", max_tokens=8)


def test_a_model_that_is_held_to_the_schema_gives_verdicts(tmp_path: Path) -> None:
    with serve_smollm2_in_form(tmp_path) as served:
        votes = vote(served, tmp_path / "w", max_tokens=96)
    assert any(mark(one) is not None for one in votes)
    for one in votes:
        # What is no verdict was cut off on its way to one.
        assert one["failed_reason"] is None or "cut off" in one["failed_reason"]
