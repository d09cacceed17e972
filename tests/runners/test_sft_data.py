import json

import pytest

from runners.grid_spec import load_grid
from runners.sft_data import (
    TRAIN_FILE,
    dataset_folder,
    find_overlap,
    load_study_data,
    prepare_evaluation,
    prepare_subset,
    write_overlap,
)
from warehouse.errors import InputError
from warehouse.records import CompositionPart
from warehouse.workspace import Workspace


@pytest.fixture
def data(tiny_study, tmp_path):
    spec = load_grid(str(tiny_study.grid))[1]
    return load_study_data(spec, tiny_study.grid.parent, tmp_path)


def composition(n_examples):
    return tuple(
        CompositionPart(data_source="human", ability=ability, n_examples=n_examples)
        for ability in ("code", "math")
    )


def test_subsets_of_a_seed_are_nested_and_differ_between_seeds(data):
    def chosen(n, seed):
        return {item.item_id for item in data.subset(composition(n), seed)}

    assert len(chosen(16, 0)) == 32
    assert chosen(4, 0) < chosen(16, 0)
    assert chosen(16, 0) != chosen(16, 1)


def test_an_abilitys_share_does_not_depend_on_the_others(data):
    alone = data.subset(composition(4)[:1], 0)
    assert data.subset(composition(4), 0)[:4] == alone


def test_the_subset_hash_tells_content_apart(data):
    assert data.subset_hash(composition(4), 0) == data.subset_hash(composition(4), 0)
    assert data.subset_hash(composition(4), 0) != data.subset_hash(composition(4), 1)


def test_prepared_subset_reads_back_as_the_same_items(data, tmp_path):
    from runners.doit_format import read_doit_file

    items = data.subset(composition(4), 0)
    workspace = Workspace(root=tmp_path / "w")
    folder = prepare_subset(workspace, "h", items, composition(4), 0)
    assert read_doit_file(folder / TRAIN_FILE, scored=False) == items
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["n_examples"] == 8


def test_a_half_written_subset_is_written_again(data, tmp_path):
    workspace = Workspace(root=tmp_path / "w")
    folder = workspace.data / "h"
    folder.mkdir(parents=True)
    (folder / TRAIN_FILE).write_text("{", "utf-8")
    items = data.subset(composition(4), 0)
    prepare_subset(workspace, "h", items, composition(4), 0)
    assert len((folder / TRAIN_FILE).read_text("utf-8").splitlines()) == 8


def test_prepared_evaluation_holds_every_test_item(data, tmp_path):
    folder = prepare_evaluation(Workspace(root=tmp_path / "w"), data)
    assert len((folder / "test.jsonl").read_text("utf-8").splitlines()) == 60


def test_item_limit_cuts_every_ability(tiny_study, tmp_path):
    spec = load_grid(str(tiny_study.grid))[1]
    spec = spec.model_copy(
        update={"scoring": spec.scoring.model_copy(update={"max_items_per_ability": 5})}
    )
    data = load_study_data(spec, tiny_study.grid.parent, tmp_path)
    assert {ability: len(items) for ability, items in data.test.items()} == {"code": 5, "math": 5}


@pytest.mark.parametrize("part", ["base_models", "designs"])
def test_validation_items_are_read_for_any_training_that_asks_for_them(tiny_study, tmp_path, part):
    spec = load_grid(str(tiny_study.grid))[1]
    (one,) = getattr(spec, part)
    best = one.model_copy(update={"training": {"checkpoint_rule": "best_validation"}})
    changed = spec.model_copy(update={part: (best,)})
    assert load_study_data(changed, tiny_study.grid.parent, tmp_path).validation
    assert not load_study_data(spec, tiny_study.grid.parent, tmp_path).validation


def test_a_missing_folder_is_named(tiny_study, tmp_path):
    spec = load_grid(str(tiny_study.grid))[1]
    with pytest.raises(InputError, match=r"dataset\.folder: there is no folder .*data"):
        load_study_data(spec, tmp_path, tmp_path)


def test_overlap_with_the_test_items_is_found_and_kept(tiny_study, tmp_path):
    folder = tmp_path / "data" / "curated"
    for split in ("full", "test"):
        (folder / split).mkdir(parents=True)
        for path in (tiny_study.data / "curated" / split).iterdir():
            (folder / split / path.name).write_text(path.read_text("utf-8"), "utf-8")
    leaked = (folder / "test" / "code_x.json").read_text("utf-8").splitlines()[:3]
    with (folder / "full" / "math_x.json").open("a", encoding="utf-8") as handle:
        handle.write("\n".join(leaked) + "\n")
    spec = load_grid(str(tiny_study.grid))[1]
    data = load_study_data(spec, tmp_path, tmp_path)
    leaks = find_overlap(data)
    assert len({leak.evaluation_item_id for leak in leaks}) == 3
    path = write_overlap(Workspace(root=tmp_path / "w"), data, leaks)
    assert len(json.loads(path.read_text("utf-8"))) == len(leaks)


def test_demo_data_is_generated_once_and_named_by_its_generator(tmp_path, monkeypatch):
    import runners.demo_data
    from runners.grid_spec import DatasetSpec

    calls = []
    monkeypatch.setattr(
        runners.demo_data,
        "write_demo_data",
        lambda folder, *, seed: (calls.append(seed), folder.mkdir(parents=True)),
    )
    spec = DatasetSpec(generator="demo", seed=3)
    first = dataset_folder(spec, tmp_path, tmp_path)
    assert dataset_folder(spec, tmp_path, tmp_path) == first
    assert calls == [3] and first.name.endswith("-seed3")
