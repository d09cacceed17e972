"""Evaluation items as lm-eval tasks: one YAML file and one JSON-lines file per ability and rule.

The prompt is rendered by the template that the model is trained with, so the tasks name their
prompt field directly and lm-eval's own chat templating stays off; the YAML records both. The
functions that lm-eval calls for each document are at the end of the module.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runners.doit_format import Item, ScoringRule
from runners.scoring_rules import (
    LIKELIHOOD_RULES,
    candidates,
    right_candidate,
    score_candidates,
    score_reply,
    target,
)
from runners.template import Template
from warehouse.errors import InputError

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

METRIC = "accuracy"
TASK_PREFIX = "growthpace"
TASK_VERSION = 1
"""Raise it when prompts, requests or scores of the same items change."""

MAX_NEW_TOKENS = 1024


@dataclass(frozen=True, kw_only=True)
class EvaluationTask:
    """Items of one ability that one rule scores."""

    name: str
    ability: str
    rule: ScoringRule
    items: tuple[Item, ...]


def plan_tasks(items: Iterable[Item]) -> tuple[EvaluationTask, ...]:
    """Group evaluation items by ability and rule, in alphabetical order.

    An item that appears twice in a task is kept once, since its rows would share one key.

    Raises
    ------
    InputError
        If an item has no scoring rule (it was read as training data).
    """
    groups: dict[tuple[str, ScoringRule], dict[str, Item]] = {}
    for item in items:
        if item.scoring_rule is None:
            raise InputError(
                f"item {item.item_id} of ability {item.ability} has no scoring rule; read "
                "evaluation data with scored=True."
            )
        groups.setdefault((item.ability, item.scoring_rule), {})[item.item_id] = item
    return tuple(
        EvaluationTask(
            name=f"{TASK_PREFIX}_{ability}_{rule}",
            ability=ability,
            rule=rule,
            items=tuple(groups[ability, rule].values()),
        )
        for ability, rule in sorted(groups)
    )


def encode_prompt(tokenizer: PreTrainedTokenizerBase, template: Template, item: Item) -> list[int]:
    """Return the prompt's tokens, cut into pieces exactly as in training."""
    pieces = [text for text, _ in template.segments(item.prompt_turns)]
    pieces.append(template.assistant_prefix)
    return [
        token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)
    ]


def continuations(item: Item, template: Template) -> list[str]:
    """Return the texts whose log-likelihoods are asked for; empty for rules that read a reply.

    Open-ended candidates include the end token, as perplexity does; letters and options do not,
    as the model need not stop after them to have chosen.
    """
    if item.scoring_rule is ScoringRule.OPEN_ENDED:
        return [template.continuation(text) for text in candidates(item)]
    return list(candidates(item))


def tokenise(
    tasks: Sequence[EvaluationTask], template: Template, tokenizer: PreTrainedTokenizerBase
) -> dict[str, list[int]]:
    """Return the tokens of every prompt and continuation by its text."""
    tokens: dict[str, list[int]] = {}
    for task in tasks:
        for item in task.items:
            tokens[template.prompt(item.prompt_turns)] = encode_prompt(tokenizer, template, item)
            for text in continuations(item, template):
                if text not in tokens:
                    tokens[text] = tokenizer.encode(text, add_special_tokens=False)
    return tokens


