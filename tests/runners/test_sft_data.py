import json

import pytest

from runners.grid import load_grid
from runners.sft_data import TRAIN_FILE, load_study_data, prepare_evaluation, prepare_subset
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


def test_a_missing_folder_is_named(tiny_study, tmp_path):
    spec = load_grid(str(tiny_study.grid))[1]
    with pytest.raises(InputError, match=r"dataset\.folder: there is no folder .*data"):
        load_study_data(spec, tmp_path, tmp_path)
