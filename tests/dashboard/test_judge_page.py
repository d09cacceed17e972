"""The Judge page on imported votes, and on a study without any."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import typer
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from dashboard.charts import judge as charts
from dashboard.charts.judge import VoteKind, select_votes
from dashboard.data import WORKSPACE_VARIABLE
from dashboard.judge_data import load_summary, load_vote_rows
from warehouse import commands
from warehouse.connection import latest_snapshot
from warehouse.workspace import Workspace

HOSTILE = "<script>alert(1)</script> **bold** [[A]]"
RunPage = Callable[..., AppTest]


@pytest.fixture(scope="module")
def voted_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import votes of one judge in both orders, of one person, one of them failed."""
    folder = tmp_path_factory.mktemp("votes")
    rng = np.random.default_rng(5)
    rows = []
    for k in range(30):
        for model in range(3):
            shared = {
                "item_id": f"q{k}",
                "ability": "writing" if k % 2 else "role_play",
                "model_a": "base",
                "model_b": "<b>m1" if model == 1 else f"m{model}",
                "len_a": 900,
                "len_b": int(rng.integers(400, 1600)),
            }
            for shown_first in "ab":
                failed = (k, model, shown_first) == (3, 2, "a")
                better = rng.random() < 0.4 + 0.2 * model
                rows.append(
                    shared
                    | {
                        "preference": "" if failed else 1 + int(better),
                        "judge": "gpt",
                        "annotator": "",
                        "order": shown_first,
                        "failed_reason": "no verdict" if failed else "",
                        "raw_text": HOSTILE,
                    }
                )
        person = {"judge": "", "annotator": "kim", "preference": 2, "failed_reason": ""}
        rows.append(rows[-1] | person)
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    app = typer.Typer()
    commands.register(app)
    place = folder / "workspace"
    arguments = ["import", "judgments", folder / "votes.csv", "--study", "arena"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--workspace", str(place)])
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> RunPage:
    def run(root: Path, **asked: str) -> AppTest:
        monkeypatch.setenv(WORKSPACE_VARIABLE, str(root))
        st.cache_data.clear()
        script = "from dashboard.views import judge\njudge.show()"
        app = AppTest.from_string(script, default_timeout=120)
        for name, value in asked.items():
            app.query_params[name] = value
        return app.run()

    return run


def test_the_page_opens_with_who_wins(run_page: RunPage, voted_workspace: Path) -> None:
    app = run_page(voted_workspace)
    assert not app.exception and not app.error
    said = app.header[0].value.replace("\\", "")
    assert said.startswith("m2 wins") and "pairs with base" in said
    assert "changed with the order" in said and "1 of 180 votes failed" in said
    headings = [element.value.replace("\\", "") for element in app.subheader]
    assert headings[0].startswith("m2 wins most; 2 of 3 models win more than half")
    assert headings[1].startswith("m2 is rated highest, ")
    assert {"Biases", "Agreement", "Votes"} <= set(headings)


def test_filters_of_a_link_are_checked(run_page: RunPage, voted_workspace: Path) -> None:
    app = run_page(voted_workspace, abilities="writing", against="m0", votes="failed")
    assert not app.exception
    assert "pairs with m0" in app.header[0].value.replace("\\", "")
    assert any(caption.value.startswith("1 of 210 votes") for caption in app.caption)
    odd = run_page(voted_workspace, abilities="'; DROP TABLE", against="<b>")
    assert not odd.exception
    assert len(odd.warning) == 2


def test_figures_hold_both_kinds_of_win_rate(voted_workspace: Path) -> None:
    snapshot = latest_snapshot(Workspace(root=voted_workspace))
    summary = load_summary(voted_workspace, snapshot.id, "arena", (), None)
    assert summary is not None
    figure = charts.win_rate_figure(summary, title="t", note="n")
    assert figure is not None
    names = list(figure.layout.yaxis.ticktext)
    assert len(names) == 3 and "&lt;b&gt;m1" in names
    estimates = [trace.x[0] for trace in figure.data if trace.name == "estimate"]
    table = charts.models_table(summary).set_index("model")
    assert table.loc["m2", "win_rate"] in estimates
    assert table.loc["m2", "equal_length"] in estimates
    read = charts.models_rows(summary).set_index("model")
    assert read.loc["m2", "win rate"].startswith(f"{100 * table.loc['m2', 'win_rate']:.1f}% [")
    assert {"position", "length"} <= set(charts.bias_rows(summary)["bias"])
    assert charts.agreement_rows(summary)["verdicts"].max() == 30


def test_votes_that_changed_with_the_order_are_found(voted_workspace: Path) -> None:
    snapshot = latest_snapshot(Workspace(root=voted_workspace))
    votes = load_vote_rows(voted_workspace, snapshot.id, "arena")
    flipped = select_votes(votes, VoteKind.FLIPPED)
    assert 0 < len(flipped) < len(votes)
    assert (flipped.groupby(["item_id", "model_b"])["preference"].nunique() == 2).all()
    assert select_votes(votes, VoteKind.FAILED)["failed_reason"].tolist() == ["no verdict"]
    assert len(select_votes(votes, VoteKind.DISPUTED)) >= len(flipped)


def test_a_study_without_votes_says_how_to_get_them(
    run_page: RunPage, full_workspace: Workspace, tmp_path: Path
) -> None:
    app = run_page(full_workspace.root, study="quickstart")
    assert not app.exception
    assert app.header[0].value == "No judge has voted on this study yet"
    assert any("judge run" in block.value for block in app.code)
    assert not run_page(tmp_path / "none").exception
