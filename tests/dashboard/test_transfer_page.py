"""The Transfer page, and what it draws."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from dashboard.analysis import FitSettings, Interval, IntervalKind
from dashboard.analysis.effective import WorthStatus, fit_effective
from dashboard.analysis.transfer import TransferCell, Verdict, fit_transfer
from dashboard.bench.run_worlds import World, plan, simulate_table
from dashboard.charts.transfer import (
    BEYOND,
    RAW,
    Comparison,
    cell_sentences,
    find_evidence,
    list_comparisons,
    strongest_cell,
    transfer_headline,
    transfer_sentence,
    unidentified,
)
from dashboard.charts.transfer_figures import (
    evidence_figure,
    matrix_table,
    runs_table,
    tau_figure,
    transfer_figure,
)
from dashboard.page_data import TransferResults
from tests.dashboard.page_runs import RunPage, headings, run_page, said
from warehouse.workspace import Workspace

__all__ = ["run_page"]

SETTINGS = FitSettings(n_replicates=60)


@cache
def made_results(
    *, designs: tuple[str, ...] = ("single_ability", "leave_one_out")
) -> TransferResults:
    """A study in which a's examples count half for b, and nothing else crosses over."""
    tau = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    world = World(abilities=("a", "b", "c", "exam_d"), tau=tau)
    runs = plan(("a", "b", "c"), designs=designs)
    table = simulate_table(world, runs, np.random.default_rng(3), m=300, run_stddev=0.1)
    return TransferResults(
        table=table,
        transfer=fit_transfer(table, SETTINGS),
        effective=replace(fit_effective(table, SETTINGS), model=None),
    )


def first_comparison() -> Comparison:
    return list_comparisons(made_results().transfer)[0]


def cell_of(source: str, target: str) -> TransferCell:
    cells = {(c.source_ability, c.target_ability): c for c in first_comparison().cells}
    return cells[source, target]


def test_the_first_comparison_is_the_largest_volume_of_single_abilities() -> None:
    names = [one.name for one in list_comparisons(made_results().transfer)]
    assert names[0] == "one ability alone, human data, 64 per ability, fixed steps"
    assert len(names) == len(set(names)) == 4
    readings = [one.reading for one in list_comparisons(made_results().transfer)]
    assert "64 examples per ability" in readings[0]
    assert "all but one" in readings[2]


def test_matrix_shows_the_planted_transfer_with_its_mark() -> None:
    figure = transfer_figure(first_comparison(), mode=BEYOND, title="t", note="n")
    texts = {
        (data[0], data[1]): text
        for trace in figure.data
        if trace.name == "texts"
        for data, text in zip(trace.customdata, trace.text, strict=True)
    }
    assert cell_of("a", "b").verdict is Verdict.HELPS
    assert texts["a", "b"].startswith("▲ +")
    assert "▲" not in texts["c", "a"]
    assert len(texts) == 12, "three sources by four targets"
    assert "a on b" in transfer_headline(first_comparison())


def test_the_finding_is_what_the_first_comparison_says() -> None:
    said = transfer_sentence(made_results().transfer)
    assert said is not None
    first = first_comparison()
    assert said.text == f"{transfer_headline(first)} Compared: {first.name}."


def test_out_of_domain_targets_stand_apart_and_own_data_is_outlined() -> None:
    figure = transfer_figure(first_comparison(), mode=RAW, title="t", note="n", selected=("a", "b"))
    inside, exams = [trace for trace in figure.data if trace.name == "cells"]
    assert exams.x[0] - inside.x[-1] > 1
    assert sum(shape.name == "outline" for shape in figure.layout.shapes) == 3
    assert sum(shape.name == "selected" for shape in figure.layout.shapes) == 1


def test_switch_between_raw_and_beyond_format() -> None:
    cell = cell_of("a", "b")
    assert cell.effect is not None and cell.beyond_format is not None
    for mode, interval in ((RAW, cell.effect), (BEYOND, cell.beyond_format)):
        figure = transfer_figure(first_comparison(), mode=mode, title="t", note="n")
        cells = next(trace for trace in figure.data if trace.name == "cells")
        assert cells.z[0][1] == pytest.approx(100 * interval.estimate)


def test_evidence_holds_the_runs_that_make_the_effect() -> None:
    cell = cell_of("a", "b")
    evidence = find_evidence(made_results().table, cell)
    assert evidence is not None and cell.effect is not None
    table = runs_table(evidence)
    means = table.groupby("side")["score"].mean()
    assert means["with it"] - means["without it"] == pytest.approx(cell.effect.estimate)
    assert set(table["side"]) == {"with it", "without it", "other: b", "other: c"}
    figure = evidence_figure(evidence, title="t", note="n")
    assert list(figure.layout.yaxis.ticktext)[:2] == ["a alone", "base model"]
    leave_out = list_comparisons(made_results().transfer)[2]
    other = find_evidence(made_results().table, strongest_cell(leave_out))
    assert other is not None
    rows = list(evidence_figure(other, title="t", note="n").layout.yaxis.ticktext)
    assert rows[0].startswith("all but") and rows[1] == "all abilities"


