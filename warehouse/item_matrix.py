"""Item scores as matrices: what statistics need, without a text in every row.

Fifty million item scores with their names are gigabytes; as matrices they are eight bytes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.statements import load_statement


@dataclass(frozen=True, kw_only=True)
class ItemMatrix:
    """Scores of one ability and metric.

    Attributes
    ----------
    cells, items : tuple of str
        Ids of rows and columns, each in order.
    scores : ndarray, shape (n_cells, n_items)
        NaN where a cell has no score of an item.
    """

    cells: tuple[str, ...]
    items: tuple[str, ...]
    scores: NDArray[np.float64]

    def select(self, cells: Sequence[str]) -> tuple[NDArray[np.float64], tuple[str, ...]] | None:
        """Return scores of some cells over the items that any of them has, and these items' ids.

        A cell without any score has a row of NaN; None where no cell has one.
        """
        known = {cell: index for index, cell in enumerate(self.cells)}
        scores = np.full((len(cells), len(self.items)), np.nan)
        for row, cell in enumerate(cells):
            if cell in known:
                scores[row] = self.scores[known[cell]]
        seen = np.isfinite(scores).any(axis=0)
        if not seen.any():
            return None
        return scores[:, seen], tuple(self.items[index] for index in np.flatnonzero(seen))


def load_item_matrix(
    conn: duckdb.DuckDBPyConnection,
    *,
    ability: str,
    metric: str,
    study: Sequence[str],
    base_model: Sequence[str],
    data_source: Sequence[str] | None = None,
) -> ItemMatrix:
    """Read the item scores of one ability and metric over some studies, models and sources.

    Base cells have no source and are read whatever `data_source` says.
    """
    filters = {
        "ability": ability,
        "metric": metric,
        "study": list(study),
        "base_model": list(base_model),
        "data_source": None if data_source is None else list(data_source),
    }
    with conn.cursor() as cursor:
        found = cursor.execute(load_statement("queries", "item_matrix"), filters).fetchnumpy()
        cells, row = _names(cursor, "unit_cells", np.asarray(found["unit_key"]))
        items, column = _names(cursor, "prompt_items", np.asarray(found["prompt_key"]))
    scores = np.full((len(cells), len(items)), np.nan)
    scores[row, column] = np.ma.filled(found["score"], np.nan)
    return ItemMatrix(cells=cells, items=items, scores=scores)


def _names(
    cursor: duckdb.DuckDBPyConnection, statement: str, keys: NDArray[np.integer]
) -> tuple[tuple[str, ...], NDArray[np.integer]]:
    """Return the names behind integer keys, in order, and each key's place among them."""
    if not len(keys):
        return (), keys
    used = np.zeros(int(keys.max()) + 1, dtype=bool)
    used[keys] = True
    known = cursor.execute(load_statement("queries", statement)).fetchall()
    name_of = {key: name for key, name in known if key < len(used) and used[key]}
    names = sorted(set(name_of.values()))
    place = {name: index for index, name in enumerate(names)}
    places = np.zeros(len(used), dtype=np.int64)
    for key, name in name_of.items():
        places[key] = place[name]
    return tuple(names), places[keys]
