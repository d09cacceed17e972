"""Published curves that come with the package."""

from __future__ import annotations

import pytest

from warehouse.errors import InputError
from warehouse.importers.reference import REFERENCES, read_reference
from warehouse.records import Design


def test_the_published_flan_losses_are_read_as_published() -> None:
    (imported,) = read_reference("lin2024-flan")
    assert imported.scores is not None
    assert (imported.study, imported.n_rows, imported.scores.num_rows) == ("lin2024-flan", 450, 450)
    cells = {cell.cell_id: cell for cell in imported.cells}
    assert len({cell.base_model for cell in cells.values()}) == 30
    assert sum(cell.design is Design.BASE for cell in cells.values()) == 30
    assert all(cell.n_params and cell.model_family for cell in cells.values())
    assert {cell.volume_setting for cell in cells.values()} == {
        0,
        *(200 * 2**power for power in range(14)),
    }
    rows = imported.scores.to_pylist()
    assert {(row["metric"], row["higher_is_better"]) for row in rows} == {("loss", False)}
    # benchmark/flan.csv of linhaowei1/Fine-tuning-Scaling-Law at 5214568.
    known = {
        (cells[row["cell_id"]].base_model, cells[row["cell_id"]].volume_setting): row["score"]
        for row in rows
    }
    assert known["LaMini-GPT-124M", 0] == 4.891325951
    assert known["opt-2.7b", 51200] == 1.8727124929481
    assert not imported.ignored


@pytest.mark.parametrize("name", REFERENCES)
def test_every_reference_says_whose_it_is(name: str) -> None:
    for imported in read_reference(name):
        assert imported.citation
        assert imported.notice == (f"Published figures, not measured here: {imported.citation}")


def test_an_unknown_reference_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no reference '\.\./x'; known: lin2024-flan"):
        read_reference("../x")
