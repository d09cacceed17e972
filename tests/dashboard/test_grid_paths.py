"""A grid written to another folder finds what the first grid found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboard.grid_paths import move_grid
from runners.base_models import LADDER
from runners.grid_spec import load_grid
from runners.hardware import Hardware
from runners.plan import RunPlan, land_plan, make_plan
from warehouse.workspace import Workspace, open_workspace

GRID = """
study: own
base_models: [{name: own, path: models/own}, {name: ladder-s}]
dataset: {folder: data}
data_sources: [{name: human, path: curated}]
evaluation: {test: test}
volumes: {values: [0, 4], per: ability}
training: {epochs: 1, batch_size: 4, learning_rate: 0.001}
scoring: {task_folder: tasks}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project: models and tasks in the folder that commands run in, the study in one below."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(LADDER / "ladder-s", "models/own")
    Path("tasks").mkdir()
    Path("tasks/one.yaml").write_text("task: one\n", "utf-8")
    for part, n_items in (("curated", 8), ("test", 3)):
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"{part} {number}"},
                    {"role": "assistant", "content": "yes"},
                ],
                "type": "code",
                "question_format": 0,
                "options": ["yes", "no"],
            }
            for number in range(n_items)
        ]
        path = Path("study/data") / part / "code_x.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    Path("study/own.yaml").write_text(GRID, "utf-8")
    return open_workspace(tmp_path / "w", create=True)


def planned(grid: Path) -> RunPlan:
    here = Path("elsewhere").resolve()
    hardware = Hardware(cores=(0,), n_gpus=0)
    return make_plan(str(grid), Workspace(root=here), hardware, here, convert=False)


def settings() -> dict[str, Any]:
    return load_grid("study/own.yaml")[1].model_dump(mode="json")


def ids(plan: RunPlan) -> list[str]:
    return [cell.record.cell_id for cell in plan.cells]


def test_a_grid_in_another_folder_plans_the_same_cells_from_anywhere(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned(Path("study/own.yaml"))
    land_plan(workspace, first)
    for folder in (tmp_path / "other" / "folder", tmp_path / "study"):
        folder.mkdir(parents=True, exist_ok=True)
        grid, doubt = move_grid(settings(), folder, workspace, "own")
        assert doubt is None
        (folder / "next.yaml").write_text(yaml.safe_dump(grid), "utf-8")
        assert grid["base_models"][1] == settings()["base_models"][1], "a shipped one has no path"
        for cwd in (tmp_path, folder):
            monkeypatch.chdir(cwd)
            assert ids(planned(folder / "next.yaml")) == ids(first)
        monkeypatch.chdir(tmp_path)
    # Beside the first grid its own word holds, so that the folder may be moved as a whole.
    assert grid["dataset"]["folder"] == "data"


def test_a_dataset_that_nobody_knows_is_left_and_said(workspace: Workspace, tmp_path: Path) -> None:
    grid, doubt = move_grid(settings(), tmp_path, workspace, "own")
    assert grid["dataset"]["folder"] == "data"
    assert doubt is not None and "its dataset.folder data is looked up from" in doubt
    # Nor is a note believed whose folder has gone.
    workspace.dataset_note("own").parent.mkdir()
    workspace.dataset_note("own").write_text(str(tmp_path / "gone"), "utf-8")
    assert move_grid(settings(), tmp_path, workspace, "own")[1] == doubt
    assert move_grid(settings(), tmp_path / "study", workspace, "own")[1] is None


def test_no_landing_file_says_where_the_data_lies(workspace: Workspace, tmp_path: Path) -> None:
    land_plan(workspace, planned(Path("study/own.yaml")))
    landed = [path.read_text("utf-8") for path in workspace.landing.glob("*/*")]
    assert landed and str(tmp_path) not in "".join(landed)
