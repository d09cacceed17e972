"""What may be loaded when: the CLI stays quick and the analysis stays pure."""

import subprocess
import sys

import pytest


def loaded_modules(code: str) -> set[str]:
    script = f"import sys\nsys.path.insert(0, '.')\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split("\n")[-2].split()}


HEAVY = {"torch", "transformers", "deepspeed", "lm_eval", "duckdb", "pandas", "streamlit", "plotly"}


@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import cli", HEAVY | {"numpy", "scipy", "pydantic"}),
        ("import dashboard.analysis", {"streamlit", "plotly", "duckdb", "torch"}),
        ("import dashboard.charts", {"streamlit", "duckdb", "torch"}),
        ("import warehouse.ingest", {"streamlit", "torch", "runners", "dashboard"}),
        ("import runners.plan, runners.orchestrate", {"duckdb", "torch", "streamlit", "dashboard"}),
    ],
)
def test_importing_loads_nothing_banned(code, banned):
    assert not loaded_modules(code) & banned
