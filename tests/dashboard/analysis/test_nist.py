"""The engine against certified regressions (NIST StRD); all of them in `make bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboard.analysis.engine import Precision
from dashboard.bench.nist import FORMULAS, fit_nist

PUBLISHED = Path(__file__).parents[2] / "fixtures" / "published"
PROBLEMS = json.loads((PUBLISHED / "nist_strd.json").read_text())
STARTS = Precision(tolerance=1e-15, max_iterations=500, n_starts=32)
QUICK = ("Misra1a", "Misra1b", "Misra1c", "Misra1d", "BoxBOD", "DanWood", "Chwirut1", "Rat42",
         "Rat43", "MGH09", "Thurber")  # fmt: skip


@pytest.mark.parametrize("start", ["start1", "start2"])
@pytest.mark.parametrize("name", QUICK)
def test_certified_parameters_are_reached(name: str, start: str) -> None:
    error, rss = fit_nist(PROBLEMS[name], FORMULAS[name], start, STARTS)
    assert error < 1e-5
    assert rss < 1e-9


def test_boxbod_needs_more_than_its_first_start() -> None:
    one = Precision(tolerance=1e-15, max_iterations=500, n_starts=1)
    error, _ = fit_nist(PROBLEMS["BoxBOD"], FORMULAS["BoxBOD"], "start1", one)
    assert error > 1
