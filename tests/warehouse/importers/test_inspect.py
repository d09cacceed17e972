"""Logs of inspect_ai; those that need inspect_ai itself are skipped without it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from warehouse.errors import InputError, MissingDependencyError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.inspect_logs import read_inspect
from warehouse.importers.landed import land
from warehouse.importers.mapping import Mapping
from warehouse.ingest import ingest
from warehouse.workspace import open_workspace

# Written by inspect_ai 0.3.285 with its model mockllm; events and attachments were taken out.
FIXTURES = Path(__file__).parents[2] / "fixtures" / "inspect"
has_inspect = importlib.util.find_spec("inspect_ai") is not None
needs_inspect = pytest.mark.skipif(not has_inspect, reason="inspect_ai is not installed")


def read(*paths: Path, mapping: Mapping | None = None) -> Imported:
    return read_inspect(paths or (FIXTURES,), study="s", mapping=mapping or Mapping())


def items(imported: Imported) -> pd.DataFrame:
    assert imported.item_scores is not None
    return imported.item_scores.to_pandas()


@pytest.mark.skipif(has_inspect, reason="inspect_ai is installed")
def test_without_inspect_ai_the_extra_is_named() -> None:
    with pytest.raises(MissingDependencyError, match=r"growthpace\[inspect\]"):
        read()


@needs_inspect
def test_scorers_are_metrics_and_epochs_are_averaged() -> None:
    found = items(read())
    means = found.groupby(["task", "metric"])["score"].agg(["size", "mean"])
    assert means.loc[("sums", "match")].tolist() == [4, 0.75]
    assert means.loc[("sums", "includes")].tolist() == [4, 0.75]
    # Three samples of two epochs each are three items.
    assert means.loc[("colours", "choice")].tolist() == [3, pytest.approx(2 / 3)]
    assert found[found["task"] == "colours"]["chance_level"].unique() == pytest.approx([1 / 3])
    assert found[found["task"] == "sums"]["chance_level"].unique() == [0.0]
    assert found[found["metric"] == "match"]["response"].tolist() == ["0", "2", "5", "6"]


@needs_inspect
def test_texts_model_and_environment_are_kept() -> None:
    imported = read()
    assert imported.items is not None
    texts = imported.items.to_pandas().set_index("task")
    prompt = json.loads(texts.loc["sums"]["prompt"].iloc[0])
    assert prompt == [{"role": "user", "content": "0+0="}]
    assert list(texts.loc["colours"]["choices"].iloc[0]) == ["stone", "blue", "seven"]
    assert [cell.label for cell in imported.cells] == ["mockllm/model"]
    evaluations = imported.runs[0].environment["evaluations"]
    assert {one["task"]: one["epochs"] for one in evaluations} == {"sums": 1, "colours": 2}


@needs_inspect
def test_a_log_lands_once(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "w", create=True)
    assert land(workspace, read()).n_new_rows == 11
    assert ingest(workspace).quarantined == ()
    assert land(workspace, read()).n_new_rows == 0


@needs_inspect
def test_rules_name_abilities_and_leave_tasks_out() -> None:
    rules = [{"tasks": "sums", "ability": "maths"}, {"tasks": "colours", "skip": True}]
    imported = read(mapping=Mapping.model_validate({"tasks": rules}))
    assert items(imported)["ability"].unique() == ["maths"]
    assert [part.what for part in imported.ignored] == ["colours"]


@needs_inspect
def test_logs_without_samples_give_scores(tmp_path: Path) -> None:
    log = json.loads((FIXTURES / "sums.json").read_text("utf-8"))
    (tmp_path / "sums.json").write_text(json.dumps(log | {"samples": None}), "utf-8")
    imported = read(tmp_path)
    assert imported.scores is not None and imported.item_scores is None
    found = imported.scores.to_pandas().set_index("metric")
    assert found.loc["match"][["score", "stderr", "n_items"]].tolist() == [0.75, 0.25, 4]


@needs_inspect
def test_unfinished_logs_older_runs_and_other_files_are_listed(tmp_path: Path) -> None:
    log = json.loads((FIXTURES / "sums.json").read_text("utf-8"))
    shutil.copy(FIXTURES / "sums.json", tmp_path / "b.json")
    (tmp_path / "c.json").write_text(json.dumps(log | {"status": "error"}), "utf-8")
    (tmp_path / "d.json").write_text('{"name": "package"}', "utf-8")
    log["eval"]["created"] = "2020-01-01T00:00:00+00:00"
    (tmp_path / "a.json").write_text(json.dumps(log), "utf-8")
    imported = read(tmp_path)
    reasons = {Path(part.file).name: part.reason for part in imported.ignored}
    assert reasons["a.json"].startswith("another run of the same task counts")
    assert reasons["c.json"] == "the evaluation ended with status error"
    assert reasons["d.json"] == "no log of inspect_ai"


@needs_inspect
def test_values_that_are_no_numbers_are_listed_and_infinite_ones_rejected(tmp_path: Path) -> None:
    log = json.loads((FIXTURES / "sums.json").read_text("utf-8"))
    values = [{"tone": 0.5, "style": "warm"}, {"tone": 1, "style": "cold"}, {"tone": True}, "x"]
    for sample, value in zip(log["samples"], values, strict=True):
        sample["scores"] = {"judge": {"value": value}}
    (tmp_path / "sums.json").write_text(json.dumps(log), "utf-8")
    imported = read(tmp_path)
    assert items(imported)[["metric", "score"]].to_numpy().tolist() == [
        ["judge.tone", 0.5],
        ["judge.tone", 1.0],
        ["judge.tone", 1.0],
    ]
    assert sorted(part.what for part in imported.ignored) == ["judge", "judge.style"]
    log["samples"][0]["scores"]["judge"]["value"] = float("inf")
    (tmp_path / "sums.json").write_text(json.dumps(log), "utf-8")
    with pytest.raises(RejectedImportError, match="not finite"):
        read(tmp_path)


@needs_inspect
def test_a_log_that_is_cut_short_is_rejected(tmp_path: Path) -> None:
    content = (FIXTURES / "colours.eval").read_bytes()
    (tmp_path / "colours.eval").write_bytes(content[:3000])
    with pytest.raises(RejectedImportError, match="can't read the log"):
        read(tmp_path)


@needs_inspect
def test_nothing_to_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no complete log"):
        read(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "gone")
