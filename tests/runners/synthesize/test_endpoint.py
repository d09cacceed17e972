"""A teacher over HTTP: a scripted server, a killed run, and `transformers serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli
from runners.judge import client
from tests.runners.judge.scripted import Answer, ScriptedServer, completion
from tests.runners.serving import serve_smollm2
from warehouse.errors import InputError, WorkError

ROOT = Path(__file__).parents[3]
KEY = "sk-not-to-be-seen"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)


def answer(body: dict[str, Any], _: int) -> Answer:
    return completion(f"answer to {body['messages'][-1]['content']}")


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    words = "river stone cloud lamp road bell field wheel coat bread".split()
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"say {one} then {two}"},
                {"role": "assistant", "content": "GOLD"},
            ],
            "type": "chat",
        }
        for one in words
        for two in words[:2]
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "chat.jsonl").write_text(text, "utf-8")
    return folder


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer(answer)
    yield scripted
    scripted.close()


def arguments(server: ScriptedServer, seeds: Path, out: Path, *more: str) -> list[str]:
    return [
        *("synthesize", "--endpoint", server.url, "--model", "m", "--seeds", str(seeds)),
        *("--out", str(out), "--max-similarity", "1", "--json", *more),
    ]


def run(*options: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli.app, list(options))
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def test_every_seed_is_answered_once(server: ScriptedServer, seeds: Path, tmp_path: Path):
    out = tmp_path / "out"
    document = run(*arguments(server, seeds, out))
    assert document["n_examples"] == server.n_asked == 20
    assert document["cost"] is None and "no prices" in document["cost_reason"]
    assert document["n_tokens"] == 200
    assert not any("GOLD" in json.dumps(body) for body in server.bodies)
    assert run(*arguments(server, seeds, out))["is_new"] is False
    assert server.n_asked == 20


def test_the_cap_holds_over_all_runs_and_what_is_done_is_kept(
    server: ScriptedServer, seeds: Path, tmp_path: Path
):
    out = tmp_path / "out"
    # A reply costs 10 tokens at 0.1; one of 32 tokens is reserved.
    prices = ("--prompt-price", "0", "--completion-price", "100000", "--max-new-tokens", "32")
    with pytest.raises(WorkError, match="What is done is kept"):
        run(*arguments(server, seeds, out, *prices, "--max-cost", "10"))
    asked = server.n_asked
    assert 0 < asked < 20
    with pytest.raises(WorkError, match="What is done is kept"):
        run(*arguments(server, seeds, out, *prices, "--max-cost", "10"))
    assert server.n_asked == asked
    document = run(*arguments(server, seeds, out, *prices, "--max-cost", "100"))
    assert server.n_asked == 20
    assert document["cost"] == pytest.approx(20.0)


def test_cut_off_replies_are_paid_for_once(seeds: Path, tmp_path: Path):
    server = ScriptedServer(
        lambda body, _: (
            completion("half a", finish_reason="length")
            if "river" in body["messages"][-1]["content"]
            else answer(body, 0)
        )
    )
    try:
        document = run(*arguments(server, seeds, tmp_path / "out"))
    finally:
        server.close()
    # river stands in 2 questions as the first word and in 9 others as the second.
    assert document["abilities"]["chat"]["left_out"]["cut_off"] == 11
    assert document["n_examples"] == 9
    log = (tmp_path / "out/.synthesis/replies.jsonl").read_text("utf-8")
    assert log.count('"cut_off": true') == 11


def test_keys_come_from_the_environment_and_stay_out_of_every_file(
    server: ScriptedServer, seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEACHER_KEY", KEY)
    out = tmp_path / "out"
    run(*arguments(server, seeds, out, "--key-variable", "TEACHER_KEY"))
    assert set(server.authorizations) == {f"Bearer {KEY}"}
    files = [path for path in out.rglob("*") if path.is_file()]
    assert files and not any(KEY in path.read_text("utf-8") for path in files)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "Name one teacher"),
        (["--teacher", "ladder-s", "--endpoint", "http://x/v1"], "Name one teacher"),
        (["--endpoint", "http://x/v1"], "name one with --model"),
        (["--endpoint", "http://x/v1", "--model", "m", "--prompt-price", "1"], "both prices"),
        (["--endpoint", "http://x/v1", "--model", "m", "--max-cost", "1"], "spend cap needs"),
        (["--mode", "poems"], "--mode 'poems' is unknown"),
        (["--teacher", "ladder-s", "--mode", "instructions"], "--n COUNT"),
        (["--teacher", "ladder-s", "--abilities", "art"], "no seeds of art"),
    ],
)
def test_bad_options_are_one_sentence(
    seeds: Path, tmp_path: Path, options: list[str], problem: str
):
    with pytest.raises(InputError, match=problem):
        run("synthesize", "--seeds", str(seeds), "--out", str(tmp_path / "out"), *options)
    assert not (tmp_path / "out").exists()


def test_a_killed_run_goes_on_and_pays_nothing_twice(seeds: Path, tmp_path: Path):
    concurrency = 2

    def slowly(body: dict[str, Any], number: int) -> Answer:
        # From the ninth on nothing comes back before the kill.
        return Answer(answer(body, 0).body, delay=60 if number >= 8 else 0)

    server = ScriptedServer(slowly)
    out = tmp_path / "out"
    options = arguments(server, seeds, out, "--concurrency", str(concurrency))
    process = subprocess.Popen(
        [sys.executable, "cli.py", *options], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        log = out / ".synthesis/replies.jsonl"
        deadline = time.monotonic() + 240
        while not (log.is_file() and log.read_bytes().count(b"\n") >= 8):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "manifest.json").exists()
        asked = server.n_asked
        assert asked <= 8 + concurrency
        server.script = answer
        document = run(*options)
        # Only what was under way when it was killed is asked again.
        assert server.n_asked - asked == 20 - 8
        undisturbed = run(*arguments(server, seeds, tmp_path / "again"))
        assert document["data_hash"] == undisturbed["data_hash"]
        (resumed, whole) = (f / "chat_synthetic.jsonl" for f in (out, tmp_path / "again"))
        assert resumed.read_bytes() == whole.read_bytes()
    finally:
        process.kill()
        server.close()


# ------------------------------------------------------------------- the real thing over HTTP


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """SmolLM2-135M behind `transformers serve`: (URL, model)."""
    pytest.importorskip("gguf")

    with serve_smollm2(tmp_path_factory.mktemp("served")) as server:
        yield server.url, server.model


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["answers", "instructions"])
def test_a_served_model_writes_data(
    served: tuple[str, str], seeds: Path, tmp_path: Path, mode: str
):
    url, model = served
    out = tmp_path / "out"
    options = ["synthesize", "--endpoint", url, "--model", model, "--seeds", str(seeds)]
    options += ["--out", str(out), "--mode", mode, "--n", "1", "--max-new-tokens", "24"]
    options += ["--keep-cut-off", "--max-similarity", "1", "--concurrency", "1", "--json"]
    document = run(*options)
    report = document["abilities"]["chat"]
    assert report["n_examples"] + sum(report["left_out"].values()) == report["n_proposed"]
    assert document["n_tokens"] > 0
    if mode == "answers":
        assert report["n_examples"] == 1
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["provenance"]["teacher"]["model"] == model
