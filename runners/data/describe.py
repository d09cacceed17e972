"""`data describe`: what a folder of instruction data is made of.

Lengths are in characters and in words (characters of Chinese and Japanese, which set no spaces;
see `leak_check`). Languages are told by script alone: Chinese, Japanese and Korean have their own,
but one alphabet serves many languages, so a text in it counts under the alphabet's name.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from runners.doit_format import Item, find_doit_folders, read_doit_folder
from runners.leak_check import words_of

MIXED, NO_LETTERS = "mixed", "no letters"
MIN_SHARE = 0.8
"""Share of a text's letters that one script must have, else the text is `mixed`."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of some texts: all together, the middle one, the 95th percentile, the longest."""

    total: int
    median: float
    p95: float
    longest: int


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Items of one folder and ability.

    Attributes
    ----------
    n_turns : float
        Mean number of messages.
    question_characters, answer_characters, words : Lengths
        Of all messages before the answer; of the answer; of the whole conversation.
    languages : dict of str to int
        Items by language or script, the commonest first.
    """

    folder: str
    ability: str
    n_items: int
    n_turns: float
    question_characters: Lengths
    answer_characters: Lengths
    words: Lengths
    languages: dict[str, int]


def describe_folder(root: Path | str) -> list[Composition]:
    """Return the composition of every folder of data at or below `root`, by ability.

    Raises
    ------
    InputError
        If there is no data, or a line is bad.
    """
    root = Path(root)
    training, evaluation = find_doit_folders(root)
    return [
        _describe(str(folder.relative_to(root)), ability, items)
        for folder in sorted([*training, *evaluation])
        for ability, items in read_doit_folder(folder, scored=False).items()
    ]


def _describe(folder: str, ability: str, items: Sequence[Item]) -> Composition:
    """Return the composition of some items."""
    texts = ["\n".join(turn.content for turn in item.turns) for item in items]
    return Composition(
        folder=folder,
        ability=ability,
        n_items=len(items),
        n_turns=round(float(np.mean([len(item.turns) for item in items])), 2),
        question_characters=_lengths(
            [sum(len(turn.content) for turn in item.prompt_turns) for item in items]
        ),
        answer_characters=_lengths([len(item.turns[-1].content) for item in items]),
        words=_lengths([len(words_of(text)) for text in texts]),
        languages=dict(Counter(language_of(text) for text in texts).most_common()),
    )


def _lengths(values: Sequence[int]) -> Lengths:
    """Sum up some lengths."""
    return Lengths(
        total=sum(values),
        median=float(np.median(values)),
        p95=float(np.quantile(values, 0.95)),
        longest=max(values),
    )


def language_of(text: str) -> str:
    """Return a text's language where its script tells, else the script.

    Returns
    -------
    str
        "Chinese", "Japanese" (any kana), "Korean", the script in lower case such as "latin",
        "mixed" if no script has 80% of the letters, "no letters".
    """
    scripts = Counter(_script(character) for character in text if character.isalpha())
    n_letters = sum(scripts.values())
    if not n_letters:
        return NO_LETTERS
    japanese = scripts["hiragana"] + scripts["katakana"]
    east_asian = scripts["cjk"] + japanese
    if east_asian / n_letters >= MIN_SHARE:
        # Kanji and kana alternate in Japanese; a single kana in a Chinese text is a quotation.
        return "Japanese" if japanese / east_asian >= 0.1 else "Chinese"
    script, n = scripts.most_common(1)[0]
    if n / n_letters < MIN_SHARE:
        return MIXED
    return "Korean" if script == "hangul" else script


@lru_cache(maxsize=65536)
def _script(character: str) -> str:
    """Return the script of a letter, the first word of its Unicode name."""
    return unicodedata.name(character, "unknown").split(" ", 1)[0].split("-")[0].lower()


def composition_document(found: Sequence[Composition]) -> dict[str, object]:
    """A description as `--json` prints it."""
    return {
        "n_items": sum(part.n_items for part in found),
        "parts": [asdict(part) for part in found],
    }
