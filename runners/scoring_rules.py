"""The paper's scoring rules: what is asked of the model, and how its output becomes a score.

A rule asks either for the log-likelihood of a few candidate continuations (lettered and listed
options, open-ended candidates) or for a greedily generated reply. Scores are 0 or 1. A reply or
first token of no valid form is `parsed` = False and wrong; it is never left out. Ties are wrong:
a model that likes all candidates alike must not profit from where the right one stands.

References: Song et al., arXiv 2310.19651, and its public evaluation code. One thing differs on
purpose: for longer replies that code reads the letters' logits at the last generated step, here
they are those of the first answer token.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runners.doit_format import FALSE_WORDS, LETTERS, TRUE_WORDS, Item, ScoringRule
from runners.math_answers import extract_answer, is_equivalent

LIKELIHOOD_RULES = frozenset(
    {ScoringRule.SINGLE_CHOICE, ScoringRule.OPTION_TEXT, ScoringRule.OPEN_ENDED}
)
"""Rules that ask for log-likelihoods; the others ask for a greedy reply."""

N_LETTERS = 4
# No colon: dialogues name their speakers "A:" and "B:".
_LINE_OPTION = re.compile(r"^[ \t]*[(（]?([A-F])[ \t]*[.．、)）]", re.MULTILINE)
_INLINE_OPTION = re.compile(r"(?<![A-Za-z])([A-F])[.．、)）]")
_CHINESE_RUN = re.compile(r"[\u4e00-\u9fff]+")
_SPACES = re.compile(r"\s+")
_EDGE_MARKS = " \t\r\n.,;:!?\"'。，；：！？、“”‘’《》「」（）()"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Score of one item.

    Attributes
    ----------
    score : float or None
        0 or 1; None where the model gave no usable number (log-likelihoods that are NaN).
    parsed : bool or None
        Whether the output had a valid form; None where the rule can't fail to parse.
    """

    score: float | None
    parsed: bool | None


# ---------------------------------------------------------------------------- what is asked


def candidates(item: Item) -> tuple[str, ...]:
    """Return the texts whose log-likelihoods the item's rule compares; empty for replies."""
    match item.scoring_rule:
        case ScoringRule.SINGLE_CHOICE:
            return tuple(letters_offered(item))
        case ScoringRule.OPTION_TEXT:
            return tuple(option.strip() for option in item.options)
        case ScoringRule.OPEN_ENDED:
            return tuple(choice.strip() for choice in item.choices)
    return ()


def right_candidate(item: Item) -> int:
    """Return the index of the right one among `candidates(item)`."""
    if item.scoring_rule is ScoringRule.OPEN_ENDED:
        return 0
    return candidates(item).index(item.gold)


def target(item: Item) -> str:
    """Return the right answer: the value of maths, the right candidate, or the gold message."""
    if item.scoring_rule is ScoringRule.MATH and item.answer is not None:
        return item.answer
    if item.scoring_rule is ScoringRule.OPEN_ENDED:
        return item.choices[0].strip()
    return item.gold


def letters_offered(item: Item) -> str:
    """Return the letters that the question offers: "ABC" if it lists three options, else "ABCD".

    Only the last user turn counts, since few-shot examples stand before it. Options at line
    starts decide; options within a line do where there are none. Questions with multiple right
    letters may offer up to six.
    """
    question = next(turn.content for turn in reversed(item.turns) if turn.role == "user")
    limit = len(LETTERS) if item.scoring_rule is ScoringRule.MULTI_CHOICE else N_LETTERS
    listed = (_n_listed(pattern, question) for pattern in (_LINE_OPTION, _INLINE_OPTION))
    n_offered = next((min(n, limit) for n in listed if n >= 3), N_LETTERS)
    # A right letter is on offer, whatever the patterns saw.
    n_needed = 1 + max(map(LETTERS.index, parse_letters(item.gold)), default=0)
    return LETTERS[: max(n_offered, n_needed)]


def _n_listed(pattern: re.Pattern[str], question: str) -> int:
    """Return how many of the letters A, B, C ... a question lists without a gap."""
    found = set(pattern.findall(question))
    return next((i for i, letter in enumerate(LETTERS) if letter not in found), len(LETTERS))


# ---------------------------------------------------------------------------- candidates


def score_candidates(
    rule: ScoringRule,
    right: int,
    log_likelihoods: Sequence[float],
    is_greedy: Sequence[bool],
    n_tokens: Sequence[int],
) -> Outcome:
    """Score an item by the log-likelihoods of its candidates.

    Parameters
    ----------
    right : int
        Index of the right candidate.
    log_likelihoods, is_greedy, n_tokens : sequences of the same length
        Summed log-likelihood (nats) of each candidate; whether greedy decoding would write it;
        tokens that the sum runs over (for open-ended items with the end token).

    Notes
    -----
    Letters are compared by their sum: their first token is the whole answer. Options and
    open-ended candidates are compared by the mean per token, which for open-ended items orders
    candidates as perplexity does. Neither is lm-eval's `acc` (sums) or `acc_norm` (per
    character).
    """
    if any(math.isnan(value) for value in log_likelihoods):
        return Outcome(score=None, parsed=None)
    choice = preferred_candidate(rule, log_likelihoods, n_tokens)
    # Any text is a valid open-ended reply, so there is nothing to parse.
    parsed = None if rule is ScoringRule.OPEN_ENDED else any(is_greedy)
    return Outcome(score=float(choice == right), parsed=parsed)


