"""A small study on disk, with values that differ from field to field so that mix-ups show."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from warehouse import open_latest
from warehouse.ingest import ingest
from warehouse.landing import write_document, write_table
from warehouse.records import (
    TABLES,
    CellRecord,
    CompositionPart,
    ExclusionRecord,
    ImportedFile,
    ImportRecord,
    PlanRecord,
    RecordKind,
    RunRecord,
    RunStatus,
)
from warehouse.workspace import Workspace, open_workspace

Scores = dict[str, list[float | None]]

_ROOT = Path(__file__).parents[2]
_HOLD = """
import sys, duckdb
conn = duckdb.connect(sys.argv[1])
conn.execute("CREATE TABLE IF NOT EXISTS mine AS SELECT 1 AS x")
print("open", flush=True)
sys.stdin.readline()
conn.execute("INSERT INTO mine VALUES (2)")
"""
_POLL = """
import sys
from pathlib import Path
from warehouse import open_latest
last = False
while not last:
    last = Path(sys.argv[2]).exists()
    with open_latest(sys.argv[1]) as conn:
        print(conn.execute("SELECT max(n_attempts) FROM mart_cell").fetchone()[0], flush=True)
"""


class Landing:
    """Writes records into one workspace; keyword arguments of its methods replace fields."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def cell(self, cell_id: str, **changes: Any) -> CellRecord:
        """Describe a trained cell."""
        fields: dict[str, Any] = {
            "cell_id": cell_id,
            "label": f"label of {cell_id}",
            "base_model": "ladder-m",
            "base_model_revision": "rev-7",
            "n_params": 400_123,
            "data_source": "human",
            "design": "all_abilities",
            "design_target": None,
            "composition": (
                CompositionPart(data_source="human", ability="math", n_examples=16),
                CompositionPart(data_source="human", ability="code", n_examples=15),
            ),
            "composition_id": "comp-31",
            "volume_setting": 17,
            "volume_per": "ability",
            "seed": 3,
            "template": "template-1",
            "training": {"lr": 0.001},
            "scoring": {"batch": 8},
        }
        return CellRecord.model_validate(fields | changes)

    def base_cell(self, cell_id: str, **changes: Any) -> CellRecord:
        """Describe an untouched base model."""
        fields: dict[str, Any] = {
            "data_source": None,
            "design": "base",
            "composition": (),
            "composition_id": "comp-0",
            "volume_setting": 0,
            "volume_per": None,
            "seed": None,
        }
        return self.cell(cell_id, **(fields | changes))

    def plan(self, study: str, cells: list[CellRecord], *, stem: str = "", **changes: Any) -> Path:
        """Land a plan of these cells."""
        fields: dict[str, Any] = {
            "study": study,
            "grid": f"grid-of-{study}",
            "created_at": datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC),
            "resistant_delta": 0.05,
            "notice": "generated data",
            "out_of_domain": ("exam",),
            "grid_settings": {"name": study},
            "cells": tuple(cells),
        }
        record = PlanRecord.model_validate(fields | changes)
        return write_document(self.workspace, RecordKind.PLAN, stem or f"{study}-1", record)

    def run(self, cell_id: str, *, attempt: int = 1, **changes: Any) -> Path:
        """Land a run record of a done attempt."""
        fields: dict[str, Any] = {
            "cell_id": cell_id,
            "attempt": attempt,
            "status": RunStatus.DONE,
            "started_at": datetime(2026, 11, 20, 9, 0, 1, tzinfo=UTC),
            "finished_at": datetime(2026, 11, 20, 9, 2, 3, tzinfo=UTC),
            "git_commit": "0123abc",
            "environment": {"torch": "2.13.0"},
            "data_hash": "data-9",
            "checkpoint_rule": "last",
            "checkpoint_step": 23,
            "n_optimizer_steps": 24,
            "n_epochs": 4.5,
            "n_tokens": 2501,
            "n_target_tokens": 602,
            "n_truncated": 2,
            "train_loss": 1.25,
            "validation_loss": 1.75,
            "train_seconds": 61.5,
            "score_seconds": 32.25,
            "wall_seconds": 99.0,
            "peak_memory_bytes": 123_456_789,
            "energy_joules": 77.0,
            "cost": 0.125,
        }
        record = RunRecord.model_validate(fields | changes)
        return write_document(self.workspace, RecordKind.RUN, f"{cell_id}-{attempt}", record)

    def failure(self, cell_id: str, *, attempt: int = 1, reason: str = "out of memory") -> Path:
        """Land a run record of a failed attempt, which measured nothing."""
        moment = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
        record = RunRecord(
            cell_id=cell_id,
            attempt=attempt,
            status=RunStatus.FAILED,
            failure_stage="train",
            failure_reason=reason,
            started_at=moment,
            finished_at=moment,
        )
        return write_document(self.workspace, RecordKind.RUN, f"{cell_id}-{attempt}", record)

    def score_row(
        self, cell_id: str, ability: str, number: int, score: float | None, **changes: Any
    ) -> dict[str, Any]:
        """Describe one item score."""
        row: dict[str, Any] = {
            "cell_id": cell_id,
            "task": f"task-{ability}",
            "ability": ability,
            "item_id": f"{ability}-item-{number}",
            "prompt_hash": f"prompt-{number}",
            "target_hash": f"target-{number}",
            "metric": "accuracy",
            "higher_is_better": True,
            "scoring_rule": "letter",
            "score": score,
            "missing_reason": None if score is not None else "no reply",
            "parsed": score is not None,
            "response": "B",
            "choice_log_likelihoods": [-1.5, -2.5],
            "choice_tokens": [3, 4],
            "chance_level": 0.25,
            "chance_level_uniform": 0.125,
        }
        return row | changes

    def score_rows(self, cell_id: str, scores: Scores) -> list[dict[str, Any]]:
        """Describe item scores, one list an ability."""
        return [
            self.score_row(cell_id, ability, number, score)
            for ability, values in scores.items()
            for number, score in enumerate(values)
        ]

    def scores(self, cell_id: str, rows: list[dict[str, Any]], *, stem: str = "") -> Path:
        """Land item scores of one cell."""
        table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.ITEM_SCORE])
        return write_table(self.workspace, RecordKind.ITEM_SCORE, stem or cell_id, table)

    def items(self, stem: str, counts: dict[str, int], **changes: Any) -> Path:
        """Land the texts of the items that `score_row` names."""
        rows = [
            {
                "item_id": f"{ability}-item-{number}",
                "task": f"task-{ability}",
                "ability": ability,
                "prompt": f'[{{"role": "user", "content": "{ability} question {number}"}}]',
                "target": f"answer {number}",
                "choices": ["A", "B"],
            }
            | changes
            for ability, count in counts.items()
            for number in range(count)
        ]
        table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.ITEM])
        return write_table(self.workspace, RecordKind.ITEM, stem, table)

    def training_log(self, cell_id: str, *, attempt: int = 1, **changes: Any) -> Path:
        """Land two steps of a training log; the first one's gradient was not finite."""
        rows = [
            {
                "cell_id": cell_id,
                "attempt": attempt,
                "step": step,
                "epoch": step / 2,
                "loss": 3.0 - step,
                "learning_rate": 0.01 / step,
                "grad_norm": float("nan") if step == 1 else 0.75,
                "n_tokens": 100 * step,
                "seconds": 1.5 * step,
            }
            | changes
            for step in (1, 2)
        ]
        table = pa.Table.from_pylist(rows, schema=TABLES[RecordKind.TRAINING_LOG])
        stem = f"{cell_id}-{attempt}"
        return write_table(self.workspace, RecordKind.TRAINING_LOG, stem, table)

    def vote(self, vote_id: str, **changes: Any) -> Path:
        """Land one vote of a judge."""
        row: dict[str, Any] = {
            "vote_id": vote_id,
            "study": "demo",
            "protocol": "pairwise",
            "item_id": "math-item-0",
            "model_a": "tuned",
            "model_b": "base",
            "shown_first": "a",
            "judge": "judge-1",
            "preference": 1.25,
            "len_a": 101,
            "len_b": 202,
        }
        table = pa.Table.from_pylist([row | changes], schema=TABLES[RecordKind.JUDGE_VOTE])
        return write_table(self.workspace, RecordKind.JUDGE_VOTE, vote_id, table)

    def imported(self, import_id: str, study: str, **changes: Any) -> Path:
        """Land the record of an import, with a run for each of `cells`."""
        moment = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
        fields: dict[str, Any] = {
            "import_id": import_id,
            "importer": "curves",
            "study": study,
            "imported_at": moment,
            "files": (ImportedFile(name="curves.csv", sha256="ab" * 32, n_rows=5),),
            "n_rows": 5,
            "runs": tuple(
                RunRecord(
                    cell_id=cell,
                    attempt=1,
                    status=RunStatus.DONE,
                    started_at=moment,
                    finished_at=moment,
                    n_tokens=1234,
                )
                for cell in changes.pop("cells", ())
            ),
        }
        record = ImportRecord.model_validate(fields | changes)
        return write_document(self.workspace, RecordKind.IMPORT, import_id, record)

    def whole_score(self, import_id: str, cell_id: str, score: float, **changes: Any) -> Path:
        """Land one score without items."""
        row: dict[str, Any] = {
            "import_id": import_id,
            "cell_id": cell_id,
            "task": "exam",
            "ability": "math",
            "metric": "loss",
            "higher_is_better": False,
            "score": score,
        }
        table = pa.Table.from_pylist([row | changes], schema=TABLES[RecordKind.SCORE])
        return write_table(self.workspace, RecordKind.SCORE, f"{cell_id}-{import_id}", table)

    def exclusion(self, cell_id: str, reason: str, *, day: int, excluded: bool = True) -> Path:
        """Land a tombstone, or its taking back."""
        record = ExclusionRecord(
            cell_id=cell_id,
            excluded=excluded,
            reason=reason,
            created_at=datetime(2026, 11, day, tzinfo=UTC),
        )
        return write_document(self.workspace, RecordKind.EXCLUSION, f"{cell_id}-{day}", record)

    def finished_cell(self, cell_id: str, scores: Scores, *, attempt: int = 1) -> None:
        """Land what a finished cell leaves; its run record comes last."""
        self.training_log(cell_id, attempt=attempt)
        self.scores(cell_id, self.score_rows(cell_id, scores))
        self.run(cell_id, attempt=attempt)

    def demo(self) -> None:
        """Land the study `demo`: a base cell, a trained, a failed and a pending one."""
        names = ("tuned", "broken", "waiting")
        self.plan("demo", [self.base_cell("base"), *(self.cell(name) for name in names)])
        self.items("items", {"math": 4, "exam": 2})
        self.finished_cell("base", {"math": [0.0, 0.0, 1.0, 0.0], "exam": [1.0, 0.0]})
        # One maths item has no score; the exam's items differ in chance.
        self.failure("tuned", attempt=1, reason="killed")
        self.training_log("tuned", attempt=2)
        rows = self.score_rows("tuned", {"math": [1.0, 1.0, 0.0, None]})
        rows.append(self.score_row("tuned", "exam", 0, 1.0, chance_level=0.5))
        rows.append(self.score_row("tuned", "exam", 1, 0.0, chance_level=0.25))
        self.scores("tuned", rows)
        self.run("tuned", attempt=2)
        self.failure("broken")


