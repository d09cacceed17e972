"""Commands `import ...`: what they print, publish and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from warehouse import open_latest
from warehouse.commands.imports import import_app
from warehouse.errors import GrowthpaceError, InputError

APP = typer.Typer()
APP.add_typer(import_app, name="import")

HEADER = "study,ability,base_model,data_source,n_examples,score"


def call(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(APP, ["import", *arguments, "--workspace", str(root)])


def document(root: Path, *arguments: str) -> dict[str, Any]:
    result = call(root, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def query(root: Path, text: str) -> list[Any]:
    with open_latest(root) as conn:
        return conn.execute(text).fetchall()


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text(f"{HEADER},note\ns,math,m,human,0,0.25,x\ns,math,m,human,16,0.5,x\n")
    return path


def test_imported_curves_are_published_and_a_second_import_changes_nothing(
    tmp_path: Path, curves: Path
) -> None:
    root = tmp_path / "new" / "workspace"
    first = document(root, "curves", str(curves))
    assert (first["study"], first["files"], first["rows"], first["new_rows"]) == ("s", 1, 2, 2)
    assert first["ignored"] == [
        {
            "file": "curves.csv",
            "what": "column note",
            "reason": "not a column that this import reads",
        }
    ]
    assert Path(first["snapshot"]).is_file()
    assert query(
        root,
        "SELECT study, design, data_source, n_examples_own, n_examples_total, metric, score "
        "FROM mart_ability_score ORDER BY n_examples_total",
    ) == [
        ("s", "base", None, 0, 0, "accuracy", 0.25),
        ("s", "imported", "human", 16, 16, "accuracy", 0.5),
    ]
    again = document(root, "curves", str(curves))
    assert again == first | {
        "new_rows": 0,
        "imports": [first["imports"][0] | {"new_rows": 0}],
    }
    assert "all known before" in call(root, "curves", str(curves)).stdout


def test_a_corrected_score_needs_replace_and_then_counts(tmp_path: Path, curves: Path) -> None:
    root = tmp_path / "workspace"
    document(root, "curves", str(curves))
    curves.write_text(curves.read_text().replace("16,0.5", "16,0.75"))
    refused = call(root, "curves", str(curves), "--json")
    assert isinstance(refused.exception, GrowthpaceError) and refused.exception.exit_code == 1
    rejected = json.loads(refused.stdout)
    assert rejected["n_rejected"] == 1
    assert (rejected["rejected"][0]["line"], rejected["rejected"][0]["value"]) == (3, "0.75")
    assert document(root, "curves", str(curves), "--replace")["new_rows"] == 1
    assert query(root, "SELECT max(score) FROM mart_ability_score") == [(0.75,)]


def test_several_studies_are_listed_one_by_one(tmp_path: Path, curves: Path) -> None:
    curves.write_text(f"{HEADER}\na,math,m,human,4,0.5\nb,math,m,human,4,0.5\n")
    found = document(tmp_path / "w", "curves", str(curves))
    assert found["study"] is None and found["import_id"] is None and "studies" in found["reason"]
    assert [(row["study"], row["new_rows"]) for row in found["imports"]] == [("a", 1), ("b", 1)]


def test_rejected_rows_are_one_document_or_lines_and_leave_no_workspace(
    tmp_path: Path, curves: Path
) -> None:
    curves.write_text("\n".join([HEADER, *["s,math,m,human,16,\x1b[31mred"] * 25]))
    refused = call(tmp_path / "w", "curves", str(curves), "--json")
    assert isinstance(refused.exception, GrowthpaceError) and refused.exception.exit_code == 1
    rejected = json.loads(refused.stdout)
    assert rejected["n_rejected"] == 25 and len(rejected["rejected"]) == 20
    assert set(rejected["rejected"][0]) == {"file", "line", "value", "reason"}
    told = call(tmp_path / "w", "curves", str(curves))
    assert told.stdout == "" and "\x1b" not in told.stderr
    assert told.stderr.count("curves.csv line ") == 20
    assert "25 rows were rejected, the first 20 above" in str(told.exception)
    assert not (tmp_path / "w").exists()


def test_judgments_are_published(tmp_path: Path) -> None:
    path = tmp_path / "arena.csv"
    path.write_text("item_id,model_a,model_b,winner\nq1,x,y,tie\nq1,x,y,tie\n")
    found = document(tmp_path / "w", "judgments", str(path))
    assert (found["study"], found["new_rows"]) == ("arena", 2)
    assert (
        query(tmp_path / "w", "SELECT study, preference FROM fact_judge_vote")
        == [("arena", 1.5)] * 2
    )


def test_the_reference_is_explorable(tmp_path: Path) -> None:
    found = document(tmp_path / "w", "reference", "lin2024-flan")
    assert (found["rows"], found["new_rows"]) == (450, 450)
    assert query(
        tmp_path / "w",
        "SELECT count(DISTINCT base_model), count(*), min(n_params) > 0, any_value(metric) "
        "FROM mart_ability_score WHERE NOT higher_is_better",
    ) == [(30, 450, True, "loss")]
    ((notice,),) = query(tmp_path / "w", "SELECT notice FROM mart_study")
    assert notice.startswith("Published figures, not measured here: Lin et al.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reference", "nope"), "lin2024-flan"),
        (("curves", "nowhere.csv"), "nowhere.csv"),
        (("curves", "{curves}", "--study", "../x"), "--study"),
        (("judgments", "{curves}", "--study", "a b"), "--study"),
    ],
)
def test_a_wrong_call_starts_nothing(
    tmp_path: Path, curves: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = call(tmp_path / "w", *(part.format(curves=curves) for part in arguments))
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("name", ["curves", "judgments", "reference"])
def test_the_help_ends_in_an_example(name: str) -> None:
    result = CliRunner().invoke(APP, ["import", name, "--help"])
    assert f"Example: python cli.py import {name}" in " ".join(result.stdout.split())
