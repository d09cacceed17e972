from pathlib import Path

import pytest

from runners.grid import GridContext, count_steps, expand_grid
from runners.grid_spec import GridSpec, TrainingSpec, load_grid, merge_training, parse_grid
from warehouse.errors import InputError
from warehouse.records import Design

DOCUMENT = {
    "study": "s",
    "base_models": [{"name": "tiny"}],
    "dataset": {"folder": "data"},
    "data_sources": [{"name": "human", "path": "h"}, {"name": "synthetic", "path": "s"}],
    "volumes": {"values": [0, 4, 16]},
    "seeds": [0, 1],
    "training": {"epochs": 2, "batch_size": 8},
}
POOLS = {
    "human": {"code": 40, "math": 40, "ethics": 40},
    "synthetic": {"code": 40, "math": 40, "ethics": 40},
}


def spec(**changes) -> GridSpec:
    return parse_grid(DOCUMENT | changes, "test")


def context(**changes) -> GridContext:
    fields = {
        "pool_sizes": POOLS,
        "subset_hash": lambda composition, seed: f"{composition}{seed}",
        "model_revisions": {"tiny": "r1", "other": "r2"},
        "model_sizes": {"tiny": 1000, "other": None},
        "evaluation_hash": "e",
        "dtype": "fp32",
    }
    return GridContext(**fields | changes)


def ids(grid: GridSpec, **changes) -> set[str]:
    return {cell.record.cell_id for cell in expand_grid(grid, context(**changes))}


def test_counts_one_base_cell_and_every_combination():
    cells = expand_grid(spec(), context())
    base = [cell for cell in cells if cell.record.design is Design.BASE]
    assert len(base) == 1
    assert base[0].record.seed is None and base[0].record.data_source is None
    assert len(cells) == 1 + 2 * 2 * 2
    largest = [c for c in cells if c.record.volume_setting == 16]
    assert {c.n_examples for c in largest} == {48}
    assert {c.n_optimizer_steps for c in largest} == {12}


def test_cell_ids_are_stable_and_change_with_what_changes_the_result():
    start = ids(spec())
    assert ids(spec()) == start
    assert ids(spec(study="renamed")) == start
    assert ids(spec(scoring={"batch_size": 7})) == start
    assert ids(spec(training={"epochs": 2, "batch_size": 8, "micro_batch_size": 2})) == start
    for changed in (
        ids(spec(training={"epochs": 3, "batch_size": 8})) & start,
        ids(spec(), model_revisions={"tiny": "r9"}),
        ids(spec(), evaluation_hash="other"),
        ids(spec(template="chatml")),
        ids(spec(), dtype="bf16"),
    ):
        # Only the base cell may be shared, and only when training alone changed.
        assert len(changed & start) <= 1


def test_a_changed_volume_list_keeps_the_cells_it_shares():
    assert ids(spec(volumes={"values": [0, 4]})) < ids(spec())


def test_volume_in_total_is_shared_equally():
    cells = expand_grid(spec(volumes={"values": [12], "per": "total"}), context())
    assert {part.n_examples for cell in cells for part in cell.record.composition} == {4}
    with pytest.raises(InputError, match="can't be shared equally by 3 abilities"):
        expand_grid(spec(volumes={"values": [10], "per": "total"}), context())


def test_single_ability_and_leave_one_out():
    designs = [
        {"kind": "single_ability", "abilities": ["code"], "data_sources": ["human"]},
        {"kind": "leave_one_out", "abilities": ["code"], "data_sources": ["human"]},
    ]
    cells = expand_grid(spec(designs=designs, volumes={"values": [4]}, seeds=[0]), context())
    parts = {
        cell.record.design: [part.ability for part in cell.record.composition] for cell in cells
    }
    assert parts == {Design.SINGLE_ABILITY: ["code"], Design.LEAVE_ONE_OUT: ["ethics", "math"]}
    assert {cell.record.design_target for cell in cells} == {"code"}


def test_mixture_of_two_sources_takes_all_and_counts():
    mixture = {
        "kind": "mixture",
        "name": "mix-4",
        "parts": [
            {"data_source": "human", "ability": "code", "n_examples": "all"},
            {"data_source": "synthetic", "ability": "math", "n_examples": 4},
        ],
    }
    (cell,) = expand_grid(spec(designs=[mixture], volumes={"values": [4]}, seeds=[0]), context())
    assert cell.record.data_source == "mixed"
    assert cell.n_examples == 44
    assert cell.record.design_target == "mix-4"


