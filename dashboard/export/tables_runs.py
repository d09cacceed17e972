"""Tables of what was run: runs on no curve, settings, what it took, where imports come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard.charts.wording import count_params, name_row, say_list
from dashboard.export.tables import (
    Missing,
    PaperTable,
    Shown,
    number,
    say_fixed,
    significant,
    varying,
)

_RUN_LEVEL = 0.95
_RUN_Z = 1.959963984540054
_BASE = "base model"
_OF_IMPORTS = ("imported", "unknown")
"""Templates that imports put down."""


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A column of `mart_cell`: its heading, how its numbers read, and how runs are put together."""

    column: str
    heading: str
    say: Callable[[float], str]
    largest: bool = False

    def total(self, rows: pd.DataFrame) -> float | None:
        """Return the sum (or the largest) over the runs that recorded it; None without one."""
        known = pd.to_numeric(rows[self.column]).dropna()
        if known.empty:
            return None
        return float(known.max() if self.largest else known.sum())

    def show(self, rows: pd.DataFrame, n_done: int) -> Shown:
        """Return the total for print, with the number of runs behind it where some lack it."""
        total, n_known = self.total(rows), int(rows[self.column].notna().sum())
        if total is None:
            return Missing(reason="no run of this row recorded it")
        return self.say(total) + (f" ({n_known} of {n_done})" if n_known < n_done else "")


def _hours(seconds: float) -> str:
    return significant(seconds / 3600)


_FIGURES = (
    _Figure(column="train_seconds", heading="Training h", say=_hours),
    _Figure(column="score_seconds", heading="Scoring h", say=_hours),
    _Figure(column="n_optimizer_steps", heading="Steps", say=lambda value: number(value, 0)),
    _Figure(column="n_tokens", heading="Tokens", say=lambda value: count_params(int(value))),
    _Figure(
        column="peak_memory_bytes",
        heading="Peak GiB",
        say=lambda value: number(value / 2**30, 2),
        largest=True,
    ),
    _Figure(
        column="energy_joules", heading="Energy kWh", say=lambda value: significant(value / 3.6e6)
    ),
    _Figure(column="cost", heading="Cost", say=significant),
)


def compute_table(cells: pd.DataFrame) -> PaperTable | None:
    """Return what every base model and data source took, over the runs that are done.

    None where no run recorded anything, as imported ones don't.

    Parameters
    ----------
    cells : DataFrame
        Rows of `mart_cell` of one study.
    """
    known = [one for one in _FIGURES if cells[one.column].notna().any()]
    if not known:
        return None
    unknown = [one.heading for one in _FIGURES if one not in known]
    sources = cells["data_source"].where(cells["data_source"].notna(), _BASE)
    body: list[tuple[Shown, ...]] = []
    data = []
    for key, rows in cells.assign(source=sources).groupby(["base_model", "source"], sort=False):
        base_model, source = (str(part) for part in key)
        counts = {
            f"runs_{status}": int((rows["status"] == status).sum())
            for status in ("done", "failed", "pending")
        }
        totals = {one.column: one.total(rows) for one in _FIGURES}
        shown = (one.show(rows, counts["runs_done"]) for one in known)
        body.append((base_model, source, *(str(n) for n in counts.values()), *shown))
        data.append(
            {"base_model": base_model, "data_source": source}
            | counts
            | {"runs_excluded": int(rows["excluded_reason"].notna().sum())}
            | totals
        )
    missing = f" No run recorded: {say_list(unknown)}." if unknown else ""
    return PaperTable(
        name="compute",
        caption="Runs and what they took, summed over those that are done (peak memory: the "
        "largest). Where only some recorded a figure, their number is given in brackets."
        f"{missing}",
        headings=("Base model", "Data", "Done", "Failed", "Pending", *(o.heading for o in known)),
        rows=tuple(body),
        n_names=2,
        data=pd.DataFrame(data),
    )


