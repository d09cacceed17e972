r"""Which ability a foreign instruction trains: by a column, a mapping file, or one name for all.

A mapping file is YAML. A row gets the first of: what its `field` says, the first rule that
matches its question, `default`, else it is unlabelled.

    field: source                      # a column of the rows
    values: {gsm8k: math, leetcode: code}
    rules:
      - {ability: code, words: [python, function]}
      - {ability: math, pattern: '\d+ *[+*/-] *\d+'}
    default: understanding
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.errors import InputError
from warehouse.records import UNLABELLED, Name


class Rule(BaseModel):
    """Says of which ability a question is that holds a word or matches a pattern."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ability: Name
    words: tuple[str, ...] = ()
    pattern: str | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Rule:
        if bool(self.words) == (self.pattern is not None):
            raise ValueError("give exactly one of words and pattern")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression ({error})") from error
        return self

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        if self.pattern is not None:
            return re.compile(self.pattern, re.IGNORECASE)
        # Chinese sets no spaces, so a word boundary is asked for only where it can be.
        parts = [
            rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])" if word.isascii() else re.escape(word)
            for word in self.words
        ]
        return re.compile("|".join(parts), re.IGNORECASE)

    def matches(self, question: str) -> bool:
        """Tell whether a question is of this rule's ability; case doesn't count."""
        return self._regex.search(question) is not None


class LabelMap(BaseModel):
    """A mapping file (see the module's docstring)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str | None = None
    values: dict[str, Name] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    default: Name | None = None

    @model_validator(mode="after")
    def _values_have_a_field(self) -> LabelMap:
        if bool(self.values) != (self.field is not None):
            raise ValueError("field and values go together")
        if not self.values and not self.rules:
            raise ValueError("give values or rules")
        return self


@dataclass(frozen=True, kw_only=True)
class Labeller:
    """Names the ability of a row; at most one of the three ways is given.

    Attributes
    ----------
    ability : str or None
        Of every row.
    column : str or None
        Column that holds the ability.
    mapping : LabelMap or None
    """

    ability: str | None = None
    column: str | None = None
    mapping: LabelMap | None = None

    def label(self, row: Mapping[str, Any], question: str) -> str:
        """Return a row's ability, "unlabelled" if nothing names one."""
        if self.ability is not None:
            return self.ability
        if self.column is not None:
            return _text(row.get(self.column)) or UNLABELLED
        if self.mapping is None:
            return UNLABELLED
        if self.mapping.field is not None:
            named = self.mapping.values.get(_text(row.get(self.mapping.field)))
            if named is not None:
                return named
        for rule in self.mapping.rules:
            if rule.matches(question):
                return rule.ability
        return self.mapping.default or UNLABELLED


def _text(value: Any) -> str:
    """Return a cell as text; what is missing is empty."""
    return "" if value is None else str(value).strip()


def load_label_map(path: Path) -> LabelMap:
    """Read a mapping file.

    Raises
    ------
    InputError
        If it can't be read, is not YAML, or a field is wrong (named).
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"The mapping file {path} can't be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML.") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no mapping; docs/data.md shows one.")
    try:
        return LabelMap.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "mapping"
        problem = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {place}: {problem}.") from error
