"""Let the teacher answer the synthetic questions: ``python -m runners.ladder.teach``.

The teacher is the ladder's smallest model, fine-tuned on a few curated examples of each ability.
What it answers is made by ``synthesize`` (mode ``answers``), as any synthetic data is: it chooses
where a question lists what may be answered (the likeliest option or letter) and *writes* every
other answer itself, word by word: open-ended replies too. Nothing is checked or corrected, and
questions of one template stay. Answers are stored with provenance and a hash of the questions
in ``teacher_answers.json.gz``. It takes about a minute. With ``--folder`` the teacher, the
questions and the data stay, and ``python cli.py synthesize`` makes the same data from them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

from runners.base_models import resolve_base_model
from runners.demo_abilities import LETTERS, Question
from runners.demo_data import (
    TEACHER_ANSWERS,
    curated_questions,
    questions_digest,
    synthetic_questions,
    to_item,
)
from runners.doit_format import read_doit_folder
from runners.grid_spec import BaseModelSpec
from runners.ladder.shapes import LADDER, LADDER_FOLDER
from runners.synthesize.run import Synthesis, read_seeds, synthesize
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import LocalTeacher

N_EXAMPLES = 64
"""Curated examples of each ability that the teacher is fine-tuned on."""
N_EPOCHS = 4
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
IGNORED = -100

SPEC = SynthesisSpec(mode=Mode.ANSWERS, max_new_tokens=14, max_similarity=1.0, keep_cut_off=True)


def prompt_of(question: Question) -> str:
    """The conversation up to the answer, in the demonstration's template."""
    roles = ("<user>", "<assistant>")
    turns = [f"{roles[index % 2]} {text} <eot>" for index, text in enumerate(question.turns)]
    return " ".join([*turns, "<assistant>"])


def fine_tune(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, questions: list[Question]
) -> None:
    """Fine-tune in place, loss on the answers only, learning rate falling to zero."""
    rows = []
    for question in questions:
        prompt = tokenizer(prompt_of(question)).input_ids
        answer = tokenizer(f"{question.answer} <eot>").input_ids
        rows.append((prompt + answer, [IGNORED] * len(prompt) + answer))
    rng = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95))
    n_steps = N_EPOCHS * -(-len(rows) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / n_steps)
    model.train()
    for _ in range(N_EPOCHS):
        rng.shuffle(rows)
        for first in range(0, len(rows), BATCH_SIZE):
            batch = rows[first : first + BATCH_SIZE]
            width = max(len(ids) for ids, _ in batch)
            pad = tokenizer.pad_token_id
            ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch])
            labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in batch])
            logits = model(input_ids=ids, use_cache=False).logits
            loss = cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def write_questions(folder: Path, questions: dict[str, list[Question]]) -> None:
    """Write the questions as seeds; single choice lists its letters, which the teacher chooses of.

    Their right answers are there, since the format wants one; no teacher sees them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for ability, some in questions.items():
        lines = []
        for question in some:
            options = LETTERS if question.rule == "single_choice" else question.options
            document = to_item(question, ability) | {"options": list(options)}
            lines.append(json.dumps(document) + "\n")
        (folder / f"{ability}_questions.jsonl").write_text("".join(lines), "ascii")


def save_teacher(folder: Path) -> None:
    """Fine-tune the teacher and save it as a checkpoint, weights in float32."""
    torch.manual_seed(0)
    source = LADDER_FOLDER / LADDER[0].name
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source)
    curated = curated_questions(seed=0)["full"]
    fine_tune(model, tokenizer, [one for some in curated.values() for one in some[:N_EXAMPLES]])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def let_teacher_answer(teacher: Path, seeds: Path, folder: Path) -> Synthesis:
    """Make the synthetic data: as `synthesize` with the options that `SPEC` and the next line say.

    One question at a time: padding moves likelihoods by rounding errors, which may turn a choice.
    """
    spec = BaseModelSpec(name="teacher", path=str(teacher))
    model = LocalTeacher(resolve_base_model(spec, folder), batch_size=1)
    return synthesize(SPEC, model, read_seeds(seeds, ()), folder)


def main() -> None:
    """Fine-tune the teacher, let it answer, and store its answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep teacher, questions and data here")
    kept = parser.parse_args().folder
    torch.set_num_threads(1)
    questions = synthetic_questions()
    with tempfile.TemporaryDirectory() as scratch:
        place = kept or Path(scratch)
        save_teacher(place / "teacher")
        write_questions(place / "questions", questions)
        made = let_teacher_answer(place / "teacher", place / "questions", place / "data")
        items = read_doit_folder(place / "data", scored=False)
    answers = {ability: [item.gold for item in items[ability]] for ability in questions}
    for ability, some in questions.items():
        wrong = sum(
            given != question.answer for given, question in zip(answers[ability], some, strict=True)
        )
        print(f"{ability}: {wrong / len(some):.0%} differ from the right answer", flush=True)
    stored = {
        "questions_sha256": questions_digest(questions),
        "answers": answers,
        "provenance": made.provenance,
    }
    # mtime=0 keeps the file's bytes a function of its content.
    TEACHER_ANSWERS.write_bytes(gzip.compress(json.dumps(stored).encode(), mtime=0))


if __name__ == "__main__":
    main()
