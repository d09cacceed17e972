"""Rows of instruction files and hub data sets, each with where it stands.

JSON and CSV files are read line by line (JSON also as one list), so that a bad row is named by its
line; Parquet files and data sets of the hub are read through `datasets`.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runners.data.formats import Row
from runners.doit_format import MANIFEST_FILE
from warehouse.errors import InputError, MissingDependencyError, WorkError

_JSON = frozenset({".json", ".jsonl", ".ndjson"})
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"
_SUFFIXES = frozenset({*_JSON, *_SEPARATORS, _PARQUET})


def read_rows(source: str, split: str) -> Iterator[tuple[str, Row | InputError]]:
    """Yield (where, row) of a file, of a folder's files in name order, or of a hub data set.

    A line that can't be read is yielded as its error.

    Raises
    ------
    InputError
        If there is no such file, or a whole file can't be read.
    WorkError
        If a hub data set can't be had.
    """
    path = Path(source)
    if path.is_dir():
        files = data_files(path)
        if not files:
            raise InputError(f"{path} holds no .json, .jsonl, .csv, .tsv or .parquet file.")
        for file in files:
            yield from read_file(file)
    elif path.is_file():
        yield from read_file(path)
    elif path.suffix in _SUFFIXES or source.startswith((".", "/", "~")):
        raise InputError(f"There is no file {path}; check the path.")
    else:
        yield from _read_hub(source, split)


def data_files(folder: Path) -> list[Path]:
    """Return the files of a folder that can be read, in name order."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _SUFFIXES
        and not path.name.startswith(".")
        # What an earlier conversion says of itself.
        and path.name != MANIFEST_FILE
    )


def read_file(path: Path) -> Iterator[tuple[str, Row | InputError]]:
    """Yield the rows of a file; lines are counted from 1, rows too."""
    if path.suffix in _JSON:
        yield from _read_json(path)
        return
    if path.suffix in _SEPARATORS:
        yield from _read_csv(path)
        return
    if path.suffix != _PARQUET:
        raise InputError(
            f"{path} is no .json, .jsonl, .csv, .tsv or .parquet file; rename or convert it."
        )
    load_dataset = _import_loader()
    from datasets.exceptions import DatasetGenerationError

    try:
        rows = load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        for number, row in enumerate(rows, start=1):
            yield f"{path}, row {number}", row
    except (DatasetGenerationError, ValueError, OSError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} can't be read as parquet ({first[0]:.200}).") from error


def _import_loader() -> Any:
    """Return what reads them."""
    try:
        from datasets import load_dataset
        from datasets.utils.logging import set_verbosity
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet files and hub data sets need the extra train: pip install -e '.[train]'."
        ) from error
    # What it logs before it raises is said once, by the error.
    set_verbosity(logging.CRITICAL)
    return load_dataset


def _read_csv(path: Path) -> Iterator[tuple[str, Row | InputError]]:
    """Yield the rows of a CSV file; all cells are text, since answers such as 4 or NA are."""
    # The default of 128 kB is less than some answers have.
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = csv.reader(handle, delimiter=_SEPARATORS[path.suffix], strict=True)
            names = next(rows, [])
            if len(set(names)) < len(names):
                raise InputError(f"{path}: two columns have one name; rename one.")
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                if len(row) == len(names):
                    yield where, dict(zip(names, row, strict=True))
                elif row:
                    yield (
                        where,
                        InputError(
                            f"{where}: {len(row)} cells in a table of {len(names)} columns; put "
                            "cells that hold a separator in quotes."
                        ),
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} can't be read as {path.suffix[1:]} ({error}); save it as UTF-8, cells with "
            "quotes or line breaks in quotes."
        ) from error


def _read_json(path: Path) -> Iterator[tuple[str, Row | InputError]]:
    """Yield the rows of JSON lines, or of a file that holds one list."""
    try:
        with path.open("rb") as handle:
            start = handle.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            handle.seek(0)
            if start == b"[":
                yield from _read_list(path, handle.read())
                return
            for number, raw in enumerate(handle, start=1):
                if raw.strip():
                    where = f"{path}, line {number}"
                    try:
                        yield where, _as_row(_load_json(raw, where), where)
                    except InputError as error:
                        yield where, error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); check the path.") from error


def _read_list(path: Path, raw: bytes) -> Iterator[tuple[str, Row | InputError]]:
    """Yield the entries of a file that holds one JSON list."""
    rows = _load_json(raw, str(path))
    for number, row in enumerate(rows, start=1):
        where = f"{path}, entry {number}"
        try:
            yield where, _as_row(row, where)
        except InputError as error:
            yield where, error


def _load_json(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); use one JSON object per line.") from error


def _as_row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a {type(value).__name__} instead of a JSON object.")
    return value


def _read_hub(name: str, split: str) -> Iterator[tuple[str, Row | InputError]]:
    """Yield the rows of a hub data set."""
    load_dataset = _import_loader()
    from datasets.exceptions import DatasetNotFoundError
    from httpx2 import HTTPError
    from huggingface_hub.utils.logging import set_verbosity_error

    try:
        # Its retries say no more than the error does in the end.
        set_verbosity_error()
        rows = load_dataset(name, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            yield f"{name}, {split}, row {number}", row
    except (DatasetNotFoundError, HTTPError, OSError, ValueError) as error:
        raise WorkError(
            f"{name!r} is neither a file or folder here nor a data set that could be had from the "
            f"hub ({type(error).__name__}); check the name, --split and the connection."
        ) from error
