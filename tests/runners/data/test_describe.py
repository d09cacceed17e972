"""Composition by ability, length and language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runners.data.describe import describe_folder, language_of
from warehouse.errors import InputError

DOIT = Path(__file__).parents[2] / "fixtures" / "doit"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("春天来了，花开了。", "Chinese"),
        ("春が来て花が咲いた", "Japanese"),
        ("봄이 왔다", "Korean"),
        ("Spring has come", "latin"),
        ("Весна пришла", "cyrillic"),
        ("写一个函数把两个数加起来 def add(a, b)", "mixed"),
        ("请用Python写冒泡排序算法并解释其时间复杂度是多少以及为什么会这样", "Chinese"),
        ("1 + 1 = 2", "no letters"),
    ],
)
def test_language_by_script(text: str, language: str):
    assert language_of(text) == language


def test_counts_and_lengths_by_hand(tmp_path: Path):
    lines = [
        {"messages": [{"role": "user", "content": "ab cd"}, {"role": "assistant", "content": "e"}]},
        {
            "messages": [
                {"role": "user", "content": "春天"},
                {"role": "assistant", "content": "花"},
                {"role": "user", "content": "好"},
                {"role": "assistant", "content": "好的吗"},
            ]
        },
    ]
    folder = tmp_path / "pool"
    folder.mkdir()
    text = "\n".join(json.dumps(line | {"type": "chat"}) for line in lines)
    (folder / "a.json").write_text(text, "utf-8")
    (folder / "manifest.json").write_text("{}", "utf-8")
    (part,) = describe_folder(tmp_path)
    assert (part.folder, part.ability, part.n_items, part.n_turns) == ("pool", "chat", 2, 3.0)
    assert (part.question_characters.total, part.question_characters.longest) == (9, 5)
    assert (part.answer_characters.median, part.answer_characters.longest) == (2.0, 3)
    # Three words, and seven characters of Chinese.
    assert part.words.total == 10
    assert part.languages == {"latin": 1, "Chinese": 1}


def test_every_folder_below_is_described():
    found = describe_folder(DOIT)
    assert {part.folder for part in found} == {"curated/full", "curated/test", "synthetic/40960"}
    assert {part.ability for part in found if part.folder == "synthetic/40960"} == {"unlabelled"}


def test_a_folder_without_data_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"no \.json file"):
        describe_folder(tmp_path)
    with pytest.raises(InputError, match="There is no data folder"):
        describe_folder(tmp_path / "nowhere")
