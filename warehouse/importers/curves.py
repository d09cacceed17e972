"""Imports growth curves that were measured elsewhere: one row a run, ability and metric."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warehouse.importers.contract import Imported
from warehouse.importers.curve_runs import (
    describe_cells,
    describe_runs,
    describe_scores,
    tell_runs_apart,
)
from warehouse.importers.files import read_sheets
from warehouse.importers.rows import Rows, plain

REQUIRED = ("study", "ability", "base_model", "data_source", "n_examples", "score")
OPTIONAL = (
    "n_params",
    "seed",
    "metric",
    "stderr",
    "n_items",
    "chance_level",
    "higher_is_better",
    "family",
    "steps",
    "n_tokens",
)

_ACCURACY = "accuracy"
_FRACTIONS = {_ACCURACY, "acc", "acc_norm", "exact_match", "win_rate"}
_POSITIVE = {"loss", "perplexity", "ppl", "nll", "entropy", "bits", "bpb"}
_LOWER = _POSITIVE | {"error", "err", "wer", "cer", "mae", "mse", "rmse", "brier", "ece"}


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """What a call says about its files.

    `study` holds for all rows; the others for rows whose file lacks the column or whose field is
    empty.
    """

    study: str | None = None
    ability: str | None = None
    base_model: str | None = None
    data_source: str | None = None
    metric: str | None = None
    higher_is_better: bool | None = None


def read_curves(
    paths: Sequence[Path],
    options: CurveOptions | None = None,
    *,
    importer: str = "curves",
    citation: str | None = None,
    notice: str | None = None,
) -> list[Imported]:
    """Read CSV and Parquet files of curves.

    Parameters
    ----------
    paths : sequence of Path
        Their rows are checked together, as if they stood in one file.
    options : CurveOptions, optional
        Values for columns that files lack.

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
    options = options or CurveOptions()
    rows = Rows(read_sheets(paths, {*REQUIRED, *OPTIONAL}))
    given = {name for name, value in asdict(options).items() if value is not None}
    rows.require_columns(
        [name for name in REQUIRED if name not in given],
        "add the column" + (" (or give --study NAME)." if "study" not in given else "."),
    )
    frame = _read_frame(rows, options)
    rows.require_good()
    frame, notes = tell_runs_apart(rows, frame)
    rows.require_good()
    moment = datetime.now(UTC)
    arguments = {name: value for name, value in asdict(options).items() if name in given}
    return [
        Imported(
            importer=importer,
            study=str(study),
            files=[
                rows.sheets[place].file
                for place in sorted({rows.sheet_of(row) for row in part["row"]})
            ],
            n_rows=int((frame["study"] == study).sum()),
            cells=describe_cells(part),
            runs=describe_runs(part, moment),
            scores=describe_scores(part),
            score_origins=[rows.origin(row) for row in part["row"]],
            ignored=(*rows.ignored(), *notes.get(str(study), ())),
            arguments=arguments,
            citation=citation,
            notice=notice,
        )
        for study, part in frame[frame["kept"]].groupby("study", sort=False)
    ]


# --- Columns ----------------------------------------------------------------------------------


def _read_frame(rows: Rows, options: CurveOptions) -> pd.DataFrame:
    """Validate the columns; what is wrong is kept in `rows`."""
    frame = pd.DataFrame({"row": np.arange(len(rows))})
    if options.study is None:
        frame["study"] = rows.names("study")
    else:
        frame["study"] = options.study
    frame["ability"] = rows.names("ability", default=options.ability)
    frame["base_model"] = rows.names("base_model", default=options.base_model)
    frame["data_source"] = rows.names("data_source", default=options.data_source, required=False)
    frame["n_examples"] = rows.counts("n_examples", required=True)
    frame["score"] = rows.numbers("score", required=True)
    frame["metric"] = rows.names("metric", default=options.metric, required=False)
    for name, low in (("n_params", 1), ("n_items", 1), ("steps", 0), ("n_tokens", 0)):
        frame[name] = rows.counts(name, low=low)
    frame["seed"] = rows.counts("seed", low=None)
    for name in ("stderr", "chance_level"):
        frame[name] = rows.numbers(name)
    frame["family"] = rows.names("family", required=False)
    frame["higher"] = rows.flags("higher_is_better")
    _check_ranges(rows, frame)
    _complete_metric(rows, frame, options)
    frame["n_params"] = _one_per_model(rows, frame, "n_params")
    frame["family"] = _one_per_model(rows, frame, "family")
    return frame