def test_sentences_say_steps_and_tests() -> None:
    text = " ".join(cell_sentences(cell_of("a", "b")))
    assert "it helps" in text
    assert "q = " in text
    assert "same optimizer steps" in text
    assert len(matrix_table(first_comparison())) == 12


def test_what_is_not_identified_is_said_with_the_reason() -> None:
    alone = made_results(designs=()).effective
    (sentence,) = unidentified(alone)
    assert sentence.startswith("Not identified, 6 pairs")
    assert "no run varies this data apart" in sentence
    figure = tau_figure(alone, title="t", note="n")
    texts = [text for trace in figure.data if trace.name == "texts" for text in trace.text or ()]
    assert set(texts) == {"?"}


def test_a_worth_known_from_one_side_has_the_text_and_colour_of_its_bound() -> None:
    effective = made_results().effective
    open_above = replace(
        effective.tau[0],
        status=WorthStatus.OPEN_ABOVE,
        q_value=0.5,
        tau=Interval(estimate=40, low=0.015, high=np.inf, level=0.95, kind=IntervalKind.ITEMS_ONLY),
    )
    figure = tau_figure(replace(effective, tau=(open_above,)), title="t", note="n")
    cells = next(trace for trace in figure.data if trace.name == "cells")
    texts = next(trace for trace in figure.data if trace.name == "texts")
    assert [list(row) for row in cells.z] == [[0.015]]
    assert list(texts.text) == ["≥0.015"]


# --- The page ---------------------------------------------------------------------------------


@pytest.fixture
def with_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "dashboard.components.transfer.load_transfer", lambda *arguments: made_results()
    )


def test_full_data(run_page: RunPage, full_workspace: Workspace, with_transfer: None) -> None:
    app = run_page(full_workspace.root, "transfer", study="quickstart")
    assert not app.exception
    assert "a on b" in headings(app)[0]
    assert app.selectbox(key="source_ability").value == "a"
    assert app.selectbox(key="target_ability").value == "b"
    app.selectbox(key="target_ability").set_value("exam_d").run()
    assert not app.exception
    assert "A data on exam d" in said(app)
    app.selectbox(key="effect").set_value(RAW).run()
    assert not app.exception
    assert any(heading.startswith("Raw effects go from") for heading in headings(app))


def test_a_click_chooses_the_cell_and_the_boxes_may_leave_it(
    run_page: RunPage, full_workspace: Workspace, with_transfer: None
) -> None:
    from dashboard.components import transfer

    known = {("c", "a"): cell_of("c", "a")}
    state: dict[str, object] = {
        "figure-transfer": {"selection": {"points": [{"customdata": ["c", "a", "text"]}]}}
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer.st, "session_state", state)
        transfer._take_click(known)
        assert (state["source_ability"], state["target_ability"]) == ("c", "a")
        state["source_ability"] = "b"
        transfer._take_click(known)
        assert state["source_ability"] == "b", "an old click must not come back"
        state["figure-transfer"] = {"selection": {"points": [{"customdata": ["<x>", "a"]}]}}
        transfer._take_click(known)
        assert state["source_ability"] == "b", "a browser may send anything"


def test_no_transfer_runs_say_which_design_to_run(
    run_page: RunPage, one_point_workspace: Workspace
) -> None:
    app = run_page(one_point_workspace.root, "transfer")
    assert not app.exception
    assert headings(app)[0] == "Which ability helps which can't be told from these runs"
    shown = "\n".join(block.value for block in app.code)
    assert "single_ability" in shown and "leave_one_out" in shown
    assert "cli.py run-grid transfer" in shown
    assert "has neither" in said(app)


def test_failed_fit_is_said(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = made_results()
    failed = replace(
        usual.effective,
        status="failed",
        reason="no ability is scored",
        tau_identified=False,
        tau=(),
        rho=(),
        abilities=(),
        reading=("Effective data of m: not estimated, since no ability is scored.",),
    )
    results = replace(usual, effective=failed)
    monkeypatch.setattr("dashboard.components.transfer.load_transfer", lambda *arguments: results)
    app = run_page(full_workspace.root, "transfer", study="quickstart")
    assert not app.exception
    assert "not estimated" in said(app)


def test_empty_workspace(run_page: RunPage, unscored_workspace: Workspace) -> None:
    app = run_page(unscored_workspace.root, "transfer")
    assert not app.exception
    assert headings(app) == ["No cell of this study is scored yet"]
