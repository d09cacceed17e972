"""What `synthesize` will ask and cost is told before anybody is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli
from runners.judge.chat import Endpoint
from runners.judge.client import ChatClient
from runners.judge.spending import Prices
from runners.synthesize.forecast import Forecast, forecast_synthesis
from runners.synthesize.run import synthesize
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import EndpointTeacher, Reply
from tests.runners.judge.scripted import Answer, ScriptedServer, completion
from tests.runners.synthesize.test_making import Scripted, echo, item, seeds, text
from warehouse.errors import InputError, WorkError

SPEC = SynthesisSpec(mode=Mode.ANSWERS, max_new_tokens=40)
WRITTEN = SynthesisSpec(mode=Mode.INSTRUCTIONS, n_per_ability=3, max_new_tokens=40)


def endpoint_teacher(prices: Prices | None = None, url: str = "http://x/v1") -> EndpointTeacher:
    where = Endpoint(base_url=url, model="m", prices=prices)
    return EndpointTeacher(ChatClient(where, offline=True))


def forecast(folder: Path, pool: Any, teacher: Any, spec: SynthesisSpec = SPEC) -> Forecast:
    return forecast_synthesis(spec, teacher, pool, folder / "out", evaluation=[])


def test_answers_cost_their_prompts_and_the_longest_replies(tmp_path: Path):
    question = "x" * 299
    expected = forecast(
        tmp_path, {"math": [item(question)]}, endpoint_teacher(Prices(prompt=1e4, completion=1e6))
    )
    assert not (tmp_path / "out").exists()
    calls = expected.estimate
    # 299 bytes at three a token, each of which costs 0.01; 40 tokens of 1 each.
    assert (calls.n_calls, calls.n_prompt_tokens) == (1, 100)
    assert calls.n_completion_tokens_at_most == 40
    assert calls.cost == pytest.approx(1 + 40)
    # At most a token a byte, and what a chat template adds.
    assert calls.cost_at_most == pytest.approx(0.01 * (299 + 256) + 40)


def test_what_is_left_out_before_the_answer_is_no_call(tmp_path: Path):
    repeated = text()
    pool = {"math": [item(repeated), item(f"{repeated} more"), item(text())]}
    assert forecast(tmp_path, pool, endpoint_teacher()).estimate.n_calls == 2


def test_seeds_that_may_be_needed_are_told_apart_from_those_that_are(tmp_path: Path):
    spec = SynthesisSpec(mode=Mode.ANSWERS, n_per_ability=4)
    expected = forecast(tmp_path, seeds(10, "code", "math"), endpoint_teacher(), spec)
    assert (expected.estimate.n_calls, expected.n_calls_at_most) == (8, 20)
    # The bound is reached where no reply is of use.
    teacher = Scripted(lambda *_: " ")
    synthesize(spec, teacher, seeds(10, "code", "math"), tmp_path / "used up")
    assert len(teacher.asked) == 20


def test_new_instructions_are_written_and_answered(tmp_path: Path):
    expected = forecast(tmp_path, seeds(5), endpoint_teacher(), WRITTEN)
    assert (expected.estimate.n_calls, expected.n_calls_at_most) == (6, 24)
    assert expected.estimate.n_completion_tokens_at_most == 6 * 40
    teacher = Scripted(lambda _, place: text() + str(place))
    synthesize(WRITTEN, teacher, seeds(5), tmp_path / "made")
    assert len(teacher.asked) == 6


def test_unknown_prices_are_null_with_a_reason(tmp_path: Path):
    document = forecast(tmp_path, seeds(2), endpoint_teacher()).document()
    assert document["cost"] is document["cost_at_most"] is document["spent"] is None
    assert document["cost_reason"] == "no prices were given"


def test_replies_that_are_kept_are_not_asked_for_again(tmp_path: Path):
    pool = seeds(6)
    broken = Scripted(lambda r, n: echo(r, n) if n < 4 else Reply(failure="HTTP 500"))
    with pytest.raises(WorkError):
        synthesize(SPEC, broken, pool, tmp_path / "out", evaluation=[])
    log = tmp_path / "out/.synthesis/replies.jsonl"
    with log.open("a", encoding="utf-8") as handle:
        handle.write('{"key": "cut off by a ki')
    before = log.read_bytes()
    broken.estimate = endpoint_teacher().estimate
    expected = forecast(tmp_path, pool, broken)
    assert (expected.n_kept, expected.spent, expected.estimate.n_calls) == (4, 2.0, 2)
    assert log.read_bytes() == before
    whole = Scripted(echo)
    synthesize(SPEC, whole, pool, tmp_path / "out", evaluation=[])
    assert len(whole.asked) == 2
    # A complete folder is asked nothing more, its log or not.
    log.unlink()
    assert forecast(tmp_path, pool, broken).estimate.n_calls == 0


def test_a_folder_with_other_data_has_no_forecast(tmp_path: Path):
    synthesize(SPEC, Scripted(echo), seeds(2), tmp_path / "out", evaluation=[])
    with pytest.raises(InputError, match="made in another way"):
        forecast(tmp_path, seeds(3), endpoint_teacher())


def test_the_command_tells_it_and_asks_nobody(tmp_path: Path):
    pool = tmp_path / "seeds.jsonl"
    turns = [{"role": "user", "content": "Say so."}, {"role": "assistant", "content": "GOLD"}]
    pool.write_text(json.dumps({"messages": turns, "type": "chat"}) + "\n", "utf-8")

    def answer(*_: object) -> Answer:
        return completion("so")

    server = ScriptedServer(answer)
    try:
        options = ["synthesize", "--endpoint", server.url, "--model", "m", "--seeds", str(pool)]
        options += ["--out", str(tmp_path / "out"), "--prompt-price", "0", "--completion-price"]
        options += ["1000000", "--max-new-tokens", "32", "--json", "--max-cost", "40"]
        # The key is not set, and is not needed as nobody is asked.
        dry = CliRunner().invoke(cli.app, [*options, "--key-variable", "NO_SUCH_KEY", "--dry-run"])
        assert dry.exit_code == 0 and server.n_asked == 0
        assert not (tmp_path / "out").exists()
        asked = json.loads(dry.stdout)["forecast"]
        assert (asked["n_calls"], asked["cost"], asked["cost_at_most"]) == (1, 32.0, 32.0)
        assert "calls to make: 1" in dry.stderr and "Warning" not in dry.stderr
        low = CliRunner().invoke(cli.app, [*options[:-1], "31", "--dry-run"])
        assert "0 of the cap of 31 is spent, so it may end the run early" in low.stderr
        done = CliRunner().invoke(cli.app, options)
        assert json.loads(done.stdout)["forecast"]["n_calls"] == server.n_asked == 1
        again = CliRunner().invoke(cli.app, options)
        assert "Replies kept: 1; calls to make: 0" in again.stderr
    finally:
        server.close()
