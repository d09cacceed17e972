"""What is asked of a language model, where, and what it answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from runners.judge.spending import Prices
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a model is asked.

    Attributes
    ----------
    base_url : str
        Up to and with the version, e.g. http://127.0.0.1:8000/v1.
    model : str
        Name that the server knows; for `transformers serve` also a local folder.
    key_variable : str or None
        Environment variable that holds the key; None for servers that want none.
    revision : str or None
        Tells apart models that the server gives the same name; part of the cache key.
    prices : Prices or None
        None: unknown, so cost is unknown too and no cap can hold.
    parameters : mapping
        More fields of the request, e.g. reasoning_effort; null drops one that is sent by default
        (max_tokens, temperature).
    concurrency : int, at least 1
        Calls at once.
    timeout_seconds : float
        Silence after which a call is given up.

    Raises
    ------
    InputError
        If the URL is none, or holds credentials.
    """

    base_url: str
    model: str
    key_variable: str | None = None
    revision: str | None = None
    prices: Prices | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    timeout_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what can't be asked, before anything is."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("An endpoint is a URL such as http://127.0.0.1:8000/v1.")
        if parts.username or parts.password or parts.query:
            raise InputError(
                f"The endpoint at {parts.hostname} holds credentials or a query; name the "
                "environment variable that holds the key instead (key_variable)."
            )

    @property
    def where(self) -> str:
        """The endpoint as errors name it."""
        return f"The endpoint {self.base_url}"

    def parameters_for(self, request: ChatRequest) -> dict[str, Any]:
        """Return the parameters that are sent, without messages and schema."""
        sent: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        } | dict(self.parameters)
        return {name: value for name, value in sent.items() if value is not None}

    def reply_limit(self, request: ChatRequest) -> int | None:
        """Return the longest reply in tokens, None if nothing bounds it.

        Raises
        ------
        InputError
            If the endpoint's parameters give no whole number.
        """
        sent = self.parameters_for(request)
        limit = sent.get("max_tokens", sent.get("max_completion_tokens"))
        if limit is not None and type(limit) is not int:
            raise InputError(
                f"The parameters of {self.model} limit replies to {limit!r:.60} tokens; give a "
                "whole number."
            )
        return limit


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One question.

    Attributes
    ----------
    messages : tuple of mapping
        Each with role and content.
    max_tokens : int
        Longest reply, in tokens.
    temperature : float
    seed : int or None
        Sent if given; requests that differ in it are different questions.
    schema : mapping or None
        JSON schema of the reply, asked of servers that know `response_format`. The reply is text in
        any case: who asks has to parse it strictly.
    reject : callable or None
        Takes a reply's text and returns why it is unusable, or None. A rejected reply is a failure
        like any other: it isn't cached, so that the next run asks again.
    """

    messages: tuple[Mapping[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    reject: Callable[[str], str | None] | None = field(default=None, compare=False)

    @property
    def prompt_hash(self) -> str:
        """Hash of the messages."""
        return hash_document([dict(message) for message in self.messages])

    @property
    def n_bytes(self) -> int:
        """Size of all that the model reads, in UTF-8."""
        schema = json.dumps(self.schema) if self.schema else ""
        return len(schema) + sum(len(m["content"].encode()) for m in self.messages)


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """An answer, or the reason why there is none.

    Attributes
    ----------
    text : str or None
        None if the request failed, or if it was answered by nothing that can be used.
    failure : str or None
        One sentence; None if there is a text.
    partial : str or None
        What a failed reply did say (cut off, or rejected), for reading.
    cost : float or None
        What it cost when it was made, with attempts that broke off and may have been billed; None
        where prices or tokens are unknown.
    cached : bool
        Whether it was paid for earlier.
    schema_sent : bool
        Whether the request held the schema; some servers ignore it.
    """

    text: str | None = None
    failure: str | None = None
    partial: str | None = None
    finish_reason: str | None = None
    n_prompt_tokens: int | None = None
    n_completion_tokens: int | None = None
    latency_seconds: float | None = None
    cost: float | None = None
    cached: bool = False
    schema_sent: bool = False
    created_at: str | None = None


def hash_document(document: object) -> str:
    """Return the SHA-256 of a JSON document, whatever the order of its keys."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
