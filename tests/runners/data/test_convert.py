"""Foreign formats become DoIT files that the reader takes; bad rows are named."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runners.data.convert import Conversion, convert_data
from runners.data.formats import Format
from runners.data.label import Labeller, LabelMap, load_label_map
from runners.doit_format import read_doit_folder
from warehouse.errors import InputError

ALPACA = [
    {"instruction": "Add 2 and 3.", "input": "", "output": "5", "source": "gsm"},
    {"instruction": "Sort the list.", "input": "[2, 1]", "output": "[1, 2]", "source": "code"},
]
SHAREGPT = {
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
        {"from": "human", "value": "Bye"},
        {"from": "gpt", "value": "Goodbye"},
    ]
}
MESSAGES = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "写一首诗"}]},
        {"role": "assistant", "content": "春眠不觉晓"},
    ]
}


def write_lines(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def convert(source: Path, labeller: Labeller | None = None, **options: object) -> Conversion:
    folder = source.parent / "out"
    return convert_data(str(source), folder, labeller or Labeller(), **options)


def turns(folder: Path, ability: str = "unlabelled") -> list[list[tuple[str, str]]]:
    items = read_doit_folder(folder, scored=False)[ability]
    return [[(turn.role, turn.content) for turn in item.turns] for item in items]


def test_alpaca_joins_instruction_and_input(tmp_path: Path):
    result = convert(write_lines(tmp_path / "a.jsonl", ALPACA))
    assert turns(result.folder) == [
        [("user", "Add 2 and 3."), ("assistant", "5")],
        [("user", "Sort the list.\n\n[2, 1]"), ("assistant", "[1, 2]")],
    ]
    assert (result.n_rows, result.n_items, result.by_format) == (2, 2, {"alpaca": 2})


SCORED = {
    "messages": [
        {"role": "user", "content": "2 + 2? 3 or 4"},
        {"role": "assistant", "content": "4"},
    ],
    "options": ["3", "4"],
    "answer": 4,
    "scoring_rule": "option_text",
}


def test_what_a_row_says_of_its_scoring_is_kept(tmp_path: Path):
    rows = [SCORED, {"instruction": "Is it?", "output": "yes", "options": ["yes", "no"]}]
    result = convert(write_lines(tmp_path / "a.jsonl", rows), Labeller(ability="math"))
    scored, open_form = read_doit_folder(result.folder, scored=True)["math"]
    assert (scored.options, scored.answer, scored.scoring_rule) == (("3", "4"), "4", "option_text")
    assert (open_form.options, open_form.answer) == (("yes", "no"), None)
    # Converted again, it stays what it is.
    again = convert_data(str(result.folder), tmp_path / "again", Labeller(ability="math"))
    assert read_doit_folder(again.folder, scored=True)["math"] == [scored, open_form]


def test_tables_hold_options_as_text(tmp_path: Path):
    text = 'instruction,output,options,answer,scoring_rule\nOne?,1,"[""1"", ""2""]",1,option_text\n'
    (tmp_path / "a.csv").write_text(text, "utf-8")
    (item,) = read_doit_folder(convert(tmp_path / "a.csv").folder, scored=True)["unlabelled"]
    assert (item.options, item.answer, item.scoring_rule) == (("1", "2"), "1", "option_text")


def test_an_answer_that_is_the_reply_and_fields_of_other_formats_are_no_fields_of_ours(
    tmp_path: Path,
):
    other = {"options": {"A": "1"}, "choices": [1, 2], "question_format": "quiz", "answer": True}
    rows = [{"question": "One?", "answer": "1"}, ALPACA[0] | other, ALPACA[1] | {"answer": " "}]
    result = convert(write_lines(tmp_path / "a.jsonl", rows))
    for item in read_doit_folder(result.folder, scored=False)["unlabelled"]:
        fields = (item.options, item.choices, item.answer, item.question_format)
        assert fields == ((), (), None, None)


def test_a_row_without_what_its_rule_needs_is_named(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", [SCORED, SCORED | {"options": ["5", "6"]}])
    with pytest.raises(InputError, match=r"line 2: .*'4' is not among the options"):
        convert(path)
    path = write_lines(path, [SCORED | {"scoring_rule": "guess"}])
    with pytest.raises(InputError, match=r"line 1: field scoring_rule: 'guess' is unknown"):
        convert(path)


def test_sharegpt_puts_the_system_prompt_before_the_first_question(tmp_path: Path):
    result = convert(write_lines(tmp_path / "a.jsonl", [SHAREGPT]))
    assert result.n_system_prompts == 1
    assert turns(result.folder) == [
        [
            ("user", "Be brief.\n\nHi"),
            ("assistant", "Hello"),
            ("user", "Bye"),
            ("assistant", "Goodbye"),
        ]
    ]


def test_formats_may_be_mixed_in_one_list(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([ALPACA[0], SHAREGPT, MESSAGES], indent=1), "utf-8")
    result = convert(path)
    assert result.by_format == {"alpaca": 1, "messages": 1, "sharegpt": 1}
    assert turns(result.folder)[2] == [("user", "写一首诗"), ("assistant", "春眠不觉晓")]


def test_tables_of_text_and_parquet_files_hold_the_same_rows(tmp_path: Path):
    rows = [
        {"instruction": "Say NA", "output": "NA"},
        {"instruction": "1 + 1, 'so'", "output": "2"},
    ]
    (tmp_path / "a.csv").write_text("instruction,output\nSay NA,NA\n\"1 + 1, 'so'\",2\n", "utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    for name in ("a.csv", "b.parquet"):
        result = convert_data(str(tmp_path / name), tmp_path / f"out-{name}", Labeller())
        assert turns(result.folder) == [
            [("user", "Say NA"), ("assistant", "NA")],
            [("user", "1 + 1, 'so'"), ("assistant", "2")],
        ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "instruction,output\nAdd,2\nAdd 1, 2,3\n",
            r"a.csv, line 3: 3 cells in a table of 2 columns",
        ),
        ("instruction,output\nAdd\n", r"a.csv, line 2: 1 cells"),
        ("instruction,output,output\nAdd,1,2\n", "two columns have one name"),
        ('instruction,output\nAdd,"1\n', "can't be read as csv"),
        ("instruction,output\n", "holds no row"),
        ("", "holds no row"),
    ],
)
def test_a_table_whose_cells_have_no_certain_column_is_refused(
    tmp_path: Path, text: str, problem: str
):
    (tmp_path / "a.csv").write_text(text, "utf-8")
    with pytest.raises(InputError, match=problem):
        convert(tmp_path / "a.csv")


def test_cells_of_a_table_may_be_long_and_hold_line_breaks(tmp_path: Path):
    answer = "word\n" * 50_000
    (tmp_path / "a.csv").write_text(f'instruction,output\n"Say ""it""","{answer}"\n', "utf-8")
    assert turns(convert(tmp_path / "a.csv").folder) == [
        [("user", 'Say "it"'), ("assistant", answer)]
    ]


