"""The generated lm-eval task files: grouping, content, and lengths of replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from transformers import AutoTokenizer

from runners.doit_format import Item, ScoringRule, read_doit_folder
from runners.lm_eval_tasks import (
    continuations,
    encode_prompt,
    max_new_tokens,
    plan_tasks,
    process_candidates,
    process_reply,
    write_tasks,
)
from runners.template import TEMPLATES, Turn
from warehouse.errors import InputError

DOIT = Path(__file__).parents[1] / "fixtures" / "doit"
TEMPLATE = TEMPLATES["doit"]


class _Loader(yaml.SafeLoader):
    """Reads `!function` tags as their text."""


_Loader.add_constructor("!function", lambda loader, node: f"!{node.value}")


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder: Path):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def item(rule: ScoringRule, gold: str, **fields: object) -> Item:
    turns = (Turn(role="user", content="w1 w2"), Turn(role="assistant", content=gold))
    return Item(**({"turns": turns, "ability": "x", "scoring_rule": rule} | fields))


def test_an_ability_has_one_task_per_rule():
    tasks = plan_tasks(
        i for group in read_doit_folder(DOIT / "curated/test").values() for i in group
    )
    names = [task.name for task in tasks]
    assert names == sorted(names)
    assert [name for name in names if "chinese" in name or "history" in name] == [
        "growthpace_chinese_cloze",
        "growthpace_chinese_single_choice",
        "growthpace_history_single_choice",
        "growthpace_history_true_false",
    ]
    assert {task.ability for task in tasks if "chinese" in task.name} == {"chinese"}
    assert sum(len(task.items) for task in tasks) == 19


def test_copies_are_kept_once():
    one = item(ScoringRule.CLOZE, "w3")
    (task,) = plan_tasks([one, item(ScoringRule.CLOZE, "w4"), one])
    assert [example.gold for example in task.items] == ["w3", "w4"]


def test_training_items_are_refused():
    with pytest.raises(InputError, match="scored=True"):
        plan_tasks([item(None, "w3")])


def test_files_of_a_likelihood_task(tmp_path: Path, tokenizer):
    example = item(ScoringRule.OPEN_ENDED, "w3", choices=("w3", "w4 w5", "w6"))
    write_tasks(tmp_path, plan_tasks([example]), TEMPLATE, tokenizer)
    config = yaml.load((tmp_path / "growthpace_x_open_ended.yaml").read_text(), _Loader)
    data_file = Path(config["dataset_kwargs"]["data_files"]["test"])
    assert data_file.is_absolute()
    assert config["dataset_path"] == "json"
    assert config["output_type"] == "multiple_choice"
    assert config["target_delimiter"] == ""
    assert config["num_fewshot"] == 0
    assert config["process_results"] == "!runners.lm_eval_tasks.process_candidates"
    assert config["metadata"]["template"] == "doit"
    assert config["metadata"]["apply_chat_template"] is False
    lines = [json.loads(line) for line in data_file.read_text().splitlines()]
    assert [json.loads(line["document"]) for line in lines] == [
        {
            "item_id": example.item_id,
            "rule": "open_ended",
            "prompt": "<user>w1 w2<eot><assistant>",
            "target": "w3",
            "choices": ["w3<eot>", "w4 w5<eot>", "w6<eot>"],
            "right": 0,
            "n_tokens": [2, 3, 2],
        }
    ]


def test_files_of_a_reply_task(tmp_path: Path, tokenizer):
    write_tasks(tmp_path, plan_tasks([item(ScoringRule.CLOZE, "w3")]), TEMPLATE, tokenizer)
    config = yaml.load((tmp_path / "growthpace_x_cloze.yaml").read_text(), _Loader)
    assert config["output_type"] == "generate_until"
    assert config["generation_kwargs"] == {
        "until": ["<eot>"],
        "max_gen_toks": 6,
        "do_sample": False,
    }
    assert "doc_to_choice" not in config


def test_options_and_letters_do_not_include_the_end_token():
    options = item(ScoringRule.OPTION_TEXT, "red", options=("red", "dark blue"))
    assert continuations(options, TEMPLATE) == ["red", "dark blue"]
    assert continuations(item(ScoringRule.SINGLE_CHOICE, "B"), TEMPLATE) == list("ABCD")
    assert continuations(item(ScoringRule.TRUE_FALSE, "yes"), TEMPLATE) == []


def test_prompts_are_tokenised_as_in_training(tokenizer):
    turns = (
        Turn(role="user", content="w1 "),
        Turn(role="assistant", content="w2"),
        Turn(role="user", content="w3"),
        Turn(role="assistant", content="w4"),
    )
    encoded = TEMPLATE.encode(tokenizer, turns, max_length=100)
    prompt = encode_prompt(tokenizer, TEMPLATE, Item(turns=turns, ability="x"))
    reply = tokenizer.encode(TEMPLATE.continuation("w4"), add_special_tokens=False)
    assert prompt + reply == encoded.input_ids


def test_replies_have_room_beyond_the_longest_gold_answer(tokenizer):
    def limit(*golds: str) -> int:
        (task,) = plan_tasks(item(ScoringRule.CLOZE, gold) for gold in golds)
        return max_new_tokens(task, tokenizer)

    assert limit("w1") == 1 + 1 + 4
    assert limit("w1", "w1 " * 20) == 20 + 1 + 10
    assert limit("w1 " * 5000) == 1024


def test_unknown_scores_are_nan_for_lm_eval():
    document = {"rule": "open_ended", "right": 0, "n_tokens": [1, 1, 1]}
    metrics = process_candidates(document, [(float("nan"), False)] * 3)
    assert metrics["accuracy"] != metrics["accuracy"]
    assert process_reply({"rule": "cloze", "target": "x"}, ["x"]) == {"accuracy": 1, "parsed": 1}
