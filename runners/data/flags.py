"""Evaluation items that training data may give away, each under the strongest sign of it.

The signs, strongest first:

conversation
    The same question with the same answer.
question
    The same question, whatever its answer.
ngrams
    At least 80% of the question's 8-grams stand in one training item (`leak_check`).
similar
    The questions share at least 80% of their three-word sequences (`similar`).
span
    Thirteen words in a row of the question stand in a training item, and in no other evaluation
    question.
wording
    As similar or span, but another evaluation question is as similar to it, or has each shared run
    of words too. That is what questions from one template look like; such items are counted but
    not flagged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from runners.data.similar import MIN_SIMILARITY, SimilarTexts
from runners.doit_format import Item
from runners.leak_check import find_leaks, item_tokens, ngrams_of

SPAN_LENGTH = 13
Pools = Mapping[str, Sequence[Item]]


class Sign(StrEnum):
    """How an evaluation item shows in training data, the strongest first."""

    CONVERSATION = "conversation"
    QUESTION = "question"
    NGRAMS = "ngrams"
    SIMILAR = "similar"
    SPAN = "span"
    WORDING = "wording"


FLAGGED = tuple(sign for sign in Sign if sign is not Sign.WORDING)
"""Signs that flag an item; see `wording` for the one that doesn't."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """One evaluation item and the training item that gives it away most.

    Attributes
    ----------
    evaluation_set, data_source : str
        Where the two items come from.
    overlap : float, in (0, 1]
        Share of n-grams, similarity, or share of the question's 13-grams found in some training
        item; 1 for equality.
    n_training : int, count >= 1
        Training items that show the sign; of a shared run of words those that have the commonest.
    """

    evaluation_set: str
    item: Item
    sign: Sign
    overlap: float
    n_training: int
    data_source: str
    training_item: Item


def find_matches(
    training: Pools, evaluation: Pools, *, min_similarity: float = MIN_SIMILARITY
) -> list[Match]:
    """Return every evaluation item that shows in training data, once a set it is in.

    Parameters
    ----------
    training, evaluation : mapping of data source / evaluation set to items

    Returns
    -------
    list of Match
        In the order of the evaluation sets and of their items.
    """
    sources = {item.item_id: (name, item) for name, items in training.items() for item in items}
    trained = [item for _, item in sources.values()]
    tested = list({item.item_id: item for items in evaluation.values() for item in items}.values())
    found: dict[str, dict[Sign, list[tuple[float, int, str]]]] = {}

    def note(item_id: str, sign: Sign, overlap: float, n_training: int, training_id: str) -> None:
        found.setdefault(item_id, {}).setdefault(sign, []).append(
            (overlap, n_training, training_id)
        )

    for leak in find_leaks(trained, tested):
        note(leak.evaluation_item_id, Sign(leak.kind), leak.overlap, 1, leak.training_item_id)
    for item_id, sign, similarity, training_id in _find_similar(trained, tested, min_similarity):
        note(item_id, sign, similarity, 1, training_id)
    for item_id, sign, share, n_training, training_id in _find_spans(trained, tested):
        note(item_id, sign, share, n_training, training_id)

    matches = []
    for name, items in evaluation.items():
        for item in items:
            if item.item_id not in found:
                continue
            sign = next(sign for sign in Sign if sign in found[item.item_id])
            signs = found[item.item_id][sign]
            # The first of the strongest, whatever order they were found in.
            overlap, _, training_id = min(signs, key=lambda one: (-one[0], one[2]))
            matches.append(
                Match(
                    evaluation_set=name,
                    item=item,
                    sign=sign,
                    overlap=overlap,
                    n_training=sum(n for _, n, _ in signs),
                    data_source=sources[training_id][0],
                    training_item=sources[training_id][1],
                )
            )
    return matches


def question_tokens(item: Item) -> list[str]:
    """Return the words of an item's question."""
    return item_tokens(item)[0]


