"""Which votes are needed, and what makes one vote another."""

from __future__ import annotations

import dataclasses

import pytest

from runners.grid_spec import parse_grid
from runners.judge.ballots import (
    JudgedItem,
    find_opponents,
    make_ballots,
    make_request,
    vote_id,
    vote_parameters,
)
from runners.judge_spec import JudgeSpec
from tests.runners.judge.made import grid_document, judge_block, make_cells
from warehouse.errors import InputError
from warehouse.records import Design

URL = "http://127.0.0.1:9/v1"
CELLS = make_cells()
ITEMS = {
    name: JudgedItem(item_id=name, ability="creative_writing", question="Why?", answer=answer)
    for name, answer in (("i1", "gold"), ("i2", None))
}
REPLIES = {
    "base-1": {"i1": "base 1", "i2": "base 2"},
    "c4-0": {"i1": "four", "i2": "vier"},
    "c16-0": {"i1": "sixteen"},
}


def spec_of(**changed) -> JudgeSpec:
    return parse_grid(grid_document(judge_block(URL, **changed)), "test").judge


def ballots(against: str = "base", **changed):
    spec = spec_of(against=against, **changed)
    return list(make_ballots(spec, ITEMS, REPLIES, find_opponents(CELLS, against)))


def test_a_pair_is_shown_in_both_orders_and_a_stays_the_cell() -> None:
    found = [b for b in ballots(protocols=["pairwise"]) if b.item_id == "i1"]
    assert [(b.model_a, b.model_b, b.shown_first) for b in found] == [
        ("c16-0", "base-1", "a"),
        ("c16-0", "base-1", "b"),
        ("c4-0", "base-1", "a"),
        ("c4-0", "base-1", "b"),
    ]
    first, second = (ballot.messages[-1]["content"] for ballot in found[:2])
    assert first.index("\nsixteen\n") < first.index("\nbase 1\n")
    assert second.index("\nbase 1\n") < second.index("\nsixteen\n")
    assert (found[0].len_a, found[0].len_b) == (7, 6)


def test_items_without_a_reply_of_the_opponent_are_left_out() -> None:
    found = ballots("c16-0", protocols=["pairwise"])
    assert {(b.model_a, b.item_id) for b in found} == {("base-1", "i1"), ("c4-0", "i1")}


def test_the_right_answer_is_an_opponent_and_a_reference_where_there_is_one() -> None:
    gold = ballots("gold", protocols=["pairwise"])
    assert {(b.model_b, b.item_id) for b in gold} == {("gold", "i1")}
    graded = ballots(protocols=["reference"])
    assert {b.item_id for b in graded} == {"i1"}
    assert all("\ngold\n" in b.messages[-1]["content"] for b in graded)
    rated = ballots(protocols=["rubric"])
    assert len(rated) == 5
    assert not any("\ngold\n" in b.messages[-1]["content"] for b in rated)


def test_volumes_are_chained_by_seed_down_to_the_base_model() -> None:
    opponents = find_opponents(CELLS, "previous").of
    assert opponents == {
        "c4-0": "base-1", "c16-0": "c4-0", "c64-0": "c16-0",
        "c4-1": "base-1", "c16-1": "c4-1", "c64-1": "c16-1",
    }  # fmt: skip


def test_one_cell_may_be_named_by_id_or_label() -> None:
    by_label = find_opponents(CELLS, "tiny human 16/ability seed 1")
    assert by_label.of == find_opponents(CELLS, "c16-1").of
    assert "c16-1" not in by_label.of
    with pytest.raises(InputError, match="0 cells of the study are called 'nobody'"):
        find_opponents(CELLS, "nobody")


def test_without_a_base_model_among_the_cells_the_remedy_is_said() -> None:
    tuned = [cell for cell in CELLS if cell.design is not Design.BASE]
    with pytest.raises(InputError, match="put 0 among the volumes"):
        find_opponents(tuned, "base")
    chained = find_opponents(tuned, "previous")
    assert set(chained.missing) == {"c4-0", "c4-1"}


@pytest.mark.parametrize(
    "changed",
    [
        {"max_tokens": 99},
        {"temperature": 0.7},
        {"criteria": {"creative_writing": ["other"]}},
        {"judge": {"model": "bigger"}},
        {"judge": {"revision": "2"}},
        {"judge": {"name": "referee"}},
    ],
)
def test_another_way_of_asking_is_another_vote(changed) -> None:
    def first_id(spec: JudgeSpec) -> str:
        ballot = next(make_ballots(spec, ITEMS, REPLIES, find_opponents(CELLS, "base")))
        request = make_request(ballot, spec)
        sent = {"max_tokens": request.max_tokens, "temperature": request.temperature}
        parameters = vote_parameters(ballot, spec.judges[0], spec, sent)
        return vote_id("s", spec.judges[0].name, ballot, parameters)

    assert first_id(spec_of()) == first_id(spec_of())
    assert first_id(spec_of(**changed)) != first_id(spec_of())


def test_another_reply_is_another_vote() -> None:
    ballot = ballots()[0]
    other = dataclasses.replace(ballot, messages=({"role": "user", "content": "else"},))
    assert vote_id("s", "j", ballot, "{}") != vote_id("s", "j", other, "{}")


# --- The grid's block -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"judge": {"key_variable": "sk-abc123"}}, "key_variable"),
        ({"judge": {"endpoint": "ftp://x/v1"}}, "endpoint is a URL"),
        ({"judge": {"endpoint": "https://user:pw@host/v1"}}, "must hold no credentials"),
        ({"judges": []}, "judge.judges"),
        ({"abilities": []}, "judge.abilities"),
        ({"protocols": ["duel"]}, "judge.protocols"),
        ({"protocols": ["rubric", "rubric"]}, "protocols lists the same entry twice"),
        ({"max_cost": 5}, "max_cost needs the prices of umpire"),
    ],
)
def test_a_wrong_judge_block_is_refused_without_repeating_secrets(changed, said) -> None:
    with pytest.raises(InputError, match=said) as caught:
        spec_of(**changed)
    assert "sk-abc123" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_judges_are_no_part_of_a_cell_s_identity() -> None:
    from runners.grid import GridContext, expand_grid

    def ids(judge):
        spec = parse_grid(grid_document(judge), "test")
        context = GridContext(
            pool_sizes={"human": {"creative_writing": 100}},
            subset_hash=lambda parts, seed: f"{parts}{seed}",
            model_revisions={"tiny": "r"},
            model_sizes={"tiny": 1},
            evaluation_hash="e",
            dtype="fp32",
        )
        return [cell.record.cell_id for cell in expand_grid(spec, context)]

    assert ids(judge_block(URL)) == ids(None)
