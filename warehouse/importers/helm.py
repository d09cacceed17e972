"""Imports runs of HELM, read by HELM's own classes in the environment that has it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.errors import InputError, MissingDependencyError, WorkError
from warehouse.importers import helm_reader
from warehouse.importers.contract import Imported, RejectedImportError, printable
from warehouse.importers.lm_eval_files import Findings, LocatedFile
from warehouse.importers.lm_eval_results import is_lower_better
from warehouse.importers.lm_eval_tables import Item, Tables, describe_import
from warehouse.importers.mapping import Mapping, as_name
from warehouse.records import CellRecord, RunRecord, RunStatus

IMPORTER = "helm"

_SPEC = "run_spec.json"
_FILES = (_SPEC, "per_instance_stats.json", "scenario_state.json", "stats.json")
_MODEL_PART = re.compile(r"(^|[,:])model(_deployment)?=[^,]*")
# Counts, times and probabilities that HELM keeps beside its scores.
_BOOKKEEPING = re.compile(
    r"^(num_|inference_|training_|finish_reason|prompt_|batch_size|max_prob|logprob|predicted_index)"
    r"|_tokens$|runtime|co2|energy"
)
_INSTALL = (
    "HELM needs an environment of its own (it can't share pandas with growthpace): run "
    "python3 -m venv helm-env && helm-env/bin/pip install crfm-helm, then pass "
    "--helm-python helm-env/bin/python."
)


@dataclass(frozen=True, kw_only=True)
class _HelmRun:
    """A run as HELM's classes read it."""

    file: LocatedFile
    content: dict[str, Any]

    @property
    def task(self) -> str:
        """The run's name without its model, with shots where there are any."""
        name = _MODEL_PART.sub("", self.content["name"]).strip(":,")
        return f"{name}:{self.content['n_shot']}-shot" if self.content["n_shot"] else name

    @property
    def ability(self) -> str:
        """The scenario, with shots where there are any."""
        name = self.content["name"].partition(":")[0]
        return as_name(f"{name}:{self.content['n_shot']}-shot" if self.content["n_shot"] else name)


def read_helm(
    paths: Sequence[Path], *, study: str, mapping: Mapping, python: Path | None = None
) -> Imported:
    """Read and validate runs of HELM.

    Parameters
    ----------
    python : Path, optional
        Python of the environment that has HELM; by default the one that runs.

    Raises
    ------
    MissingDependencyError
        If that Python has no HELM.
    InputError
        If a path does not exist, holds no run, or the mapping does not fit.
    RejectedImportError
        If a run can't be read or holds a score that is not finite.
    """
    findings = Findings()
    folders = list(_find_runs(paths))
    if not folders:
        raise InputError(
            f"{', '.join(map(str, paths))}: no run of HELM; name a folder that holds {_SPEC}, or "
            "one above it."
        )
    tables = Tables()
    cells: dict[str, CellRecord] = {}
    runs: dict[str, list[_HelmRun]] = defaultdict(list)
    taken: dict[tuple[str, str], str] = {}
    for run in _read(folders, python, findings):
        n_shot = run.content["n_shot"]
        rule = mapping.task_rule(run.task.removesuffix(f":{n_shot}-shot"), n_shot)
        if rule is not None and rule.skip:
            findings.ignore(run.file.name, run.task, "left out by the mapping file")
            continue
        cell = mapping.place(
            study=study, model=run.content["model"], file=run.file.name, n_params=None
        )
        first = taken.setdefault((cell.cell_id, run.task), run.file.name)
        if first != run.file.name:
            findings.ignore(
                run.file.name, run.task, f"another run of the same task counts: {first}"
            )
            continue
        cells[cell.cell_id] = cell
        runs[cell.cell_id].append(run)
        ability = (rule and rule.ability) or run.ability
        _add_run(run, cell, ability, rule.chance_level if rule else None, mapping, findings, tables)
    if findings.rejected:
        raise RejectedImportError(findings.rejected, len(findings.rejected))
    return describe_import(
        IMPORTER,
        study,
        findings=findings,
        tables=tables,
        cells=cells,
        runs=[_run(cell_id, found) for cell_id, found in runs.items()],
        mapping=mapping,
    )


def _find_runs(paths: Sequence[Path]) -> Iterator[LocatedFile]:
    """Yield the settings file of each run in name order."""
    for root in paths:
        if not root.exists():
            raise InputError(f"{root} does not exist; name run folders of HELM.")
        for path in sorted(root.rglob(_SPEC)) if root.is_dir() else ():
            name = f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
            yield LocatedFile(path=path, name=name)


