"""Names, sizes and pre-training settings of the ladder's three base models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LADDER_FOLDER = Path(__file__).parent
SEQUENCE_LENGTH = 128
"""Tokens of one pre-training row; longer than any conversation of the demonstration."""
ROWS_PER_STEP = 16


@dataclass(frozen=True)
class ModelShape:
    """One rung of the ladder.

    Attributes
    ----------
    name : str
        Folder below `LADDER_FOLDER`.
    hidden_size, n_layers, n_heads : int
    n_tokens : int
        Pre-training tokens.
    learning_rate : float
        Peak rate of AdamW for embeddings and norms.
    """

    name: str
    hidden_size: int
    n_layers: int
    n_heads: int
    n_tokens: int
    learning_rate: float

    @property
    def intermediate_size(self) -> int:
        """Width of the gated feed-forward layers: 8/3 of the hidden size, in steps of 8."""
        return self.hidden_size * 8 // 3 // 8 * 8


LADDER = (
    ModelShape("ladder-s", 48, 2, 3, 6_000_000, 5e-3),
    ModelShape("ladder-m", 64, 3, 4, 6_000_000, 4e-3),
    ModelShape("ladder-l", 96, 3, 4, 6_000_000, 4e-3),
)
"""Smallest first."""


def shape_named(name: str) -> ModelShape:
    """Return the rung of that name.

    Raises
    ------
    ValueError
        If the ladder has none; the message lists the names.
    """
    for shape in LADDER:
        if shape.name == name:
            return shape
    names = ", ".join(shape.name for shape in LADDER)
    raise ValueError(f"the ladder has no model {name!r}; it has {names}")
