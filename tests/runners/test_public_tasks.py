"""lm-eval's own CMMLU and AGIEval tasks on local five-item copies, beside our own items."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import lm_eval.tasks
import pytest
import torch
import yaml
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import cli
from runners.base_models import LADDER
from runners.batch_sizes import read_batch_sizes, write_batch_sizes
from runners.doit_format import Item, ScoringRule
from runners.grid_spec import PublicTaskSpec
from runners.lm_eval_live import LiveModel
from runners.public_tasks import FEWSHOT_SEED, load_public_tasks
from runners.score import Scorer
from runners.template import TEMPLATES, Turn
from warehouse.errors import InputError
from warehouse.records import ITEM, ITEM_SCORE

LM_EVAL_TASKS = Path(lm_eval.tasks.__file__).parent
CMMLU = ("cmmlu_agronomy", "cmmlu_logical")
AGIEVAL = {
    "agieval_gaokao_biology": "gaokao-biology.yaml",
    "agieval_gaokao_mathcloze": "gaokao-mathcloze.yaml",
}
TEMPLATE = TEMPLATES["doit"]
SPECS = tuple(
    PublicTaskSpec(task=task, num_fewshot=n) for task in ("cmmlu", "agieval_cn") for n in (0, 2)
)


def write_lines(path: Path, documents: list[dict]) -> str:
    path.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents), "utf-8")
    return str(path)


def write_copy(folder: Path, name: str, original: Path, splits: dict[str, list[dict]]) -> None:
    """A task with lm-eval's own prompts and scores, and local data."""
    files = {s: write_lines(folder / f"{name}-{s}.jsonl", rows) for s, rows in splits.items()}
    config = {
        "include": str(original),
        "task": name,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config), "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rng, vocabulary = (
        random.Random(0),
        AutoTokenizer.from_pretrained(LADDER / "ladder-s").get_vocab(),
    )
    words = sorted(word for word in vocabulary if word.isalpha() and word.islower())
    for name in CMMLU:
        rows = [
            {
                "Question": " ".join(rng.sample(words, 8)),
                **dict(zip("ABCD", rng.sample(words, 4), strict=True)),
                "Answer": letter,
            }
            for letter in "ABCDABCDAB"
        ]
        original = LM_EVAL_TASKS / "cmmlu" / f"{name}.yaml"
        write_copy(folder, name, original, {"test": rows[:5], "dev": rows[5:]})
    for name, file in AGIEVAL.items():
        if name.endswith("mathcloze"):
            rows = [{"query": f"Q: {i} + 1 = ? A:", "answer": str(i + 1)} for i in range(5)]
        else:
            rows = [
                {
                    "query": " ".join(rng.sample(words, 8)),
                    "choices": rng.sample(words, 3),
                    "gold": [i % 3],
                }
                for i in range(5)
            ]
        write_copy(folder, name, LM_EVAL_TASKS / "agieval" / file, {"test": rows})
    for group, members in (("cmmlu", CMMLU), ("agieval_cn", AGIEVAL)):
        text = yaml.safe_dump({"group": group, "task": list(members)})
        (folder / f"_{group}.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def model_and_tokenizer():
    model = AutoModelForCausalLM.from_pretrained(LADDER / "ladder-s", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(LADDER / "ladder-s")
    torch.manual_seed(0)
    TEMPLATE.prepare(tokenizer, model)
    return model.eval(), tokenizer


def own_items() -> dict[str, list[Item]]:
    turns = (Turn(role="user", content="w1 w2"), Turn(role="assistant", content="w3"))
    return {"x": [Item(turns=turns, ability="x", scoring_rule=ScoringRule.CLOZE)]}


@pytest.fixture(scope="module")
def scored(folder, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = Scorer(
        own_items(),
        template=TEMPLATE,
        tokenizer=tokenizer,
        batch_size=4,
        public=load_public_tasks(SPECS, task_folder=folder),
    )
    return scorer, scorer.score(model, tokenizer, cell_id="cell")


def test_all_items_of_own_and_public_tasks_are_in_one_table(scored):
    scorer, table = scored
    assert table.schema == ITEM_SCORE
    rows = table.to_pylist()
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["ability"], row["metric"])
        counts[key] = counts.get(key, 0) + 1
    assert counts == {
        ("x", "accuracy"): 1,
        **{(f"cmmlu_{n}shot", metric): 10 for n in (0, 2) for metric in ("acc", "acc_norm")},
        **{(f"agieval_cn_{n}shot", "acc"): 10 for n in (0, 2)},
        # The cloze has no normalised accuracy.
        **{(f"agieval_cn_{n}shot", "acc_norm"): 5 for n in (0, 2)},
    }
    assert {row["task"] for row in rows if row["ability"] == "cmmlu_2shot"} == {
        "cmmlu_agronomy_2shot",
        "cmmlu_logical_2shot",
    }
    items = scorer.items_table()
    assert items.schema == ITEM
    known = {(item["task"], item["item_id"]) for item in items.to_pylist()}
    assert known == {(row["task"], row["item_id"]) for row in rows}
    assert all(row["missing_reason"] is None and row["score"] in (0.0, 1.0) for row in rows)


def test_chance_targets_and_choices_come_from_the_documents(scored):
    scorer, table = scored
    chance = {row["task"]: row["chance_level"] for row in table.to_pylist()}
    assert chance["cmmlu_agronomy_0shot"] == 0.25
    assert chance["agieval_gaokao_biology_0shot"] == pytest.approx(1 / 3)
    assert chance["agieval_gaokao_mathcloze_0shot"] == 0.0
    items = [i for i in scorer.items_table().to_pylist() if i["task"] == "cmmlu_agronomy_0shot"]
    assert [item["target"] for item in items] == list("ABCDA")
    assert items[0]["choices"] == list("ABCD")
    biology = [
        i for i in scorer.items_table().to_pylist() if i["task"] == "agieval_gaokao_biology_0shot"
    ]
    assert all(item["target"] == item["choices"][i % 3] for i, item in enumerate(biology))


def test_scores_are_those_of_lm_eval_itself(scored, folder, model_and_tokenizer):
    """The same tasks, run by lm-eval alone on its own model class."""
    model, tokenizer = model_and_tokenizer
    _, table = scored
    ours = {(row["task"], row["item_id"], row["metric"]): row["score"] for row in table.to_pylist()}
    ids = {t.name: [i.item_id for i in t.items] for t in scored[0].public}
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    loaded = manager.load(["cmmlu"])["tasks"]
    for task in loaded.values():
        task.set_config("num_fewshot", 2)
        task.set_fewshot_seed(FEWSHOT_SEED)
    results = evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4),
        {"tasks": loaded},
        bootstrap_iters=0,
    )
    n = 0
    for name, samples in results["samples"].items():
        for sample in samples:
            for metric in ("acc", "acc_norm"):
                key = (f"{name}_2shot", ids[f"{name}_2shot"][sample["doc_id"]], metric)
                assert ours[key] == sample[metric]
                n += 1
    assert n == 20


