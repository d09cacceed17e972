"""Scores checkpoints item by item through lm-eval, inside a live worker process.

Reading the tasks, rendering prompts and tokenising them cost more than scoring a small model
does, so a `Scorer` does them once and then serves every checkpoint of the worker.
"""

from __future__ import annotations

import gc
import json
import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lm_eval
import pyarrow as pa
import torch
from lm_eval.evaluator import evaluate
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from runners.code_scoring import try_replies
from runners.doit_format import Item
from runners.failures import is_out_of_memory
from runners.gc_pause import no_garbage_collection
from runners.lm_eval_live import LiveModel, Pairs, PreparedModel, load_tasks
from runners.lm_eval_tasks import (
    continuations,
    encode_prompt,
    plan_tasks,
    tokenise,
    write_tasks,
)
from runners.public_items import CodeTask, PublicTask
from runners.public_tasks import FEWSHOT_SEED
from runners.score_rows import (
    Sample,
    failed_rows,
    fixed_columns,
    item_row,
    missing,
    public_item_rows,
    public_rows,
    public_score_rows,
    result_row,
)
from runners.template import Template
from warehouse.errors import InputError
from warehouse.landing import write_atomically
from warehouse.records import ITEM, ITEM_SCORE

logger = logging.getLogger(__name__)
T = TypeVar("T")


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
    batch_sizes : mapping of task to int, optional
        Smaller sizes that earlier scorers of the same model found.
    public : sequence of PublicTask
        lm-eval's own tasks, loaded for this scorer alone.

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
        batch_sizes: Mapping[str, int] | None = None,
        public: Sequence[PublicTask] = (),
    ) -> None:
        if len(tokenizer.encode(template.end, add_special_tokens=False)) != 1:
            raise InputError(
                f"template {template.name}: {template.end!r} is not one token of the tokenizer; "
                "call Template.prepare before scoring."
            )
        self.template = template
        self.tasks = plan_tasks(item for group in items.values() for item in group)
        self.public = tuple(public)
        if not self.tasks:
            raise InputError("There are no evaluation items to score; check the data folder.")
        self._tokens = tokenise(self.tasks, template, tokenizer)
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
        # What goes through the model together: our own tasks, and each public ability; but tasks
        # one by one where they were found to need batches of their own.
        units: list[dict[str, Any]] = [dict(load_tasks(task_folder, self.tasks))]
        for ability in dict.fromkeys(task.ability for task in self.public):
            units.append({t.name: t.task for t in self.public if t.ability == ability})
        known = batch_sizes or {}
        sizes = {name: min(batch_size, known.get(name, batch_size)) for u in units for name in u}
        self._units: list[dict[str, Any]] = []
        for unit in units:
            is_even = len({sizes[name] for name in unit}) == 1
            self._units += [unit] if is_even else [{name: unit[name]} for name in unit]
        self._own_names = {task.name for task in self.tasks}
        self._pairs: Pairs = {}
        self._fixed = fixed_columns(self.tasks, template)
        n_items = sum(len(task.items) for task in self.tasks)
        self.settings: dict[str, Any] = {
            "lm_eval_version": lm_eval.__version__,
            "template": template.name,
            "apply_chat_template": False,
            "batch_sizes": sizes,
            "dtype": None,
            "n_items": n_items,
            "n_duplicate_items": sum(map(len, items.values())) - n_items,
            # Prompts that do not fit the model lose their beginning.
            "n_truncated_prompts": None,
        }
        if self.public:
            self.settings["public_tasks"] = {
                "fewshot_seed": FEWSHOT_SEED,
                "n_items": {task.name: len(task.items) for task in self.public},
                # Log-likelihood requests of public tasks that do not fit the model.
                "n_truncated_requests": None,
            }

    def score(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cell_id: str,
        generations: Path | None = None,
    ) -> pa.Table:
        """Score one checkpoint.

        Parameters
        ----------
        generations : Path, optional
            Folder that keeps generated code before it is run; what lies there from an earlier
            attempt at the same checkpoint is not generated again.

        Returns
        -------
        pyarrow.Table
            One row per item with the columns of ITEM_SCORE, in the same order for every
            checkpoint; public tasks have a row per item and metric. A task that fails has rows
            without score and with the reason.

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
            samples, failures = self._evaluate(model.eval(), tokenizer)
            public = self._score_public(model, tokenizer, samples, failures, cell_id, generations)
        finally:
            model.train(was_training)
        rows: list[dict[str, Any]] = []
        for task in self.tasks:
            if task.name in failures:
                rows += [missing(failures[task.name])] * len(task.items)
            else:
                rows += map(result_row, task.items, samples[task.name])
        results = {name: [row[name] for row in rows] for name in missing("")}
        columns = {"cell_id": [cell_id] * len(rows), **self._fixed, **results}
        own = pa.table(columns, schema=ITEM_SCORE)
        return pa.concat_tables([own, pa.Table.from_pylist(public, schema=ITEM_SCORE)])

    def items_table(self) -> pa.Table:
        """Return the evaluation items with the columns of ITEM, in the order of the scores."""
        rows = [item_row(task, item) for task in self.tasks for item in task.items]
        rows += [row for public in self.public for row in public_item_rows(public)]
        return pa.Table.from_pylist(rows, schema=ITEM)

    def _score_public(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        samples: Mapping[str, list[Sample]],
        failures: Mapping[str, str],
        cell_id: str,
        generations: Path | None,
    ) -> list[dict[str, Any]]:
        """Return the rows of the public tasks; code is generated and run here."""
        if not self.public:
            return []
        rows: list[dict[str, Any]] = []
        counter = LiveModel(model, tokenizer, batch_size=1, pairs=self._pairs)
        for public in self.public:
            if public.name in failures:
                found = failed_rows(public, failures[public.name])
            elif isinstance(public.task, CodeTask):
                found = self._score_code(model, tokenizer, public, public.task, generations)
            else:
                found = public_rows(public, samples[public.name], counter.count_tokens)
            rows += public_score_rows(public, cell_id, found)
        limit = getattr(model.config, "max_position_embeddings", None)
        self.settings["public_tasks"]["n_truncated_requests"] = (
            None
            if limit is None
            else sum(len(prompt) + len(text) > limit + 1 for prompt, text in self._pairs.values())
        )
        return rows

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
        samples: dict[str, list[Sample]] = {}
        failures: dict[str, str] = {}
        units: list[dict[str, Any]] = []
        for unit in self._units:
            if any(isinstance(task, CodeTask) for task in unit.values()):
                units.append(unit)
                continue
            parts = [{name: task} for name, task in unit.items()]
            if len(unit) > 1:
                try:
                    samples |= self._run(model, tokenizer, unit)
                    units.append(unit)
                    continue
                except Exception as error:
                    logger.exception("scoring %d tasks at once failed; one by one", len(unit))
                    # From now on each task finds its own batch size.
                    units += parts if is_out_of_memory(error) else [unit]
            else:
                units.append(unit)
            for part in parts:
                try:
                    samples |= self._run(model, tokenizer, part)
                except Exception as error:
                    (name,) = part
                    logger.exception("scoring task %s failed", name)
                    failures[name] = f"{type(error).__name__}: {error}"[:500]
        self._units = units
        return samples, failures

    def _run(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: dict[str, Any]
    ) -> dict[str, list[Sample]]:
        """Run lm-eval; a single task with smaller batches for as long as memory is short."""

        def run(size: int) -> dict[str, list[Sample]]:
            lm = self._lm(model, tokenizer, size, own=tasks.keys() <= self._own_names)
            with no_garbage_collection():
                results = evaluate(lm, {"tasks": tasks}, bootstrap_iters=0, log_samples=True)
            return results["samples"]

        if len(tasks) > 1:
            return run(min(self.settings["batch_sizes"][name] for name in tasks))
        (name,) = tasks
        return self._with_enough_memory(name, run)

    def _lm(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, size: int, *, own: bool
    ) -> LiveModel:
        """Return lm-eval's model: with the tokens of training for our own tasks."""
        if not own:
            return LiveModel(model, tokenizer, batch_size=size, pairs=self._pairs)
        return PreparedModel(
            model, tokenizer, tokens=self._tokens, end=self.template.end, batch_size=size
        )

    def _with_enough_memory(self, name: str, run: Callable[[int], T]) -> T:
        """Run a task at its batch size, halved for as long as memory is short."""
        sizes = self.settings["batch_sizes"]
        while True:
            try:
                return run(sizes[name])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or sizes[name] == 1:
                    raise
            # Outside of the handler, whose error holds what is to be given back.
            sizes[name] //= 2
            logger.warning("%s: out of memory; its batch size is now %d", name, sizes[name])
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _score_code(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        public: PublicTask,
        code: CodeTask,
        generations: Path | None,
    ) -> list[dict[str, Any]]:
        """Have code written, keep it, then try it in the sandbox."""
        kept = None if generations is None else generations / f"{public.name}.json"
        try:
            if kept is not None and kept.is_file():
                replies = json.loads(kept.read_text("utf-8"))
            else:
                replies = self._generate(model, tokenizer, public.name, code)
                if kept is not None:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    text = json.dumps(replies, ensure_ascii=False)
                    write_atomically(kept, lambda path: path.write_text(text, "utf-8"))
            return try_replies(public, code, replies)
        except Exception as error:
            logger.exception("scoring task %s failed", public.name)
            return failed_rows(public, f"{type(error).__name__}: {error}"[:500])

    def _generate(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, code: CodeTask
    ) -> list[list[str]]:
        """Return the replies to every document, as many as the task asks for."""
        requests = [request for request in code.requests for _ in range(code.repeats)]

        def run(size: int) -> list[str]:
            return self._lm(model, tokenizer, size, own=False).generate_until(requests)

        texts = self._with_enough_memory(name, run)
        return [texts[start : start + code.repeats] for start in range(0, len(texts), code.repeats)]
