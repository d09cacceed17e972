from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.text import plain
from dashboard.state import find_unknown


def filters() -> None:
    """Script: a choice of one and a choice of many that depends on it."""
    import streamlit as st

    from dashboard.state import choose_many, choose_one

    one = choose_one("fruit", "Fruit", ["apple", "pear"], default="pear")
    many = choose_many("sorts", "Sorts", [f"{one} {i}" for i in range(3)], default=[f"{one} 0"])
    st.text(f"{one}: {many}")


def run(**asked: str | list[str]) -> AppTest:
    app = AppTest.from_function(filters, default_timeout=60)
    for name, value in asked.items():
        app.query_params[name] = value
    return app.run()


def test_defaults_without_a_link() -> None:
    app = run()
    assert app.text[0].value == "pear: ['pear 0']"
    assert not app.warning


def test_link_is_followed() -> None:
    app = run(fruit="apple", sorts=["apple 2", "apple 1"])
    assert app.text[0].value == "apple: ['apple 1', 'apple 2']"
    assert not app.warning


def test_unknown_values_fall_back_and_are_told() -> None:
    app = run(fruit="__import__('os')", sorts=["pear 1", "nonsense"])
    assert not app.exception
    assert app.text[0].value == "pear: ['pear 1']"
    assert len(app.warning) == 2


def test_notice_repeats_little_of_a_long_value() -> None:
    app = run(fruit="x" * 100_000)
    assert len(app.warning[0].value) < 300


def test_choice_is_kept_in_the_link() -> None:
    app = run()
    app.selectbox(key="fruit").set_value("apple").run()
    assert app.text[0].value.startswith("apple")


def test_kept_choices_that_are_gone_are_forgotten() -> None:
    app = run(sorts=["pear 1", "pear 2"])
    app.selectbox(key="fruit").set_value("apple").run()
    assert not app.exception
    assert app.text[0].value == "apple: []"


def test_find_unknown_keeps_order_and_drops_repeats() -> None:
    assert find_unknown(["b", "x", "a", "x", ""], ["a", "b"]) == ["x"]


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[link](javascript:alert(1))",
        "**bold** _under_ `code` $x^2$ :smile: :red[text]",
        "# heading",
        "1. list",
        "first\n\n---\nsecond",
    ],
)
def test_plain_leaves_no_active_sign(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    for index, sign in enumerate(shown):
        if sign in "<>[]()*_`$#!&":
            assert shown[index - 1] == "\\"
        if sign == ":" and shown[index + 1 : index + 2].strip():
            assert shown[index + 1] == "\N{WORD JOINER}"
