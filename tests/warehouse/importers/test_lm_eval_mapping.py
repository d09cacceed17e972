"""Mapping files: abilities of tasks, cells of models, the template, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from cli import app
from warehouse.connection import open_latest
from warehouse.errors import GrowthpaceError, InputError
from warehouse.importers.contract import RejectedImportError
from warehouse.importers.lm_eval import lm_eval_template, read_lm_eval
from warehouse.importers.mapping import Mapping, as_name, looks_trained, read_mapping
from warehouse.records import CellRecord, Design
from warehouse.workspace import open_workspace

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lm_eval"


def place(model: str, *rules: dict[str, object], file: str = "f") -> CellRecord:
    """Return the cell of a model."""
    mapping = Mapping.model_validate({"models": rules})
    return mapping.place(study="s", model=model, file=file, n_params=None)


def write_run(folder: Path, model: str, accuracy: float, n_shot: int = 0) -> None:
    """Write a results file of one model and task."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "results": {"quiz": {"acc,none": accuracy}},
        "n-shot": {"quiz": n_shot},
        "config": {"model_args": f"pretrained={model}"},
        "date": 1_700_000_000,
    }
    (folder / f"{as_name(model)}-{n_shot}.json").write_text(json.dumps(document), "utf-8")


# --- Models -------------------------------------------------------------------------------------


def test_a_regex_reads_volume_source_and_seed_from_names() -> None:
    rule = {
        "regex": r"sft-(?P<data_source>[a-z]+)-(?P<n_examples>\d+k?)-seed(?P<seed>\d+)",
        "base_model": "pond-1b",
        "n_params": 1_000_000_000,
    }
    cell = place("out/pond-sft-human-10k-seed3", rule)
    assert (cell.base_model, cell.n_params, cell.design) == (
        "pond-1b",
        1_000_000_000,
        Design.IMPORTED,
    )
    assert (cell.data_source, cell.volume_setting, cell.seed) == ("human", 10_000, 3)
    assert [part.n_examples for part in cell.composition] == [10_000]
    # The name of the file tells it as well.
    assert place("m", rule, file="runs/sft-human-5-seed1/x.json").volume_setting == 5


def test_steps_become_examples_by_their_factor() -> None:
    rule = {
        "regex": r"step(?P<n_examples>\d+)",
        "base_model": "pond",
        "data_source": "pile",
        "n_examples_factor": 1024,
    }
    assert place("org/pond:step512", rule).volume_setting == 524_288
    # Before its first step it is the untouched model that opens every curve.
    start = place("org/pond:step0", rule)
    assert (start.design, start.data_source, start.seed) == (Design.BASE, None, None)


def test_the_first_rule_that_fits_counts() -> None:
    rules = [{"model": "org/*", "base_model": "first"}, {"model": "*", "base_model": "second"}]
    assert place("org/a", *rules).base_model == "first"
    assert place("other/a", *rules).base_model == "second"


def test_without_a_rule_a_model_stands_alone_under_its_name() -> None:
    one, two = place("org/pond-1b"), place("org/pond-7b")
    assert one.base_model == "org__pond-1b"
    assert one.cell_id != two.cell_id
    assert one.cell_id == place("org/pond-1b").cell_id


@pytest.mark.parametrize(
    ("model", "trained"),
    [
        ("EleutherAI/pythia-410m", False),
        ("meta-llama/Llama-3.1-8B-Instruct", False),
        ("gpt2", False),
        ("gpt2+load_in_8bit", False),
        ("EleutherAI/pythia-410m:step143000", True),
        ("org/pond-1b+my-adapter", True),
        ("org/pond-sft", True),
        ("./out", True),
        ("runs/a/checkpoint-500", True),
        ("/home/me/model", True),
    ],
)
def test_checkpoints_adapters_and_own_folders_are_no_base_models(model: str, trained: bool) -> None:
    assert looks_trained(model) is trained
    assert (place(model).design is Design.IMPORTED) is trained


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"model": "*", "n_examples": 10}, "need a data_source"),
        ({"model": "*", "data_source": "human"}, "needs n_examples"),
        ({"regex": r"(?P<n_examples>[a-z]+)"}, "is not a whole number"),
    ],
)
def test_rules_that_leave_a_volume_half_told_are_refused(
    rule: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        place("model", rule)


# --- Names --------------------------------------------------------------------------------------


def test_names_are_kept_slashes_spelled_and_losses_told_apart() -> None:
    assert as_name("mmlu_anatomy:5-shot") == "mmlu_anatomy:5-shot"
    assert as_name("org/pond") == "org__pond"
    assert as_name("数学") != as_name("语文")
    assert as_name("a" * 200) != as_name("a" * 201)
    assert len(as_name("/".join("abcdefgh" * 40))) <= 120
    assert as_name("---") == as_name("---") != as_name("___")


# --- Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tasks: [", "is not YAML"),
        ("tasks:\n  - tasks: a\n    abilty: b\n", "tasks.0.abilty"),
        ("models:\n  - base_model: a\n", "give either model"),
        ("models:\n  - regex: '('\n", "not valid"),
        ("models:\n  - regex: '(?P<size>.)'\n", "groups size"),
        ("models:\n  - {regex: '(?P<seed>.)', seed: 1}\n", "both stated and a group"),
        ("- a\n", "document"),
    ],
)
def test_a_mapping_file_that_breaks_the_format_names_the_fault(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=reason):
        read_mapping(path)


