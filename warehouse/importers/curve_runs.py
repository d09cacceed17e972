"""Tells the runs of imported curves apart and describes them as cells, runs and scores."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from warehouse.importers.contract import hash_text
from warehouse.importers.rows import Mask, Rows, plain
from warehouse.records import (
    SCORE,
    UNLABELLED,
    CellRecord,
    CompositionPart,
    Design,
    IgnoredPart,
    RunRecord,
    RunStatus,
)

# What tells a run from another; anything that may be corrected later is left out.
_RUN = ["study", "base_model", "data_source", "n_examples", "seed", "steps", "n_tokens"]
_VALUES = ["score", "stderr", "n_items", "chance_level"]
_N_LINES_SHOWN = 5
_UNKNOWN = "unknown"


def tell_runs_apart(
    rows: Rows, frame: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, list[IgnoredPart]]]:
    """Find the base models and the rows that are kept, and reject contradictory ones.

    Where all evaluations of an untouched model agree, they are one base cell; where they differ,
    each is kept as it is.

    Returns
    -------
    DataFrame
        With `is_base`, `kept` and `cell_id`; base rows without source, seed, steps and tokens.
    dict
        Notes by study.
    """
    frame["is_base"] = _find_base_models(rows, frame)
    frame.loc[frame["is_base"], ["data_source"]] = None
    frame.loc[frame["is_base"], ["seed", "steps", "n_tokens"]] = np.nan
    frame["kept"] = _find_kept_rows(rows, frame)
    frame["cell_id"] = _cell_ids(frame)
    parts = frame.groupby("study", sort=False)
    return frame, {str(study): _notes(rows, str(study), part) for study, part in parts}


def _find_base_models(rows: Rows, frame: pd.DataFrame) -> pd.Series:
    """Return the rows of untouched models whose evaluations agree."""
    untouched = frame["n_examples"] == 0
    n_scores = frame.groupby(
        ["study", "base_model", "ability", "metric", "n_examples"], sort=False
    )["score"].transform("nunique")
    most = n_scores.where(untouched, 0).groupby([frame["study"], frame["base_model"]])
    differ = most.transform("max") > 1
    rows.reject(
        (untouched & differ & frame["data_source"].isna()).to_numpy(),
        frame["score"].to_numpy(),
        lambda row: (
            f"scores of {frame['base_model'][row]} with n_examples = 0 differ; keep one, or tell "
            "the evaluations apart by data_source and seed."
        ),
    )
    return untouched & ~differ


def _find_kept_rows(rows: Rows, frame: pd.DataFrame) -> Mask:
    """Return the first row of each run, ability and metric; others must say the same."""
    keys = [*_RUN, "ability", "metric"]
    first = frame.groupby(keys, dropna=False, sort=False)["row"].transform("first").to_numpy()
    repeats: Mask = first != frame["row"].to_numpy()
    values = frame[_VALUES].to_numpy()
    differs = (values != values[first]) & ~(np.isnan(values) & np.isnan(values[first]))

    def reason(row: int) -> str:
        known = int(first[row])
        place = int(differs[row].argmax())
        return (
            f"line {rows.origin(known)[1]} gives the same run, ability and metric "
            f"({_VALUES[place]} {plain(values[known, place])} there, {plain(values[row, place])} "
            "here); tell replicates apart by seed, or correct one."
        )

    # Base rows were compared by their scores already.
    contradicts = repeats & differs.any(axis=1) & ~frame["is_base"].to_numpy()
    rows.reject(contradicts, frame["score"].to_numpy(), reason)
    return ~repeats


def _notes(rows: Rows, study: str, part: pd.DataFrame) -> list[IgnoredPart]:
    """List what of a study is not kept as it stands."""
    left_out = part[~part["kept"]]
    models = part.loc[part["n_examples"].eq(0) & ~part["is_base"], "base_model"].unique()
    return [
        *_repeats_note(rows, left_out[~left_out["is_base"]], "repeat earlier rows"),
        *_repeats_note(
            rows,
            left_out[left_out["is_base"]],
            "the untouched base model again; it is kept once, without source and seed",
        ),
        *(
            IgnoredPart(
                file=", ".join(sheet.name for sheet in rows.sheets),
                what=f"one base cell for {model}",
                reason="its scores with n_examples = 0 differ, so each evaluation stays a run of "
                f"its own; if an earlier import made one of them the base cell, exclude {cell_id}",
            )
            for model, cell_id in zip(models, _base_ids(study, models), strict=True)
        ),
    ]


def _repeats_note(rows: Rows, part: pd.DataFrame, reason: str) -> list[IgnoredPart]:
    """List rows that were left out, file by file."""
    lines: dict[str, list[int | None]] = {}
    for row in part["row"]:
        file, line = rows.origin(int(row))
        lines.setdefault(file, []).append(line)
    return [
        IgnoredPart(
            file=file,
            what=("1 row (line " if len(found) == 1 else f"{len(found)} rows (lines ")
            + ", ".join(map(str, found[:_N_LINES_SHOWN]))
            + (", ..." if len(found) > _N_LINES_SHOWN else "")
            + ")",
            reason=reason,
        )
        for file, found in lines.items()
    ]


# --- Records ----------------------------------------------------------------------------------


def describe_cells(part: pd.DataFrame) -> list[CellRecord]:
    """Describe the runs of one study, each once."""
    return [_cell(run) for run in _runs(part)]


def describe_runs(part: pd.DataFrame, moment: datetime) -> list[RunRecord]:
    """Describe those runs of one study of which steps or tokens are known.

    Parameters
    ----------
    moment : datetime
        When they are said to have run, since nobody knows.
    """
    return [
        RunRecord(
            cell_id=run["cell_id"],
            attempt=1,
            status=RunStatus.DONE,
            started_at=moment,
            finished_at=moment,
            n_optimizer_steps=_whole(run["steps"]),
            n_tokens=_whole(run["n_tokens"]),
        )
        for run in _runs(part[part["steps"].notna() | part["n_tokens"].notna()])
    ]


def describe_scores(part: pd.DataFrame) -> pa.Table:
    """Return the scores of one study as rows of SCORE, in their order."""
    n_rows = len(part)

    def unknown(name: str) -> pa.Array:
        return pa.nulls(n_rows, SCORE.field(name).type)

    columns = {
        # Set when the import lands.
        "import_id": pa.repeat(pa.scalar(""), n_rows),
        "cell_id": part["cell_id"],
        "task": part["ability"],
        "ability": part["ability"],
        "metric": part["metric"],
        "higher_is_better": part["higher"],
        "score": part["score"],
        "missing_reason": unknown("missing_reason"),
        "stderr": part["stderr"],
        "n_items": part["n_items"],
        "parse_rate": unknown("parse_rate"),
        "chance_level": part["chance_level"],
    }
    arrays = [
        values
        if isinstance(values, pa.Array)
        else pa.Array.from_pandas(values, type=SCORE.field(name).type)
        for name, values in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=SCORE)


def _runs(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row a run."""
    runs = part.drop_duplicates("cell_id")[[*_RUN, "cell_id", "is_base", "n_params", "family"]]
    columns = [runs[name].tolist() for name in runs.columns]
    return [dict(zip(runs.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def _cell_ids(frame: pd.DataFrame) -> list[str]:
    """Return the ids of the rows' cells."""
    columns = [frame[name].tolist() for name in [*_RUN, "is_base"]]
    ids: dict[tuple[Any, ...], str] = {}
    found = []
    for study, base_model, *run, is_base in zip(*columns, strict=True):
        source, *numbers = run
        key = (study, base_model, None if pd.isna(source) else source, *map(_whole, numbers))
        identity = (*key, bool(is_base))
        if identity not in ids:
            ids[identity] = f"imp-{hash_text(json.dumps(identity))}"
        found.append(ids[identity])
    return found


def _base_ids(study: str, base_models: NDArray[np.object_]) -> list[str]:
    """Return the ids that the cells of untouched base models have."""
    frame = pd.DataFrame({"study": study, "base_model": base_models, "n_examples": 0})
    frame = frame.reindex(columns=_RUN)
    frame["is_base"] = True
    return _cell_ids(frame)


def _cell(run: dict[str, Any]) -> CellRecord:
    """Describe a run."""
    n_examples = int(run["n_examples"])
    source = None if pd.isna(run["data_source"]) else run["data_source"]
    seed = _whole(run["seed"])
    told = {name: _whole(run[name]) for name in ("steps", "n_tokens")}
    composition = (
        (CompositionPart(data_source=source, ability=UNLABELLED, n_examples=n_examples),)
        if source is not None and n_examples
        else ()
    )
    parts = [part.model_dump() for part in composition]
    label = f"{run['base_model']} base"
    if not run["is_base"]:
        label = f"{run['base_model']} {source} {n_examples}/total"
        label += "" if seed is None else f" seed {seed}"
        label += "".join(f" {name} {value}" for name, value in told.items() if value is not None)
    return CellRecord(
        cell_id=run["cell_id"],
        label=label,
        base_model=run["base_model"],
        base_model_revision=_UNKNOWN,
        n_params=_whole(run["n_params"]),
        model_family=None if pd.isna(run["family"]) else run["family"],
        data_source=source,
        design=Design.BASE if run["is_base"] else Design.IMPORTED,
        composition=composition,
        composition_id=hash_text(json.dumps(parts)),
        volume_setting=n_examples,
        volume_per=None if run["is_base"] else "total",
        seed=seed,
        template=_UNKNOWN,
        training={name: value for name, value in told.items() if value is not None},
        scoring={},
    )


def _whole(value: float) -> int | None:
    """Return a whole number, or None for NaN."""
    return None if math.isnan(value) else int(value)
