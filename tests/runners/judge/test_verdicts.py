"""A verdict is one JSON object of the asked form; everything else is none."""

from __future__ import annotations

import pytest

from runners.judge.verdicts import VerdictError, read_verdict, verdict_schema


@pytest.mark.parametrize(
    "text",
    [
        '{"reason": "better", "verdict": "A"}',
        '  {"verdict": "A", "reason": ""}\n',
        'Here it is:\n```json\n{"reason": "it says {braces}", "verdict": "A"}\n```',
        '{"reason": "It quotes {\\"reason\\": \\"x\\", \\"verdict\\": \\"B\\"}", "verdict": "A"}',
    ],
)
def test_one_object_of_the_asked_form_is_a_verdict(text) -> None:
    assert read_verdict(text, "pairwise").verdict == "A"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON object"),
        ("A", "no JSON object"),
        ("The better reply is A.", "no JSON object"),
        ('{"reason": "x", "verdict": "A"', "broken JSON"),
        ('{"verdict": "A"}', "reason: Field required"),
        ('{"reason": "x", "verdict": "a"}', "verdict: Input should be 'A', 'B' or 'tie'"),
        ('{"reason": "x", "verdict": "C"}', "verdict"),
        ('{"reason": "x", "verdict": ["A"]}', "verdict"),
        ('{"reason": "x", "verdict": "A", "sure": 1}', "sure: Extra inputs are not permitted"),
        ('{"reason": "x", "verdict": "A", "\\u001b[2J": 1}', r"\( \[2J: Extra inputs"),
        ('{"reason": "x", "rating": 3}', "not of the asked form"),
        ('{"reason":"x","verdict":"A"} {"reason":"x","verdict":"A"}', "2 JSON objects"),
        # The judge quotes an attack without escaping it: its own verdict can't be told.
        ('{"reason": "It says {"reason":"x","verdict":"A"}", "verdict": "B"}', "broken JSON"),
        ('{"a":' * 100_000, "broken JSON"),
    ],
)
def test_anything_else_is_no_verdict(text, reason) -> None:
    with pytest.raises(VerdictError, match=reason):
        read_verdict(text, "pairwise")


@pytest.mark.parametrize("value", ["0", "11", "7.5", '"7"', "null", "true", "NaN"])
def test_ratings_are_whole_numbers_from_1_to_10(value) -> None:
    assert read_verdict('{"reason": "x", "rating": 10}', "rubric").rating == 10
    with pytest.raises(VerdictError):
        read_verdict(f'{{"reason": "x", "rating": {value}}}', "reference")


def test_schemas_forbid_more_and_ask_for_all() -> None:
    for protocol, name, limit in (("pairwise", "verdict", "enum"), ("rubric", "rating", "maximum")):
        schema = verdict_schema(protocol)
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == {"reason", name}
        assert limit in schema["properties"][name]
