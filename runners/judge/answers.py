"""What comes back over HTTP: completions, and errors by what they mean for other calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, Field

from warehouse.errors import WorkError
from warehouse.records import MAX_COUNT


class EndpointError(WorkError):
    """No request to this endpoint can succeed; the message says why."""


class FailedCallError(Exception):
    """A request failed; the message is the reason, `cost` what its attempts may have cost."""

    def __init__(self, reason: str, *, cost: float = 0.0) -> None:
        """Keep the cost beside the reason."""
        super().__init__(reason)
        self.cost = cost


class RefusedCallError(FailedCallError):
    """The server finds the request itself wrong."""


class TransientCallError(Exception):
    """Worth another attempt."""

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        may_be_billed: bool = False,
        is_unreachable: bool = False,
    ) -> None:
        """Keep what the next attempt has to know."""
        super().__init__(reason)
        self.retry_after = retry_after
        self.may_be_billed = may_be_billed
        self.is_unreachable = is_unreachable


class Message(BaseModel):
    """What the model said."""

    content: str | None = None


class Choice(BaseModel):
    """One reply; more than one is never asked for."""

    message: Message
    finish_reason: str | None = None


class Usage(BaseModel):
    """What is billed."""

    prompt_tokens: int = Field(ge=0, le=MAX_COUNT)
    completion_tokens: int = Field(ge=0, le=MAX_COUNT)


class Completion(BaseModel):
    """The part of a chat completion that is read."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait (a number or a date), if it does."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def one_line(text: str) -> str:
    """Return a server's words shortened and harmless on a terminal."""
    return "".join(char if char.isprintable() else " " for char in text[:300])
