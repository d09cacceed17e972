"""Replies by the hash of their request: what was paid for once is not paid for again."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class CachedReply:
    """A reply that a model gave, with what it took. Failures are never cached."""

    text: str
    finish_reason: str | None
    n_prompt_tokens: int | None
    n_completion_tokens: int | None
    latency_seconds: float
    cost: float | None
    schema_sent: bool
    created_at: str


class ReplyCache:
    """One JSON file a reply, written atomically: a process killed at any moment loses none.

    Parameters
    ----------
    folder : Path
        Made at the first reply. Deleting it costs money, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        # A folder of many thousand files is slow to list on some file systems.
        return self.folder / key[:2] / f"{key}.json"

    def load(self, key: str) -> CachedReply | None:
        """Return the reply to a request; None if there is none or its file is damaged."""
        try:
            return CachedReply(**json.loads(self._path(key).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def store(self, key: str, reply: CachedReply) -> None:
        """Keep a reply.

        Not flushed to the disk, which would cost more than the call: what a power cut loses is
        asked again.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(asdict(reply), ensure_ascii=False), "utf-8")
        temporary.replace(path)
