"""Builds landing tables column by column; every importer of evaluations fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from warehouse.importers import mapping as mappings
from warehouse.importers.contract import Imported, Origin
from warehouse.importers.lm_eval_files import Findings
from warehouse.records import ITEM, ITEM_SCORE, SCORE, CellRecord, RunRecord


@dataclass(frozen=True, kw_only=True)
class Item:
    """What an item asks; `prompt` is a JSON list of messages."""

    prompt: str
    target: str
    choices: tuple[str, ...] | None


class Tables:
    """Scores, item scores and items of one import."""

    def __init__(self) -> None:
        self.score_origins: list[Origin] = []
        self._scores: list[dict[str, Any]] = []
        self._item_scores: list[pa.Table] = []
        self._items: dict[str, tuple[str, str, Item]] = {}

    def add_score(self, origin: Origin, **values: Any) -> None:
        """Add a score without items; columns that are not given are null."""
        row = dict.fromkeys(SCORE.names) | {"import_id": ""} | values
        self._scores.append(row)
        self.score_origins.append(origin)

    def add_item_scores(self, constants: Mapping[str, Any], **columns: Sequence[Any]) -> int:
        """Add item scores that share some columns; others that are not given are null.

        Parameters
        ----------
        constants : mapping
            Columns with one value for all rows.
        columns : sequences of equal length
            The others, by name.
        """
        n_rows = len(columns["item_id"])
        arrays = []
        for column in ITEM_SCORE:
            if column.name in columns:
                arrays.append(_array(columns[column.name], column.type))
            else:
                value = pa.scalar(constants.get(column.name), column.type)
                arrays.append(pa.repeat(value, n_rows))
        self._item_scores.append(pa.Table.from_arrays(arrays, schema=ITEM_SCORE))
        return n_rows

    def add_items(
        self, task: str, ability: str, item_ids: Sequence[str], texts: Mapping[str, Item]
    ) -> None:
        """Add the items that scores name; one that is known already stays as it is."""
        for item_id in item_ids:
            if item_id not in self._items:
                self._items[item_id] = (task, ability, texts[item_id])

    def scores(self) -> pa.Table | None:
        """Return the scores without items; None without any."""
        if not self._scores:
            return None
        return pa.Table.from_pylist(self._scores, schema=SCORE)

    def item_scores(self) -> pa.Table | None:
        """Return the item scores; None without any."""
        return pa.concat_tables(self._item_scores) if self._item_scores else None

    def items(self) -> pa.Table | None:
        """Return the items; None without any."""
        if not self._items:
            return None
        rows = self._items.values()
        columns: dict[str, Sequence[Any]] = {
            "item_id": list(self._items),
            "task": [task for task, _, _ in rows],
            "ability": [ability for _, ability, _ in rows],
            "prompt": [item.prompt for _, _, item in rows],
            "target": [item.target for _, _, item in rows],
            "choices": [item.choices for _, _, item in rows],
        }
        arrays = [_array(columns[column.name], column.type) for column in ITEM]
        return pa.Table.from_arrays(arrays, schema=ITEM)


def describe_import(
    importer: str,
    study: str,
    *,
    findings: Findings,
    tables: Tables,
    cells: Mapping[str, CellRecord],
    runs: Sequence[RunRecord],
    mapping: mappings.Mapping,
) -> Imported:
    """Return what an import of evaluations found, as `land` takes it."""
    return Imported(
        importer=importer,
        study=study,
        files=list(findings.files.values()),
        n_rows=sum(file.n_rows for file in findings.files.values()),
        cells=list(cells.values()),
        runs=runs,
        scores=tables.scores(),
        item_scores=tables.item_scores(),
        items=tables.items(),
        score_origins=tables.score_origins,
        ignored=findings.ignored,
        arguments=mappings.arguments(mapping, cells),
    )


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return a column; JSON may hold halves of surrogate pairs, which are no text."""
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_clean(value) for value in values], kind)


def _clean(value: Any) -> Any:
    """Replace what UTF-8 can't write."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value
