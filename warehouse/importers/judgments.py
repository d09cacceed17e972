"""Imports pairwise judgments of people or models: one row a vote."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from warehouse.importers.contract import Imported, hash_text
from warehouse.importers.files import Sheet, read_sheets
from warehouse.importers.rows import Rows, Texts
from warehouse.records import JUDGE_VOTE, IgnoredPart

REQUIRED = ("item_id", "model_a", "model_b")
VERDICTS = ("preference", "winner")
OPTIONAL = (
    "order",
    "len_a",
    "len_b",
    "judge",
    "annotator",
    "instruction_difficulty",
    "ability",
    "study",
    "failed_reason",
)

_PROTOCOL = "pairwise"
_A = {"a", "model_a", "1", "1.0", "a>b", "first"}
_B = {"b", "model_b", "2", "2.0", "b>a", "second"}
_TIE = {"tie", "draw", "equal", "both", "same", "a=b", "1.5", "tie (bothbad)"}
_A_FIRST = {"a", "ab", "a,b", "a b", "model_a", "a_first", "1", "1.0"}
_B_FIRST = {"b", "ba", "b,a", "b a", "model_b", "b_first", "2", "2.0"}
# Two votes that agree on these are repeats of one question; the verdict does not tell them apart.
_IDENTITY = ["study", "item_id", "model_a", "model_b", "shown_first", "judge", "annotator"]
_VERDICT = ["preference", "failed_reason", "ability", "len_a", "len_b", "instruction_difficulty"]


def read_judgments(paths: Sequence[Path], *, study: str | None = None) -> list[Imported]:
    """Read CSV and Parquet files of votes.

    Parameters
    ----------
    study : str, optional
        Study of all rows; else what their column says, else a file's name without its ending.

    Returns
    -------
    list of Imported
        One a study, in the order in which the files name them.

    Raises
    ------
    InputError
        If a file can't be opened.
    RejectedImportError
        If a row is bad: nothing of any file is taken.
    """
    rows = Rows(read_sheets(paths, {*REQUIRED, *VERDICTS, *OPTIONAL}))
    rows.require_columns(REQUIRED, "add the column.")
    if not any(rows.has(name) for name in VERDICTS):
        rows.require_columns(
            ["preference"], "add it (1 = model_a, 2 = model_b, 1.5 a tie) or a column winner."
        )
    frame = _read_frame(rows, study)
    rows.require_good()
    frame["vote_id"] = _vote_ids(frame)
    notes = _drop_repeated_votes(rows, frame)
    rows.require_good()
    return [
        Imported(
            importer="judgments",
            study=str(name),
            files=[rows.sheets[place].file for place in sorted(set(part["file"]))],
            n_rows=len(part),
            votes=_votes(part[part["kept"]]),
            vote_origins=[rows.origin(row) for row in part[part["kept"]]["row"]],
            ignored=(*rows.ignored(), *notes),
            arguments={} if study is None else {"study": study},
        )
        for name, part in frame.groupby("study", sort=False)
    ]


# --- Columns ----------------------------------------------------------------------------------


def _read_frame(rows: Rows, study: str | None) -> pd.DataFrame:
    """Validate the columns; what is wrong is kept in `rows`."""
    frame = pd.DataFrame({"row": np.arange(len(rows))})
    frame["file"] = [rows.sheet_of(row) for row in frame["row"]]
    frame["study"] = study
    if study is None:
        stems = np.array([_study_of(sheet) for sheet in rows.sheets], dtype=object)
        named = rows.names("study", required=False)
        frame["study"] = np.where(pd.isna(named), stems[frame["file"]], named)
    for name in REQUIRED:
        frame[name] = rows.free_texts(name, required=True)
    for name in ("judge", "annotator", "failed_reason"):
        frame[name] = rows.free_texts(name)
    frame["ability"] = rows.names("ability", required=False)
    for name in ("len_a", "len_b"):
        frame[name] = rows.counts(name)
    frame["instruction_difficulty"] = rows.numbers("instruction_difficulty")
    rows.reject(
        (frame["model_a"] == frame["model_b"]).to_numpy(),
        frame["model_b"].to_numpy(),
        "model_a and model_b are the same; a vote needs two models.",
    )
    frame["shown_first"] = _shown_first(rows, frame)
    frame["preference"] = _preference(rows, frame)
    return frame


def _study_of(sheet: Sheet) -> str:
    """Return a study's name made of a file's."""
    name = re.sub(r"[^A-Za-z0-9._:+-]+", "-", Path(sheet.file.name).stem)
    return re.sub(r"^[^A-Za-z0-9]+", "", name)[:120] or "judgments"


def _shown_first(rows: Rows, frame: pd.DataFrame) -> Texts:
    """Return a or b, the answer shown first; None where a row doesn't say."""
    order = rows.free_texts("order")
    places = [
        _which(text, first, second, _A_FIRST, _B_FIRST)
        for text, first, second in zip(order, frame["model_a"], frame["model_b"], strict=True)
    ]
    rows.reject(
        pd.notna(order) & pd.isna(np.array(places, dtype=object)),
        order,
        "order says neither a nor b; write which answer was shown first, or leave it empty.",
    )
    return np.array([{1.0: "a", 2.0: "b"}.get(place or 0.0) for place in places], dtype=object)


