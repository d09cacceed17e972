"""Runs of HELM: what its classes read becomes rows.

HELM can't be installed beside growthpace, so a script that prints what HELM's classes gave stands
in for its Python. GROWTHPACE_HELM_PYTHON names a real one, for the test against HELM itself.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from warehouse.errors import InputError, MissingDependencyError, WorkError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.helm import read_helm
from warehouse.importers.landed import land
from warehouse.importers.mapping import Mapping
from warehouse.ingest import ingest
from warehouse.workspace import open_workspace

# Written with the classes of HELM 0.5.16, as its runner writes them.
FIXTURES = Path(__file__).parents[2] / "fixtures" / "helm"
RUNS = FIXTURES / "runs"


def contents() -> list[dict[str, Any]]:
    """Return what HELM's classes read."""
    lines = (FIXTURES / "reader_output.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def stand_in(folder: Path, runs: list[dict[str, Any]]) -> Path:
    """Return a program that answers as a Python with HELM does."""
    (folder / "answer.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs), "utf-8")
    program = folder / "python"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\ncat '{folder}/answer.jsonl'\n", "utf-8")
    program.chmod(0o755)
    return program


def read(python: Path | None, mapping: Mapping | None = None) -> Imported:
    return read_helm([RUNS], study="s", mapping=mapping or Mapping(), python=python)


def check(imported: Imported) -> None:
    """Compare an import with what the fixtures were made from."""
    assert imported.item_scores is not None and imported.scores is not None
    found = imported.item_scores.to_pandas()
    assert [cell.base_model for cell in imported.cells] == ["example__pond-1b", "example__pond-7b"]
    assert found["score"].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert found["response"].tolist() == ["A", "B", "B", "A", "C", "B"]
    assert found["task"].unique() == ["animal_quiz:subject=ponds:2-shot"]
    assert found["ability"].unique() == ["animal_quiz:2-shot"]
    assert found["metric"].unique() == ["exact_match"]
    assert found["chance_level"].unique() == pytest.approx([1 / 3])
    assert found["item_id"].nunique() == 3
    # A statistic without instances is a score; counts of tokens are none.
    assert imported.scores["metric"].to_pylist() == ["macro_f1"] * 2
    assert imported.scores["score"].to_pylist() == [0.375] * 2
    assert imported.items is not None
    assert imported.items["target"].to_pylist() == ["newt", "carp", "crow"]
    assert len(imported.files) == 8


def test_instances_become_items(tmp_path: Path) -> None:
    imported = read(stand_in(tmp_path, contents()))
    check(imported)
    assert imported.runs[0].environment["evaluations"][0]["max_eval_instances"] == 3


@pytest.mark.skipif("GROWTHPACE_HELM_PYTHON" not in os.environ, reason="no Python with HELM named")
def test_helm_itself_reads_the_same() -> None:
    check(read(Path(os.environ["GROWTHPACE_HELM_PYTHON"])))


def test_a_run_lands_once(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "w", create=True)
    python = stand_in(tmp_path, contents())
    assert land(workspace, read(python)).n_new_rows == 8
    assert ingest(workspace).quarantined == ()
    assert land(workspace, read(python)).n_new_rows == 0


def test_trials_are_averaged(tmp_path: Path) -> None:
    runs = contents()
    runs[0]["per_instance"] += [{"id": "id0", "values": {"exact_match": 0.0}}]
    imported = read(stand_in(tmp_path, runs))
    assert imported.item_scores is not None
    assert imported.item_scores["score"].to_pylist()[:3] == [0.5, 0.0, 1.0]


def test_rules_name_abilities_and_leave_runs_out(tmp_path: Path) -> None:
    python = stand_in(tmp_path, contents())
    rule = {"tasks": "animal_quiz:*", "n_shot": 2, "ability": "animals", "chance_level": 0.25}
    imported = read(python, Mapping.model_validate({"tasks": [rule]}))
    assert imported.item_scores is not None
    assert set(imported.item_scores["ability"].to_pylist()) == {"animals"}
    assert set(imported.item_scores["chance_level"].to_pylist()) == {0.25}
    skip = Mapping.model_validate({"tasks": [{"tasks": "animal_quiz:*", "skip": True}]})
    assert read(python, skip).cells == []


def test_scores_that_are_not_finite_and_unreadable_runs_are_rejected(tmp_path: Path) -> None:
    runs = contents()
    runs[0]["per_instance"][0]["values"]["exact_match"] = float("inf")
    runs[0]["stats"][2]["mean"] = float("nan")
    runs[1] = {"error": "KeyError: 'name'"}
    with pytest.raises(RejectedImportError) as caught:
        read(stand_in(tmp_path, runs))
    reasons = [row.reason for row in caught.value.rejected]
    assert len(reasons) == 3
    assert "HELM can't read the run; leave it out." in reasons


def test_without_helm_its_own_environment_is_explained() -> None:
    for python in (None, Path(sys.executable)):
        with pytest.raises(MissingDependencyError, match="--helm-python"):
            read(python)


def test_a_python_that_fails_is_told(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n", "utf-8")
    program.chmod(0o755)
    with pytest.raises(WorkError, match="broken"):
        read(program)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "gone")


def test_nothing_to_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run of HELM"):
        read_helm([tmp_path], study="s", mapping=Mapping())
    with pytest.raises(InputError, match="does not exist"):
        read_helm([tmp_path / "gone"], study="s", mapping=Mapping())
