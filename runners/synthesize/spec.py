"""What a synthesis is asked to make."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from runners.data.similar import MIN_SIMILARITY
from warehouse.errors import InputError


class Mode(StrEnum):
    """What the teacher writes."""

    ANSWERS = "answers"
    INSTRUCTIONS = "instructions"


@dataclass(frozen=True, kw_only=True)
class SynthesisSpec:
    """Settings of a synthesis; all of them are part of its provenance.

    Attributes
    ----------
    abilities : tuple of str
        Empty: all of the seeds.
    n_per_ability : int or None
        Examples of each ability; None (answers only): one for each seed.
    temperature : float, at least 0
        Of answers; 0 takes the likeliest token.
    instruction_temperature : float, at least 0
        Of new instructions, which must differ.
    max_new_tokens : int
        Longest reply in tokens.
    n_shots : int
        Seed examples that the teacher sees before it writes an instruction.
    tries : int
        Proposals for each example asked for, after which an ability stays short.
    max_similarity : float, in (0, 1]
        Instructions that are as similar as this to an earlier one, or to an evaluation question,
        are left out; at 1 only those of the same words are.
    keep_cut_off : bool
        Keep replies that reached `max_new_tokens` without an end.
    """

    mode: Mode
    abilities: tuple[str, ...] = ()
    n_per_ability: int | None = None
    seed: int = 0
    temperature: float = 0.0
    instruction_temperature: float = 1.0
    max_new_tokens: int = 512
    n_shots: int = 3
    tries: int = 4
    max_similarity: float = MIN_SIMILARITY
    keep_cut_off: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be made."""
        if self.mode is Mode.INSTRUCTIONS and self.n_per_ability is None:
            raise InputError("New instructions need their number: --n COUNT of each ability.")

    @property
    def calls_per_example(self) -> int:
        """Calls that an example takes: its answer, and a new instruction before it."""
        return 2 if self.mode is Mode.INSTRUCTIONS else 1

    def document(self) -> dict[str, object]:
        """The settings as the manifest holds them."""
        return asdict(self) | {"abilities": list(self.abilities)}