def test_unlabelled_pool_is_drawn_from_as_a_whole():
    pools = {"human": POOLS["human"], "synthetic": {"unlabelled": 100}}
    cells = expand_grid(
        spec(volumes={"values": [30], "per": "total"}, seeds=[0]), context(pool_sizes=pools)
    )
    unlabelled = [c for c in cells if c.record.data_source == "synthetic"]
    assert [(p.ability, p.n_examples) for c in unlabelled for p in c.record.composition] == [
        ("unlabelled", 30)
    ]


def test_matched_steps_replace_epochs():
    training = merge_training(TrainingSpec(epochs=4), {"steps": 30})
    assert training.epochs is None and count_steps(training, 5) == 30


def test_the_last_smaller_batch_is_a_step():
    assert count_steps(TrainingSpec(epochs=1, batch_size=16), 17) == 2


def test_refuses_a_cell_without_optimizer_steps():
    grid = spec(training={"epochs": 0.1, "batch_size": 64})
    with pytest.raises(InputError, match=r"make no optimizer step; raise training\.epochs"):
        expand_grid(grid, context())


def test_refuses_more_examples_than_the_pool_holds():
    with pytest.raises(
        InputError, match="100 code examples are asked of source human, which holds 40"
    ):
        expand_grid(spec(volumes={"values": [100]}), context())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "three"}, "test: seeds"),
        ({"volumes": {"values": [-1]}}, r"volumes\.values\.0"),
        ({"training": {"epochs": 1, "steps": 2}}, "exactly one of epochs and steps"),
        ({"typo": 1}, "test: typo"),
        ({"base_models": [{"name": "../x"}]}, r"base_models\.0\.name"),
        ({"designs": [{"kind": "mixture"}]}, "a mixture has a name and parts"),
        ({"volumes": {"values": [4, 4]}}, "lists the same entry twice"),
        ({"training": {"epochz": 4}}, r"training\.epochz: there is no such field"),
    ],
)
def test_a_wrong_field_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        spec(**changes)


def test_unknown_grid_names_the_shipped_ones():
    with pytest.raises(InputError, match=r"no grid 'nope'.*quickstart"):
        load_grid("nope")


def test_malformed_yaml_names_file_and_line(tmp_path: Path):
    path = tmp_path / "broken.yaml"
    path.write_text("study: s\nseeds: [1, 2\nvolumes: }\n")
    with pytest.raises(InputError, match=r"broken\.yaml, line 3: not valid YAML"):
        load_grid(str(path))


@pytest.mark.parametrize("name", ["quickstart", "resistant-check", "smollm2-cpu"])
def test_shipped_grids_are_valid(name):
    assert load_grid(name)[1].study == name


def test_how_a_step_is_carried_out_is_no_part_of_the_id():
    start = ids(spec())
    for changes in (
        {"zero_stage": 3, "offload": "parameters"},
        {"zero_stage": 0, "offload": "none"},
        {"attention": "eager", "gradient_checkpointing": True},
        {"packing": True, "packed_length": 4096, "micro_batch_size": 1},
        {"ranks": 4},
    ):
        assert ids(spec(training={"epochs": 2, "batch_size": 8} | changes)) == start, changes


def test_the_settings_that_make_an_id_are_those_that_the_first_ids_were_made_with():
    # A field more or less here would make every finished cell of every study a new one.
    assert TrainingSpec(epochs=4, dtype="fp32").result_settings() == {
        "epochs": 4.0,
        "steps": None,
        "batch_size": 64,
        "learning_rate": 1e-5,
        "final_learning_rate": 1e-6,
        "schedule": "linear",
        "warmup_steps": 0,
        "weight_decay": 0.1,
        "betas": [0.9, 0.95],
        "gradient_clipping": 1.0,
        "max_length": 2048,
        "checkpoint_rule": "last",
        "zero_stage": 2,
        "dtype": "fp32",
        "gradient_checkpointing": False,
        "ranks": 1,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"zero_stage": 2, "offload": "parameters"}, "needs zero_stage 3"),
        ({"zero_stage": 0, "offload": "optimizer"}, "needs zero_stage 1, 2 or 3"),
        ({"packed_length": 100}, "a row holds any example"),
    ],
)
def test_training_settings_that_contradict_each_other_are_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        spec(training={"epochs": 2, "batch_size": 8} | changes)
