"""The client against scripted servers: what is retried, what stops, what is paid and kept."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from runners.judge.answers import EndpointError
from runners.judge.cache import ReplyCache
from runners.judge.chat import ChatRequest, Endpoint
from runners.judge.client import MAX_ATTEMPTS, ChatClient
from runners.judge.spending import Budget, Prices, SpendCapReachedError
from tests.runners.judge.scripted import Answer, completion, error
from warehouse.errors import InputError

SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}}
DOLLAR_A_TOKEN = Prices(prompt=1e6, completion=1e6)


def question(text: str = "Which?", **settings) -> ChatRequest:
    messages = ({"role": "user", "content": text},)
    return ChatRequest(**{"messages": messages, "max_tokens": 10} | settings)


def client_of(server, **settings) -> ChatClient:
    kept = {name: settings.pop(name) for name in ("cache", "budget") if name in settings}
    return ChatClient(Endpoint(**{"base_url": server.url, "model": "m"} | settings), **kept)


def say_a(body, n_before):
    return completion("A")


# --- Errors by kind ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_errors_that_pass_are_tried_again(serve, status) -> None:
    server = serve(lambda body, n: error(status) if n < 2 else completion("A"))
    reply = client_of(server).ask(question())
    assert (reply.text, server.n_asked) == ("A", 3)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_fails_at_once_and_alone(serve, status) -> None:
    server = serve(lambda body, n: error(status, "context of 10 tokens is full"))
    reply = client_of(server).ask(question())
    assert reply.text is None
    assert reply.failure == (
        f"the server refuses the request (HTTP {status}: context of 10 tokens is full)"
    )
    assert server.n_asked == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(401), "refuses the key"),
        (error(403), "denies access"),
        (error(404), "knows no model 'm'"),
        (error(429, code="insufficient_quota"), "denies access"),
    ],
)
def test_what_no_request_survives_stops_the_run(serve, answer, said) -> None:
    server = serve(lambda body, n: answer)
    client = client_of(server, concurrency=2)
    with pytest.raises(EndpointError, match=said):
        list(client.ask_many([question(str(n)) for n in range(50)]))
    assert server.n_asked <= 4


def test_a_request_that_keeps_failing_fails_with_its_reason_and_the_others_go_on(serve) -> None:
    def script(body, n):
        return error(500, "boom") if "bad" in body["messages"][0]["content"] else completion("A")

    server = serve(script)
    replies = dict(client_of(server).ask_many([question("bad"), question("1"), question("2")]))
    assert [replies[place].text for place in range(3)] == [None, "A", "A"]
    assert replies[0].failure.startswith("HTTP 500")
    assert replies[0].failure.endswith(f"({MAX_ATTEMPTS} attempts)")
    assert server.n_asked == MAX_ATTEMPTS + 2


def test_a_server_that_only_fails_is_given_up_before_all_requests_are_tried(serve) -> None:
    server = serve(lambda body, n: error(503))
    client = client_of(server, concurrency=4)
    with pytest.raises(EndpointError, match="does not answer: HTTP 503"):
        list(client.ask_many([question(str(n)) for n in range(200)]))
    assert server.n_asked <= 16 * MAX_ATTEMPTS


def test_nobody_at_the_address_is_said_after_a_few_attempts() -> None:
    client = ChatClient(Endpoint(base_url="http://127.0.0.1:9/v1", model="m"))
    with pytest.raises(EndpointError, match="nobody answers at this address; start it"):
        client.ask(question())


def test_silence_is_given_up_and_tried_again(serve) -> None:
    def script(body, n):
        return Answer(completion("A").body, delay=0.5 if n == 0 else 0)

    server = serve(script)
    reply = client_of(server, timeout_seconds=0.1).ask(question())
    assert (reply.text, server.n_asked) == ("A", 2)


def test_a_reply_that_breaks_off_is_tried_again(serve) -> None:
    server = serve(lambda body, n: Answer(completion("A").body, cut=40 if n == 0 else None))
    reply = client_of(server).ask(question())
    assert (reply.text, server.n_asked) == ("A", 2)


def test_retry_after_is_honoured_by_all_calls(serve) -> None:
    server = serve(lambda body, n: error(429, retry_after="1") if n == 0 else completion("A"))
    client = client_of(server, concurrency=1)
    replies = list(client.ask_many([question("1"), question("2")]))
    assert [reply.text for _, reply in replies] == ["A", "A"]
    assert server.times[1] - server.times[0] >= 1.0


def test_retry_after_may_be_a_date_and_a_very_late_one_stops(serve) -> None:
    late = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    server = serve(lambda body, n: error(429, retry_after=late))
    with pytest.raises(EndpointError, match=r"asks to wait 7\d\d\d s"):
        client_of(server).ask(question())
    assert server.n_asked == 1


# --- Replies that say nothing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion("Wellll", finish_reason="length"), "the reply was cut off at 10 tokens"),
        (completion("", finish_reason="stop"), "the reply is empty"),
        (completion(None), "the reply is empty"),
        (
            completion("x", finish_reason="content_filter"),
            "the server's content filter withheld the reply",
        ),
        (completion("x" * 1_000_001), "the reply is longer than 1,000,000 characters"),
        (completion("A", usage=(10**30, 1)), "the server's answer is not a chat completion"),
        (Answer(b'{"verdict": "A"}'), "the server's answer is not a chat completion"),
        (Answer(b'{"choices": []}'), "the server's answer is not a chat completion"),
        (Answer(b"<html>welcome</html>"), "the server's answer is not a chat completion"),
        (Answer(b"[" * 100_000), "the server's answer is not a chat completion"),
        (
            Answer(b'{"choices": [{"message": {"content": {"a": 1}}}]}'),
            "the server's answer is not a chat completion",
        ),
    ],
)
def test_a_reply_without_a_usable_text_is_a_failure_that_is_asked_again(
    serve, tmp_path, answer, reason
) -> None:
    server = serve(lambda body, n: answer)
    client = client_of(server, cache=ReplyCache(tmp_path))
    reply = client.ask(question())
    assert (reply.text, reply.failure) == (None, reason)
    assert server.n_asked == 1
    client.ask(question())
    assert server.n_asked == 2


def test_what_a_cut_reply_said_is_kept_for_reading(serve) -> None:
    server = serve(lambda body, n: completion("I think", finish_reason="length"))
    assert client_of(server).ask(question()).partial == "I think"


def test_a_rejected_reply_is_a_failure_and_not_cached(serve, tmp_path) -> None:
    server = serve(lambda body, n: completion("maybe" if n == 0 else "A"))
    client = client_of(server, cache=ReplyCache(tmp_path))
    picky = question(reject=lambda text: None if text == "A" else "no verdict")
    first = client.ask(picky)
    assert (first.text, first.failure, first.partial) == (None, "no verdict", "maybe")
    assert client.ask(picky).text == "A"
    assert client.ask(picky).cached
    assert server.n_asked == 2


# --- Schema -----------------------------------------------------------------------------------


def test_a_server_with_schemas_is_held_to_them(serve) -> None:
    server = serve(say_a)
    reply = client_of(server).ask(question(schema=SCHEMA))
    assert reply.schema_sent
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_schemas_refuses_once_only(serve, status) -> None:
    server = serve(lambda body, n: error(status) if "response_format" in body else completion("A"))
    client = client_of(server, concurrency=8)
    requests = [question(str(n), schema=SCHEMA) for n in range(20)]
    assert {reply.text for _, reply in client.ask_many(requests)} == {"A"}
    assert sum("response_format" in body for body in server.bodies) == 1
    assert server.n_asked == 21


def test_a_request_refused_for_another_reason_does_not_give_schemas_up(serve) -> None:
    def script(body, n):
        return error(400) if "long" in body["messages"][0]["content"] else completion("A")

    server = serve(script)
    client = client_of(server)
    assert client.ask(question("long", schema=SCHEMA)).failure is not None
    assert client.ask(question("short", schema=SCHEMA)).schema_sent


# --- Parameters and keys ----------------------------------------------------------------------


def test_parameters_are_sent_and_null_drops_one(serve) -> None:
    server = serve(say_a)
    more = {"max_tokens": None, "max_completion_tokens": 50, "reasoning_effort": "low"}
    client_of(server, parameters=more).ask(question(seed=7))
    sent = server.bodies[0]
    assert sent["max_completion_tokens"] == 50
    assert sent["reasoning_effort"] == "low"
    assert (sent["seed"], sent["temperature"]) == (7, 0.0)
    assert "max_tokens" not in sent


def test_the_key_is_sent_and_leaks_nowhere(serve, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)

    def script(body, n):
        if body["messages"][0]["content"] == "refused":
            return error(400, "your key sk-very-secret is fine, the rest isn't")
        return completion("you sent sk-very-secret")

    server = serve(script)
    client = client_of(server, key_variable="JUDGE_KEY", cache=ReplyCache(tmp_path))
    refused, told = client.ask(question("refused")), client.ask(question())
    assert server.authorizations == ["Bearer sk-very-secret"] * 2
    assert told.text == "you sent [key]"
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    for text in (refused.failure, repr(client), repr(client.endpoint), kept, caplog.text):
        assert "secret" not in text


def test_the_key_is_in_no_error(serve, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    server = serve(lambda body, n: error(401, "sk-very-secret is not a key"))
    with pytest.raises(EndpointError) as caught:
        client_of(server, key_variable="JUDGE_KEY").ask(question())
    assert "secret" not in str(caught.value)
    assert "check the key in JUDGE_KEY" in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_limit_of_the_reply_that_is_no_number_is_refused() -> None:
    endpoint = Endpoint(base_url="http://h/v1", model="m", parameters={"max_tokens": "many"})
    with pytest.raises(InputError, match="limit replies to 'many' tokens; give a whole number"):
        ChatClient(endpoint, offline=True).estimate([question()])


def test_keys_of_openai_are_not_sent_to_other_endpoints(serve, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    server = serve(say_a)
    client_of(server).ask(question())
    assert server.authorizations == ["Bearer none"]


def test_a_variable_that_is_not_set_is_said() -> None:
    with pytest.raises(InputError, match="variable NO_SUCH_KEY is not set"):
        ChatClient(Endpoint(base_url="http://localhost/v1", model="m", key_variable="NO_SUCH_KEY"))


@pytest.mark.parametrize(
    "url", ["localhost:8000", "file:///etc/passwd", "http://u:p@host/v1", "http://host/v1?key=abc"]
)
def test_an_endpoint_that_is_no_plain_url_is_refused_without_repeating_it(url) -> None:
    with pytest.raises(InputError) as caught:
        Endpoint(base_url=url, model="m")
    assert url not in str(caught.value)


# --- Cache ------------------------------------------------------------------------------------


def test_a_reply_is_paid_once_and_kept_across_clients(serve, tmp_path) -> None:
    server = serve(say_a)
    first = client_of(server, cache=ReplyCache(tmp_path), prices=DOLLAR_A_TOKEN).ask(question())
    budget = Budget(1000)
    again = client_of(server, cache=ReplyCache(tmp_path), prices=DOLLAR_A_TOKEN, budget=budget).ask(
        question()
    )
    assert (first.cached, again.cached, server.n_asked) == (False, True, 1)
    assert (again.text, again.cost, budget.spent) == ("A", 110.0, 0.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"request": {"temperature": 0.5}},
        {"request": {"seed": 1}},
        {"request": {"schema": SCHEMA}},
        {"endpoint": {"model": "other"}},
        {"endpoint": {"revision": "2"}},
        {"endpoint": {"parameters": {"top_p": 0.5}}},
    ],
)
def test_another_question_is_not_answered_from_the_cache(serve, tmp_path, changed) -> None:
    server = serve(say_a)
    client_of(server, cache=ReplyCache(tmp_path)).ask(question())
    other = client_of(server, cache=ReplyCache(tmp_path), **changed.get("endpoint", {}))
    assert not other.ask(question(**changed.get("request", {}))).cached


def test_equal_requests_of_one_batch_are_asked_once(serve) -> None:
    server = serve(say_a)
    replies = list(client_of(server).ask_many([question()] * 5))
    assert sorted(place for place, _ in replies) == list(range(5))
    assert server.n_asked == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"text": 1}'])
def test_a_damaged_cache_file_is_asked_anew(serve, tmp_path, content) -> None:
    server = serve(say_a)
    client = client_of(server, cache=ReplyCache(tmp_path))
    client.ask(question())
    (path,) = tmp_path.rglob("*.json")
    path.write_text(content)
    assert client.ask(question()).text == "A"
    assert json.loads(path.read_text())["text"] == "A"


# --- Spending and concurrency -----------------------------------------------------------------


def test_no_more_calls_at_once_than_asked_for(serve) -> None:
    server = serve(lambda body, n: Answer(completion("A").body, delay=0.02))
    list(client_of(server, concurrency=3).ask_many([question(str(n)) for n in range(12)]))
    assert server.most_at_once == 3


def test_the_cap_holds_under_concurrency(serve) -> None:
    server = serve(lambda body, n: Answer(completion("A", usage=(100, 10)).body, delay=0.01))
    # Each call costs 110 and reserves 6 + 256 + 10 = 272 or a little more.
    budget = Budget(1500)
    client = client_of(server, budget=budget, prices=DOLLAR_A_TOKEN, concurrency=16)
    replies = []
    with pytest.raises(SpendCapReachedError, match="of the cap of 1500 is spent"):
        for _, reply in client.ask_many([question(str(n)) for n in range(100)]):
            replies.append(reply)
    assert budget.spent == 110 * server.n_asked <= 1500
    # What is left would not pay for one more call at its dearest.
    assert len(replies) == server.n_asked == 12


def test_calls_that_may_have_been_billed_count(serve) -> None:
    script = lambda body, n: Answer(completion("A").body, cut=40 if n == 0 else None)  # noqa: E731
    budget = Budget(1e9)
    reply = client_of(serve(script), budget=budget, prices=DOLLAR_A_TOKEN).ask(question())
    assert reply.cost == budget.spent == (len("Which?") + 256 + 10) + 110


def test_a_request_that_never_got_through_says_what_it_may_have_cost(serve) -> None:
    server = serve(lambda body, n: Answer(completion("A").body, cut=40))
    reply = client_of(server, prices=DOLLAR_A_TOKEN).ask(question())
    assert reply.failure.startswith("the connection broke off")
    assert reply.cost == MAX_ATTEMPTS * (len("Which?") + 256 + 10)


def test_refused_calls_cost_nothing_and_unknown_usage_the_most(serve) -> None:
    def script(body, n):
        return error(500) if n == 0 else completion("A", usage=None)

    budget = Budget(1e9)
    reply = client_of(serve(script), budget=budget, prices=DOLLAR_A_TOKEN).ask(question())
    assert reply.cost is None
    assert budget.spent == len("Which?") + 256 + 10


def test_a_cap_without_prices_is_refused() -> None:
    with pytest.raises(InputError, match="needs the prices of m"):
        ChatClient(Endpoint(base_url="http://localhost/v1", model="m"), budget=Budget(1))


def test_the_forecast_counts_new_questions_and_bounds_what_is_paid(serve, tmp_path) -> None:
    server = serve(say_a)
    client = client_of(server, cache=ReplyCache(tmp_path), prices=DOLLAR_A_TOKEN)
    client.ask(question("1"))
    forecast = client.estimate([question("1"), question("2"), question("2"), question("3" * 300)])
    assert (forecast.n_calls, forecast.n_cached) == (2, 1)
    assert forecast.n_completion_tokens_at_most == 20
    assert forecast.n_prompt_tokens == 1 + 101
    assert forecast.cost == 122
    assert forecast.cost_at_most == 301 + 2 * 256 + 20
    assert server.n_asked == 1


def test_a_run_that_is_broken_off_ends_soon(serve) -> None:
    server = serve(lambda body, n: completion("A") if n == 0 else error(503, retry_after="60"))
    began = time.monotonic()
    for _ in client_of(server, concurrency=4).ask_many([question(str(n)) for n in range(9)]):
        break
    assert time.monotonic() - began < 10


def test_temporary_files_of_a_killed_process_are_no_replies(serve, tmp_path: Path) -> None:
    server = serve(say_a)
    client = client_of(server, cache=ReplyCache(tmp_path))
    key = client.request_key(question())
    (tmp_path / key[:2]).mkdir()
    (tmp_path / key[:2] / f".{key}.1.1.tmp").write_text('{"text": "half')
    assert client.ask(question()).text == "A"
