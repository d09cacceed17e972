"""From a judge's words to a verdict: one JSON object of the asked form, or no verdict at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runners.judge.answers import one_line


class VerdictError(Exception):
    """The reply holds no verdict, or more than one; the message is the reason."""


class _Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reason: str


class PairVerdict(_Verdict):
    """Which of two replies is better, in the order in which they were shown."""

    verdict: Literal["A", "B", "tie"]


class RatingVerdict(_Verdict):
    """How good one reply is."""

    rating: int = Field(ge=1, le=10)


def verdict_type(protocol: str) -> type[PairVerdict] | type[RatingVerdict]:
    """Return the form of a protocol's verdicts."""
    return PairVerdict if protocol == "pairwise" else RatingVerdict


@lru_cache
def verdict_schema(protocol: str) -> Mapping[str, Any]:
    """Return the JSON schema of a protocol's verdicts; made once, since every ballot needs it."""
    schema = verdict_type(protocol).model_json_schema()
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def read_verdict(text: str, protocol: str) -> PairVerdict | RatingVerdict:
    """Read the one verdict that a reply holds; words around it (code fences) don't matter.

    Nothing is repaired or guessed: a reply without a JSON object of exactly the asked form is not
    a verdict, and one with several objects (the judge may quote an attack) says nothing.

    Raises
    ------
    VerdictError
        If there is not exactly one verdict.
    """
    form = verdict_type(protocol)
    objects = list(_json_objects(text))
    if not objects:
        raise VerdictError("the reply holds no JSON object")
    if len(objects) > 1:
        raise VerdictError(f"the reply holds {len(objects)} JSON objects instead of one")
    try:
        return form.model_validate(objects[0])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Names of fields are the judge's words too.
        where = one_line(".".join(str(part) for part in first["loc"]))
        raise VerdictError(
            f"the verdict is not of the asked form ({where}: {first['msg']})"
        ) from None


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, those inside others left out.

    A brace that opens no object ends the search: what follows may be a quotation inside an object
    that is broken, and a quoted verdict is not the judge's.
    """
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise VerdictError("the reply holds broken JSON") from None
        yield value
        place = text.find("{", end)
