"""Finds the files of lm-eval below the paths of an import, and reads what they are.

lm-eval wrote its results under many names: `results_<date>.json`, `results.json`, any name that a
user gave, samples as JSON lines and, up to 0.4.2, as one JSON list. Content decides.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse.errors import InputError
from warehouse.importers.contract import RejectedRow, printable
from warehouse.records import IgnoredPart, ImportedFile

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?")

_START_BYTES = 4096
_SAMPLE_KEYS = frozenset({"doc_id", "doc", "target", "arguments", "resps", "filtered_resps"})
_RESULT_SIGNS = frozenset(
    {
        "versions",
        "config",
        "configs",
        "n-shot",
        "higher_is_better",
        "group_subtasks",
        "n-samples",
        "lm_eval_version",
    }
)

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LocatedFile:
    """A file of an import: `name` is how messages and records call it."""

    path: Path
    name: str

    @property
    def stamp(self) -> str | None:
        """The time stamp in the file's name, which results and samples of one run share."""
        found = DATE.findall(self.path.name)
        return found[-1] if found else None


@dataclass(kw_only=True)
class Findings:
    """What reading the files brought up beside their scores; filled by every step."""

    files: dict[str, ImportedFile] = field(default_factory=dict)
    ignored: list[IgnoredPart] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def ignore(self, file: str, what: object, reason: str) -> None:
        """List a part that is no score, or is not wanted."""
        self.ignored.append(IgnoredPart(file=file, what=printable(what), reason=reason))

    def reject(self, file: str, line: int | None, value: object, reason: str) -> None:
        """List a fault; one is enough to reject the import."""
        self.rejected.append(
            RejectedRow(file=file, line=line, value=printable(value), reason=reason)
        )

    def add_file(self, file: LocatedFile, content: bytes) -> None:
        """Note that a file was read."""
        digest = hashlib.sha256(content).hexdigest()
        self.files[file.name] = ImportedFile(name=file.name, sha256=digest, n_rows=0)

    def count_rows(self, file: str, n_rows: int) -> None:
        """Note how many rows of a file were taken."""
        known = self.files[file]
        self.files[file] = known.model_copy(update={"n_rows": known.n_rows + n_rows})


def find_files(
    paths: Sequence[Path], findings: Findings
) -> Iterator[tuple[LocatedFile, Document | None]]:
    """Yield each results file with its document and each samples file with None; list others.

    One document at a time: a folder may hold thousands.

    Raises
    ------
    InputError
        If a path does not exist or can't be read.
    """
    for file, is_named in _walk(paths):
        try:
            if file.path.suffix == ".jsonl":
                if _starts_like_samples(file.path):
                    yield file, None
                elif is_named or file.path.name.startswith("samples_"):
                    start = _start(file.path)[:80]
                    findings.reject(file.name, 1, start, "is no sample of lm-eval; leave it out.")
                else:
                    findings.ignore(file.name, "file", "JSON lines that are no samples of lm-eval")
                continue
            document = _read_results(file, is_named, findings)
        except OSError as error:
            raise InputError(f"{file.path} can't be read ({error.strerror}).") from error
        if document is not None:
            yield file, document


def _walk(paths: Sequence[Path]) -> Iterator[tuple[LocatedFile, bool]]:
    """Yield each JSON file once, in name order, and whether the user named it."""
    seen: set[Path] = set()
    names: set[str] = set()
    for root in paths:
        if not root.exists():
            raise InputError(f"{root} does not exist; name files or folders that lm-eval wrote.")
        inside = [root] if root.is_file() else sorted(root.rglob("*.json*"))
        for path in inside:
            resolved = path.resolve()
            if resolved in seen or not path.is_file() or path.suffix not in {".json", ".jsonl"}:
                continue
            seen.add(resolved)
            name = path.name
            if path != root:
                name = f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
            # Two roots may hold files of the same relative name.
            name = name if name not in names else path.as_posix()
            names.add(name)
            yield LocatedFile(path=path, name=name), path == root


def _start(path: Path) -> str:
    """Return the first characters of a file."""
    with path.open("rb") as handle:
        return handle.read(_START_BYTES).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def _starts_like_samples(path: Path) -> bool:
    """Tell whether a file begins like a list or lines of samples."""
    return sum(f'"{key}"' in _start(path) for key in _SAMPLE_KEYS) >= 2


def _read_results(file: LocatedFile, is_named: bool, findings: Findings) -> Document | None:
    """Return the document of a results file, or list why it is none."""
    content = file.path.read_bytes()
    must_be = is_named or file.path.name.startswith("results_") or b'"results"' in content[:200]
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if must_be:
            line = getattr(error, "lineno", None)
            findings.reject(
                file.name,
                line,
                printable(error),
                "the file is not JSON; it may be cut short: write it anew or leave it out.",
            )
        else:
            findings.ignore(file.name, "file", "not JSON")
        return None
    reason = _why_no_results(document)
    if reason is None:
        findings.add_file(file, content)
        return document if "results" in document else {"results": document}
    if is_named:
        findings.reject(file.name, None, "file", f"{reason}; leave it out.")
    else:
        findings.ignore(file.name, "file", reason)
    return None


def _why_no_results(document: object) -> str | None:
    """Return why a JSON document holds no results of lm-eval; None if it does."""
    if isinstance(document, list):
        first = document[0] if document else None
        if isinstance(first, dict) and {"doc_id", "truth"} <= set(first):
            return "items that lm-eval 0.3 wrote out; their results file holds the scores"
        return "a JSON list, no results of lm-eval"
    if not isinstance(document, dict):
        return "no results of lm-eval"
    if "config_general" in document:
        return "results of lighteval, not of lm-eval"
    results = document.get("results", document)
    rows = list(results.values()) if isinstance(results, dict) else results
    if not isinstance(rows, list):
        return "no results of lm-eval"
    if "results" in document and set(document) & _RESULT_SIGNS:
        return None
    # A bare table of tasks: only lm-eval's own spelling of standard errors tells it apart.
    for row in rows:
        if isinstance(row, dict) and any("_stderr" in key for key in row):
            return None
    return "no results of lm-eval"
