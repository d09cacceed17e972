"""Tables as files: LaTeX, Markdown and CSV, with an index; written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from dashboard.charts.tables import to_csv
from dashboard.export.latex import document_latex, table_latex
from dashboard.export.tables import Missing, PaperTable, TableSet, note_lines
from warehouse.errors import InputError, WorkError
from warehouse.landing import write_atomically

DOCUMENT = "tables.tex"
PAGE = "tables.md"
INDEX = "tables.json"
_OF_LATEX = frozenset({"tables.aux", "tables.log", "tables.pdf"})
"""What pdflatex leaves when someone looks at the tables."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


class TableFormat(StrEnum):
    """Formats that tables can be written in."""

    LATEX = "latex"
    MD = "md"
    CSV = "csv"


def read_formats(text: str) -> list[TableFormat]:
    """Return the formats of "latex,csv".

    Raises
    ------
    InputError
        If one is unknown or none is named.
    """
    names = [name for name in (part.strip() for part in text.lower().split(",")) if name]
    for name in names or [text]:
        if name not in set(TableFormat):
            known = ", ".join(TableFormat)
            raise InputError(f"--format {name!r} is no format of tables; known: {known}.")
    return [TableFormat(name) for name in dict.fromkeys(names)]


def check_folder(out: Path) -> set[str]:
    """Return the files that an earlier export left in a folder.

    Raises
    ------
    InputError
        If the folder holds anything else, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder.")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    try:
        known = set(json.loads((out / INDEX).read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    if foreign := sorted(found - known - {INDEX} - _OF_LATEX):
        raise InputError(
            f"--out {out} holds files that no export of tables wrote ({foreign[0]}); "
            "name a new folder."
        )
    return found & known


def write_tables(out: Path, files: Mapping[str, str], index: Mapping[str, Any]) -> None:
    """Write files and their index into a folder, each whole or not at all.

    Files of an earlier export into the same folder are replaced; those it had more are removed.

    Raises
    ------
    InputError
        If the folder holds anything else.
    WorkError
        If it can't be written.
    """
    earlier = check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        # The index first with the old names too: a killed export leaves no file that is foreign.
        _write(out / INDEX, _as_json({**index, "files": sorted({*files, *earlier})}))
        for name, text in files.items():
            _write(out / name, text)
        for name in earlier - files.keys():
            (out / name).unlink(missing_ok=True)
        _write(out / INDEX, _as_json(index))
    except OSError as error:
        raise WorkError(f"--out {out} can't be written ({error}).") from error


def _as_json(document: Mapping[str, Any]) -> str:
    """Return a JSON document as text."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    """Write one file in one step."""
    write_atomically(path, lambda target: target.write_text(text, "utf-8"))


def table_files(
    tables: TableSet, formats: Sequence[TableFormat], *, study: str, provenance: str
) -> Mapping[str, str]:
    """Return the text of every file by its name.

    Parameters
    ----------
    formats : sequence of TableFormat
        LaTeX gives a file a table, and `tables.tex` that shows them all; Markdown one page with
        all tables; CSV a file a table, with the numbers as computed.
    """
    files: dict[str, str] = {}
    if TableFormat.LATEX in formats:
        for table in tables.tables:
            files[f"{table.name}.tex"] = table_latex(table, provenance)
        files[DOCUMENT] = document_latex(f"{study}: tables", provenance, list(files))
    if TableFormat.MD in formats:
        files[PAGE] = _page(tables, study, provenance)
    if TableFormat.CSV in formats:
        files |= {f"{table.name}.csv": to_csv(table.data) for table in tables.tables}
    return files


def escape_markdown(text: str) -> str:
    """Return Markdown that shows `text` literally, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def table_markdown(table: PaperTable) -> str:
    """Return a table as Markdown, its caption before and its notes after it."""
    marks = table.notes()

    def cell(value: str | Missing) -> str:
        if isinstance(value, Missing):
            return f"\N{EN DASH}<sup>{marks[value.reason]}</sup>"
        return escape_markdown(value)

    columns = range(len(table.headings))
    rule = ["--:" if table.is_number(column) else ":--" for column in columns]
    lines = [[escape_markdown(one) for one in table.headings], rule]
    lines += [[cell(value) for value in row] for row in table.rows]
    notes = [f"<sup>{mark}</sup> {escape_markdown(reason)}  " for mark, reason in note_lines(table)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(
        [escape_markdown(table.caption), body, *(["\n".join(notes)] if notes else [])]
    )


def _page(tables: TableSet, study: str, provenance: str) -> str:
    """Return all tables as one page, then those that the data can't give."""
    parts = [f"# {escape_markdown(study)}: tables", escape_markdown(provenance)]
    for table in tables.tables:
        parts += [f"## {table.name}", table_markdown(table)]
    if tables.missing:
        parts.append("## Not in the data")
        parts.append(
            "\n".join(f"- {one.name}: {escape_markdown(one.reason)}." for one in tables.missing)
        )
    return "\n\n".join(parts) + "\n"
