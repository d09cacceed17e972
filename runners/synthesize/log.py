"""The teacher's replies, kept as they come in: what was paid for once is not paid for again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from runners.synthesize.teachers import Reply


class ReplyLog:
    """An append-only file of replies by the hash of their request.

    Every reply is on disk before the next step. A process killed in the middle of a line leaves a
    line that can't be read; it is passed over, and its request is asked again.

    Parameters
    ----------
    path : Path
        Made at the first reply.
    read_only : bool
        Leave the file as it is; what is added is remembered only.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.cost = 0.0
        """What all replies and failures cost, where that is known."""
        self._path = path
        self._read_only = read_only
        self._replies: dict[str, Reply] = {}
        if not path.is_file():
            return
        with path.open("rb") as handle:
            for line in handle:
                try:
                    document = json.loads(line)
                    self._take(document.pop("key"), Reply(**document))
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
        if not read_only:
            self._close_line()

    def _close_line(self) -> None:
        """End a line that was cut off, so that the next reply begins its own."""
        with self._path.open("rb+") as handle:
            if handle.seek(0, os.SEEK_END):
                handle.seek(-1, os.SEEK_END)
                if handle.read(1) != b"\n":
                    handle.write(b"\n")

    def __len__(self) -> int:
        """Count the requests that were answered."""
        return len(self._replies)

    def __contains__(self, key: str) -> bool:
        """Tell whether a request was answered."""
        return key in self._replies

    def __getitem__(self, key: str) -> Reply:
        """Return the reply to a request."""
        return self._replies[key]

    def _take(self, key: str, reply: Reply) -> None:
        """Remember a reply; of a failure only what it cost."""
        self.cost += reply.cost or 0.0
        if reply.failure is None:
            self._replies[key] = reply

    def add(self, replies: dict[str, Reply]) -> None:
        """Keep replies and failures; replies that are there already stay."""
        new = {key: reply for key, reply in replies.items() if key not in self._replies}
        if new and not self._read_only:
            self._write(new)
        for key, reply in new.items():
            self._take(key, reply)

    def _write(self, new: dict[str, Reply]) -> None:
        """Append replies, and wait until they are on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(
            json.dumps({"key": key} | asdict(reply), ensure_ascii=False) + "\n"
            for key, reply in new.items()
        )
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(lines)
            handle.flush()
            os.fsync(handle.fileno())
