"""Real HTTP, a real model: `transformers serve` with SmolLM2-135M judges in both ways."""

from __future__ import annotations

import json

import pytest

from runners.judge.landed import load_judged_study
from runners.judge.run import judge_study
from tests.runners.judge.made import judge_block, make_workspace
from tests.runners.judge.test_run import landed
from tests.runners.serving import serve_smollm2

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_a_served_model_rates_and_compares(tmp_path) -> None:
    # It is too small to answer in JSON; a vote that can't be read says so and is no score.
    with serve_smollm2(tmp_path) as served:
        judge = {"name": "smollm2", "model": served.model, "concurrency": 1, "timeout_seconds": 300}
        block = judge_block(served.url, judge=judge, protocols=["rubric", "pairwise"], max_tokens=8)
        workspace = make_workspace(tmp_path / "w", block, n_items=1)
        for path in (workspace.landing / "generation").iterdir():
            if not path.name.startswith(("base-1", "c16-0")):
                path.unlink()
        study = load_judged_study(workspace, None, "made")
        outcome = judge_study(workspace, study).run()
    assert outcome.stopped is None
    votes = landed(workspace)
    assert len(votes) == outcome.n_asked == 4
    assert {vote["protocol"] for vote in votes} == {"rubric", "pairwise"}
    assert {vote["shown_first"] for vote in votes} == {None, "a", "b"}
    for vote in votes:
        verdict = vote["rating"] if vote["protocol"] == "rubric" else vote["preference"]
        assert (verdict is None) == bool(vote["failed_reason"])
        assert vote["raw_text"]
        assert vote["n_tokens"] > 100
        assert vote["latency_seconds"] > 0
        assert json.loads(vote["parameters"])["model"] == served.model
