"""What a public task of lm-eval is here: its items, and lm-eval's task or what stands for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def document_id(task: str, document: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of the hash of a task's name and one of its documents."""
    text = json.dumps([task, document], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class PublicItem:
    """One document of a public task.

    Attributes
    ----------
    item_id : str
        See `document_id`.
    prompt : str
        The text that is continued, few-shot examples included.
    choices : tuple of str
        Candidates, if the task has any.
    n_right : int
        Candidates that count as right.
    """

    item_id: str
    prompt: str
    target: str
    choices: tuple[str, ...] = ()
    n_right: int = 1

    @property
    def chance_level(self) -> float:
        """Expected score of guessing: among the candidates, or 0 for a generated reply."""
        return self.n_right / len(self.choices) if self.choices else 0.0


@dataclass(frozen=True, kw_only=True)
class PublicTask:
    """One task of lm-eval at one number of examples.

    Attributes
    ----------
    name : str
        lm-eval's name with the number of examples, e.g. "cmmlu_agronomy_5shot".
    ability : str
        What was asked for in the grid, e.g. "cmmlu_5shot"; the tasks of a group share it.
    task : object
        lm-eval's task with its requests built, or a `CodeTask`.
    higher_is_better : mapping of metric to bool
    """

    name: str
    ability: str
    output_type: str
    task: Any
    items: tuple[PublicItem, ...]
    higher_is_better: Mapping[str, bool]


@dataclass(frozen=True, kw_only=True)
class CodeTask:
    """A task whose replies are run: its requests, and what the sandbox needs to score them."""

    yaml: Path
    documents: tuple[dict[str, Any], ...]
    requests: tuple[Any, ...] = field(repr=False)
    repeats: int
