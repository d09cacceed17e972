"""Imports logs of inspect_ai (.eval and .json), read by inspect_ai itself.

Every scorer of a task is a metric; a scorer that gives several values has one metric for each
(`judge.tone`). Repeated samples (epochs) are averaged into one item.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.errors import InputError, MissingDependencyError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.lm_eval_files import Findings, LocatedFile
from warehouse.importers.lm_eval_tables import Item, Tables, describe_import
from warehouse.importers.mapping import Mapping, as_name
from warehouse.records import CellRecord, RunRecord, RunStatus

IMPORTER = "inspect"

_START_BYTES = 2048
# Metrics of a score that are its mean; logs without samples have nothing else.
_MEANS = ("accuracy", "mean")
# Texts that inspect_ai's own `value_to_float` knows: correct, partial, incorrect, no answer.
_GRADES = frozenset({"C", "P", "I", "N", "yes", "no", "true", "false"})


@dataclass(kw_only=True)
class _Samples:
    """Samples of one task by item: all epochs of each."""

    items: dict[str, Item] = field(default_factory=dict)
    responses: dict[str, str] = field(default_factory=dict)
    chance_levels: dict[str, float] = field(default_factory=dict)
    # metric -> item -> one value an epoch
    scores: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


def read_inspect(paths: Sequence[Path], *, study: str, mapping: Mapping) -> Imported:
    """Read and validate logs of inspect_ai.

    Raises
    ------
    MissingDependencyError
        If inspect_ai is not installed.
    InputError
        If a path does not exist, holds no log, or the mapping does not fit.
    RejectedImportError
        If a log can't be read or holds a score that is not finite.
    """
    read_log = _log_reader()
    findings = Findings()
    logs: list[tuple[LocatedFile, Any]] = []
    for file in _find_logs(paths, findings):
        content = file.path.read_bytes()
        findings.add_file(file, content)
        try:
            log = read_log(str(file.path.absolute()))
        except Exception as error:  # inspect_ai names no errors for logs that are cut short
            findings.reject(
                file.name,
                None,
                error,
                "inspect_ai can't read the log; write it anew or leave it out.",
            )
            continue
        if log.status == "success":
            logs.append((file, log))
        else:
            findings.ignore(file.name, "file", f"the evaluation ended with status {log.status}")
    tables = Tables()
    cells: dict[str, CellRecord] = {}
    runs: dict[str, list[tuple[LocatedFile, Any]]] = defaultdict(list)
    taken: dict[tuple[str, str], str] = {}
    for file, log in sorted(logs, key=lambda pair: str(pair[1].eval.created), reverse=True):
        rule = mapping.task_rule(log.eval.task, None)
        if rule is not None and rule.skip:
            findings.ignore(file.name, log.eval.task, "left out by the mapping file")
            continue
        cell = mapping.place(study=study, model=_model(log), file=file.name, n_params=None)
        first = taken.setdefault((cell.cell_id, log.eval.task), file.name)
        if first != file.name:
            reason = f"another run of the same task counts: {first}"
            findings.ignore(file.name, log.eval.task, reason)
            continue
        cells[cell.cell_id] = cell
        runs[cell.cell_id].append((file, log))
        ability = (rule and rule.ability) or as_name(log.eval.task.rpartition("/")[2])
        chance = rule.chance_level if rule else None
        _add_log(file, log, cell, ability, chance, mapping, findings, tables)
    if findings.rejected:
        raise RejectedImportError(findings.rejected, len(findings.rejected))
    if not cells:
        raise InputError(
            f"{', '.join(map(str, paths))}: no complete log of inspect_ai; name .eval or .json "
            "files, or the folder that holds them."
        )
    return describe_import(
        IMPORTER,
        study,
        findings=findings,
        tables=tables,
        cells=cells,
        runs=[_run(cell_id, found) for cell_id, found in runs.items()],
        mapping=mapping,
    )


def _log_reader() -> Any:
    """Return inspect_ai's reader of logs."""
    try:
        return importlib.import_module("inspect_ai.log").read_eval_log
    except ImportError as error:
        raise MissingDependencyError(
            "Logs of inspect_ai are read by inspect_ai, which is not installed; run "
            "pip install 'growthpace[inspect]'."
        ) from error


def _find_logs(paths: Sequence[Path], findings: Findings) -> Iterator[LocatedFile]:
    """Yield the logs below some paths in name order."""
    for root in paths:
        if not root.exists():
            raise InputError(f"{root} does not exist; name logs of inspect_ai or their folder.")
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.suffix not in {".eval", ".json"} or not path.is_file():
                continue
            name = path.name
            if path != root:
                name = f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
            if path != root and path.suffix == ".json" and not _starts_like_log(path):
                findings.ignore(name, "file", "no log of inspect_ai")
            else:
                yield LocatedFile(path=path, name=name)


def _starts_like_log(path: Path) -> bool:
    """Tell whether a JSON file begins as a log does."""
    with path.open("rb") as handle:
        start = handle.read(_START_BYTES)
    return b'"eval"' in start and b'"status"' in start


def _model(log: Any) -> str:
    """Return a model's name without its provider: `hf/org/model` is lm-eval's `org/model`."""
    path = log.eval.model_args.get("model_path")
    if isinstance(path, str) and path:
        return path
    provider, _, name = log.eval.model.partition("/")
    return name if "/" in name and provider else str(log.eval.model)


# --- Rows ---------------------------------------------------------------------------------------


