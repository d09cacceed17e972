"""What `judge run` reads: plans, replies, items and votes from the landing zone, never DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runners.grid_spec import GridSpec, load_grid, parse_grid
from runners.judge.ballots import JudgedItem
from runners.judge_spec import JudgeSpec
from runners.plan import landed_runs
from warehouse.errors import InputError, LandingError
from warehouse.landing import list_landing, read_document
from warehouse.records import CellRecord, PlanRecord, RecordKind, RunStatus
from warehouse.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class JudgedStudy:
    """A study that is to be judged: its settings, and the cells that are done."""

    name: str
    spec: JudgeSpec
    cells: tuple[CellRecord, ...]
    n_pending: int


@dataclass(frozen=True, kw_only=True)
class Replies:
    """Replies of a study's cells.

    Attributes
    ----------
    by_cell : mapping of cell_id to mapping of item_id to reply
    items : mapping of item_id to JudgedItem
    without : tuple of CellRecord
        Done cells that lack replies of the abilities and length asked for.
    n_missing : int
        Replies that could not be made, and items that have not landed.
    """

    by_cell: Mapping[str, Mapping[str, str]]
    items: Mapping[str, JudgedItem]
    without: tuple[CellRecord, ...]
    n_missing: int


@dataclass(frozen=True, kw_only=True)
class LandedVotes:
    """Votes of a study that were asked for here.

    Attributes
    ----------
    decided : frozenset of vote_id
        Those with a verdict.
    latest : mapping of (protocol, judge, ability) to parameters
        How the judge was asked that gave the latest verdict: only such votes are current.
    cost : float
        What all have cost, failed ones included.
    """

    decided: frozenset[str]
    latest: Mapping[tuple[str, str, str | None], str]
    cost: float


def load_judged_study(workspace: Workspace, grid: str | None, study: str | None) -> JudgedStudy:
    """Find a study's judges and its cells.

    Parameters
    ----------
    grid : str, optional
        A shipped grid's name or a YAML file, whose judge block counts.
    study : str, optional
        Instead of a grid: the judge block of the study's latest plan counts.

    Raises
    ------
    InputError
        If neither or both are given, or there is no such grid, study or judge block.
    """
    if (grid is None) == (study is None):
        raise InputError("Name a grid, or a study with --study.")
    spec: GridSpec | None = load_grid(grid)[1] if grid is not None else None
    name = spec.study if spec is not None else study
    plans = sorted(
        (plan for plan in _documents(workspace, RecordKind.PLAN) if plan.study == name),
        key=lambda plan: plan.created_at,
    )
    if not plans:
        raise InputError(
            f"The workspace {workspace.root} holds no plan of study {name!r}; run its grid first "
            "(python cli.py run-grid GRID)."
        )
    if spec is None:
        spec = parse_grid(plans[-1].grid_settings, f"the plan of study {name}")
    if spec.judge is None:
        raise InputError(
            f"Study {name!r} has no judges: add a block judge: to its grid (docs/judge.md)."
        )
    cells = {cell.cell_id: cell for plan in plans for cell in plan.cells}
    runs = landed_runs(workspace)
    done = {
        cell_id
        for cell_id in cells
        if any(run.status is RunStatus.DONE for run in runs.get(cell_id, ()))
    }
    return JudgedStudy(
        name=spec.study,
        spec=spec.judge,
        cells=tuple(cell for cell_id, cell in sorted(cells.items()) if cell_id in done),
        n_pending=len(cells) - len(done),
    )


def _documents(workspace: Workspace, kind: RecordKind) -> Iterator[PlanRecord]:
    """Yield the readable records of a kind; damaged ones are left to the ingester."""
    for path in list_landing(workspace, kind):
        try:
            record = read_document(path, kind)
        except LandingError:
            continue
        assert isinstance(record, PlanRecord)
        yield record


def load_replies(workspace: Workspace, study: JudgedStudy) -> Replies:
    """Read the replies that a study's judges are to see."""
    spec = study.spec
    known = {cell.cell_id for cell in study.cells}
    abilities = set(spec.abilities)
    limit = spec.max_items_per_ability
    by_cell: dict[str, dict[str, str]] = {}
    asked: dict[tuple[str, str], dict[str, None]] = {}
    n_missing = 0
    for row in _rows(workspace, RecordKind.GENERATION):
        if (
            row["cell_id"] not in known
            or row["ability"] not in abilities
            or row["max_new_tokens"] != spec.max_new_tokens
        ):
            continue
        # Rows come in the order in which items are chosen, in every file.
        place = asked.setdefault((row["cell_id"], row["ability"]), {})
        if row["item_id"] in place or (limit is not None and len(place) >= limit):
            continue
        place[row["item_id"]] = None
        replies = by_cell.setdefault(row["cell_id"], {})
        if row["reply"] is None:
            n_missing += 1
        else:
            replies[row["item_id"]] = row["reply"].strip()
    complete = {item_id for items in asked.values() for item_id in items}
    replied = {
        cell_id: {i for ability in abilities for i in asked.get((cell_id, ability), ())}
        for cell_id in known
    }
    wanted = {item_id for replies in by_cell.values() for item_id in replies}
    items = {
        row["item_id"]: JudgedItem.from_landing(
            row["item_id"], row["ability"], row["prompt"], row["target"]
        )
        for row in _rows(workspace, RecordKind.ITEM, ["item_id", "ability", "prompt", "target"])
        if row["item_id"] in wanted
    }
    n_missing += sum(item_id not in items for said in by_cell.values() for item_id in said)
    return Replies(
        by_cell={
            cell_id: {item_id: reply for item_id, reply in said.items() if item_id in items}
            for cell_id, said in by_cell.items()
        },
        items=items,
        without=tuple(
            c for c in study.cells if not replied[c.cell_id] or replied[c.cell_id] != complete
        ),
        n_missing=n_missing,
    )