def test_a_missing_mapping_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_mapping(tmp_path / "gone.yaml")


def test_the_template_means_what_no_mapping_means(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(lm_eval_template([FIXTURES]), "utf-8")
    with_template = read_lm_eval([FIXTURES], study="s", mapping=read_mapping(path))
    without = read_lm_eval([FIXTURES], study="s", mapping=Mapping())
    for mapped, plain in (
        (with_template.scores, without.scores),
        (with_template.item_scores, without.item_scores),
        (with_template.items, without.items),
    ):
        assert mapped is not None and plain is not None and mapped.equals(plain)
    assert with_template.cells == without.cells
    content = yaml.safe_load(path.read_text("utf-8"))
    assert {"tasks": ["herons_*"], "n_shot": 0, "ability": "herons"} in content["tasks"]


# --- Tasks --------------------------------------------------------------------------------------


def test_rules_give_abilities_chance_levels_and_leave_tasks_out() -> None:
    rules = [
        {"tasks": ["mmlu_*"], "ability": "knowledge", "chance_level": 0.2},
        {"tasks": "wikitext", "skip": True},
        {"tasks": "nothing_*", "ability": "x"},
    ]
    mapping = Mapping.model_validate({"tasks": rules})
    imported = read_lm_eval([FIXTURES / "v0.4.3"], study="s", mapping=mapping)
    assert imported.scores is not None
    found = imported.scores.to_pandas()
    assert found["ability"].unique() == ["knowledge"]
    assert found["chance_level"].unique() == [0.2]
    reasons = {part.what: part.reason for part in imported.ignored}
    assert reasons["wikitext"] == "left out by the mapping file"
    assert "fits nothing" in reasons["tasks nothing_*"]


def test_a_group_that_a_rule_names_is_taken_instead_of_its_tasks() -> None:
    mapping = Mapping.model_validate({"tasks": [{"tasks": "herons", "ability": "minds"}]})
    imported = read_lm_eval([FIXTURES / "v0.4.13"], study="s", mapping=mapping)
    assert imported.scores is not None
    assert imported.scores["task"].to_pylist() == ["herons"] * 3
    assert imported.scores["ability"].to_pylist() == ["minds"] * 3
    # Metrics of a group are over different numbers of items.
    assert imported.scores["n_items"].to_pylist() == [4, 2, 2]
    assert imported.item_scores is None


def test_metrics_are_lower_is_better_where_the_user_says_so(tmp_path: Path) -> None:
    mapping = Mapping(lower_is_better=("likelihood*", "acc"))
    imported = read_lm_eval([FIXTURES / "v0.3"], study="s", mapping=mapping)
    assert imported.scores is not None
    found = imported.scores.to_pandas()
    assert not found[found["metric"] == "acc"]["higher_is_better"].any()
    assert found[found["metric"] == "acc_norm"]["higher_is_better"].all()


def test_shots_are_not_mixed(tmp_path: Path) -> None:
    write_run(tmp_path, "org/pond", 0.25, n_shot=0)
    write_run(tmp_path, "org/pond", 0.5, n_shot=5)
    imported = read_lm_eval([tmp_path], study="s", mapping=Mapping())
    assert imported.scores is not None
    found = imported.scores.to_pandas()
    assert len(imported.cells) == 1
    assert found[["task", "ability"]].to_numpy().tolist() == [
        ["quiz", "quiz"],
        ["quiz:5-shot", "quiz:5-shot"],
    ]
    both = Mapping.model_validate({"tasks": [{"tasks": "quiz", "ability": "x"}]})
    with pytest.raises(RejectedImportError, match="give n_shot in the mapping file's rule"):
        read_lm_eval([tmp_path], study="s", mapping=both)


# --- The command --------------------------------------------------------------------------------


def call(*arguments: str) -> Result:
    """Run `import lm-eval`."""
    return CliRunner().invoke(app, ["import", "lm-eval", *arguments])


def test_checkpoints_become_a_growth_curve(tmp_path: Path) -> None:
    write_run(tmp_path / "evals", "org/pond-1b", 0.25)
    for n, accuracy in ((100, 0.4), (1000, 0.6), (10000, 0.7)):
        write_run(tmp_path / "evals", f"out/sft-human-{n}-seed0", accuracy)
    (tmp_path / "m.yaml").write_text(
        "tasks:\n  - {tasks: quiz, ability: pond_life}\n"
        "models:\n"
        "  - {model: org/pond-1b, base_model: pond-1b, n_examples: 0}\n"
        "  - regex: 'sft-(?P<data_source>[a-z]+)-(?P<n_examples>[0-9]+)-seed(?P<seed>[0-9]+)'\n"
        "    base_model: pond-1b\n",
        "utf-8",
    )
    workspace = str(tmp_path / "w")
    arguments = [str(tmp_path / "evals"), "--mapping", str(tmp_path / "m.yaml"), "--study", "ponds"]
    arguments += ["--workspace", workspace, "--json"]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["files"], document["rows"], document["new_rows"]) == (4, 4, 4)
    assert document["ignored"] == []
    with open_latest(open_workspace(workspace)) as conn:
        rows = conn.execute(
            "SELECT n_examples_own, data_source, score FROM mart_ability_score "
            "WHERE study = 'ponds' AND ability = 'pond_life' AND base_model = 'pond-1b' ORDER BY 1"
        ).fetchall()
    assert rows == [
        (0, None, 0.25),
        (100, "human", 0.4),
        (1000, "human", 0.6),
        (10000, "human", 0.7),
    ]
    again = json.loads(call(*arguments).stdout)
    assert again["new_rows"] == 0


