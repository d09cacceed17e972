"""Reads which model an lm-eval file is about, and how the run was made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from warehouse.importers.lm_eval_files import DATE, Document, Findings, LocatedFile
from warehouse.records import MAX_COUNT

_MODEL_KEYS = ("pretrained", "model", "model_name", "model_path", "path", "engine", "load", "save")
# What makes another model of the same weights.
_PART_KEYS = ("subfolder", "gguf_file")
_ADAPTER_KEYS = ("peft", "delta", "lora_local_path")
_SWITCH_KEYS = ("load_in_8bit", "load_in_4bit")
_ENVIRONMENT_KEYS = (
    "lm_eval_version",
    "transformers_version",
    "git_hash",
    "model_source",
    "chat_template_sha",
    "system_instruction_sha",
    "fewshot_as_multiturn",
    "max_length",
)
_CONFIG_KEYS = (
    "model",
    "batch_size",
    "device",
    "limit",
    "model_dtype",
    "model_sha",
    "gen_kwargs",
    "random_seed",
    "fewshot_seed",
)
_SECRET = re.compile(r"api_?key|(^|_)(key|token|secret|password|auth|headers?)$", re.IGNORECASE)
_GENERIC_STEM = re.compile(r"^(results?|eval_results?|output|eval|metrics)?[-_.]*$")


def model_name(
    file: LocatedFile, document: Document, config: Mapping[str, Any], findings: Findings
) -> str:
    """Return the model's name with what makes it another one: revision, adapter, quantisation."""
    arguments = _arguments(config.get("model_args"))
    name = next((str(arguments[key]) for key in _MODEL_KEYS if arguments.get(key)), "")
    if not name:
        name = str(document.get("model_name") or "")
    if not name:
        for task in as_mapping(document.get("configs")).values():
            metadata = as_mapping(as_mapping(task).get("metadata"))
            name = str(metadata.get("pretrained") or metadata.get("model") or "")
            if name:
                break
    if not name:
        name = model_from_path(file)
        findings.ignore(file.name, f"model {name}", "note: the file names no model; its name does")
        return name
    revision = arguments.get("revision")
    if isinstance(revision, str) and revision not in {"main", ""}:
        name = f"{name}:{revision}"
    if isinstance(arguments.get("iteration"), int):  # GPT-NeoX: the step of a checkpoint folder
        name = f"{name}:step{arguments['iteration']}"
    for keys, mark in ((_PART_KEYS, ":"), (_ADAPTER_KEYS, "+")):
        for key in keys:
            if arguments.get(key):
                name = f"{name}{mark}{arguments[key]}"
    switched = [key for key in _SWITCH_KEYS if str(arguments.get(key)).lower() == "true"]
    return "+".join([name, *switched])


def model_from_path(file: LocatedFile) -> str:
    """Return a model's name from the file's: lm-eval names folders after models."""
    folder = file.path.absolute().parent.name
    stem = DATE.sub("", PurePosixPath(file.path.name).stem)
    if "__" in folder or _GENERIC_STEM.match(stem) or stem.startswith("samples_"):
        return folder.replace("__", "/")
    return stem.strip("-_.").removeprefix("results_").removesuffix("_results") or folder


def _arguments(value: object) -> dict[str, Any]:
    """Return a model's arguments from a mapping or from `key=value,key=value`."""
    if isinstance(value, dict):
        return value
    pairs = (part.partition("=") for part in value.split(",")) if isinstance(value, str) else ()
    return {key.strip(): text.strip() for key, _, text in pairs}


def run_date(document: Document, file: LocatedFile) -> datetime | None:
    """Return when the run began, from the document or the file's name."""
    seconds = as_number(document.get("date"))
    if seconds is not None and 0 < seconds < 32_503_680_000:  # until the year 3000
        return datetime.fromtimestamp(seconds, UTC)
    return None if file.stamp is None else read_stamp(file.stamp)


def read_stamp(stamp: str) -> datetime | None:
    """Return the time that a file's name tells, taken as UTC."""
    date, _, time = stamp.partition("T")
    try:
        return datetime.fromisoformat(f"{date}T{time.replace('-', ':')}").replace(tzinfo=UTC)
    except ValueError:
        return None


def run_environment(document: Document, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what scores may depend on, for the run's record."""
    found = {key: document.get(key) for key in _ENVIRONMENT_KEYS}
    found |= {key: config.get(key) for key in _CONFIG_KEYS}
    found["model_args"] = _scalars(_arguments(config.get("model_args")))
    template = document.get("chat_template")
    found["apply_chat_template"] = None if "chat_template" not in document else bool(template)
    return {key: value for key, value in found.items() if _is_plain(value)}


def _scalars(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep plain arguments: GPT-NeoX puts whole configurations there, others their passwords."""
    return {
        key: value
        for key, value in arguments.items()
        if isinstance(value, str | int | float) and not _SECRET.search(key)
    }


def _is_plain(value: object) -> bool:
    """Tell whether a value can stand in a JSON record (which has no NaN)."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return value is not None


def as_mapping(value: object) -> dict[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_number(value: object) -> float | None:
    """Return a number; NumPy's scalars were written as text by some versions."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def as_count(value: object) -> int | None:
    """Return a count of at least 1; one that no run can have is none."""
    number = as_number(value)
    return int(number) if number is not None and 1 <= number <= MAX_COUNT else None