def load_votes(workspace: Workspace, study: str) -> LandedVotes:
    """Read which votes of a study have a verdict, how they were asked for, and what all cost."""
    decided: set[str] = set()
    latest: dict[tuple[str, str, str | None], tuple[datetime, str]] = {}
    cost = 0.0
    columns = ["vote_id", "import_id", "study", "protocol", "judge", "ability", "parameters"]
    columns += ["failed_reason", "cost", "created_at"]
    for row in _rows(workspace, RecordKind.JUDGE_VOTE, columns):
        if row["study"] != study or row["import_id"] is not None or row["judge"] is None:
            continue
        cost += row["cost"] or 0.0
        if row["failed_reason"] is None:
            decided.add(row["vote_id"])
        if row["failed_reason"] is None and row["created_at"] and row["parameters"]:
            way = (row["created_at"], row["parameters"])
            group = (row["protocol"], row["judge"], row["ability"])
            latest[group] = max(latest.get(group, way), way)
    return LandedVotes(
        decided=frozenset(decided),
        latest={group: parameters for group, (_, parameters) in latest.items()},
        cost=cost,
    )


def load_vote_rows(workspace: Workspace, vote_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return some votes with a verdict as they landed, each once."""
    found = {
        row["vote_id"]: row
        for row in (_rows(workspace, RecordKind.JUDGE_VOTE) if vote_ids else ())
        if row["vote_id"] in vote_ids and row["failed_reason"] is None
    }
    return list(found.values())


def _rows(
    workspace: Workspace, kind: RecordKind, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a kind's files in name order; a damaged file is left to the ingester."""
    for path in list_landing(workspace, kind):
        table = _read(path, columns)
        if table is not None:
            yield from table.to_pylist()


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table | None:
    try:
        return pq.read_table(path, columns=list(columns) if columns else None)
    except (pa.ArrowException, OSError):
        return None