def _preference(rows: Rows, frame: pd.DataFrame) -> pd.Series:
    """Return 1 for model_a to 2 for model_b; NaN for a vote that failed."""
    preference = rows.numbers("preference")
    rows.reject(
        (preference < 1) | (preference > 2),
        preference,
        "preference is outside [1, 2]: 1 = model_a, 2 = model_b, 1.5 a tie.",
    )
    winner = rows.free_texts("winner")
    places = [
        1.5
        if text is not None and text.lower() in _TIE and text not in (first, second)
        else _which(text, first, second, _A, _B)
        for text, first, second in zip(winner, frame["model_a"], frame["model_b"], strict=True)
    ]
    won = np.array([np.nan if place is None else place for place in places], dtype=float)
    rows.reject(
        pd.notna(winner) & np.isnan(won),
        winner,
        "winner is neither of the two models; write its name, a, b or tie.",
    )
    rows.reject(
        np.sign(preference - 1.5) * np.sign(won - 1.5) < 0,
        winner,
        lambda row: f"winner contradicts preference {preference[row]:g}; correct one.",
    )
    verdict = np.where(np.isnan(preference), won, preference)
    failed = frame["failed_reason"].notna().to_numpy()
    rows.reject(
        np.isnan(verdict) & ~failed,
        winner,
        "there is no verdict; say why in a column failed_reason, or leave the row out.",
    )
    rows.reject(
        ~np.isnan(verdict) & failed,
        frame["failed_reason"].to_numpy(),
        "a vote that failed has no verdict; leave preference and winner empty.",
    )
    return pd.Series(verdict)


def _which(
    text: str | None, first: str, second: str, firsts: set[str], seconds: set[str]
) -> float | None:
    """Return 1 or 2 for the model that a text means, names before letters; None for neither."""
    if text is None:
        return None
    if text in (first, second):
        return 1.0 if text == first else 2.0
    if text.lower() in firsts:
        return 1.0
    return 2.0 if text.lower() in seconds else None


# --- Votes ------------------------------------------------------------------------------------


def _vote_ids(frame: pd.DataFrame) -> list[str]:
    """Return what tells votes apart; the repeats of a question within a file are counted."""
    seen: Counter[tuple[Any, ...]] = Counter()
    ids = []
    for file, study, *identity in zip(
        frame["file"], *(frame[name] for name in _IDENTITY), strict=True
    ):
        key = [None if pd.isna(part) else part for part in identity]
        seen[(file, study, *key)] += 1
        # The last but one stands for the prompt's hash, which imported votes don't have.
        ids.append(hash_text(json.dumps([study, _PROTOCOL, *key, None, seen[(file, study, *key)]])))
    return ids


def _drop_repeated_votes(rows: Rows, frame: pd.DataFrame) -> list[IgnoredPart]:
    """Keep votes once that several files hold, and reject those whose verdicts differ."""
    first = frame.groupby("vote_id", sort=False)["row"].transform("first").to_numpy()
    repeats = first != frame["row"].to_numpy()
    verdicts = frame[_VERDICT]
    known = verdicts.iloc[first].reset_index(drop=True)
    same = ((verdicts == known) | (verdicts.isna() & known.isna())).all(axis=1).to_numpy()
    rows.reject(
        repeats & ~same,
        frame["preference"].to_numpy(),
        lambda row: (
            f"{rows.origin(int(first[row]))[0]} line {rows.origin(int(first[row]))[1]} holds the "
            "same vote with another verdict; tell votes apart by judge, annotator or order."
        ),
    )
    frame["kept"] = ~repeats
    counts = Counter(rows.origin(int(row))[0] for row in frame["row"][repeats])
    return [
        IgnoredPart(
            file=file, what=f"{count} votes", reason="another file of this import holds them too"
        )
        for file, count in counts.items()
    ]


def _votes(part: pd.DataFrame) -> pa.Table:
    """Return the votes of one study as rows of JUDGE_VOTE."""
    known = {
        *_IDENTITY,
        *_VERDICT,
        "vote_id",
    }
    columns = {
        "import_id": pa.nulls(len(part), pa.string()),
        "protocol": pa.repeat(pa.scalar(_PROTOCOL), len(part)),
    }
    for field in JUDGE_VOTE:
        if field.name in known:
            columns[field.name] = pa.Array.from_pandas(part[field.name], type=field.type)
        elif field.name not in columns:
            columns[field.name] = pa.nulls(len(part), field.type)
    return pa.table(columns).select(JUDGE_VOTE.names).cast(JUDGE_VOTE)
