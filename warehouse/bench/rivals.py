"""The same questions asked of the warehouse, pandas, SQLite and MLflow, over the same cells.

Every one answers as it does best: the warehouse from the items or, for scores of runs, from the
mart that ingest built of them, pandas from the columns and files that it needs, SQLite from a
table in the order of its key, MLflow from the metrics of its runs. Loading isn't counted, caches
are warm, both sides are asked in turn, and answers must agree.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq

from warehouse import queries
from warehouse.bench.landing import STUDY, Size, cell_record
from warehouse.connection import open_latest
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.landing import list_landing
from warehouse.records import RecordKind
from warehouse.workspace import Workspace, open_workspace

Ask = Callable[[], pd.DataFrame]

_MEANS = "mean over items by ability, volume and source of one base model"
_CURVE = "item scores of one curve"
_RUNS = "latest score of every run in every ability"
_MODEL, _SOURCE, _ABILITY = "model-0", "human", "ability-3"
_GROUPS = ["ability", "volume_setting", "data_source"]
_MLFLOW = "MLflow (SQLite store)"
_N_REPEATS = 7

_OUR_MEANS = """
SELECT ability, volume_setting, data_source, avg(score) AS score
FROM stg_item_score INNER JOIN mart_cell USING (cell_id)
WHERE study = ? AND base_model = ? GROUP BY ability, volume_setting, data_source
"""
_OUR_RUNS = "SELECT cell_id, ability, score FROM mart_ability_score WHERE study = ?"
_SCHEMA = """
CREATE TABLE cell (
    cell_id TEXT PRIMARY KEY, base_model TEXT, data_source TEXT, volume_setting INTEGER
) WITHOUT ROWID;
CREATE INDEX cell_of_curve ON cell (base_model, data_source);
CREATE TABLE item_score (
    cell_id TEXT, ability TEXT, metric TEXT, item_id TEXT, score REAL,
    PRIMARY KEY (cell_id, ability, metric, item_id)
) WITHOUT ROWID;
"""
_SQLITE_MEANS = """
SELECT ability, volume_setting, data_source, avg(score) AS score
FROM item_score INNER JOIN cell USING (cell_id)
WHERE base_model = ? GROUP BY ability, volume_setting, data_source
"""
_SQLITE_CURVE = """
SELECT cell_id, ability, metric, item_id, score
FROM item_score INNER JOIN cell USING (cell_id)
WHERE base_model = ? AND data_source = ? AND ability = ?
"""
_SQLITE_RUNS = """
SELECT cell_id, ability, avg(score) AS score FROM item_score GROUP BY cell_id, ability
"""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One other way to get an answer, against the warehouse's.

    `seconds` and `ours_seconds` are medians; both are None, with a `reason`, where the rival could
    not be asked.
    """

    name: str
    question: str
    seconds: float | None = None
    ours_seconds: float | None = None
    reason: str | None = None

    def row(self) -> tuple[str, str, str]:
        """Line of the table in docs/benchmarks.md."""
        figure = f"{self.name}: {self.question}"
        if self.seconds is None or self.ours_seconds is None:
            return figure, f"not measured: {self.reason}", "at least 10x"
        ratio = self.seconds / self.ours_seconds
        value = f"{1000 * self.seconds:,.0f} ms against {1000 * self.ours_seconds:,.1f} ms"
        return figure, f"{value}: {ratio:,.1f}x", "at least 10x"


