"""What a report reads of a study besides its results: every run's scores, imports and the grid."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from warehouse.connection import find_snapshot, open_latest
from warehouse.errors import WorkError
from warehouse.queries import load_ability_scores, load_imports
from warehouse.statements import load_statement
from warehouse.workspace import Workspace

# A plan that holds these came from a grid file; an import's plan holds its options.
_OF_GRIDS = ("base_models", "dataset", "data_sources", "training")


@dataclass(frozen=True, kw_only=True)
class StudyRecords:
    """Rows of one study in one snapshot.

    Attributes
    ----------
    scores : DataFrame
        Rows of `mart_ability_score`: every run, on a growth curve or not.
    imports : tuple of dict
        Rows of `dim_import`.
    grid : dict or None
        The grid of the latest plan, as `run-grid` takes it; None for imported studies.
    """

    scores: pd.DataFrame
    imports: tuple[dict[str, Any], ...]
    grid: dict[str, Any] | None


def load_study_records(workspace: Workspace, snapshot_id: str, study: str) -> StudyRecords:
    """Read the rows of a study.

    Raises
    ------
    WorkError
        If the snapshot was deleted meanwhile.
    """
    snapshot = find_snapshot(workspace, snapshot_id)
    if snapshot is None:
        raise WorkError(f"Snapshot {snapshot_id} is gone; run the export again on a newer one.")
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        row = conn.execute(load_statement("queries", "grid_settings"), {"study": study}).fetchone()
        settings = {} if row is None else json.loads(row[0])
        return StudyRecords(
            scores=load_ability_scores(conn, study=study),
            imports=tuple(
                {str(name): value for name, value in one.items()}
                for one in load_imports(conn, study=study).to_dict("records")
            ),
            grid=settings if all(settings.get(name) for name in _OF_GRIDS) else None,
        )
