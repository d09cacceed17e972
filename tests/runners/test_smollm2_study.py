"""The study with real models: its grids hold the cells that its page promises."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from runners import base_models, plain_data
from runners.base_models import resolve_base_model
from runners.demo_data import questions_digest
from runners.doit_format import MANIFEST_FILE, read_doit_folder
from runners.grid import Cell, GridContext, expand_grid
from runners.grid_spec import BaseModelSpec, load_grid
from runners.plain_abilities import PLAIN_EXAM_WRITERS, PLAIN_WRITERS
from runners.plain_data import N_SYNTHETIC, synthetic_questions, write_plain_data
from runners.plain_teach import store_answers
from runners.sft_data import StudyData, item_document, load_study_data
from runners.template import TEMPLATES, Turn
from warehouse.errors import InputError, MissingDependencyError

FOLDER = Path(__file__).parents[2] / "docs" / "studies" / "smollm2"
STAGES = sorted(path.stem for path in FOLDER.glob("stage*.yaml"))
N_ABILITIES = len(PLAIN_WRITERS)
N_CELLS = {
    "stage0": 1,
    "stage1": 1 + 3 * 3,
    "stage2": 1 + 3 * 3,
    "stage3": 1 + 3 * N_ABILITIES,
    "stage4": 1 + 3 * N_ABILITIES,
    "stage5": 1 + 3 * 3,
    "stage6": 1 + 2 * 3,
    "stage7": 1 + 2 * 3,
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Cell, ...]]:
    """The cells of every stage, for models that need not be at hand."""
    root = tmp_path_factory.mktemp("study")
    answers = {ability: ["made up"] * N_SYNTHETIC for ability in PLAIN_WRITERS}
    stored = {
        "questions_sha256": questions_digest(synthetic_questions()),
        "provenance": {},
        "answers": answers,
    }
    (root / "answers.json.gz").write_bytes(gzip.compress(json.dumps(stored).encode()))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        # The counts are the same whatever the teacher says.
        patch.setattr(plain_data, "ANSWERS_FILE", root / "answers.json.gz")
        for stage in STAGES:
            _, spec = load_grid(str(FOLDER / f"{stage}.yaml"))
            data = load_study_data(spec, FOLDER, root)
            names = [model.name for model in spec.base_models]
            found[stage] = expand_grid(spec, context(data, names))
    return found


def context(data: StudyData, names: list[str]) -> GridContext:
    return GridContext(
        pool_sizes=data.pool_sizes,
        subset_hash=data.subset_hash,
        model_revisions=dict.fromkeys(names, "0"),
        model_sizes=dict.fromkeys(names, 1_000_000),
        evaluation_hash=data.evaluation_hash,
        dtype="fp32",
        task_files_hash=None,
    )


def test_the_stages_have_the_cells_that_the_page_promises(cells):
    assert {stage: len(some) for stage, some in cells.items()} == N_CELLS
    page = (FOLDER / "README.md").read_text("utf-8")
    for stage, n in N_CELLS.items():
        assert f"| `{stage}` | {n} |" in page, stage


def test_the_teacher_is_a_cell_of_stage_1_and_the_base_model_is_run_once(cells):
    ids = {stage: {cell.record.cell_id for cell in some} for stage, some in cells.items()}
    assert ids["stage0"] < ids["stage1"]
    for stage in ("stage2", "stage3", "stage4", "stage5"):
        assert len(ids["stage1"] & ids[stage]) == 1
    assert len(ids["stage6"] & ids["stage7"]) == 1
    assert not ids["stage1"] & ids["stage6"]


def test_the_stages_differ_only_in_what_they_vary():
    varied = {"base_models", "data_sources", "volumes", "designs", "seeds", "keep_checkpoints"}
    fixed = []
    for stage in STAGES:
        document = yaml.safe_load((FOLDER / f"{stage}.yaml").read_text("utf-8"))
        fixed.append({key: value for key, value in document.items() if key not in varied})
    assert all(one == fixed[0] for one in fixed)
    assert set(fixed[0]["evaluation"]["out_of_domain"]) == set(PLAIN_EXAM_WRITERS)


# ------------------------------------------------------------------- what synthesize has made


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder as synthesize writes it: one wrong answer each, and the last question left out."""
    write_plain_data(tmp_path / "data")
    folder = tmp_path / "made"
    folder.mkdir()
    asked = read_doit_folder(tmp_path / "data" / "questions" / "full", scored=True)
    for ability, items in asked.items():
        documents = [item_document(item) for item in items[:-1]]
        documents[0]["messages"][-1]["content"] = "not this"
        lines = [json.dumps(document) + "\n" for document in documents]
        (folder / f"{ability}_synthetic.jsonl").write_text("".join(lines))
    (folder / MANIFEST_FILE).write_text(json.dumps({"provenance": {"teacher": "told"}}))
    return folder


