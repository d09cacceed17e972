"""Files of the shapes that lm-eval wrote from 0.3 to 0.4.13, from reading to the warehouse."""

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
from warehouse.connection import open_latest
from warehouse.importers.landed import land
from warehouse.ingest import ingest
from warehouse.records import Design
from warehouse.workspace import open_workspace

# --- Every shape --------------------------------------------------------------------------------


def test_flat_metrics_of_03_carry_shots_direction_and_revision() -> None:
    imported = read("v0.3")
    found = scores(imported)
    row = found.loc["arc_easy:5-shot", "acc"]
    assert (row["score"], row["stderr"], row["ability"]) == (0.4375, 0.0125, "arc_easy:5-shot")
    assert found.loc["hendrycksTest-anatomy:5-shot", "acc"]["ability"] == "hendrycksTest:5-shot"
    lower = found[~found["higher_is_better"]].index.get_level_values("metric")
    assert sorted(lower) == ["likelihood_difference", "pct_stereotype", "ppl"]
    cell = imported.cells[0]
    # A step of a training run is no untouched model, and no base of another.
    assert cell.base_model == "example__pond-70m:step512"
    assert (cell.design, cell.composition, cell.data_source) == (Design.IMPORTED, (), None)
    assert "looks trained" in ignored(imported)["model example/pond-70m:step512"]


def test_files_that_are_no_results_are_listed() -> None:
    found = {part.file: part.reason for part in read("v0.3").ignored}
    assert found["v0.3/package.json"] == "no results of lm-eval"
    assert found["v0.3/ponds_write_out_info.json"].startswith("items that lm-eval 0.3 wrote out")


def test_lists_of_rows_and_neox_arguments_are_read() -> None:
    imported = read("forks")
    found = scores(imported)
    assert found.loc["ponds+What lives here", "em"]["score"] == 0.625
    assert found.loc["ponds+lives_in", "em"]["stderr"] == 0.0275
    assert imported.cells[0].label == "/scratch/ckpts/pond-1.4b:step63000"


def test_samples_of_041_are_paired_by_task_and_land_as_items() -> None:
    imported = read("v0.4.1")
    found = items(imported)
    assert imported.scores is None
    assert found.groupby("metric")["score"].mean().to_dict() == {"acc": 0.5, "acc_norm": 0.75}
    assert found["chance_level"].unique() == pytest.approx([1 / 3])
    first = found.iloc[0]
    assert list(first["choice_log_likelihoods"]) == [-1.5, -3.25, -4.0]
    assert first["response"] == "duck"
    # The choice that acc_norm prefers is not the likeliest one.
    assert found[found["metric"] == "acc_norm"]["response"].isna().all()
    assert imported.items is not None
    item = imported.items.to_pylist()[0]
    assert item["choices"] == ["duck", "wren", "lark"]
    assert json.loads(item["prompt"]) == [{"role": "user", "content": "A bird that swims:"}]


def test_four_keys_suffice_and_the_folder_names_the_model() -> None:
    imported = read("four_keys")
    assert imported.cells[0].label == "example/pond-410m"
    assert scores(imported).loc["fish", "acc"]["chance_level"] == 0.25
    assert "names no model" in ignored(imported)["model example/pond-410m"]


def test_groups_are_left_out_and_name_the_ability() -> None:
    imported = read("v0.4.3")
    found = scores(imported)
    assert sorted({task for task, _ in found.index}) == [
        "mmlu_anatomy:5-shot",
        "mmlu_astronomy:5-shot",
        "wikitext",
    ]
    assert found.loc["mmlu_anatomy:5-shot", "acc"]["ability"] == "mmlu:5-shot"
    assert found.loc["mmlu_astronomy:5-shot", "acc"]["n_items"] == 152
    # The suite above has no score of its own, so it is no ability.
    assert found.loc["wikitext", "word_perplexity"]["ability"] == "wikitext"
    assert not found.loc["wikitext", "word_perplexity"]["higher_is_better"]
    assert pd.isna(found.loc["wikitext", "bits_per_byte"]["stderr"])
    reasons = ignored(imported)
    assert reasons["mmlu"] == "aggregate of mmlu_stem, mmlu_anatomy, mmlu_astronomy"
    assert reasons["zoo_suite"] == "a row without scores"
    assert imported.cells[0].n_params == 129_135_360
    assert imported.cells[0].design is Design.BASE


