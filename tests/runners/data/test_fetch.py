"""The paper's data set is fetched from a hub, here a local one, and its items are counted."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from runners.data.fetch import (
    DOIT_ABILITIES,
    DOIT_EXAMS,
    DOIT_REPOSITORY,
    check_counts,
    count_doit,
)

ROOT = Path(__file__).parents[3]
DOIT = ROOT / "tests" / "fixtures" / "doit"
COMMIT = "a" * 40


def tag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


class Hub:
    """As much of the hub's interface as a download needs."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.broken: set[str] = set()
        self.fetched: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                base = f"/api/datasets/{DOIT_REPOSITORY}"
                if path.startswith(f"{base}/tree/{COMMIT}"):
                    tree = [
                        {"type": "file", "path": name, "size": len(body), "oid": tag(body)}
                        for name, body in outer.files.items()
                    ]
                    self._send(json.dumps(tree).encode())
                elif path in (base, f"{base}/revision/main", f"{base}/revision/{COMMIT}"):
                    self._send(json.dumps({"id": DOIT_REPOSITORY, "sha": COMMIT}).encode())
                elif path.startswith(prefix := f"/datasets/{DOIT_REPOSITORY}/resolve/{COMMIT}/"):
                    self._send_file(path.removeprefix(prefix))
                else:
                    self._send(b"{}", status=404)

            def _send_file(self, name: str) -> None:
                if name in outer.broken or name not in outer.files:
                    self._send(b"{}", status=404)
                    return
                if self.command == "GET":
                    outer.fetched.append(name)
                body = outer.files[name]
                self._send(body, ETag=f'"{tag(body)}"', X_Repo_Commit=COMMIT)

            def _send(self, body: bytes, *, status: int = 200, **headers: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {
        str(path.relative_to(DOIT)): path.read_bytes() for path in sorted(DOIT.rglob("*.json"))
    }
    server = Hub(files | {"README.md": b"A small copy.", "preview.json": b"{}"})
    yield server
    server.close()


def fetch(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(folder.parent / "cache")}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "cli.py", "data", "fetch", "doit", str(folder), "--json"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_what_was_fetched_is_not_fetched_again(hub: Hub, tmp_path: Path):
    hub.broken = {"curated/full/math_hand.json"}
    failed = fetch(tmp_path / "doit", hub.url)
    assert failed.returncode == 1
    assert failed.stderr.count("Error: ") == 1 and "Traceback" not in failed.stderr
    assert "run it again: what has arrived is kept" in failed.stderr
    hub.broken, first = set(), list(hub.fetched)
    done = fetch(tmp_path / "doit", hub.url)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["revision"] == COMMIT
    assert document["n_items"]["curated/full"] == {"biology": 2, "math": 1}
    assert not all(check["is_met"] for check in document["checks"])
    assert sorted(set(first) | set(hub.fetched)) == sorted(hub.files)
    assert set(hub.fetched[len(first) :]) <= set(hub.files) - set(first)
    fetch(tmp_path / "doit", hub.url)
    assert len(hub.fetched) == len(hub.files)


def test_offline_is_one_sentence_and_exit_code_1(tmp_path: Path):
    done = fetch(tmp_path / "doit", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"Error: {DOIT_REPOSITORY} could not be fetched from")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_counts_are_compared_with_what_the_papers_experiment_draws():
    full = dict.fromkeys(DOIT_ABILITIES, 1306)
    counts = {
        "curated/1000": dict.fromkeys(DOIT_ABILITIES, 1000),
        "curated/full": full,
        "curated/valid": dict.fromkeys(DOIT_ABILITIES, 100),
        "curated/test": dict.fromkeys(DOIT_ABILITIES, 100) | dict.fromkeys(DOIT_EXAMS, 40),
        "synthetic/40960": {"unlabelled": 40_960},
    }
    assert all(check.is_met for check in check_counts(counts))
    short = counts | {"curated/full": full | {"biology": 1040}, "synthetic/40960": {"math": 9}}
    missed = [check for check in check_counts(short) if not check.is_met]
    assert [(check.folder, check.ability, check.at_least, check.found) for check in missed] == [
        ("curated/full", "biology", 1041, 1040),
        ("synthetic/40960", None, 40_960, 9),
    ]


def test_items_are_counted_by_folder_and_ability():
    counts = count_doit(DOIT)
    assert counts["synthetic/40960"] == {"unlabelled": 2}
    assert set(counts) == {"curated/full", "curated/test", "synthetic/40960"}