def test_a_teachers_answers_are_stored_and_counted(made: Path, tmp_path: Path, monkeypatch):
    target = tmp_path / "answers.json.gz"
    counts = store_answers(made, target)
    assert counts == dict.fromkeys(PLAIN_WRITERS, (N_SYNTHETIC - 1, 1))
    stored = json.loads(gzip.decompress(target.read_bytes()))
    assert stored["answers"]["sums"][0] == "not this" and stored["answers"]["sums"][-1] is None
    monkeypatch.setattr(plain_data, "ANSWERS_FILE", target)
    answered, provenance = plain_data.teacher_questions()
    assert provenance == {"teacher": "told"}
    assert {len(questions) for questions in answered.values()} == {N_SYNTHETIC - 1}


def test_answers_to_other_questions_are_not_stored(made: Path, tmp_path: Path):
    path = made / "sums_synthetic.jsonl"
    path.write_text(path.read_text().replace("How many", "How very many"))
    with pytest.raises(InputError, match="other questions"):
        store_answers(made, tmp_path / "answers.json.gz")
    assert not (tmp_path / "answers.json.gz").exists()


def test_a_folder_that_is_not_done_is_not_stored(made: Path, tmp_path: Path):
    (made / MANIFEST_FILE).unlink()
    with pytest.raises(InputError, match="run synthesize again"):
        store_answers(made, tmp_path / "answers.json.gz")


# ------------------------------------------------------------------------------------ Gemma 3


def test_gemma_without_its_package_says_what_to_run(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(base_models, "GEMMA3_PACKAGE", "no_such_package")
    with pytest.raises(MissingDependencyError, match="make gemma3"):
        resolve_base_model(BaseModelSpec(name="gemma3-270m"), tmp_path)


def test_gemma_is_joined_and_converted_once(tmp_path: Path, monkeypatch):
    package = tmp_path / "packages" / "joined_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "MODEL_NAME, EXPECTED_SHA256 = 'joined.gguf', 'ab' * 32\n"
        "def assemble(path):\n    path.write_text('weights')\n    return path\n"
    )
    # Only looked for.
    (tmp_path / "packages" / "gguf.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(base_models, "GEMMA3_PACKAGE", "joined_model")
    converted = []

    def convert(gguf: Path, folder: Path) -> None:
        converted.append(gguf.read_text())
        folder.mkdir()
        (folder / "config.json").touch()

    monkeypatch.setattr(base_models, "_convert_gguf", convert)
    spec = BaseModelSpec(name="gemma3-270m")
    assert resolve_base_model(spec, tmp_path / "data", convert=False).revision == "ab" * 6
    assert converted == []
    for _ in range(2):
        model = resolve_base_model(spec, tmp_path / "data")
    assert converted == ["weights"]
    assert [path.name for path in model.folder.parent.iterdir()] == ["gemma3-270m"]


def test_gemmas_template_begins_once_and_stops():
    turns = [Turn(role=role, content=role[0]) for role in ("user", "assistant", "user")]
    assert TEMPLATES["gemma"].prompt(turns) == (
        "<bos><start_of_turn>user\nu<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n"
        "<start_of_turn>user\nu<end_of_turn>\n<start_of_turn>model\n"
    )
    assert TEMPLATES["gemma"].continuation("b") == "b<end_of_turn>"
