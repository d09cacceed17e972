"""`data convert`: common instruction formats into the DoIT format (see `formats` and `rows`)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.data.formats import Format, Row, RowError, read_item_fields, read_messages
from runners.data.label import Labeller
from runners.data.rows import data_files, read_rows
from runners.doit_format import MANIFEST_FILE, Item, parse_document
from runners.sft_data import item_document
from warehouse.errors import InputError
from warehouse.landing import write_atomically
from warehouse.records import UNLABELLED


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What came of a conversion.

    Attributes
    ----------
    n_rows, n_items : int
        Rows read and items written.
    by_ability : dict of str to int
    skipped : tuple of str
        Why rows were left out, one sentence each, in order; empty unless that was asked for.
    n_system_prompts : int
        Items with a system prompt before their first question.
    """

    folder: Path
    n_rows: int
    n_items: int
    by_ability: dict[str, int]
    by_format: dict[str, int]
    n_system_prompts: int
    skipped: tuple[str, ...]


def convert_data(
    source: str,
    folder: Path,
    labeller: Labeller,
    *,
    form: Format = Format.AUTO,
    split: str = "train",
    skip_bad: bool = False,
    require_labels: bool = False,
) -> Conversion:
    """Write a source's conversations to a new folder, a file for each ability.

    Parameters
    ----------
    source : str
        A .json, .jsonl, .csv, .tsv or .parquet file, a folder of them, or a hub data set's id.
    folder : Path
        Must not exist yet or be empty; appears when it is complete.
    split : str
        Part of a hub data set.
    skip_bad : bool
        Leave bad rows out instead of stopping at the first.
    require_labels : bool
        Stop at a row that nothing labels.

    Raises
    ------
    InputError
        If the source or a row can't be read (file and line are named) or the folder is not empty.
    WorkError
        If a hub data set can't be had.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty; name a new folder, nothing is overwritten.")
    items: dict[str, list[Item]] = {}
    forms: Counter[str] = Counter()
    skipped: list[str] = []
    n_rows = n_system = 0
    for where, row in read_rows(source, split):
        n_rows += 1
        try:
            if isinstance(row, InputError):
                raise row
            found, item, has_system = _convert_row(row, where, form, labeller)
        except InputError as error:
            if not skip_bad:
                raise
            skipped.append(str(error))
            continue
        if require_labels and item.ability == UNLABELLED:
            raise InputError(
                f"{where}: nothing labels this row; add a rule or a default, or leave out "
                "--require-labels."
            )
        forms[found] += 1
        n_system += has_system
        items.setdefault(item.ability, []).append(item)
    if not items:
        raise InputError(f"{source} holds no row that can be converted.")
    result = Conversion(
        folder=folder,
        n_rows=n_rows,
        n_items=sum(len(some) for some in items.values()),
        by_ability={ability: len(some) for ability, some in sorted(items.items())},
        by_format=dict(sorted(forms.items())),
        n_system_prompts=n_system,
        skipped=tuple(skipped),
    )
    _write(folder, items, source, result)
    return result


def _convert_row(
    row: Row, where: str, form: Format, labeller: Labeller
) -> tuple[Format, Item, bool]:
    """Return a row's format, its item, and whether it had a system prompt."""
    try:
        found, messages, has_system = read_messages(row, form)
    except RowError as error:
        raise InputError(f"{where}: {error}") from error
    question = "\n".join(m["content"] for m in messages if m["role"] == "user")
    ability = labeller.label(row, question)
    document = {"messages": messages, "type": ability, **read_item_fields(row, found)}
    # A row that names its rule is one to be scored, and must have what the rule needs.
    item = parse_document(document, where, scored="scoring_rule" in document)
    return found, item, has_system


def _write(folder: Path, items: Mapping[str, list[Item]], source: str, result: Conversion) -> None:
    """Write all files beside the folder, then move them there in one step."""
    manifest = {
        "made_by": "data convert",
        "source": _describe_source(source),
        "by_ability": result.by_ability,
        "n_skipped": len(result.skipped),
    }
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for ability, some in sorted(items.items()):
            text = "".join(
                json.dumps(item_document(item), ensure_ascii=False) + "\n" for item in some
            )
            _write_text(partial / f"{ability}_converted.jsonl", text)
        _write_text(partial / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda target: target.write_text(text, "utf-8"))


def _describe_source(source: str) -> dict[str, object]:
    """Name a source's files and their hashes; of a hub data set its id."""
    path = Path(source)
    if not path.exists():
        return {"hub": source}
    return {
        file.name: _hash_file(file) for file in ([path] if path.is_file() else data_files(path))
    }


def _hash_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
