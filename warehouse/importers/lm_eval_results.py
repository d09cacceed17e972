"""Reads the results files of lm-eval: which model, which tasks, which scores.

Every version from 0.3 to 0.4.13 is read, and the results of evaluation servers that use lm-eval
inside (GPT-NeoX) or forked it (promptsource's lists of rows).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from warehouse.importers.contract import N_REJECTED_SHOWN
from warehouse.importers.lm_eval_files import Document, Findings, LocatedFile
from warehouse.importers.lm_eval_runs import (
    as_count,
    as_mapping,
    as_number,
    model_name,
    run_date,
    run_environment,
)
from warehouse.importers.mapping import Mapping as TaskMapping

NO_FILTER = "none"

# What rows hold beside scores; the last two lines are promptsource's.
_DESCRIPTIONS = frozenset(
    {"alias", "name", "sample_len", "sample_count"}
    | {"task_name", "prompt_name", "fixed_answer_choice_list", "dataset_name", "subset"}
    | {"prompt_id", "prompt_jinja", "prompt_original_task", "comment", "dataset_path"}
)
_STDERR = "_stderr"
_CONFIG_PARTS = (
    "output_type",
    "metric_list",
    "filter_list",
    "doc_to_choice",
    "process_results",
)
_BOUNDED = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "accuracy"})
_CORPUS_LEVEL = re.compile(
    r"(^|_)(perplexity|ppl|bits_per_byte|mcc|bleu|chrf(\+\+)?|ter|brier_score)$|^f1$"
)
_LOWER_IS_BETTER = re.compile(
    r"(^|_)(perplexity|ppl|bits_per_byte|bpb|ter|wer|cer|loss|nll|mae|mse|rmse|brier_score|ece"
    r"|likelihood_diff|likelihood_difference|pct_stereotype|bias|toxicity(_score)?)$"
)


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """A score of a task; `metric` and `filter` as lm-eval names them."""

    metric: str
    filter: str
    value: float
    stderr: float | None
    n_items: int | None


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Scores of one task in one file.

    Attributes
    ----------
    filters : mapping of str to tuple of str
        Filters of each metric, in the order of the file.
    n_items : int or None
        Documents that were scored, as the file tells it.
    config : mapping
        What of the task's configuration matters here; empty where the file has none.
    groups : tuple of str
        Groups with scores of their own that the task belongs to, the widest first.
    """

    task: str
    values: tuple[MetricValue, ...]
    filters: Mapping[str, tuple[str, ...]]
    n_items: int | None
    n_shot: int | None
    config: Mapping[str, Any]
    directions: Mapping[str, bool]
    groups: tuple[str, ...]
    version: str | None
    config_hash: str | None

    def is_bounded(self, metric: str) -> bool:
        """Tell whether a metric's scores lie in [0, 1] whatever the task."""
        return metric in _BOUNDED or (
            # lm-eval's own exact_match; tasks that compute theirs may count to 100.
            metric == "exact_match"
            and self.config.get("output_type") == "generate_until"
            and not self.config.get("process_results")
        )

    def aggregation(self, metric: str) -> str | None:
        """Return how the file says that items become a score; None if it does not say."""
        for entry in _listed_metrics(self.config):
            if entry.get("metric") == metric and isinstance(entry.get("aggregation"), str):
                return str(entry["aggregation"])
        return None

    def is_mean(self, metric: str) -> bool | None:
        """Tell whether a score is the mean of its items; None where it can't be known."""
        aggregation = self.aggregation(metric)
        if aggregation is not None:
            return aggregation in {"mean", "nanmean"}
        return False if _CORPUS_LEVEL.search(metric) else None

    def higher_is_better(self, metric: str) -> bool:
        """Return the direction of a metric: as the file says it, else by its name."""
        if metric in self.directions:
            return self.directions[metric]
        for entry in _listed_metrics(self.config):
            if entry.get("metric") == metric and isinstance(entry.get("higher_is_better"), bool):
                return bool(entry["higher_is_better"])
        return not is_lower_better(metric)

    def n_choices(self) -> int | None:
        """Return how many choices each question has, where the configuration lists them."""
        choices = self.config.get("doc_to_choice")
        if self.config.get("output_type") != "multiple_choice" or not isinstance(choices, list):
            return None
        return len(choices) or None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One run of lm-eval: a model on some tasks."""

    file: LocatedFile
    model: str
    n_params: int | None
    date: datetime | None
    seconds: float
    is_limited: bool
    environment: Mapping[str, Any]
    tasks: Mapping[str, TaskResult]
    # Items that the results file itself carries, by task.
    samples: Mapping[str, list[Any]] = field(default_factory=dict)


def is_lower_better(metric: str) -> bool:
    """Tell by its name whether a metric is better when lower."""
    return bool(_LOWER_IS_BETTER.search(metric))


def read_evaluation(
    file: LocatedFile, document: Document, findings: Findings, mapping: TaskMapping
) -> Evaluation:
    """Read a results document; what is no score goes into `findings`.

    Parameters
    ----------
    mapping : Mapping
        Tells which tasks to leave out, and which groups' own rows count instead of their tasks.
    """
    rows = dict(_rows(document["results"]))
    members = {
        group: [str(task) for task in tasks]
        for group, tasks in as_mapping(document.get("group_subtasks")).items()
        if isinstance(tasks, list) and tasks
    }
    config = as_mapping(document.get("config"))
    groups = _groups_over(members, rows)
    tasks: dict[str, TaskResult] = {}
    for task in _without_groups(file, document, rows, members, mapping, findings):
        n_shot = _n_shot(task, document)
        rule = mapping.task_rule(task, n_shot)
        if rule is not None and rule.skip:
            findings.ignore(file.name, task, "left out by the mapping file")
            continue
        values = _read_row(file, task, rows[task], findings)
        if values:
            over = groups.get(task, ())
            tasks[task] = _task_result(task, values, rows[task], document, over, n_shot)
    if not tasks:
        findings.ignore(file.name, "file", "no task with a score")
    samples = as_mapping(document.get("samples"))
    limit = config.get("limit")
    if limit is not None and tasks:
        findings.ignore(
            file.name,
            f"limit {limit}",
            "note: the run was limited to some items; n_items tells how many",
        )
    return Evaluation(
        file=file,
        model=model_name(file, document, config, findings),
        n_params=as_count(config.get("model_num_parameters")),
        date=run_date(document, file),
        seconds=max(as_number(document.get("total_evaluation_time_seconds")) or 0.0, 0.0),
        is_limited=limit is not None,
        environment=run_environment(document, config),
        tasks=tasks,
        samples={str(task): rows for task, rows in samples.items() if isinstance(rows, list)},
    )


# --- Rows ---------------------------------------------------------------------------------------


def _line(file: LocatedFile, task: str, key: str, findings: Findings) -> int | None:
    """Return the line of a task's value in its file, for the faults that are shown."""
    if len(findings.rejected) >= N_REJECTED_SHOWN:
        return None
    text = file.path.read_text("utf-8-sig", "replace")
    start = max(text.find('"results"'), 0)
    for part in (task, key):
        spellings = (json.dumps(part), json.dumps(part, ensure_ascii=False))
        start = max(text.find(spelling, start) for spelling in spellings)
        if start < 0:
            return None
    return text.count("\n", 0, start) + 1


