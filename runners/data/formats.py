"""Rows of the common instruction formats as messages of two roles.

alpaca
    `instruction` (or `prompt`, `question`, `query`), `input` if any, `output` (or `response`,
    `completion`, `answer`).
sharegpt
    `conversations`: [{from: human|gpt|..., value}].
messages
    `messages`: [{role: user|assistant|system, content}], as OpenAI's fine-tuning files.

A system prompt is put before the first question, since the DoIT format has two roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]


class Format(StrEnum):
    """What a row looks like; `auto` looks at each row's fields."""

    AUTO = "auto"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    MESSAGES = "messages"


_QUESTION_FIELDS = ("instruction", "prompt", "question", "query")
_ANSWER_FIELDS = ("output", "response", "completion", "answer")
_CONVERSATION_FIELDS = ("conversations", "conversation")
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class RowError(Exception):
    """A row has not the form that it should have; the caller adds where."""


def read_messages(row: Row, form: Format) -> tuple[Format, list[dict[str, str]], bool]:
    """Return a row's format, its messages, and whether it had a system prompt.

    Raises
    ------
    RowError
        If the row has not the form that it should have.
    """
    found = _detect(row) if form is Format.AUTO else form
    messages, has_system = _without_system(_READERS[found](row))
    return found, messages, has_system


def read_item_fields(row: Row, form: Format) -> dict[str, Any]:
    """Return what a row says of how its answer is scored, as a line of the DoIT format does.

    A field of another form is some other format's, and left out like all that has no place in ours.

    Parameters
    ----------
    form : Format
        As `read_messages` found it: an `answer` that is the reply itself says nothing more.
    """
    fields: dict[str, Any] = {}
    for name in ("options", "choices"):
        texts = _from_table(row.get(name))
        if isinstance(texts, list) and all(isinstance(t, str) and t.strip() for t in texts):
            fields[name] = texts
    question_format = _from_table(row.get("question_format"))
    if _is_number(question_format) and question_format in (0, 1):
        fields["question_format"] = int(question_format)
    answer, rule = row.get("answer"), row.get("scoring_rule")
    is_reply = form is Format.ALPACA and _first_name(row, _ANSWER_FIELDS) == "answer"
    if not is_reply and (_is_number(answer) or (isinstance(answer, str) and answer.strip())):
        fields["answer"] = str(answer)
    if isinstance(rule, str) and rule.strip():
        fields["scoring_rule"] = rule.strip()
    return fields


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _from_table(value: Any) -> Any:
    """Return a value that CSV holds as text; None where the text is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _detect(row: Row) -> Format:
    """Tell a row's format by its fields."""
    if row.get("messages"):
        return Format.MESSAGES
    if any(row.get(name) for name in _CONVERSATION_FIELDS):
        return Format.SHAREGPT
    if any(name in row for name in _QUESTION_FIELDS) and any(
        name in row for name in _ANSWER_FIELDS
    ):
        return Format.ALPACA
    raise RowError(
        f"its fields ({', '.join(map(str, row))[:100]!r}) are none of alpaca (instruction, "
        "output), sharegpt (conversations) or messages."
    )


def _read_alpaca(row: Row) -> list[dict[str, str]]:
    question = _first(row, _QUESTION_FIELDS)
    more = row.get("input")
    if isinstance(more, str) and more.strip():
        question = f"{question}\n\n{more}"
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": _first(row, _ANSWER_FIELDS)},
    ]
    system = row.get("system")
    if isinstance(system, str) and system.strip():
        turns.insert(0, {"role": "system", "content": system})
    return turns


def _first(row: Row, names: tuple[str, ...]) -> str:
    """Return the first of some fields that the row has."""
    name = _first_name(row, names)
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RowError(f"field {name} is missing, empty or no text.")
    return value


def _first_name(row: Row, names: tuple[str, ...]) -> str:
    """Return the name of the first of some fields that the row has."""
    return next((name for name in names if name in row), names[0])


def _read_sharegpt(row: Row) -> list[dict[str, str]]:
    name = next((name for name in _CONVERSATION_FIELDS if row.get(name)), _CONVERSATION_FIELDS[0])
    return _read_turns(row, name, "from", "value")


def _read_messages(row: Row) -> list[dict[str, str]]:
    return _read_turns(row, "messages", "role", "content")


def _read_turns(row: Row, name: str, role_field: str, text_field: str) -> list[dict[str, str]]:
    """Return the turns of a list of messages."""
    turns = row.get(name)
    if isinstance(turns, str):
        # CSV holds lists as text.
        try:
            turns = json.loads(turns)
        except ValueError:
            raise RowError(f"field {name} is text that is no JSON list.") from None
    if not isinstance(turns, list) or not turns:
        raise RowError(f"field {name} is missing, empty or no list.")
    found = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, Mapping):
            raise RowError(f"field {name}[{number}] is no object.")
        role = turn.get(role_field, turn.get("role"))
        if not isinstance(role, str) or role.lower() not in _ROLES:
            raise RowError(
                f"field {name}[{number}].{role_field} is {role!r:.60}; known are "
                f"{', '.join(sorted(_ROLES))}."
            )
        text = _flatten(turn.get(text_field, turn.get("content")))
        if text is None:
            raise RowError(f"field {name}[{number}].{text_field} is missing or no text.")
        found.append({"role": _ROLES[role.lower()], "content": text})
    return found


def _flatten(content: Any) -> str | None:
    """Return a message's text; OpenAI's parts are joined, anything but text is refused."""
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
            for part in content
        ]
        texts = [part for part in parts if isinstance(part, str)]
        return "\n".join(texts) if len(texts) == len(parts) else None
    return content if isinstance(content, str) else None


def _without_system(turns: list[dict[str, str]]) -> tuple[list[dict[str, str]], bool]:
    """Put system prompts before the first question; tell whether there were any."""
    prompts = [
        t["content"].strip() for t in turns if t["role"] == "system" and t["content"].strip()
    ]
    messages = [dict(turn) for turn in turns if turn["role"] != "system"]
    if messages and messages[0]["role"] == "assistant":
        raise RowError("it begins with the assistant; a conversation must begin with a question.")
    if any(prompts) and messages:
        messages[0]["content"] = "\n\n".join([*filter(None, prompts), messages[0]["content"]])
    return messages, any(prompts)


_READERS = {
    Format.ALPACA: _read_alpaca,
    Format.SHAREGPT: _read_sharegpt,
    Format.MESSAGES: _read_messages,
}
