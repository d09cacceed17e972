"""Files of lm-eval that are bad, and those that look fine and mislead."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.warehouse.importers.made_lm_eval import (
    STAMP,
    ignored,
    items,
    read,
    rejection,
    sample,
    scores,
    write_results,
    write_samples,
)
from warehouse.errors import InputError
from warehouse.importers.landed import land
from warehouse.ingest import ingest
from warehouse.workspace import open_workspace

# --- Bad files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [(1.7, "must lie in [0, 1]"), (-0.1, "must lie in"), (float("nan"), "not a finite number")],
)
def test_an_impossible_accuracy_rejects_the_import_with_its_line(
    tmp_path: Path, value: float, reason: str
) -> None:
    path = write_results(tmp_path, {"fine": {"acc,none": 0.5}, "quiz": {"acc,none": value}})
    row = rejection(tmp_path).rejected[0]
    assert reason in row.reason and "quiz" in row.reason
    assert row.file.endswith(path.name)
    lines = path.read_text("utf-8").splitlines()
    assert row.line is not None and '"acc,none"' in lines[row.line - 1]
    assert '"quiz"' in lines[row.line - 2]


def test_scores_on_another_scale_are_kept_as_they_are(tmp_path: Path) -> None:
    write_results(tmp_path, {"mt": {"bleu,none": 31.5, "ter,none": 105.0}, "qa": {"f1": 87.5}})
    found = scores(read(tmp_path))
    assert found.loc["mt", "bleu"]["score"] == 31.5
    assert not found.loc["mt", "ter"]["higher_is_better"]
    assert found.loc["qa", "f1"]["score"] == 87.5


def test_one_bad_file_rejects_all_and_the_first_twenty_faults_are_told(tmp_path: Path) -> None:
    write_results(tmp_path / "good", {"quiz": {"acc,none": 0.5}})
    write_results(tmp_path / "bad", {f"t{i}": {"acc,none": 2.0 + i} for i in range(30)})
    error = rejection(tmp_path)
    assert (len(error.rejected), error.n_rejected) == (20, 30)


def test_a_results_file_that_is_cut_short_is_rejected(tmp_path: Path) -> None:
    path = write_results(tmp_path, {"quiz": {"acc,none": 0.5}}, name="mine.json")
    path.write_text(path.read_text("utf-8")[:40], "utf-8")
    assert "not JSON" in rejection(tmp_path).rejected[0].reason


def test_a_samples_line_that_is_cut_short_is_rejected_with_its_number(tmp_path: Path) -> None:
    path = write_samples(tmp_path, "quiz", [sample(0), sample(1)])
    path.write_text(path.read_text("utf-8")[:-40], "utf-8")
    row = rejection(tmp_path).rejected[0]
    assert (row.line, "not JSON" in row.reason) == (2, True)


def test_samples_that_contradict_their_results_are_rejected(tmp_path: Path) -> None:
    write_results(tmp_path, {"quiz": {"exact_match,none": 0.75}})
    write_samples(tmp_path, "quiz", [sample(0), sample(1, exact_match=0.0)])
    reason = rejection(tmp_path).rejected[0].reason
    assert "0.75" in reason and "0.5" in reason


def test_rounded_results_agree_with_their_samples(tmp_path: Path) -> None:
    write_results(tmp_path, {"quiz": {"exact_match,none": 0.6667}})
    write_samples(tmp_path, "quiz", [sample(0), sample(1), sample(2, exact_match=0.0)])
    assert items(read(tmp_path))["score"].tolist() == [1.0, 1.0, 0.0]


def test_missing_samples_are_rejected(tmp_path: Path) -> None:
    results = {"quiz": {"exact_match,none": 1.0, "sample_len": 3}}
    write_results(tmp_path, results)
    write_samples(tmp_path, "quiz", [sample(0), sample(1)])
    assert "says 3 documents" in rejection(tmp_path).rejected[0].reason


def test_an_item_score_outside_its_range_is_rejected(tmp_path: Path) -> None:
    rows = [sample(0, metrics=["acc"], acc=1.0), sample(1, metrics=["acc"], acc=7.0)]
    write_samples(tmp_path, "quiz", rows)
    row = rejection(tmp_path).rejected[0]
    assert (row.line, row.value) == (2, "7.0")


# --- Traps --------------------------------------------------------------------------------------


def test_lines_written_twice_count_once(tmp_path: Path) -> None:
    write_samples(tmp_path, "quiz", [sample(0), sample(1), sample(0)])
    imported = read(tmp_path)
    assert len(items(imported)) == 2
    assert ignored(imported)["1 lines"] == "repeat other lines of the file"


def test_a_document_with_two_scores_is_rejected(tmp_path: Path) -> None:
    write_samples(tmp_path, "quiz", [sample(0), sample(0, exact_match=0.0)])
    assert "two different scores" in rejection(tmp_path).rejected[0].reason


def test_equal_documents_stay_two_items(tmp_path: Path) -> None:
    write_samples(tmp_path, "quiz", [sample(0), sample(1, doc={"question": "question 0"})])
    assert items(read(tmp_path))["item_id"].nunique() == 2


def test_an_item_without_a_number_has_a_reason(tmp_path: Path) -> None:
    write_samples(tmp_path, "quiz", [sample(0), sample(1, exact_match=float("nan"))])
    found = items(read(tmp_path))
    assert pd.isna(found["score"][1]) and found["missing_reason"][1] == "lm-eval gave no number"


def test_numbers_as_text_are_numbers_and_texts_are_none(tmp_path: Path) -> None:
    row = {"acc,none": "0.5", "note": "fine", "em,none": "N/A", "bypass,none": 999, "f1,none": None}
    imported = read(write_results(tmp_path, {"quiz": row}).parent)
    assert list(scores(imported).index) == [("quiz", "acc")]
    assert set(ignored(imported)) == {
        "quiz: em,none = N/A",
        "quiz: f1,none = None",
        "quiz: bypass",
    }


def test_item_scores_as_text_are_numbers(tmp_path: Path) -> None:
    values: list[object] = ["True", "False", "0.5", True, None]
    write_samples(tmp_path, "quiz", [sample(i, exact_match=v) for i, v in enumerate(values)])
    assert items(read(tmp_path))["score"].fillna(-1).tolist() == [1.0, 0.0, 0.5, 1.0, -1.0]


def test_chance_of_scores_without_items_comes_from_the_configuration(tmp_path: Path) -> None:
    configs = {
        "letters": {"output_type": "multiple_choice", "doc_to_choice": ["A", "B", "C", "D", "E"]},
        "sums": {"output_type": "generate_until"},
        "wino": {"output_type": "multiple_choice", "doc_to_choice": "choices"},
    }
    results = {
        "letters": {"acc,none": 0.5, "f1,none": 0.5},
        "sums": {"exact_match,none": 0.5},
        "wino": {"acc,none": 0.5},
    }
    write_results(tmp_path, results, configs=configs)
    found = scores(read(tmp_path))["chance_level"].fillna(-1).to_dict()
    assert found == {
        ("letters", "acc"): 0.2,
        ("letters", "f1"): -1,
        ("sums", "exact_match"): 0.0,
        ("wino", "acc"): -1,
    }


def test_perplexity_over_items_stays_a_score(tmp_path: Path) -> None:
    config = {"text": {"metric_list": [{"metric": "perplexity", "aggregation": "perplexity"}]}}
    write_results(tmp_path, {"text": {"perplexity,none": 7.389}}, configs=config)
    rows = [sample(i, metrics=["perplexity"], perplexity=-2.0) for i in range(2)]
    write_samples(tmp_path, "text", rows)
    imported = read(tmp_path)
    assert imported.item_scores is None
    assert scores(imported).loc["text", "perplexity"]["n_items"] == 2


def test_mc2_guesses_by_its_true_choices(tmp_path: Path) -> None:
    arguments = [["Q", " a"], ["Q", " b"], ["Q", " c"], ["Q", " d"]]
    doc = {"mc2_targets": {"labels": [1, 1, 1, 0]}}
    row = sample(0, arguments=arguments, doc=doc, metrics=["acc"], acc=0.625)
    write_samples(tmp_path, "truthfulqa_mc2", [row])
    assert items(read(tmp_path))["chance_level"].tolist() == [0.75]


def test_contexts_that_differ_are_the_choices(tmp_path: Path) -> None:
    arguments = [["The heron ate", " it."], ["The heron saw", " it."]]
    write_samples(tmp_path, "wino", [sample(0, arguments=arguments, metrics=["acc"], acc=1)])
    imported = read(tmp_path)
    assert imported.items is not None
    assert imported.items["choices"].to_pylist() == [["ate it.", "saw it."]]


def test_texts_that_utf8_cannot_write_are_mended(tmp_path: Path) -> None:
    path = write_samples(tmp_path, "quiz", [sample(0)])
    text = path.read_text("utf-8").replace('["yes"]', '["\\ud83d"]')
    path.write_text(text, "utf-8")
    assert items(read(tmp_path))["response"].tolist() == ["?"]


def test_a_newer_run_of_a_task_counts_and_the_older_is_listed(tmp_path: Path) -> None:
    write_results(tmp_path, {"quiz": {"acc": 0.25}}, name="a.json", date=1_700_000_000)
    write_results(tmp_path, {"quiz": {"acc": 0.5}}, name="b.json", date=1_800_000_000)
    imported = read(tmp_path)
    assert scores(imported)["score"].tolist() == [0.5]
    assert ignored(imported)["quiz"].startswith("another run of the same task counts")


def test_a_full_run_counts_before_a_newer_limited_one(tmp_path: Path) -> None:
    limited = {"model_args": "pretrained=example/pond", "limit": 10}
    write_results(tmp_path, {"quiz": {"acc": 0.25}}, name="a.json", date=1_700_000_000)
    write_results(
        tmp_path, {"quiz": {"acc": 0.5}}, name="b.json", date=1_800_000_000, config=limited
    )
    assert scores(read(tmp_path))["score"].tolist() == [0.25]


def test_two_runs_without_dates_that_differ_are_rejected(tmp_path: Path) -> None:
    write_results(tmp_path, {"quiz": {"acc": 0.25}}, name="a.json")
    write_results(tmp_path, {"quiz": {"acc": 0.5}}, name="b.json")
    assert "neither says when it was run" in rejection(tmp_path).rejected[0].reason


def test_an_equal_copy_is_listed(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_results(tmp_path, {"quiz": {"acc": 0.25}}, name=name)
    assert ignored(read(tmp_path))["quiz"].startswith("repeats ")


def test_passwords_in_model_arguments_stay_out(tmp_path: Path) -> None:
    config = {"model_args": "model=example/pond,api_key=sk-123,tokenizer=t", "limit": None}
    write_results(tmp_path, {"quiz": {"acc": 0.25}}, config=config)
    arguments = read(tmp_path).runs[0].environment["evaluations"][0]["model_args"]
    assert arguments == {"model": "example/pond", "tokenizer": "t"}


def test_names_with_path_tricks_stay_text(tmp_path: Path) -> None:
    config = {"model_args": {"pretrained": "../../etc/passwd'; DROP TABLE x"}, "limit": None}
    write_results(tmp_path, {"../../evil": {"acc": 0.25}}, config=config)
    workspace = open_workspace(tmp_path / "w", create=True)
    land(workspace, read(tmp_path))
    assert ingest(workspace).quarantined == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"results_{STAMP}.json", "w"]


def test_nothing_of_lm_eval_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match="no results of lm-eval"):
        read(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "gone")


def test_a_named_file_that_is_no_result_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}", "utf-8")
    assert "no results of lm-eval" in rejection(tmp_path / "package.json").rejected[0].reason


@pytest.mark.parametrize(
    "document",
    [
        {"results": {"quiz": None}, "versions": {}},
        {"results": {"quiz": {"acc": 0.5}}, "versions": [], "configs": [1], "config": "x"},
        {"results": {"quiz": {"acc": 0.5}}, "n-shot": {"quiz": "five"}, "group_subtasks": ["a"]},
        {"results": {"quiz": {"acc": 0.5}}, "samples": {"quiz": "no list"}, "config": None},
        {"results": {"quiz": {"acc": 0.5}}, "config": {"model_args": 7}, "date": "yesterday"},
        {"quiz": {"acc": 0.5, "acc_stderr": 0.1}},
    ],
)
def test_odd_documents_are_read_as_far_as_they_go(tmp_path: Path, document: object) -> None:
    (tmp_path / "results_x.json").write_text(json.dumps(document), "utf-8")
    imported = read(tmp_path)
    assert imported.scores is None or scores(imported)["score"].tolist() == [0.5]
