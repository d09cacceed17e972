"""From judge votes in the warehouse to the votes that are analysed; no streamlit here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from dashboard.analysis.judge import Votes
from dashboard.evidence import check_known
from warehouse.errors import WorkError
from warehouse.statements import load_statement


def load_judge_votes(
    conn: duckdb.DuckDBPyConnection,
    *,
    studies: Sequence[str] | None = None,
    abilities: Sequence[str] | None = None,
) -> dict[str, Votes]:
    """Read the votes of some studies, each study by itself.

    Votes of different studies are never pooled: the same name may stand for another model or item.
    Own votes count if they are current (docs/judge.md); cells go by their labels.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Connection from `warehouse.connection.open_latest`.
    studies, abilities : sequence of str, optional
        What to read; all by default.

    Returns
    -------
    dict of str to Votes
        By study, in order; studies without votes are left out.

    Raises
    ------
    InputError
        If a study or ability has no votes, or a vote holds a value that no vote can have.
    WorkError
        If the snapshot is too old to hold votes.
    """
    with conn.cursor() as cursor:
        try:
            known = cursor.execute(load_statement("queries", "judge_studies")).df()
            check_known("study", studies, known)
            check_known("ability", abilities, known)
            parameters = {"study": studies or None, "ability": abilities or None}
            rows = cursor.execute(load_statement("queries", "judge_votes"), parameters).df()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise WorkError(
                "The snapshot was published by a version that knew no judge votes; run "
                "python cli.py ingest to publish it anew."
            ) from error
    return votes_by_study(rows)


def votes_by_study(rows: pa.Table | pd.DataFrame) -> dict[str, Votes]:
    """Return the votes of each study in a table with the columns of the judge_vote records.

    Raises
    ------
    InputError
        If a vote holds a value that no vote can have.
    """
    frame = rows.to_pandas() if isinstance(rows, pa.Table) else rows
    return {str(study): to_votes(part) for study, part in frame.groupby("study", sort=True)}


def to_votes(frame: pd.DataFrame) -> Votes:
    """Return the votes of one study; missing values of any kind become unknown ones.

    Parameters
    ----------
    frame : DataFrame
        Columns of the judge_vote records (`warehouse.records.JUDGE_VOTE`).
    """
    return Votes.from_columns(
        item=_texts(frame["item_id"]),
        model_a=_texts(frame["model_a"]),
        model_b=_texts(frame["model_b"]),
        judge=_texts(frame["judge"]),
        annotator=_texts(frame["annotator"]),
        shown_first=_texts(frame["shown_first"]),
        preference=_numbers(frame["preference"]),
        rating=_numbers(frame["rating"]),
        len_a=_numbers(frame["len_a"]),
        len_b=_numbers(frame["len_b"]),
        difficulty=_numbers(frame["instruction_difficulty"]),
    )


def _texts(column: pd.Series) -> list[Any]:
    """Return texts with None for what is missing."""
    values = column.astype(object)
    return list(values.where(values.notna(), None))


def _numbers(column: pd.Series) -> np.ndarray:
    """Return floats with NaN for what is missing."""
    return pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
