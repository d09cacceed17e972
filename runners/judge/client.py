"""A client for any OpenAI-compatible endpoint: vLLM, `transformers serve`, hosted models.

What to retry, what to stop at, what to spend and what to remember is decided here; `calls` speaks
to the server.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from runners.judge.answers import (
    EndpointError,
    FailedCallError,
    RefusedCallError,
    TransientCallError,
)
from runners.judge.cache import CachedReply, ReplyCache
from runners.judge.calls import Caller
from runners.judge.chat import ChatReply, ChatRequest, Endpoint, hash_document
from runners.judge.spending import BYTES_PER_TOKEN, Budget, CostEstimate
from warehouse.errors import InputError, WorkError

MAX_ATTEMPTS = 8
MAX_CONNECT_ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5
"""Waits double from the first on: 64 s in all, since many rate limits are per minute."""
LONGEST_RETRY_AFTER_SECONDS = 600.0
GIVE_UP_AFTER = 8
"""Requests in a row that failed after all attempts: the endpoint is taken to be down."""

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
        self._caller = None if offline else Caller(endpoint)
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
        limits = [self.endpoint.reply_limit(request) for request in todo]
        n_prompt = sum(r.n_bytes // BYTES_PER_TOKEN + 1 for r in todo)
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
                endpoint.parameters_for(request),
            ]
        )

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
        assert self._caller is not None, "an offline client asks nobody"
        reserved = self._reservation(request)
        lost = 0.0
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self._wait_until(self._not_before)
            self.budget.reserve(reserved)
            cost = 0.0
            try:
                reply = self._caller.call(request, with_schema=with_schema)
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
            raise EndpointError(
                f"{self.endpoint.where} does not answer: {transient}; start it and go on."
            )
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
                f"{self.endpoint.where} asks to wait {error.retry_after:.0f} s ({error}); run the "
                "same command again then."
            )
        self._not_before = max(self._not_before, time.monotonic() + error.retry_after)

    def _wait_until(self, moment: float) -> None:
        seconds = moment - time.monotonic()
        if seconds > 0 and self._stopping.wait(seconds):
            raise EndpointError(
                f"{self.endpoint.where} was not asked again: another call ended the run."
            )

    def _reservation(self, request: ChatRequest) -> float:
        """Return the most that one call can cost: no token is shorter than a byte."""
        if self.endpoint.prices is None:
            return 0.0
        limit = self.endpoint.reply_limit(request)
        if limit is None:
            if self.budget.limit is None:
                return 0.0
            raise InputError(
                f"A spend cap needs a limit of the reply; parameters of {self.endpoint.model} drop "
                "max_tokens without giving max_completion_tokens."
            )
        return self.endpoint.prices.cost(request.n_bytes + _TEMPLATE_TOKENS, limit)
