"""The demonstration's data sets, in the format of the paper's DoIT data.

``write_demo_data`` writes a folder of JSON-lines files: a human-curated pool, valid and test sets
whose answers were worked out by program, and a synthetic pool of other questions of the same kinds
that a *teacher model* of the ladder answered, mistakes included. It needs no model: the teacher's
answers lie in ``runners/ladder/teacher_answers.json.gz`` (see :mod:`runners.ladder.teach`).
Everything is a demonstration on generated data.

Each line holds ``messages``, ``type`` (the ability or exam), ``question_format`` (0 exact, 1
open-ended) and ``scoring_rule``:

``option_text``
    Right when the gold option is the likeliest of ``options`` (each is one token).
``single_choice``
    Right when the gold letter is the likeliest of A to D.
``multi_choice``
    Right when the last line of the reply holds exactly the gold letters.
``true_false``, ``cloze``
    Right when the reply is the gold text.
``math``
    Right when the reply is numerically the item's ``answer``.
``open_ended``
    Right when the first of the three ``choices`` has the lowest mean token loss.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path

from runners.demo_abilities import ABILITY_WRITERS, EXAM_WRITERS, Question, Writer
from runners.demo_world import build_world

DEMO_ABILITIES = tuple(ABILITY_WRITERS)
DEMO_EXAMS = tuple(EXAM_WRITERS)

N_POOL = 2560
N_SYNTHETIC = 640
N_VALID = 100
N_TEST = 200
N_TEST_LONG = {"reasoning": 1000}
"""Larger test sets where a growth below five points must be told from none."""
N_EXAM = 150
N_SHOTS = 3
"""Worked examples before each exam question, as earlier turns of the conversation."""

SYNTHETIC_SEED = 1
"""The synthetic questions are the same for every seed: the teacher has answered these."""
TEACHER_ANSWERS = Path(__file__).parent / "ladder" / "teacher_answers.json.gz"
REBUILD_TEACHER = "python -m runners.ladder.teach"


class StaleTeacherAnswersError(RuntimeError):
    """The stored teacher answers are missing or belong to other questions."""


def draw_questions(
    writer: Writer,
    split: str,
    count: int,
    rng: random.Random,
    taken: set[tuple[str, ...]],
) -> list[Question]:
    """Draw questions whose texts are new, and add the texts to those taken.

    Parameters
    ----------
    writer : callable
        Draws one question from a random state, the world and a split.
    split : {"quiz", "train", "test"}
        Which entities the questions may be about.
    count : int, count >= 0
        How many questions.
    rng : random.Random
    taken : set of tuple of str
        Conversations already used; extended in place.

    Returns
    -------
    list of Question

    Raises
    ------
    ValueError
        If the writer seems unable to give that many different questions.
    """
    world = build_world()
    questions: list[Question] = []
    for _ in range(50 * count):
        if len(questions) == count:
            break
        question = writer(rng, world, split)
        if question.turns not in taken:
            taken.add(question.turns)
            questions.append(question)
    if len(questions) < count:
        raise ValueError(
            f"{writer.__name__} gave only {len(questions)} different questions of {count}: "
            "widen its wording or ask for fewer"
        )
    return questions


def synthetic_questions() -> dict[str, list[Question]]:
    """The questions that the teacher answers: for each ability the same `N_SYNTHETIC` always.

    Returns
    -------
    dict of str to list of Question
        With their right answers, which the teacher does not see.
    """
    questions = {}
    for ability, writer in ABILITY_WRITERS.items():
        rng = random.Random(f"synthetic {ability} {SYNTHETIC_SEED}")
        questions[ability] = draw_questions(writer, "train", N_SYNTHETIC, rng, set())
    return questions


def curated_questions(seed: int) -> dict[str, dict[str, list[Question]]]:
    """The human-curated questions of a seed, none of them a synthetic one.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict of str to dict of str to list of Question
        For "test", "full" and "valid" (in this order) the questions of each ability, no
        conversation twice. "test" also holds the exams. Where questions are about entities, those
        of "test" are about other entities than those of "full" and "valid".
    """
    synthetic = synthetic_questions()
    sets: dict[str, dict[str, list[Question]]] = {"test": {}, "full": {}, "valid": {}}
    for ability, writer in ABILITY_WRITERS.items():
        taken = {question.turns for question in synthetic[ability]}
        rng = random.Random(f"curated {ability} {seed}")
        n_test = N_TEST_LONG.get(ability, N_TEST)
        sets["test"][ability] = draw_questions(writer, "test", n_test, rng, taken)
        sets["full"][ability] = draw_questions(writer, "train", N_POOL, rng, taken)
        sets["valid"][ability] = draw_questions(writer, "train", N_VALID, rng, taken)
    for exam, writer in EXAM_WRITERS.items():
        sets["test"][exam] = _exam_questions(writer, random.Random(f"exam {exam} {seed}"))
    return sets


def _exam_questions(writer: Writer, rng: random.Random) -> list[Question]:
    """Exam questions, each preceded by the same worked examples about quiz entities."""
    taken: set[tuple[str, ...]] = set()
    shots = draw_questions(writer, "quiz", N_SHOTS, rng, taken)
    before = tuple(text for shot in shots for text in (*shot.turns, shot.answer))
    return [
        Question((*before, *question.turns), question.answer, question.rule, question.options)
        for question in draw_questions(writer, "test", N_EXAM, rng, taken)
    ]


def to_item(question: Question, item_type: str) -> dict[str, object]:
    """One line of a DoIT-format file.

    Parameters
    ----------
    question : Question
    item_type : str
        The ability or exam.

    Returns
    -------
    dict
        Ready for JSON; keys as described in the module's docstring.
    """
    texts = (*question.turns, question.answer)
    item: dict[str, object] = {
        "messages": [
            {"role": "assistant" if index % 2 else "user", "content": text}
            for index, text in enumerate(texts)
        ],
        "type": item_type,
        "question_format": int(question.rule == "open_ended"),
        "scoring_rule": question.rule,
    }
    if question.rule == "math":
        item["answer"] = question.answer
    if question.rule == "open_ended":
        item["choices"] = [question.answer, *question.wrong]
    if question.options:
        item["options"] = list(question.options)
    return item


def questions_digest(questions: dict[str, list[Question]]) -> str:
    """SHA-256 of all that a teacher is asked, as a hexadecimal string."""
    asked = {
        ability: [[one.turns, one.rule, one.options] for one in some]
        for ability, some in questions.items()
    }
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def teacher_questions() -> dict[str, list[Question]]:
    """The synthetic questions with the stored answers of the teacher in place of the right ones.

    Returns
    -------
    dict of str to list of Question

    Raises
    ------
    StaleTeacherAnswersError
        If there are no stored answers, or they belong to other questions than today's.
    """
    questions = synthetic_questions()
    if not TEACHER_ANSWERS.exists():
        raise StaleTeacherAnswersError(
            f"{TEACHER_ANSWERS} is missing: make it with `{REBUILD_TEACHER}`"
        )
    stored = json.loads(gzip.decompress(TEACHER_ANSWERS.read_bytes()))
    if stored["questions_sha256"] != questions_digest(questions):
        raise StaleTeacherAnswersError(
            f"{TEACHER_ANSWERS} answers other questions than the generator now asks: "
            f"make it anew with `{REBUILD_TEACHER}`"
        )
    return {
        ability: [
            _answered(question, answer)
            for question, answer in zip(some, stored["answers"][ability], strict=True)
        ]
        for ability, some in questions.items()
    }


def _answered(question: Question, answer: str) -> Question:
    """The question with the teacher's answer as its gold one."""
    wrong = tuple(text for text in (*question.wrong, question.answer) if text != answer)[:2]
    if question.rule != "open_ended":
        wrong = ()
    return Question(question.turns, answer, question.rule, question.options, wrong)


def write_demo_data(root: Path, *, seed: int = 0) -> None:
    """Write the demonstration's data folder.

    Parameters
    ----------
    root : Path
        Made if it does not exist; ``curated/full``, ``curated/valid``, ``curated/test`` and
        ``synthetic/full`` below it receive one ``<ability>_demo.json`` for each ability
        (``curated/test`` also one for each exam). Existing files of these names are replaced.
    seed : int
        Draws the curated questions; the same seed gives the same bytes. The synthetic ones do not
        depend on it.

    Raises
    ------
    StaleTeacherAnswersError
        If the stored teacher answers do not fit the synthetic questions.
    """
    sets = curated_questions(seed)
    folders = {f"curated/{name}": questions for name, questions in sets.items()}
    folders["synthetic/full"] = teacher_questions()
    for folder, by_type in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for item_type, questions in by_type.items():
            lines = [json.dumps(to_item(question, item_type)) for question in questions]
            path = root / folder / f"{item_type}_demo.json"
            path.write_text("\n".join(lines) + "\n", encoding="ascii")
