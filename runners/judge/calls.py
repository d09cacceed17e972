"""Calls to an OpenAI-compatible server, each made once, with what its answer or error means.

The `openai` package speaks to the server. Keys come from the environment and leave this module in
no reply, error or file.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from runners.judge.answers import (
    Completion,
    EndpointError,
    FailedCallError,
    RefusedCallError,
    TransientCallError,
    one_line,
    read_retry_after,
)
from runners.judge.chat import ChatReply, ChatRequest, Endpoint
from warehouse.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import openai

# Far beyond any honest reply; what a broken server sends must not make files too large to ingest.
_LONGEST_TEXT = 1_000_000


class Caller:
    """Makes calls to one endpoint, from many threads at once.

    Raises
    ------
    InputError
        If the key's variable is not set.
    MissingDependencyError
        If `openai` isn't installed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._key = _read_key(endpoint.key_variable)
        self._openai = _connect(endpoint, self._key)

    def call(self, request: ChatRequest, *, with_schema: bool) -> ChatReply:
        """Make one call.

        Raises
        ------
        TransientCallError, RefusedCallError, EndpointError
            By what went wrong: worth another attempt, this request's fault, or every request's.
        """
        import httpx2
        import openai

        body = self.endpoint.parameters_for(request) | {
            "model": self.endpoint.model,
            "messages": [dict(message) for message in request.messages],
        }
        if with_schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": request.schema},
            }
        began = time.perf_counter()
        try:
            # The bare request takes whatever fields the endpoint's parameters name.
            content = self._openai.post(
                "/chat/completions", cast_to=httpx2.Response, body=body
            ).content
        except openai.APIError as error:
            raise self._classify(error) from None
        return self._read(content, request, time.perf_counter() - began, with_schema)

    def _read(
        self, content: bytes, request: ChatRequest, latency: float, with_schema: bool
    ) -> ChatReply:
        """Turn a response into a reply; one that says nothing usable is a failure."""
        took: dict[str, Any] = {
            "latency_seconds": latency,
            "schema_sent": with_schema,
            "created_at": datetime.now(UTC).isoformat(),
        }
        try:
            completion = Completion.model_validate_json(content)
        except ValidationError:
            return ChatReply(failure="the server's answer is not a chat completion", **took)
        choice, usage = completion.choices[0], completion.usage
        if usage is not None:
            took["n_prompt_tokens"] = usage.prompt_tokens
            took["n_completion_tokens"] = usage.completion_tokens
            if self.endpoint.prices:
                took["cost"] = self.endpoint.prices.cost(
                    usage.prompt_tokens, usage.completion_tokens
                )
        text = self._redact(choice.message.content or "")
        took["finish_reason"] = choice.finish_reason
        failure = None
        if choice.finish_reason == "length":
            failure = f"the reply was cut off at {self.endpoint.reply_limit(request)} tokens"
        elif choice.finish_reason == "content_filter":
            failure = "the server's content filter withheld the reply"
        elif not text.strip():
            failure = "the reply is empty"
        elif len(text) > _LONGEST_TEXT:
            failure = f"the reply is longer than {_LONGEST_TEXT:,} characters"
        elif request.reject is not None:
            failure = request.reject(text)
        if failure is not None:
            return ChatReply(failure=failure, partial=text[:_LONGEST_TEXT] or None, **took)
        return ChatReply(text=text, **took)

    def _classify(self, error: openai.APIError) -> Exception:
        """Return what an error of the call means for this request and for all others."""
        import httpx2
        import openai

        if isinstance(error, openai.APIConnectionError):
            if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
                return TransientCallError("nobody answers at this address", is_unreachable=True)
            if isinstance(error, openai.APITimeoutError):
                seconds = self.endpoint.timeout_seconds
                return TransientCallError(f"no answer within {seconds:g} s", may_be_billed=True)
            return TransientCallError("the connection broke off", may_be_billed=True)
        body = error.body if isinstance(error.body, dict) else {}
        # Under "message" from most servers, under "detail" from those built on FastAPI.
        detail = str(body.get("message") or body.get("detail") or error.message)
        detail = one_line(self._redact(detail))
        if not isinstance(error, openai.APIStatusError):
            return FailedCallError(detail)
        status = error.status_code
        said = f"HTTP {status}: {detail}"
        if status == 401:
            variable = self.endpoint.key_variable
            remedy = f"check the key in {variable}" if variable else "name its key_variable"
            return EndpointError(f"{self.endpoint.where} refuses the key ({said}); {remedy}.")
        if status in (402, 403) or error.code == "insufficient_quota":
            return EndpointError(f"{self.endpoint.where} denies access ({said}).")
        if status == 404:
            return EndpointError(
                f"{self.endpoint.where} knows no model {self.endpoint.model!r} ({said}); check "
                "endpoint and model."
            )
        if status in (408, 429) or status >= 500:
            return TransientCallError(said, retry_after=read_retry_after(error.response.headers))
        return RefusedCallError(f"the server refuses the request ({said})")

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _read_key(variable: str | None) -> str | None:
    """Return the key that a variable holds."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"The environment variable {variable} is not set; put the key in it.")
    return key


def _connect(endpoint: Endpoint, key: str | None) -> openai.OpenAI:
    """Return openai's client without retries of its own."""
    try:
        import openai
    except ImportError as error:
        raise MissingDependencyError(
            "Asking a model needs the package openai; run pip install 'growthpace[judge]'."
        ) from error
    client = openai.OpenAI(
        base_url=endpoint.base_url,
        # With None openai would send the key in OPENAI_API_KEY to whatever endpoint this is.
        api_key=key or "none",
        timeout=endpoint.timeout_seconds,
        max_retries=0,
    )
    # These come from the environment as well.
    client.organization = client.project = None
    return client
