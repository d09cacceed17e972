"""`compare sources|scales|abilities`, what they read and what they keep, on a made study."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dashboard import comparison_evidence, result_store
from dashboard.analysis import FitSettings
from dashboard.commands.compare import compare_app
from tests.dashboard.analysis.worlds import make_curve
from tests.dashboard.made_study import make_workspace, small_shape
from warehouse.errors import InputError
from warehouse.workspace import Workspace, open_workspace

REPLICATES = ("--replicates", "60")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("compared") / "workspace", small_shape())


def run(workspace: Workspace, name: str, *arguments: str) -> Any:
    return CliRunner().invoke(
        compare_app, [name, "--workspace", str(workspace.root), *REPLICATES, *arguments]
    )


def run_json(workspace: Workspace, name: str, *arguments: str) -> dict[str, Any]:
    result = run(workspace, name, *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def check_interval(interval: dict[str, Any]) -> None:
    assert interval["low"] <= interval["estimate"] <= interval["high"]
    assert interval["level"] == 0.95


# --------------------------------------------------------------------------------------- documents


def test_sources_keep_the_contract(workspace: Workspace) -> None:
    document = run_json(workspace, "sources")
    assert document["snapshot"] in (workspace.snapshots / "LATEST").read_text()
    # 3 abilities and 1 exam x 2 models x 4 volumes.
    assert len(document["pairs"]) == document["n_tests"] == 32
    assert document["correction"] == "Benjamini-Hochberg"
    for pair in document["pairs"]:
        assert (pair["reference"], pair["data_source"]) == ("human", "synthetic")
        check_interval(pair["difference"])
        difference = pair["score_reference"] - pair["score"]
        assert pair["difference"]["estimate"] == pytest.approx(difference)
        assert 0 <= pair["p_value"] <= pair["q_value"] <= 1
    for rate in document["exchange_rates"]:
        if rate["rate"] is None:
            assert rate["reason"]
        else:
            assert 0 <= rate["p_never_under_family"] <= rate["p_beyond_observed"] <= 1
        if rate["rate"] is not None and rate["rate"]["high"] is None:
            assert rate["reason"]
    assert {row["ability"] for row in document["readings"]} == {
        None, "code", "ceval_physician_fshot", "reasoning", "role_play",
    }  # fmt: skip


def test_the_balance_of_each_source_is_shown(workspace: Workspace) -> None:
    balance = run_json(workspace, "sources")["balance"]
    shares = {(row["data_source"], row["ability"]): row["share"] for row in balance}
    assert len(shares) == 6
    for source in ("human", "synthetic"):
        assert shares[source, "code"] == pytest.approx(1 / 3)
    assert {row["n_examples_largest"] for row in balance} == {256}


def test_scales_keep_the_contract(workspace: Workspace) -> None:
    document = run_json(workspace, "scales", "--at", "64", "--at", "1000", "--ability", "code")
    assert {row["n_examples"] for row in document["models"]} == {64, 1000}
    for row in document["models"]:
        assert row["base_model"] in ("ladder-s", "ladder-l")
        assert row["n_params"] in (112_000, 914_000)
        check_interval(row["score"])
        inside = row["n_examples"] == 64
        assert (row["prediction_status"] == "inside_range") is inside
    targets = [row for row in document["ranking_at"] if row["n_examples"] == row["target"]]
    assert {row["target"] for row in targets} == {64, 1000}
    for row in document["ranking_at"]:
        assert sorted(row["order"]) == ["ladder-l", "ladder-s"]
        assert row["expected_regret"] >= 0


def test_abilities_keep_pairs_and_macro_means(workspace: Workspace) -> None:
    document = run_json(workspace, "abilities", "--data-source", "human")
    assert {row["data_source"] for row in document["abilities"]} == {"human"}
    assert {row["domain"] for row in document["overall"]} == {"in_domain", "out_of_domain"}
    for row in document["overall"]:
        check_interval(row["gain"])
        assert len(row["curve"]) == 5
    assert "max-t" in document["correction"]


@pytest.mark.parametrize("name", ["sources", "abilities"])
def test_filters_choose_rows_but_change_no_number(workspace: Workspace, name: str) -> None:
    whole = run_json(workspace, name)
    some = run_json(workspace, name, "--ability", "code", "--base-model", "ladder-l")
    assert some["pairs"] or name == "abilities"
    for part in ("pairs", "exchange_rates", "abilities"):
        for row in some.get(part, ()):
            assert row["ability"] == "code"
            assert row in whole[part]


def test_models_are_ranked_among_those_asked_for(workspace: Workspace) -> None:
    document = run_json(workspace, "scales", "--base-model", "ladder-l")
    assert document["models"] == document["ranking_at"] == []


# -------------------------------------------------------------------------------- tables and errors


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("sources", ["human against synthetic data, ladder-l", "code 33%", "can't be told apart"]),
        ("scales", ["P(best)", "is expected to be the best of 2 base models"]),
        ("abilities", ["times the others", "In-domain abilities of ladder-l on human data"]),
    ],
)
def test_tables_end_with_plain_sentences(workspace: Workspace, name: str, texts: list[str]) -> None:
    result = run(workspace, name)
    assert result.exit_code == 0, result.output
    for text in texts:
        assert text in result.stdout
    assert "Comparing" not in result.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sources", ("--reference", "web"), "known sources: human, synthetic"),
        ("sources", ("--ability", "cooking"), "known: ceval_physician_fshot, code"),
        ("scales", ("--at", "0"), "a volume is a count above 0"),
        ("scales", ("--base-model", "gpt"), "known: ladder-l, ladder-s"),
        ("abilities", ("--level", "2"), "between 0 and 1"),
        ("abilities", ("--x", "rows"), "'rows' is unknown"),
    ],
)
def test_wrong_calls_are_one_clear_sentence(
    workspace: Workspace, name: str, arguments: tuple[str, ...], message: str
) -> None:
    result = run(workspace, name, *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_one_source_and_one_model_are_nothing_to_compare(tmp_path: Path) -> None:
    shape = small_shape(sources=("human",), models=("ladder-s",), abilities=("code",), exams=())
    place = make_workspace(tmp_path / "one", shape)
    assert "only 'human' has growth curves" in run(place, "sources").stdout
    assert "no ability has curves of two base models" in run(place, "scales").stdout


def test_commands_load_nothing_heavy_until_they_run() -> None:
    code = (
        "import sys, dashboard.commands.compare\n"
        "print(sorted({'numpy', 'scipy', 'pandas', 'duckdb', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------ store


def test_what_is_known_is_not_computed_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_json(workspace, "sources")
    assert list(workspace.fits.glob("compare-sources-*.json"))

    def refuse(*_: object) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr("dashboard.analysis.compare.sources.compare_sources", refuse)
    assert run_json(workspace, "sources") == first
    assert isinstance(run(workspace, "sources", "--level", "0.9").exception, AssertionError)
    assert isinstance(
        run(workspace, "sources", "--reference", "synthetic").exception, AssertionError
    )


@pytest.mark.parametrize("damage", ["", "not json", "[1]"])
def test_a_damaged_result_is_written_again(tmp_path: Path, damage: str) -> None:
    place = open_workspace(tmp_path)
    result_store.load_or_compute(place, "name", "key", lambda: {"a": 1})
    (path,) = place.fits.iterdir()
    path.write_text(damage)
    assert result_store.load_or_compute(place, "name", "key", lambda: {"a": 2}) == {"a": 2}
    assert json.loads(path.read_text()) == {"a": 2}


def test_a_store_that_can_not_be_written_costs_nobody_the_answer(tmp_path: Path) -> None:
    place = open_workspace(tmp_path)
    place.fits.write_text("a file where the folder should be")
    assert result_store.load_or_compute(place, "name", "key", lambda: {"a": 1}) == {"a": 1}


def test_keys_follow_name_rows_settings_and_options() -> None:
    curves, settings = [make_curve([0.2, 0.3, 0.4], (0, 4, 16))], FitSettings()
    key = result_store.result_key("one", curves, settings, {"at": [1]})
    assert key == result_store.result_key("one", curves, FitSettings(), {"at": [1]})
    others = [
        result_store.result_key("two", curves, settings, {"at": [1]}),
        result_store.result_key("one", curves, settings, {"at": [2]}),
        result_store.result_key("one", curves, replace(settings, level=0.9), {"at": [1]}),
        result_store.result_key("one", [], settings, {"at": [1]}),
    ]
    assert len({key, *others}) == 5


# ------------------------------------------------------------------------------------------- axes


def test_unlabelled_data_puts_its_study_on_total_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_fake(conn: object, *, x: str, studies: object = None, **_: object) -> list[Any]:
        n = np.array([0.0, 4, 16]) * (10 if x == "total" else 1)
        curves = []
        for study, kinds in (("mixed", ("own", "total")), ("plain", ("own", "own"))):
            for source, kind in zip(("human", "synthetic"), kinds, strict=True):
                found = "total" if x == "total" else kind
                curves.append(make_curve([0.2, 0.3, 0.4], n, study=study, data_source=source,
                                         x_kind=found))  # fmt: skip
        return [c for c in curves if studies is None or c.study in studies]  # type: ignore[operator]

    monkeypatch.setattr(comparison_evidence, "load_curves", load_fake)
    curves, switched = comparison_evidence.load_comparable_curves(None)  # type: ignore[arg-type]
    assert switched == ["mixed"]
    assert [(c.study, c.x_kind) for c in curves] == [
        ("mixed", "total"), ("mixed", "total"), ("plain", "own"), ("plain", "own"),
    ]  # fmt: skip
    _, switched = comparison_evidence.load_comparable_curves(None, x="own")  # type: ignore[arg-type]
    assert switched == []
