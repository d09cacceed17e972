"""Benchmark of training: against a plain `transformers.Trainer`, and packed against padded rows.

Each side runs in a live process of its own on the same model and examples, and they take turns, so
that whatever else the machine does meets both alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runners.base_models import LADDER
from runners.grid_spec import DatasetSpec, TrainingSpec
from runners.hardware import detect_hardware
from runners.template import TEMPLATES
from runners.worker_group import ALLOCATION, free_port
from warehouse.errors import WorkError

_REPOSITORY = Path(__file__).resolve().parent.parent
_PER_ABILITY = 64
_SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 7e-4,
    "final_learning_rate": 0.0,
    "weight_decay": 0.0,
    "max_length": 256,
    "dtype": "fp32",
    "zero_stage": 0,
    "offload": "none",
}
TRAINER_TARGET = 0.95
PACKED_TARGET = 1.5


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: `n_tokens` without padding, and the seconds of its steps alone."""

    n_tokens: int
    seconds: float
    padding_share: float | None = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the examples, without padding, by second."""
        return self.n_tokens / self.seconds


@dataclass(frozen=True, kw_only=True)
class TrainingSpeed:
    """Rounds of three trainings each, one after another."""

    model: str
    n_examples: int
    n_cores: int
    trainer: tuple[Run, ...]
    unpacked: tuple[Run, ...]
    packed: tuple[Run, ...]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the table for docs/benchmarks.md."""
        against = ratios(self.unpacked, self.trainer)
        gain = ratios(self.packed, self.unpacked)
        shares = [runs[0].padding_share or 0.0 for runs in (self.unpacked, self.packed)]
        return [
            (
                "training",
                f"{self.model}, {self.n_examples} examples of the demonstration, "
                f"{_SETTINGS['epochs']} epochs, batches of {_SETTINGS['batch_size']}, "
                f"{self.n_cores} core",
                "",
            ),
            ("plain `transformers.Trainer`", _speed(self.trainer), ""),
            ("growthpace, rows of one example", _speed(self.unpacked), ""),
            ("growthpace, packed", _speed(self.packed), ""),
            (
                "rows of one example / Trainer, median of rounds (range)",
                _spread(against),
                f"at least {TRAINER_TARGET}",
            ),
            ("packed / rows of one example", _spread(gain), f"at least {PACKED_TARGET}"),
            (
                "padding share, rows of one example and packed",
                f"{shares[0]:.0%}, {shares[1]:.0%}",
                "",
            ),
        ]


def ratios(fast: Sequence[Run], slow: Sequence[Run]) -> list[float]:
    """Return the speed of one side over the other's in each round."""
    return [
        one.tokens_per_second / other.tokens_per_second
        for one, other in zip(fast, slow, strict=True)
    ]


def _speed(runs: Sequence[Run]) -> str:
    return f"{statistics.median(run.tokens_per_second for run in runs):,.0f} tokens/s"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def measure_training_speed(model: str = "ladder-l", rounds: int = 5) -> TrainingSpeed:
    """Train in turn with both sides, after one training of each to warm up.

    Raises
    ------
    WorkError
        If a side's process ends.
    """
    runs: dict[str, list[Run]] = {"trainer": [], "unpacked": [], "packed": []}
    with tempfile.TemporaryDirectory() as scratch:
        sides = {
            side: subprocess.Popen(
                [sys.executable, "-m", "runners.bench_training", side, model, scratch],
                cwd=_REPOSITORY,
                env=_environment(side),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for side in ("trainer", "deepspeed")
        }
        try:
            for number in range(rounds + 1):
                for name, found in runs.items():
                    side = sides["trainer" if name == "trainer" else "deepspeed"]
                    run = _ask(side, name)
                    if number:
                        found.append(run)
        finally:
            for process in sides.values():
                process.kill()
                process.wait()
    return TrainingSpeed(
        model=model,
        n_examples=10 * _PER_ABILITY,
        n_cores=1,
        **{name: tuple(found) for name, found in runs.items()},
    )


def _environment(side: str) -> dict[str, str]:
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    # The comparison is made on the processor, where both sides do the same arithmetic.
    environment["CUDA_VISIBLE_DEVICES"] = ""
    if side == "deepspeed":
        environment |= ALLOCATION | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return environment


def _ask(process: subprocess.Popen[str], name: str) -> Run:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise WorkError(
            f"The benchmark's {name} side ended with exit code {process.wait()}; is the extra "
            "train installed (pip install -e '.[train]')?"
        )
    return Run(**json.loads(answer))


class _Side:
    """What both sides share: the model's folder, the template and the examples."""

    def __init__(self, model: str, scratch: Path) -> None:
        from transformers import AutoTokenizer

        from runners.doit_format import read_doit_folder
        from runners.sft_data import dataset_folder

        self.folder = LADDER / model
        self.template = TEMPLATES["doit"]
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        data = dataset_folder(DatasetSpec(generator="demo"), _REPOSITORY, scratch)
        pools = read_doit_folder(data / "curated" / "full", scored=False)
        self.items = [item for ability in sorted(pools) for item in pools[ability][:_PER_ABILITY]]

    def fresh_model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        torch.manual_seed(0)
        self.template.prepare(self.tokenizer, model)
        return model

    def train_by_deepspeed(self, *, packing: bool) -> Run:
        from runners.train import train

        training = TrainingSpec(**_SETTINGS, packing=packing)
        result = train(
            self.fresh_model(), self.tokenizer, self.template, self.items, training, seed=0
        )
        return Run(
            n_tokens=result.n_tokens,
            seconds=result.seconds,
            padding_share=result.padding_share,
        )

    def train_by_trainer(self, scratch: Path) -> Run:
        from transformers import (
            DataCollatorForSeq2Seq,
            Trainer,
            TrainerCallback,
            TrainingArguments,
        )

        length = int(_SETTINGS["max_length"])
        encoded = [self.template.encode(self.tokenizer, i.turns, length) for i in self.items]
        times: list[float] = []

        class Clock(TrainerCallback):
            def on_train_begin(self, *_: object, **__: object) -> None:
                times.append(time.perf_counter())

            def on_train_end(self, *_: object, **__: object) -> None:
                times.append(time.perf_counter())

        trainer = Trainer(
            model=self.fresh_model(),
            args=TrainingArguments(
                output_dir=str(scratch / "trainer"),
                num_train_epochs=_SETTINGS["epochs"],
                per_device_train_batch_size=_SETTINGS["batch_size"],
                learning_rate=_SETTINGS["learning_rate"],
                weight_decay=_SETTINGS["weight_decay"],
                adam_beta1=0.9,
                adam_beta2=0.95,
                use_cpu=True,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=[{"input_ids": e.input_ids, "labels": e.labels} for e in encoded],
            data_collator=DataCollatorForSeq2Seq(self.tokenizer),
            callbacks=[Clock],
        )
        trainer.train()
        n_tokens = int(_SETTINGS["epochs"]) * sum(len(e.input_ids) for e in encoded)
        return Run(n_tokens=n_tokens, seconds=times[1] - times[0])


def main() -> None:
    """Serve trainings by name from standard input: trainer, unpacked, packed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)
    kind, model, folder = sys.argv[1:]
    scratch = Path(folder) / kind
    side = _Side(model, scratch)
    if kind == "deepspeed":
        from runners.engine import start_deepspeed

        start_deepspeed(detect_hardware().accelerator)
    for line in sys.stdin:
        name = line.strip()
        if name == "trainer":
            run = side.train_by_trainer(scratch)
        else:
            run = side.train_by_deepspeed(packing=name == "packed")
        answers.write(json.dumps(asdict(run)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
