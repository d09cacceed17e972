"""The votes of one study: who preferred which of two answers, or rated one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
T = TypeVar("T", str, tuple[bool, str])

NONE = -1
"""Code of what is absent: no second model, unknown order."""

LOWEST_MARK, HIGHEST_MARK = 1.0, 10.0
"""The scale of ratings."""

PEOPLE = "people"
"""Stands for all people together, who are many and cast few votes each."""


@dataclass(frozen=True, kw_only=True)
class Votes:
    """Votes as arrays of shape (n_votes,), names as codes into sorted tuples.

    Build it with `Votes.from_columns`. A vote without a preference and without a rating is a
    failed one: it is counted and never scored.

    Attributes
    ----------
    items, models, voters : tuple of str
        Names behind the codes. A voter is a judge model or a person.
    is_person : ndarray, shape (n_voters,), bool
        Which voters are people.
    item, voter : ndarray of int
        Codes.
    model_a, model_b : ndarray of int
        Codes of the models that wrote the answers; `model_b` is -1 where one answer was rated.
    first : ndarray of int
        0 = model_a's answer was shown first, 1 = model_b's, -1 = unknown.
    preference : ndarray, in [1, 2]
        1 = model_a, 2 = model_b, between is graded, 1.5 a tie; NaN if there is none.
    rating : ndarray
        Score that a rubric gave to model_a's answer; NaN if there is none.
    len_a, len_b : ndarray, >= 0
        Lengths of the answers, in any one unit; NaN if unknown.
    difficulty : ndarray
        Difficulty of the item on a logit-like scale; NaN if unknown.
    """

    items: tuple[str, ...]
    models: tuple[str, ...]
    voters: tuple[str, ...]
    is_person: BoolArray
    item: IntArray
    voter: IntArray
    model_a: IntArray
    model_b: IntArray
    first: IntArray
    preference: FloatArray
    rating: FloatArray
    len_a: FloatArray
    len_b: FloatArray
    difficulty: FloatArray

    @classmethod
    def from_columns(
        cls,
        *,
        item: Sequence[str],
        model_a: Sequence[str],
        model_b: Sequence[str | None],
        preference: ArrayLike,
        judge: Sequence[str | None] | None = None,
        annotator: Sequence[str | None] | None = None,
        shown_first: Sequence[str | None] | None = None,
        rating: ArrayLike | None = None,
        len_a: ArrayLike | None = None,
        len_b: ArrayLike | None = None,
        difficulty: ArrayLike | None = None,
    ) -> Votes:
        """Build votes from columns named as in the judge_vote records.

        Parameters
        ----------
        item, model_a, model_b, shown_first : sequences of length n_votes
            As in the records; `shown_first` is "a", "b" or None.
        preference, rating, len_a, len_b, difficulty : array_like, shape (n_votes,)
            As in the records, NaN for unknown; all unknown where left out.
        judge, annotator : sequences of length n_votes
            The model or the person that voted; the judge names the voter where both are given,
            and a vote with neither belongs to a judge called "unknown".

        Raises
        ------
        InputError
            If a column differs in length, a preference lies outside [1, 2], a rating outside
            [1, 10], a length is infinite or negative, or `shown_first` is neither a nor b.
        """
        n = len(item)
        judges = [None] * n if judge is None else list(judge)
        people = [None] * n if annotator is None else list(annotator)
        first = [None] * n if shown_first is None else list(shown_first)
        columns = {
            "model_a": model_a, "model_b": model_b, "judge": judges, "annotator": people,
            "shown_first": first,
        }  # fmt: skip
        numbers = {
            name: _numbers(values, n)
            for name, values in {
                "preference": preference, "rating": rating, "len_a": len_a, "len_b": len_b,
                "instruction_difficulty": difficulty,
            }.items()
        }  # fmt: skip
        for name, column in (columns | numbers).items():
            if len(column) != n:
                raise InputError(f"{name} has {len(column)} entries for {n} votes; give one each.")
        _check_numbers(numbers)
        # A judge and a person of one name are two voters.
        who = [
            (person is not None and model is None, model or person or "unknown")
            for model, person in zip(judges, people, strict=True)
        ]
        voter_keys, voter = _codes(who)
        items, item_code = _codes(item)
        models, both = _codes([*model_a, *(b for b in model_b if b is not None)])
        code_b = np.full(n, NONE)
        code_b[[b is not None for b in model_b]] = both[n:]
        return cls(
            items=tuple(items),
            models=tuple(models),
            voters=tuple(name for _, name in voter_keys),
            is_person=np.array([person for person, _ in voter_keys], dtype=bool),
            item=item_code,
            voter=voter,
            model_a=both[:n],
            model_b=code_b,
            first=_order_codes(first),
            preference=numbers["preference"],
            rating=numbers["rating"],
            len_a=numbers["len_a"],
            len_b=numbers["len_b"],
            difficulty=numbers["instruction_difficulty"],
        )

    def __len__(self) -> int:
        """Return the number of votes."""
        return len(self.item)

    @property
    def pairwise(self) -> BoolArray:
        """Mask of votes that compare two answers."""
        return np.asarray(self.model_b != NONE)

    @property
    def failed(self) -> BoolArray:
        """Mask of votes without a verdict."""
        return np.isnan(np.where(self.pairwise, self.preference, self.rating))

    @property
    def by_person(self) -> BoolArray:
        """Mask of votes cast by people."""
        return self.is_person[self.voter]


def _numbers(values: ArrayLike | None, n: int) -> FloatArray:
    """Return a column as floats, all NaN where it was left out."""
    return np.full(n, np.nan) if values is None else np.array(values, dtype=np.float64)


def _check_numbers(numbers: dict[str, FloatArray]) -> None:
    """Refuse values that no vote can have, naming the first."""
    preference = numbers["preference"]
    limits = {
        "preference": (preference < 1) | (preference > 2),
        "rating": (numbers["rating"] < LOWEST_MARK) | (numbers["rating"] > HIGHEST_MARK),
        "len_a": np.isinf(numbers["len_a"]) | (numbers["len_a"] < 0),
        "len_b": np.isinf(numbers["len_b"]) | (numbers["len_b"] < 0),
        "instruction_difficulty": np.isinf(numbers["instruction_difficulty"]),
    }
    remedy = {
        "preference": "give 1 for model_a, 2 for model_b, or a value between",
        "rating": f"give a mark from {LOWEST_MARK:g} to {HIGHEST_MARK:g}",
        "len_a": "give a length of 0 or more",
        "len_b": "give a length of 0 or more",
        "instruction_difficulty": "give a finite number",
    }
    for name, bad in limits.items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{name} of vote {row + 1} is {numbers[name][row]:g}; {remedy[name]}, or leave it "
                "empty."
            )


def _order_codes(shown_first: Iterable[str | None]) -> IntArray:
    """Return 0, 1 or -1 for a, b or unknown."""
    known = {"a": 0, "b": 1, None: NONE}
    codes = []
    for row, value in enumerate(shown_first):
        if value not in known:
            raise InputError(f"shown_first of vote {row + 1} is {value!r}; give a, b or nothing.")
        codes.append(known[value])
    return np.array(codes, dtype=np.int64)


def _codes(values: Iterable[T]) -> tuple[list[T], IntArray]:
    """Return sorted distinct values and the position of each value among them."""
    index: dict[T, int] = {}
    codes = np.array([index.setdefault(value, len(index)) for value in values], dtype=np.int64)
    names = sorted(index)
    rank = np.empty(len(names), dtype=np.int64)
    rank[[index[name] for name in names]] = np.arange(len(names))
    return names, rank[codes] if len(names) else codes


def distinct(*parts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the first row of each distinct combination of codes, and each row's combination.

    Combinations are ordered by the first part, then by the second, and so on. Codes are 0 or more.
    """
    key = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        key = key * (int(part.max(initial=0)) + 1) + part
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse
