"""Near-duplicates by MinHash (datasketch), each candidate checked by its exact similarity.

Two texts are compared by the Jaccard similarity of their sets of three words in a row, without
case, punctuation and spacing (see `leak_check.item_tokens`). Locality-sensitive hashing proposes
pairs; at a similarity of 0.8 it misses one in fifty, at 0.85 one in a thousand. A pair that it
proposes counts only if its similarity, computed in full, reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from warehouse.errors import MissingDependencyError

SHINGLE_LENGTH = 3
MIN_SIMILARITY = 0.8
_N_PERMUTATIONS = 128
# Candidates are checked, so the hashing may propose too many rather than miss some.
_WEIGHTS = (0.02, 0.98)
_HIGHEST_THRESHOLD = 0.9

Shingles = frozenset[tuple[str, ...]]


def shingles_of(tokens: Sequence[str]) -> Shingles:
    """Return the sets of three words in a row; of a shorter text, the text."""
    if len(tokens) < SHINGLE_LENGTH:
        return frozenset([tuple(tokens)])
    return frozenset(zip(*(tokens[start:] for start in range(SHINGLE_LENGTH)), strict=False))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Return the share of the shingles of either text that both have."""
    return len(one & other) / len(one | other)


class SimilarTexts:
    """Texts by number, to be asked for those that are like another one.

    Parameters
    ----------
    min_similarity : float, in (0, 1]
        Smallest Jaccard similarity that counts; at 1 only texts of the same shingles are found.

    Raises
    ------
    MissingDependencyError
        If datasketch isn't installed.
    """

    def __init__(self, min_similarity: float = MIN_SIMILARITY) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingDependencyError(
                "Near-duplicates need the extra train: pip install -e '.[train]'."
            ) from error
        self._min_similarity = min_similarity
        self._empty = MinHash(num_perm=_N_PERMUTATIONS, seed=1)
        self._shingles: list[Shingles] = []
        # Texts of the same shingles share one place in the index.
        self._same: dict[Shingles, list[int]] = {}
        self._index = MinHashLSH(
            threshold=min(min_similarity, _HIGHEST_THRESHOLD),
            num_perm=_N_PERMUTATIONS,
            weights=_WEIGHTS,
        )

    def __len__(self) -> int:
        """Count the texts."""
        return len(self._shingles)

    def add(self, tokens: Sequence[str]) -> int:
        """Take a text in and return its number, counted from 0."""
        shingles = shingles_of(tokens)
        number = len(self._shingles)
        self._shingles.append(shingles)
        if shingles in self._same:
            self._same[shingles].append(number)
        else:
            self._same[shingles] = [number]
            if self._min_similarity < 1:
                self._index.insert(number, self._hash(shingles), check_duplication=False)
        return number

    def find(self, tokens: Sequence[str]) -> list[tuple[int, float]]:
        """Return (number, similarity) of the texts that are alike, by number."""
        shingles = shingles_of(tokens)
        found = dict.fromkeys(self._same.get(shingles, ()), 1.0)
        if self._min_similarity < 1:
            for first in self._index.query(self._hash(shingles)):
                similarity = jaccard(shingles, self._shingles[first])
                if first not in found and similarity >= self._min_similarity:
                    found |= dict.fromkeys(self._same[self._shingles[first]], similarity)
        return sorted(found.items())

    def _hash(self, shingles: Shingles) -> Any:
        """Return the MinHash of a text."""
        minhash = self._empty.copy()
        minhash.update_batch([" ".join(shingle).encode() for shingle in shingles])
        return minhash
