"""Turns one task of one lm-eval run into landing rows, items where its samples are there."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from warehouse.importers.contract import hash_text
from warehouse.importers.lm_eval_files import Findings, LocatedFile
from warehouse.importers.lm_eval_results import NO_FILTER, Evaluation, MetricValue, TaskResult
from warehouse.importers.lm_eval_samples import (
    INVALID,
    FilterSamples,
    TaskSamples,
    read_lines,
    read_samples,
)
from warehouse.importers.lm_eval_tables import Item, Tables
from warehouse.importers.mapping import Mapping, as_name
from warehouse.records import CellRecord

# Users round results files; lm-eval itself writes every digit.
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One task of one evaluation: what a cell x task of the warehouse comes from."""

    evaluation: Evaluation
    cell: CellRecord
    result: TaskResult
    samples: LocatedFile | None
    task: str
    ability: str
    chance_level: float | None

    @property
    def has_samples(self) -> bool:
        """Whether the items are there."""
        return self.samples is not None or self.result.task in self.evaluation.samples


class UnitRows:
    """The rows of one unit; `add` puts them into the tables."""

    def __init__(
        self,
        unit: Unit,
        mapping: Mapping,
        findings: Findings,
        tables: Tables,
        texts: dict[str, Item],
    ) -> None:
        self.unit = unit
        self.result = unit.result
        self.mapping = mapping
        self.findings = findings
        self.tables = tables
        self.texts = texts

    def add(self) -> None:
        """Add the unit's rows, items where there are any."""
        samples = self._read_samples()
        for value in self.result.values:
            name = _metric_name(value.metric, value.filter, self.result.filters[value.metric])
            columns = samples.by_filter.get(value.filter) if samples else None
            if samples is None or columns is None or not self._items_agree(samples, columns, value):
                self._add_score(value, name, samples)
            else:
                self._add_items(samples, columns, value.metric, value.filter, name)
        if samples is not None:
            self._add_unnamed(samples)

    def _read_samples(self) -> TaskSamples | None:
        """Read the unit's samples and compare their number with the results."""
        file, lines = self.unit.samples, None
        if file is not None:
            lines = read_lines(file, self.findings)
        elif self.result.task in self.unit.evaluation.samples:
            file = self.unit.evaluation.file
            lines = iter((None, row) for row in self.unit.evaluation.samples[self.result.task])
        if file is None or lines is None:
            return None
        order = max(self.result.filters.values(), key=len, default=())
        samples = read_samples(file, self.unit.task, lines, self.findings, self.texts, order)
        expected = self.result.n_items
        if expected is not None and samples.n_documents != expected:
            self.findings.reject(
                file.name,
                None,
                f"{samples.n_documents} documents",
                f"{self.unit.evaluation.file.name} says {expected} documents of "
                f"{self.result.task}; the file may be cut short: write it anew or leave it out.",
            )
        return samples

    def _items_agree(
        self, samples: TaskSamples, columns: FilterSamples, value: MetricValue
    ) -> bool:
        """Tell whether a score is the mean of its items; reject items that contradict it."""
        scores = columns.scores.get(value.metric)
        if scores is None or any(score is None for score in scores):
            return False
        present = [score for score in scores if score is not None and not math.isnan(score)]
        mean = math.fsum(present) / len(present) if present else math.nan
        if abs(mean - value.value) <= _TOLERANCE * max(1.0, abs(value.value)):
            return True
        if self.result.is_mean(value.metric) is False:
            return False
        self.findings.reject(
            samples.file.name,
            None,
            f"mean {mean:g}",
            f"{value.metric} of {self.result.task} is {value.value:g} in "
            f"{self.unit.evaluation.file.name}, but {mean:g} over the samples; import files of one "
            "run, or leave the samples out.",
        )
        return False

    def _add_unnamed(self, samples: TaskSamples) -> None:
        """Add metrics that samples hold and the results do not."""
        named = {(value.metric, value.filter) for value in self.result.values}
        filters: dict[str, list[str]] = defaultdict(list)
        for filter_name, columns in samples.by_filter.items():
            for metric in columns.scores:
                filters[metric].append(filter_name)
        for metric, names in filters.items():
            for filter_name in names:
                if (metric, filter_name) in named:
                    continue
                columns = samples.by_filter[filter_name]
                what = f"{self.result.task}: {metric}"
                if self.result.values:
                    reason = "the results file has no such score"
                    self.findings.ignore(samples.file.name, what, reason)
                elif any(score is None for score in columns.scores[metric]):
                    reason = "its items are no numbers, and no results file has its score"
                    self.findings.ignore(samples.file.name, what, reason)
                else:
                    name = _metric_name(metric, filter_name, tuple(names))
                    self._add_items(samples, columns, metric, filter_name, name)

    def _add_score(self, value: MetricValue, name: str, samples: TaskSamples | None) -> None:
        """Add a score without items."""
        n_items = value.n_items or self.result.n_items
        file = self.unit.evaluation.file.name
        self.tables.add_score(
            (file, None),
            cell_id=self.unit.cell.cell_id,
            task=self.unit.task,
            ability=self.unit.ability,
            metric=name,
            higher_is_better=self._higher_is_better(value.metric),
            score=value.value,
            stderr=value.stderr,
            n_items=n_items or (samples.n_documents if samples else None),
            chance_level=self._chance_of_score(value.metric),
        )
        self.findings.count_rows(file, 1)

    def _add_items(
        self,
        samples: TaskSamples,
        columns: FilterSamples,
        metric: str,
        filter_name: str,
        name: str,
    ) -> None:
        """Add a score's items."""
        scores = [score for score in columns.scores[metric] if score is not None]
        bounded = self.result.is_bounded(metric)
        for line, score in zip(columns.lines, scores, strict=True):
            if math.isinf(score) or (bounded and not (math.isnan(score) or 0 <= score <= 1)):
                self.findings.reject(
                    samples.file.name,
                    line or None,
                    score,
                    f"{metric} of an item of {self.result.task} must "
                    f"{'lie in [0, 1]' if bounded else 'be finite'}; correct or remove it.",
                )
        chance: list[float] = [0.0] * len(scores)
        if self.unit.chance_level is not None:
            chance = [self.unit.chance_level] * len(scores)
        elif _counts_right_answers(metric):
            chance = columns.chance_levels
        rule = self.result.config.get("output_type") or (
            "multiple_choice" if any(columns.log_likelihoods) else "generate_until"
        )
        n_rows = self.tables.add_item_scores(
            {
                "cell_id": self.unit.cell.cell_id,
                "task": self.unit.task,
                "ability": self.unit.ability,
                "metric": name,
                "higher_is_better": self._higher_is_better(metric),
                "scoring_rule": as_name(f"lm-eval:{rule}:{filter_name}"),
            },
            item_id=columns.item_ids,
            prompt_hash=columns.prompt_hashes,
            target_hash=columns.target_hashes,
            score=[None if math.isnan(score) else score for score in scores],
            missing_reason=["lm-eval gave no number" if math.isnan(s) else None for s in scores],
            parsed=self._parsed(columns, filter_name),
            # acc_norm and its like prefer another choice than the likeliest one.
            response=[
                None if values is not None and metric != "acc" else text
                for text, values in zip(columns.responses, columns.log_likelihoods, strict=True)
            ],
            choice_log_likelihoods=columns.log_likelihoods,
            chance_level=chance,
            chance_level_uniform=chance,
        )
        self.tables.add_items(self.unit.task, self.unit.ability, columns.item_ids, self.texts)
        self.findings.count_rows(samples.file.name, n_rows)

    def _parsed(self, columns: FilterSamples, filter_name: str) -> list[bool | None]:
        """Tell which replies a regex filter could read."""
        for entry in self.result.config.get("filter_list") or []:
            if isinstance(entry, dict) and entry.get("name") == filter_name:
                steps = entry.get("filter")
                for step in steps if isinstance(steps, list) else []:
                    if isinstance(step, dict) and "regex" in str(step.get("function")):
                        fallback = step.get("fallback", INVALID)
                        return [
                            None if text is None else text != fallback for text in columns.responses
                        ]
        return [None] * len(columns.responses)

    def _higher_is_better(self, metric: str) -> bool:
        """Return the direction of a metric."""
        return not self.mapping.is_lower_better(metric) and self.result.higher_is_better(metric)

    def _chance_of_score(self, metric: str) -> float | None:
        """Return the chance level of a score without items; None if it can't be known."""
        if self.unit.chance_level is not None:
            return self.unit.chance_level
        if not _counts_right_answers(metric):
            return None
        n_choices = self.result.n_choices()
        is_reply = self.result.config.get("output_type") == "generate_until"
        return 1 / n_choices if n_choices else (0.0 if is_reply else None)


def _counts_right_answers(metric: str) -> bool:
    """Tell whether guessing one of the choices scores one over their number."""
    return metric.startswith("acc") or metric in {"exact_match", "em"}


def _metric_name(metric: str, filter_name: str, filters: Sequence[str]) -> str:
    """Return the warehouse's name of a metric; the filter is part of it where there are several."""
    text = metric
    if len(filters) > 1 and filter_name != NO_FILTER:
        text = f"{metric}.{filter_name}"
    name = as_name(text)
    # Two metrics of a task must not share a name.
    return name if name == text else f"{name[:100]}-{hash_text(text)[:6]}"
