"""Overlap between training and evaluation items: a leaked item makes growth look like learning.

Three kinds are told apart: the same conversation, the same question (with whatever answer), and,
for longer questions, a large share of the evaluation question's 8-grams found in one training
item. Texts are compared without case, punctuation and spacing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path

from runners.doit_format import Item, read_doit_folder

NGRAM_LENGTH = 8
MIN_NGRAMS = 8
"""Shorter questions share n-grams by their wording alone, so only equality counts for them."""

Ngrams = set[tuple[str, ...]]

# Words of scripts that space them, single characters of those that do not.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


class LeakKind(StrEnum):
    """How two items overlap, the strongest first."""

    CONVERSATION = "conversation"
    QUESTION = "question"
    NGRAMS = "ngrams"


@dataclass(frozen=True, kw_only=True)
class Leak:
    """One evaluation item that a training item gives away.

    Attributes
    ----------
    overlap : float, in (0, 1]
        Share of the evaluation question's n-grams found in the training item; 1 for equality.
    """

    training_item_id: str
    evaluation_item_id: str
    kind: LeakKind
    overlap: float


def find_leaks(
    training: Iterable[Item], evaluation: Iterable[Item], *, min_overlap: float = 0.8
) -> list[Leak]:
    """Return the overlapping pairs, each once under its strongest kind.

    Parameters
    ----------
    training, evaluation : iterable of Item
        Items of any abilities; a question leaks across abilities too.
    min_overlap : float, in (0, 1]
        Smallest share of n-grams that counts. Generated questions of one pattern share their
        fixed wording, so they need a high one.

    Returns
    -------
    list of Leak
        In the order of the training items, then of the evaluation items.

    Notes
    -----
    Of each evaluation question with m n-grams only the m - ceil(min_overlap m) + 1 rarest are
    indexed: a training item that has none of them can't reach the share. This keeps the check
    linear for sets written from templates, whose common n-grams occur in every item.
    """
    items = list({item.item_id: item for item in evaluation}.values())
    index = _EvaluationIndex(items, min_overlap)
    leaks: list[Leak] = []
    for item in {item.item_id: item for item in training}.values():
        for position, (kind, overlap) in sorted(index.matches(item).items()):
            leaks.append(
                Leak(
                    training_item_id=item.item_id,
                    evaluation_item_id=items[position].item_id,
                    kind=kind,
                    overlap=overlap,
                )
            )
    return leaks


def find_leaks_in_folders(
    training_folder: Path | str, evaluation_folder: Path | str, *, min_overlap: float = 0.8
) -> list[Leak]:
    """Return the overlapping pairs of two folders in the DoIT format.

    Raises
    ------
    InputError
        If a folder is missing or a line is bad.
    """
    return find_leaks(
        chain.from_iterable(read_doit_folder(training_folder, scored=False).values()),
        chain.from_iterable(read_doit_folder(evaluation_folder, scored=False).values()),
        min_overlap=min_overlap,
    )


class _EvaluationIndex:
    """Evaluation items by conversation, question and rare n-grams."""

    def __init__(self, items: Sequence[Item], min_overlap: float) -> None:
        self._min_overlap = min_overlap
        self._conversations: dict[str, list[int]] = {}
        self._questions: dict[str, list[int]] = {}
        self._ngrams: list[Ngrams] = []
        for position, item in enumerate(items):
            question, conversation = item_tokens(item)
            self._conversations.setdefault(_joined(conversation), []).append(position)
            self._questions.setdefault(_joined(question), []).append(position)
            ngrams = ngrams_of(question)
            self._ngrams.append(ngrams if len(ngrams) >= MIN_NGRAMS else set())
        frequency = Counter(chain.from_iterable(self._ngrams))
        self._rare: dict[tuple[str, ...], list[int]] = {}
        for position, ngrams in enumerate(self._ngrams):
            # The n-gram itself breaks ties, so that the index does not depend on set order.
            rarest = sorted(ngrams, key=lambda ngram: (frequency[ngram], ngram))
            for ngram in rarest[: int(len(ngrams) * (1 - min_overlap) + 1e-9) + 1]:
                self._rare.setdefault(ngram, []).append(position)

    def matches(self, item: Item) -> dict[int, tuple[LeakKind, float]]:
        """Return the strongest overlap of a training item with each evaluation item."""
        found: dict[int, tuple[LeakKind, float]] = {}
        question, conversation = item_tokens(item)
        for position in self._conversations.get(_joined(conversation), ()):
            found[position] = (LeakKind.CONVERSATION, 1.0)
        for position in self._questions.get(_joined(question), ()):
            found.setdefault(position, (LeakKind.QUESTION, 1.0))
        ngrams = ngrams_of(conversation)
        near = {position for ngram in ngrams & self._rare.keys() for position in self._rare[ngram]}
        for position in near - found.keys():
            overlap = len(ngrams & self._ngrams[position]) / len(self._ngrams[position])
            if overlap >= self._min_overlap:
                found[position] = (LeakKind.NGRAMS, overlap)
        return found


def words_of(text: str) -> list[str]:
    """Return a text's words, without case; characters of scripts that set no spaces."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def item_tokens(item: Item) -> tuple[list[str], list[str]]:
    """Return the words of an item's question and of its whole conversation.

    The question is all before the answer; in few-shot exams the last turn, without examples.
    """
    turns = [words_of(turn.content) for turn in item.turns]
    question = turns[-2:-1] if item.ability.endswith("_fshot") else turns[:-1]
    return list(chain.from_iterable(question)), list(chain.from_iterable(turns))


def _joined(tokens: Sequence[str]) -> str:
    """Return a text that is equal for equal tokens."""
    return " ".join(tokens)


def ngrams_of(tokens: Sequence[str], length: int = NGRAM_LENGTH) -> Ngrams:
    """Return the distinct n-grams of a text."""
    return set(zip(*(tokens[start:] for start in range(length)), strict=False))
