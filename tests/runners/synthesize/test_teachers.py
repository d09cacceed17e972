"""A real checkpoint as teacher: the ladder's smallest model."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from runners.base_models import resolve_base_model
from runners.demo_data import TEACHER_ANSWERS, synthetic_questions
from runners.grid_spec import BaseModelSpec
from runners.synthesize.run import synthesize
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import LocalTeacher, Reply, Request
from runners.template import TEMPLATE_FILE, TEMPLATES, Turn
from tests.runners.synthesize.test_making import item
from warehouse.errors import InputError


def load(name: str, **options: object) -> LocalTeacher:
    found = resolve_base_model(BaseModelSpec(name="teacher", path=name), Path())
    return LocalTeacher(found, **options)


@pytest.fixture(scope="module")
def teacher() -> LocalTeacher:
    return load("ladder-s", batch_size=4)


def request(question: str, **changes: object) -> Request:
    turns = (Turn(role="user", content=question),)
    one = Request(turns=turns, temperature=0.0, max_new_tokens=8, seed=0)
    return replace(one, **changes)


def replies(teacher: LocalTeacher, *requests: Request) -> list[Reply]:
    found = dict(teacher.ask(requests))
    return [found[place] for place in range(len(requests))]


QUESTIONS = ["what does a show ?", "name the coat of the fondor", "elin has 8 stamps . how many ?"]


def test_padding_does_not_change_what_is_written(teacher: LocalTeacher):
    together = replies(teacher, *map(request, QUESTIONS))
    alone = [replies(teacher, request(question))[0] for question in QUESTIONS]
    assert together == alone
    assert all(reply.text and "<" not in reply.text for reply in together)
    assert all(0 < (reply.n_tokens or 0) <= 8 for reply in together)


def test_draws_follow_the_seeds(teacher: LocalTeacher):
    def draw(seed: int) -> list[str]:
        drawn = [request(question, temperature=1.5, seed=seed) for question in QUESTIONS]
        return [reply.text for reply in replies(teacher, *drawn)]

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_teacher_is_one_sentence(tmp_path: Path, damaged: str):
    whole = resolve_base_model(BaseModelSpec(name="teacher", path="ladder-s"), Path())
    for source in whole.folder.iterdir():
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(content[:500] if source.name == damaged else content)
    with pytest.raises(InputError, match=r"does not load .*; check its files"):
        replies(LocalTeacher(replace(whole, folder=tmp_path)), request(QUESTIONS[0]))


def test_the_likeliest_of_listed_words_is_chosen(teacher: LocalTeacher):
    options = ("algae", "seeds", "scales", "slime")
    asked = request(QUESTIONS[1], options=options)
    written, chosen = replies(teacher, request(QUESTIONS[0]), asked)
    assert chosen.text in options and chosen.n_tokens == 1 and not chosen.cut_off
    assert written == replies(teacher, request(QUESTIONS[0]))[0]
    # Of options of several words none can be told by one token, so it writes.
    several = request(QUESTIONS[1], options=("the red one", "the blue one"))
    assert replies(teacher, several)[0].text not in several.options


def test_a_reply_at_the_limit_is_cut_off(teacher: LocalTeacher):
    (reply,) = replies(teacher, request(QUESTIONS[0], max_new_tokens=1))
    assert reply.n_tokens == 1 and reply.cut_off


def test_templates_are_found_or_asked_for(tiny_model_folder: Path, tmp_path: Path):
    assert load("ladder-s").identity["template"] == "doit"
    assert load("ladder-s", template="chatml").identity["template"] == "chatml"
    with pytest.raises(InputError, match="--template 'alpaca' is unknown"):
        load("ladder-s", template="alpaca")


def test_a_checkpoints_own_template_comes_first(tmp_path: Path):
    import shutil

    from runners.base_models import LADDER

    folder = Path(shutil.copytree(LADDER / "ladder-s", tmp_path / "checkpoint"))
    saved = replace(TEMPLATES["doit"], name="own", user_prefix="<user> please ")
    (folder / TEMPLATE_FILE).write_text(saved.to_json(), "utf-8")
    assert load(str(folder)).identity["template"] == "own"


@pytest.mark.parametrize("mode", list(Mode))
def test_both_modes_run_with_a_real_checkpoint_and_repeat_themselves(
    teacher: LocalTeacher, mode: Mode, tmp_path: Path
):
    spec = SynthesisSpec(
        mode=mode, n_per_ability=3, max_new_tokens=8, keep_cut_off=True, max_similarity=1.0
    )
    pool = {"chat": [item(question, "chat") for question in QUESTIONS]}
    first, second = (synthesize(spec, teacher, pool, tmp_path / name) for name in "ab")
    assert first.data_hash == second.data_hash
    assert first.document()["abilities"] == second.document()["abilities"]
    assert first.provenance["teacher"]["revision"]


@pytest.mark.slow
def test_the_quickstarts_answers_are_what_synthesize_makes(tmp_path: Path):
    """The teacher is fine-tuned anew and answers ten questions of each ability."""
    from runners.ladder.teach import let_teacher_answer, save_teacher, write_questions

    questions = {ability: some[:10] for ability, some in synthetic_questions().items()}
    save_teacher(tmp_path / "teacher")
    write_questions(tmp_path / "questions", questions)
    let_teacher_answer(tmp_path / "teacher", tmp_path / "questions", tmp_path / "data")
    stored = json.loads(gzip.decompress(TEACHER_ANSWERS.read_bytes()))
    assert stored["provenance"]["made_by"] == "synthesize"
    for ability in questions:
        lines = (tmp_path / f"data/{ability}_synthetic.jsonl").read_text("utf-8").splitlines()
        answers = [json.loads(line)["messages"][-1]["content"] for line in lines]
        assert answers == stored["answers"][ability][:10]