def _rows(results: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rows by task, from a table or from promptsource's list of rows."""
    if isinstance(results, dict):
        for task, row in results.items():
            yield str(task), row if isinstance(row, dict) else {"value": row}
        return
    for row in results if isinstance(results, list) else []:
        if isinstance(row, dict) and "task_name" in row:
            prompt = row.get("prompt_name")
            yield f"{row['task_name']}+{prompt}" if prompt else str(row["task_name"]), row


def _read_row(
    file: LocatedFile, task: str, row: dict[str, Any], findings: Findings
) -> list[MetricValue]:
    """Return the scores of a row; lists what is none and rejects what can't be one."""
    found: list[MetricValue] = []
    counts = as_mapping(row.get("sample_count"))
    n_unknown_errors = 0
    for key, raw in row.items():
        metric, _, filter_name = key.partition(",")
        if key in _DESCRIPTIONS or not key.strip() or metric.endswith(_STDERR):
            continue
        value = as_number(raw)
        if value is None:
            if not isinstance(raw, str) or "," in key:
                findings.ignore(file.name, f"{task}: {key} = {raw}", "not a number, so no score")
            continue
        if metric == "bypass":
            findings.ignore(
                file.name, f"{task}: bypass", "lm-eval computed no score (predict_only)"
            )
            continue
        if not math.isfinite(value):
            findings.reject(
                file.name,
                _line(file, task, key, findings),
                raw,
                f"{key} of {task} is not a finite number; evaluate the task again, or leave it out "
                "with skip: true in a mapping file.",
            )
            continue
        if metric in _BOUNDED and not 0 <= value <= 1:
            findings.reject(
                file.name,
                _line(file, task, key, findings),
                raw,
                f"{key} of {task} must lie in [0, 1]; divide percentages by 100 or correct it.",
            )
            continue
        error_key = f"{metric}{_STDERR},{filter_name}" if filter_name else f"{metric}{_STDERR}"
        stderr = as_number(row.get(error_key))
        n_unknown_errors += error_key in row and (stderr is None or math.isnan(stderr))
        if stderr is not None and (stderr < 0 or math.isinf(stderr)):
            findings.reject(
                file.name,
                _line(file, task, error_key, findings),
                stderr,
                f"{error_key} of {task} is no standard error; correct or remove it.",
            )
        found.append(
            MetricValue(
                metric=metric,
                filter=filter_name or NO_FILTER,
                value=value,
                stderr=None if stderr is None or math.isnan(stderr) else stderr,
                n_items=as_count(counts.get(key)),
            )
        )
    if n_unknown_errors:
        findings.ignore(
            file.name,
            f"{task}: {n_unknown_errors} standard errors",
            "lm-eval gave none (N/A or NaN); they are null",
        )
    return found


def _without_groups(
    file: LocatedFile,
    document: Document,
    rows: Mapping[str, dict[str, Any]],
    members: Mapping[str, list[str]],
    mapping: TaskMapping,
    findings: Findings,
) -> list[str]:
    """Return the tasks, without the groups over them unless the user wants a group's own row."""
    groups = as_mapping(document.get("groups"))
    configs = as_mapping(document.get("configs"))
    wanted = [task for task in rows if (task in members or task in groups)]
    wanted = [task for task in wanted if mapping.names_group(task)]
    inside_wanted = {name: group for group in wanted for name in _descendants(group, members)}
    kept = []
    for task, row in rows.items():
        inside = [name for name in _descendants(task, members) if name in rows]
        known_as_group = task in groups or (bool(configs) and task not in configs)
        if not _has_scores(row):
            findings.ignore(file.name, task, "a row without scores")
        elif task in inside_wanted:
            reason = f"part of {inside_wanted[task]}, whose own row is wanted"
            findings.ignore(file.name, task, reason)
        elif task in wanted:
            kept.append(task)
        elif inside or (known_as_group and task not in members and len(rows) > 1):
            what = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
            findings.ignore(file.name, task, f"aggregate of {what or 'other tasks'}")
        else:
            kept.append(task)
    return kept


def _has_scores(row: Mapping[str, Any]) -> bool:
    """Tell whether a row holds a number that may be a score."""
    return any(
        key not in _DESCRIPTIONS and _STDERR not in key and as_number(value) is not None
        for key, value in row.items()
    )


def _descendants(group: str, members: Mapping[str, list[str]]) -> list[str]:
    """Return all tasks and groups below a group."""
    found: list[str] = []
    waiting = list(members.get(group, ()))
    while waiting:
        name = waiting.pop(0)
        if name not in found and name != group:
            found.append(name)
            waiting += members.get(name, ())
    return found


def _groups_over(
    members: Mapping[str, list[str]], rows: Mapping[str, dict[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """Return by task the groups over it that have scores of their own, the widest first."""
    scored = [group for group in members if _has_scores(rows.get(group, {}))]
    over = {group: _descendants(group, members) for group in scored}
    found: dict[str, tuple[str, ...]] = {}
    for group in sorted(over, key=lambda group: (-len(over[group]), group)):
        for task in over[group]:
            found[task] = (*found.get(task, ()), group)
    return found


def _task_result(
    task: str,
    values: list[MetricValue],
    row: dict[str, Any],
    document: Document,
    groups: tuple[str, ...],
    n_shot: int | None,
) -> TaskResult:
    """Bring together what a document tells of a task."""
    config = as_mapping(as_mapping(document.get("configs")).get(task))
    counted = as_mapping(as_mapping(document.get("n-samples")).get(task)).get("effective")
    directions = as_mapping(as_mapping(document.get("higher_is_better")).get(task))
    filters: dict[str, tuple[str, ...]] = {}
    for value in values:
        filters[value.metric] = (*filters.get(value.metric, ()), value.filter)
    version = as_mapping(document.get("versions")).get(task)
    config_hash = as_mapping(document.get("task_hashes")).get(task)
    return TaskResult(
        task=task,
        values=tuple(values),
        filters=filters,
        n_items=as_count(counted) or as_count(row.get("sample_len")),
        n_shot=n_shot,
        # The rest may hold whole prompts and is not needed.
        config={key: config[key] for key in _CONFIG_PARTS if key in config},
        directions={key: value for key, value in directions.items() if isinstance(value, bool)},
        groups=groups,
        version=None if version is None else str(version),
        config_hash=config_hash if isinstance(config_hash, str) else None,
    )


def _n_shot(task: str, document: Document) -> int | None:
    """Return how many examples a task's prompts hold; None where the file does not tell."""
    config = as_mapping(as_mapping(document.get("configs")).get(task))
    told = as_mapping(document.get("n-shot")).get(task)
    if told is None:
        told = config.get("num_fewshot", as_mapping(document.get("config")).get("num_fewshot"))
    return told if isinstance(told, int) and told >= 0 else None


def _listed_metrics(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that a task's configuration lists."""
    listed = config.get("metric_list")
    return (
        [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    )
