"""Scoring a checkpoint in a live worker against the `lm_eval` command on the same tasks."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from runners.base_models import LADDER
from runners.bench import Row
from runners.demo_data import write_demo_data
from runners.doit_format import read_doit_folder
from runners.lm_eval_tasks import METRIC, plan_tasks, write_tasks
from runners.score import Scorer
from runners.template import TEMPLATES
from warehouse.errors import WorkError

TARGET = 3
BATCH_SIZE = 64
_REPOSITORY = Path(__file__).resolve().parent.parent

Answers = dict[tuple[str, str], float]
"""Scores by task and item."""


@dataclass(frozen=True, kw_only=True)
class ScoringRace:
    """Seconds from a checkpoint on disk to the scores of its items.

    Attributes
    ----------
    first_seconds : float
        Of the live worker's first checkpoint, for which it also prepares the tasks.
    live_seconds, command_seconds : tuple of float, shape (n_rounds,)
        Of the same checkpoint, in turn.
    """

    model: str
    n_tasks: int
    n_items: int
    first_seconds: float
    live_seconds: tuple[float, ...]
    command_seconds: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over the rounds of the command's time over the live worker's."""
        pairs = zip(self.command_seconds, self.live_seconds, strict=True)
        return statistics.median(command / live for command, live in pairs)

    def rows(self) -> list[Row]:
        """Return the figures for docs/benchmarks.md."""
        return [
            ("checkpoint and items", f"{self.model}, {self.n_items} of {self.n_tasks} tasks", ""),
            ("rounds", f"{len(self.live_seconds)}, the same answer to every item", ""),
            (
                "the `lm_eval` command, once for all tasks, median",
                f"{statistics.median(self.command_seconds):.1f} s",
                "",
            ),
            ("a live worker, median", f"{statistics.median(self.live_seconds):.1f} s", ""),
            (
                "its first checkpoint, with the tasks to prepare (imports left out)",
                f"{self.first_seconds:.1f} s",
                "",
            ),
            (
                "the command against the live worker",
                f"{self.ratio:.1f}x",
                f"at least {TARGET}x",
            ),
        ]


def race_scoring(model: str, n_items: int, n_rounds: int) -> ScoringRace:
    """Score one checkpoint both ways, in turn.

    Parameters
    ----------
    model : str
        A shipped model of the ladder.
    n_items : int
        Test items of each of the demonstration's abilities.

    Raises
    ------
    WorkError
        If the command fails, or the two ways disagree about an item.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checkpoint = _prepare_checkpoint(model, folder / "checkpoint")
        write_demo_data(folder / "data", seed=0)
        test = read_doit_folder(folder / "data" / "curated" / "test")
        items = {ability: group[:n_items] for ability, group in test.items()}
        tasks = plan_tasks(item for group in items.values() for item in group)
        names = [task.name for task in tasks]
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        write_tasks(folder / "tasks", tasks, TEMPLATES["doit"], tokenizer)
        began = time.perf_counter()
        scorer = Scorer(
            items, template=TEMPLATES["doit"], tokenizer=tokenizer, batch_size=BATCH_SIZE
        )
        _score_live(scorer, checkpoint)
        first_seconds = time.perf_counter() - began
        live, command = [], []
        for round_ in range(n_rounds):
            began = time.perf_counter()
            ours = _score_live(scorer, checkpoint)
            live.append(time.perf_counter() - began)
            began = time.perf_counter()
            _run_command(checkpoint, folder / "tasks", names, folder / f"out-{round_}")
            command.append(time.perf_counter() - began)
            _check_equal(ours, _read_answers(folder / f"out-{round_}"))
    return ScoringRace(
        model=model,
        n_tasks=len(tasks),
        n_items=sum(len(task.items) for task in tasks),
        first_seconds=first_seconds,
        live_seconds=tuple(live),
        command_seconds=tuple(command),
    )


def _prepare_checkpoint(model: str, folder: Path) -> Path:
    """Write a base model with the template's tokens, as a worker saves checkpoints."""
    torch.manual_seed(0)
    weights = AutoModelForCausalLM.from_pretrained(LADDER / model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(LADDER / model)
    TEMPLATES["doit"].prepare(tokenizer, weights)
    weights.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _score_live(scorer: Scorer, checkpoint: Path) -> Answers:
    """Load and score a checkpoint as a worker does."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    table = scorer.score(model, AutoTokenizer.from_pretrained(checkpoint), cell_id="checkpoint")
    return {(row["task"], row["item_id"]): row["score"] for row in table.to_pylist()}


def _run_command(checkpoint: Path, tasks: Path, names: Sequence[str], out: Path) -> None:
    """Score a checkpoint with lm-eval's own command."""
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"),
        *("--model_args", f"pretrained={checkpoint},dtype=float32"),
        *("--tasks", ",".join(names), "--include_path", str(tasks)),
        *("--batch_size", str(BATCH_SIZE), "--log_samples", "--output_path", str(out)),
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(_REPOSITORY)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=_REPOSITORY, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise WorkError(f"The lm_eval command failed: {last[0]}")


def _read_answers(out: Path) -> Answers:
    """Read the scores from the samples that the command wrote."""
    answers: Answers = {}
    for path in out.rglob("samples_*.jsonl"):
        task = path.name.removeprefix("samples_").rpartition("_")[0]
        for line in path.read_text("utf-8").splitlines():
            sample: dict[str, Any] = json.loads(line)
            answers[task, sample["doc"]["item_id"]] = float(sample[METRIC])
    return answers


def _check_equal(ours: Mapping[tuple[str, str], float], theirs: Answers) -> None:
    """Raise WorkError unless both ways gave every item the same score."""
    different = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    if different:
        raise WorkError(
            f"{len(different)} of {len(ours)} items got another score from the lm_eval command, "
            f"first {min(different)}."
        )
