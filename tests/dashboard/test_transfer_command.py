"""`transfer` and `compare mixtures` over the committed demonstration, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from dashboard.commands.mixtures import mixtures
from dashboard.commands.transfer import transfer
from dashboard.transfer_evidence import load_run_tables
from tests.dashboard.made_study import make_workspace, small_shape
from warehouse.archive import import_landing
from warehouse.connection import open_latest
from warehouse.errors import InputError
from warehouse.ingest import ingest
from warehouse.workspace import Workspace, open_workspace

ARCHIVE = Path(__file__).parents[2] / "docs" / "studies" / "transfer" / "landing.tar.zst"
REPLICATES = ("--replicates", "100")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place = open_workspace(tmp_path_factory.mktemp("transfer"), create=True)
    import_landing(place, ARCHIVE)
    ingest(place)
    return place


@pytest.fixture(scope="module")
def whole(study: Workspace) -> dict[str, Any]:
    return document("transfer", study)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study of all-abilities runs alone."""
    return make_workspace(tmp_path_factory.mktemp("plain"), small_shape())


def call(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("transfer")(transfer)
    app.command("mixtures")(mixtures)
    return CliRunner().invoke(app, [*arguments])


def document(command: str, place: Workspace, *options: str) -> dict[str, Any]:
    arguments = ("--workspace", str(place.root), *REPLICATES, "--json", *options)
    result = call(command, *arguments)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_the_archive_holds_the_whole_grid(study: Workspace) -> None:
    (table,) = load_run_tables(open_latest(study.root))
    assert table.base_model == "ladder-m"
    assert len(table.runs) == 121
    assert sum(run.design == "single_ability" for run in table.runs) == 60
    assert sum(run.design == "leave_one_out" for run in table.runs) == 40
    assert sum(run.is_base for run in table.runs) == 1
    fixed = {run.n_steps for run in table.runs if run.length_rule == "steps"}
    assert fixed == {160}
    assert len(table.targets) == 13
    assert sum(target.out_of_domain for target in table.targets) == 3
    for target in table.targets:
        assert target.item_scores is not None
        assert target.item_scores.mean(axis=1) == pytest.approx(target.score)


def test_biology_helps_history_in_the_demonstration(whole: dict[str, Any]) -> None:
    (cell,) = [
        c
        for c in whole["matrix"]
        if (c["source_ability"], c["target_ability"]) == ("biology", "history")
        and (c["design"], c["volume"], c["length_rule"]) == ("single_ability", 64, "steps")
    ]
    assert cell["verdict"] == "helps"
    assert cell["beyond_format"]["low"] > 0.05
    assert cell["beyond_format_q_value"] < 0.01
    assert cell["steps_matched"] is True
    assert cell["n_tests"] == 650
    (worth,) = [
        one
        for one in whole["tau"]
        if (one["source_ability"], one["target_ability"]) == ("biology", "history")
    ]
    assert worth["status"] == "ok"
    assert worth["tau"]["low"] > 0
    assert {one["status"] for one in whole["effective"][0]["abilities"]} == {"ok", "poor_fit"}


def test_filters_change_what_is_shown_and_no_number(
    study: Workspace, whole: dict[str, Any]
) -> None:
    some = document("transfer", study, "--ability", "history", "--source-ability", "biology")
    assert {c["target_ability"] for c in some["matrix"]} == {"history"}
    assert {c["source_ability"] for c in some["matrix"]} == {"biology"}
    assert len(some["tau"]) == 1
    assert all(cell in whole["matrix"] for cell in some["matrix"])
    assert len(whole["matrix"]) == 650


def test_exams_mirror_growth_in_the_demonstration(whole: dict[str, Any]) -> None:
    found = {m["target"]: m for m in whole["mirror"]}
    assert found["exam_naturalist"]["slope"]["low"] > 0.5
    assert found["exam_bursar"]["slope"]["high"] < 0.2


def test_the_printed_matrix_marks_what_was_found(study: Workspace) -> None:
    result = call("transfer", "--workspace", str(study.root), *REPLICATES)
    assert result.exit_code == 0, result.exception
    assert "single_ability on human data at 64 per ability, fixed steps" in result.stdout
    assert "q < 0.05 after Benjamini-Hochberg" in result.stdout


def test_all_abilities_runs_are_said_to_tell_no_transfer(plain: Workspace) -> None:
    found = document("transfer", plain)
    assert found["matrix"] == []
    assert {one["status"] for one in found["status"]} == {"not_identified"}
    assert all(one["tau"] is None and one["reason"] for one in found["tau"])
    result = call("transfer", "--workspace", str(plain.root), *REPLICATES)
    assert "not identified" in result.stdout


def test_mixtures_are_compared_with_the_even_mix(study: Workspace) -> None:
    found = document("mixtures", study, "--reference", "even human 64")
    assert {p["mixture"] for p in found["pairs"]} == {
        "even synthetic 64",
        "half_synthetic",
        "quick_first",
        "slow_first",
    }
    (overall,) = [
        p
        for p in found["pairs"]
        if p["overall"] == "overall, in domain" and p["mixture"] == "slow_first"
    ]
    assert overall["ability"] is None
    assert overall["difference"]["low"] > 0
    assert overall["n_examples"] == overall["n_examples_reference"] == 640
    table = call("mixtures", "--workspace", str(study.root), *REPLICATES)
    assert "overall, in domain" in table.stdout


def test_a_study_without_mixtures_says_so(plain: Workspace) -> None:
    assert document("mixtures", plain)["pairs"] == []
    result = call("mixtures", "--workspace", str(plain.root))
    assert "No mixtures to compare" in result.stdout


@pytest.mark.parametrize(
    ("command", "option", "value", "known"),
    [
        ("transfer", "--study", "other", "quickstart"),
        ("transfer", "--ability", "cooking", "code"),
        ("transfer", "--source-ability", "cooking", "code"),
        ("transfer", "--data-source", "web", "human"),
        ("transfer", "--reference", "web", "human"),
        ("transfer", "--metric", "bleu", "accuracy"),
        ("mixtures", "--ability", "cooking", "code"),
        ("mixtures", "--reference", "maximum", "none"),
    ],
)
def test_unknown_values_are_refused_with_the_known_ones(
    plain: Workspace, command: str, option: str, value: str, known: str
) -> None:
    result = call(command, "--workspace", str(plain.root), option, value)
    assert isinstance(result.exception, InputError)
    assert value in str(result.exception)
    assert known in str(result.exception)
    assert result.stdout == ""


def test_excluded_cells_are_no_runs(study: Workspace, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from warehouse.landing import write_document
    from warehouse.records import ExclusionRecord, RecordKind

    place = open_workspace(tmp_path, create=True)
    import_landing(place, ARCHIVE)
    (table,) = load_run_tables(open_latest(study.root))
    gone = table.runs[-1].cell_id
    record = ExclusionRecord(cell_id=gone, reason="diverged", created_at=datetime.now(UTC))
    write_document(place, RecordKind.EXCLUSION, gone, record)
    ingest(place)
    (table,) = load_run_tables(open_latest(place.root))
    assert len(table.runs) == 120
    assert gone not in {run.cell_id for run in table.runs}