def test_bad_rows_end_the_command_with_exit_1_and_nothing_lands(tmp_path: Path) -> None:
    write_run(tmp_path / "evals", "org/pond", 1.7)
    workspace = tmp_path / "w"
    arguments = [str(tmp_path / "evals"), "--workspace", str(workspace), "--json"]
    result = call(*arguments)
    assert isinstance(result.exception, GrowthpaceError) and result.exception.exit_code == 1
    rejected = json.loads(result.stdout)["rejected"]
    assert rejected[0]["value"] == "1.7" and rejected[0]["line"] == 1
    assert not workspace.exists()


def test_the_template_is_written_once(tmp_path: Path) -> None:
    target = tmp_path / "m.yaml"
    arguments = [str(FIXTURES), "--write-mapping", str(target)]
    result = call(*arguments)
    assert result.exit_code == 0 and "tasks:" in target.read_text("utf-8")
    again = call(*arguments)
    assert isinstance(again.exception, InputError) and "exists already" in str(again.exception)


def test_a_study_that_is_no_name_is_refused(tmp_path: Path) -> None:
    result = call(str(FIXTURES), "--study", "../x")
    assert isinstance(result.exception, InputError)


def test_the_mapping_file_in_the_documentation_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "imports.md").read_text("utf-8")
    path = tmp_path / "m.yaml"
    path.write_text(text.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    mapping = read_mapping(path)
    assert [rule.skip for rule in mapping.tasks] == [False, True]
    cell = mapping.place(study="s", model="x/sft-human-10k-seed2", file="f", n_params=None)
    assert (cell.base_model, cell.volume_setting, cell.seed) == ("pond-1b", 10_000, 2)
    cell = mapping.place(study="s", model="org/pond-1b:step3", file="f", n_params=None)
    assert (cell.data_source, cell.volume_setting) == ("pile", 3072)


def test_a_bad_task_can_be_left_out_by_a_rule(tmp_path: Path) -> None:
    document = {
        "results": {"good": {"acc": 0.5}, "bad": {"acc": float("nan")}, "all": {"acc": 7.0}},
        "group_subtasks": {"all": ["good", "bad"]},
        "versions": {},
    }
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(RejectedImportError, match="skip: true"):
        read_lm_eval([tmp_path], study="s", mapping=Mapping())
    mapping = Mapping.model_validate({"tasks": [{"tasks": "bad", "skip": True}]})
    imported = read_lm_eval([tmp_path], study="s", mapping=mapping)
    # The group's own row is an aggregate, whatever it says.
    assert imported.scores is not None and imported.scores["task"].to_pylist() == ["good"]
    assert [part.what for part in imported.ignored if part.what in {"all", "bad"}] == ["all", "bad"]