def preferred_candidate(
    rule: ScoringRule, log_likelihoods: Sequence[float], n_tokens: Sequence[int]
) -> int | None:
    """Return the index of the candidate that the model prefers; None at a tie or at NaN."""
    values = list(log_likelihoods)
    if rule is not ScoringRule.SINGLE_CHOICE:
        values = [value / count for value, count in zip(values, n_tokens, strict=True)]
    best = max(values)
    winners = [index for index, value in enumerate(values) if value == best]
    return winners[0] if len(winners) == 1 and not any(map(math.isnan, values)) else None


# ---------------------------------------------------------------------------- replies


def score_reply(rule: ScoringRule, reply: str, right: str) -> Outcome:
    """Score a generated reply against the right answer (`target(item)`).

    Raises
    ------
    ValueError
        If `rule` is not one that reads a reply.
    """
    match rule:
        case ScoringRule.MULTI_CHOICE:
            letters = parse_letters(reply)
            parsed, correct = bool(letters), letters == parse_letters(right)
        case ScoringRule.TRUE_FALSE:
            value = parse_truth(reply)
            parsed, correct = value is not None, value == parse_truth(right)
        case ScoringRule.CLOZE:
            readings = {parse_cloze(reply), _normal(reply)}
            parsed, correct = any(readings), _normal(right) in readings
        case ScoringRule.MATH:
            answer = extract_answer(reply)
            parsed = answer is not None
            correct = answer is not None and is_equivalent(answer, right)
        case _:
            raise ValueError(f"{rule} does not score replies")
    return Outcome(score=float(parsed and correct), parsed=parsed)


def parse_letters(reply: str) -> frozenset[str]:
    """Return the letters A-F in the last line of a reply that is not blank."""
    lines = [line for line in reply.splitlines() if line.strip()]
    # A letter inside a word (the D of "Don't") is no answer; "ABD" and "A、B" are.
    words = re.findall(r"(?<![A-Za-z])[A-F]+(?![A-Za-z])", lines[-1]) if lines else []
    return frozenset("".join(words))


def _word_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of the words, Latin ones only where they stand alone."""
    parts = []
    for word in sorted(words):
        # "t" in lower case is no answer, "True" and "true" are.
        text = re.escape(word) if len(word) == 1 else f"(?i:{re.escape(word)})"
        parts.append(f"(?<![A-Za-z]){text}(?![A-Za-z])" if word.isascii() else text)
    return re.compile("|".join(parts))


_TRUE_PATTERN, _FALSE_PATTERN = _word_pattern(TRUE_WORDS), _word_pattern(FALSE_WORDS)
# These hold a word for true and mean false; the paper's code reads them as true.
_NEGATED = re.compile("不(?:正确|对)")


def parse_truth(reply: str) -> bool | None:
    """Return what a reply says, or None if it says both or neither."""
    text = _NEGATED.sub("错误", reply)
    says_true, says_false = bool(_TRUE_PATTERN.search(text)), bool(_FALSE_PATTERN.search(text))
    return says_true if says_true != says_false else None


def parse_cloze(reply: str) -> str:
    """Return what fills the blank: the first run of Chinese characters, else the bare reply."""
    match = _CHINESE_RUN.search(reply)
    return match.group() if match else _normal(reply)


def _normal(text: str) -> str:
    """Return a text without outer punctuation and with single spaces."""
    return _SPACES.sub(" ", text).strip(_EDGE_MARKS)


# ---------------------------------------------------------------------------- chance


def chance_level(item: Item) -> float:
    """Return the expected score of guessing by the paper's rule.

    One over the number of candidates; 1/2 for true/false; 0 for cloze and maths. For multiple
    selection 1 / C(m, k), k of m letters being right: it presumes that k is known.
    """
    match item.scoring_rule:
        case ScoringRule.MULTI_CHOICE:
            return 1.0 / math.comb(len(letters_offered(item)), len(parse_letters(item.gold)))
        case ScoringRule.TRUE_FALSE:
            return 0.5
        case ScoringRule.CLOZE | ScoringRule.MATH:
            return 0.0
    return 1.0 / len(candidates(item))


def chance_level_uniform(item: Item) -> float:
    """Return the expected score of a uniform guess over every answer of the right form.

    It differs from `chance_level` for multiple selection alone: 1 / (2^m - 1), every non-empty
    subset of m letters being equally likely.
    """
    if item.scoring_rule is ScoringRule.MULTI_CHOICE:
        return 1.0 / (2 ** len(letters_offered(item)) - 1)
    return chance_level(item)
