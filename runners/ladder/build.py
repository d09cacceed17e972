"""Build the ladder's base models: ``python -m runners.ladder.build``.

Makes the tokenizer, pre-trains the three models on generated text, two at a time with one thread
each, and writes a Hugging Face folder for each, weights in float16. It takes about seven minutes on
two cores. Afterwards the teacher's answers must be made anew: ``python -m runners.ladder.teach``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from runners.ladder.pretrain import pretrain
from runners.ladder.shapes import LADDER, LADDER_FOLDER, shape_named
from runners.ladder.tokenizer import build_tokenizer, vocabulary


def build_model(name: str, folder: Path) -> None:
    """Pre-train one model of the ladder and save it with its tokenizer.

    Parameters
    ----------
    name : str
        One of the ladder's names.
    folder : Path
        Parent of the folder written.
    """
    words, n_pretrained = vocabulary()
    model = pretrain(shape_named(name), words, n_pretrained)
    model.to(torch.float16).save_pretrained(folder / name)
    build_tokenizer(words).save_pretrained(folder / name)


def build_all(folder: Path) -> None:
    """Pre-train every model, the largest beside the others, in processes of one thread each."""
    *smaller, largest = [shape.name for shape in LADDER]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [
        [sys.executable, "-m", "runners.ladder.build", "--folder", str(folder), "--models", *names]
        for names in ([largest], smaller)
    ]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    if any([process.wait() for process in processes]):
        raise SystemExit("the ladder is incomplete: a model's process failed, see above")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=[shape.name for shape in LADDER])
    parser.add_argument("--folder", type=Path, default=LADDER_FOLDER)
    arguments = parser.parse_args()
    if not arguments.models:
        build_all(arguments.folder)
        return
    torch.set_num_threads(1)
    for name in arguments.models:
        build_model(name, arguments.folder)


if __name__ == "__main__":
    main()
