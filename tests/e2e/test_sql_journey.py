"""From a question in SQL to a chart of the answer, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.conftest import DESK, PHONE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TIMEOUT_MS = 60_000
QUERY = """\
SELECT ability, n_examples_own AS examples, round(avg(score), 3) AS mean_score
FROM mart_ability_score
WHERE study = 'quickstart' AND base_model = 'ladder-l' AND data_source = 'human'
    AND n_examples_total > 0 AND NOT out_of_domain
GROUP BY ALL ORDER BY ALL"""


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def sized_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab at the size of a small laptop, then of a phone."""
    viewport: ViewportSize = request.param
    opened = browser.new_page(viewport=viewport)
    opened.set_default_timeout(TIMEOUT_MS)
    yield opened
    opened.close()


def test_write_a_query_and_chart_it(sized_page: Page, server: str) -> None:
    expect.set_options(timeout=TIMEOUT_MS)
    page = sized_page
    page.goto(f"{server}/sql?study=quickstart")
    expect(page.locator("h2")).to_contain_text("Ask the warehouse")
    # The example is answered before anybody asks.
    expect(page.get_by_role("heading", name="10 columns")).to_be_visible()

    run(page, QUERY)
    expect(page.get_by_role("heading", name="12 rows, 3 columns")).to_be_visible()
    expect(page.get_by_role("heading", name="mean_score by ability")).to_be_visible()
    choose(page, "Horizontal", "examples")
    expect(page.get_by_role("heading", name="mean_score by examples")).to_be_visible()
    choose(page, "Series", "ability")
    lines = page.locator(".js-plotly-plot .scatterlayer .trace")
    expect(lines).to_have_count(3)
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)

    with page.expect_download() as taken:
        page.get_by_role("button", name="Rows (CSV)").click()
    header, *rows = taken.value.path().read_text("utf-8").splitlines()
    assert header == "ability,examples,mean_score"
    assert len(rows) == 12

    # A query that isn't one is refused in a sentence, and the next one works.
    run(page, "DROP TABLE mart_ability_score")
    expect(page.locator('[data-testid="stAlertContentError"]')).to_be_visible()
    expect(lines).to_have_count(0)
    run(page, "SELECT 1 AS one")
    expect(page.get_by_role("heading", name="1 row, 1 column")).to_be_visible()
    assert "DROP" not in page.url and "SELECT" not in page.url


def run(page: Page, query: str) -> None:
    """Write a query and run it."""
    editor = page.get_by_label("Query", exact=True)
    editor.fill(query)
    editor.press("Tab")
    page.get_by_role("button", name="Run", exact=True).click()


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a select box by keyboard."""
    page.get_by_role("combobox", name=label).click()
    page.keyboard.type(option)
    expect(page.get_by_role("option", name=option, exact=True)).to_be_visible()
    page.keyboard.press("Enter")
