"""Times votes against a local server that answers after a fixed latency."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from runners.judge.calibration import HumanPair, make_pair_ballots
from runners.judge.run import JudgeRun
from runners.judge_spec import JudgeModelSpec, JudgeSpec
from warehouse.errors import WorkError
from warehouse.workspace import Workspace

Row = tuple[str, str, str]
_VERDICT = json.dumps({"reason": "It is shorter.", "verdict": "A"})
_BODY = json.dumps(
    {
        "choices": [{"finish_reason": "stop", "message": {"content": _VERDICT}}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 15},
    }
).encode()


@dataclass(frozen=True, kw_only=True)
class ClientSpeed:
    """Seconds of one run over `n_votes` votes, planned, asked, cached and landed."""

    n_votes: int
    concurrency: int
    latency_seconds: float
    seconds: float
    again_seconds: float

    @property
    def ideal_seconds(self) -> float:
        """What the latency alone takes."""
        return self.n_votes / self.concurrency * self.latency_seconds

    def rows(self) -> list[Row]:
        """Lines of the table in docs/benchmarks.md."""
        over = self.seconds - self.ideal_seconds
        return [
            (
                "votes",
                f"{self.n_votes:,}, {self.concurrency} at once, {1000 * self.latency_seconds:.0f} "
                "ms latency",
                "",
            ),
            ("latency alone", f"{self.ideal_seconds:.2f} s", ""),
            ("all votes asked, cached and landed", f"{self.seconds:.2f} s", ""),
            ("over the latency alone", f"{over:.2f} s", "under 3 s"),
            ("the same from the cache", f"{self.again_seconds:.2f} s", ""),
        ]


def measure_client(
    n_votes: int = 1000, concurrency: int = 32, latency_seconds: float = 0.05
) -> ClientSpeed:
    """Run `n_votes` votes, twice; the second time nothing has landed but all is in the cache.

    Raises
    ------
    WorkError
        If a vote fails.
    """
    near, far = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=_serve, args=(far, latency_seconds), daemon=True)
    server.start()
    try:
        # Once a process, however many votes there are.
        importlib.import_module("openai")
        url = f"http://127.0.0.1:{near.recv()}/v1"
        with tempfile.TemporaryDirectory() as scratch:
            seconds = _time_votes(Path(scratch), url, n_votes, concurrency)
            landed = Path(scratch) / "landing"
            landed.rename(Path(scratch) / "landed")
            again_seconds = _time_votes(Path(scratch), url, n_votes, concurrency)
    finally:
        server.terminate()
        server.join()
    return ClientSpeed(
        n_votes=n_votes,
        concurrency=concurrency,
        latency_seconds=latency_seconds,
        seconds=seconds,
        again_seconds=again_seconds,
    )


def _time_votes(root: Path, url: str, n_votes: int, concurrency: int) -> float:
    judge = JudgeModelSpec(name="bench", model="bench", endpoint=url, concurrency=concurrency)
    spec = JudgeSpec(judges=(judge,), abilities=("bench",))
    pairs = [
        HumanPair(
            instruction=f"Write a short story about the number {number}.",
            output_a=f"Once there was {number}. " * 10,
            output_b=f"{number} was never seen again. " * 10,
            preference=1.5,
            item_id=f"i{number}",
            model_a="a",
            model_b="b",
            annotator="nobody",
            ability="bench",
        )
        for number in range(n_votes // 2)
    ]
    began = time.perf_counter()
    run = JudgeRun(Workspace(root=root), "bench", spec, list(make_pair_ballots(pairs, spec)))
    outcome = run.run()
    seconds = time.perf_counter() - began
    if outcome.n_decided != n_votes:
        raise WorkError(f"{n_votes - outcome.n_decided} of {n_votes} votes failed.")
    return seconds


def _serve(pipe: Connection, latency_seconds: float) -> None:
    """Answer every request with one verdict, after the latency; runs in a process of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            """Answer."""
            self.rfile.read(int(self.headers["content-length"]))
            time.sleep(latency_seconds)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(_BODY)))
            self.end_headers()
            self.wfile.write(_BODY)

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()
