"""The guide, the cookbook and the study with a real model do what they show."""

import re

import pytest

from tests.doc_blocks import ROOT, find_difference, prepare_folder, read_blocks, run_block

DOCS = ROOT / "docs"
PICTURES = DOCS / "images" / "statistics"


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("name", ["guide", "cookbook", "studies/smollm2/README"])
def test_every_command_of_the_page_prints_what_the_page_shows(name, tmp_path):
    prepare_folder(tmp_path)
    differences = []
    for block in read_blocks(DOCS / f"{name}.md"):
        printed = run_block(block, tmp_path)
        if block.output is not None:
            found = find_difference(block.output, printed, trained=block.trained)
            differences += [f"{name}.md, line {block.line}:\n{found}"] if found else []
    assert not differences, "\n".join(differences)


def test_the_cookbook_answers_ten_questions_with_a_command_and_a_query_each():
    text = (DOCS / "cookbook.md").read_text("utf-8")
    recipes = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert len(recipes) == 10
    for recipe in recipes:
        commands = re.findall(r"^python cli\.py (\w[\w-]*)", recipe, flags=re.MULTILINE)
        assert "sql" in commands and set(commands) - {"sql"}, recipe.splitlines()[0]


def test_every_picture_is_shown_and_drawn():
    text = (DOCS / "statistics_in_pictures.md").read_text("utf-8")
    script = (PICTURES / "draw.py").read_text("utf-8")
    shown = set(re.findall(r"images/statistics/([\w-]+)\.png", text))
    assert shown == {path.stem for path in PICTURES.glob("*.png")}
    assert all(f'"{name}"' in script for name in shown)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("gain 12.0 [3.1, 20.9]", "gain 12.4 [3.1, 20.9]"),
        ("people is responsive", "people is resistant"),
        ("one\ntwo", "one"),
        ("12 rows", "rows"),
        ("12 rows", "13 rows"),
    ],
)
def test_an_output_that_changed_is_found(shown, printed):
    assert find_difference(shown, printed, trained=False)


@pytest.mark.parametrize(
    ("shown", "printed", "trained"),
    [
        ("┃ gain  ┃\n┡━━┩\n│ 12.0 │", "┃ gain ┃\n┡━━━━━┩\n│ 12.0 │", False),
        ("gain 0.513", "gain 0.512", False),
        ("p 0.0, 20% of 1.6", "p 0.1, 21% of 1.5", False),
        ("gain 12.0 points", "gain 16.5 points", True),
        (
            "in results-20261122T220010180050Z-eb1cdb8a335c.duckdb",
            "in results-20270101T000000000000Z-000000000000.duckdb",
            False,
        ),
    ],
)
def test_an_output_that_says_the_same_passes(shown, printed, trained):
    assert find_difference(shown, printed, trained=trained) is None