def test_several_filters_are_several_metrics() -> None:
    found = items(read("v0.4.10"))
    means = found.groupby("metric")["score"].mean().to_dict()
    assert means == {"exact_match.strict-match": 0.5, "exact_match.flexible-extract": 0.75}
    strict = found[found["metric"] == "exact_match.strict-match"]
    assert strict["parsed"].tolist() == [False, True, False, True]
    assert strict["response"].tolist() == ["[invalid]", "8", "[invalid]", "10"]
    assert strict["chance_level"].tolist() == [0.0] * 4
    assert strict["scoring_rule"].unique() == ["lm-eval:generate_until:strict-match"]


def test_items_corpus_scores_and_limits_of_0413() -> None:
    imported = read("v0.4.13")
    found, aggregates = items(imported), scores(imported)
    assert found.groupby(["task", "metric"])["score"].mean().to_dict() == {
        ("herons_belief", "acc"): 0.5,
        ("herons_intention", "exact_match"): 0.5,
    }
    # Log-likelihoods written as text.
    assert list(found.iloc[0]["choice_log_likelihoods"]) == [-1.0, -2.5, -3.0, -4.0]
    # F1 over pairs is no mean of items; herons_desire has no samples.
    assert sorted(aggregates.index) == [("herons_desire", "acc"), ("herons_intention", "micro_f1")]
    assert aggregates.loc["herons_intention", "micro_f1"]["score"] == 0.625
    assert aggregates.loc["herons_intention", "micro_f1"]["n_items"] == 2
    assert pd.isna(aggregates.loc["herons_desire", "acc"]["stderr"])
    assert "limited" in ignored(imported)["limit 2.0"]
    environment = imported.runs[0].environment["evaluations"][0]
    assert environment["lm_eval_version"] == "0.4.13.dev0"
    assert environment["apply_chat_template"] is True
    assert environment["limit"] == 2.0
    assert environment["tasks"]["herons_belief"] == {
        "n_shot": 0,
        "version": "0",
        "config_hash": "c390",
    }


def test_samples_inside_a_results_file_are_read() -> None:
    found = items(read("embedded"))
    assert found["score"].tolist() == [1.0, 0.0]
    assert found["chance_level"].tolist() == [0.5, 0.5]


def test_prompts_that_differ_by_model_ask_the_same_item(tmp_path: Path) -> None:
    for model, prompt in (("a", "Q: 1"), ("b", "<user>Q: 1")):
        row = sample(0, arguments={"gen_args_0": {"arg_0": prompt, "arg_1": {}}})
        write_samples(tmp_path / f"org__{model}", "quiz", [row])
    found = items(read(tmp_path))
    assert found["cell_id"].nunique() == 2
    assert found["item_id"].nunique() == 1
    assert found["prompt_hash"].nunique() == 2


# --- What the warehouse makes of it -------------------------------------------------------------


def test_everything_lands_once_and_reaches_the_marts(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "w", create=True)
    imported = read(".")
    report = land(workspace, imported)
    published = ingest(workspace)
    assert report.n_new_rows == report.n_rows > 0
    assert published.quarantined == ()
    with open_latest(workspace) as conn:
        row = conn.execute(
            "SELECT score, n_items, chance_level FROM mart_ability_score "
            "WHERE metric = 'exact_match.flexible-extract'"
        ).fetchone()
        designs = conn.execute("SELECT design, count(*) FROM mart_cell GROUP BY design").fetchall()
    assert row == (0.75, 4, 0.0)
    assert dict(designs) == {"base": 6, "imported": 2}
    assert land(workspace, read(".")).n_new_rows == 0


