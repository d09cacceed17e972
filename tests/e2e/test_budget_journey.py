"""From a budget to the grid that runs it, in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, ViewportSize, expect

from runners.grid_spec import load_grid
from tests.dashboard import made_study
from tests.dashboard.made_study import make_workspace, small_shape
from tests.e2e.conftest import APP, DESK, PHONE, served
from warehouse.records import PlanRecord, RecordKind

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TIMEOUT_MS = 180_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def planned_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on a made study that has the settings of the shipped grid quickstart."""
    folder = tmp_path_factory.mktemp("budget")
    _, quickstart = load_grid("quickstart")
    settings = quickstart.model_dump(mode="json")
    write = made_study.write_document

    def with_settings(workspace: object, kind: RecordKind, name: str, record: object) -> object:
        if isinstance(record, PlanRecord):
            record = record.model_copy(update={"grid_settings": settings})
        return write(workspace, kind, name, record)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_study, "write_document", with_settings)
        workspace = make_workspace(folder / "workspace", small_shape())
    with served(workspace.root, folder) as address:
        yield address


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def sized_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab at the size of a small laptop, then of a phone."""
    viewport: ViewportSize = request.param
    opened = browser.new_page(viewport=viewport)
    opened.set_default_timeout(TIMEOUT_MS)
    yield opened
    opened.close()


def test_plan_a_budget_download_the_grid_and_run_it(
    sized_page: Page, planned_server: str, tmp_path: Path
) -> None:
    page = sized_page
    page.goto(f"{planned_server}/budget?study=quickstart&budget=200")
    headline = page.locator("h2").first
    expect(headline).to_contain_text("For ladder-l, buy ")
    expect(page.get_by_text("200 of 200 examples").first).to_be_visible()

    page.get_by_label("Budget", exact=True).fill("120")
    page.get_by_label("Budget", exact=True).press("Enter")
    expect(page.get_by_text("120 of 120 examples").first).to_be_visible()
    assert "budget=120" in page.url
    expect(page.locator(".js-plotly-plot .barlayer .point path").first).to_be_attached()
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)

    with page.expect_download() as taken:
        page.get_by_role("button", name="Grid to run this plan (YAML)").click()
    assert taken.value.suggested_filename == "quickstart-plan.yaml"
    grid = tmp_path / "quickstart-plan.yaml"
    taken.value.save_as(grid)
    (design,) = yaml.safe_load(grid.read_text("utf-8"))["designs"]
    assert design["kind"] == "mixture"
    assert sum(part["n_examples"] for part in design["parts"]) == 120

    command = [sys.executable, str(APP.parents[1] / "cli.py"), "run-grid", str(grid), "--dry-run"]
    command += ["--workspace", str(tmp_path / "workspace"), "--json"]
    planned = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["cells"]
