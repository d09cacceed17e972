"""A small study read once for all tests of figures, with parts that its runs can't give made up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from dashboard.analysis import FitSettings
from dashboard.analysis.effective import fit_effective
from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.summary import summarise_votes
from dashboard.analysis.mixtures import compare_mixtures
from dashboard.analysis.transfer import fit_transfer
from dashboard.bench.run_worlds import World, plan, simulate_table
from dashboard.export.provenance import Provenance
from dashboard.export.read_study import load_study_evidence
from dashboard.export.study_evidence import StudyEvidence
from dashboard.study_results import TransferResults
from warehouse.workspace import Workspace

SETTINGS = FitSettings(n_replicates=60)
_KEPT: dict[str, StudyEvidence] = {}


def read_study(workspace: Workspace, study: str = "quickstart") -> StudyEvidence:
    """Read a study of a workspace once per process."""
    key = f"{workspace.root} {study}"
    if key not in _KEPT:
        _KEPT[key] = load_study_evidence(workspace, study, settings=SETTINGS)
    return _KEPT[key]


def with_everything(evidence: StudyEvidence) -> StudyEvidence:
    """Add made-up transfer, mixtures and votes, so that every kind of figure can be drawn."""
    return replace(evidence, transfer=(_transfer(),), mixtures=(_mixtures(),), judge=_judge())


@cache
def _table():
    tau = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    world = World(abilities=("a", "b", "c", "exam_d"), tau=tau)
    runs = plan(("a", "b", "c"), designs=("single_ability", "leave_one_out"))
    return simulate_table(world, runs, np.random.default_rng(3), m=200, run_stddev=0.1)


@cache
def _transfer() -> TransferResults:
    table = _table()
    return TransferResults(
        table=table,
        transfer=fit_transfer(table, SETTINGS),
        effective=replace(fit_effective(table, SETTINGS), model=None),
    )


@cache
def _mixtures():
    table = _table()
    mixed = {"a": "only a", "b": "only b"}
    runs = tuple(
        replace(run, design="mixture", design_target=mixed[run.design_target])
        if run.design == "single_ability" and run.design_target in mixed
        else run
        for run in table.runs
    )
    return compare_mixtures(replace(table, runs=runs), SETTINGS, None)


@cache
def _judge():
    rng = np.random.default_rng(5)
    n = 90
    return summarise_votes(
        Votes.from_columns(
            item=[f"q{k // 3}" for k in range(n)],
            model_a=["base"] * n,
            model_b=[f"m{k % 3}" for k in range(n)],
            judge=["gpt"] * n,
            annotator=[None] * n,
            shown_first=["a"] * n,
            preference=1.0 + (rng.random(n) < 0.6),
            rating=np.full(n, np.nan),
            len_a=rng.integers(20, 200, n).astype(float),
            len_b=rng.integers(20, 200, n).astype(float),
            difficulty=np.full(n, np.nan),
        ),
        n_replicates=60,
    )


def some_provenance(evidence: StudyEvidence) -> Provenance:
    """Provenance that doesn't depend on the machine."""
    return Provenance(
        snapshot_id=evidence.snapshot_id,
        study=evidence.study,
        settings=evidence.settings,
        versions={"python": "3.11", "plotly": "7.1"},
        git_commit="abc",
        command="python cli.py export figures --out f",
    )
