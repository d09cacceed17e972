"""A folder of results as lm-eval writes them, with the mapping file that makes curves of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

TASKS = {"quiz": (0.25, 0.80), "sums": (0.05, 0.60), "riddles": (0.25, 0.26)}
"""Score at 0 and at very many examples."""

MAPPING = """\
models:
  - model: "org/pond-1b"
    base_model: pond-1b
    n_params: 1000000000
    n_examples: 0
  - regex: 'sft-(?P<data_source>human)-(?P<n_examples>\\d+)-seed(?P<seed>\\d+)'
    base_model: pond-1b
    n_params: 1000000000
"""


def write_lm_eval_runs(
    folder: Path, *, volumes: Sequence[int] = (10, 40, 160, 640), seeds: Sequence[int] = (0, 1)
) -> Path:
    """Write one results file a model; return the mapping file, beside the folder."""
    folder.mkdir(parents=True)
    _write(folder, "org/pond-1b", 0, 0)
    for volume in volumes:
        for seed in seeds:
            _write(folder, f"org/pond-1b-sft-human-{volume}-seed{seed}", volume, seed)
    mapping = folder.with_name("mapping.yaml")
    mapping.write_text(MAPPING, "utf-8")
    return mapping


def _write(folder: Path, model: str, volume: int, seed: int) -> None:
    """Write the results of one model: scores and standard errors over 400 items."""
    results = {}
    for index, (task, (first, last)) in enumerate(TASKS.items()):
        score = first + (last - first) * volume / (volume + 60) + 0.01 * ((seed + index) % 2)
        score = round(score * 400) / 400
        results[task] = {
            "alias": task,
            "acc,none": score,
            "acc_stderr,none": (score * (1 - score) / 399) ** 0.5,
        }
    document = {
        "results": results,
        "n-shot": dict.fromkeys(TASKS, 0),
        "n-samples": {task: {"original": 400, "effective": 400} for task in TASKS},
        "configs": {task: {"task": task, "output_type": "multiple_choice"} for task in TASKS},
        "higher_is_better": {task: {"acc": True} for task in TASKS},
        "config": {"model": "hf", "model_args": f"pretrained={model}"},
        "date": 1_700_000_000.0 + volume + seed,
    }
    name = f"results_{model.replace('/', '__')}.json"
    (folder / name).write_text(json.dumps(document), "utf-8")
