"""`judge summary` from imported votes to JSON and tables; exit codes and messages."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from dashboard.commands.judge import judge_summary
from dashboard.judge_evidence import load_judge_votes, to_votes, votes_by_study
from warehouse import commands
from warehouse.errors import GrowthpaceError, WorkError

app = typer.Typer()
commands.register(app)
app.command("summary")(judge_summary)


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with graded votes of six models against `base`, one of them failed."""
    folder = tmp_path_factory.mktemp("judge")
    rng = np.random.default_rng(11)
    rows = []
    for k in range(40):
        for model in range(6):
            failed = (k, model) == (3, 2)
            rows.append(
                {
                    "item_id": f"q{k}",
                    "model_a": "base",
                    "model_b": f"m{model}",
                    "preference": "" if failed else round(1 + rng.beta(1 + model, 3), 6),
                    "len_a": 900,
                    "len_b": int(rng.integers(400, 1600)),
                    "instruction_difficulty": round(float(rng.normal()), 4),
                    "judge": "gpt",
                    "annotator": "",
                    "failed_reason": "no verdict in the reply" if failed else "",
                }
            )
        people = {"judge": "", "annotator": "kim", "failed_reason": "", "preference": 2}
        rows.append(rows[-1] | people)
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    place = folder / "workspace"
    call("import", "judgments", folder / "votes.csv", "--study", "arena", "--workspace", place)
    return place


def summary(workspace: Path, *options: object) -> dict:
    return json.loads(
        call("summary", "--workspace", workspace, "--json", "--replicates", 50, *options)
    )


def test_imported_votes_give_the_mean_preference_and_its_standard_error(workspace: Path) -> None:
    frame = pd.read_csv(workspace.parent / "votes.csv")
    document = summary(workspace)
    rows = {row["model"]: row for row in document["models"]}
    assert set(rows) == {"base", *(f"m{model}" for model in range(6))}
    for model in (f"m{index}" for index in range(6)):
        votes = frame[(frame["model_b"] == model) & (frame["judge"] == "gpt")]["preference"] - 1
        assert rows[model]["win_rate"] == pytest.approx(votes.mean(), abs=1e-12)
        assert rows[model]["stderr"] == pytest.approx(votes.sem(), abs=1e-12)
        assert rows[model]["n_items"] == votes.count()
        assert rows[model]["length_controlled_status"] == "ok"
        assert rows[model]["difficulty_used"]
        assert rows[model]["study"] == "arena"
    assert rows["m2"]["failed_votes"] == 1
    assert (rows["base"]["win_rate"], rows["base"]["length_controlled_win_rate"]) == (0.5, 0.5)
    (study,) = document["studies"]
    assert study["reference"] == "base"
    assert study["jury"] == ["gpt"]


def test_agreement_with_people_is_in_the_document(workspace: Path) -> None:
    (row,) = summary(workspace)["agreement"]
    assert (row["annotator_a"], row["annotator_b"], row["n"]) == ("gpt", "kim", 40)
    assert 0 <= row["agreement"] <= 1


def test_the_tables_name_models_and_what_intervals_cover(workspace: Path) -> None:
    text = call("summary", "--workspace", workspace, "--replicates", 50)
    assert "arena: win rates against base, jury of 1" in text
    assert "m5 wins" in text
    assert "1 of 240 votes failed" in text
    assert "intervals cover the draw of items, not another judge" in text


def test_a_reference_of_choice_measures_the_others_against_it(workspace: Path) -> None:
    rows = {row["model"]: row for row in summary(workspace, "--reference", "m0")["models"]}
    assert rows["m0"]["is_reference"]
    assert rows["m3"]["win_rate"] is None
    assert rows["m3"]["win_rate_reason"] == "no verdict compares it with m0"
    assert rows["m3"]["rating"] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--study", "nothing"), "--study 'nothing' is not in the warehouse; known: arena"),
        (("--reference", "gpt-9"), "--reference 'gpt-9' is in no vote of these studies"),
        (("--judge", "nobody"), "--judge 'nobody' is in no vote of these studies; known: gpt, kim"),
        (("--jury", "unanimous"), "--jury 'unanimous' is no rule for juries"),
    ],
)
def test_unknown_names_are_refused_in_one_sentence(
    workspace: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(GrowthpaceError, match=message) as caught:
        call("summary", "--workspace", workspace, *options)
    assert caught.value.exit_code == 2


def test_a_snapshot_from_before_judge_votes_is_said_to_be_too_old() -> None:
    with duckdb.connect() as conn, pytest.raises(WorkError, match="knew no judge votes; run"):
        load_judge_votes(conn)


def test_a_workspace_without_votes_says_how_to_get_some(workspace: Path) -> None:
    rows = "ability,n_examples,score,base_model,data_source,metric,higher_is_better\n" + "".join(
        f"math,{n},0.{n},tiny,human,accuracy,true\n" for n in (1, 4, 16)
    )
    (workspace.parent / "curves.csv").write_text(rows)
    place = workspace.parent / "no_votes"
    call("import", "curves", workspace.parent / "curves.csv", "--study", "s", "--workspace", place)
    assert summary(place)["models"] == []
    assert "No judge votes yet" in call("summary", "--workspace", place)


def test_a_frame_and_an_arrow_table_hold_the_same_votes() -> None:
    frame = pd.DataFrame(
        {
            "study": ["s", "t"],
            "item_id": ["i", "i"],
            "model_a": ["x", "x"],
            "model_b": ["y", None],
            "judge": ["j", None],
            "annotator": [None, "ann"],
            "shown_first": ["b", None],
            "preference": [1.25, None],
            "rating": [None, 7.0],
            "len_a": pd.array([3, None], dtype="Int64"),
            "len_b": pd.array([None, None], dtype="Int64"),
            "instruction_difficulty": [0.5, None],
        }
    )
    for votes in (votes_by_study(frame), votes_by_study(pa.Table.from_pandas(frame))):
        assert list(votes) == ["s", "t"]
        assert votes["s"].preference.tolist() == [1.25]
        assert votes["s"].first.tolist() == [1]
        assert votes["s"].len_a.tolist() == [3.0]
        assert np.isnan(votes["s"].len_b).all()
        assert votes["t"].rating.tolist() == [7.0]
        assert votes["t"].is_person.tolist() == [True]
        assert not votes["t"].pairwise.any()
    assert len(to_votes(frame)) == 2
