"""The paper's grids hold the paper's cells: counts and examples, without its data."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from runners.grid import Cell
from runners.grid_spec import parse_grid
from runners.hardware import Hardware
from runners.plan import make_plan
from runners.sft_data import load_study_data
from warehouse.errors import InputError
from warehouse.records import CompositionPart, Design
from warehouse.workspace import Workspace

SIZES = {"7b": 7e9, "13b": 13e9, "33b": 33e9}
ABILITIES = (
    "biology chinese code creative_writing ethics history math reasoning role_play understanding"
).split()
# As the paper's data preparation caps them (see docs/paper.md).
RECONSTRUCT = {
    **dict.fromkeys(ABILITIES, 1305),
    **{"chinese": 1306, "biology": 1041, "creative_writing": 1000, "ethics": 64, "role_play": 64},
}
CAPPED = {"creative_writing": 1000, "ethics": 64, "role_play": 64}


@pytest.fixture(params=SIZES, ids=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def cells(size: str, tmp_path: Path) -> tuple[Cell, ...]:
    plan = make_plan(
        f"paper-{size}",
        Workspace(root=tmp_path / "w"),
        Hardware(cores=(0,), n_gpus=0),
        tmp_path,
        convert=False,
    )
    return plan.cells


def by_source(cell: Cell) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in cell.record.composition:
        counts[part.data_source] += part.n_examples
    return counts


def test_a_grid_has_a_base_and_all_of_the_papers_data_types(cells, size):
    assert len(cells) == 18
    designs = Counter(cell.record.design for cell in cells)
    assert designs == {Design.BASE: 1, Design.ALL_ABILITIES: 13, Design.MIXTURE: 4}
    curated = [
        c for c in cells if c.record.design is Design.ALL_ABILITIES and "human" in by_source(c)
    ]
    assert [c.n_examples for c in curated] == [10, 40, 160, 640, 2560, 10000]
    for cell in curated:
        parts = {part.ability: part.n_examples for part in cell.record.composition}
        assert parts == dict.fromkeys(ABILITIES, cell.n_examples // 10)
    synthetic = [c for c in cells if set(by_source(c)) == {"synthetic"}]
    assert [c.n_examples for c in synthetic] == [10, 40, 160, 640, 2560, 10000, 40960]
    assert {p.ability for c in synthetic for p in c.record.composition} == {"unlabelled"}


def test_mixtures_have_the_papers_caps(cells):
    mixtures = {c.record.design_target: c for c in cells if c.record.design is Design.MIXTURE}
    assert list(mixtures) == ["reconstruct", "maximum", "mix-2560", "mix-40960"]
    reconstruct = {p.ability: p.n_examples for p in mixtures["reconstruct"].record.composition}
    assert reconstruct == RECONSTRUCT
    assert mixtures["reconstruct"].n_examples == 10_000
    maximum = {p.ability: p.n_examples for p in mixtures["maximum"].record.composition}
    assert {ability: maximum[ability] for ability in CAPPED} == CAPPED
    for name, n in (("mix-2560", 2560), ("mix-40960", 40960)):
        assert by_source(mixtures[name]) == {"human": sum(maximum.values()), "synthetic": n}
        human = {
            p.ability: p.n_examples
            for p in mixtures[name].record.composition
            if p.data_source == "human"
        }
        assert human == maximum
    # More than 40,000 curated examples, of which the three caps leave some out.
    assert 39_000 < sum(maximum.values()) < 41_489


def test_training_is_the_papers(cells, size):
    for cell in cells:
        assert cell.record.n_params == pytest.approx(SIZES[size], rel=0.07)
        training = cell.training
        if training is None:
            continue
        assert (training.learning_rate, training.final_learning_rate) == (1e-5, 1e-6)
        assert (training.schedule, training.betas) == ("linear", (0.9, 0.95))
        assert (training.weight_decay, training.max_length) == (0.1, 2048)
        assert (training.epochs, training.batch_size, training.ranks) == (15, 64, 8)
        assert training.checkpoint_rule == "best_validation"
        assert cell.n_optimizer_steps == 15 * -(-cell.n_examples // 64)
    stages = {c.training.zero_stage for c in cells if c.training}
    assert stages == ({3} if size == "33b" else {2})


def test_a_real_run_asks_for_the_model(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"chinese-llama-plus-7b.*give a local folder"):
        make_plan(
            "paper-7b",
            Workspace(root=tmp_path / "w"),
            Hardware(cores=(0,), n_gpus=0),
            tmp_path,
        )


def test_the_rehearsal_has_the_same_designs_at_small_volumes(tmp_path: Path):
    plan = make_plan(
        "paper-small",
        Workspace(root=tmp_path / "w"),
        Hardware(cores=(0,), n_gpus=0),
        tmp_path,
        convert=False,
    )
    sizes = {(c.record.design, c.record.data_source): [] for c in plan.cells}
    for cell in plan.cells:
        sizes[cell.record.design, cell.record.data_source].append(cell.n_examples)
    assert sizes == {
        (Design.BASE, None): [0],
        (Design.ALL_ABILITIES, "human"): [10, 40, 160],
        (Design.ALL_ABILITIES, "synthetic"): [10, 40, 160, 640],
        (Design.MIXTURE, "human"): [640],
        (Design.MIXTURE, "mixed"): [800],
    }
    synthetic = [p for c in plan.cells for p in c.record.composition if p.data_source != "human"]
    assert {part.ability for part in synthetic} == {"unlabelled"}


def test_each_file_of_an_unlabelled_pool_gives_the_same_share(tiny_study):
    folder = tiny_study.data / "pool"
    folder.mkdir(exist_ok=True)
    rng = random.Random(0)
    for name, n in (("a", 30), ("b", 6), ("c", 30)):
        lines = []
        for i in rng.sample(range(1000), n):
            turns = [("user", f"{name} {i}"), ("assistant", "x")]
            messages = [{"role": role, "content": content} for role, content in turns]
            lines.append(json.dumps({"messages": messages}) + "\n")
        (folder / f"{name}.json").write_text("".join(lines), "utf-8")
    document = {
        "study": "s",
        "base_models": [{"name": "m"}],
        "dataset": {"folder": str(tiny_study.data)},
        "data_sources": [
            {"name": "pool", "path": "pool", "labelled": False, "from_each_file": True}
        ],
        "volumes": {"values": [12], "per": "total"},
        "training": {"epochs": 1},
    }
    data = load_study_data(parse_grid(document, "test"), Path(), Path())
    assert data.pool_sizes == {"pool": {"unlabelled": 66}}

    def draw(n: int) -> list[str]:
        part = CompositionPart(data_source="pool", ability="unlabelled", n_examples=n)
        return [item.turns[0].content for item in data.subset([part], 0)]

    assert Counter(text[0] for text in draw(12)) == {"a": 4, "b": 4, "c": 4}
    # A file that has no more leaves its share to the others.
    assert Counter(text[0] for text in draw(26)) == {"a": 10, "b": 6, "c": 10}
    assert draw(26)[:12] == draw(12)
    document["data_sources"][0] |= {"labelled": True}
    with pytest.raises(InputError, match="from_each_file is for pools with labelled: false"):
        parse_grid(document, "test")
