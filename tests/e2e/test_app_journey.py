"""From opening the app to a drawn curve, in a real browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Chance lines, bands and flat curves are paths too: this counts strokes that bend and can be seen.
CURVES = """() => [...document.querySelectorAll(".js-plotly-plot path.js-line")].filter(path => {
    const box = path.getBBox();
    const stroke = parseFloat(getComputedStyle(path).strokeWidth);
    const bends = (path.getAttribute("d").match(/[LCQ]/g) || []).length;
    return box.width > 50 && box.height > 0 && stroke >= 1.5 && bends > 5;
}).length"""
# A first fit may share two cores with everything else.
TIMEOUT_MS = 90_000
expect.set_options(timeout=TIMEOUT_MS)


def wait_for_curves(page: Page, at_least: int) -> None:
    page.wait_for_function(f"() => ({CURVES})() >= {at_least}", timeout=TIMEOUT_MS)


def go_to(page: Page, name: str) -> None:
    page.locator('a[data-testid="stSidebarNavLink"]', has_text=name).click()


def expect_no_exception(page: Page) -> None:
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)


def test_from_opening_to_a_drawn_curve_and_the_runs(page: Page, server: str) -> None:
    foreign: list[str] = []
    page.on(
        "request",
        lambda request: (
            foreign.append(request.url)
            if urlsplit(request.url).hostname not in ("localhost", None)
            else None
        ),
    )
    page.goto(server)
    links = page.locator('a[data-testid="stSidebarNavLink"]')
    expect(links).to_contain_text(["Overview", "Growth", "Runs"])
    expect(links.first).to_be_visible()
    expect(page.get_by_text("A demonstration on generated data.").first).to_be_visible()
    expect(page.locator("h2").first).to_contain_text("abilities of ladder-l")
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_attached()
    expect_no_exception(page)

    go_to(page, "Growth")
    expect(page.get_by_text("with human data").first).to_be_visible()
    wait_for_curves(page, 1)
    expect_no_exception(page)

    page.get_by_label("Data source", exact=True).click()
    page.get_by_role("option", name="synthetic").click()
    expect(page.get_by_text("with synthetic data").first).to_be_visible()
    wait_for_curves(page, 1)
    assert "source=synthetic" in page.url
    expect_no_exception(page)

    go_to(page, "Runs")
    expect(page.locator("h2").first).to_contain_text("34 cells: 33 done, 1 failed")
    expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible()
    expect(page.locator(".js-plotly-plot path.js-line").first).to_be_attached()
    expect_no_exception(page)
    assert not foreign, "the app reaches for nothing outside this machine"


def test_link_restores_page_and_filters(page: Page, server: str) -> None:
    page.goto(f"{server}/growth?model=ladder-s&more_sources=synthetic&order=by+name")
    expect(page.get_by_text("Abilities that grow, of 3: ladder-s").first).to_be_visible()
    wait_for_curves(page, 2)
    expect(page.locator(".legendtext")).to_have_text(["human", "synthetic"])
    expect_no_exception(page)


def test_numbers_behind_a_figure_can_be_taken_away(page: Page, server: str) -> None:
    page.goto(f"{server}/growth")
    wait_for_curves(page, 1)
    with page.expect_download() as taken:
        page.get_by_role("button", name="Numbers (CSV)").click()
    assert taken.value.suggested_filename == "growth.csv"
    header = taken.value.path().read_text("utf-8").splitlines()[0]
    assert header.startswith("study,ability,base_model,data_source,metric,kind,n_examples,score")


def test_from_a_real_run_of_the_demonstration_to_drawn_curves(
    page: Page, demonstration_server: str
) -> None:
    page.goto(demonstration_server)
    expect(page.locator("h2").first).to_contain_text("abilities of ladder-s")
    expect_no_exception(page)
    go_to(page, "Growth")
    wait_for_curves(page, 5)
    expect_no_exception(page)
    go_to(page, "Runs")
    expect(page.get_by_text("7 cells: 7 done").first).to_be_visible()
    expect_no_exception(page)