def test_examples_stand_before_the_question_and_never_hold_it(scored):
    scorer, _ = scored
    for public in scorer.public:
        for item, document in zip(public.items, public.task.doc_iterator(), strict=True):
            question = document[1].get("Question") or document[1]["query"]
            assert item.prompt.count(question) == 1
            if public.name.startswith("cmmlu"):
                n_answers = item.prompt.count("答案：")
                assert n_answers == 1 + 2 * public.name.endswith("2shot")


def test_template_is_applied_only_when_asked_for(folder):
    spec = PublicTaskSpec(task="cmmlu_agronomy", num_fewshot=1, apply_template=True)
    (public,) = load_public_tasks((spec,), template=TEMPLATE, task_folder=folder)
    assert public.ability == "cmmlu_agronomy_1shot_chat"
    prompt = public.items[0].prompt
    assert prompt.startswith("<user>") and prompt.endswith("<eot><assistant>")
    assert prompt.count("<user>") == 1
    (bare,) = load_public_tasks((PublicTaskSpec(task="cmmlu_agronomy"),), task_folder=folder)
    assert "<user>" not in bare.items[0].prompt


def test_a_limit_keeps_the_first_items_of_the_whole_group(folder, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    spec = (PublicTaskSpec(task="cmmlu"),)
    whole = load_public_tasks(spec, task_folder=folder)
    ids = sorted(item.item_id for task in whole for item in task.items)
    some = load_public_tasks(spec, task_folder=folder, max_items=4)
    assert sorted(item.item_id for task in some for item in task.items) == ids[:4]
    scorers = [
        Scorer(own_items(), template=TEMPLATE, tokenizer=tokenizer, public=public)
        for public in (whole, some)
    ]
    full, cut = (scorer.score(model, tokenizer, cell_id="c").to_pylist() for scorer in scorers)
    by_key = {(row["item_id"], row["metric"]): row["response"] for row in full}
    assert len(cut) == 1 + 2 * 4
    assert all(row["response"] == by_key[row["item_id"], row["metric"]] for row in cut)


def test_a_second_checkpoint_gets_its_own_answers(scored, model_and_tokenizer):
    scorer, table = scored
    model, tokenizer = model_and_tokenizer
    torch.manual_seed(7)
    other = AutoModelForCausalLM.from_config(model.config).eval()
    second = scorer.score(other, tokenizer, cell_id="other").to_pylist()
    assert [row["item_id"] for row in second] == table.column("item_id").to_pylist()
    first = table.to_pylist()
    asked = [row for row in first if row["choice_log_likelihoods"]]
    assert len({tuple(row["choice_log_likelihoods"]) for row in asked}) > len(asked) / 4
    other_rows = {(row["item_id"], row["metric"]): row for row in second}
    assert all(
        row["choice_log_likelihoods"]
        != other_rows[row["item_id"], row["metric"]]["choice_log_likelihoods"]
        for row in asked
    )
    assert scorer.score(model, tokenizer, cell_id="cell").to_pylist() == first


def test_a_task_that_fails_leaves_the_others_their_scores(scored, model_and_tokenizer, monkeypatch):
    scorer, _ = scored
    model, tokenizer = model_and_tokenizer
    broken = next(t for t in scorer.public if t.name == "cmmlu_logical_0shot")

    def fail(*args: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(broken.task, "process_results", fail)
    rows = scorer.score(model, tokenizer, cell_id="cell").to_pylist()
    failed = [row for row in rows if row["score"] is None]
    assert {row["task"] for row in failed} == {"cmmlu_logical_0shot"}
    assert {row["missing_reason"] for row in failed} == {"ZeroDivisionError: planted"}
    assert {row["metric"] for row in failed} == {"acc", "acc_norm"}


def test_each_task_finds_its_own_batch_size(folder, model_and_tokenizer, monkeypatch):
    model, tokenizer = model_and_tokenizer
    original = LiveModel._model_call

    def limited(self, inps, *args):
        # Long rows do not fit in fours.
        if inps.shape[0] > 1 and inps.shape[1] > 30:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return original(self, inps, *args)

    monkeypatch.setattr(LiveModel, "_model_call", limited)
    specs = tuple(PublicTaskSpec(task="cmmlu_agronomy", num_fewshot=n) for n in (0, 2))
    scorer = Scorer(
        own_items(),
        template=TEMPLATE,
        tokenizer=tokenizer,
        batch_size=4,
        public=load_public_tasks(specs, task_folder=folder),
    )
    table = scorer.score(model, tokenizer, cell_id="cell")
    assert table.column("score").null_count == 0
    sizes = scorer.settings["batch_sizes"]
    assert sizes["growthpace_x_cloze"] == 4
    assert sizes["cmmlu_agronomy_2shot"] == 1
    again = Scorer(
        own_items(),
        template=TEMPLATE,
        tokenizer=tokenizer,
        batch_size=4,
        batch_sizes=sizes,
        public=load_public_tasks(specs, task_folder=folder),
    )
    assert again.settings["batch_sizes"] == sizes


def test_batch_sizes_that_were_found_are_kept_and_never_grow(tmp_path: Path):
    path = tmp_path / "batch_sizes.json"
    assert read_batch_sizes(path) == {}
    write_batch_sizes(path, {"a": 8, "b": 2})
    write_batch_sizes(path, {"a": 4, "b": 16, "c": 1})
    assert read_batch_sizes(path) == {"a": 4, "b": 2, "c": 1}
    path.write_text("[broken", "utf-8")
    assert read_batch_sizes(path) == {}


def test_a_model_without_numbers_has_no_score(folder, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    broken = AutoModelForCausalLM.from_config(model.config).eval()
    with torch.no_grad():
        broken.model.norm.weight.fill_(math.nan)
    public = load_public_tasks((PublicTaskSpec(task="cmmlu_agronomy"),), task_folder=folder)
    scorer = Scorer(own_items(), template=TEMPLATE, tokenizer=tokenizer, public=public)
    rows = scorer.score(broken, tokenizer, cell_id="cell").to_pylist()
    asked = [row for row in rows if row["task"] == "cmmlu_agronomy_0shot"]
    assert {row["score"] for row in asked} == {None}
    assert all("not numbers" in row["missing_reason"] for row in asked)


# ---------------------------------------------------------------------------- refusals


def test_unknown_tasks_are_refused_with_near_names(folder):
    with pytest.raises(InputError, match=r"lm-eval knows no task 'cmmlu_agronmy'.*cmmlu_agronomy"):
        load_public_tasks((PublicTaskSpec(task="cmmlu_agronmy"),), task_folder=folder)


def test_missing_data_is_one_sentence_with_a_remedy(tmp_path: Path, monkeypatch):
    config = {
        "include": str(LM_EVAL_TASKS / "cmmlu" / "cmmlu_agronomy.yaml"),
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "none.jsonl")}},
    }
    (tmp_path / "cmmlu_agronomy.yaml").write_text(yaml.safe_dump(config), "utf-8")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"can't be loaded.*HF_HUB_OFFLINE is set.*task_folder"):
        load_public_tasks((PublicTaskSpec(task="cmmlu_agronomy"),), task_folder=tmp_path)


def test_a_grid_whose_tasks_can_not_be_loaded_starts_nothing(tiny_study, tmp_path: Path):
    (tmp_path / "lost.yaml").write_text(
        "task: lost\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path}/none.jsonl}}}}\n",
        "utf-8",
    )
    text = tiny_study.grid.read_text("utf-8").replace(
        "{batch_size: 32}", f"{{batch_size: 32, task_folder: {tmp_path}}}"
    )
    grid = tiny_study.grid.with_name("lost.yaml")
    grid.write_text(text + "evaluation: {public_tasks: [{task: lost}]}\n", "utf-8")
    workspace = tmp_path / "w"
    done = CliRunner().invoke(cli.app, ["run-grid", str(grid), "--workspace", str(workspace)])
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert "lost can't be loaded" in f"{done.output}{done.exception}"
    assert not list(workspace.glob("landing/*/*"))


def test_more_examples_than_documents_are_refused(folder):
    # Of AGIEval's five test documents four are left when the question itself is taken out.
    spec = PublicTaskSpec(task="agieval_gaokao_biology", num_fewshot=5)
    with pytest.raises(InputError, match="has 4 documents for examples, 5 are asked for"):
        load_public_tasks((spec,), task_folder=folder)