def test_a_folder_is_read_in_name_order_and_the_manifest_names_its_files(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    write_lines(source / "b.jsonl", ALPACA[1:])
    write_lines(source / "a.jsonl", ALPACA[:1])
    result = convert_data(str(source), tmp_path / "out", Labeller())
    assert [conversation[0][1][:3] for conversation in turns(result.folder)] == ["Add", "Sor"]
    manifest = json.loads((result.folder / "manifest.json").read_text("utf-8"))
    assert sorted(manifest["source"]) == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"instruction": "x", "output": ""}, "field output is missing, empty or no text"),
        ({"instruction": "x", "output": 5}, "field output is missing, empty or no text"),
        ({"text": "x"}, r"its fields \('text'\) are none of alpaca"),
        (
            {"conversations": [{"from": "alien", "value": "x"}]},
            r"conversations\[0\].from is 'alien'",
        ),
        ({"messages": [{"role": "user", "content": "x"}]}, "end every conversation with the gold"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "begins with the assistant"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "url": "u"}]}]},
            r"messages\[0\].content is missing or no text",
        ),
        (["x"], "a list instead of a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: object, problem: str):
    path = write_lines(tmp_path / "a.jsonl", [ALPACA[0], row])
    with pytest.raises(InputError, match=rf"a\.jsonl, line 2: .*{problem}"):
        convert(path)
    assert not (tmp_path / "out").exists()
    result = convert(path, skip_bad=True)
    assert (result.n_items, len(result.skipped)) == (1, 1)


def test_a_line_that_is_no_json_is_named_and_may_be_skipped(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", ALPACA)
    path.write_text("{broken\n" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(InputError, match=r"line 1: not JSON .*one JSON object per line"):
        convert(path)
    assert convert(path, skip_bad=True).n_items == 2


def test_a_named_format_is_not_guessed(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", ALPACA)
    with pytest.raises(InputError, match="line 1: field messages is missing"):
        convert(path, form=Format.MESSAGES)


def test_nothing_is_overwritten(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", ALPACA)
    convert(path)
    with pytest.raises(InputError, match="is not empty"):
        convert(path)


def test_missing_files_and_other_types_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There is no file"):
        convert(tmp_path / "nowhere.jsonl")
    (tmp_path / "a.txt").write_text("x", "utf-8")
    with pytest.raises(InputError, match=r"no \.json, \.jsonl"):
        convert(tmp_path / "a.txt")
    (tmp_path / "b.parquet").write_text("x", "utf-8")
    with pytest.raises(InputError, match="can't be read as parquet"):
        convert(tmp_path / "b.parquet")


# --------------------------------------------------------------------------------- labels

MAP = """
field: source
values: {gsm: math}
rules:
  - {ability: code, words: [sort, list]}
  - {ability: poetry, words: [诗]}
  - {ability: math, pattern: '\\d+ \\+ \\d+'}
"""


def mapping(tmp_path: Path, text: str = MAP) -> LabelMap:
    path = tmp_path / "map.yaml"
    path.write_text(text, "utf-8")
    return load_label_map(path)


def test_values_come_before_rules_and_the_rest_is_unlabelled(tmp_path: Path):
    rows = [*ALPACA, SHAREGPT, MESSAGES, {"prompt": "Is it listed?", "response": "no"}]
    path = write_lines(tmp_path / "a.jsonl", rows)
    result = convert(path, Labeller(mapping=mapping(tmp_path)))
    assert result.by_ability == {"code": 1, "math": 1, "poetry": 1, "unlabelled": 2}
    assert (result.folder / "code_converted.jsonl").is_file()


def test_a_default_labels_the_rest(tmp_path: Path):
    labels = mapping(tmp_path, MAP + "default: chat\n")
    path = write_lines(tmp_path / "a.jsonl", [SHAREGPT])
    assert convert(path, Labeller(mapping=labels)).by_ability == {"chat": 1}


def test_rows_without_label_may_be_refused(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", [ALPACA[0], SHAREGPT])
    with pytest.raises(InputError, match="line 2: nothing labels this row"):
        convert(path, Labeller(mapping=mapping(tmp_path)), require_labels=True)


def test_a_column_or_one_name_labels(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", ALPACA)
    assert convert(path, Labeller(column="source")).by_ability == {"code": 1, "gsm": 1}
    result = convert_data(str(path), tmp_path / "all", Labeller(ability="math"))
    assert result.by_ability == {"math": 2}


def test_a_column_that_holds_no_ability_is_refused(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", [ALPACA[0] | {"source": "../up"}])
    with pytest.raises(InputError, match=r"line 1: field type: '\.\./up' can't name an ability"):
        convert(path, Labeller(column="source"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [{ability: code, pattern: '('}]", "pattern is not a regular expression"),
        ("rules: [{ability: code}]", "give exactly one of words and pattern"),
        ("values: {a: b}", "field and values go together"),
        ("{}", "give values or rules"),
        ("rules: [{ability: 'no good', words: [x]}]", "rules.0.ability"),
        ("a: [", "line 1: not valid YAML"),
    ],
)
def test_a_bad_mapping_is_named(tmp_path: Path, text: str, problem: str):
    with pytest.raises(InputError, match=problem):
        mapping(tmp_path, text)
