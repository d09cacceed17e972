"""Store a teacher's answers to the plain questions: ``python -m runners.plain_teach FOLDER``.

FOLDER is what ``python cli.py synthesize`` wrote for the plain data's ``questions/full``. The
answers go to ``plain_answers.json.gz`` with their provenance, right or wrong; a question that
``synthesize`` left out has none. How many are wrong is printed for each ability.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from runners.demo_data import questions_digest
from runners.doit_format import MANIFEST_FILE, read_doit_folder
from runners.plain_data import ANSWERS_FILE, synthetic_questions
from warehouse.errors import GrowthpaceError, InputError


def read_answers(folder: Path) -> dict[str, list[str | None]]:
    """Return the answers of a folder to today's questions, in their order; None where it has none.

    Raises
    ------
    InputError
        If the folder can't be read or holds other questions.
    """
    made = read_doit_folder(folder, scored=False)
    asked = synthetic_questions()
    answers: dict[str, list[str | None]] = {}
    for ability, questions in asked.items():
        given = {item.turns[0].content: item.gold for item in made.get(ability, ())}
        answers[ability] = [given.pop(question.turns[0], None) for question in questions]
        if given:
            raise InputError(
                f"{folder}: {ability} holds other questions than the generator asks, such as "
                f"{next(iter(given))!r:.80}; answer those of questions/full."
            )
    return answers


def store_answers(folder: Path, target: Path = ANSWERS_FILE) -> dict[str, tuple[int, int]]:
    """Store a folder's answers; return for each ability (answers, wrong ones among them).

    Raises
    ------
    InputError
        As `read_answers` does, or if the folder has no manifest.
    """
    answers, asked = read_answers(folder), synthetic_questions()
    manifest = folder / MANIFEST_FILE
    if not manifest.is_file():
        raise InputError(f"{folder} has no {MANIFEST_FILE}; run synthesize again until it is done.")
    stored = {
        "questions_sha256": questions_digest(asked),
        "provenance": json.loads(manifest.read_text("utf-8"))["provenance"],
        "answers": answers,
    }
    # mtime=0 keeps the file's bytes a function of its content.
    target.write_bytes(gzip.compress(json.dumps(stored).encode(), mtime=0))
    return {
        ability: (
            sum(answer is not None for answer in answers[ability]),
            sum(
                answer not in (None, question.answer)
                for question, answer in zip(asked[ability], answers[ability], strict=True)
            ),
        )
        for ability in asked
    }


def main() -> None:
    """Store the answers and say how many are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what synthesize wrote")
    try:
        counts = store_answers(parser.parse_args().folder)
    except GrowthpaceError as error:
        parser.exit(error.exit_code, f"Error: {error}\n")
    for ability, (n_answers, n_wrong) in counts.items():
        print(f"{ability}: {n_answers} answers, {n_wrong} of them wrong")


if __name__ == "__main__":
    main()