def write_tasks(
    folder: Path,
    tasks: Sequence[EvaluationTask],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write data and YAML files of the tasks into a folder for lm-eval's `include_path`.

    Parameters
    ----------
    folder : Path
        Made if needed. lm-eval's data cache goes below it too.
    tokenizer : PreTrainedTokenizerBase
        Counts the candidates' tokens and bounds the length of replies.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        data_path = folder / f"{task.name}.jsonl"
        with data_path.open("w", encoding="utf-8") as handle:
            for item in task.items:
                # JSON inside JSON: `datasets` guesses the types of plain fields, and would turn
                # options such as 1912-03-04 into time stamps (see `read_documents`).
                document = json.dumps(_document(item, template, tokenizer), ensure_ascii=False)
                handle.write(json.dumps({"document": document}, ensure_ascii=False) + "\n")
        config = _config(task, template, tokenizer, data_path)
        text = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        (folder / f"{task.name}.yaml").write_text(text, encoding="utf-8")


def max_new_tokens(task: EvaluationTask, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how long a reply may get: the longest gold answer, its end token and some room.

    The room lets a reply that goes on differ from the gold answer it begins with.
    """
    longest = max(len(tokenizer.encode(item.gold, add_special_tokens=False)) for item in task.items)
    return min(longest + 1 + max(4, math.ceil(longest / 2)), MAX_NEW_TOKENS)


def _document(item: Item, template: Template, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the document that stands for an item in lm-eval."""
    texts = continuations(item, template)
    return {
        "item_id": item.item_id,
        "rule": str(item.scoring_rule),
        "prompt": template.prompt(item.prompt_turns),
        "target": target(item),
        "choices": texts,
        "right": right_candidate(item) if texts else -1,
        "n_tokens": [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts],
    }


class _FunctionName(str):
    """Import path of what lm-eval loads through its `!function` tag."""


class _Dumper(yaml.SafeDumper):
    """YAML writer that knows the tag."""


_Dumper.add_representer(
    _FunctionName, lambda dumper, name: dumper.represent_scalar("!function", str(name))
)


def _config(
    task: EvaluationTask,
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    data_path: Path,
) -> dict[str, Any]:
    """Return the task's lm-eval configuration."""
    config: dict[str, Any] = {
        "task": task.name,
        "class": _FunctionName("runners.lm_eval_live.LiveTask"),
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(data_path)},
            "cache_dir": str(data_path.parent / "cache"),
        },
        "process_docs": _FunctionName("runners.lm_eval_tasks.read_documents"),
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "target_delimiter": "",
    }
    if task.rule in LIKELIHOOD_RULES:
        config |= {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "process_results": _FunctionName("runners.lm_eval_tasks.process_candidates"),
        }
    else:
        config |= {
            "output_type": "generate_until",
            "generation_kwargs": {
                "until": [template.end],
                "max_gen_toks": max_new_tokens(task, tokenizer),
                "do_sample": False,
            },
            "process_results": _FunctionName("runners.lm_eval_tasks.process_reply"),
        }
    return config | {
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in (METRIC, "parsed")
        ],
        "metadata": {
            "version": TASK_VERSION,
            "ability": task.ability,
            "scoring_rule": str(task.rule),
            "template": template.name,
            "template_hash": hashlib.sha256(template.to_json().encode()).hexdigest(),
            "apply_chat_template": False,
        },
    }


# ---------------------------------------------------------------------------- called by lm-eval


def read_documents(dataset: datasets.Dataset) -> datasets.Dataset:
    """Return the documents of a data file with their fields as columns."""
    import datasets

    text, count = datasets.Value("string"), datasets.Value("int64")
    features = datasets.Features(
        {
            "item_id": text,
            "rule": text,
            "prompt": text,
            "target": text,
            "choices": datasets.List(text),
            "right": count,
            "n_tokens": datasets.List(count),
        }
    )
    rows = [json.loads(line) for line in dataset["document"]]
    return datasets.Dataset.from_list(rows, features=features)


def process_candidates(
    doc: dict[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, float]:
    """Score a document by its candidates' log-likelihoods."""
    outcome = score_candidates(
        ScoringRule(doc["rule"]),
        doc["right"],
        [log_likelihood for log_likelihood, _ in results],
        [is_greedy for _, is_greedy in results],
        doc["n_tokens"],
    )
    return _metrics(outcome.score, outcome.parsed)


def process_reply(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a document by the generated reply."""
    outcome = score_reply(ScoringRule(doc["rule"]), results[0], doc["target"])
    return _metrics(outcome.score, outcome.parsed)


def _metrics(score: float | None, parsed: bool | None) -> dict[str, float]:
    """Return the metrics that lm-eval averages; it has no null, so unknown is NaN."""
    return {
        METRIC: math.nan if score is None else score,
        "parsed": math.nan if parsed is None else float(parsed),
    }
