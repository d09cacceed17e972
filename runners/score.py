"""Scores checkpoints item by item through lm-eval, inside a live worker process.

Reading the tasks, rendering prompts and tokenising them cost more than scoring a small model
does, so a `Scorer` does them once and then serves every checkpoint of the worker.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import logging
import math
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import pyarrow as pa
import torch
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from runners.doit_format import Item, ScoringRule
from runners.lm_eval_live import LiveTask, PreparedModel
from runners.lm_eval_tasks import (
    METRIC,
    EvaluationTask,
    continuations,
    encode_prompt,
    plan_tasks,
    write_tasks,
)
from runners.scoring_rules import (
    LIKELIHOOD_RULES,
    candidates,
    chance_level,
    chance_level_uniform,
    preferred_candidate,
    target,
)
from runners.template import Template
from warehouse.errors import InputError
from warehouse.records import ITEM, ITEM_SCORE

logger = logging.getLogger(__name__)

Sample = dict[str, Any]


class Scorer:
    """Scores checkpoints on a fixed set of evaluation items.

    Parameters
    ----------
    items : mapping of str to sequence of Item
        Evaluation items by ability, as `read_doit_folder` returns them.
    template : Template
        The template that the checkpoints are trained with.
    tokenizer : PreTrainedTokenizerBase
        Their tokenizer, already given the template's tokens (`Template.prepare`).
    folder : Path, optional
        Where the temporary folder with lm-eval's task files is made; by default the system's.
    batch_size : int, at least 1
        Sequences a forward pass; halved, and remembered, when memory does not suffice.

    Attributes
    ----------
    settings : dict
        What scores may depend on beside weights and items; for the run's record.

    Raises
    ------
    InputError
        If an item has no scoring rule, or the template's end token is unknown to the tokenizer.
    """

    def __init__(
        self,
        items: Mapping[str, Sequence[Item]],
        *,
        template: Template,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path | None = None,
        batch_size: int = 64,
    ) -> None:
        if len(tokenizer.encode(template.end, add_special_tokens=False)) != 1:
            raise InputError(
                f"template {template.name}: {template.end!r} is not one token of the tokenizer; "
                "call Template.prepare before scoring."
            )
        self.template = template
        self.tasks = plan_tasks(item for group in items.values() for item in group)
        if not self.tasks:
            raise InputError("There are no evaluation items to score; check the data folder.")
        self._tokens = _tokenise(self.tasks, template, tokenizer)
        self._lengths = [
            len(self._tokens[template.prompt(item.prompt_turns)])
            + max((len(self._tokens[text]) for text in continuations(item, template)), default=0)
            for task in self.tasks
            for item in task.items
        ]
        self._vocabulary_size = len(tokenizer)
        self._probe = max(
            (item for task in self.tasks for item in task.items),
            key=lambda item: len(template.prompt(item.prompt_turns)),
        )
        # lm-eval's data is mapped from files in this folder, so it goes when the scorer does.
        task_folder = Path(tempfile.mkdtemp(prefix="growthpace-", dir=folder))
        weakref.finalize(self, shutil.rmtree, task_folder, ignore_errors=True)
        write_tasks(task_folder, self.tasks, template, tokenizer)
        self._lm_eval_tasks = _load_tasks(task_folder, self.tasks)
        self._fixed = _fixed_columns(self.tasks, template)
        n_items = sum(len(task.items) for task in self.tasks)
        self.settings: dict[str, Any] = {
            "lm_eval_version": lm_eval.__version__,
            "template": template.name,
            "apply_chat_template": False,
            "batch_size": batch_size,
            "dtype": None,
            "n_items": n_items,
            "n_duplicate_items": sum(map(len, items.values())) - n_items,
            # Prompts that do not fit the model lose their beginning.
            "n_truncated_prompts": None,
        }

    def score(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, cell_id: str
    ) -> pa.Table:
        """Score one checkpoint.

        Returns
        -------
        pyarrow.Table
            One row per item with the columns of ITEM_SCORE, in the same order for every
            checkpoint. A task that fails has rows without score and with the reason.

        Raises
        ------
        InputError
            If `tokenizer` is not the one that the scorer was made for.
        """
        self._check_tokenizer(tokenizer)
        self.settings["dtype"] = str(model.dtype).removeprefix("torch.")
        self.settings["n_truncated_prompts"] = self._count_truncated(model)
        was_training = model.training
        try:
            samples, failures = self._evaluate(model, tokenizer)
        finally:
            model.train(was_training)
        rows: list[dict[str, Any]] = []
        for task in self.tasks:
            if task.name in failures:
                rows += [_missing(failures[task.name])] * len(task.items)
            else:
                rows += map(_result, task.items, samples[task.name])
        results = {name: [row[name] for row in rows] for name in _missing("")}
        columns = {"cell_id": [cell_id] * len(rows), **self._fixed, **results}
        return pa.table(columns, schema=ITEM_SCORE)

    def items_table(self) -> pa.Table:
        """Return the evaluation items with the columns of ITEM, in the order of the scores."""
        rows = [
            {
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
            for task in self.tasks
            for item in task.items
        ]
        return pa.Table.from_pylist(rows, schema=ITEM)

    def _count_truncated(self, model: PreTrainedModel) -> int | None:
        """Return how many prompts do not fit with their longest candidate, if that is known."""
        limit = getattr(model.config, "max_position_embeddings", None)
        # The last token is predicted but not read.
        return None if limit is None else sum(length > limit + 1 for length in self._lengths)

    def _check_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise InputError unless the tokenizer cuts the longest prompt as the scorer's did."""
        known = self._tokens[self.template.prompt(self._probe.prompt_turns)]
        if (
            len(tokenizer) != self._vocabulary_size
            or encode_prompt(tokenizer, self.template, self._probe) != known
        ):
            raise InputError(
                "The checkpoint's tokenizer differs from the one that the scorer was made for; "
                "make a scorer for each base model."
            )

    def _evaluate(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[dict[str, list[Sample]], dict[str, str]]:
        """Return lm-eval's samples by task, and why the other tasks failed."""
        try:
            return self._run(model, tokenizer, self._lm_eval_tasks), {}
        except Exception:
            logger.exception("scoring all tasks at once failed; scoring them one by one")
        samples: dict[str, list[Sample]] = {}
        failures: dict[str, str] = {}
        for name, task in self._lm_eval_tasks.items():
            try:
                samples |= self._run(model, tokenizer, {name: task})
            except Exception as error:
                logger.exception("scoring task %s failed", name)
                failures[name] = f"{type(error).__name__}: {error}"[:500]
        return samples, failures

    def _run(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tasks: dict[str, LiveTask],
    ) -> dict[str, list[Sample]]:
        """Run lm-eval, with smaller batches for as long as memory does not suffice."""
        while True:
            prepared = PreparedModel(
                model,
                tokenizer,
                tokens=self._tokens,
                end=self.template.end,
                batch_size=self.settings["batch_size"],
            )
            try:
                with _no_garbage_collection():
                    results = evaluate(
                        prepared, {"tasks": tasks}, bootstrap_iters=0, log_samples=True
                    )
                return results["samples"]
            except RuntimeError as error:
                if not _is_out_of_memory(error) or self.settings["batch_size"] == 1:
                    raise
            self.settings["batch_size"] //= 2
            logger.warning("out of memory; batch size is now %d", self.settings["batch_size"])


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from walking over the many objects of an evaluation again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error is PyTorch's lack of memory (a plain RuntimeError on the CPU)."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _tokenise(
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


def _load_tasks(folder: Path, tasks: Sequence[EvaluationTask]) -> dict[str, LiveTask]:
    """Return lm-eval's task objects for the files in a folder."""
    datasets.disable_progress_bars()
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return manager.load([task.name for task in tasks])["tasks"]


def _fixed_columns(tasks: Sequence[EvaluationTask], template: Template) -> dict[str, pa.Array]:
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


def _missing(reason: str) -> dict[str, Any]:
    """Return the varying columns of an item without score."""
    return {
        "score": None,
        "missing_reason": reason,
        "parsed": None,
        "response": None,
        "choice_log_likelihoods": None,
        "choice_tokens": None,
    }


def _result(item: Item, sample: Sample) -> dict[str, Any]:
    """Return the varying columns of an item from lm-eval's sample."""
    score, parsed = sample[METRIC], sample["parsed"]
    row = _missing("the model's log-likelihoods are not numbers")
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
