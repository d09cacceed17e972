"""The same question asked of pandas, SQLite and MLflow, at a size that they bear."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One other way to get an answer, against the warehouse's."""

    name: str
    question: str
    seconds: float
    ours_seconds: float

    def row(self) -> tuple[str, str, str]:
        """Line of the table in docs/benchmarks.md."""
        ratio = self.seconds / self.ours_seconds
        value = f"{self.seconds:.2f} s against {1000 * self.ours_seconds:.0f} ms: {ratio:.0f}x"
        return f"{self.name}: {self.question}", value, "at least 10x"


def measure_rivals(workspace: object, n_cells: int) -> tuple[Rival, ...]:
    """Placeholder."""
    return ()
