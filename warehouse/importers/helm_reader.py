"""Reads runs of HELM with HELM's own classes; run as a script by a Python that has HELM.

HELM and growthpace need different versions of pandas and datasets, so they can't share an
environment. This file uses nothing but HELM and the standard library, and prints one JSON line a
run: see `read_run`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def read_run(folder: Path) -> dict[str, Any]:
    """Return what a run folder holds: its settings, and per instance its text and statistics."""
    list_of = importlib.import_module("typing").List
    from_json = importlib.import_module("helm.common.codec").from_json
    run_spec = importlib.import_module("helm.benchmark.run_spec").RunSpec
    stat = importlib.import_module("helm.benchmark.metrics.statistic").Stat
    instance_stats = importlib.import_module("helm.benchmark.metrics.metric").PerInstanceStats
    state = importlib.import_module("helm.benchmark.adaptation.scenario_state").ScenarioState

    spec = from_json((folder / "run_spec.json").read_text("utf-8"), run_spec)
    adapter = spec.adapter_spec
    found: dict[str, Any] = {
        "name": spec.name,
        "model": adapter.model or adapter.model_deployment,
        "method": adapter.method,
        "n_shot": adapter.max_train_instances,
        "environment": {
            "method": adapter.method,
            "model_deployment": adapter.model_deployment,
            "max_train_instances": adapter.max_train_instances,
            "max_eval_instances": adapter.max_eval_instances,
            "num_train_trials": adapter.num_train_trials,
            "temperature": adapter.temperature,
            "scenario": spec.scenario_spec.class_name,
        },
        "instances": {},
        "per_instance": [],
        "stats": [],
    }
    path = folder / "per_instance_stats.json"
    for entry in (
        from_json(path.read_text("utf-8"), list_of[instance_stats]) if path.exists() else ()
    ):
        if entry.perturbation is None:
            values = {
                one.name.name: one.mean for one in entry.stats if one.name.perturbation is None
            }
            found["per_instance"].append({"id": entry.instance_id, "values": values})
    path = folder / "scenario_state.json"
    requests = from_json(path.read_text("utf-8"), state).request_states if path.exists() else ()
    for request in requests:
        instance = request.instance
        if instance.perturbation is None and instance.id not in found["instances"]:
            completions = request.result.completions if request.result else []
            found["instances"][instance.id] = {
                "input": instance.input.text,
                "references": [reference.output.text for reference in instance.references],
                "correct": [one.output.text for one in instance.references if one.is_correct],
                "prompt": request.request.prompt,
                # With one request a reference, a completion is no answer.
                "response": completions[0].text
                if completions and request.reference_index is None
                else None,
            }
    path = folder / "stats.json"
    for one in from_json(path.read_text("utf-8"), list_of[stat]) if path.exists() else ():
        if one.name.perturbation is None and one.name.split == "test" and not one.name.sub_split:
            found["stats"].append({"name": one.name.name, "mean": one.mean, "count": one.count})
    return found


def main() -> None:
    """Print the runs of the folders that stand on standard input, one a line."""
    for line in sys.stdin.read().splitlines():
        try:
            document = read_run(Path(line))
        except ImportError:
            raise
        except Exception as error:  # HELM's decoder names no errors
            document = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