def _find_similar(
    training: Sequence[Item], evaluation: Sequence[Item], min_similarity: float
) -> list[tuple[str, Sign, float, str]]:
    """Return (evaluation item, sign, similarity, training item) of questions that are alike."""
    texts = SimilarTexts(min_similarity)
    questions = [question_tokens(item) for item in evaluation]
    for tokens in questions:
        texts.add(tokens)
    # Pools repeat questions; each distinct one is looked up once.
    distinct = {tuple(question_tokens(item)): item.item_id for item in reversed(training)}
    pairs = [
        (number, similarity, training_id)
        for tokens, training_id in distinct.items()
        for number, similarity in texts.find(tokens)
    ]
    best: dict[int, float] = {}
    for number, similarity, _ in pairs:
        best[number] = max(similarity, best.get(number, 0.0))
    # Alike to the other questions of the exam as well: then it is the template that is alike.
    signs = {
        number: Sign.WORDING
        if any(
            similarity >= best[number] and questions[other] != questions[number]
            for other, similarity in texts.find(questions[number])
        )
        else Sign.SIMILAR
        for number in best
    }
    return [
        (evaluation[number].item_id, signs[number], similarity, training_id)
        for number, similarity, training_id in pairs
    ]


def _find_spans(
    training: Sequence[Item], evaluation: Sequence[Item]
) -> list[tuple[str, Sign, float, int, str]]:
    """Return evaluation items that share 13-grams with training items, counted by 13-gram."""
    spans = [ngrams_of(question_tokens(item), SPAN_LENGTH) for item in evaluation]
    frequency = Counter(chain.from_iterable(spans))
    hits: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], str] = {}
    for item in training:
        for span in ngrams_of(item_tokens(item)[1], SPAN_LENGTH) & frequency.keys():
            hits[span] += 1
            first.setdefault(span, item.item_id)
    found = []
    for item, own in zip(evaluation, spans, strict=True):
        if not (shared := own & hits.keys()):
            continue
        # The rarest shared span is what tells a copied passage from a template's wording.
        rarest = min(shared, key=lambda span: (frequency[span], hits[span], span))
        sign = Sign.SPAN if frequency[rarest] == 1 else Sign.WORDING
        n_training = max(hits[span] for span in shared)
        found.append((item.item_id, sign, len(shared) / len(own), n_training, first[rarest]))
    return found


# --- Inside a pool ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Items of one pool that repeat an earlier one, each counted under its strongest sign.

    Attributes
    ----------
    conversation, question, similar : int, count >= 0
        Same question and answer; same question, other answer; similar question.
    examples : tuple of (Sign, Item, Item)
        The first ones of each: the item and the earlier one that it repeats.
    """

    n_items: int
    conversation: int
    question: int
    similar: int
    examples: tuple[tuple[Sign, Item, Item], ...]


_N_EXAMPLES = 20


def find_duplicates(items: Sequence[Item], *, min_similarity: float = MIN_SIMILARITY) -> Duplicates:
    """Return how often a pool repeats itself.

    An item counts as similar if it is like one that is not itself a repetition, so that a chain of
    small changes doesn't make one group of all.
    """
    counts: Counter[Sign] = Counter()
    examples: list[tuple[Sign, Item, Item]] = []
    conversations: dict[tuple[str, ...], Item] = {}
    questions: dict[tuple[str, ...], Item] = {}
    texts = SimilarTexts(min_similarity)
    kept: list[Item] = []
    for item in items:
        question, conversation = (tuple(tokens) for tokens in item_tokens(item))
        if conversation in conversations:
            sign, earlier = Sign.CONVERSATION, conversations[conversation]
        elif question in questions:
            sign, earlier = Sign.QUESTION, questions[question]
        elif alike := texts.find(question):
            sign, earlier = Sign.SIMILAR, kept[alike[0][0]]
        else:
            texts.add(question)
            kept.append(item)
            sign = None
        conversations.setdefault(conversation, item)
        questions.setdefault(question, item)
        if sign is not None:
            counts[sign] += 1
            if counts[sign] <= _N_EXAMPLES:
                examples.append((sign, item, earlier))
    return Duplicates(
        n_items=len(items),
        conversation=counts[Sign.CONVERSATION],
        question=counts[Sign.QUESTION],
        similar=counts[Sign.SIMILAR],
        examples=tuple(examples),
    )
