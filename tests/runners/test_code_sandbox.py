"""The sandbox holds, and code that models write is tried in it alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runners import code_sandbox
from runners.code_sandbox import Limits, find_sandbox, is_tight, require_sandbox, run_sandboxed
from runners.code_scoring import try_replies
from runners.doit_format import Item, ScoringRule
from runners.grid_spec import PublicTaskSpec
from runners.public_tasks import load_public_tasks
from runners.score import Scorer
from runners.template import TEMPLATES, Turn
from warehouse.errors import InputError, WorkError

TOOLS = {"bubblewrap": "bwrap", "unshare": "unshare"}

UTILS = '''
import json, pathlib


def passed(references, predictions):
    """Run a prediction with its tests, as code benchmarks do."""
    scope = {}
    try:
        exec(predictions[0][0] + "\\n" + references[0], scope)
    except Exception:
        return {"pass@1": 0.0}
    return {"pass@1": 1.0}


def build(resps, docs):
    return [[doc["prompt"] + reply for reply in replies] for replies, doc in zip(resps, docs)]
'''
YAML = """
task: adders
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {folder}/cache}}
unsafe_code: true
output_type: generate_until
test_split: test
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{test}}}}"
generation_kwargs: {{until: ["\\ndef"], max_gen_toks: 8, do_sample: false}}
metric_list:
  - {{metric: !function utils.passed, aggregation: mean, higher_is_better: true}}