def _read(
    files: Sequence[LocatedFile], python: Path | None, findings: Findings
) -> Iterator[_HelmRun]:
    """Have HELM read the runs; what it can't read is rejected."""
    if python is None and importlib.util.find_spec("helm") is None:
        raise MissingDependencyError(_INSTALL)
    if python is not None and not python.exists():
        raise InputError(
            f"--helm-python {python} does not exist; name an environment's bin/python."
        )
    folders = [str(file.path.parent.absolute()) for file in files]
    if any("\n" in folder for folder in folders):
        raise InputError("A run folder has a line break in its name; rename it.")
    # Isolated (-I): neither this environment's modules nor the current folder's get in.
    found = subprocess.run(
        [str(python or sys.executable), "-I", helm_reader.__file__],
        input="\n".join(folders),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if found.returncode:
        last = (found.stderr.strip().splitlines() or ["no message"])[-1]
        if "ModuleNotFoundError" in last:
            raise MissingDependencyError(f"{printable(last)}. {_INSTALL}")
        raise WorkError(f"HELM's reader failed: {printable(last)}")
    for file, line in zip(files, found.stdout.splitlines(), strict=True):
        for name in _FILES:
            path = file.path.with_name(name)
            if path.exists():
                part = LocatedFile(path=path, name=file.name.removesuffix(_SPEC) + name)
                findings.add_file(part, path.read_bytes())
        content = json.loads(line)
        if "error" in content:
            findings.reject(
                file.name, None, content["error"], "HELM can't read the run; leave it out."
            )
        else:
            yield _HelmRun(file=file, content=content)


def _add_run(
    run: _HelmRun,
    cell: CellRecord,
    ability: str,
    chance_level: float | None,
    mapping: Mapping,
    findings: Findings,
    tables: Tables,
) -> None:
    """Add the items of a run, or its scores where it has no instances."""
    constants = {"cell_id": cell.cell_id, "task": run.task, "ability": ability}
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in run.content["per_instance"]:
        for metric, value in entry["values"].items():
            if not _BOOKKEEPING.search(metric) and value is not None:
                values[metric][entry["id"]].append(value)
    for metric, by_id in values.items():
        # Trials with other examples in the prompt are repetitions of one item.
        scores = [math.fsum(by_id[key]) / len(by_id[key]) for key in by_id]
        if not all(map(math.isfinite, scores)):
            findings.reject(
                run.file.name, None, metric, "a score is not finite; leave the run out."
            )
            continue
        items = [_item(run.content["instances"].get(key)) for key in by_id]
        texts = {
            _digest([run.task, key, item.prompt]): item
            for key, item in zip(by_id, items, strict=True)
        }
        guess = [_chance(run, metric, item) for item in items]
        if chance_level is not None:
            guess = [chance_level] * len(items)
        replies = [run.content["instances"].get(key, {}) for key in by_id]
        n_rows = tables.add_item_scores(
            constants
            | {
                "metric": as_name(metric),
                "higher_is_better": _higher_is_better(metric, mapping),
                "scoring_rule": as_name(f"helm:{run.content['method']}"),
            },
            item_id=list(texts),
            prompt_hash=[_digest(reply.get("prompt", "")) for reply in replies],
            target_hash=[_digest(item.target) for item in items],
            score=scores,
            response=[reply.get("response") for reply in replies],
            chance_level=guess,
            chance_level_uniform=guess,
        )
        tables.add_items(run.task, ability, list(texts), texts)
        findings.count_rows(run.file.name.removesuffix(_SPEC) + _FILES[1], n_rows)
    for stat in run.content["stats"]:
        metric, value = stat["name"], stat["mean"]
        if metric in values or _BOOKKEEPING.search(metric) or value is None:
            continue
        if not math.isfinite(value):
            findings.reject(
                run.file.name, None, value, f"{metric} is not finite; leave the run out."
            )
            continue
        tables.add_score(
            (run.file.name, None),
            **constants,
            metric=as_name(metric),
            higher_is_better=_higher_is_better(metric, mapping),
            score=value,
            chance_level=chance_level,
        )
        findings.count_rows(run.file.name.removesuffix(_SPEC) + _FILES[3], 1)
    findings.ignore(run.file.name, "counts, times and probabilities", "HELM's books, not scores")


def _higher_is_better(metric: str, mapping: Mapping) -> bool:
    """Return the direction of a metric; HELM's run folders do not tell it."""
    return not (mapping.is_lower_better(metric) or is_lower_better(metric))


def _item(instance: dict[str, Any] | None) -> Item:
    """Return what an instance asks."""
    if instance is None:
        return Item(prompt="[]", target="", choices=None)
    message = [{"role": "user", "content": instance["prompt"] or instance["input"]}]
    references = instance["references"]
    return Item(
        prompt=json.dumps(message, ensure_ascii=False),
        target=" | ".join(instance["correct"]),
        choices=tuple(references) if len(references) > len(instance["correct"]) else None,
    )


def _chance(run: _HelmRun, metric: str, item: Item) -> float:
    """Return the chance level of an item: one over the choices, 0 for replies."""
    is_choice = run.content["method"].startswith("multiple_choice") and "match" in metric
    return 1 / len(item.choices) if is_choice and item.choices else 0.0


def _run(cell_id: str, runs: Sequence[_HelmRun]) -> RunRecord:
    """Return how a cell was evaluated; HELM's folders hold no dates, their files do."""
    dates = [datetime.fromtimestamp(run.file.path.stat().st_mtime, UTC) for run in runs]
    return RunRecord(
        cell_id=cell_id,
        attempt=1,
        status=RunStatus.DONE,
        started_at=min(dates),
        finished_at=max(dates),
        environment={
            "importer": IMPORTER,
            "date_from": "file modification time",
            "evaluations": [
                {"file": run.file.name, "task": run.task, **run.content["environment"]}
                for run in runs
            ],
        },
    )


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
