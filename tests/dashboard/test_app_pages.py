"""Each page on full, empty, one-point and failed-fit data, through Streamlit's own test runner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.components.access import is_local
from dashboard.components.exclusion import run_exclude
from dashboard.data import WORKSPACE_VARIABLE
from tests.dashboard.made_study import make_workspace, small_shape
from tests.dashboard.page_runs import open_all
from warehouse.connection import latest_snapshot, open_latest
from warehouse.errors import WorkError
from warehouse.queries import load_cells
from warehouse.records import Heartbeat, WorkerState
from warehouse.workspace import Workspace

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
# Generous, since a first fit may share two cores with everything else.
TIMEOUT_SECONDS = 300
PAGES = ("overview", "growth", "runs")

RunPage = Callable[..., AppTest]


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch, quick_fits: None) -> RunPage:
    """Run a page of the app on a workspace, as a link with query parameters opens it."""

    def run(root: Path, page: str = "overview", **asked: str | list[str]) -> AppTest:
        monkeypatch.setenv(WORKSPACE_VARIABLE, str(root))
        # Progress is cached for seconds, by folder; a test may change a folder faster.
        st.cache_data.clear()
        if page == "overview":
            app = AppTest.from_file(str(APP), default_timeout=TIMEOUT_SECONDS)
        else:
            # AppTest switches between pages that are files only; the browser test navigates.
            script = f"from dashboard.views import {page}\n{page}.show()"
            app = AppTest.from_string(script, default_timeout=TIMEOUT_SECONDS)
        for name, value in asked.items():
            app.query_params[name] = value
        return app.run()

    return run


def headings(app: AppTest) -> list[str]:
    return [element.value for element in (*app.header, *app.subheader)]


def messages(app: AppTest) -> str:
    """All text of a page outside tables and figures."""
    elements = (*app.markdown, *app.text, *app.header, *app.caption)
    elements += (*app.warning, *app.info, *app.error)
    return "\n".join(element.value for element in elements)


def load_first_cell(workspace: Workspace) -> str:
    """Return the id of the first trained cell."""
    with closing(open_latest(workspace)) as conn:
        cells = load_cells(conn)
    return str(cells.loc[cells["design"] != "base", "cell_id"].iloc[0])


def beat(workspace: Workspace, **changes: object) -> None:
    """Write the heartbeat of a running grid."""
    now = datetime.now(UTC)
    fields = {
        "run_id": "run-1",
        "study": "quickstart",
        "host": "here",
        "pid": 1,
        "started_at": now,
        "updated_at": now,
        "n_total": 34,
        "n_done": 3,
        "n_failed": 1,
        "eta_seconds": 400.0,
        "workers": (
            WorkerState(
                worker=0,
                cell_id="base-ladder-l",
                label="ladder-l <b>base</b>",
                stage="train",
                step=5,
                n_steps=20,
                updated_at=now,
            ),
        ),
    }
    workspace.heartbeats.mkdir(exist_ok=True)
    text = Heartbeat.model_validate(fields | changes).model_dump_json()
    (workspace.heartbeats / "run-1.json").write_text(text, "utf-8")


# --- Full data --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_pages_run_on_full_data(run_page: RunPage, full_workspace: Workspace, page: str) -> None:
    app = run_page(full_workspace.root, page, study="quickstart")
    assert not app.exception
    assert not app.error
    assert app.info[0].value == r"A demonstration on generated data\."


def test_overview_answers_first(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, study="quickstart")
    assert re.match(r"\d of 3 abilities of ladder\\-l grows? with human data", headings(app)[0])
    said = messages(app)
    for topic in ("Largest gain", "Human against synthetic", "Bigger base models"):
        assert topic in said
    assert "paired by test item" in said
    findings = app.dataframe[0].value
    assert findings["Ability"].tolist()[-1] == "ceval physician fshot (exam)"
    assert {"Score at 0", "Gain", "Label"} <= set(findings.columns)


def test_overview_names_failed_cells_without_markup(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, study="quickstart")
    assert any("4 cells failed" in warning.value for warning in app.warning)
    failures = next(t.value for t in app.dataframe if "failure" in t.value.columns)
    assert failures["failure"].iloc[0].startswith("train: CUDA out of memory")
    assert "<b>" not in messages(app)


def test_choices_change_the_answer_and_the_link(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, study="quickstart")
    app.selectbox(key="source").set_value("synthetic").run()
    assert not app.exception
    assert "synthetic data" in headings(app)[0]
    app.selectbox(key="study").set_value("another").run()
    assert not app.exception
    assert "ladder\\-m" in headings(app)[0]
    assert not app.info, "this study has no notice"


def test_link_restores_filters(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, study="quickstart", model="ladder-s", source="synthetic")
    assert app.selectbox(key="model").value == "ladder-s"
    assert "ladder\\-s" in headings(app)[0]
    assert not app.warning or "link" not in app.warning[0].value


def test_unknown_values_of_a_link_fall_back_with_a_notice(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, study="quickstart", model="<script>x</script>")
    assert not app.exception
    assert app.selectbox(key="model").value == "ladder-l"
    notice = app.warning[0].value
    assert "which is not here" in notice
    assert r"\<script\>" in notice


def test_growth_draws_and_explains(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "growth", study="quickstart", more_sources="synthetic")
    assert not app.exception
    assert app.multiselect(key="more_sources").value == ["synthetic"]
    assert app.get("plotly_chart")
    assert not app.dataframe, "what is closed is not made"
    backtest, families, tests, method = (table.value for table in open_all(app).dataframe)
    assert {"method", "mean_absolute_error", "weight"} <= set(backtest)
    assert set(families["data_source"]) == {"human", "synthetic"}
    assert {"weight", "status", "parameters"} <= set(families.columns)
    assert "q_value" in tests.columns
    how = dict(zip(method["What"], method["How"], strict=True))
    assert "Benjamini-Hochberg" in how["Tests"]
    assert how["Replicates"].startswith("50 bootstrap")
    assert "test items and run-to-run differences" in how["Interval"]


def test_growth_says_where_more_data_stops_paying(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "growth", study="quickstart", more_models="ladder-s")
    assert headings(app)[-1].startswith("At the largest volume\\, of 3 abilities")
    # A lone ability is told model by model.
    app = run_page(full_workspace.root, "growth", study="another")
    assert not app.exception


def test_comparison_forgets_a_model_that_became_the_reference(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "growth", study="quickstart", more_models="ladder-s")
    app.selectbox(key="model").set_value("ladder-s").run()
    assert not app.exception
    assert app.multiselect(key="more_models").value == []
    assert app.multiselect(key="more_models").options == ["ladder-l"]


def test_runs_lists_every_cell(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "runs", study="quickstart")
    assert headings(app)[0] == r"34 cells\: 29 done\, 1 pending\, 4 failed"
    cells = app.dataframe[0].value
    assert len(cells) == 34
    assert cells["state"].iloc[0] == "failed"
    assert {"seconds", "steps", "tokens", "memory_mb", "git_commit", "data_hash"} <= set(cells)
    app.multiselect(key="status").set_value(["pending"]).run()
    assert app.dataframe[0].value["label"].tolist() == ["ladder-s synthetic 64/ability seed 1"]


def test_runs_shows_a_failed_cell_as_text(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(
        full_workspace.root, "runs", study="quickstart", cell="ladder-s human 256/ability seed 0"
    )
    assert not app.exception
    assert any("<b>here</b>" in block.value for block in app.code)
    assert any("no training log" in text.value for text in app.text)


# --- Snapshots and links ----------------------------------------------------------------------


def test_link_pins_a_snapshot(run_page: RunPage, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", small_shape(volumes=(4,), seeds=(0,), n_items=20))
    earlier = latest_snapshot(workspace).id
    cell = load_first_cell(workspace)
    assert run_exclude(workspace.root, cell, "--undo; $(touch x) <b>", undo=False) is None
    latest = latest_snapshot(workspace).id
    assert latest != earlier
    app = run_page(workspace.root)
    assert app.selectbox(key="snapshot").value == "latest"
    assert "1 cell excluded by a user" in messages(app)
    assert any("--undo; $(touch x) <b>" in text.value for text in app.text)
    app = run_page(workspace.root, snapshot=earlier)
    assert not app.exception
    assert "excluded" not in messages(app)
    assert any("there are newer ones" in one.value for one in app.info)
    app.selectbox(key="snapshot").set_value("latest").run()
    assert "1 cell excluded by a user" in messages(app)


@pytest.mark.parametrize(
    "asked", ["20250101T000000000000Z-000000000000", "../../work", "'; DROP TABLE x; --"]
)
def test_link_to_a_snapshot_that_is_gone_opens_the_latest(
    run_page: RunPage, one_point_workspace: Workspace, asked: str
) -> None:
    app = run_page(one_point_workspace.root, snapshot=asked)
    assert not app.exception
    assert not app.error
    assert "which is not here" in app.warning[0].value
    assert app.selectbox(key="snapshot").value == "latest"


def test_copied_link_names_snapshot_and_choices(
    run_page: RunPage, one_point_workspace: Workspace
) -> None:
    app = run_page(one_point_workspace.root, "growth", status="failed", more_sources="synthetic")
    assert not app.code, "what is closed is not made"
    app.session_state["open-Copy link-growth"] = True
    link = next(block.value for block in app.run().code if "?" in block.value)
    asked = parse_qs(link.partition("?")[2], keep_blank_values=True)
    assert asked["snapshot"] == [latest_snapshot(one_point_workspace).id]
    assert asked["study"] == ["quickstart"]
    assert asked["more_sources"] == ["synthetic"]
    assert asked["more_models"] == [""], "none is a choice too"
    assert "status" not in asked, "filters of other pages have no place in it"


# --- What volumes count, measures, one ability ------------------------------------------------


def test_growth_by_tokens_and_by_parse_rate(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "growth", study="quickstart", x="training tokens")
    assert not app.exception
    assert "against training tokens" in messages(app)
    app.selectbox(key="x").set_value("examples in total").run()
    assert not app.exception
    assert "against examples in total" in messages(app)
    for measure in ("parse rate", "accuracy given parsed"):
        app.selectbox(key="measure").set_value(measure).run()
        assert not app.exception
        said = messages(app).replace("\\", "")
        assert f"Held-out questions ({measure}) against examples in total" in said
        # Made runs answer every question in a valid form.
        nothing_grows = app.subheader[0].value.startswith("0 of 3 abilities")
        assert nothing_grows == (measure == "parse rate")


def test_what_a_page_cannot_do_is_one_sentence(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WorkError("The column that this page needs is not here; reload it.")

    monkeypatch.setattr("dashboard.views.overview.load_fit", fail)
    app = run_page(full_workspace.root, study="quickstart")
    assert not app.exception
    (error,) = app.error
    assert error.value.replace("\\", "") == (
        "The column that this page needs is not here; reload it."
    )


def test_growth_focuses_on_the_ability_of_the_link(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(
        full_workspace.root, "growth", study="quickstart", ability="role_play", ahead="true"
    )
    assert not app.exception
    assert any(title.startswith("Role play") for title in headings(app))
    assert "predicted beyond the data" in messages(app)


def test_runs_refuses_to_change_where_it_may_not(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = run_page(full_workspace.root, "runs", study="quickstart")
    assert app.text_input[0].label == "Reason"
    monkeypatch.setenv("GROWTHPACE_READ_ONLY", "1")
    app = run_page(full_workspace.root, "runs", study="quickstart")
    assert not app.text_input
    assert any("started read-only" in text.value for text in app.text)


def test_exclusion_needs_a_reason(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "runs", study="quickstart")
    next(button for button in app.button if button.label == "Exclude").click().run()
    assert "needs its reason" in app.error[0].value


def test_app_that_listens_to_others_says_so(
    run_page: RunPage, one_point_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.components.access.is_local", lambda address: False)
    app = run_page(one_point_workspace.root)
    assert "asks nobody to sign in" in app.error[0].value


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("", False),
        (None, False),
        ("0.0.0.0", False),
        ("results.example.org", False),
    ],
)
def test_only_loopback_addresses_are_local(address: str | None, local: bool) -> None:
    assert is_local(address) is local


# --- Without results --------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_missing_workspace_says_what_to_do(run_page: RunPage, tmp_path: Path, page: str) -> None:
    app = run_page(tmp_path / "not here", page)
    assert not app.exception
    assert headings(app) == ["There are no experiments yet"]
    assert f"run-grid quickstart --workspace '{tmp_path / 'not here'}'" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
def test_unpublished_workspace_says_what_to_do(
    run_page: RunPage, landed_workspace: Workspace, page: str
) -> None:
    app = run_page(landed_workspace.root, page)
    assert not app.exception
    assert headings(app) == ["There are no results yet"]
    assert any("cli.py ingest" in block.value for block in app.code)


@pytest.mark.parametrize("page", PAGES)
def test_first_grid_shows_its_progress(
    run_page: RunPage, landed_workspace: Workspace, page: str
) -> None:
    beat(landed_workspace)
    app = run_page(landed_workspace.root, page)
    assert not app.exception
    assert not app.code, "nothing to do but wait"
    said = messages(app)
    assert "Worker 0: ladder-l <b>base</b>, train, step 5 of 20" in said
    assert "first results appear here" in said


@pytest.mark.parametrize("page", PAGES)
def test_study_without_scores(run_page: RunPage, unscored_workspace: Workspace, page: str) -> None:
    app = run_page(unscored_workspace.root, page)
    assert not app.exception
    if page == "runs":
        assert len(app.dataframe[0].value) == 34
    else:
        assert headings(app)[0] == "No cell of this study is scored yet"


def test_running_cells_are_shown_as_running(
    run_page: RunPage, unscored_workspace: Workspace
) -> None:
    beat(unscored_workspace)
    cells = run_page(unscored_workspace.root, "runs").dataframe[0].value
    running = cells[cells["state"] == "running"]
    assert running["cell_id"].tolist() == ["base-ladder-l"]
    assert running["now"].tolist() == ["train, step 5 of 20"]


def test_lost_grid_is_told(run_page: RunPage, unscored_workspace: Workspace) -> None:
    long_ago = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    beat(unscored_workspace, updated_at=long_ago)
    app = run_page(unscored_workspace.root)
    assert any("stopped without an end" in warning.value for warning in app.warning)


def test_damaged_pointer_is_one_sentence(run_page: RunPage, landed_workspace: Workspace) -> None:
    landed_workspace.snapshots.mkdir(parents=True)
    (landed_workspace.snapshots / "LATEST").write_text("../../etc/passwd\n", "utf-8")
    app = run_page(landed_workspace.root)
    assert not app.exception
    assert "names no snapshot" in app.error[0].value


# --- Too little, and fits that fail -----------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_one_point_data(run_page: RunPage, one_point_workspace: Workspace, page: str) -> None:
    app = run_page(one_point_workspace.root, page)
    assert not app.exception
    if page == "overview":
        assert "no curve" in messages(app)
        assert "one seed" in messages(app)


@pytest.mark.parametrize("page", PAGES)
def test_failed_fits(
    run_page: RunPage,
    full_workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
) -> None:
    from dashboard.analysis import StudyFit
    from tests.dashboard.fakes import make_failed_curve

    curves = [make_failed_curve(ability, study="quickstart") for ability in ("code", "role_play")]
    fit = StudyFit(curves=tuple(curves), run_noise=(), analysis_version="test")
    for view in ("overview", "growth"):
        monkeypatch.setattr(f"dashboard.views.{view}.load_fit", lambda *arguments, **options: fit)
    app = run_page(full_workspace.root, page, study="quickstart")
    assert not app.exception
    if page == "overview":
        assert headings(app)[0] == r"No ability of ladder\-l on human data can be labelled yet\."
        assert "no family converged" in messages(app)


def test_pages_load_no_fitting_engine() -> None:
    code = "import sys, dashboard.views.overview, dashboard.views.growth, dashboard.views.runs; "
    code += "print([name for name in ('scipy', 'statsmodels', 'torch') if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=APP.parents[1], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# --- Cost -------------------------------------------------------------------------------------


def test_known_fits_are_not_computed_again(
    run_page: RunPage, one_point_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page(one_point_workspace.root)
    st.cache_resource.clear()

    def refuse(*arguments: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("dashboard.analysis.study.fit_study", refuse)
    app = run_page(one_point_workspace.root)
    assert not app.exception
    stored = list(one_point_workspace.fits.iterdir())
    assert stored, json.dumps([str(path) for path in one_point_workspace.root.iterdir()])
