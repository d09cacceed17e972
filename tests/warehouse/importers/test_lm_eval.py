"""Files of the shapes that lm-eval wrote from 0.3 to 0.4.13, from reading to the warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from warehouse.connection import open_latest
from warehouse.errors import InputError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.landed import land
from warehouse.importers.lm_eval import read_lm_eval
from warehouse.importers.mapping import Mapping
from warehouse.ingest import ingest
from warehouse.records import Design
from warehouse.workspace import open_workspace

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lm_eval"
STAMP = "2026-05-04T03-02-01.000001"


def read(*folders: str | Path, mapping: Mapping | None = None) -> Imported:
    """Read fixtures by name, or other paths."""
    return read_lm_eval(
        [FIXTURES / folder for folder in folders], study="s", mapping=mapping or Mapping()
    )


def scores(imported: Imported) -> pd.DataFrame:
    """Return the scores without items by task and metric."""
    assert imported.scores is not None
    return imported.scores.to_pandas().set_index(["task", "metric"])


def items(imported: Imported) -> pd.DataFrame:
    """Return the item scores."""
    assert imported.item_scores is not None
    return imported.item_scores.to_pandas()


def ignored(imported: Imported) -> dict[str, str]:
    """Return what was ignored, with the reasons."""
    return {part.what: part.reason for part in imported.ignored}


def write_results(folder: Path, results: object, *, name: str = "", **parts: object) -> Path:
    """Write a results file of 0.4.13's shape."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "results": results,
        "versions": {},
        "config": {"model": "hf", "model_args": "pretrained=example/pond", "limit": None},
        **parts,
    }
    path = folder / (name or f"results_{STAMP}.json")
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


def sample(doc_id: int, **fields: object) -> dict[str, object]:
    """Return a sample of a generated reply."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"question {doc_id}"},
        "target": "yes",
        "arguments": {"gen_args_0": {"arg_0": f"question {doc_id}", "arg_1": {"until": ["."]}}},
        "resps": [["yes"]],
        "filtered_resps": ["yes"],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        **fields,
    }


def write_samples(folder: Path, task: str, rows: list[dict[str, object]]) -> Path:
    """Write a samples file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{STAMP}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


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


# --- Bad files ----------------------------------------------------------------------------------


def rejection(path: Path) -> RejectedImportError:
    """Return why an import is rejected."""
    with pytest.raises(RejectedImportError) as caught:
        read(path)
    return caught.value


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
