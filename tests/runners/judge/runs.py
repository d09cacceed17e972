"""Runs of judges on a made study: what scripted judges see and say, and what lands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from runners.judge.landed import load_judged_study
from runners.judge.run import judge_study
from tests.runners.judge.scripted import Answer, completion
from warehouse.workspace import Workspace

ROOT = Path(__file__).parents[3]
TAG = re.compile(
    r"<(?P<name>[a-zA-Z-]+) (?P<code>[0-9a-f]{12})>\n(?P<text>.*?)\n</(?P=name) (?P=code)>", re.S
)


def texts(body) -> dict[str, str]:
    """What a judge that minds the tags sees in each of them."""
    return {m["name"]: m["text"] for m in TAG.finditer(body["messages"][-1]["content"])}


def outside(body) -> str:
    """What stands outside the tags."""
    return TAG.sub("", body["messages"][-1]["content"])


def verdict(value) -> Answer:
    key = "rating" if isinstance(value, int) else "verdict"
    return completion(json.dumps({"reason": "because", key: value}), usage=(100, 10))


def by_length(body, n_before: int = 0) -> Answer:
    """A judge that likes words: a rating by their number, or the longer reply."""
    seen = texts(body)
    if "reply" in seen:
        return verdict(min(10, 1 + len(seen["reply"].split()) // 7))
    long_a, long_b = len(seen["reply-A"]), len(seen["reply-B"])
    return verdict("tie" if long_a == long_b else "A" if long_a > long_b else "B")


def run_study(workspace: Workspace, **options):
    study = load_judged_study(workspace, None, "made")
    run = judge_study(workspace, study, **options)
    return run, run.run()


def landed(workspace: Workspace) -> list[dict]:
    files = sorted((workspace.landing / "judge_vote").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def query(workspace: Workspace, sql: str) -> list[tuple]:
    from warehouse.connection import latest_snapshot, open_latest

    with open_latest(latest_snapshot(workspace).path) as conn:
        return conn.execute(sql).fetchall()


def ingest(workspace: Workspace) -> None:
    command = [sys.executable, str(ROOT / "cli.py"), "ingest", "--workspace", str(workspace.root)]
    subprocess.run(command, check=True, capture_output=True)