filter_list:
  - {{name: create_test, filter: [{{function: custom, filter_fn: !function utils.build}}]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [
        {"prompt": "def add(a, b):\n", "test": f"assert add({i}, 1) == {i + 1}"} for i in range(6)
    ]
    data = tmp_path / "adders.jsonl"
    data.write_text("".join(json.dumps(d) + "\n" for d in documents), "utf-8")
    (tmp_path / "utils.py").write_text(UTILS, "utf-8")
    (tmp_path / "adders.yaml").write_text(YAML.format(data=data, folder=tmp_path), "utf-8")
    return tmp_path


@pytest.fixture(params=TOOLS, ids=list(TOOLS))
def kind(request: pytest.FixtureRequest) -> str:
    if shutil.which(TOOLS[request.param]) is None or not is_tight(request.param):
        pytest.skip(f"{request.param} does not work here")
    return request.param


def inside(kind: str, program: str, **limits: int):
    """Run a line of Python inside and return what it printed as JSON."""
    import subprocess
    import sys

    command = code_sandbox._command(kind, [sys.executable, "-c", program], Limits(**limits))
    done = subprocess.run(
        command, capture_output=True, env=code_sandbox._environment(), timeout=60, check=False
    )
    return done


def test_nothing_inside_reaches_out(kind: str, tmp_path: Path):
    secret = tmp_path / "kept.txt"
    secret.write_text("before", "utf-8")
    program = f"""
import json, os, pathlib, socket
def refused(action):
    try:
        action()
    except OSError as error:
        return True
    return False
print(json.dumps([
    refused(lambda: socket.create_connection(("127.0.0.1", 22), timeout=2)),
    refused(lambda: pathlib.Path({str(secret)!r}).write_text("after")),
    refused(lambda: pathlib.Path({str(secret)!r}).unlink()),
    refused(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
    refused(lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY)),
    refused(lambda: os.open("/proc/self/oom_score_adj", os.O_WRONLY)),
    refused(lambda: os.kill({__import__("os").getpid()}, 0)),
    os.environ.get("HF_TOKEN") is None,
    len([name for name in os.listdir("/proc") if name.isdigit()]) < 10,
]))
"""
    done = inside(kind, program)
    assert json.loads(done.stdout) == [True] * 9, done.stderr
    assert secret.read_text("utf-8") == "before"


def test_memory_time_and_files_are_bounded(kind: str):
    done = inside(kind, "x = bytearray(1 << 30)", memory_bytes=512 << 20)
    assert b"MemoryError" in done.stderr
    done = inside(kind, "open('f', 'wb').write(bytes(9 << 20))", scratch_bytes=8 << 20)
    assert done.returncode != 0
    done = inside(kind, "while True: pass", seconds=1)
    assert done.returncode != 0


def test_a_run_that_hangs_or_fails_is_one_sentence(kind: str):
    with pytest.raises(WorkError, match="failed in the sandbox"):
        run_sandboxed("runners.no_such_module", {}, kind=kind)
    with pytest.raises(WorkError, match="more than 1 s"):
        run_sandboxed("http.server", {}, kind=kind, limits=Limits(seconds=1))


def test_code_tasks_are_refused_where_no_sandbox_works(folder: Path, monkeypatch):
    monkeypatch.setattr(code_sandbox, "is_tight", lambda kind: False)
    find_sandbox.cache_clear()
    try:
        with pytest.raises(InputError, match=r"adders.*no sandbox works here.*bubblewrap"):
            load_public_tasks((PublicTaskSpec(task="adders"),), task_folder=folder)
    finally:
        monkeypatch.undo()
        find_sandbox.cache_clear()


@pytest.mark.slow
def test_each_reply_is_tried_alone(kind: str, folder: Path, monkeypatch):
    monkeypatch.setattr("runners.code_scoring.require_sandbox", lambda task: kind)
    (public,) = load_public_tasks((PublicTaskSpec(task="adders"),), task_folder=folder)
    assert public.items[0].prompt == "def add(a, b):\n"
    replies = [
        ["    return a + b"],
        ["    return a - b"],
        # Dies, hangs, lies on standard output, asks for too much.
        ["    import os; os._exit(3)"],
        ["    while True: pass"],
        ["    import os; os.write(1, b'{\"pass@1\": 1.0}'); os._exit(0)"],
        ["    return len(bytearray(8 << 30))"],
    ]
    rows = try_replies(public, public.task, replies)
    assert [row["item"].item_id for row in rows] == [item.item_id for item in public.items]
    assert [row["score"] for row in rows] == [1.0, 0.0, None, None, None, 0.0]
    assert {row["metric"] for row in rows} == {"pass@1"}
    assert "ended without a result" in rows[2]["missing_reason"]
    assert "no result after" in rows[3]["missing_reason"]
    assert [row["response"] for row in rows] == [reply for (reply,) in replies]


@pytest.mark.slow
def test_generations_are_kept_before_they_are_tried(tiny_model_folder, folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    torch.manual_seed(0)
    template = TEMPLATES["doit"]
    template.prepare(tokenizer, model)
    turns = (Turn(role="user", content="w1"), Turn(role="assistant", content="w2"))
    own = {"x": [Item(turns=turns, ability="x", scoring_rule=ScoringRule.CLOZE)]}
    public = load_public_tasks((PublicTaskSpec(task="adders"),), task_folder=folder)
    scorer = Scorer(own, template=template, tokenizer=tokenizer, public=public)
    kept = tmp_path / "kept"
    with pytest.MonkeyPatch.context() as patch:

        def fail(*args: object) -> None:
            raise WorkError("the sandbox is gone")

        patch.setattr("runners.score.try_replies", fail)
        rows = scorer.score(model.eval(), tokenizer, cell_id="c", generations=kept).to_pylist()
    failed = [row for row in rows if row["task"] == "adders_0shot"]
    assert {row["missing_reason"] for row in failed} == {"WorkError: the sandbox is gone"}
    replies = json.loads((kept / "adders_0shot.json").read_text("utf-8"))
    assert len(replies) == 6
    # What was kept is tried; nothing is generated again.
    (kept / "adders_0shot.json").write_text(json.dumps([["    return a + b"]] * 6), "utf-8")
    rows = scorer.score(model, tokenizer, cell_id="c", generations=kept).to_pylist()
    tried = [row for row in rows if row["task"] == "adders_0shot"]
    assert [row["score"] for row in tried] == [1.0] * 6
    assert {row["metric"] for row in tried} == {"pass@1"}


def test_there_is_a_sandbox_on_this_machine_or_none_is_claimed():
    kind = find_sandbox()
    if kind is None:
        with pytest.raises(InputError, match="no sandbox"):
            require_sandbox("x")
    else:
        assert require_sandbox("x") == kind
