"""The ladder's word-level tokenizer, made from the words of the generated texts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from runners.demo_corpus import pretraining_documents
from runners.demo_data import curated_questions, synthetic_questions

SPECIAL_TOKENS = ("<pad>", "<unk>", "<user>", "<assistant>", "<eot>")
N_WORDS = 960
"""Size of the vocabulary, padded with unused words: new wording of a question then leaves the
pre-training unchanged."""
N_DOCUMENTS_READ = 60_000
"""Documents after which every word of the pre-training text has long been seen."""


def pretraining_words() -> list[str]:
    """All words of the pre-training text, sorted."""
    documents = itertools.islice(pretraining_documents(seed=0), N_DOCUMENTS_READ)
    return sorted(set(itertools.chain.from_iterable(text.split() for text in documents)))


def demonstration_words() -> list[str]:
    """All words of the demonstration's questions and answers, sorted."""
    words: set[str] = set()
    by_type = [synthetic_questions(), *curated_questions(seed=0).values()]
    for questions in itertools.chain.from_iterable(some.values() for some in by_type):
        for question in questions:
            texts = (*question.turns, question.answer, *question.options, *question.wrong)
            words.update(" ".join(texts).split())
    return sorted(words)


def vocabulary() -> tuple[list[str], int]:
    """The ladder's words in the order of their ids.

    Returns
    -------
    words : list of str, length N_WORDS
        Special tokens, then the words of the pre-training text, then those that occur in
        questions only, then unused ones.
    n_pretrained : int
        How many of `words` come before those that occur in questions only.

    Raises
    ------
    ValueError
        If the texts have more than N_WORDS words.
    """
    known = pretraining_words()
    new = sorted(set(demonstration_words()) - set(known))
    words = [*SPECIAL_TOKENS, *known, *new]
    if len(words) > N_WORDS:
        raise ValueError(f"the texts have {len(words)} words: raise N_WORDS above {N_WORDS}")
    unused = [f"<unused{index}>" for index in range(N_WORDS - len(words))]
    return [*words, *unused], len(SPECIAL_TOKENS) + len(known)


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with one id per whitespace-separated word, that adds no token by itself.

    Parameters
    ----------
    words : iterable of str
        In the order of their ids, special tokens first.

    Returns
    -------
    PreTrainedTokenizerFast
        ``<eot>`` ends a text, ``<pad>`` pads; decoding joins words with single spaces.
    """
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<eot>",
        extra_special_tokens=["<user>", "<assistant>"],
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