def _check_ranges(rows: Rows, frame: pd.DataFrame) -> None:
    """Reject what no run can have."""
    untold = frame["data_source"].isna() & (frame["n_examples"] > 0)
    rows.reject(
        untold.to_numpy(),
        frame["data_source"].to_numpy(),
        "data_source is empty; name the source of the training data.",
    )
    stderr = frame["stderr"].to_numpy()
    rows.reject(stderr < 0, stderr, "stderr is below 0; correct it or leave it empty.")
    chance = frame["chance_level"].to_numpy()
    rows.reject(
        (chance < 0) | (chance >= 1),
        chance,
        "chance_level is outside [0, 1); give a fraction, or leave it empty.",
    )


def _complete_metric(rows: Rows, frame: pd.DataFrame, options: CurveOptions) -> None:
    """Fill in metrics and directions that rows don't name; reject scores that don't fit them."""
    score = frame["score"].to_numpy()
    outside = (score < 0) | (score > 1)
    percent = "; is it a percentage? Divide it by 100" if _looks_percent(score) else ""
    unnamed = frame["metric"].isna().to_numpy()
    named = "name it with --metric NAME, e.g. --metric loss, or in a column metric."
    rows.reject(
        unnamed & outside,
        score,
        f"the metric is not named and the score is no accuracy, outside [0, 1]{percent}; {named}",
    )
    frame["metric"] = frame["metric"].where(~unnamed, _ACCURACY)
    names = frame["metric"].astype(str)
    fraction = names.str.lower().isin(_FRACTIONS).to_numpy()
    rows.reject(
        fraction & outside,
        score,
        lambda row: f"{names[row]} is outside [0, 1]{percent}; correct it or name another metric.",
    )
    parts = {name: set(re.split(r"[._:+-]", name.lower())) for name in names.unique()}
    positive = names.isin([name for name in parts if parts[name] & _POSITIVE]).to_numpy()
    rows.reject(
        positive & (score <= 0),
        score,
        lambda row: f"{names[row]} is always above 0; correct it or name another metric.",
    )
    lower = names.isin([name for name in parts if parts[name] & _LOWER]).to_numpy()
    usual = ~lower if options.higher_is_better is None else options.higher_is_better
    told = frame["higher"].notna().to_numpy()
    higher = np.where(told, frame["higher"].to_numpy() > 0, usual)
    frame["higher"] = higher
    rows.reject(
        fraction & ~higher,
        np.where(higher, "true", "false"),
        lambda row: (
            f"{names[row]} grows as models improve, but lower is called better; "
            "name the metric with --metric NAME, or correct the direction."
        ),
    )
    first = frame.groupby(["study", "metric"], dropna=False)["higher"].transform("first")
    rows.reject(
        (frame["higher"] != first).to_numpy(),
        np.where(higher, "true", "false"),
        lambda row: (
            f"{names[row]} is better {'lower' if higher[row] else 'higher'} in earlier rows; one "
            "metric has one direction."
        ),
    )


def _looks_percent(score: NDArray[np.float64]) -> bool:
    """Tell whether scores seem to be percentages: none negative or above 100, most above 10."""
    known = score[np.isfinite(score)]
    return bool(
        known.size and (known >= 0).all() and (known <= 100).all() and np.median(known) > 10
    )


def _one_per_model(rows: Rows, frame: pd.DataFrame, name: str) -> pd.Series:
    """Return what the rows of a base model say alike, also for rows that don't say it."""
    first = frame.groupby(["study", "base_model"], dropna=False)[name].transform("first")
    differs = frame[name].notna() & (frame[name] != first)
    rows.reject(
        differs.to_numpy(),
        frame[name].to_numpy(),
        lambda row: (
            f"{name} of {frame['base_model'][row]} is {plain(first[row])} in an earlier row; "
            "a base model has one."
        ),
    )
    return first
