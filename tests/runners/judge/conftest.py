"""Scripted servers, and back-off that doesn't keep tests waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runners.judge import client
from tests.runners.judge.scripted import Answer, ScriptedServer


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[dict[str, Any], int], Answer]], ScriptedServer]]:
    """Start a scripted server; all are closed at the end of the test."""
    servers: list[ScriptedServer] = []

    def start(script: Callable[[dict[str, Any], int], Answer]) -> ScriptedServer:
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
