"""The mapping file of imports: which ability a task tests, and which cell a model is.

Without a mapping every model stands alone under its own name, and nothing is joined to a growth
curve that the files do not say belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from os.path import commonprefix
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.errors import InputError
from warehouse.importers.contract import hash_text, printable
from warehouse.records import UNLABELLED, CellRecord, CompositionPart, Design, Name

_NAME_LENGTH = 120
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:+-]")
_COUNT = re.compile(r"(\d+)([kKmMbB]?)")
_COUNT_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_GROUPS = frozenset({"base_model", "n_params", "n_examples", "data_source", "seed"})

# Adapters, saved steps and folders of one's own are no released base models.
_TRAINED = re.compile(
    r"""(^|[^a-z])(checkpoint|ckpt|global_?step|step|epoch|iter)[-_]?\d
    | (^|[^a-z])(sft|dpo|ppo|rlhf|q?lora|fine-?_?tuned?)([^a-z]|$)
    | ^([/.~\\]|[a-z]:[/\\]) | [/\\].*[/\\] | \+(?!load_in_)""",
    re.VERBOSE | re.IGNORECASE,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRule(_Model):
    """What tasks mean; of several rules the first that fits counts."""

    tasks: str | tuple[str, ...]
    ability: Name | None = None
    n_shot: int | None = Field(default=None, ge=0)
    chance_level: float | None = Field(default=None, ge=0, lt=1)
    skip: bool = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """The globs of the rule."""
        return (self.tasks,) if isinstance(self.tasks, str) else self.tasks

    def fits(self, task: str, n_shot: int | None) -> bool:
        """Tell whether the rule speaks of a task."""
        if self.n_shot is not None and self.n_shot != n_shot:
            return False
        return any(fnmatchcase(task, pattern) for pattern in self.patterns)


class ModelRule(_Model):
    """What models are: `model` is a glob over the model's name, `regex` searches it or the file.

    Named groups of `regex` (base_model, n_params, n_examples, data_source, seed) fill in what the
    rule does not state; counts may end in k, M or B.
    """

    model: str | None = None
    regex: str | None = None
    base_model: Name | None = None
    n_params: int | None = Field(default=None, ge=1)
    n_examples: int | None = Field(default=None, ge=0)
    # Examples that one unit of `n_examples` stands for: the batch size where names count steps.
    n_examples_factor: Annotated[int, Field(ge=1)] = 1
    data_source: Name | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelRule:
        if (self.model is None) == (self.regex is None):
            raise ValueError("give either model (a glob) or regex")
        if self.regex is not None:
            try:
                groups = set(re.compile(self.regex).groupindex)
            except re.error as error:
                raise ValueError(f"regex {self.regex!r} is not valid ({error})") from error
            if groups - _GROUPS:
                raise ValueError(
                    f"regex has the groups {', '.join(sorted(groups - _GROUPS))}; "
                    f"known are {', '.join(sorted(_GROUPS))}"
                )
            stated = {name for name in groups if getattr(self, name) is not None}
            if stated:
                raise ValueError(f"{min(stated)} is both stated and a group of regex")
        return self

    def fields(self, model: str, file: str) -> dict[str, Any] | None:
        """Return what the rule says of a model, or None if it does not fit."""
        stated = self.model_dump(include=set(_GROUPS))
        if self.regex is None:
            return stated if fnmatchcase(model, self.model or "") else None
        found = re.search(self.regex, model) or re.search(self.regex, file)
        if found is None:
            return None
        return stated | {key: text for key, text in found.groupdict().items() if text is not None}


class Mapping(_Model):
    """Contents of a mapping file."""

    tasks: tuple[TaskRule, ...] = ()
    models: tuple[ModelRule, ...] = ()
    # Globs over metrics that the files do not call lower-is-better.
    lower_is_better: tuple[str, ...] = ()

    def task_rule(self, task: str, n_shot: int | None) -> TaskRule | None:
        """Return the first rule that fits a task."""
        return next((rule for rule in self.tasks if rule.fits(task, n_shot)), None)

    def names_group(self, group: str) -> bool:
        """Tell whether a rule names a group of tasks literally, so that its own row is wanted."""
        return any(group in rule.patterns and not rule.skip for rule in self.tasks)

    def is_lower_better(self, metric: str) -> bool:
        """Tell whether the user calls a metric lower-is-better."""
        return any(fnmatchcase(metric, pattern) for pattern in self.lower_is_better)

    def place(self, *, study: str, model: str, file: str, n_params: int | None) -> CellRecord:
        """Return the cell that a model is.

        Parameters
        ----------
        model : str
            The model as its file names it, with revision and adapter.
        file : str
            File that names it; a rule's regex may read it.
        n_params : int or None
            Parameters that the file counts; a rule's count comes first.

        Raises
        ------
        InputError
            If a rule gives the model no valid name, count, volume or source.
        """
        fields: dict[str, Any] = {}
        factor = 1
        for rule in self.models:
            found = rule.fields(model, file)
            if found is not None:
                fields, factor = found, rule.n_examples_factor
                break
        where = f"mapping: model {printable(model)}"
        n_examples = _count(fields.get("n_examples"), f"{where}: n_examples")
        source = fields.get("data_source")
        if n_examples and source is None:
            raise InputError(f"{where}: {n_examples} examples need a data_source; name it.")
        if source is not None and n_examples is None:
            raise InputError(f"{where}: data_source {source} needs n_examples; say how many.")
        if source is not None and not n_examples:
            source = None  # The untouched model opens the curves of all sources.
        volume = (n_examples or 0) * factor
        trained = bool(volume) if n_examples is not None else looks_trained(model)
        seed = _count(fields.get("seed"), f"{where}: seed") if trained else None
        composition = (
            ({"data_source": source, "ability": UNLABELLED, "n_examples": volume},)
            if volume
            else ()
        )
        base_model = fields.get("base_model") or as_name(model)
        n_params = _count(fields.get("n_params"), f"{where}: n_params") or n_params
        identity = json.dumps([study, base_model, model, source, volume, seed])
        try:
            return CellRecord(
                cell_id=f"imp-{hash_text(identity)}",
                label=printable(model),
                base_model=base_model,
                base_model_revision="imported",
                n_params=n_params,
                data_source=source,
                design=Design.IMPORTED if trained else Design.BASE,
                composition=tuple(CompositionPart.model_validate(part) for part in composition),
                composition_id=f"comp-{hash_text(json.dumps(composition))}",
                volume_setting=volume,
                volume_per="total" if volume else None,
                seed=seed,
                template="imported",
                training={},
                scoring={},
            )
        except ValidationError as error:
            raise InputError(f"{where}: {_first(error)}") from error

    def unused(self, tasks: set[tuple[str, int | None]], models: set[tuple[str, str]]) -> list[str]:
        """Return the rules, as text, that fit none of the tasks and models that were found."""
        idle = [
            f"tasks {', '.join(rule.patterns)}"
            for rule in self.tasks
            if not rule.skip and not any(rule.fits(*task) for task in tasks)
        ]
        return idle + [
            f"models {rule.model or rule.regex}"
            for rule in self.models
            if all(rule.fields(*model) is None for model in models)
        ]


def read_mapping(path: Path | None) -> Mapping:
    """Read a mapping file; without one everything has its default.

    Raises
    ------
    InputError
        If the file can't be read, is not YAML, or breaks the format; names the field.
    """
    if path is None:
        return Mapping()
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"--mapping {path} can't be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--mapping {path} is not YAML ({printable(error)}).") from error
    try:
        return Mapping.model_validate({} if content is None else content)
    except ValidationError as error:
        raise InputError(f"--mapping {path}: {_first(error)}") from error


def arguments(mapping: Mapping, cell_ids: Iterable[str]) -> dict[str, Any]:
    """Return what an import with a mapping is known by, beside its files.

    With the cells: models may be told by the names of files and folders, not by their contents.
    """
    return {
        "mapping": mapping.model_dump(mode="json", exclude_defaults=True),
        "cells": hash_text(",".join(sorted(cell_ids))),
    }


def mapping_template(
    tasks: dict[tuple[str, int | None], str], models: dict[str, CellRecord]
) -> str:
    """Return a mapping file that says what an import without one does.

    Parameters
    ----------
    tasks : dict
        Default ability by task and number of shots.
    models : dict
        Default cell by model.
    """
    lines = [
        "# What the tasks and models that were found are; edit it, then import with --mapping.",
        "# Names may be globs (mmlu_*); of several rules the first that fits counts.",
        "# A rule may also have chance_level: 0.25, or skip: true instead of an ability.",
        "# Runs of one task with several n_shot need abilities of their own.",
        "tasks:",
    ]
    shots: dict[tuple[str, int | None], list[str]] = {}
    for (task, n_shot), ability in sorted(tasks.items(), key=str):
        shots.setdefault((ability, n_shot), []).append(task)
    for (ability, n_shot), names in shots.items():
        lines.append(f"  - tasks: {_yaml(_globbed(names, {task for task, _ in tasks}))}")
        lines += [f"    n_shot: {n_shot}"] if n_shot is not None else []
        lines.append(f"    ability: {_yaml(ability)}")
    lines += [
        "# n_examples: 0 is the untouched base model. A fine-tuned one needs its volume and",
        "# data_source, and the base_model that it was trained from, to lie on a growth curve.",
        "# Many models at once: instead of model, regex with named groups, e.g.",
        "#   - regex: 'sft-(?P<data_source>[a-z]+)-(?P<n_examples>\\d+k?)-seed(?P<seed>\\d+)'",
        "#     base_model: my-base-model",
        "models:",
    ]
    for model, cell in sorted(models.items()):
        lines += [
            f"  - model: {_yaml(_literal(model))}",
            f"    base_model: {_yaml(cell.base_model)}",
        ]
        size = "    # n_params:" if cell.n_params is None else f"    n_params: {cell.n_params}"
        lines.append(size)
        if cell.design is Design.BASE:
            lines.append("    n_examples: 0")
        else:
            lines += [
                "    # n_examples:   # looks trained; how many examples?",
                "    # data_source:",
            ]
            lines.append("    # seed:")
    return "\n".join([*lines, ""])


def looks_trained(model: str) -> bool:
    """Tell whether a model's name says that it is no released base model."""
    return bool(_TRAINED.search(model))


