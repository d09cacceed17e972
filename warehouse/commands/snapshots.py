"""The commands `snapshot list`, `pin`, `unpin` and `diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from warehouse.snapshots import SnapshotDiff

_N_ROWS_SHOWN = 10
_COUNTED = ("cells", "scores")
_WHOLE = ("added", "removed")

_Name = Annotated[str, typer.Argument(help="Id, the start of one, or latest.")]

snapshot_app = typer.Typer(
    no_args_is_help=True, help="List, keep and compare published snapshots of the results."
)


@snapshot_app.command("list")
def list_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_output: JsonOption = False
) -> None:
    """List the published snapshots: the last few, the pinned ones and those that exports cite.

    Example: python cli.py snapshot list
    """
    from warehouse.snapshots import list_snapshots
    from warehouse.workspace import open_workspace

    found = list_snapshots(open_workspace(workspace))
    if json_output:
        print_json(
            {
                "snapshots": [
                    {
                        "id": info.id,
                        "published_at": info.published_at.isoformat(),
                        "size_bytes": info.size_bytes,
                        "latest": info.is_latest,
                        "pinned": info.is_pinned,
                        "cited_by": list(info.cited_by),
                    }
                    for info in found
                ]
            }
        )
        return
    if not found:
        print(f"No snapshot in {workspace} yet; run a grid or ingest first.")
    for info in found:
        marks = ["latest"] * info.is_latest + ["pinned"] * info.is_pinned
        marks += [f"cited by {name}" for name in info.cited_by]
        line = (
            f"{info.id}  {info.published_at:%Y-%m-%d %H:%M:%S} UTC  "
            f"{info.size_bytes / 1e6:8.1f} MB  {', '.join(marks)}"
        )
        print(line.rstrip())


@snapshot_app.command("pin")
def pin_command(
    snapshot: _Name, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_output: JsonOption = False
) -> None:
    """Keep a snapshot for good; others are cleared away after a few publishes.

    Example: python cli.py snapshot pin latest
    """
    from warehouse.snapshots import pin_snapshot
    from warehouse.workspace import open_workspace

    found = pin_snapshot(open_workspace(workspace), snapshot)
    if json_output:
        print_json({"id": found.id, "pinned": True})
    else:
        print(f"Pinned {found.id}.")


@snapshot_app.command("unpin")
def unpin_command(
    snapshot: _Name, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_output: JsonOption = False
) -> None:
    """Let a snapshot be cleared away again, also if exports cite it.

    Example: python cli.py snapshot unpin 20261122T144144025378Z
    """
    from warehouse.snapshots import unpin_snapshot
    from warehouse.workspace import open_workspace

    snapshot_id, citing = unpin_snapshot(open_workspace(workspace), snapshot)
    if json_output:
        print_json({"id": snapshot_id, "pinned": False, "was_cited_by": list(citing)})
        return
    cited = f" It was cited by {', '.join(citing)}." if citing else ""
    print(f"Unpinned {snapshot_id}; a later publish clears it away.{cited}")


@snapshot_app.command("diff")
def diff_command(
    before: _Name,
    after: _Name,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Say what changed from one snapshot to another; --json gives every row.

    Example: python cli.py snapshot diff 20261122T144144025378Z latest
    """
    from dataclasses import asdict

    from warehouse.snapshots import diff_snapshots
    from warehouse.workspace import open_workspace

    diff = diff_snapshots(open_workspace(workspace), before, after)
    if json_output:
        print_json(asdict(diff))
        return
    for line in _diff_lines(diff):
        print(line)


def _diff_lines(diff: SnapshotDiff) -> list[str]:
    """Bring a diff to lines for people."""
    lines = [f"From {diff.before} to {diff.after}:"]
    parts: dict[str, Sequence[dict[str, Any]]] = {
        "columns": diff.columns,
        "studies": diff.studies,
        "abilities": diff.abilities,
        "cells": diff.cells,
        "scores": diff.scores,
    }
    for part, rows in parts.items():
        counts = Counter(row["change"] for row in rows)
        if not counts:
            continue
        text = ", ".join(f"{count} {_change(change)}" for change, count in sorted(counts.items()))
        lines.append(f"{part}: {text}")
        # Whole cells that came or went are counted; what changed within one is shown.
        shown = [row for row in rows if part not in _COUNTED or row["change"] not in _WHOLE]
        lines += [f"  {_describe(part, row)}" for row in shown[:_N_ROWS_SHOWN]]
        if len(shown) > _N_ROWS_SHOWN:
            lines.append(f"  ... and {len(shown) - _N_ROWS_SHOWN} more; see --json.")
    return lines if len(lines) > 1 else [f"No difference between {diff.before} and {diff.after}."]


def _change(change: str) -> str:
    """Word a kind of change."""
    return {"status": "with another status", "exclusion": "with another exclusion"}.get(
        change, change
    )


def _describe(part: str, row: dict[str, Any]) -> str:
    """Word one row of a diff."""
    change = row["change"]
    if part == "columns":
        return f"{row['table_name']}.{row['column_name']} {change}"
    if part == "studies":
        return f"{row['study']} {change}"
    if part == "abilities":
        return f"{row['study']}: {row['ability']} ({row['metric']}) {change}"
    if part == "cells":
        kind = "excluded" if change == "exclusion" else "status"
        before, after = _value(row[f"{kind}_before"]), _value(row[f"{kind}_after"])
        return f"{row['study']}: {row['label']} ({row['cell_id']}), {kind}: {before} -> {after}"
    return (
        f"{row['study']}: {row['cell_id']} {row['ability']} ({row['metric']}) "
        f"{_value(row['score_before'])} -> {_value(row['score_after'])}"
    )


def _value(value: object) -> str:
    """Word a value that may be missing."""
    if value is None:
        return "none"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
