"""Let the teacher answer the synthetic questions: ``python -m runners.ladder.teach``.

The teacher is the ladder's smallest model, fine-tuned on a few curated examples of each ability. It
chooses where a question lists what may be answered (the likeliest option or letter) and *writes*
every other answer itself, word by word: open-ended replies too. Nothing is checked or corrected.
Answers are stored with a hash of the questions in ``teacher_answers.json.gz``. It takes about a
minute.
"""

from __future__ import annotations

import gzip
import json
import random

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

from runners.demo_abilities import LETTERS, Question
from runners.demo_data import (
    TEACHER_ANSWERS,
    curated_questions,
    questions_digest,
    synthetic_questions,
)
from runners.ladder.shapes import LADDER, LADDER_FOLDER

N_EXAMPLES = 64
"""Curated examples of each ability that the teacher is fine-tuned on."""
N_EPOCHS = 4
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
MAX_NEW_TOKENS = 14
IGNORED = -100


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


@torch.no_grad()
def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, question: Question) -> str:
    """The model's answer: the likeliest option where options are listed, else what it writes."""
    prompt = tokenizer(prompt_of(question), return_tensors="pt").input_ids
    options = question.options or (LETTERS if question.rule == "single_choice" else ())
    if options:
        logits = model(input_ids=prompt).logits[0, -1]
        return max(options, key=lambda option: logits[tokenizer(option).input_ids[0]].item())
    written = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        min_new_tokens=1,
        max_new_tokens=MAX_NEW_TOKENS,
        bad_words_ids=[[token] for token in tokenizer.convert_tokens_to_ids(["<user>", "<pad>"])],
    )
    return tokenizer.decode(written[0, prompt.shape[1] :], skip_special_tokens=True)


def main() -> None:
    """Fine-tune the teacher, let it answer, and store its answers."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = LADDER_FOLDER / LADDER[0].name
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    curated = curated_questions(seed=0)["full"]
    fine_tune(model, tokenizer, [one for some in curated.values() for one in some[:N_EXAMPLES]])
    questions = synthetic_questions()
    answers = {}
    for ability, some in questions.items():
        answers[ability] = [answer(model, tokenizer, question) for question in some]
        wrong = sum(
            given != question.answer for given, question in zip(answers[ability], some, strict=True)
        )
        print(f"{ability}: {wrong / len(some):.0%} differ from the right answer", flush=True)
    stored = {"questions_sha256": questions_digest(questions), "answers": answers}
    # mtime=0 keeps the file's bytes a function of its content.
    TEACHER_ANSWERS.write_bytes(gzip.compress(json.dumps(stored).encode(), mtime=0))


if __name__ == "__main__":
    main()
