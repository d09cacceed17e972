"""The DoIT-format reader: hand-made data of every kind, and what each bad line says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runners.doit_format import (
    Item,
    ScoringRule,
    default_rule,
    read_doit_file,
    read_doit_folder,
    truth_value,
)
from runners.template import Turn
from warehouse.errors import InputError

DOIT = Path(__file__).parents[1] / "fixtures" / "doit"
USER, ASSISTANT = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A"}
MESSAGES = [USER, ASSISTANT]


def write(folder: Path, *lines: object, name: str = "x_1.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def test_test_folder_gets_the_papers_rules():
    items = read_doit_folder(DOIT / "curated/test")
    rules = {ability: [item.scoring_rule for item in group] for ability, group in items.items()}
    assert rules == {
        "biology": ["single_choice", "single_choice"],
        "ceval_physician_fshot": ["single_choice"],
        "chinese": ["single_choice", "cloze"],
        "code": ["open_ended"],
        "colours": ["option_text", "true_false"],
        "creative_writing": ["open_ended"],
        "ethics": ["multi_choice", "multi_choice"],
        "history": ["single_choice", "true_false", "true_false"],
        "math": ["math", "math"],
        "reasoning": ["single_choice"],
        "role_play": ["open_ended"],
        "understanding": ["single_choice"],
    }
    assert list(items) == sorted(items)
    assert len(items["ceval_physician_fshot"][0].turns) == 12
    assert items["math"][1].answer == "0.75"
    assert items["role_play"][0].prompt_turns[1] == Turn(role="assistant", content="Aye aye!")


def test_training_folder_needs_no_scoring_fields():
    items = read_doit_folder(DOIT / "curated/full")
    assert [item.scoring_rule for group in items.values() for item in group] == [None] * 3
    assert items["biology"][0].question_format is None


def test_unsorted_items_are_unlabelled():
    items = read_doit_folder(DOIT / "synthetic/40960")
    assert list(items) == ["unlabelled"]
    assert [item.gold for item in items["unlabelled"]] == ["A pear.", "hi hi"]


def test_item_id_tells_content_apart_and_ignores_the_rule():
    def item(**changes: object) -> Item:
        turns = (Turn(role="user", content="q"), Turn(role="assistant", content="A"))
        return Item(**({"turns": turns, "ability": "biology"} | changes))

    base = item()
    assert len(base.item_id) == 16
    assert base.item_id == item(scoring_rule=ScoringRule.SINGLE_CHOICE).item_id
    swapped = (Turn(role="assistant", content="q"), Turn(role="user", content="A"))
    others = [
        item(ability="history"),
        item(turns=swapped),
        item(choices=("a", "b", "c")),
        item(options=("a", "b", "c")),
        item(answer="1"),
    ]
    assert len({base.item_id, *(other.item_id for other in others)}) == 6


def test_item_id_is_stable_across_versions():
    turns = (Turn(role="user", content="水?"), Turn(role="assistant", content="A"))
    assert Item(turns=turns, ability="biology").item_id == "706c2531f0a25132"


def test_training_and_evaluation_copies_share_their_id(tmp_path: Path):
    line = {"messages": MESSAGES, "type": "biology", "question_format": 0}
    trained = read_doit_file(write(tmp_path / "full", line))
    tested = read_doit_file(write(tmp_path / "test", line))
    assert trained[0].scoring_rule is None
    assert tested[0].scoring_rule is ScoringRule.SINGLE_CHOICE
    assert trained[0].item_id == tested[0].item_id


def test_lines_may_hold_unicode_line_separators_and_a_byte_order_mark(tmp_path: Path):
    line = json.dumps({"messages": [{"role": "user", "content": "a\u2028b"}, ASSISTANT]})
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n\n" + b"  \n")
    assert [item.turns[0].content for item in read_doit_file(path)] == ["a\u2028b"]
    raw = json.dumps(
        {"messages": [{"role": "user", "content": "a\u2028b"}, ASSISTANT]}, ensure_ascii=False
    )
    path.write_text(raw + "\n", "utf-8")
    assert len(read_doit_file(path)) == 1


def test_explicit_rule_wins_over_the_ability(tmp_path: Path):
    line = {"messages": MESSAGES, "type": "biology", "scoring_rule": "cloze"}
    assert read_doit_file(write(tmp_path, line), scored=True)[0].scoring_rule == "cloze"


@pytest.mark.parametrize(
    ("ability", "gold", "rule"),
    [
        ("unheard_of", "B", "single_choice"),
        ("unheard_of", "a word", "cloze"),
        ("ceval_anything_fshot", "D", "single_choice"),
        ("history", "F", "true_false"),
        ("chinese", "水", "cloze"),
    ],
)
def test_default_rules(ability: str, gold: str, rule: str):
    turns = (Turn(role="user", content="q"), Turn(role="assistant", content=gold))
    assert default_rule(Item(turns=turns, ability=ability)) == rule


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, True) for word in ("对", "正确。", "T", "V", "√", "Yes", "TRUE.")),
        *((word, False) for word in ("错", "×", "X", "F", "no", "False")),
        *((word, None) for word in ("maybe", "t", "")),
    ],
)
def test_truth_value(word: str, value: bool | None):
    assert truth_value(word) is value


def scored(**fields: object) -> dict[str, object]:
    return {"messages": MESSAGES, "type": "biology", "question_format": 0} | fields


def gold(text: str, **fields: object) -> dict[str, object]:
    return scored(messages=[USER, {"role": "assistant", "content": text}], **fields)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{", ["not JSON", "one JSON object per line"]),
        ("[" * 100_000, ["not JSON"]),
        ('{"type": ' + "9" * 5000 + "}", ["not JSON"]),
        ("[1]", ["list", "JSON object"]),
        ({"type": "math"}, ["messages", "missing or empty"]),
        (scored(messages=[]), ["messages", "missing or empty"]),
        (scored(messages=["hi"]), ["messages[0]", "not an object"]),
        (scored(messages=[{"role": "system", "content": "x"}, *MESSAGES]), ["messages[0].role"]),
        (scored(messages=[{"role": ["user"], "content": "x"}]), ["messages[0].role"]),
        (scored(messages=[*MESSAGES, USER]), ["messages[2].role", "not the assistant's"]),
        (scored(messages=[ASSISTANT]), ["messages", "no message of the user"]),
        (scored(messages=[{"role": "user", "content": " "}, ASSISTANT]), ["messages[0].content"]),
        (scored(messages=[USER, {"role": "assistant"}]), ["messages[1].content", "empty"]),
        (scored(messages=[{"role": "user", "content": "\ud800"}, ASSISTANT]), ["surrogate"]),
        (scored(type=3), ["type", "3"]),
        (scored(type="two words"), ["type", "'two words'"]),
        (scored(type="a/../b"), ["type"]),
        (scored(question_format=2), ["question_format", "2"]),
        (scored(question_format=True), ["question_format", "True"]),
        (scored(question_format=1), ["choices", "0 candidates instead of 3"]),
        (scored(question_format=1, choices=["a", "b"]), ["choices", "2 candidates"]),
        (scored(question_format=1, choices=["a", "b", ""]), ["choices[2]", "empty"]),
        (scored(question_format=1, choices="abc"), ["choices", "not a list"]),
        (scored(scoring_rule="guess"), ["scoring_rule", "'guess'", "option_text"]),
        (scored(scoring_rule=["cloze"]), ["scoring_rule"]),
        (scored(options=["B"]), ["options", "fewer than two"]),
        (scored(options=["B", "B "]), ["options", "equal"]),
        (scored(options=["B", "C"]), ["messages[1].content", "'A'", "among the options"]),
        (gold("Aa"), ["messages[1].content", "'Aa'", "letter A-D"]),
        (gold("E"), ["messages[1].content", "letter A-D"]),
        (gold("A\nnone", type="ethics"), ["messages[1].content", "no letter"]),
        (gold("perhaps", type="history"), ["messages[1].content", "neither true nor false"]),
        (gold("4", type="math"), ["answer", "missing"]),
        (gold("4", type="math", answer=" "), ["answer"]),
        (gold("4", type="math", answer=True), ["answer"]),
    ],
)
def test_bad_lines_name_file_line_and_field(tmp_path: Path, line: object, parts: list[str]):
    path = write(tmp_path / "test", scored(), "", line)
    with pytest.raises(InputError) as caught:
        read_doit_file(path)
    message = str(caught.value)
    assert f"{path}, line 3:" in message
    for part in parts:
        assert part in message
    assert caught.value.exit_code == 2


def test_bytes_that_are_not_utf8(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"line 1: not UTF-8"):
        read_doit_file(path)


def test_missing_and_empty_sources(tmp_path: Path):
    with pytest.raises(InputError, match="no data folder"):
        read_doit_folder(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no \.json file"):
        read_doit_folder(tmp_path)
    with pytest.raises(InputError, match="can't be read"):
        read_doit_file(tmp_path / "none.json")
    with pytest.raises(InputError, match="holds no items"):
        read_doit_file(write(tmp_path, ""))


def test_folder_order_is_that_of_names_and_lines(tmp_path: Path):
    for name, text in [("b_2.json", "third"), ("a_1.jsonl", "first"), ("a_2.json", "second")]:
        write(tmp_path, {"messages": [USER, {"role": "assistant", "content": text}]}, name=name)
    write(tmp_path, "{", name=".hidden.json")
    write(tmp_path, "{", name="notes.txt")
    (tmp_path / "cache.json").mkdir()
    items = read_doit_folder(tmp_path)["unlabelled"]
    assert [item.gold for item in items] == ["first", "second", "third"]