def _add_log(
    file: LocatedFile,
    log: Any,
    cell: CellRecord,
    ability: str,
    chance_level: float | None,
    mapping: Mapping,
    findings: Findings,
    tables: Tables,
) -> None:
    """Add the items of a log, or its scores where it has no samples."""
    task = str(log.eval.task)
    if not log.samples:
        for metric, value, stderr in _aggregates(log):
            tables.add_score(
                (file.name, None),
                cell_id=cell.cell_id,
                task=task,
                ability=ability,
                metric=metric,
                higher_is_better=not mapping.is_lower_better(metric),
                score=value,
                stderr=stderr,
                n_items=log.results.total_samples or None,
                chance_level=chance_level,
            )
            findings.count_rows(file.name, 1)
        return
    samples = _read_samples(file, log, findings)
    for metric, values in samples.scores.items():
        item_ids = list(values)
        scores = [math.fsum(values[item]) / len(values[item]) for item in item_ids]
        chance = [samples.chance_levels[item] for item in item_ids]
        if chance_level is not None:
            chance = [chance_level] * len(item_ids)
        n_rows = tables.add_item_scores(
            {
                "cell_id": cell.cell_id,
                "task": task,
                "ability": ability,
                "metric": metric,
                "higher_is_better": not mapping.is_lower_better(metric),
                "scoring_rule": as_name(f"inspect:{metric}"),
            },
            item_id=item_ids,
            prompt_hash=[_digest(samples.items[item].prompt) for item in item_ids],
            target_hash=[_digest(samples.items[item].target) for item in item_ids],
            score=scores,
            response=[samples.responses[item] for item in item_ids],
            chance_level=chance,
            chance_level_uniform=chance,
        )
        tables.add_items(task, ability, item_ids, samples.items)
        findings.count_rows(file.name, n_rows)


def _aggregates(log: Any) -> Iterator[tuple[str, float, float | None]]:
    """Yield name, mean and standard error of each score of a log without samples."""
    for score in log.results.scores if log.results else ():
        mean = next((score.metrics[name].value for name in _MEANS if name in score.metrics), None)
        stderr = score.metrics["stderr"].value if "stderr" in score.metrics else None
        if mean is not None and math.isfinite(mean):
            yield as_name(score.name), float(mean), stderr


def _read_samples(file: LocatedFile, log: Any, findings: Findings) -> _Samples:
    """Gather the samples of a log by item."""
    found = _Samples()
    no_numbers: set[str] = set()
    for sample in log.samples:
        if sample.error is not None or not sample.scores:
            findings.ignore(file.name, f"sample {sample.id}", "it failed or has no score")
            continue
        item = _item(sample)
        content = [log.eval.task, str(sample.id), item.prompt, item.target, item.choices]
        item_id = _digest(json.dumps(content))
        found.items[item_id] = item
        found.responses.setdefault(item_id, sample.output.completion if sample.output else "")
        found.chance_levels[item_id] = 1 / len(item.choices) if item.choices else 0.0
        for metric, value in _values(sample.scores):
            if value is None:
                no_numbers.add(metric)
            elif math.isfinite(value):
                found.scores[metric][item_id].append(value)
            else:
                findings.reject(
                    file.name,
                    None,
                    value,
                    f"{metric} of sample {sample.id} is not finite; correct the scorer.",
                )
    for metric in sorted(no_numbers):
        findings.ignore(file.name, metric, "its values are no numbers, so no scores")
    return found


def _values(scores: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield metric and value of a sample's scores; None where a value is no number."""
    to_float = importlib.import_module("inspect_ai.scorer").value_to_float()
    for scorer, score in scores.items():
        parts = score.value if isinstance(score.value, dict) else {"": score.value}
        for key, value in parts.items():
            metric = as_name(f"{scorer}.{key}" if key else scorer)
            if isinstance(value, bool | int | float):
                yield metric, float(value)
            elif isinstance(value, str) and value in _GRADES:
                yield metric, to_float(value)
            else:
                yield metric, None


def _item(sample: Any) -> Item:
    """Return what a sample asks."""
    if isinstance(sample.input, str):
        messages = [{"role": "user", "content": sample.input}]
    else:
        messages = [{"role": turn.role, "content": turn.text} for turn in sample.input]
    target = sample.target if isinstance(sample.target, str) else json.dumps(sample.target)
    return Item(
        prompt=json.dumps(messages, ensure_ascii=False),
        target=target,
        choices=tuple(sample.choices) if sample.choices else None,
    )


def _run(cell_id: str, logs: Sequence[tuple[LocatedFile, Any]]) -> RunRecord:
    """Return how a cell was evaluated."""
    starts = [_time(log.eval.created) for _, log in logs]
    ends = [_time(log.stats.completed_at) for _, log in logs if log.stats.completed_at]
    return RunRecord(
        cell_id=cell_id,
        attempt=1,
        status=RunStatus.DONE,
        started_at=min(starts),
        finished_at=max([*starts, *ends]),
        environment={
            "importer": IMPORTER,
            "evaluations": [
                {
                    "file": file.name,
                    "task": log.eval.task,
                    "task_version": log.eval.task_version,
                    "packages": log.eval.packages,
                    "commit": log.eval.revision.commit if log.eval.revision else None,
                    "epochs": log.eval.config.epochs,
                    "limit": log.eval.config.limit,
                    "generate_config": log.eval.model_generate_config.model_dump(
                        mode="json", exclude_none=True
                    ),
                }
                for file, log in logs
            ],
        },
    )


def _time(value: object) -> datetime:
    """Return a time of a log, which may be text, in UTC."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
