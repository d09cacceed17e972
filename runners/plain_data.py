"""The plain data set: short questions in everyday English whose answers can be checked.

``write_plain_data`` writes a folder in the format of :mod:`runners.demo_data`: a curated pool and
test sets with right answers, the questions that a teacher is asked, and a synthetic pool of these
questions with the answers of the teacher, SmolLM2-135M after fine-tuning on a little curated data.
Those lie in ``runners/plain_answers.json.gz`` with the manifest of their making; how to make them
again is told in ``docs/studies/smollm2/README.md``.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from runners.demo_abilities import Question
from runners.demo_data import StaleTeacherAnswersError, questions_digest, to_item
from runners.doit_format import MANIFEST_FILE
from runners.plain_abilities import PLAIN_EXAM_WRITERS, PLAIN_WRITERS, PlainWriter

N_POOL = 160
N_SYNTHETIC = 128
N_TEST = 60
"""Of an ability or exam."""

ANSWERS_FILE = Path(__file__).parent / "plain_answers.json.gz"


def _draw(
    writer: PlainWriter, split: str, count: int, rng: random.Random, taken: set[str]
) -> list[Question]:
    """Draw questions whose texts are new, and add the texts to those taken."""
    questions: list[Question] = []
    for _ in range(100 * count):
        if len(questions) == count:
            return questions
        question = writer(rng, split)
        if question.turns[0] not in taken:
            taken.add(question.turns[0])
            questions.append(question)
    raise ValueError(
        f"{writer.__name__} gave only {len(questions)} different questions of {count}: "
        "widen its wording or ask for fewer"
    )


def synthetic_questions() -> dict[str, list[Question]]:
    """Return the questions that the teacher answers, the same for every seed."""
    return {
        ability: _draw(writer, "train", N_SYNTHETIC, random.Random(f"teacher {ability}"), set())
        for ability, writer in PLAIN_WRITERS.items()
    }


def curated_questions(seed: int) -> dict[str, dict[str, list[Question]]]:
    """Return the curated questions, none of them one of the teacher's.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict of str to dict of str to list of Question
        For "test" and "full" the questions of each ability, none twice; "test" also holds the
        exams. Words and facts of test questions are asked for in no other.
    """
    sets: dict[str, dict[str, list[Question]]] = {"test": {}, "full": {}}
    synthetic = synthetic_questions()
    for ability, writer in PLAIN_WRITERS.items():
        rng = random.Random(f"plain {ability} {seed}")
        taken = {question.turns[0] for question in synthetic[ability]}
        sets["test"][ability] = _draw(writer, "test", N_TEST, rng, taken)
        sets["full"][ability] = _draw(writer, "train", N_POOL, rng, taken)
    for exam, writer in PLAIN_EXAM_WRITERS.items():
        rng = random.Random(f"plain {exam} {seed}")
        sets["test"][exam] = _draw(writer, "test", N_TEST, rng, set())
    return sets


def teacher_questions() -> tuple[dict[str, list[Question]], object] | None:
    """Return the questions with the teacher's answers, and how these were made.

    Returns
    -------
    tuple of (dict of str to list of Question, JSON document) or None
        Questions that the teacher gave no answer to are left out. None if none are stored.

    Raises
    ------
    StaleTeacherAnswersError
        If the stored answers belong to other questions than today's.
    """
    if not ANSWERS_FILE.exists():
        return None
    asked = synthetic_questions()
    stored = json.loads(gzip.decompress(ANSWERS_FILE.read_bytes()))
    if stored["questions_sha256"] != questions_digest(asked):
        raise StaleTeacherAnswersError(
            f"{ANSWERS_FILE} answers other questions than the generator now asks: make it anew as "
            "docs/studies/smollm2/README.md tells"
        )
    answered = {
        ability: [
            replace(question, answer=answer)
            for question, answer in zip(questions, stored["answers"][ability], strict=True)
            if answer is not None
        ]
        for ability, questions in asked.items()
    }
    return answered, stored["provenance"]


def write_plain_data(root: Path, *, seed: int = 0) -> None:
    """Write the plain data folder.

    Parameters
    ----------
    root : Path
        Made if it does not exist. ``curated/full``, ``curated/test``, ``questions/full`` (what
        the teacher is asked) and, where its answers are stored, ``synthetic/full`` receive one
        ``<ability>_plain.json`` for each ability, ``curated/test`` also one for each exam.
    seed : int
        Draws the curated questions; the same seed gives the same bytes. The teacher's do not
        depend on it.

    Raises
    ------
    StaleTeacherAnswersError
        If the stored answers belong to other questions than today's.
    """
    for name, questions in curated_questions(seed).items():
        _write_folder(root / "curated" / name, questions)
    _write_folder(root / "questions" / "full", synthetic_questions())
    if (made := teacher_questions()) is not None:
        answered, provenance = made
        _write_folder(root / "synthetic" / "full", answered)
        # How it was made is part of what a grid draws from it (`sft_data.read_provenance`).
        manifest = json.dumps({"provenance": provenance}, indent=1)
        (root / "synthetic" / "full" / MANIFEST_FILE).write_text(manifest, encoding="ascii")


def _write_folder(folder: Path, by_type: Mapping[str, Sequence[Question]]) -> None:
    """Write one file for each ability or exam."""
    folder.mkdir(parents=True, exist_ok=True)
    for item_type, questions in by_type.items():
        lines = "".join(json.dumps(to_item(one, item_type)) + "\n" for one in questions)
        (folder / f"{item_type}_plain.json").write_text(lines, encoding="ascii")
