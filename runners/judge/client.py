"""A client for any OpenAI-compatible endpoint: vLLM, `transformers serve`, hosted models.

The `openai` package speaks to the server; what to retry, what to stop at, what to spend and what to
remember is decided here. Keys come from the environment and leave this module in no reply, error
or file.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
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
from runners.judge.cache import CachedReply, ReplyCache
from runners.judge.chat import ChatReply, ChatRequest, Endpoint, hash_document
from runners.judge.spending import Budget, CostEstimate
from warehouse.errors import InputError, MissingDependencyError, WorkError

if TYPE_CHECKING:
    import openai

MAX_ATTEMPTS = 8
MAX_CONNECT_ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5
"""Waits double from the first on: 64 s in all, since many rate limits are per minute."""
LONGEST_RETRY_AFTER_SECONDS = 600.0
GIVE_UP_AFTER = 8
"""Requests in a row that failed after all attempts: the endpoint is taken to be down."""

_BYTES_PER_TOKEN = 3
# Far beyond any honest reply; what a broken server sends must not make files too large to ingest.
_LONGEST_TEXT = 1_000_000
# Chat templates add role markers, and some a system prompt of their own.
_TEMPLATE_TOKENS = 256


class ChatClient:
    """Asks one endpoint, from many threads at once.

    Parameters
    ----------
    endpoint : Endpoint
    cache : ReplyCache, optional
        Where replies are kept and looked up.
    budget : Budget, optional
        The cap; may be shared by clients.
    offline : bool
        Only to forecast costs: no key is needed, and nothing can be asked.

    Raises
    ------
    InputError
        If the key's variable is not set, or a cap is given without prices.
    MissingDependencyError
        If `openai` isn't installed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cache: ReplyCache | None = None,
        budget: Budget | None = None,
        offline: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.cache = cache
        self.budget = budget or Budget()
        if self.budget.limit is not None and endpoint.prices is None:
            raise InputError(
                f"A spend cap needs the prices of {endpoint.model}; give them, 0 where it is free."
            )
        self._key = None if offline else _read_key(endpoint.key_variable)
        self._openai = None if offline else _connect(endpoint, self._key)
        self._not_before = 0.0
        self._n_given_up = 0
        self._has_answered = False
        self._stopping = threading.Event()
        # None until the first request with a schema is answered; that one goes alone.
        self._knows_schema: bool | None = None
        self._probing = threading.Lock()

    # --- Asking -------------------------------------------------------------------------------

    def ask(self, request: ChatRequest) -> ChatReply:
        """Answer one request from the cache or the endpoint; thread-safe.

        Raises
        ------
        EndpointError
            If no request to the endpoint can succeed (unknown key or model, nobody there).
        SpendCapReachedError
            If the call doesn't fit under the cap.
        """
        key = self.request_key(request)
        known = self.cache.load(key) if self.cache else None
        if known is not None:
            return ChatReply(**vars(known), cached=True)
        reply = self._answer(request)
        if self.cache and reply.text is not None:
            self.cache.store(
                key,
                CachedReply(
                    text=reply.text,
                    finish_reason=reply.finish_reason,
                    n_prompt_tokens=reply.n_prompt_tokens,
                    n_completion_tokens=reply.n_completion_tokens,
                    latency_seconds=reply.latency_seconds or 0.0,
                    cost=reply.cost,
                    schema_sent=reply.schema_sent,
                    created_at=reply.created_at or "",
                ),
            )
        return reply

    def ask_many(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply]]:
        """Yield (place of the request, its reply) as replies come in.

        Equal requests are asked once; all but the first get the reply as if from the cache, and
        free of charge.

        Raises
        ------
        EndpointError, SpendCapReachedError
            As `ask`, after the replies that were under way have been yielded.
        """
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(self.request_key(request), []).append(place)
        waiting = iter(places.values())
        running: dict[Future[ChatReply], list[int]] = {}
        stop: WorkError | None = None
        pool = ThreadPoolExecutor(self.endpoint.concurrency)
        try:
            while True:
                # A few more than run, so that no thread waits for this one.
                while stop is None and len(running) < 2 * self.endpoint.concurrency:
                    group = next(waiting, None)
                    if group is None:
                        break
                    running[pool.submit(self.ask, requests[group[0]])] = group
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    group = running.pop(future)
                    try:
                        reply = future.result()
                    except WorkError as error:
                        stop = stop or error
                        self._stopping.set()
                        running = {f: g for f, g in running.items() if not f.cancel()}
                        continue
                    yield group[0], reply
                    again = replace(reply, cached=True, cost=reply.cost and 0.0)
                    for place in group[1:]:
                        yield place, again
        finally:
            self._stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stopping.clear()
        if stop is not None:
            raise stop

    def estimate(self, requests: Sequence[ChatRequest]) -> CostEstimate:
        """Forecast what a batch costs; asks nobody."""
        unique = {self.request_key(request): request for request in requests}
        todo = [r for key, r in unique.items() if not (self.cache and self.cache.load(key))]
        limits = [self._limit(request) for request in todo]
        n_prompt = sum(r.n_bytes // _BYTES_PER_TOKEN + 1 for r in todo)
        bounded = [limit for limit in limits if limit is not None]
        n_completion = sum(bounded) if len(bounded) == len(limits) else None
        cost = cost_at_most = None
        if self.endpoint.prices is not None and n_completion is not None:
            cost = self.endpoint.prices.cost(n_prompt, n_completion)
            cost_at_most = sum(self._reservation(request) for request in todo)
        return CostEstimate(
            n_calls=len(todo),
            n_cached=len(unique) - len(todo),
            n_prompt_tokens=n_prompt,
            n_completion_tokens_at_most=n_completion,
            cost=cost,
            cost_at_most=cost_at_most,
        )

    def request_key(self, request: ChatRequest) -> str:
        """Return what a reply is remembered by: endpoint, model, messages and parameters."""
        endpoint = self.endpoint
        body = {"messages": [dict(m) for m in request.messages], "schema": request.schema}
        return hash_document(
            [
                endpoint.base_url.rstrip("/"),
                endpoint.model,
                endpoint.revision,
                body,
                self.parameters(request),
            ]
        )

    def parameters(self, request: ChatRequest) -> dict[str, Any]:
        """Return the parameters that are sent, without messages and schema."""
        sent: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        } | dict(self.endpoint.parameters)
        return {name: value for name, value in sent.items() if value is not None}

    # --- One request --------------------------------------------------------------------------

    def _answer(self, request: ChatRequest) -> ChatReply:
        """Ask with the schema where the server knows schemas, else without."""
        try:
            if request.schema is None:
                return self._call(request, with_schema=False)
            # The first request goes alone, so that only one is refused by a server without schemas.
            with self._probing if self._knows_schema is None else contextlib.nullcontext():
                return self._call_in_form(request)
        except FailedCallError as error:
            return ChatReply(failure=str(error), cost=error.cost or None)

    def _call_in_form(self, request: ChatRequest) -> ChatReply:
        """Find out whether the server knows schemas, if that is not known yet."""
        if self._knows_schema is False:
            return self._call(request, with_schema=False)
        try:
            reply = self._call(request, with_schema=True)
        except RefusedCallError:
            if self._knows_schema:
                raise
            # Were it not about the schema, this would be refused as well.
            reply = self._call(request, with_schema=False)
            self._knows_schema = False
            return reply
        self._knows_schema = True
        return reply

    def _call(self, request: ChatRequest, *, with_schema: bool) -> ChatReply:
        """Return what the server answers, after as many attempts as the error deserves."""
        reserved = self._reservation(request)
        lost = 0.0
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self._wait_until(self._not_before)
            self.budget.reserve(reserved)
            cost = 0.0
            try:
                reply = self._post(request, with_schema=with_schema)
                # Unknown usage is taken for the most that it can be.
                cost = reserved if reply.cost is None else reply.cost
                self._n_given_up = 0
                self._has_answered = True
                return reply if reply.cost is None else replace(reply, cost=reply.cost + lost)
            except TransientCallError as error:
                cost = reserved if error.may_be_billed else 0.0
                lost += cost
                transient = error
            finally:
                self.budget.settle(reserved, cost)
            if attempt == MAX_ATTEMPTS or (
                transient.is_unreachable and attempt == MAX_CONNECT_ATTEMPTS
            ):
                break
            self._back_off(attempt, transient)
        self._n_given_up += 1
        never_there = transient.is_unreachable and not self._has_answered
        if never_there or self._n_given_up >= GIVE_UP_AFTER:
            raise EndpointError(f"{self._where} does not answer: {transient}; start it and go on.")
        raise FailedCallError(f"{transient} ({attempt} attempts)", cost=lost)

    def _back_off(self, attempt: int, error: TransientCallError) -> None:
        """Wait as long as the server asks, all threads together, or ever longer."""
        if error.retry_after is None:
            # Spread, so that calls that failed together don't come back together.
            seconds = FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
            self._wait_until(time.monotonic() + seconds)
            return
        if error.retry_after > LONGEST_RETRY_AFTER_SECONDS:
            raise EndpointError(
                f"{self._where} asks to wait {error.retry_after:.0f} s ({error}); run the same "
                "command again then."
            )
        self._not_before = max(self._not_before, time.monotonic() + error.retry_after)

    def _wait_until(self, moment: float) -> None:
        seconds = moment - time.monotonic()
        if seconds > 0 and self._stopping.wait(seconds):
            raise EndpointError(f"{self._where} was not asked again: another call ended the run.")

    def _post(self, request: ChatRequest, *, with_schema: bool) -> ChatReply:
        """Make one call.

        Raises
        ------
        TransientCallError, RefusedCallError, EndpointError
            By what went wrong: worth another attempt, this request's fault, or every request's.
        """
        import httpx2
        import openai

        assert self._openai is not None, "an offline client asks nobody"
        body = self.parameters(request) | {
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
            # The bare request: openai's typed method spends longer on looking at its arguments.
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
            failure = f"the reply was cut off at {self._limit(request)} tokens"
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
            return EndpointError(f"{self._where} refuses the key ({said}); {remedy}.")
        if status in (402, 403) or error.code == "insufficient_quota":
            return EndpointError(f"{self._where} denies access ({said}).")
        if status == 404:
            return EndpointError(
                f"{self._where} knows no model {self.endpoint.model!r} ({said}); check endpoint "
                "and model."
            )
        if status in (408, 429) or status >= 500:
            return TransientCallError(said, retry_after=read_retry_after(error.response.headers))
        return RefusedCallError(f"the server refuses the request ({said})")

    @property
    def _where(self) -> str:
        return f"The endpoint {self.endpoint.base_url}"

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _limit(self, request: ChatRequest) -> int | None:
        """Return the longest reply in tokens, None if nothing bounds it."""
        sent = self.parameters(request)
        limit = sent.get("max_tokens", sent.get("max_completion_tokens"))
        return int(limit) if limit is not None else None

    def _reservation(self, request: ChatRequest) -> float:
        """Return the most that one call can cost: no token is shorter than a byte."""
        if self.endpoint.prices is None:
            return 0.0
        limit = self._limit(request)
        if limit is None:
            if self.budget.limit is None:
                return 0.0
            raise InputError(
                f"A spend cap needs a limit of the reply; parameters of {self.endpoint.model} drop "
                "max_tokens without giving max_completion_tokens."
            )
        return self.endpoint.prices.cost(request.n_bytes + _TEMPLATE_TOKENS, limit)


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