def as_name(text: str) -> str:
    """Return a text as a name that labels and SQL can bear; equal texts give equal names.

    Slashes become `__`, as lm-eval writes them in folder names. A text that loses letters by it, or
    is too long, gets a hash, so that two texts do not share a name.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}", text):
        return text
    name = _NOT_IN_NAMES.sub("_", re.sub(r"[\\/]+", "__", text)).lstrip("_.:+-")
    if len(name) > _NAME_LENGTH or any(char.isalnum() and not char.isascii() for char in text):
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        # The end of a path tells more than its beginning.
        name = f"{name[-(_NAME_LENGTH - 9) :].strip('_.:+-')}-{digest}".lstrip("-")
    return name or f"unnamed-{hash_text(text)[:8]}"


def _count(value: object, where: str) -> int | None:
    """Read a count, which may be a text such as 10k."""
    if value is None or isinstance(value, int):
        return value
    found = _COUNT.fullmatch(str(value))
    if found is None:
        raise InputError(f"{where} {printable(value)!r} is not a whole number; correct the regex.")
    return int(found[1]) * _COUNT_UNITS[found[2].lower()]


def _first(error: ValidationError) -> str:
    """Return the first fault as one sentence."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}; see docs/imports.md."


def _globbed(names: list[str], known: set[str]) -> list[str]:
    """Return one glob instead of many names, where it fits no other task."""
    prefix = commonprefix(names)  # noqa: RUF071 (of characters)
    if len(names) < 3 or not prefix:
        return [_literal(name) for name in names]
    fitting = {task for task in known if task.startswith(prefix)}
    return [f"{_literal(prefix)}*"] if fitting == set(names) else [_literal(name) for name in names]


def _literal(model: str) -> str:
    """Return a glob that fits one text alone."""
    return re.sub(r"([*?[])", r"[\1]", model)


def _yaml(value: object) -> str:
    """Return a value on one line of YAML (every JSON text is YAML)."""
    return json.dumps(value, ensure_ascii=False)