def rows_of(workspace: Workspace, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query over the latest snapshot."""
    with open_latest(workspace) as conn:
        cursor = conn.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Make an empty workspace."""
    return open_workspace(tmp_path / "workspace", create=True)


@pytest.fixture
def landing(workspace: Workspace) -> Landing:
    """Make a writer of records into the workspace."""
    return Landing(workspace)


@pytest.fixture
def demo(landing: Landing) -> Workspace:
    """Make a workspace into which the study `demo` has landed."""
    landing.demo()
    return landing.workspace


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make one workspace in which `demo` is ingested, for tests that only read."""
    workspace = open_workspace(tmp_path_factory.mktemp("results") / "workspace", create=True)
    Landing(workspace).demo()
    ingest(workspace)
    return workspace


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a program text in a process of its own."""

    def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", text, *arguments]
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def holding() -> Callable[[Path], contextlib.AbstractContextManager[int]]:
    """Return a context in which another process, whose PID it gives, has a database open."""

    @contextlib.contextmanager
    def hold(database: Path) -> Iterator[int]:
        command = [sys.executable, "-c", _HOLD, str(database)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "open\n"
            yield process.pid
            process.communicate("\n", timeout=30)
        assert process.returncode == 0

    return hold


@pytest.fixture
def polling(tmp_path: Path) -> Callable[[Workspace], contextlib.AbstractContextManager[list[int]]]:
    """Return a context in which another process reads the latest snapshot again and again.

    The list that it gives holds, once it is left, the highest n_attempts of each read.
    """

    @contextlib.contextmanager
    def poll(workspace: Workspace) -> Iterator[list[int]]:
        stop = tmp_path / "stop"
        command = [sys.executable, "-c", _POLL, str(workspace.root), str(stop)]
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        seen: list[int] = []
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            seen.append(int(process.stdout.readline()))
            yield seen
            stop.touch()
            output, _ = process.communicate(timeout=30)
        seen.extend(int(line) for line in output.split())
        assert process.returncode == 0

    return poll