def measure_rivals(workspace: Workspace, n_cells: int) -> tuple[Rival, ...]:
    """Ask the warehouse and its rivals the same questions over the first cells of a study.

    Parameters
    ----------
    workspace : Workspace
        Into which `land_study` landed at least `n_cells` cells.
    n_cells : int, count >= 1
        How many of them to ask about.

    Returns
    -------
    tuple of Rival
        One for each rival and question that it can answer; MLflow's carries a reason where it isn't
        installed.

    Raises
    ------
    WorkError
        If a rival's answer differs from the warehouse's.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        part = _take_cells(workspace, folder / "workspace", n_cells)
        ingest(part)
        with open_latest(part) as conn, closing(sqlite3.connect(folder / "rival.sqlite")) as lite:
            ours = _ask_warehouse(conn)
            rivals = {"pandas over raw files": _ask_pandas(part), "SQLite": _ask_sqlite(lite, part)}
            if importlib.util.find_spec("mlflow"):
                rivals[_MLFLOW] = {_RUNS: _ask_mlflow(folder, ours[_RUNS]())}
            measured = [
                _compare(name, question, theirs, ours[question])
                for name, asks in rivals.items()
                for question, theirs in asks.items()
            ]
    if _MLFLOW not in rivals:
        measured.append(Rival(name=_MLFLOW, question=_RUNS, reason="mlflow is not installed"))
    return tuple(measured)


def _take_cells(workspace: Workspace, root: Path, n_cells: int) -> Workspace:
    """Copy the landing files of the first cells to a workspace of their own."""
    part = open_workspace(root, create=True)
    cell_ids = {cell_record(number, Size(n_cells=n_cells)).cell_id for number in range(n_cells)}
    for kind in (RecordKind.PLAN, RecordKind.ITEM, RecordKind.ITEM_SCORE, RecordKind.RUN):
        target = part.landing / kind.value
        target.mkdir(parents=True)
        for path in list_landing(workspace, kind):
            shared = kind in (RecordKind.PLAN, RecordKind.ITEM)
            if shared or path.stem.split("-")[0] in cell_ids:
                shutil.copyfile(path, target / path.name)
    return part


def _compare(name: str, question: str, theirs: Ask, ours: Ask) -> Rival:
    """Ask a rival and the warehouse in turn, and hold their answers against each other."""
    right, left = theirs(), ours()
    columns = list(left.columns)
    keys = [column for column in columns if column != "score"]
    left, right = (frame[columns].sort_values(keys, ignore_index=True) for frame in (left, right))
    try:
        pd.testing.assert_frame_equal(left, right, check_dtype=False, check_exact=False, rtol=1e-9)
    except AssertionError as error:
        reason = " ".join(str(error).split())
        raise WorkError(f"{name} and the warehouse disagree on the {question}: {reason}") from error
    # In turn, so that what else the machine does meets both alike.
    pairs = [(_seconds_of(theirs), _seconds_of(ours)) for _ in range(_N_REPEATS)]
    seconds, ours_seconds = map(statistics.median, zip(*pairs, strict=True))
    return Rival(name=name, question=question, seconds=seconds, ours_seconds=ours_seconds)


def _seconds_of(ask: Ask) -> float:
    """Time one answer."""
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


# --- The four ways to ask ---------------------------------------------------------------------


def _ask_warehouse(conn: duckdb.DuckDBPyConnection) -> dict[str, Ask]:
    """Ask in SQL, and for one curve with the statement that the app uses."""

    def ask(statement: str, *parameters: str) -> Ask:
        return lambda: conn.execute(statement, parameters).df()

    def curve() -> pd.DataFrame:
        return queries.load_item_scores(
            conn, study=STUDY, ability=_ABILITY, base_model=_MODEL, data_source=_SOURCE
        )

    return {_MEANS: ask(_OUR_MEANS, STUDY, _MODEL), _CURVE: curve, _RUNS: ask(_OUR_RUNS, STUDY)}


def _ask_pandas(workspace: Workspace) -> dict[str, Ask]:
    """Read item scores anew for every question, but only what it needs; cells are known."""
    folder = workspace.landing / RecordKind.ITEM_SCORE.value
    cells = _load_cells(workspace)
    of_model = cells[cells["base_model"] == _MODEL]
    of_curve = of_model[of_model["data_source"] == _SOURCE]

    def read(wanted: pd.DataFrame, *columns: str, ability: str | None = None) -> pd.DataFrame:
        # What pandas' own read_parquet calls.
        frame: pd.DataFrame = pq.read_table(
            [folder / f"{cell_id}.parquet" for cell_id in wanted["cell_id"]],
            columns=["cell_id", "ability", *columns, "score"],
            filters=[("ability", "==", ability)] if ability else None,
        ).to_pandas()
        return frame

    return {
        _MEANS: lambda: _mean(read(of_model).merge(of_model, on="cell_id"), _GROUPS),
        _CURVE: lambda: read(of_curve, "metric", "item_id", ability=_ABILITY),
        _RUNS: lambda: _mean(read(cells), ["cell_id", "ability"]),
    }


def _mean(scores: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Average `score` over the rows of each group."""
    return scores.groupby(groups)["score"].mean().reset_index()


