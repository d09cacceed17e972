"""docs/warehouse.md names every mart and column as the database has them."""

from __future__ import annotations

import re
from pathlib import Path

from warehouse import open_latest
from warehouse.build import MARTS, STAGING
from warehouse.statements import list_statements
from warehouse.workspace import Workspace

ROOT = Path(__file__).parents[2]


def documented_columns() -> dict[str, list[tuple[str, str]]]:
    """Read the tables of columns under each mart's heading."""
    text = (ROOT / "docs" / "warehouse.md").read_text("utf-8")
    marts: dict[str, list[tuple[str, str]]] = {}
    for section in text.split("\n### ")[1:]:
        name, body = section.split("\n", 1)
        rows = re.findall(r"^\| (\w+) \| ([\w\[\]]+) \| .+ \|$", body.split("\n## ")[0], re.M)
        marts[name] = [row for row in rows if row != ("column", "type")]
    return marts


def test_documented_columns_are_the_real_ones(results: Workspace) -> None:
    documented = documented_columns()
    assert set(documented) == set(MARTS)
    with open_latest(results) as conn:
        for mart in MARTS:
            rows = conn.execute(f"DESCRIBE {mart}").fetchall()
            assert documented[mart] == [(row[0], row[1]) for row in rows], mart


def test_every_statement_of_a_layer_is_built() -> None:
    assert set(STAGING) == set(list_statements("staging"))
    assert set(MARTS) == set(list_statements("marts"))
