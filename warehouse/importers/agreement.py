"""Refuses, before anything lands, what no snapshot could be made of.

The checks of the built marts would find the same, but too late: landed files stay, and every later
ingest would stop at them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.connection import open_latest
from warehouse.errors import InputError, WorkError
from warehouse.importers.contract import (
    N_REJECTED_SHOWN,
    Imported,
    RejectedImportError,
    RejectedRow,
    printable,
)
from warehouse.importers.overlap import (
    REPLACE_REMEDY,
    known_rows,
    origin_of,
    read_landed_table,
    unit_path,
    value_names,
)
from warehouse.records import RecordKind
from warehouse.workspace import Workspace

# Squares of larger numbers, summed over items, are beyond what a double holds.
MAX_SCORE = 1e100

# As importers compare a file's score with the mean of its samples.
_TOLERANCE = 1e-4

# Score, and the place of its row in an import's scores (None: it comes from items).
_Scores = dict[tuple[str, str, str], tuple[float, int | None]]


def require_agreement(workspace: Workspace, imported: Imported, *, replace: bool) -> None:
    """Refuse numbers that can't be averaged, metrics of two directions, items against scores.

    Raises
    ------
    RejectedImportError
        With the rows; `replace` lets items of another mean replace a score, nothing else.
    """
    _require_range(imported)
    _require_directions(workspace, imported)
    _require_items_agree(workspace, imported, replace=replace)


def _reject(rows: list[RejectedRow]) -> None:
    """Refuse the import if there are any such rows."""
    if rows:
        raise RejectedImportError(rows[:N_REJECTED_SHOWN], len(rows))


def _tables(imported: Imported) -> Iterator[tuple[pa.Table, bool]]:
    """Yield the tables of scores, and whether they are of items."""
    if imported.scores is not None:
        yield imported.scores, False
    if imported.item_scores is not None:
        yield imported.item_scores, True


def _require_range(imported: Imported) -> None:
    """Refuse scores and standard errors whose squares can't be added up."""
    rejected = []
    for table, is_items in _tables(imported):
        for name in ("score",) if is_items else ("score", "stderr"):
            beyond = pc.fill_null(pc.greater(pc.abs(table[name]), MAX_SCORE), False)
            for place in pc.indices_nonzero(beyond).to_pylist():
                file, line = origin_of(imported, None if is_items else place)
                rejected.append(
                    RejectedRow(
                        file=file,
                        line=line,
                        value=printable(table[name][place].as_py()),
                        reason=f"{name} of {printable(table['task'][place].as_py())} is beyond "
                        f"{MAX_SCORE:g} and can't be averaged; correct it or leave it out.",
                    )
                )
    _reject(rejected)


# --- Directions -------------------------------------------------------------------------------


def _require_directions(workspace: Workspace, imported: Imported) -> None:
    """Refuse a metric of an ability that the study knows in the other direction."""
    known = _known_directions(workspace, imported.study)
    for table, is_items in _tables(imported):
        names = ["metric", "ability", "higher_is_better"]
        places = pa.array(range(table.num_rows), pa.int64())
        found = (
            table.select(names).append_column("place", places).group_by(names, use_threads=False)
        )
        for row in found.aggregate([("place", "min")]).to_pylist():
            higher = row["higher_is_better"]
            if known.setdefault((row["metric"], row["ability"]), higher) == higher:
                continue
            file, line = origin_of(imported, None if is_items else row["place_min"])
            reason = (
                f"{row['metric']} of {row['ability']} was imported into study {imported.study} as "
                f"{'lower' if higher else 'higher'} is better; correct the direction, or use "
                "another --study."
            )
            _reject(
                [
                    RejectedRow(
                        file=file, line=line, value=f"higher_is_better={higher}", reason=reason
                    )
                ]
            )


def _known_directions(workspace: Workspace, study: str) -> dict[tuple[str, str], bool]:
    """Return what a study says of its metrics, by metric and ability."""
    known: dict[tuple[str, str], bool] = {}
    # Scores of items are many files; the latest snapshot has their metrics in one table.
    try:
        with open_latest(workspace) as conn:
            rows = conn.execute(
                "SELECT DISTINCT metric, ability, higher_is_better FROM mart_ability_score "
                "WHERE study = $study",
                {"study": study},
            ).fetchall()
        known |= {(metric, ability): higher for metric, ability, higher in rows}
    except (InputError, WorkError, duckdb.Error):
        # Nothing is published yet, or nothing readable: landed scores are still looked at.
        pass
    names = value_names(RecordKind.SCORE)
    ability, direction = names.index("ability"), names.index("higher_is_better")
    for key, row in known_rows(workspace, study, RecordKind.SCORE).items():
        known[key[2], row[ability]] = row[direction]
    return known


# --- Items and scores -------------------------------------------------------------------------


def _require_items_agree(workspace: Workspace, imported: Imported, *, replace: bool) -> None:
    """Refuse scores that differ from the mean of their items, whichever landed first.

    Where both are there, the warehouse counts the items.
    """
    rejected = []
    items = _item_means(imported.item_scores)
    for (cell_id, task, metric), (score, place) in _task_scores(imported).items():
        path = unit_path(workspace, cell_id, task)
        landed = _item_means(read_landed_table(path)) if path.is_file() else {}
        mean = landed.get((cell_id, task, metric), (score, None))[0]
        if not _agree(mean, score):
            file, line = origin_of(imported, place)
            reason = (
                f"{metric} of {printable(task)} was imported item by item, with mean {mean:g}, "
                f"and is {score:g} here; name another --study, or import the samples of this run."
            )
            rejected.append(RejectedRow(file=file, line=line, value=f"{score:g}", reason=reason))
    if items and not replace:
        place = value_names(RecordKind.SCORE).index("score")
        known = known_rows(workspace, imported.study, RecordKind.SCORE)
        for key, (mean, _) in items.items():
            before = known[key][place] if key in known else None
            if before is not None and not _agree(mean, before):
                file, line = origin_of(imported, None)
                reason = (
                    f"{key[2]} of {printable(key[1])} was imported as {before:g}, and its items "
                    f"have mean {mean:g} here; {REPLACE_REMEDY}"
                )
                rejected.append(RejectedRow(file=file, line=line, value=f"{mean:g}", reason=reason))
    _reject(rejected)


def _agree(mean: float, score: float) -> bool:
    """Tell whether a mean of items and a score are the same but for rounding."""
    return abs(mean - score) <= _TOLERANCE * max(1.0, abs(score))


def _task_scores(imported: Imported) -> _Scores:
    """Return the scores of an import that are there."""
    if imported.scores is None:
        return {}
    names = ("cell_id", "task", "metric", "score")
    rows = zip(*(imported.scores[name].to_pylist() for name in names), strict=True)
    return {
        (cell, task, metric): (score, place)
        for place, (cell, task, metric, score) in enumerate(rows)
        if score is not None and math.isfinite(score)
    }


def _item_means(table: pa.Table | None) -> _Scores:
    """Return the mean item scores of a table by cell, task and metric."""
    if table is None:
        return {}
    keys = ["cell_id", "task", "metric"]
    means = table.select([*keys, "score"]).group_by(keys).aggregate([("score", "mean")])
    return {
        (row["cell_id"], row["task"], row["metric"]): (row["score_mean"], None)
        for row in means.to_pylist()
        if row["score_mean"] is not None
    }
