"""The published study: its tables follow from its archive, number for number."""

import csv
import io
import math
from pathlib import Path

import pytest

from tests.dashboard.export.test_report import call_json

STUDY = Path(__file__).parents[3] / "docs" / "studies" / "smollm2"


def read(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8"))))


def agree(stated: str, made: str) -> bool:
    """Tell whether two cells say the same; other processors round otherwise."""
    try:
        return math.isclose(float(stated), float(made), rel_tol=1e-3, abs_tol=1e-4)
    except ValueError:
        return stated == made


@pytest.mark.slow
def test_the_tables_of_the_study_with_a_real_model_follow_from_its_archive(tmp_path: Path) -> None:
    root = ("--workspace", tmp_path / "w")
    call_json("import", "landing", STUDY / "landing.tar.zst", *root)
    call_json("export", "tables", *root, "--format", "csv", "--out", tmp_path / "tables")
    stated = sorted((STUDY / "tables").glob("*.csv"))
    assert len(stated) >= 10
    assert {p.name for p in stated} == {p.name for p in (tmp_path / "tables").glob("*.csv")}
    for path in stated:
        rows, again = read(path), read(tmp_path / "tables" / path.name)
        assert len(rows) == len(again), path.name
        for row, other in zip(rows, again, strict=True):
            assert len(row) == len(other)
            assert all(map(agree, row, other)), (path.name, row, other)
