"""Replies for judges: greedy, stopped at the template's end, alike in batches of any size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runners.doit_format import Item, ScoringRule
from runners.job import ReplySettings
from runners.replies import generate_replies, reply_stem, select_items
from runners.template import TEMPLATES, Turn
from tests.conftest import COLOURS, WORDS

ROOT = Path(__file__).parents[2]
TEMPLATE = TEMPLATES["doit"]


def item(words: str, ability: str = "code") -> Item:
    turns = (Turn(role="user", content=words), Turn(role="assistant", content="red"))
    return Item(
        turns=turns, ability=ability, question_format=0, scoring_rule=ScoringRule.OPTION_TEXT,
        options=tuple(COLOURS),
    )  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tiny_model_folder):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    TEMPLATE.prepare(tokenizer, model)
    return model, tokenizer


ITEMS = [item(" ".join(WORDS[start : start + 2 + start % 5])) for start in range(7)]


def replies(loaded, items=ITEMS, *, max_new_tokens=6, batch_size=3) -> list[dict]:
    return generate_replies(
        *loaded, TEMPLATE, items,
        cell_id="c", max_new_tokens=max_new_tokens, batch_size=batch_size,
    ).to_pylist()  # fmt: skip


def test_replies_come_in_the_items_order_whatever_the_batches(loaded) -> None:
    alone = replies(loaded, batch_size=1)
    assert [row["item_id"] for row in alone] == [i.item_id for i in ITEMS]
    assert replies(loaded, batch_size=4) == alone
    assert {row["finish_reason"] for row in alone} <= {"stop", "length"}
    for row in alone:
        assert row["reply"] is not None
        assert 1 <= row["n_tokens"] <= 6


def test_a_reply_ends_before_the_end_token(loaded) -> None:
    model, tokenizer = loaded
    end = tokenizer.convert_tokens_to_ids(TEMPLATE.end)

    class Scripted:
        config = model.config
        device = torch.device("cpu")

        def generate(self, input_ids, **_):
            reply = torch.tensor([[7, 8, end, end]] + [[7, 8, 9, 9]] * (len(input_ids) - 1))
            return torch.cat([input_ids, reply], dim=1)

    longest = max(range(7), key=lambda place: len(ITEMS[place].turns[0].content.split()))
    rows = generate_replies(
        Scripted(), tokenizer, TEMPLATE, ITEMS, cell_id="c", max_new_tokens=4, batch_size=9
    ).to_pylist()
    ended = [row["item_id"] for row in rows if row["finish_reason"] == "stop"]
    assert ended == [ITEMS[longest].item_id]
    kept = next(row for row in rows if row["finish_reason"] == "stop")
    assert (kept["reply"], kept["n_tokens"]) == (tokenizer.decode([7, 8]), 3)


def test_a_prompt_that_leaves_no_room_has_a_reason_and_no_reply(loaded) -> None:
    model, _ = loaded
    room = model.config.max_position_embeddings
    rows = replies(loaded, [*ITEMS, item(" ".join(["w1"] * room))])
    assert [row["reply"] is None for row in rows] == [False] * 7 + [True]
    assert f"exceed the model's {room}" in rows[-1]["missing_reason"]


def test_batches_are_halved_when_memory_does_not_suffice(loaded) -> None:
    model, tokenizer = loaded
    sizes = []

    class Small:
        config = model.config
        device = torch.device("cpu")

        def generate(self, input_ids, **settings):
            sizes.append(len(input_ids))
            if len(input_ids) > 2:
                raise torch.OutOfMemoryError("too much")
            return model.generate(input_ids=input_ids, **settings)

    found = generate_replies(
        Small(), tokenizer, TEMPLATE, ITEMS, cell_id="c", max_new_tokens=6, batch_size=7
    )
    assert found.to_pylist() == replies(loaded, batch_size=1)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_judges_get_the_first_items_of_their_abilities_each_once() -> None:
    items = [item("a"), item("b"), item("a"), item("c"), item("d", "math"), item("e", "ethics")]
    settings = ReplySettings(abilities=("code", "math"), max_new_tokens=8, max_items_per_ability=2)
    chosen = select_items(items, settings)
    assert [i.turns[0].content for i in chosen] == ["a", "b", "d"]
    other = settings.model_copy(update={"max_new_tokens": 9})
    assert reply_stem("c", settings) != reply_stem("c", other)


@pytest.mark.slow
def test_a_grid_with_judges_lands_replies_and_judges_them(tiny_study, tmp_path) -> None:
    from tests.runners.judge.scripted import ScriptedServer, completion

    server = ScriptedServer(lambda body, n: completion('{"reason": "fine", "rating": 5}'))
    workspace = tmp_path / "w"
    judge = {
        "judges": [{"name": "umpire", "model": "m", "endpoint": server.url}],
        "abilities": ["code"], "max_new_tokens": 5, "max_items_per_ability": 4,
    }  # fmt: skip
    plain, judged = tmp_path / "plain.yaml", tmp_path / "judged.yaml"
    text = tiny_study.grid.read_text("utf-8").replace("folder: data", f"folder: {tiny_study.data}")
    plain.write_text(text, "utf-8")
    judged.write_text(text + f"judge: {json.dumps(judge)}\n", "utf-8")

    def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
        return subprocess.run(
            [*command, "--workspace", str(workspace)], capture_output=True, text=True, check=False
        )

    try:
        # The base model was done before there were judges; the same cells count afterwards.
        base_only = plain.read_text("utf-8").replace("[0, 4, 16]", "[0]")
        (tmp_path / "base.yaml").write_text(base_only, "utf-8")
        assert cli("run-grid", tmp_path / "base.yaml").returncode == 0
        done = cli("run-grid", judged)
        assert done.returncode == 0, done.stderr
        assert "4 of them now" in done.stdout
        files = sorted((workspace / "landing/generation").iterdir())
        assert [pq.read_table(file).num_rows for file in files] == [4] * 4
        first = cli("judge", "run", judged)
        assert "16 new verdicts" in first.stdout
        assert "1 of 5 cells lack replies" in first.stdout
        again = cli("judge", "replies", judged)
        assert again.stdout == "1 of 1 cells have replied.\n", again.stderr
        second = cli("judge", "run", "--study", "tiny", "--json")
        document = json.loads(second.stdout)
        assert (document["n_landed"], document["notes"]) == (20, [])
    finally:
        server.close()
