"""The pages Items and SQL, and what they draw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.charts.items import (
    Kind,
    items_figure,
    items_table,
    read_messages,
    say_items,
    select_items,
)
from dashboard.charts.query import ChartKind, likely_place, query_figure, series_columns
from dashboard.data import WORKSPACE_VARIABLE
from warehouse.workspace import Workspace

RunPage = Callable[..., AppTest]


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> RunPage:
    def run(root: Path, page: str, **asked: str) -> AppTest:
        monkeypatch.setenv(WORKSPACE_VARIABLE, str(root))
        st.cache_data.clear()
        script = f"from dashboard.views import {page}\n{page}.show()"
        app = AppTest.from_string(script, default_timeout=120)
        for name, value in asked.items():
            app.query_params[name] = value
        return app.run()

    return run


def made_table() -> pd.DataFrame:
    """Five items over 0, 8 and 64 examples, the larger ones with two seeds."""
    volume = np.array([0.0, 8, 8, 64, 64])
    scores = np.array(
        [
            # learnt, lost, flips, never, always
            [0, 1, 1, 0, 1],
            [0, 1, 0, 0, 1],
            [1, 1, 0, 0, 1],
            [1, 0, 1, 0, 1],
            [1, 0, 1, np.nan, 1],
        ]
    )
    turns = [json.dumps([{"role": "user", "content": f"Question {k}?"}]) for k in range(5)]
    texts = pd.DataFrame({"item_id": list("abcde"), "prompt": turns, "target": list("vwxyz")})
    return items_table(volume, scores, texts, frozenset("e"))


def test_items_are_sorted_into_kinds() -> None:
    table = made_table()
    kinds = {
        kind: set(select_items(table, kind, "")["item_id"]) for kind in Kind if kind is not Kind.ALL
    }
    assert kinds == {
        Kind.LEARNT: {"a"},
        Kind.LOST: {"b"},
        Kind.FLIPS: {"c"},
        Kind.SEEDS_DIFFER: {"a"},
        Kind.NEVER: {"d"},
        Kind.ALWAYS: {"e"},
        Kind.DISPUTED: {"e"},
    }
    assert table["item_id"].tolist()[0] == "d" and table["item_id"].tolist()[-1] == "e"
    assert table.set_index("item_id").loc["a", "8"] == 0.5
    assert say_items(table, "math") == (
        "Math: 3 of 5 items are right with 0 examples, 3 with 64; 1 that was right with fewer is "
        "wrong there"
    )


def test_a_search_finds_prompts_and_targets_and_reads_no_pattern() -> None:
    table = made_table()
    assert select_items(table, Kind.ALL, "question 2")["item_id"].tolist() == ["c"]
    assert select_items(table, Kind.ALL, "W")["item_id"].tolist() == ["b"]
    assert select_items(table, Kind.ALL, ".*").empty


def test_prompts_are_turns_or_shown_as_they_are() -> None:
    assert read_messages('[{"role": "user", "content": "<b>x"}]') == [("user", "<b>x")]
    assert read_messages("not JSON") == [("prompt", "not JSON")]
    assert read_messages(None) == []


def test_the_picture_holds_every_item_and_volume() -> None:
    figure = items_figure(made_table(), title="math", note="")
    assert np.shape(figure.data[0].z) == (3, 5)
    assert list(figure.data[0].y) == ["0", "8", "64"]


def test_a_chart_of_rows_keeps_markup_from_the_data_literal() -> None:
    rows = pd.DataFrame(
        {"who": ["<b>a</b>", "c"], "kind": ["x", "y"], "n": [1, 2], "score": [0.5, None]}
    )
    assert likely_place(rows, "score") == "who"
    assert series_columns(rows) == ["who", "kind", "n"]
    figure = query_figure(rows, kind=ChartKind.BARS, x="who", y="score", series="kind", note="")
    # The row without a score is left out.
    assert [list(trace.x) for trace in figure.data] == [["&lt;b&gt;a&lt;/b&gt;"]]


def test_lines_run_from_left_to_right_whatever_the_rows_order() -> None:
    rows = pd.DataFrame({"n": [3, 1, 2], "score": [0.3, 0.1, 0.2]})
    figure = query_figure(rows, kind=ChartKind.LINE, x="n", y="score", series=None, note="")
    assert list(figure.data[0].x) == [1, 2, 3] and list(figure.data[0].y) == [0.1, 0.2, 0.3]


def test_items_show_texts_and_answers(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "items", study="quickstart")
    assert not app.exception and not app.error
    assert "items are right with 0 examples" in app.header[0].value
    assert "Answers" in [element.value for element in app.subheader]
    never = app.selectbox(key="items").select(str(Kind.NEVER)).run()
    assert not never.exception


def test_items_of_an_unknown_kind_in_a_link_fall_back(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "items", study="quickstart", items="<script>", item="x")
    assert not app.exception
    assert any("which is not here" in warning.value for warning in app.warning)


@pytest.mark.parametrize("page", ["items", "sql"])
def test_pages_on_little_data(
    run_page: RunPage,
    one_point_workspace: Workspace,
    unscored_workspace: Workspace,
    tmp_path: Path,
    page: str,
) -> None:
    for root in (one_point_workspace.root, unscored_workspace.root, tmp_path / "none"):
        app = run_page(root, page)
        assert not app.exception
        assert app.header


def test_sql_runs_an_example_and_then_the_readers_query(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "sql", example="06_composition")
    assert not app.exception and not app.error
    assert any("rows" in element.value for element in app.subheader)
    app.text_area[0].set_value("SELECT 1 AS one, 'a' AS name")
    app.button[0].click().run()
    assert not app.exception
    assert "1 row, 2 columns" in [element.value for element in app.subheader]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM read_text('/etc/hostname')", "is refused"),
        ("DROP TABLE mart_cell", "is refused"),
        ("SELECT nothing FROM mart_cell", "can't be run"),
        ("SELECT 1; SELECT 2", "2 statements"),
    ],
)
def test_what_a_query_may_not_do_is_one_sentence(
    run_page: RunPage, full_workspace: Workspace, query: str, said: str
) -> None:
    app = run_page(full_workspace.root, "sql")
    app.text_area[0].set_value(query)
    app.button[0].click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert said in app.error[0].value.replace("\\", "")


def test_no_link_brings_a_query(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "sql", query_text="SELECT 42", query="SELECT 42")
    assert not app.exception
    assert "42" not in app.text_area[0].value
