"""`fit` and `dashboard`, the evidence they read and the store they keep, on a made study."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from dashboard import commands, evidence, fit_store
from dashboard.analysis import ANALYSIS_VERSION, CurveData, FitSettings
from dashboard.commands import app as app_command
from dashboard.evidence import load_curves
from tests.dashboard.made_study import make_workspace, small_shape
from warehouse.connection import open_latest
from warehouse.errors import InputError
from warehouse.workspace import Workspace, open_workspace

REPLICATES = ("--replicates", "60")
SETTINGS = FitSettings(n_replicates=60)

app = typer.Typer()
commands.register(app)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("made") / "workspace", small_shape())


@pytest.fixture
def conn(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with contextlib.closing(open_latest(workspace)) as opened:
        yield opened


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def run_json(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    result = run("fit", "--workspace", str(workspace.root), *REPLICATES, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# ------------------------------------------------------------------------------------- evidence


def test_curves_join_the_base_model_once_for_each_source(conn) -> None:
    curves = load_curves(conn)
    # 3 abilities and 1 exam x 2 models x 2 sources.
    assert len(curves) == 16
    for curve in curves:
        assert curve.n_examples.tolist().count(0) == 1
        assert curve.seed.count(None) == 1
        assert curve.seed[0] is None
        assert len(curve.score) == 9
        assert curve.metric == "accuracy"
        assert curve.delta == 0.05
        assert curve.item_scores is not None
        assert curve.item_scores.shape == (9, 60)
        np.testing.assert_allclose(curve.item_scores.mean(axis=1), curve.score)


def test_models_are_ordered_by_size(conn) -> None:
    sizes = [curve.n_params for curve in load_curves(conn) if curve.ability == "code"]
    assert sizes == sorted(sizes)


def test_exams_count_all_examples_and_abilities_their_own(conn) -> None:
    for curve in load_curves(conn):
        if curve.out_of_domain:
            assert curve.x_kind == "total"
            assert curve.n_examples.max() > 256
        else:
            assert curve.x_kind == "own"
            assert curve.n_examples.max() == 256


def test_the_two_sources_share_their_items(conn) -> None:
    ids = {curve.item_ids for curve in load_curves(conn) if curve.ability == "code"}
    assert len(ids) == 1


def test_unknown_studies_and_metrics_are_refused(conn) -> None:
    with pytest.raises(InputError, match=r"--study 'nope' .* known: quickstart"):
        load_curves(conn, studies=["nope"])
    with pytest.raises(InputError, match=r"--metric 'loss' .* known: accuracy"):
        load_curves(conn, metrics=["loss"])


def make_rows(**changes: Any) -> pd.DataFrame:
    """Rows of one curve as `mart_ability_score` has them."""
    columns: dict[str, Any] = {
        "cell_id": ["base", "a", "b"],
        "n_examples_own": [0, 4, 16],
        "n_examples_total": [0, 40, 160],
        "out_of_domain": [False] * 3,
        "chance_level": [0.25] * 3,
        "n_params": [10] * 3,
        "higher_is_better": [True] * 3,
        "score": [0.2, 0.3, 0.4],
        "stderr": [0.02] * 3,
        "n_scored": [200] * 3,
        "seed": [None, 0, 0],
    }
    return pd.DataFrame(columns | changes)


def test_excluded_and_unknown_points_keep_their_place_with_a_reason() -> None:
    names = dict.fromkeys(("study", "ability", "base_model", "data_source", "metric"), "x")
    rows = make_rows(
        excluded_reason=[None, "a bug", None],
        missing_reason=[None, None, "no item carries a score"],
        n_tokens=[None, 500, None],
        item_hash=["p", "q", None],
    )
    own = evidence._curve(rows, **names, delta=None)
    assert own.missing_reason == (None, "excluded: a bug", "no item carries a score")
    assert own.item_hash == ("p", "q", None)
    rows = make_rows(n_tokens=[None, 500, None])
    tokens = evidence._curve(rows, **names, delta=None, x="tokens")
    assert tokens.x_kind == "tokens"
    # The base model counts 0 of everything.
    assert tokens.n_examples[:2].tolist() == [0, 500]
    assert np.isnan(tokens.n_examples[2])
    assert tokens.missing_reason == (None, None, "the run's n_tokens is not known")
    total = evidence._curve(make_rows(), **names, delta=None, x="total")
    assert total.n_examples.tolist() == [0, 40, 160]


@pytest.mark.parametrize(
    ("changes", "x_kind", "reason"),
    [
        ({}, "own", None),
        ({"out_of_domain": [True] * 3}, "total", None),
        # Training data that is not sorted by ability: own examples are 0 everywhere.
        ({"n_examples_own": [0] * 3}, "total", None),
        ({"chance_level": [0.25, 0.25, 0.5]}, "own", "chance levels from 0.25 to 0.5"),
        ({"chance_level": [1.0] * 3}, "own", "lies outside"),
        ({"higher_is_better": [True, True, False]}, "own", "both higher-is-better and lower"),
    ],
)
def test_rows_that_contradict_each_other_are_told(changes, x_kind, reason) -> None:
    names = dict.fromkeys(("study", "ability", "base_model", "data_source", "metric"), "x")
    curve = evidence._curve(make_rows(**changes), **names, delta=None)
    assert curve.x_kind == x_kind
    assert curve.seed == (None, 0, 0)
    if reason is None:
        assert curve.invalid_reason is None
        assert curve.chance_level == 0.25
    else:
        assert reason in (curve.invalid_reason or "")


# ---------------------------------------------------------------------------------------- store


@pytest.fixture(scope="module")
def curves(workspace: Workspace) -> list[CurveData]:
    with contextlib.closing(open_latest(workspace)) as opened:
        return [c for c in load_curves(opened) if c.base_model == "ladder-l"]


def test_nothing_known_is_refitted(
    curves: list[CurveData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_workspace(tmp_path)
    first = fit_store.fit_or_load(place, curves, SETTINGS)
    assert len(list(place.fits.glob("*.parquet"))) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("dashboard.analysis.study.fit_study", refuse)
    second = fit_store.fit_or_load(place, curves, SETTINGS)
    assert [fit.reading for fit in second.curves] == [fit.reading for fit in first.curves]
    assert second.run_noise == first.run_noise
    with pytest.raises(AssertionError, match="fitted again"):
        fit_store.fit_or_load(place, curves, replace(SETTINGS, level=0.9))


@pytest.mark.parametrize("damage", [b"", b"not parquet", None])
def test_a_damaged_file_is_ignored_and_written_again(
    curves: list[CurveData], tmp_path: Path, damage: bytes | None
) -> None:
    place = open_workspace(tmp_path)
    some = curves[:1]
    fit_store.fit_or_load(place, some, SETTINGS)
    (path,) = place.fits.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert fit_store.load_fit(path) is None
    fit_store.fit_or_load(place, some, SETTINGS)
    assert fit_store.load_fit(path) is not None
    assert [item.name for item in place.fits.iterdir()] == [path.name]


def test_another_analysis_version_is_not_believed(
    curves: list[CurveData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_workspace(tmp_path)
    fit = fit_store.fit_or_load(place, curves[:1], SETTINGS)
    path = place.fits / "old.parquet"
    fit_store.store_fit(path, replace(fit, analysis_version="0"))
    assert ANALYSIS_VERSION != "0"
    assert fit_store.load_fit(path) is None


def test_a_store_that_can_not_be_written_costs_nobody_the_answer(
    curves: list[CurveData], tmp_path: Path
) -> None:
    place = open_workspace(tmp_path)
    place.fits.write_text("a file where the folder should be")
    assert len(fit_store.fit_or_load(place, curves[:1], SETTINGS).curves) == 1


def test_items_are_read_only_for_a_fit_that_is_not_known(
    workspace: Workspace, tmp_path: Path
) -> None:
    place = open_workspace(tmp_path)
    asked: list[int] = []
    with contextlib.closing(open_latest(workspace)) as opened:
        bare = load_curves(opened, with_items=False)
        assert all(curve.item_scores is None for curve in bare)
        whole = load_curves(opened)

        def load(curves: Any) -> Any:
            asked.append(len(curves))
            return evidence.load_items(opened, curves)

        first = fit_store.fit_or_load(place, bare, SETTINGS, load_items=load)
        second = fit_store.fit_or_load(place, bare, SETTINGS, load_items=load)
    assert asked == [16]
    assert fit_store.fit_key(bare, SETTINGS) == fit_store.fit_key(whole, SETTINGS)
    assert {fit.noise.value for fit in first.curves} == {"items_and_runs"}
    assert [fit.reading for fit in second.curves] == [fit.reading for fit in first.curves]


def test_joint_laws_are_kept_and_a_damaged_file_is_written_again(
    curves: list[CurveData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_workspace(tmp_path)
    sized = [replace(c, base_model=f"m{n}", n_params=n) for n in (1000, 9000) for c in curves[:1]]
    first = fit_store.fit_joint_or_load(place, sized, SETTINGS)
    (path,) = place.fits.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("dashboard.analysis.joint.fit.fit_joint", lambda *_: ())
        assert fit_store.fit_joint_or_load(place, sized, SETTINGS) == first
        assert fit_store.fit_joint_or_load(place, sized, replace(SETTINGS, seed=1)) == ()
    path.write_text("[{")
    assert fit_store.fit_joint_or_load(place, sized, SETTINGS) == first
    assert len(json.loads(path.read_text())) == 1


def test_other_items_behind_the_same_rows_make_another_key(curves: list[CurveData]) -> None:
    assert curves[0].item_hash is not None
    other = replace(curves[0], item_hash=("other", *curves[0].item_hash[1:]))
    assert fit_store.fit_key([other], SETTINGS) != fit_store.fit_key(curves[:1], SETTINGS)
    # A snapshot without hashes lets the items themselves speak.
    bare = replace(curves[0], item_hash=None)
    assert bare.item_scores is not None
    changed = replace(bare, item_scores=1 - bare.item_scores)
    assert fit_store.fit_key([bare], SETTINGS) != fit_store.fit_key([changed], SETTINGS)


def test_keys_follow_rows_and_settings(curves: list[CurveData]) -> None:
    key = fit_store.fit_key(curves, SETTINGS)
    assert key == fit_store.fit_key(list(curves), replace(SETTINGS))
    assert key != fit_store.fit_key(curves[1:], SETTINGS)
    assert key != fit_store.fit_key(curves, replace(SETTINGS, seed=1))
    score = np.array(curves[0].score)
    score[1] += 0.01
    assert key != fit_store.fit_key([replace(curves[0], score=score), *curves[1:]], SETTINGS)


# --------------------------------------------------------------------------------------- command


def test_fit_prints_one_document_that_names_its_snapshot(workspace: Workspace) -> None:
    document = run_json(workspace)
    assert document["snapshot"] in (workspace.snapshots / "LATEST").read_text()
    assert len(document["curves"]) == 16
    curve = document["curves"][0]
    assert curve["study"] == "quickstart"
    assert curve["n_points"] == 9
    assert curve["gain"]["low"] <= curve["gain"]["estimate"] <= curve["gain"]["high"]


def test_filters_choose_curves_but_change_no_number(workspace: Workspace) -> None:
    whole = run_json(workspace)["curves"]
    options = ("--ability", "code", "--ability", "role_play", "--data-source", "human")
    some = run_json(workspace, *options, "--base-model", "ladder-l", "--study", "quickstart")
    keys = [(c["ability"], c["base_model"], c["data_source"]) for c in some["curves"]]
    assert keys == [("code", "ladder-l", "human"), ("role_play", "ladder-l", "human")]
    assert all(curve in whole for curve in some["curves"])


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("--ability", "cooking", "code, reasoning, role_play"),
        ("--base-model", "gpt", "ladder-l, ladder-s"),
        ("--data-source", "web", "human, synthetic"),
        ("--study", "other", "quickstart"),
        ("--metric", "bleu", "accuracy"),
        ("--family", "linear", "constant, log_linear"),
    ],
)
def test_unknown_values_are_refused_with_the_known_ones(
    workspace: Workspace, option: str, value: str, known: str
) -> None:
    result = run("fit", "--workspace", str(workspace.root), option, value)
    assert isinstance(result.exception, InputError)
    assert value in str(result.exception)
    assert known in str(result.exception)
    assert result.stdout == ""


def test_settings_reach_the_fit(workspace: Workspace) -> None:
    options = ("--level", "0.8", "--max-examples", "64", "--predict", "32", "--predict", "256")
    document = run_json(workspace, *options, "--family", "log_linear", "--ability", "code")
    curve = document["curves"][0]
    assert curve["gain"]["level"] == 0.8
    assert curve["n_volumes"] == 4
    assert [family["name"] for family in curve["families"]] == ["log_linear"]
    assert [item["n_examples"] for item in curve["predictions"]] == [32, 256]
    assert [item["status"] for item in curve["predictions"]] == ["inside_range", "backtested"]


def test_predictions_are_printed_with_what_stands_behind_them(workspace: Workspace) -> None:
    options = ("--ability", "code", "--predict", "32", "--predict", "100000")
    document = run_json(workspace, *options)
    result = run("fit", "--workspace", str(workspace.root), *REPLICATES, *options)
    assert result.exit_code == 0, result.output
    for curve in document["curves"]:
        inside, far = curve["predictions"]
        assert f"{100 * inside['estimate']:.1f}%" in result.stdout
        assert far["reason"] in " ".join(result.stdout.split())
    assert "at 100,000" in result.stdout


@pytest.mark.parametrize(("x", "largest"), [("total", 768), ("tokens", 134_400), ("steps", 192)])
def test_volumes_may_count_something_else(workspace: Workspace, x: str, largest: int) -> None:
    document = run_json(workspace, "--x", x, "--ability", "code", "--predict", str(largest))
    for curve in document["curves"]:
        assert curve["x_kind"] == x
        assert curve["n_volumes"] == 5
        assert curve["predictions"][0]["status"] == "inside_range"


def test_a_figure_that_no_run_has_leaves_points_with_their_reason(workspace: Workspace) -> None:
    curve = run_json(workspace, "--x", "cost", "--ability", "code")["curves"][0]
    assert curve["status"] == "too_few_points"
    assert "the run's cost is not known" in curve["reason"]
    assert len(curve["left_out"]) == 8
    assert {point["n_examples"] for point in curve["left_out"]} == {None}


def test_an_unknown_x_is_refused(workspace: Workspace) -> None:
    result = run("fit", "--workspace", str(workspace.root), "--x", "hours")
    assert isinstance(result.exception, InputError)
    assert "known: own, total, tokens, steps, cost" in str(result.exception)


def test_the_smallest_gain_that_matters_may_be_stated(workspace: Workspace) -> None:
    document = run_json(workspace, "--delta", "0.9", "--ability", "code")
    assert {curve["delta"] for curve in document["curves"]} == {0.9}
    assert {curve["label"] for curve in document["curves"]} == {"resistant"}


def test_joint_laws_come_beside_the_curves(workspace: Workspace) -> None:
    document = run_json(workspace, "--joint", "--ability", "code")
    assert [law["data_source"] for law in document["joint"]] == ["human", "synthetic"]
    for law in document["joint"]:
        assert (law["study"], law["ability"], law["metric"]) == ("quickstart", "code", "accuracy")
        assert set(law["params"]) == set(law["stderr"]) == {"E", "A", "B", "alpha", "beta"}
        # Two model sizes can't tell what a third would do.
        assert law["status"] in ("not_identified", "at_bound")
        assert law["reason"]
        assert law["params"]["alpha"] is None
    assert "joint" not in run_json(workspace, "--ability", "code")
    table = run("fit", "--workspace", str(workspace.root), *REPLICATES, "--joint").stdout
    assert "E + A / N^alpha + B / n^beta on human data" in table


def test_the_table_names_abilities_gains_and_labels(workspace: Workspace) -> None:
    result = run("fit", "--workspace", str(workspace.root), *REPLICATES)
    assert result.exit_code == 0
    assert "quickstart: ladder-l on human data (accuracy)" in result.stdout
    assert "role_play" in result.stdout
    assert "intervals cover test items and run-to-run differences" in result.stdout
    assert "a gain of 0.05 or more is ruled out" in result.stdout


def test_an_empty_workspace_is_one_clear_sentence(tmp_path: Path) -> None:
    result = run("fit", "--workspace", str(tmp_path))
    assert isinstance(result.exception, InputError)
    assert "No results yet" in str(result.exception)


def test_dashboard_starts_streamlit_on_this_machine_only(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def fake_run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.update(options, command=command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", fake_run)
    result = run("dashboard", "--workspace", str(workspace.root), "--port", "8765")
    assert result.exit_code == 3
    command = " ".join(seen["command"])
    assert "streamlit run" in command
    assert "--server.address localhost --server.port 8765 --server.headless true" in command
    assert seen["env"][app_command.WORKSPACE_VARIABLE] == str(workspace.root.resolve())


def test_a_missing_workspace_stops_the_dashboard_first(tmp_path: Path) -> None:
    result = run("dashboard", "--workspace", str(tmp_path / "none"))
    assert isinstance(result.exception, InputError)


def test_registering_loads_nothing_heavy() -> None:
    code = (
        "import sys, typer, dashboard.commands as c; c.register(typer.Typer())\n"
        "print(sorted({'numpy', 'pandas', 'duckdb', 'streamlit', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
