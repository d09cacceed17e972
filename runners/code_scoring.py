"""Public tasks whose replies are run: described before training, tried in a sandbox after it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HOME
from lm_eval.api.instance import Instance

from runners.code_sandbox import Limits, require_sandbox, run_sandboxed
from runners.code_tasks import SECONDS_PER_DOCUMENT
from runners.grid_spec import PublicTaskSpec
from runners.public_items import CodeTask, PublicItem, PublicTask, document_id
from runners.score_rows import missing
from warehouse.errors import WorkError

_START_SECONDS = 180
# Less than the time after which a worker that reports nothing is taken for hung.
_MAX_SECONDS = 1500
_REPOSITORY = Path(__file__).resolve().parent.parent


def describe_code_task(spec: PublicTaskSpec, yaml: Path) -> PublicTask:
    """Load a task in a process of its own, since its module may set things up for running code.

    Raises
    ------
    InputError
        If there is no sandbox.
    WorkError
        If the task can't be loaded.
    """
    require_sandbox(spec.task)
    request = {"action": "describe", "yaml": str(yaml), "num_fewshot": spec.num_fewshot}
    done = subprocess.run(
        [sys.executable, "-m", "runners.code_tasks"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=_REPOSITORY,
        check=False,
    )
    if done.returncode != 0:
        raise WorkError((done.stderr.strip().splitlines() or ["no message"])[-1])
    described = json.loads(done.stdout)
    entries: dict[str, dict[str, Any]] = {}
    for entry in described["documents"]:
        entries.setdefault(document_id(spec.ability, entry["document"]), entry)
    return PublicTask(
        name=spec.ability,
        ability=spec.ability,
        output_type="generate_until",
        task=CodeTask(
            yaml=yaml,
            documents=tuple(entries.values()),
            requests=tuple(
                Instance(
                    request_type="generate_until",
                    doc=entry["document"],
                    arguments=(entry["prompt"], entry["generation"]),
                    idx=0,
                    metadata=(spec.ability, place, described["repeats"]),
                )
                for place, entry in enumerate(entries.values())
            ),
            repeats=described["repeats"],
        ),
        items=tuple(
            PublicItem(item_id=item_id, prompt=entry["prompt"], target=entry["target"])
            for item_id, entry in entries.items()
        ),
        higher_is_better=described["higher_is_better"],
    )


def try_replies(
    public: PublicTask, code: CodeTask, replies: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """Run the replies of every document in the sandbox; return what differs between checkpoints.

    Raises
    ------
    WorkError
        If the sandbox gives no answer at all.
    """
    request = {
        "action": "score",
        "yaml": str(code.yaml),
        "documents": code.documents,
        "replies": replies,
        "hf_home": HF_HOME,
    }
    outcome = run_sandboxed(
        "runners.code_tasks",
        request,
        kind=require_sandbox(public.name),
        limits=Limits(
            seconds=min(_MAX_SECONDS, _START_SECONDS + SECONDS_PER_DOCUMENT * len(replies))
        ),
    )
    known = {name for found in outcome["metrics"] for name in found} - {"failed"}
    rows = []
    for item, found, texts in zip(public.items, outcome["metrics"], replies, strict=True):
        for name in sorted(known or public.higher_is_better):
            row = missing(found.get("failed") or f"the task gave no {name} for this item")
            if name in found:
                row |= {"score": found[name], "missing_reason": None}
            row |= {"item": item, "metric": name, "response": texts[0]}
            rows.append(row | {"higher_is_better": public.higher_is_better.get(name, True)})
    return rows
