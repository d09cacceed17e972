"""Run by tests in processes of their own: real DeepSpeed on tiny models.

    deepspeed_script.py gradients OUTPUT
    deepspeed_script.py train OUTPUT SETTINGS_JSON MODEL_FOLDER [RESUME_FOLDER KILL_AT_STEP]

`gradients` goes through all families; `train` takes a list of settings for one training each.

RANK, WORLD_SIZE and MASTER_PORT come from the environment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from families import FAMILIES, examples, tiny_model

from runners.doit_format import Item
from runners.engine import start_deepspeed
from runners.grid_spec import TrainingSpec
from runners.template import TEMPLATES, Turn
from runners.train import train
from runners.train_steps import TrainingLoop

WORDS = [f"w{index}" for index in range(60)]
COLOURS = ["red", "blue", "green", "black"]


def gradients(family: str) -> dict:
    """Return the full gradients of one global batch of 8, cut up in several ways."""
    from deepspeed.utils import safe_get_full_grad

    batch = examples(8)
    variants = {
        "1x8": {"micro_batch_size": 8},
        "8x1": {"micro_batch_size": 1},
        "3 at once, ZeRO 1": {"micro_batch_size": 3, "zero_stage": 1},
        "8x1, ZeRO 3": {"micro_batch_size": 1, "zero_stage": 3},
        "packed": {"packing": True, "packed_length": 48},
        "packed 1 at once": {"packing": True, "packed_length": 48, "micro_batch_size": 1},
        "checkpointed": {"gradient_checkpointing": True},
    }
    found = {}
    for name, changes in variants.items():
        settings = {"epochs": 1, "batch_size": 8, "max_length": 32, "dtype": "fp32"}
        settings |= {"zero_stage": 2, "offload": "none"} | changes
        loop = TrainingLoop(tiny_model(family), TrainingSpec(**settings), 0, 1)
        loss = loop.accumulate(batch, 1)
        found[name] = {
            "loss": loss,
            "gradient": torch.cat(
                [safe_get_full_grad(p).flatten() for p in loop.engine.module.parameters()]
            ),
        }
        loop.engine.destroy()
    return found


def questions(n: int) -> list[Item]:
    """Return made-up questions of differing lengths."""
    rng = random.Random(1)
    items = []
    for _ in range(n):
        words = rng.choices(WORDS, k=rng.randint(3, 12))
        turns = (
            Turn(role="user", content=" ".join(words)),
            Turn(role="assistant", content=rng.choice(COLOURS)),
        )
        items.append(Item(turns=turns, ability="code", question_format=0))
    return items


def run_training(
    settings: dict, model_folder: Path, save_to: Path, resume: Path | None, kill_at: int
) -> dict:
    """Train and return what came of it, unless killed by KILL_AT_STEP."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    dropout = settings.pop("attention_dropout", 0.0)
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = dropout
    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    def progress(step: int, n_steps: int) -> None:
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    base = {"epochs": 4, "batch_size": 6, "learning_rate": 3e-3, "dtype": "fp32"}
    base |= {"zero_stage": 2, "offload": "none"}
    result = train(
        model,
        tokenizer,
        TEMPLATES["doit"],
        questions(20),
        TrainingSpec(**base | settings),
        0,
        validation=questions(5),
        progress=progress,
        resume_folder=resume,
        save_to=save_to,
        save_resume_every_seconds=0.0,
    )
    return {"result": result.to_dict(), "weights": model.state_dict()}


def main() -> None:
    """Do what the arguments say; rank 0 saves."""
    torch.set_num_threads(1)
    start_deepspeed("cpu")
    output = Path(sys.argv[2])
    if sys.argv[1] == "gradients":
        done = {family: gradients(family) for family in FAMILIES}
    else:
        settings, folder, *rest = sys.argv[3:]
        resume = Path(rest[0]) if rest else None
        kill_at = int(rest[1]) if len(rest) > 1 else 0
        save_to = output.with_suffix(".model")
        done = [
            run_training(one, Path(folder), save_to, resume, kill_at)
            for one in json.loads(settings)
        ]
    if int(os.environ["RANK"]) == 0:
        torch.save(done, output)


if __name__ == "__main__":
    main()
