"""A study with landed replies, as a worker leaves it: one base model, three volumes, two seeds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from warehouse.landing import write_document, write_table
from warehouse.records import (
    GENERATION,
    ITEM,
    ITEM_SCORE,
    CellRecord,
    CompositionPart,
    Design,
    PlanRecord,
    RecordKind,
    RunRecord,
    RunStatus,
)
from warehouse.workspace import Workspace, open_workspace

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
VOLUMES = (4, 16, 64)
ABILITY = "creative_writing"


def make_cells(seeds: tuple[int, ...] = (0, 1)) -> tuple[CellRecord, ...]:
    shared = {
        "base_model": "tiny",
        "base_model_revision": "r1",
        "n_params": 1000,
        "template": "doit",
        "scoring": {},
    }
    base = CellRecord(
        cell_id="base-1", label="tiny base", data_source=None, design=Design.BASE,
        composition=(), composition_id="none", volume_setting=0, seed=None,
        training={"dtype": "fp32"}, **shared,
    )  # fmt: skip
    tuned = [
        CellRecord(
            cell_id=f"c{volume}-{seed}", label=f"tiny human {volume}/ability seed {seed}",
            data_source="human", design=Design.ALL_ABILITIES,
            composition=(
                CompositionPart(data_source="human", ability=ABILITY, n_examples=volume),
            ),
            composition_id=f"v{volume}", volume_setting=volume, volume_per="ability", seed=seed,
            training={"dtype": "fp32"}, **shared,
        )
        for volume in VOLUMES
        for seed in seeds
    ]  # fmt: skip
    return (base, *tuned)


def judge_block(url: str, **changed) -> dict:
    judge = {"name": "umpire", "model": "big", "endpoint": url, "concurrency": 4}
    judge |= changed.pop("judge", {})
    block = {"judges": [judge], "abilities": [ABILITY], "max_new_tokens": 16}
    return block | changed


def grid_document(judge: dict | None) -> dict:
    document = {
        "study": "made",
        "base_models": [{"name": "tiny"}],
        "dataset": {"generator": "demo"},
        "data_sources": [{"name": "human", "path": "curated/full"}],
        "volumes": {"values": [0, *VOLUMES]},
        "training": {"epochs": 1},
    }
    return document | ({"judge": judge} if judge else {})


def write_grid(folder: Path, judge: dict | None) -> Path:
    path = folder / "made.yaml"
    # JSON is YAML.
    path.write_text(json.dumps(grid_document(judge)), "utf-8")
    return path


def write_words(cell: CellRecord, place: int) -> str:
    """Return as many words as there were examples; seeds differ, items don't."""
    word = {None: "word", 0: "term", 1: "noun"}[cell.seed]
    return " ".join([word] * (1 + (cell.volume_setting or 0)))


def land_replies(workspace: Workspace, cell_id: str, replies: list[str]) -> None:
    rows = [
        {
            "cell_id": cell_id, "item_id": f"item{place:02d}", "ability": ABILITY,
            "prompt_hash": f"p{place}", "max_new_tokens": 16, "reply": reply, "n_tokens": 5,
            "finish_reason": "stop", "missing_reason": None,
        }
        for place, reply in enumerate(replies)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=GENERATION)
    write_table(workspace, RecordKind.GENERATION, f"{cell_id}-x", table)


def make_workspace(root: Path, judge: dict | None, *, n_items: int = 12, reply=None) -> Workspace:
    """Land a plan, its done runs, items and replies; longer training writes more words."""
    workspace = open_workspace(root, create=True)
    cells = make_cells()
    plan = PlanRecord(
        study="made", grid="made", created_at=MOMENT, grid_settings=grid_document(judge),
        cells=cells,
    )  # fmt: skip
    write_document(workspace, RecordKind.PLAN, "made-1", plan)
    items = [
        {
            "item_id": f"item{place:02d}", "task": ABILITY, "ability": ABILITY,
            "prompt": json.dumps([{"role": "user", "content": f"Write about {place}."}]),
            "target": f"gold {place}", "choices": None,
        }
        for place in range(n_items)
    ]  # fmt: skip
    write_table(workspace, RecordKind.ITEM, "items", pa.Table.from_pylist(items, schema=ITEM))
    for cell in cells:
        say = reply or write_words
        land_replies(workspace, cell.cell_id, [say(cell, place) for place in range(n_items)])
        scores = [
            {
                "cell_id": cell.cell_id, "task": ABILITY, "ability": ABILITY,
                "item_id": item["item_id"], "prompt_hash": "p", "target_hash": "t",
                "metric": "accuracy", "higher_is_better": True, "scoring_rule": "open_ended",
                "score": float(place % 2), "missing_reason": None, "parsed": None,
                "response": None, "choice_log_likelihoods": None, "choice_tokens": None,
                "chance_level": 1 / 3, "chance_level_uniform": 1 / 3,
            }
            for place, item in enumerate(items)
        ]  # fmt: skip
        table = pa.Table.from_pylist(scores, schema=ITEM_SCORE)
        write_table(workspace, RecordKind.ITEM_SCORE, cell.cell_id, table)
        run = RunRecord(
            cell_id=cell.cell_id, attempt=1, status=RunStatus.DONE,
            started_at=MOMENT, finished_at=MOMENT, n_optimizer_steps=1, n_tokens=1,
        )  # fmt: skip
        write_document(workspace, RecordKind.RUN, f"{cell.cell_id}-1", run)
    return workspace