def _load_cells(workspace: Workspace) -> pd.DataFrame:
    """Read which cells have scores, and what they were trained on, from the plans."""
    landed = {path.stem for path in list_landing(workspace, RecordKind.ITEM_SCORE)}
    plans = [json.loads(path.read_bytes()) for path in list_landing(workspace, RecordKind.PLAN)]
    columns = ["cell_id", "base_model", "data_source", "volume_setting"]
    rows = (
        [cell[column] for column in columns]
        for plan in plans
        for cell in plan["cells"]
        if cell["cell_id"] in landed
    )
    return pd.DataFrame(rows, columns=columns)


def _ask_sqlite(conn: sqlite3.Connection, workspace: Workspace) -> dict[str, Ask]:
    """Load the item scores into a table whose key clusters them by cell and ability."""
    conn.executescript(_SCHEMA)
    cells = _load_cells(workspace)
    conn.executemany("INSERT INTO cell VALUES (?, ?, ?, ?)", cells.itertuples(index=False))
    columns = ["cell_id", "ability", "metric", "item_id", "score"]

    def rows() -> Iterator[tuple[object, ...]]:
        for path in list_landing(workspace, RecordKind.ITEM_SCORE):
            table = pq.read_table(path, columns=columns)
            yield from zip(*(table[column].to_pylist() for column in columns), strict=True)

    conn.executemany("INSERT INTO item_score VALUES (?, ?, ?, ?, ?)", rows())
    conn.commit()
    conn.execute("ANALYZE")

    def ask(statement: str, *parameters: str) -> Ask:
        def fetch() -> pd.DataFrame:
            cursor = conn.execute(statement, parameters)
            return pd.DataFrame(cursor.fetchall(), columns=[c[0] for c in cursor.description])

        return fetch

    return {
        _MEANS: ask(_SQLITE_MEANS, _MODEL),
        _CURVE: ask(_SQLITE_CURVE, _MODEL, _SOURCE, _ABILITY),
        _RUNS: ask(_SQLITE_RUNS),
    }


def _ask_mlflow(folder: Path, scores: pd.DataFrame) -> Ask:
    """Log a run for each cell with one metric an ability; items are not for it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = importlib.import_module("mlflow")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment(STUDY, artifact_location=str(folder / "artifacts"))
    for cell_id, rows in scores.groupby("cell_id"):
        run = client.create_run(experiment, tags={"cell_id": str(cell_id)})
        metrics = [
            mlflow.entities.Metric(ability, score, timestamp=0, step=0)
            for ability, score in zip(rows["ability"], rows["score"], strict=True)
        ]
        client.log_batch(run.info.run_id, metrics=metrics)
        client.set_terminated(run.info.run_id)

    def runs() -> pd.DataFrame:
        found: pd.DataFrame = mlflow.search_runs([experiment], max_results=50_000)
        found.columns = found.columns.str.removeprefix("tags.").str.removeprefix("metrics.")
        return found.melt("cell_id", list(scores["ability"].unique()), "ability", "score")

    return runs
