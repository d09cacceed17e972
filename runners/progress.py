"""Where a run stands, for the screen and the heartbeat."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that could not be done and why."""

    cell_id: str
    label: str
    stage: str
    reason: str


@dataclass(kw_only=True)
class Progress:
    """Where a run stands; shown by the CLI and written to the heartbeat."""

    n_total: int
    n_done: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds_planned: float = 0.0
    seconds_finished: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the speed so far; None before the first cell is finished."""
        if not self.seconds_finished:
            return None
        elapsed = time.monotonic() - self.began
        return elapsed * (self.seconds_planned / self.seconds_finished - 1)
