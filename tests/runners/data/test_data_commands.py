"""The `data` commands end to end on a small study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from runners.data.check import check_data, land_flags
from runners.doit_format import read_doit_folder
from tests.warehouse.conftest import Landing
from warehouse.errors import GrowthpaceError, InputError
from warehouse.landing import list_landing, read_document
from warehouse.records import RecordKind
from warehouse.workspace import Workspace, open_workspace

DOIT = Path(__file__).parents[2] / "fixtures" / "doit"


@pytest.fixture
def leaky(tiny_study, tmp_path: Path) -> Path:
    """The tiny study's grid over data whose training set holds three of its test items."""
    data = tmp_path / "study" / "data"
    shutil.copytree(tiny_study.data, data)
    leaked = (data / "curated/test/code_x.json").read_text("utf-8").splitlines()[:3]
    with (data / "curated/full/math_x.json").open("a", encoding="utf-8") as handle:
        handle.write("\n".join(leaked) + "\n")
    return Path(shutil.copy(tiny_study.grid, tmp_path / "study"))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, GrowthpaceError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_check_flags_lands_and_keeps_matches(leaky: Path, tmp_path: Path):
    workspace = tmp_path / "w"
    document = json.loads(run("data", "check", leaky, "--workspace", workspace, "--json"))
    code = document["evaluation"]["curated/test"]["by_ability"]["code"]
    assert (code["n_items"], code["conversation"]) == (30, 3)
    assert document["training"]["human"]["n_items"] == 83
    assert document["scores"] == []  # nothing was scored yet
    lines = Path(document["matches_file"]).read_text("utf-8").splitlines()
    matches = [match for match in map(json.loads, lines) if match["sign"] == "conversation"]
    assert len(matches) == 3
    for match in matches:
        assert match["flagged"] and match["item"] == match["training_item"]
        assert match["item"]["messages"][0]["role"] == "user"
    (flags,) = list_landing(Workspace(root=workspace), RecordKind.ITEM_FLAG)
    record = read_document(flags, RecordKind.ITEM_FLAG)
    assert record.study == "tiny"
    assert {match["item"]["item_id"] for match in matches} <= {i.item_id for i in record.items}
    assert str(flags) == document["flags_file"]


def test_the_same_check_lands_once_and_a_clean_one_takes_flags_back(leaky: Path, tmp_path: Path):
    place = open_workspace(tmp_path / "w", create=True)
    found = check_data(str(leaky), place.data)
    first = land_flags(place, found)
    assert land_flags(place, check_data(str(leaky), place.data)) == first
    test = leaky.parent / "data/curated/test/code_x.json"
    full = leaky.parent / "data/curated/full/math_x.json"
    test.write_text("\n".join(test.read_text("utf-8").splitlines()[3:]) + "\n", "utf-8")
    full.write_text("\n".join(full.read_text("utf-8").splitlines()[:-3]) + "\n", "utf-8")
    assert land_flags(place, check_data(str(leaky), place.data)) != first
    assert len(list(list_landing(place, RecordKind.ITEM_FLAG))) == 2


def test_check_of_a_folder_lands_nothing(tmp_path: Path):
    document = json.loads(run("data", "check", DOIT, "--workspace", tmp_path / "w", "--json"))
    assert document["study"] is None and document["flags_file"] is None
    assert set(document["training"]) == {"curated/full", "synthetic/40960"}
    assert document["evaluation"]["curated/test"]["n_flagged"] == 1
    text = run("data", "check", DOIT, "--workspace", tmp_path / "w")
    assert "1 evaluation items are flagged" in text


def test_a_folder_without_evaluation_data_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no evaluation data"):
        run("data", "check", DOIT / "curated/full", "--workspace", tmp_path / "w")


def test_describe_prints_a_table_and_json():
    assert "biology" in run("data", "describe", DOIT)
    document = json.loads(run("data", "describe", DOIT, "--json"))
    assert document["n_items"] == sum(part["n_items"] for part in document["parts"])


def test_convert_then_describe(tmp_path: Path):
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps({"instruction": "Add 2 and 2", "output": "4"}) + "\n", "utf-8")
    out = tmp_path / "out"
    document = json.loads(run("data", "convert", source, out, "--ability", "math", "--json"))
    assert document["by_ability"] == {"math": 1}
    assert json.loads(run("data", "describe", out, "--json"))["n_items"] == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--from", "xml"], "--from 'xml' is unknown"),
        (["--ability", "a", "--ability-column", "b"], "only one of --ability"),
        (["--labels", "nowhere.yaml"], "mapping file nowhere.yaml can't be read"),
    ],
)
def test_bad_options_of_convert_are_one_sentence(tmp_path: Path, options: list[str], problem: str):
    with pytest.raises(InputError, match=problem):
        run("data", "convert", DOIT / "curated/full", tmp_path / "out", *options)


def test_unknown_published_data_is_refused():
    with pytest.raises(InputError, match="no published data 'mmlu'"):
        run("data", "fetch", "mmlu")


def test_scores_with_and_without_flagged_items(leaky: Path, tmp_path: Path):
    workspace = open_workspace(tmp_path / "w", create=True)
    landing = Landing(workspace)
    test = leaky.parent / "data/curated/test"
    items = read_doit_folder(test, scored=False)["code"]
    rows = [
        # The three leaked items are right, and one of the others.
        landing.score_row("cell", "code", number, float(number < 4), item_id=item.item_id)
        for number, item in enumerate(items)
    ]
    landing.scores("cell", rows)
    landing.run("cell")
    landing.plan("tiny", [landing.base_cell("cell")])
    document = json.loads(
        run("data", "check", leaky, "--workspace", workspace.root, "--min-similarity", 1, "--json")
    )
    code = document["evaluation"]["curated/test"]["by_ability"]["code"]
    assert code["conversation"] == 3
    (row,) = document["scores"]
    n_items = len({item.item_id for item in items})
    assert (row["n_items"], row["n_flagged"]) == (n_items, 3)
    assert row["score"] == pytest.approx(4 / n_items, abs=1e-4)
    assert row["score_unflagged"] == pytest.approx(1 / (n_items - 3), abs=1e-4)
