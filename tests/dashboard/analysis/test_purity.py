"""The statistics load no app, charts, database, deep learning or validation library."""

from __future__ import annotations

import subprocess
import sys


def test_analysis_loads_nothing_that_draws_stores_or_trains() -> None:
    code = (
        "import sys, pkgutil, importlib, dashboard.analysis as a\n"
        "for m in pkgutil.iter_modules(a.__path__, a.__name__ + '.'):\n"
        "    importlib.import_module(m.name)\n"
        "banned = {'streamlit', 'plotly', 'duckdb', 'torch', 'pydantic', 'typer', 'matplotlib'}\n"
        "print(sorted(banned & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_results_can_be_read_without_scipy_or_statsmodels() -> None:
    code = (
        "import sys, dashboard.analysis, dashboard.analysis.serialise\n"
        "print(sorted({'scipy', 'statsmodels', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
