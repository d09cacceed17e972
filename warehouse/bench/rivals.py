"""The same questions asked of the warehouse, pandas, SQLite and MLflow, over the same cells.

Every one answers as it does best: the warehouse from its marts where they hold the answer, pandas
from the columns and files that it needs, SQLite from a table in the order of its key, MLflow from
the metrics of its runs. Loading isn't counted, caches are warm, and answers must agree.
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
from typing import Any

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

_MEANS = "mean score by ability, volume and source of one base model"
_CURVE = "item scores of one curve"
_RUNS = "score of every run in every ability"
_MODEL, _SOURCE, _ABILITY = "model-0", "human", "ability-3"
_GROUPS = ["ability", "volume_setting", "data_source"]
_N_REPEATS = 5
_NO_MLFLOW = "mlflow is not installed"

# Every cell has the same items, so the mean of its scores is the mean over its items.
_OUR_MEANS = """
SELECT ability, volume_setting, data_source, avg(score) AS score
FROM mart_ability_score
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

    `seconds` and `ours_seconds` are medians; `seconds` is None, with a `reason`, where the rival
    could not be asked.
    """

    name: str
    question: str
    seconds: float | None
    ours_seconds: float
    reason: str | None = None

    def row(self) -> tuple[str, str, str]:
        """Line of the table in docs/benchmarks.md."""
        figure = f"{self.name}: {self.question}"
        if self.seconds is None:
            return figure, f"not measured: {self.reason}", "at least 10x"
        ratio = self.seconds / self.ours_seconds
        value = f"{1000 * self.seconds:,.0f} ms against {1000 * self.ours_seconds:,.1f} ms: "
        return figure, f"{value}{ratio:,.1f}x", "at least 10x"


def measure_rivals(workspace: Workspace, n_cells: int) -> tuple[Rival, ...]:
    """Ask the warehouse and its rivals the same questions over the first cells of a study.

    Parameters
    ----------
    workspace : Workspace
        Into which `land_study` landed at least `n_cells` cells.
    n_cells : int, count >= 4
        How many of them to ask about.

    Returns
    -------
    tuple of Rival
        One for each rival and question; MLflow's carry a reason where it isn't installed.

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
            ours = {question: _answer(ask) for question, ask in _ask_warehouse(conn).items()}
            rivals = {"pandas over raw files": _ask_pandas(part), "SQLite": _ask_sqlite(lite, part)}
            mlflow = "MLflow (SQLite store)"
            if importlib.util.find_spec("mlflow"):
                rivals[mlflow] = _ask_mlflow(folder, part, ours[_RUNS][0])
            measured = [
                _compare(name, question, ask, *ours[question])
                for name, asks in rivals.items()
                for question, ask in asks.items()
            ]
            if mlflow not in rivals:
                measured += [
                    Rival(
                        name=mlflow,
                        question=question,
                        seconds=None,
                        ours_seconds=ours[question][1],
                        reason=_NO_MLFLOW,
                    )
                    for question in (_MEANS, _RUNS)
                ]
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


def _answer(ask: Ask) -> tuple[pd.DataFrame, float]:
    """Return an answer, and the median of the seconds that it takes once caches are warm."""
    answer = ask()
    seconds = []
    for _ in range(_N_REPEATS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return answer, statistics.median(seconds)


def _compare(name: str, question: str, ask: Ask, ours: pd.DataFrame, ours_seconds: float) -> Rival:
    """Ask a rival, and hold its answer against the warehouse's."""
    answer, seconds = _answer(ask)
    columns = list(ours.columns)
    keys = [column for column in columns if column != "score"]
    frames = [frame[columns].sort_values(keys, ignore_index=True) for frame in (ours, answer)]
    try:
        pd.testing.assert_frame_equal(*frames, check_dtype=False, check_exact=False, rtol=1e-9)
    except AssertionError as error:
        reason = " ".join(str(error).split())
        raise WorkError(
            f"{name} and the warehouse disagree on the {question}: {reason}."
        ) from error
    return Rival(name=name, question=question, seconds=seconds, ours_seconds=ours_seconds)


# --- The four ways to ask ---------------------------------------------------------------------


def _ask_warehouse(conn: duckdb.DuckDBPyConnection) -> dict[str, Ask]:
    """Ask the marts, and for items the statement that the app uses."""

    def ask(statement: str, *parameters: str) -> Ask:
        return lambda: conn.execute(statement, parameters).df()

    def curve() -> pd.DataFrame:
        return queries.load_item_scores(
            conn, study=STUDY, ability=_ABILITY, base_model=_MODEL, data_source=_SOURCE
        )

    return {_MEANS: ask(_OUR_MEANS, STUDY, _MODEL), _CURVE: curve, _RUNS: ask(_OUR_RUNS, STUDY)}


def _ask_pandas(workspace: Workspace) -> dict[str, Ask]:
    """Read the landing files anew for every question, but only what it needs of them."""
    folder = workspace.landing / RecordKind.ITEM_SCORE.value

    def read(cells: pd.DataFrame, *columns: str, ability: str | None = None) -> pd.DataFrame:
        return pd.read_parquet(
            [folder / f"{cell_id}.parquet" for cell_id in cells["cell_id"]],
            columns=["cell_id", "ability", *columns, "score"],
            filters=[("ability", "==", ability)] if ability else None,
        )

    def means() -> pd.DataFrame:
        cells = _load_cells(workspace)
        cells = cells[cells["base_model"] == _MODEL]
        return _mean(read(cells).merge(cells, on="cell_id"), _GROUPS)

    def curve() -> pd.DataFrame:
        cells = _load_cells(workspace)
        cells = cells[(cells["base_model"] == _MODEL) & (cells["data_source"] == _SOURCE)]
        return read(cells, "metric", "item_id", ability=_ABILITY)

    def runs() -> pd.DataFrame:
        return _mean(read(_load_cells(workspace)), ["cell_id", "ability"])

    return {_MEANS: means, _CURVE: curve, _RUNS: runs}


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


def _ask_mlflow(folder: Path, workspace: Workspace, scores: pd.DataFrame) -> dict[str, Ask]:
    """Log a run for each cell with one metric an ability; items are not for it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow = importlib.import_module("mlflow")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
    experiment = client.create_experiment(STUDY, artifact_location=str(folder / "artifacts"))
    abilities = list(scores["ability"].unique())
    for cell in _load_cells(workspace).to_dict("records"):
        run = client.create_run(experiment, run_name=cell["cell_id"])
        rows = scores[scores["cell_id"] == cell["cell_id"]]
        client.log_batch(
            run.info.run_id,
            metrics=[
                mlflow.entities.Metric(ability, score, timestamp=0, step=0)
                for ability, score in zip(rows["ability"], rows["score"], strict=True)
            ],
            params=[mlflow.entities.Param(str(key), str(value)) for key, value in cell.items()],
        )
        client.set_terminated(run.info.run_id)

    def search(condition: str) -> pd.DataFrame:
        runs: pd.DataFrame = mlflow.search_runs([experiment], condition, max_results=50_000)
        runs.columns = runs.columns.str.removeprefix("params.").str.removeprefix("metrics.")
        long = runs.melt(["cell_id", *_GROUPS[1:]], abilities, "ability", "score")
        return long.astype({"volume_setting": "int64"})

    def means() -> pd.DataFrame:
        return _mean(search(f"params.base_model = '{_MODEL}'"), _GROUPS)

    mlflow.set_tracking_uri(store)
    return {_MEANS: means, _RUNS: lambda: search("")}
