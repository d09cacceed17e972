"""Rows of the score and item tables, from evaluation items and lm-eval's samples."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import pyarrow as pa

from runners.doit_format import Item, ScoringRule
from runners.lm_eval_tasks import METRIC, EvaluationTask
from runners.public_items import PublicItem, PublicTask
from runners.scoring_rules import (
    LIKELIHOOD_RULES,
    candidates,
    chance_level,
    chance_level_uniform,
    preferred_candidate,
    target,
)
from runners.template import Template

Sample = dict[str, Any]

# ---------------------------------------------------------------------------- own items


def item_row(task: EvaluationTask, item: Item) -> dict[str, Any]:
    """Return the row of the item table."""
    return {
        "item_id": item.item_id,
        "task": task.name,
        "ability": task.ability,
        "prompt": json.dumps(
            [{"role": turn.role, "content": turn.content} for turn in item.prompt_turns],
            ensure_ascii=False,
        ),
        "target": target(item),
        "choices": list(candidates(item)) or None,
    }


def fixed_columns(tasks: Sequence[EvaluationTask], template: Template) -> dict[str, pa.Array]:
    """Return the columns of the score table that are the same for every checkpoint."""
    pairs = [(task, item) for task in tasks for item in task.items]
    columns = {
        "task": [task.name for task, _ in pairs],
        "ability": [task.ability for task, _ in pairs],
        "item_id": [item.item_id for _, item in pairs],
        "prompt_hash": [_hash(template.prompt(item.prompt_turns)) for _, item in pairs],
        "target_hash": [_hash(target(item)) for _, item in pairs],
        "metric": [METRIC for _ in pairs],
        "higher_is_better": [True for _ in pairs],
        "scoring_rule": [str(task.rule) for task, _ in pairs],
        "chance_level": [chance_level(item) for _, item in pairs],
        "chance_level_uniform": [chance_level_uniform(item) for _, item in pairs],
    }
    return {name: pa.array(values) for name, values in columns.items()}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def missing(reason: str) -> dict[str, Any]:
    """Return the varying columns of an item without score."""
    return {
        "score": None,
        "missing_reason": reason,
        "parsed": None,
        "response": None,
        "choice_log_likelihoods": None,
        "choice_tokens": None,
    }


def result_row(item: Item, sample: Sample) -> dict[str, Any]:
    """Return the varying columns of an item from lm-eval's sample."""
    score, parsed = sample[METRIC], sample["parsed"]
    row = missing("the model's log-likelihoods are not numbers")
    if math.isnan(score):
        return row
    row |= {"score": score, "missing_reason": None}
    if not math.isnan(parsed):
        row["parsed"] = bool(parsed)
    rule, answers = ScoringRule(sample["doc"]["rule"]), sample["filtered_resps"]
    if rule not in LIKELIHOOD_RULES:
        return row | {"response": answers[0]}
    log_likelihoods = [log_likelihood for log_likelihood, _ in answers]
    n_tokens = sample["doc"]["n_tokens"]
    choice = preferred_candidate(rule, log_likelihoods, n_tokens)
    return row | {
        "response": None if choice is None else candidates(item)[choice],
        "choice_log_likelihoods": log_likelihoods,
        "choice_tokens": n_tokens,
    }


# ---------------------------------------------------------------------------- public tasks


def public_item_rows(public: PublicTask) -> list[dict[str, Any]]:
    """Return the rows of the item table."""
    return [
        {
            "item_id": item.item_id,
            "task": public.name,
            "ability": public.ability,
            "prompt": json.dumps([{"role": "user", "content": item.prompt}], ensure_ascii=False),
            "target": item.target,
            "choices": list(item.choices) or None,
        }
        for item in public.items
    ]


def public_rows(
    public: PublicTask,
    samples: Sequence[Sample],
    count_tokens: Callable[[str, str], int],
) -> list[dict[str, Any]]:
    """Return what differs between checkpoints, one row per item and metric, from lm-eval's samples.

    Parameters
    ----------
    count_tokens : callable
        (prompt, continuation) -> tokens that the continuation's log-likelihood runs over.
    """
    several = len({sample["filter"] for sample in samples}) > 1
    rows = []
    for sample in samples:
        item = public.items[sample["doc_id"]]
        answer = _answer(public, item, sample, count_tokens)
        for metric in sample["metrics"]:
            value = sample[metric]
            # Metrics of whole corpora keep pairs of values for each item; those are no scores.
            if not isinstance(value, Real):
                continue
            row = {"score": float(value), **answer}
            if math.isnan(float(value)):
                row |= {"score": None, "missing_reason": f"the task gave no number as {metric}"}
            rows.append(
                {
                    "item": item,
                    "metric": f"{metric},{sample['filter']}" if several else metric,
                    "higher_is_better": bool(public.higher_is_better.get(metric, True)),
                    **row,
                }
            )
    return rows


def _answer(
    public: PublicTask,
    item: PublicItem,
    sample: Sample,
    count_tokens: Callable[[str, str], int],
) -> dict[str, Any]:
    """Return the model's answer to one item, as the score table holds it."""
    if public.output_type == "generate_until":
        reply = sample["filtered_resps"][0]
        return {"response": reply if isinstance(reply, str) else json.dumps(reply)}
    pairs = [(float(value), bool(greedy)) for value, greedy in sample["filtered_resps"]]
    # Mutual information asks for every candidate twice; the first ones are meant.
    pairs = pairs[: len(item.choices) or 1]
    values = [value for value, _ in pairs]
    if any(value != value for value in values):
        return {"score": None, "missing_reason": "the model's log-likelihoods are not numbers"}
    return {
        "response": item.choices[values.index(max(values))] if item.choices else None,
        "parsed": any(greedy for _, greedy in pairs) if item.choices else None,
        "choice_log_likelihoods": values,
        "choice_tokens": [count_tokens(*arguments[:2]) for arguments in sample["arguments"]][
            : len(values)
        ],
    }


def public_score_rows(
    public: PublicTask, cell_id: str, found: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Complete what `public_rows` or the sandbox found to rows of the score table."""
    return [
        {
            "cell_id": cell_id,
            "task": public.name,
            "ability": public.ability,
            "item_id": row["item"].item_id,
            "prompt_hash": _hash(row["item"].prompt),
            "target_hash": _hash(row["item"].target),
            "higher_is_better": True,
            "scoring_rule": f"lm_eval_{public.output_type}",
            "chance_level": row["item"].chance_level,
            "chance_level_uniform": row["item"].chance_level,
            "missing_reason": None,
            **{name: value for name, value in row.items() if name != "item"},
        }
        for row in found
    ]


def failed_rows(public: PublicTask, reason: str) -> list[dict[str, Any]]:
    """Return a row without score for every item and metric of a task that failed."""
    return [
        {"item": item, "metric": metric, "higher_is_better": better, **missing(reason)}
        for metric, better in public.higher_is_better.items()
        for item in public.items
    ]
