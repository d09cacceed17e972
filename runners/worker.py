"""A live worker: trains, scores and lands one cell after another.

Started by `worker_group` with the environment that DeepSpeed's launcher sets. Imports, engine
start-up, base models and evaluation items are paid for once per worker, not once per cell.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
import time
from dataclasses import asdict
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

from runners.doit_format import Item, read_doit_file
from runners.environment import describe_environment, git_commit
from runners.job import Event, Job
from runners.score import Scorer
from runners.sft_data import TEST_FILE, TRAIN_FILE, VALIDATION_FILE
from runners.template import TEMPLATE_FILE, TEMPLATES, Template
from runners.train import Step, TrainResult, peak_memory_bytes, start_deepspeed, train
from warehouse.landing import write_atomically, write_document, write_table
from warehouse.records import TRAINING_LOG, RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

RESULT_FILE = "growthpace_training.json"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PROGRESS_SECONDS = 0.5


class Worker:
    """State that outlives a cell: caches of what is costly to make."""

    def __init__(self, workspace: Workspace, events: TextIO) -> None:
        self.workspace = workspace
        self.rank = int(os.environ["RANK"])
        self._events = events
        self._pristine: dict[tuple[Path, str], PreTrainedModel] = {}
        self._tokenizers: dict[tuple[Path, str], PreTrainedTokenizerBase] = {}
        self._scorers: dict[tuple[Path, Path, str, int], Scorer] = {}
        self._environment = describe_environment()
        self._git_commit = git_commit()
        self._last_progress = 0.0
        self._stage = ""

    def report(self, event: Event) -> None:
        """Send one event to the orchestrator (rank 0 speaks for its group)."""
        if self.rank == 0:
            self._events.write(event.model_dump_json() + "\n")
            self._events.flush()

    def run(self, job: Job) -> None:
        """Do one job; whatever goes wrong is reported, and the worker lives on."""
        try:
            self._run(job)
        except Exception as error:
            if self.rank != 0:
                # Its end closes the connections that rank 0 may be waiting on; rank 0 reports.
                raise
            reason = str(error).strip().split("\n")[0] or "no message"
            self.report(
                Event(kind="failed", stage=self._stage, reason=f"{type(error).__name__}: {reason}")
            )
        else:
            self.report(Event(kind="done"))

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self.report(Event(kind="progress", stage=stage))

    def _run(self, job: Job) -> None:
        began, started_at = time.perf_counter(), datetime.now(UTC)
        # Every cell starts from the same random state, whichever cells this worker did before.
        seed = job.cell.seed or 0
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - libraries below use the global generator
        torch.manual_seed(seed)
        template = TEMPLATES[job.cell.template]
        checkpoint = self.workspace.checkpoints / job.cell.cell_id
        result: TrainResult | None = None
        if job.training is None:
            self._enter("load")
            model, tokenizer = self._base_model(job, template)
        elif (checkpoint / RESULT_FILE).is_file():
            self._enter("load")
            model, tokenizer = _load(checkpoint, job)
            result = _read_result(checkpoint)
        else:
            self._enter("train")
            model, tokenizer = self._base_model(job, template)
            result = self._train(job, model, tokenizer, template, checkpoint)
            if job.training.zero_stage == 3 and self.rank == 0:
                model, tokenizer = _load(checkpoint, job)
        if self.rank != 0:
            return
        self._enter("score")
        score_began = time.perf_counter()
        scorer = self._scorer(job, tokenizer, template)
        scores = scorer.score(model, tokenizer, cell_id=job.cell.cell_id)
        score_seconds = time.perf_counter() - score_began
        self._enter("land")
        self._land(job, scorer, scores, result, started_at, began, score_seconds)
        if not job.keep_checkpoint:
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _base_model(
        self, job: Job, template: Template
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Return a base model, fresh for training; only the latest one is kept in memory."""
        key = (job.model_folder, template.name)
        if key not in self._pristine:
            model, tokenizer = _load(job.model_folder, job)
            # New template tokens get random rows; seeded apart so that all cells share them.
            torch.manual_seed(0)
            template.prepare(tokenizer, model)
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
        )
        if self.rank == 0:
            (partial / TEMPLATE_FILE).write_text(template.to_json(), "utf-8")
            text = json.dumps(asdict(result))
            write_atomically(partial / RESULT_FILE, lambda path: path.write_text(text, "utf-8"))
            shutil.rmtree(checkpoint, ignore_errors=True)
            partial.replace(checkpoint)
        return result

    def _progress(self, step: int, n_steps: int) -> None:
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_SECONDS or step == n_steps:
            self._last_progress = now
            self.report(Event(kind="progress", stage="train", step=step, n_steps=n_steps))

    def _scorer(self, job: Job, tokenizer: PreTrainedTokenizerBase, template: Template) -> Scorer:
        key = (job.evaluation_folder, job.model_folder, template.name, job.score_batch_size)
        if key not in self._scorers:
            items: dict[str, list[Item]] = {}
            for item in read_doit_file(job.evaluation_folder / TEST_FILE, scored=True):
                items.setdefault(item.ability, []).append(item)
            self._scorers[key] = Scorer(
                items, template=template, tokenizer=tokenizer, batch_size=job.score_batch_size
            )
        return self._scorers[key]

    def _land(
        self,
        job: Job,
        scorer: Scorer,
        scores: pa.Table,
        result: TrainResult | None,
        started_at: datetime,
        began: float,
        score_seconds: float,
    ) -> None:
        """Write the cell's records; the run record comes last and makes the others count."""
        cell_id = job.cell.cell_id
        # Landing files never change once they are there; a cell that died between its scores
        # and its run record computed the same scores again.
        self._write_once(RecordKind.ITEM, job.evaluation_folder.name, scorer.items_table())
        self._write_once(RecordKind.ITEM_SCORE, cell_id, scores)
        if result is not None:
            rows = [{"cell_id": cell_id, "attempt": job.attempt, **asdict(s)} for s in result.steps]
            log = pa.Table.from_pylist(rows, schema=TRAINING_LOG)
            write_table(self.workspace, RecordKind.TRAINING_LOG, f"{cell_id}-{job.attempt}", log)
        trained = result or TrainResult()
        write_document(
            self.workspace,
            RecordKind.RUN,
            f"{cell_id}-{job.attempt}",
            RunRecord(
                cell_id=cell_id,
                attempt=job.attempt,
                status=RunStatus.DONE,
                started_at=started_at,
                finished_at=datetime.now(UTC),
                git_commit=self._git_commit,
                environment=self._environment | {"scoring": scorer.settings},
                data_hash=job.dataset_hash,
                checkpoint_rule=job.training.checkpoint_rule if job.training else None,
                checkpoint_step=trained.checkpoint_step if result else None,
                n_optimizer_steps=len(trained.steps),
                n_epochs=trained.n_epochs,
                n_tokens=trained.n_tokens,
                n_target_tokens=trained.n_target_tokens,
                n_truncated=trained.n_truncated,
                train_loss=trained.steps[-1].loss if trained.steps else None,
                validation_loss=trained.validation_loss,
                train_seconds=trained.seconds,
                score_seconds=score_seconds,
                wall_seconds=time.perf_counter() - began,
                peak_memory_bytes=peak_memory_bytes(),
            ),
        )

    def _write_once(self, kind: RecordKind, stem: str, table: pa.Table) -> None:
        if not (self.workspace.landing / kind.value / f"{stem}.parquet").exists():
            write_table(self.workspace, kind, stem, table)


def _load(folder: Path, job: Job) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    dtype = _DTYPES[job.training.dtype if job.training else job.cell.training["dtype"]]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    if torch.cuda.is_available():
        model = model.to(torch.device("cuda", int(os.environ["LOCAL_RANK"])))
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def _read_result(checkpoint: Path) -> TrainResult:
    document = json.loads((checkpoint / RESULT_FILE).read_text("utf-8"))
    steps = [Step(**step) for step in document.pop("steps")]
    return TrainResult(steps=steps, **document)


def main() -> None:
    """Serve jobs from standard input until it closes."""
    # Libraries print to standard output; events get a pipe of their own.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start_deepspeed(os.environ["DS_ACCELERATOR"])
    worker = Worker(Workspace(root=Path(sys.argv[1])), events)
    worker.report(Event(kind="ready"))
    for line in sys.stdin:
        worker.run(Job.model_validate_json(line))


if __name__ == "__main__":
    main()
