"""Figures at print size: widths, lettering, titles only where asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.charts.growth import growth_figure
from dashboard.export.collect import build_figure_set
from dashboard.export.paper import Preset, suit_paper
from tests.dashboard.export.figure_evidence import read_study, with_everything
from tests.dashboard.fakes import make_curve
from warehouse.workspace import Workspace

INCHES = {
    Preset.ACL: 3.03,
    Preset.ACL_WIDE: 6.3,
    Preset.NEURIPS: 5.5,
    Preset.ICML: 3.25,
    Preset.ICML_WIDE: 6.75,
    Preset.SLIDES: 40 / 3,
}


def sizes(node: Any, name: str = "") -> Iterator[float]:
    """All sizes of lettering in a figure's layout."""
    if isinstance(node, dict):
        if name.endswith("font") and "size" in node:
            yield node["size"]
        for key, value in node.items():
            if key != "template":
                yield from sizes(value, key)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from sizes(value, name)


@pytest.mark.parametrize("preset", list(Preset))
def test_figures_have_the_width_of_their_preset(preset: Preset) -> None:
    figure = growth_figure([make_curve()], title="Seven grow", note="Source: demo.", n_columns=1)
    printed = suit_paper(figure, preset.page)
    assert printed.width_points == pytest.approx(72 * INCHES[preset])
    if preset is Preset.SLIDES:
        assert printed.height_points == pytest.approx(540, abs=1)


def test_no_text_of_the_page_stands_inside_unless_the_title_is_asked_for() -> None:
    figure = growth_figure([make_curve()], title="Seven grow", note="Source: demo.")
    bare = suit_paper(figure, Preset.ACL.page).figure
    assert not {one.name for one in bare.layout.annotations} & {"title", "subtitle", "note"}
    titled = suit_paper(figure, Preset.ACL.page, title=True).figure
    (title,) = [one for one in titled.layout.annotations if one.name == "title"]
    assert title.text == "<b>Seven grow</b>"
    assert titled.layout.height > bare.layout.height
    assert titled.layout.meta is None and titled.layout.paper_bgcolor == "white"


def test_a_long_title_breaks_within_the_column() -> None:
    figure = growth_figure([make_curve()], title="word " * 30, note="Source: demo.")
    titled = suit_paper(figure, Preset.ACL.page, title=True).figure
    (title,) = [one for one in titled.layout.annotations if one.name == "title"]
    lines = title.text.split("<br>")
    assert 3 < len(lines) < 6
    assert max(map(len, lines)) < 45


@pytest.mark.parametrize("preset", [Preset.ACL, Preset.ACL_WIDE, Preset.SLIDES])
def test_lettering_is_from_seven_to_nine_points_on_paper(
    full_workspace: Workspace, preset: Preset
) -> None:
    evidence = with_everything(read_study(full_workspace))
    low, high = (14, 18) if preset is Preset.SLIDES else (7, 9.1)
    page = preset.page
    for figure in build_figure_set(evidence, page).figures:
        printed = suit_paper(figure.draw(), page)
        spec = printed.figure.to_plotly_json()
        points = printed.scale * 0.75
        if printed.figure.layout.width > page.width:
            # A figure too high for the sheet is smaller as a whole.
            assert printed.height_points == pytest.approx(72 * (page.height_inches or 9), abs=1)
            continue
        del spec["layout"]["hoverlabel"]
        found = [points * size for size in sizes(spec)]
        assert found and low <= min(found) and max(found) <= high, figure.name


def test_a_figure_too_high_for_the_sheet_is_made_smaller_as_a_whole() -> None:
    curves = [make_curve(ability=f"ability_{i}") for i in range(24)]
    figure = growth_figure(curves, title="t", note="n", n_columns=2)
    printed = suit_paper(figure, Preset.ACL.page)
    assert printed.width_points == pytest.approx(72 * 3.03)
    assert printed.height_points == pytest.approx(648, abs=1)


@pytest.mark.parametrize(
    ("preset", "n_panels", "expected"),
    [
        (Preset.ACL, 10, 2),
        (Preset.ACL_WIDE, 10, 5),
        (Preset.ACL_WIDE, 6, 3),
        (Preset.NEURIPS, 10, 4),
        (Preset.ICML, 1, 1),
    ],
)
def test_panels_fill_their_rows(preset: Preset, n_panels: int, expected: int) -> None:
    assert preset.page.n_columns(n_panels) == expected
