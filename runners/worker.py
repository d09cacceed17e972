"""A live worker: trains, scores and lands one cell after another.

Started by `worker_group` with the environment that DeepSpeed's launcher sets. Imports, engine
start-up, base models and evaluation items are paid for once per worker, not once per cell.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from runners.batch_sizes import read_batch_sizes, write_batch_sizes
from runners.checkpoints import RESULT_FILE, find_damage, finish_checkpoint, read_result
from runners.doit_format import Item, read_doit_file
from runners.engine import sharded_loading, start_deepspeed
from runners.environment import describe_environment, git_commit
from runners.failures import describe_failure
from runners.grid import short_hash
from runners.job import Event, Job, ReplySettings
from runners.landed import land_result, write_once
from runners.public_tasks import load_public_tasks
from runners.replies import generate_replies, reply_stem, select_items
from runners.score import Scorer
from runners.sft_data import TEST_FILE, TRAIN_FILE, VALIDATION_FILE
from runners.template import Template, load_template
from runners.train import peak_memory_bytes, release_freed_memory, reset_peak_memory, train
from runners.train_steps import TrainResult
from warehouse.records import RecordKind
from warehouse.workspace import Workspace

logger = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PROGRESS_SECONDS = 0.5
# A larger base model is read anew for each training: that costs little beside it, and a copy that
# stays would take memory that training needs.
_KEPT_BYTES = 2 << 30


class Worker:
    """State that outlives a cell: caches of what is costly to make."""

    def __init__(self, workspace: Workspace, events: TextIO) -> None:
        self.workspace = workspace
        self.rank = int(os.environ["RANK"])
        self._events = events
        self._pristine: dict[tuple[Path, str], PreTrainedModel] = {}
        self._tokenizers: dict[tuple[Path, str], PreTrainedTokenizerBase] = {}
        self._scorers: dict[tuple[object, ...], Scorer] = {}
        self._environment = describe_environment()
        # Remembered from now on, whatever becomes of the checkout meanwhile.
        git_commit()
        self._last_progress = 0.0
        self._stage = ""

    def report(self, event: Event) -> None:
        """Send one event to the orchestrator: rank 0 speaks for its group, but all for failures."""
        if self.rank == 0 or event.kind == "failed":
            self._events.write(event.model_dump_json() + "\n")
            self._events.flush()

    def run(self, job: Job) -> None:
        """Do one job; whatever goes wrong is reported, and the worker lives on."""
        try:
            self._run(job)
        except Exception as error:
            logger.exception("cell %s failed while in stage %s", job.cell.cell_id, self._stage)
            self.report(describe_failure(error, self._stage))
            if self.rank != 0:
                # Its end closes the connections that rank 0 may be waiting on.
                raise
        else:
            self.report(Event(kind="done"))

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self.report(Event(kind="progress", stage=stage))

    def _run(self, job: Job) -> None:
        began, started_at = time.perf_counter(), datetime.now(UTC)
        # A DeepSpeed engine holds itself and its model: the last cell's goes only now.
        gc.collect()
        release_freed_memory()
        reset_peak_memory()
        # Every cell starts from the same random state, whichever cells this worker did before.
        seed = job.cell.seed or 0
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - libraries below use the global generator
        torch.manual_seed(seed)
        template = load_template(job.cell.template, job.model_folder)
        model, tokenizer, result = self.obtain(job, template)
        if self.rank != 0:
            return
        score_began = time.perf_counter()
        scorer, scores = self.score(job, model, tokenizer, template)
        score_seconds = time.perf_counter() - score_began
        if job.replies is not None:
            self._enter("reply")
            with self._signs_of_life(model):
                self._reply(job, job.replies, model, tokenizer, template)
        self._enter("land")
        land_result(
            self.workspace,
            job,
            items=scorer.items_table(),
            scores=scores,
            result=result,
            environment=self._environment | {"scoring": scorer.settings},
            started_at=started_at,
            score_seconds=score_seconds,
            wall_seconds=time.perf_counter() - began,
            peak_memory_bytes=peak_memory_bytes(),
        )
        if not job.keep_checkpoint:
            shutil.rmtree(self.workspace.checkpoints / job.cell.cell_id, ignore_errors=True)

    def obtain(
        self, job: Job, template: Template
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, TrainResult | None]:
        """Return the model to score: the base model, an earlier attempt's, or one trained now."""
        checkpoint = self.workspace.checkpoints / job.cell.cell_id
        if job.training is None:
            self._enter("load")
            return *self._base_model(job, template), None
        if self._is_trained(checkpoint):
            self._enter("load")
            return *_load(checkpoint, job), read_result(checkpoint)
        self._enter("train")
        model, tokenizer = self._base_model(job, template)
        result = self._train(job, model, tokenizer, template, checkpoint)
        if job.training.zero_stage == 3 and self.rank == 0:
            self._enter("load")
            # The shards go first: the whole model may just fit one device.
            del model
            model, tokenizer = _load(checkpoint, job)
        return model, tokenizer, result

    def score(
        self,
        job: Job,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
    ) -> tuple[Scorer, pa.Table]:
        """Score a model on the job's evaluation items."""
        self._enter("score")
        # What training leaves in pieces would come on top of what scoring needs.
        release_freed_memory()
        scorer = self._scorer(job, tokenizer, template)
        with self._signs_of_life(model):
            scores = scorer.score(
                model,
                tokenizer,
                cell_id=job.cell.cell_id,
                generations=self.workspace.data / "generations" / job.cell.cell_id,
            )
        write_batch_sizes(_batch_sizes_file(job), scorer.settings["batch_sizes"])
        return scorer, scores

    def _is_trained(self, checkpoint: Path) -> bool:
        """Tell whether an earlier attempt left a whole checkpoint; a damaged one is removed."""
        if not (checkpoint / RESULT_FILE).is_file():
            return False
        if (damage := find_damage(checkpoint)) is None:
            return True
        self.report(
            Event(kind="note", reason=f"{damage} in {checkpoint} is damaged; the cell trains anew.")
        )
        # All ranks have to come to the same answer, so none removes what another still reads;
        # the new checkpoint replaces the damaged one.
        return False

    def _base_model(
        self, job: Job, template: Template
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Return a base model, fresh for training; only the latest one is kept in memory."""
        if job.training is not None and job.training.zero_stage == 3:
            # Too large for one device, perhaps: every rank reads its shard, and none keeps a copy.
            self._pristine = {}
            with sharded_loading(job.training):
                model, tokenizer = _load(job.model_folder, job, sharded=True)
                torch.manual_seed(0)
                template.prepare(tokenizer, model)
            return model, tokenizer
        key = (job.model_folder, template.name)
        if key not in self._pristine:
            self._pristine = {}
            model, tokenizer = _load(job.model_folder, job)
            # New template tokens get random rows; seeded apart so that all cells share them.
            torch.manual_seed(0)
            template.prepare(tokenizer, model)
            if job.training and model.get_memory_footprint() > _KEPT_BYTES:
                return model, tokenizer
            self._pristine = {key: model}
            self._tokenizers = {key: tokenizer}
        pristine = self._pristine[key]
        return copy.deepcopy(pristine) if job.training else pristine, self._tokenizers[key]

    def _train(
        self,
        job: Job,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        checkpoint: Path,
    ) -> TrainResult:
        """Train and put the checkpoint in place, its training result written last."""
        assert job.training is not None and job.train_folder is not None
        assert job.cell.seed is not None
        validation = job.evaluation_folder / VALIDATION_FILE
        partial = checkpoint.with_name(f".{checkpoint.name}.partial")
        resume = checkpoint.with_name(f".{checkpoint.name}.resume")
        shutil.rmtree(partial, ignore_errors=True)
        result = train(
            model,
            tokenizer,
            template,
            read_doit_file(job.train_folder / TRAIN_FILE, scored=False),
            job.training,
            job.cell.seed,
            validation=read_doit_file(validation, scored=False) if validation.is_file() else (),
            progress=self._progress,
            save_to=partial,
            resume_folder=resume,
            save_resume_every_seconds=job.save_resume_every_seconds,
        )
        if result.restarted_reason is not None:
            self.report(Event(kind="note", reason=f"{result.restarted_reason}; it trains anew."))
        if self.rank == 0:
            finish_checkpoint(partial, checkpoint, result, template)
            shutil.rmtree(resume, ignore_errors=True)
        return result

    @contextlib.contextmanager
    def _signs_of_life(self, model: PreTrainedModel) -> Iterator[None]:
        """Report now and then while a model is scored, so that a hung worker can be told."""

        def tick(*_: object) -> None:
            now = time.monotonic()
            if now - self._last_progress >= _PROGRESS_SECONDS:
                self._last_progress = now
                self.report(Event(kind="progress", stage=self._stage))

        hook = model.register_forward_hook(tick)
        try:
            yield
        finally:
            hook.remove()

    def _progress(self, step: int, n_steps: int) -> None:
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_SECONDS or step == n_steps:
            self._last_progress = now
            self.report(Event(kind="progress", stage="train", step=step, n_steps=n_steps))

    def _scorer(self, job: Job, tokenizer: PreTrainedTokenizerBase, template: Template) -> Scorer:
        key = (
            job.evaluation_folder,
            job.model_folder,
            template.name,
            job.score_batch_size,
            job.public_tasks,
            job.task_files_hash,
        )
        if key not in self._scorers:
            items: dict[str, list[Item]] = {}
            for item in read_doit_file(job.evaluation_folder / TEST_FILE, scored=True):
                items.setdefault(item.ability, []).append(item)
            self._scorers[key] = Scorer(
                items,
                template=template,
                tokenizer=tokenizer,
                batch_size=job.score_batch_size,
                batch_sizes=read_batch_sizes(_batch_sizes_file(job)),
                public=load_public_tasks(
                    job.public_tasks,
                    template=template,
                    task_folder=job.task_folder,
                    max_items=job.max_items_per_ability,
                ),
            )
        return self._scorers[key]

    def _reply(
        self,
        job: Job,
        settings: ReplySettings,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
    ) -> None:
        """Land the replies that judges will read; before the run record, as the scores."""
        items = read_doit_file(job.evaluation_folder / TEST_FILE, scored=True)
        replies = generate_replies(
            model,
            tokenizer,
            template,
            select_items(items, settings),
            cell_id=job.cell.cell_id,
            max_new_tokens=settings.max_new_tokens,
            batch_size=job.score_batch_size,
        )
        stem = reply_stem(job.cell.cell_id, settings)
        write_once(self.workspace, RecordKind.GENERATION, stem, replies)


def _batch_sizes_file(job: Job) -> Path:
    """Return where the batch sizes are kept that a base model's checkpoints are scored with."""
    model = short_hash([str(job.model_folder), job.score_batch_size])
    return job.evaluation_folder / f"batch_sizes-{model}.json"


def _load(
    folder: Path, job: Job, *, sharded: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    dtype = _DTYPES[job.training.dtype if job.training else job.cell.training["dtype"]]
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        # Libraries say what is wrong with a file, but not with which.
        error.add_note(f"the model in {folder} does not load")
        raise
    if torch.cuda.is_available() and not sharded:
        model = model.to(torch.device("cuda", int(os.environ["LOCAL_RANK"])))
    return model.eval(), tokenizer


def main() -> None:
    """Serve jobs from standard input until it closes."""
    # Libraries print to standard output; events get a pipe of their own.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start_deepspeed(os.environ["DS_ACCELERATOR"])
    # The libraries stay, so no later collection needs to walk over them.
    gc.freeze()
    worker = Worker(Workspace(root=Path(sys.argv[1])), events)
    worker.report(Event(kind="ready"))
    for line in sys.stdin:
        worker.run(Job.model_validate_json(line))


if __name__ == "__main__":
    main()
