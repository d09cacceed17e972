"""From opening the app to a drawn curve, in a real browser."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, ViewportSize, expect

from tests.e2e.conftest import DESK, PHONE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Chance lines, bands and flat curves are paths too: this counts strokes that bend and can be seen.
CURVES = """() => [...document.querySelectorAll(".js-plotly-plot path.js-line")].filter(path => {
    const box = path.getBBox();
    const stroke = parseFloat(getComputedStyle(path).strokeWidth);
    const bends = (path.getAttribute("d").match(/[LCQ]/g) || []).length;
    return box.width > 50 && box.height > 0 && stroke >= 1.5 && bends > 5;
}).length"""
# Neither the page nor a figure's words reach beyond the screen.
FITS = """() => document.documentElement.scrollWidth <= innerWidth &&
    [...document.querySelectorAll(".js-plotly-plot")].every(plot => {
        const box = plot.getBoundingClientRect();
        return box.right <= innerWidth && [...plot.querySelectorAll("text")].every(text => {
            const at = text.getBoundingClientRect();
            return !at.width || (at.left >= box.left - 1 && at.right <= box.right + 1);
        });
    })"""
PAGES = ["Overview", "Growth", "Scale", "Human and synthetic", "Transfer", "Budget"]
PAGES += ["Runs", "Items", "Judge", "SQL"]
# A first fit may share two cores with everything else.
TIMEOUT_MS = 90_000
expect.set_options(timeout=TIMEOUT_MS)


def wait_for_curves(page: Page, at_least: int) -> None:
    try:
        page.wait_for_function(f"() => ({CURVES})() >= {at_least}", timeout=TIMEOUT_MS)
    except TimeoutError as error:
        shown = page.locator("h2, h3, [data-testid=stSpinner], [data-testid=stException]")
        raise AssertionError(f"{page.url} shows only {shown.all_inner_texts()}") from error


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
    expect(links).to_contain_text(PAGES)
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
    page.get_by_role("button", name="Download").first.click()
    with page.expect_download() as taken:
        page.get_by_role("button", name="Numbers (CSV)").click()
    assert taken.value.suggested_filename == "growth.csv"
    header = taken.value.path().read_text("utf-8").splitlines()[0]
    assert header.startswith("study,ability,base_model,data_source,metric,kind,n_examples,score")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_from_opening_to_the_figure_of_the_flattest_ability(
    browser: Browser, server: str, size: ViewportSize
) -> None:
    context = browser.new_context(viewport=size)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(server)
    title = page.locator("h3", has_text=re.compile("^From .* in .* to .* in "))
    expect(title).to_be_visible()
    found = re.match(r"From \S+ points? in (.*) to ", title.inner_text())
    assert found is not None
    flattest = found[1].replace(" ", "_")
    if size is PHONE:
        page.get_by_test_id("stExpandSidebarButton").click()
    go_to(page, "Growth")
    wait_for_curves(page, 1)
    if size is PHONE:
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    # The page is complete once the figures of one ability and of plateaus are there.
    expect(page.get_by_role("button", name="Download")).to_have_count(3)
    # Typing finds what a long list shows only after scrolling.
    page.get_by_label("Ability (or click a mark above)").click()
    page.keyboard.type(flattest)
    expect(page.get_by_role("option", name=flattest, exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("h3", has_text=found[1].capitalize())).to_be_visible()
    assert f"ability={flattest}" in page.url
    # Opened once: a button clicked while its pop-up is drawn anew offers a file that has gone.
    page.get_by_role("button", name="Download").nth(1).click()
    for name, kind, opening in (
        ("Drawing (SVG)", "svg", b"<svg"),
        ("Print (PDF)", "pdf", b"%PDF"),
    ):
        with page.expect_download() as taken:
            page.get_by_role("button", name=name).click()
        assert taken.value.suggested_filename == f"ability.{kind}"
        content = taken.value.path().read_bytes()
        assert content.startswith(opening)
        assert len(content) > 5_000
    page.keyboard.press("Escape")
    if size is PHONE:
        widest = page.evaluate("document.documentElement.scrollWidth")
        assert widest <= size["width"]
    expect_no_exception(page)
    context.close()


def test_a_closed_table_opens_by_keyboard(page: Page, server: str) -> None:
    page.goto(f"{server}/growth")
    wait_for_curves(page, 1)
    table = page.get_by_test_id("stDataFrame")
    closed = page.get_by_test_id("stExpander").filter(has_text="Growth families")
    expect(closed).to_be_visible()
    expect(table).to_have_count(0)
    closed.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(table).to_have_count(1)
    expect(closed.get_by_test_id("stDataFrame")).to_be_visible()
    expect_no_exception(page)


def test_no_figure_is_wider_than_a_phone(browser: Browser, server: str) -> None:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    for name, n_figures in (("", 1), ("growth", 3), ("scale", 4), ("sources", 3)):
        page.goto(f"{server}/{name}")
        expect(page.locator(".js-plotly-plot").nth(n_figures - 1)).to_be_visible()
        # The page learns how wide the screen is once it is there, and draws its figures anew.
        page.wait_for_function(FITS, timeout=TIMEOUT_MS)
    expect_no_exception(page)
    context.close()


def test_copied_link_restores_page_filters_and_snapshot(page: Page, server: str) -> None:
    page.goto(f"{server}/growth?source=synthetic&order=by+name")
    wait_for_curves(page, 1)
    page.get_by_role("button", name="Copy link").first.click()
    link = page.locator('[data-testid="stPopoverBody"] code').inner_text()
    assert re.search(r"/growth\?snapshot=\d{8}T.*&study=quickstart&.*source=synthetic", link)
    page.goto(link)
    expect(page.get_by_text("with synthetic data").first).to_be_visible()
    wait_for_curves(page, 1)
    asked = re.search("snapshot=([^&]*)", link)
    assert asked is not None
    expect(page.get_by_label("Snapshot", exact=True)).to_have_value(asked[1])
    page.goto(f"{server}/growth?snapshot=20250101T000000000000Z-000000000000")
    expect(page.get_by_text("which is not here; shown: latest")).to_be_visible()
    wait_for_curves(page, 1)


def test_clicking_a_mark_chooses_the_ability(page: Page, server: str) -> None:
    page.goto(f"{server}/growth?order=by+name")
    wait_for_curves(page, 1)
    box = page.get_by_label("Ability (or click a mark above)")
    first = box.input_value()
    panel = page.locator(".js-plotly-plot").first.locator(".subplot.x2y2 .points path").last
    panel.click(force=True)
    expect(box).not_to_have_value(first)


def test_excluding_a_cell_is_shown_everywhere(page: Page, server: str) -> None:
    page.goto(f"{server}/runs?cell=ladder-s+human+16%2Fability+seed+1")
    page.get_by_text("Exclude this cell").click()
    page.get_by_label("Reason").fill("--undo <b>a broken disk</b>")
    page.get_by_role("button", name="Exclude", exact=True).click()
    notice = "Excluded: --undo <b>a broken disk</b>. No curve uses this cell."
    expect(page.get_by_text(notice)).to_be_visible()
    go_to(page, "Overview")
    expect(page.get_by_text("1 cell excluded by a user")).to_be_visible()
    go_to(page, "Runs")
    page.get_by_text("Take it back into the curves").click()
    page.get_by_role("button", name="Take back", exact=True).click()
    expect(page.get_by_text(notice)).to_have_count(0)
    expect_no_exception(page)


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