def settings_table(cells: pd.DataFrame) -> PaperTable | None:
    """Return training and scoring settings, and for which base models each holds.

    None where no run states any, as imported results don't.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in cells.to_dict("records"):
        for part in ("training", "scoring"):
            settings = json.loads(row[part]) if isinstance(row[part], str) else {}
            if part == "training" and pd.isna(row["data_source"]):
                continue
            for name, value in sorted(settings.items()):
                models = found.setdefault((part, name, json.dumps(value)), [])
                if row["base_model"] not in models:
                    models.append(str(row["base_model"]))
    found = {key: models for key, models in found.items() if key[2] != "null"}
    for name in ("template", "checkpoint_rule"):
        stated = cells[cells[name].notna() & ~cells[name].isin(_OF_IMPORTS)]
        for value, rows in stated.groupby(name):
            found["run", name, str(value)] = list(dict.fromkeys(rows["base_model"].astype(str)))
    if not found:
        return None
    everyone = set(cells["base_model"].astype(str))
    body = tuple(
        (
            part,
            name.replace("_", " "),
            "all" if set(models) == everyone else say_list(models),
            value.strip('"'),
        )
        for (part, name, value), models in found.items()
    )
    return PaperTable(
        name="settings",
        caption="Settings of training and scoring as the runs recorded them.",
        headings=("Of", "Setting", "Base models", "Value"),
        rows=body,
        n_names=4,
        data=pd.DataFrame(body, columns=["of", "setting", "base_models", "value"]),
    )


def import_table(imports: Sequence[dict[str, Any]]) -> PaperTable | None:
    """Return where imported results come from: rows of `dim_import`."""
    if not imports:
        return None
    data = pd.DataFrame(imports)
    body = tuple(
        (
            str(row["importer"]),
            f"{pd.Timestamp(row['imported_at']):%Y-%m-%d %H:%M}",
            str(len(json.loads(row["files"]))),
            number(row["n_rows"], 0),
            Missing(reason="the import names no publication")
            if not isinstance(row["citation"], str)
            else row["citation"],
        )
        for row in imports
    )
    return PaperTable(
        name="imports",
        caption="Imported results: tool, time (UTC), files, rows and the publication they are "
        "from. The CSV file lists every file with its SHA-256.",
        headings=("Tool", "Imported", "Files", "Rows", "Publication"),
        rows=body,
        n_names=2,
        data=data,
    )


def run_score_table(scores: pd.DataFrame) -> PaperTable | None:
    """Return the scores of runs that are on no growth curve; None where there is none.

    Those are base models, and imported runs, of which no other volume is known. The CSV holds
    every run of the study.

    Parameters
    ----------
    scores : DataFrame
        Rows of `mart_ability_score`.
    """
    scores = scores.sort_values(["ability", "n_params", "base_model", "cell_id"])
    ends = pd.DataFrame(
        [_score_bounds(row) for row in scores.to_dict("records")],
        columns=["low", "high"],
        index=scores.index,
        dtype=float,
    )
    data = scores.join(ends).assign(level=_RUN_LEVEL)
    grown = scores[scores["data_source"].notna() & scores["volume_setting"].notna()]
    alone = data[
        data["design"].isin(("base", "imported")) & ~data["base_model"].isin(grown["base_model"])
    ]
    if alone.empty:
        return None
    rows = [
        {
            "ability": name_row(str(row["ability"]), out_of_domain=bool(row["out_of_domain"])),
            "run": str(row["label"]),
            "metric": str(row["metric"]),
        }
        for row in alone.to_dict("records")
    ]
    names = ["ability", "run", *varying(rows, {"metric": "metric"})]
    body: list[tuple[Shown, ...]] = []
    for shown, row in zip(rows, alone.to_dict("records"), strict=True):
        why = row["missing_reason"] if isinstance(row["missing_reason"], str) else "not scored"
        scale, digits = (100.0, 1) if _is_share(row) else (1.0, 3)
        body.append(
            (
                *(shown[name] for name in names),
                Missing(reason=why)
                if pd.isna(row["score"])
                else number(row["score"], digits, scale=scale),
                Missing(reason="neither items nor a standard error are known")
                if pd.isna(row["low"])
                else f"[{number(row['low'], digits, scale=scale)}, "
                f"{number(row['high'], digits, scale=scale)}]",
                Missing(reason="the number of items is not known")
                if pd.isna(row["n_scored"])
                else number(row["n_scored"], 0),
            )
        )
    fixed = say_fixed(rows, {"metric": "metric"})
    return PaperTable(
        name="scores-runs",
        caption="Scores of runs that are on no growth curve, since no training volume of theirs "
        "is known (shares of right answers in percent), with 95% intervals that cover test items "
        "only: Wilson's for shares, else 1.96 standard errors. Every run of the study is in the "
        f"CSV file.{fixed}",
        headings=(*(name.capitalize() for name in names), "Score",
                  "Interval", "Items"),
        rows=tuple(body),
        n_names=len(names),
        data=data,
    )  # fmt: skip


def _is_share(row: Mapping[Any, Any]) -> bool:
    """Say whether a score is a share of items: within [0, 1], its items known or called so."""
    named = isinstance(row["item_hash"], str) or str(row["metric"]).startswith("acc")
    return named and 0 <= row["score"] <= 1


def _score_bounds(row: Mapping[Any, Any]) -> tuple[float | None, float | None]:
    """Return the 95% interval of one run's score over test items; None where nothing tells it."""
    if _is_share(row) and row["n_scored"] > 0:
        # As statsmodels' proportion_confint(method="wilson"), which takes seconds to load.
        n, p, z = float(row["n_scored"]), float(row["score"]), _RUN_Z
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return float(middle - half), float(middle + half)
    if pd.isna(row["score"]) or pd.isna(row["stderr"]):
        return None, None
    half = _RUN_Z * float(row["stderr"])
    return float(row["score"]) - half, float(row["score"]) + half
