"""What becomes of proposals, with a teacher that replies as a test says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from runners.doit_format import Item, read_doit_folder
from runners.grid_spec import load_grid
from runners.sft_data import load_study_data
from runners.synthesize.log import ReplyLog
from runners.synthesize.prompts import instruction_prompt, read_instruction
from runners.synthesize.run import Synthesis, read_evaluation, read_seeds, synthesize
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import Reply, Request
from runners.template import Turn
from warehouse.errors import BusyError, InputError, WorkError
from warehouse.records import CompositionPart

RNG = random.Random(5)
WORDS = [f"w{index}" for index in range(500)]
ANSWERS = SynthesisSpec(mode=Mode.ANSWERS)


class Scripted:
    """A teacher that replies as `script(request, requests before it)` says."""

    def __init__(
        self, script: Callable[[Request, int], Reply | str], *, batch_size: int | None = None
    ) -> None:
        self.identity = {"kind": "scripted"}
        self.batch_size = batch_size
        self.script = script
        self.asked: list[Request] = []

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        for place, request in enumerate(requests):
            self.asked.append(request)
            reply = self.script(request, len(self.asked) - 1)
            yield (
                place,
                Reply(text=reply, cost=0.5, n_tokens=1) if isinstance(reply, str) else reply,
            )


def echo(request: Request, _: int) -> str:
    return f"answer to {request.turns[-1].content[:20].strip()}"


def item(question: str, ability: str = "math", options: tuple[str, ...] = ()) -> Item:
    turns = (Turn(role="user", content=question), Turn(role="assistant", content="GOLD"))
    return Item(turns=turns, ability=ability, options=options)


def text(n_words: int = 20) -> str:
    return " ".join(RNG.choices(WORDS, k=n_words))


def seeds(n: int = 5, *abilities: str) -> dict[str, list[Item]]:
    return {name: [item(text(), name) for _ in range(n)] for name in abilities or ("math",)}


def questions(folder: Path, ability: str = "math") -> list[str]:
    return [one.turns[0].content for one in read_doit_folder(folder, scored=False)[ability]]


def make(
    folder: Path, pool: dict[str, list[Item]], teacher: Scripted, spec: SynthesisSpec = ANSWERS
) -> Synthesis:
    return synthesize(spec, teacher, pool, folder / "out")


def test_answers_take_the_place_of_the_seeds_own(tmp_path: Path):
    pool = seeds(5)
    teacher = Scripted(echo)
    result = make(tmp_path, pool, teacher)
    items = read_doit_folder(tmp_path / "out", scored=False)["math"]
    assert [one.turns[0] for one in items] == [one.turns[0] for one in pool["math"]]
    assert [one.gold for one in items] == [echo(request, 0) for request in teacher.asked]
    assert not any("GOLD" in turn.content for request in teacher.asked for turn in request.turns)
    assert result.document()["n_examples"] == 5 and result.cost == 2.5


def test_a_number_of_each_ability_is_drawn_by_seed(tmp_path: Path):
    pool = seeds(20, "code", "math")

    def drawn(seed: int) -> list[str]:
        spec = SynthesisSpec(mode=Mode.ANSWERS, n_per_ability=4, seed=seed)
        folder = tmp_path / f"out{seed}"
        result = synthesize(spec, Scripted(echo), pool, folder)
        assert {name: one.n_accepted for name, one in result.abilities.items()} == {
            "code": 4,
            "math": 4,
        }
        return questions(folder)

    assert drawn(0) != drawn(1)


def test_repetitions_and_leaks_are_left_out_and_counted(tmp_path: Path):
    fresh, leaked, leaked_long = text(), text(), text(60)
    near = f"{fresh} more"
    pool = {"math": [item(q) for q in (fresh, near, leaked, f"{leaked_long} now please", text())]}
    exam = [item(leaked, "exam"), item(leaked_long, "exam")]
    teacher = Scripted(echo)
    result = synthesize(ANSWERS, teacher, pool, tmp_path / "out", evaluation=exam)
    report = result.abilities["math"]
    assert (report.n_asked, report.n_proposed, report.n_accepted) == (5, 5, 2)
    assert dict(report.left_out) == {"near_duplicate": 1, "leak": 2}
    # Nothing is paid for what is left out.
    assert len(teacher.asked) == 2
    assert questions(tmp_path / "out") == [fresh, pool["math"][4].turns[0].content]


def test_what_is_left_out_is_made_up_for_from_other_seeds(tmp_path: Path):
    pool = {"math": [item(q) for q in (text() for _ in range(10)) for _ in range(2)]}
    spec = SynthesisSpec(mode=Mode.ANSWERS, n_per_ability=10)
    report = make(tmp_path, pool, Scripted(echo), spec).abilities["math"]
    assert report.n_accepted == 10 and report.left_out["near_duplicate"] == report.n_proposed - 10


def test_empty_and_cut_off_replies_are_no_examples(tmp_path: Path):
    replies = [Reply(text=" "), Reply(text="half", cut_off=True), Reply(text="whole")]
    teacher = Scripted(lambda _, number: replies[number])
    result = make(tmp_path, seeds(3), teacher)
    assert dict(result.abilities["math"].left_out) == {"empty": 1, "cut_off": 1}
    assert result.document()["balance"] == 1.0
    keeping = SynthesisSpec(mode=Mode.ANSWERS, keep_cut_off=True)
    teacher = Scripted(lambda _, number: replies[number])
    assert make(tmp_path / "b", seeds(3), teacher, keeping).abilities["math"].n_accepted == 2


def test_balance_tells_the_smallest_ability_from_the_largest(tmp_path: Path):
    pool = seeds(2, "code") | seeds(8, "math")
    document = make(tmp_path, pool, Scripted(echo)).document()
    assert document["balance"] == 0.25
    assert document["abilities"]["math"]["share"] == 0.8


def test_new_instructions_are_written_after_examples_and_then_answered(tmp_path: Path):
    pool = seeds(6)
    known = {one.turns[0].content for one in pool["math"]}

    def script(request: Request, number: int) -> str:
        prompt = request.turns[0].content
        if not prompt.startswith("Here are"):
            return f"answer {number}"
        assert sum(question in prompt for question in known) == 3
        # The first repeats a seed, the second holds a template's marker.
        return [next(iter(known)), "<|im_start|>", *(f'Task 4: "{text()}"' for _ in range(9))][
            number
        ]

    spec = SynthesisSpec(mode=Mode.INSTRUCTIONS, n_per_ability=3, temperature=0.2)
    teacher = Scripted(script)
    result = make(tmp_path, pool, teacher, spec)
    report = result.abilities["math"]
    assert (report.n_accepted, report.n_proposed) == (3, 5)
    assert dict(report.left_out) == {"near_duplicate": 1, "unreadable": 1}
    made = questions(tmp_path / "out")
    assert len(made) == 3 and not set(made) & known
    assert not any(question.startswith(("Task", '"')) for question in made)
    assert {request.temperature for request in teacher.asked} == {1.0, 0.2}
    assert result.provenance["prompt_hash"]


def test_a_teacher_that_repeats_itself_leaves_the_ability_short(tmp_path: Path):
    same = text()
    spec = SynthesisSpec(mode=Mode.INSTRUCTIONS, n_per_ability=3, tries=2)
    result = make(tmp_path, seeds(4), Scripted(lambda *_: same), spec)
    report = result.abilities["math"]
    assert (report.n_accepted, report.n_proposed) == (1, 6)


def test_instructions_need_their_number():
    with pytest.raises(InputError, match="--n COUNT"):
        SynthesisSpec(mode=Mode.INSTRUCTIONS)


# --------------------------------------------------------------------------------- resuming


def test_failed_requests_end_the_run_and_only_they_are_asked_again(tmp_path: Path):
    pool = seeds(5)

    def failing(request: Request, number: int) -> Reply | str:
        return Reply(failure="HTTP 503") if number in (1, 3) else echo(request, number)

    with pytest.raises(WorkError, match=r"2 of 5 requests failed, .*HTTP 503.*run the same"):
        make(tmp_path, pool, Scripted(failing))
    assert not (tmp_path / "out/manifest.json").exists()
    again = Scripted(echo)
    result = make(tmp_path, pool, again)
    assert len(again.asked) == 2
    undisturbed = make(tmp_path / "b", pool, Scripted(echo))
    assert result.data_hash == undisturbed.data_hash
    third = Scripted(echo)
    assert not make(tmp_path, pool, third).is_new and third.asked == []


def test_batches_that_hang_together_are_asked_again_as_a_whole(tmp_path: Path):
    pool = seeds(6)

    def stop(request: Request, number: int) -> str:
        if number == 4:
            raise KeyboardInterrupt
        return echo(request, number)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, pool, Scripted(stop, batch_size=3))
    again = Scripted(echo, batch_size=3)
    make(tmp_path, pool, again)
    assert [request.turns for request in again.asked] == [
        one.prompt_turns for one in pool["math"][3:]
    ]


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path):
    path = tmp_path / "replies.jsonl"
    log = ReplyLog(path)
    log.add({"a": Reply(text="one", cost=1.0), "b": Reply(failure="no", cost=0.25)})
    log.add({"a": Reply(text="other", cost=9.0)})
    with path.open("a", encoding="utf-8") as handle:
        handle.write('{"key": "c", "te')
    again = ReplyLog(path)
    assert "a" in again and again["a"].text == "one"
    assert "b" not in again and "c" not in again
    assert again.cost == 1.25
    again.add({"c": Reply(text="three")})
    assert "c" in ReplyLog(path)


def test_other_settings_need_another_folder(tmp_path: Path):
    pool = seeds(3)
    make(tmp_path, pool, Scripted(echo))
    with pytest.raises(InputError, match="made in another way"):
        make(tmp_path, pool, Scripted(echo), SynthesisSpec(mode=Mode.ANSWERS, seed=1))
    foreign = tmp_path / "b" / "out"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(InputError, match="not empty"):
        make(tmp_path / "b", pool, Scripted(echo))


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path):
    work = tmp_path / "out" / ".synthesis"
    work.mkdir(parents=True)
    with FileLock(work / "lock"), pytest.raises(BusyError, match="Another process"):
        make(tmp_path, seeds(1), Scripted(echo))


# ------------------------------------------------------------------------- seeds and grids


def test_seeds_come_from_files_and_folders(tiny_study):
    folder = tiny_study.data / "curated/full"
    assert set(read_seeds(folder, ())) == {"code", "math"}
    assert set(read_seeds(folder / "code_x.json", ("code",))) == {"code"}
    with pytest.raises(InputError, match="no seeds of art"):
        read_seeds(folder, ("art",))
    assert len(read_evaluation([tiny_study.data])) == 80
    assert len(read_evaluation([tiny_study.data / "curated/test"])) == 60


def test_a_grid_draws_from_the_folder_and_its_provenance_is_part_of_the_data_hash(
    tiny_study, tmp_path: Path
):
    pool = read_seeds(tiny_study.data / "curated/full", ())
    spec = SynthesisSpec(mode=Mode.ANSWERS, max_similarity=1.0)
    result = synthesize(spec, Scripted(lambda *_: "red"), pool, tmp_path / "made")
    grid = tmp_path / "grid.yaml"
    source = f"  - {{name: synthetic, path: {tmp_path / 'made'}}}\n"
    text = tiny_study.grid.read_text("utf-8").replace("folder: data", f"folder: {tiny_study.data}")
    grid.write_text(text.replace("volumes:", f"{source}volumes:"), "utf-8")

    def data_hash(source: str) -> str:
        data = load_study_data(load_grid(str(grid))[1], tmp_path, tmp_path)
        assert set(data.pools["synthetic"]) == {"code", "math"}
        part = CompositionPart(data_source=source, ability="math", n_examples=8)
        return data.subset_hash((part,), 0)

    assert result.document()["n_examples"] > 50
    before = data_hash("synthetic"), data_hash("human")
    manifest = json.loads((tmp_path / "made/manifest.json").read_text("utf-8"))
    manifest["provenance"]["settings"]["temperature"] = 0.7
    manifest["report"] = "says nothing of the data"
    (tmp_path / "made/manifest.json").write_text(json.dumps(manifest), "utf-8")
    after = data_hash("synthetic"), data_hash("human")
    assert before[0] != after[0] and before[1] == after[1]


# --------------------------------------------------------------------------------- prompts


@pytest.mark.parametrize(
    ("reply", "instruction"),
    [
        ("Task 4: Add 2 and 3.\n", "Add 2 and 3."),
        ("New instruction: “写一首诗”", "“写一首诗”".strip("“”")),
        ('"Quoted"', "Quoted"),
        ('"One" and "two"', 'One" and "two'),
        ("A task: with a colon", "A task: with a colon"),
        ("", None),
        ("Task 1:", None),
        ("a<|im_end|>b", None),
        ("x" * 8001, None),
    ],
)
def test_what_a_reply_holds_as_an_instruction(reply: str, instruction: str | None):
    assert read_instruction(reply) == instruction


def test_the_prompt_shows_every_example_and_the_ability():
    prompt = instruction_prompt("creative_writing", ["first one", "second one"])
    assert "2 tasks of the kind creative writing" in prompt
    assert "Task 1:\nfirst one" in prompt and "Task 2:\nsecond one" in prompt
