"""The benchmark's own parts at a size of seconds; the figures come from `make bench`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from warehouse import open_latest, queries
from warehouse.bench import report, rivals
from warehouse.bench.landing import STUDY, Size, land_study
from warehouse.bench.rivals import Rival, measure_rivals
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.workspace import Workspace, open_workspace

_SIZE = Size(n_cells=4, n_abilities=4, n_items=6)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = open_workspace(tmp_path_factory.mktemp("bench") / "workspace", create=True)
    land_study(workspace, _SIZE)
    return workspace


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a test from taking the time that an installed MLflow takes."""
    monkeypatch.setitem(sys.modules, "mlflow", None)


def test_a_generated_study_is_ingested_whole(generated: Workspace) -> None:
    report = ingest(generated)
    assert report.quarantined == ()
    with open_latest(generated) as conn:
        scores = queries.load_ability_scores(conn, study=STUDY)
        items = queries.load_item_scores(conn, study=STUDY)
    assert len(items) == _SIZE.n_item_scores == 96
    assert len(scores) == _SIZE.n_cells * _SIZE.n_abilities
    assert set(scores["n_items"]) == {6}


@pytest.mark.usefixtures("no_mlflow")
def test_rivals_are_measured_or_say_why_not(generated: Workspace) -> None:
    measured = measure_rivals(generated, 3)
    assert [rival.name for rival in measured] == [
        *["pandas over raw files"] * 3,
        *["SQLite"] * 3,
        "MLflow (SQLite store)",
    ]
    for rival in measured[:-1]:
        assert rival.seconds is not None and rival.ours_seconds is not None
        assert rival.seconds > 0 and rival.ours_seconds > 0
    assert measured[-1].seconds is None
    assert measured[-1].row()[1] == "not measured: mlflow is not installed"


@pytest.mark.usefixtures("no_mlflow")
def test_a_rival_that_answers_otherwise_stops_the_benchmark(
    generated: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = rivals._SQLITE_RUNS.replace("avg(score)", "max(score)")
    monkeypatch.setattr(rivals, "_SQLITE_RUNS", wrong)
    with pytest.raises(WorkError, match="SQLite and the warehouse disagree on the latest score"):
        measure_rivals(generated, 3)


def test_a_rival_is_reported_as_a_ratio() -> None:
    rival = Rival(name="SQLite", question="a question", seconds=1.25, ours_seconds=0.0125)
    assert rival.row() == ("SQLite: a question", "1,250 ms against 12.5 ms: 100.0x", "at least 10x")


def test_figures_replace_their_section_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- scale -->\nold\n<!-- /scale -->\nafter\n", "utf-8")
    monkeypatch.setattr(report, "REPORT", page)
    report.write_section("scale", [("speed", "2", "at least 1")], packages=["duckdb"])
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- scale -->\nMeasured ") and "old" not in text
    assert text.endswith("| speed | 2 | at least 1 |\n<!-- /scale -->\nafter\n")
    with pytest.raises(WorkError, match="no section <!-- other -->"):
        report.write_section("other", [], packages=[])
