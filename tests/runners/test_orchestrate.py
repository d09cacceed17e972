"""A real grid on a tiny model: what lands, and what is skipped."""

import pytest

from tests.runners.grid_runs import finish, mart_rows, records, run, start, variant

pytestmark = pytest.mark.slow


def test_a_grid_lands_every_cell_and_publishes_it(undisturbed):
    workspace, outcome = undisturbed
    assert outcome["cells"] == {"total": 5, "done": 5, "new": 5, "failed": 0}
    scores, items = mart_rows(workspace)
    assert len(scores) == 5 * 2
    assert len(items) == 5 * 60
    assert not list((workspace / "checkpoints").glob("*"))


def test_every_run_record_says_what_was_run(undisturbed):
    trained = [record for record in records(undisturbed[0]) if record["n_optimizer_steps"]]
    assert len(records(undisturbed[0])) == 5 and len(trained) == 4
    for record in trained:
        assert record["n_epochs"] == 4
        assert record["n_tokens"] > record["n_target_tokens"] > 0
        assert record["environment"]["deepspeed"]
        assert record["environment"]["scoring"]["lm_eval_version"]
        assert record["environment"]["placement"]["executor"] == "local"
        assert record["environment"]["training"]["micro_batch_size"] == 8


def test_a_second_run_recomputes_nothing(undisturbed, tiny_study):
    workspace, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (workspace / "landing").rglob("*.*")}
    assert run(tiny_study.grid, workspace)["cells"]["new"] == 0
    assert {p: p.stat().st_mtime_ns for p in (workspace / "landing").rglob("*.*")} == before


def test_dry_run_writes_nothing(tiny_study, tmp_path):
    outcome = run(tiny_study.grid, tmp_path / "none", "--dry-run")
    assert outcome["n_pending"] == outcome["n_cells"] == 5
    assert outcome["estimated_seconds"] >= 0 and outcome["estimated_disk_bytes"] > 0
    assert outcome["estimated_cost"] is None and outcome["reason"]["estimated_cost"]
    assert not (tmp_path / "none").exists()


def test_a_template_that_the_model_does_not_carry_is_refused_before_anything_starts(
    tiny_study, tmp_path
):
    model = {"name": "tiny", "path": str(tiny_study.model), "template": "model"}
    grid = variant(tiny_study, tmp_path / "own.yaml", base_models=[model])
    assert "carries no chat template" in run(grid, tmp_path / "w", expect=2)
    assert not list((tmp_path / "w" / "heartbeats").glob("*.log"))


def test_a_price_gives_every_attempt_its_cost(tiny_study, tmp_path):
    grid = variant(
        tiny_study,
        tmp_path / "priced.yaml",
        seeds=[0],
        volumes={"values": [0, 4]},
        resources={"price_per_core_hour": 3600.0},
    )
    workspace = tmp_path / "w"
    run(grid, workspace, "--max-parallel", "1")
    found = records(workspace)
    for record in found:
        n_cores = record["environment"]["placement"]["n_cores"]
        assert record["cost"] == pytest.approx(record["wall_seconds"] * n_cores)
    assert len(found) == 2


def test_a_cell_that_fails_is_a_record_with_its_reason(tiny_study, tmp_path):
    grid = variant(
        tiny_study,
        tmp_path / "short.yaml",
        seeds=[0],
        designs=[
            {"kind": "all_abilities", "volumes": {"values": [4]}},
            # Nothing but the beginning of the question fits, so no target token is left.
            {"kind": "single_ability", "abilities": ["code"], "training": {"max_length": 4}},
        ],
    )
    workspace = tmp_path / "w"
    outcome, err = finish(start(grid, workspace, "--json"), expect=1)
    assert outcome["cells"]["failed"] == 2 and "2 cells failed, first" in err
    failed = records(workspace, "failed")
    assert failed and all("raise training.max_length" in r["failure_reason"] for r in failed)
    assert len(records(workspace, "done")) == 2
