"""Imports what lm-eval wrote: joins results with samples, models with cells, tasks with abilities.

Where a task's samples are there, its items land, and the aggregate of the results must agree with
their mean. Corpus-level metrics (F1 over pairs, perplexity, BLEU) and tasks without samples land
as scores. Shots are part of a task's name (`arc_easy:5-shot`), so that they are not mixed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warehouse.errors import InputError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.lm_eval_files import Findings, LocatedFile, find_files
from warehouse.importers.lm_eval_results import Evaluation, TaskResult, read_evaluation
from warehouse.importers.lm_eval_rows import Unit, UnitRows
from warehouse.importers.lm_eval_runs import model_from_path, read_stamp
from warehouse.importers.lm_eval_tables import Item, Tables, describe_import
from warehouse.importers.mapping import Mapping, as_name, mapping_template
from warehouse.records import Design, RunRecord, RunStatus

IMPORTER = "lm-eval"

_TASK_LENGTH = 300
# Benchmarks whose parts count alike, where the file does not say that they are a group.
_FAMILIES = (
    "Ceval-valid",
    "agieval",
    "bbh",
    "blimp",
    "ceval",
    "cmmlu",
    "hendrycksTest",
    "hendrycks_math",
    "minerva_math",
    "mmlu_pro",
    "mmlu",
)


def read_lm_eval(paths: Sequence[Path], *, study: str, mapping: Mapping) -> Imported:
    """Read and validate what lm-eval wrote below some paths.

    Raises
    ------
    InputError
        If a path does not exist, nothing of lm-eval is there, or the mapping does not fit.
    RejectedImportError
        If a row or file is bad; nothing of the import may land then.
    """
    findings = Findings()
    units = _choose(_units(paths, study, mapping, findings), findings)
    tables = Tables()
    texts: dict[str, Item] = {}
    for unit in units:
        UnitRows(unit, mapping, findings, tables, texts).add()
    if findings.rejected:
        raise RejectedImportError(findings.rejected, len(findings.rejected))
    for rule in mapping.unused(
        {(unit.result.task, unit.result.n_shot) for unit in units},
        {(unit.evaluation.model, unit.evaluation.file.name) for unit in units},
    ):
        findings.ignore("mapping file", rule, "note: the rule fits nothing that was imported")
    cells = {unit.cell.cell_id: unit.cell for unit in units}
    units_of: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        units_of[unit.cell.cell_id].append(unit)
    for cell in cells.values():
        if cell.design is Design.IMPORTED and not cell.composition:
            findings.ignore(
                units_of[cell.cell_id][0].evaluation.file.name,
                f"model {cell.label}",
                "note: it looks trained, on how much is unknown; a mapping file that says so puts "
                "it on a growth curve",
            )
    return describe_import(
        IMPORTER,
        study,
        findings=findings,
        tables=tables,
        cells=cells,
        runs=[_run(cell_id, found) for cell_id, found in units_of.items()],
        mapping=mapping,
    )


def lm_eval_template(paths: Sequence[Path]) -> str:
    """Return a mapping file for what lies below some paths: what an import without one does.

    Raises
    ------
    InputError, RejectedImportError
        As `read_lm_eval`.
    """
    findings = Findings()
    units = _units(paths, IMPORTER, Mapping(), findings)
    if findings.rejected:
        raise RejectedImportError(findings.rejected, len(findings.rejected))
    return mapping_template(
        {(unit.result.task, unit.result.n_shot): unit.ability for unit in units},
        {unit.evaluation.model: unit.cell for unit in units},
    )


def default_ability(result: TaskResult) -> str:
    """Return the ability of a task that no rule names.

    The widest group that has scores of its own, else the benchmark that the task is a known part
    of (`mmlu_anatomy`, `hendrycksTest-anatomy`), else the task itself; with its shots, if any.
    """
    task = result.task
    if result.groups:
        name = result.groups[0]
    else:
        parts = (name for name in _FAMILIES if task.startswith((f"{name}_", f"{name}-")))
        name = next(parts, task)
    return as_name(_with_shots(name, result.n_shot))


def _with_shots(name: str, n_shot: int | None) -> str:
    """Return a name that tells runs with and without examples in the prompt apart."""
    return f"{name}:{n_shot}-shot" if n_shot else name


# --- Evaluations and their samples --------------------------------------------------------------


def _units(paths: Sequence[Path], study: str, mapping: Mapping, findings: Findings) -> list[Unit]:
    """Return the tasks of all evaluations, with their samples and the cells they belong to."""
    evaluations, samples = [], []
    for file, document in find_files(paths, findings):
        if document is None:
            samples.append(file)
        else:
            evaluations.append(read_evaluation(file, document, findings, mapping))
    samples_of, alone = _pair(evaluations, samples, findings)
    evaluations += alone
    if not evaluations and not findings.rejected:
        raise InputError(
            f"{', '.join(map(str, paths))}: no results of lm-eval; name its results_*.json and "
            "samples_*.jsonl files, or the folder that holds them."
        )
    n_params: dict[str, int] = {}
    for evaluation in evaluations:
        if evaluation.n_params is not None:
            n_params[evaluation.model] = evaluation.n_params
    units = []
    for evaluation in evaluations:
        cell = mapping.place(
            study=study,
            model=evaluation.model,
            file=evaluation.file.name,
            n_params=n_params.get(evaluation.model),
        )
        for result in evaluation.tasks.values():
            rule = mapping.task_rule(result.task, result.n_shot)
            if rule is not None and rule.skip:
                findings.ignore(evaluation.file.name, result.task, "left out by the mapping file")
                continue
            task = _with_shots(result.task, result.n_shot)
            units.append(
                Unit(
                    evaluation=evaluation,
                    cell=cell,
                    result=result,
                    samples=samples_of.get((evaluation.file.name, result.task)),
                    task=task if len(task) <= _TASK_LENGTH else as_name(task),
                    ability=(rule and rule.ability) or default_ability(result),
                    chance_level=rule.chance_level if rule else None,
                )
            )
    return units


def _pair(
    evaluations: Sequence[Evaluation], samples: Sequence[LocatedFile], findings: Findings
) -> tuple[dict[tuple[str, str], LocatedFile], list[Evaluation]]:
    """Give each samples file to its results; those without any stand for themselves."""
    taken: dict[tuple[str, str], LocatedFile] = {}
    alone = []
    by_folder: dict[Path, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        by_folder[evaluation.file.path.parent].append(evaluation)
    for file in samples:
        task = file.path.stem.removeprefix("samples_")
        if file.stamp:
            task = task.removesuffix(f"_{file.stamp}")
        near = by_folder[file.path.parent]
        same_run = [one for one in near if file.stamp and one.file.stamp == file.stamp]
        owners = [
            (one, name)
            for one in same_run or near
            for name in sorted(one.tasks, key=len, reverse=True)
            # Up to 0.4.2 the model's arguments stand before the task.
            if task == name or (not file.stamp and task.endswith(f"_{name}"))
        ]
        free = [(one, name) for one, name in owners if (one.file.name, name) not in taken]
        if free and (same_run or len({one.file.name for one, _ in free}) == 1):
            taken[free[0][0].file.name, free[0][1]] = file
        elif same_run:
            findings.ignore(file.name, "file", f"its results file has no score of {task} to take")
        else:
            alone.append(_without_results(file, task))
            taken[file.name, task] = file
            findings.ignore(
                file.name, f"model {alone[-1].model}", "note: no results file; its folder names it"
            )
    return taken, alone


def _without_results(file: LocatedFile, task: str) -> Evaluation:
    """Return an evaluation that only a samples file tells of."""
    result = TaskResult(
        task=task,
        values=(),
        filters={},
        n_items=None,
        n_shot=None,
        config={},
        directions={},
        groups=(),
        version=None,
        config_hash=None,
    )
    return Evaluation(
        file=file,
        model=model_from_path(file),
        n_params=None,
        date=None if file.stamp is None else read_stamp(file.stamp),
        seconds=0.0,
        is_limited=False,
        environment={},
        tasks={task: result},
    )


def _choose(units: Sequence[Unit], findings: Findings) -> list[Unit]:
    """Keep one unit per cell and task: full runs before limited ones, then the newest."""
    groups: dict[tuple[str, str], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[unit.cell.cell_id, unit.task].append(unit)
    chosen = []
    for (_, task), rivals in groups.items():
        rivals.sort(key=_rank, reverse=True)
        best, *others = rivals
        chosen.append(best)
        for other in others:
            file, first = other.evaluation.file.name, best.evaluation.file.name
            if other.result.values and other.result.values == best.result.values:
                findings.ignore(file, task, f"repeats {first}")
            elif _rank(other)[:2] == _rank(best)[:2]:
                findings.reject(
                    file,
                    None,
                    task,
                    f"{task} of {other.evaluation.model} has other scores in {first}, and neither "
                    "says when it was run; leave one out, or tell the models apart in a mapping "
                    "file.",
                )
            else:
                findings.ignore(file, task, f"another run of the same task counts: {first}")
    _require_one_shot(chosen, findings)
    return chosen


def _rank(unit: Unit) -> tuple[bool, datetime, bool, str]:
    """Return what tells which of two runs counts; names only make the order certain."""
    date = unit.evaluation.date or datetime.min.replace(tzinfo=UTC)
    return (not unit.evaluation.is_limited, date, unit.has_samples, unit.evaluation.file.name)


def _require_one_shot(units: Sequence[Unit], findings: Findings) -> None:
    """Reject a task with several numbers of shots in one ability, whose mean would mix them."""
    first: dict[tuple[str, str, str], Unit] = {}
    for unit in units:
        known = first.setdefault((unit.cell.cell_id, unit.ability, unit.result.task), unit)
        if known.result.n_shot != unit.result.n_shot:
            findings.reject(
                unit.evaluation.file.name,
                None,
                unit.task,
                f"ability {unit.ability} has {unit.result.task} with {known.result.n_shot} and "
                f"{unit.result.n_shot} shots; give n_shot in the mapping file's rule.",
            )


def _run(cell_id: str, units: Sequence[Unit]) -> RunRecord:
    """Return how a cell was evaluated: every evaluation that gave it a score."""
    evaluations = {unit.evaluation.file.name: unit.evaluation for unit in units}
    dated = [one for one in evaluations.values() if one.date is not None]
    dates = [one.date for one in dated if one.date] or [
        datetime.fromtimestamp(one.file.path.stat().st_mtime, UTC) for one in evaluations.values()
    ]
    ends = [one.date + timedelta(seconds=one.seconds) for one in dated if one.date]
    return RunRecord(
        cell_id=cell_id,
        attempt=1,
        status=RunStatus.DONE,
        started_at=min(dates),
        finished_at=max([*ends, *dates]),
        environment={
            "importer": IMPORTER,
            "date_from": "lm-eval" if dated else "file modification time",
            "evaluations": [
                {
                    "file": one.file.name,
                    **one.environment,
                    "tasks": {
                        unit.result.task: {
                            "n_shot": unit.result.n_shot,
                            "version": unit.result.version,
                            "config_hash": unit.result.config_hash,
                        }
                        for unit in units
                        if unit.evaluation is one
                    },
                }
                for one in evaluations.values()
            ],
        },
    )