# --- Files that are told by their content -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("list.json", "[1, 2]", "a JSON list"),
        ("text.json", '"results"', "no results of lm-eval"),
        ("broken.json", "{", "not JSON"),
        ("lighteval.json", '{"config_general": {}, "results": {}}', "results of lighteval"),
        ("odd.json", '{"results": "fine", "config": {}}', "no results of lm-eval"),
        ("chat.jsonl", '{"messages": []}\n', "JSON lines that are no samples"),
    ],
)
def test_other_files_in_a_folder_are_listed_and_named_ones_rejected(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    write_results(tmp_path, {"quiz": {"acc": 0.5}})
    (tmp_path / name).write_text(text, "utf-8")
    listed = {Path(part.file).name: part.reason for part in read(tmp_path).ignored}
    assert listed[name].startswith(reason)
    rejection(tmp_path / name)


def test_a_samples_file_without_samples_is_rejected(tmp_path: Path) -> None:
    path = write_samples(tmp_path, "quiz", [{"messages": []}])
    assert "no sample of lm-eval" in rejection(path.parent).rejected[0].reason
    path = write_samples(tmp_path, "quiz", [sample(0), {"messages": []}])
    row = rejection(path.parent).rejected[0]
    assert (row.line, "no doc_id" in row.reason) == (2, True)


def test_a_list_of_samples_that_is_cut_short_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text(json.dumps([sample(0), sample(1)], indent=2)[:-20], "utf-8")
    assert "cut short" in rejection(tmp_path).rejected[0].reason


def test_filters_that_samples_do_not_name_come_in_the_order_of_the_results(tmp_path: Path) -> None:
    def row(doc_id: int, score: float) -> dict[str, object]:
        fields = sample(doc_id, exact_match=score)
        return {key: fields[key] for key in fields if key not in {"filter", "metrics"}}

    results = {"quiz": {"exact_match,strict": 0.0, "exact_match,flexible": 0.5}}
    write_results(tmp_path, results)
    write_samples(tmp_path, "quiz", [row(0, 0.0), row(1, 0.0), row(0, 1.0), row(1, 0.0)])
    found = items(read(tmp_path)).groupby("metric")["score"].apply(list).to_dict()
    assert found == {"exact_match.strict": [0.0, 0.0], "exact_match.flexible": [1.0, 0.0]}


def test_log_likelihoods_that_are_no_numbers_are_null(tmp_path: Path) -> None:
    arguments = [["Q", " a"], ["Q", " b"]]
    answers: list[object] = [[["nan", "False"], ["-1", "True"]], [["x", "False"], ["-1", "True"]]]
    rows = [
        sample(i, arguments=arguments, filtered_resps=answer, metrics=["acc"], acc=1)
        for i, answer in enumerate(answers)
    ]
    write_samples(tmp_path, "quiz", rows)
    found = items(read(tmp_path))
    assert found["choice_log_likelihoods"].isna().all()
    assert found["chance_level"].tolist() == [0.5, 0.5]


def test_metrics_that_only_samples_hold_are_listed_or_taken(tmp_path: Path) -> None:
    rows = [sample(i, metrics=["exact_match", "f1"], f1=[["a"], ["b"]]) for i in range(2)]
    write_samples(tmp_path / "alone", "quiz", rows)
    write_results(tmp_path / "both", {"quiz": {"exact_match,none": 1.0}})
    write_samples(tmp_path / "both", "quiz", rows)
    alone, both = read(tmp_path / "alone"), read(tmp_path / "both")
    for imported in (alone, both):
        assert items(imported)["metric"].unique() == ["exact_match"]
    assert ignored(alone)["quiz: f1"].startswith("its items are no numbers")
    assert ignored(both)["quiz: f1"] == "the results file has no such score"


def test_two_runs_of_one_folder_keep_their_own_samples(tmp_path: Path) -> None:
    older = "2026-01-01T00-00-00.000001"
    for stamp, score in ((older, 0.0), (STAMP, 1.0)):
        name = f"results_{stamp}.json"
        write_results(tmp_path, {"quiz": {"exact_match,none": score}}, name=name)
        path = write_samples(tmp_path, "quiz", [sample(0, exact_match=score)])
        path.rename(tmp_path / f"samples_quiz_{stamp}.jsonl")
    # The file's name tells when it was run, where the file does not.
    assert items(read(tmp_path))["score"].tolist() == [1.0]
