"""How a teacher is asked for a new instruction, and how its reply is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MAX_CHARACTERS = 8000

_HEAD = "Here are {n} tasks of the kind {ability}."
_SHOT = "Task {number}:\n{text}"
_TAIL = (
    "Write one new task of the same kind, about something else, in the same language and of about "
    "the same length. Write nothing but the task, and do not solve it."
)
_LABEL = re.compile(r"^\s*(?:new\s+)?(?:task|instruction|question)\s*\d*\s*[:.]\s*", re.IGNORECASE)
_PAIRS = {'"': '"', "“": "”", "'": "'", "「": "」"}
_MARKERS = re.compile(r"<user>|<assistant>|<eot>|<\|im_(?:start|end)\|>")


def instruction_prompt(ability: str, examples: Sequence[str]) -> str:
    """Return what asks for one new instruction like the examples."""
    shots = [
        _SHOT.format(number=number, text=text) for number, text in enumerate(examples, start=1)
    ]
    kind = ability.replace("_", " ")
    return "\n\n".join([_HEAD.format(n=len(shots), ability=kind), *shots, _TAIL])


def read_instruction(reply: str) -> str | None:
    """Return the instruction that a reply holds, without label and quotes; None if it holds none.

    What is empty, longer than 8,000 characters, or holds a chat template's markers is none.
    """
    text = _LABEL.sub("", reply.strip()).strip()
    if len(text) > 1 and _PAIRS.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    if not text or len(text) > MAX_CHARACTERS or _MARKERS.search(text):
        return None
    return text


def prompt_hash() -> str:
    """Hash of the wording, for the provenance."""
    return hashlib.sha256("\0".join((_HEAD, _SHOT, _TAIL)).encode()).hexdigest()[:16]
