"""A folder of figures: every figure in every format, its numbers, its caption, and an index.

The folder appears in one step, complete. An earlier export of figures is replaced as a whole; a
folder that holds anything else is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.charts.tables import to_csv
from dashboard.export.figure_set import FigureSet, PaperFigure
from dashboard.export.paper import Preset, suit_paper
from dashboard.export.provenance import Provenance
from dashboard.export.render import (
    NO_BROWSER,
    PLOTLY_FILE,
    FigureFormat,
    find_browser,
    plotly_script,
    render_print,
)
from dashboard.export.tables_write import escape_markdown
from warehouse.errors import InputError, WorkError

INDEX, PAGE = "figures.json", "figures.md"


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """How figures are written.

    Attributes
    ----------
    preset : Preset
        Where they will stand.
    formats : tuple of FigureFormat
        At least one.
    dpi : float
        Dots an inch of PNGs.
    titles : bool
        Whether the finding stands inside each figure.
    """

    preset: Preset
    formats: tuple[FigureFormat, ...]
    dpi: float = 300
    titles: bool = False


def read_figure_options(preset: str, formats: str, dpi: float, *, titles: bool) -> FigureOptions:
    """Return what options of the command line ask for.

    Parameters
    ----------
    preset : str
        Name of a preset.
    formats : str
        Formats with commas between them.
    dpi : float
        From 30 to 1200.

    Raises
    ------
    InputError
        If a name is unknown or the number out of range.
    """
    if preset not in set(Preset):
        raise InputError(f"--preset {preset!r} is unknown; known: {', '.join(Preset)}.")
    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(FigureFormat)]
    if unknown or not names:
        said = repr(unknown[0]) if unknown else "without a name"
        raise InputError(f"--format {said} is unknown; known: {', '.join(FigureFormat)}.")
    if not 30 <= dpi <= 1200:
        raise InputError(f"--dpi is {dpi:g}; give a number from 30 to 1200.")
    return FigureOptions(
        preset=Preset(preset),
        formats=tuple(FigureFormat(name) for name in dict.fromkeys(names)),
        dpi=dpi,
        titles=titles,
    )


def check_folder(out: Path, options: FigureOptions) -> None:
    """Refuse what would fail at the end, before anything is computed.

    Raises
    ------
    InputError
        If the folder holds anything but an earlier export of figures, or can't be made.
    WorkError
        If a format needs a browser and there is none.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder.")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if foreign := sorted(found - _known(out)):
        raise InputError(
            f"--out {out} holds files that no export of figures wrote ({foreign[0]}); name a new "
            "folder."
        )
    if set(options.formats) - {FigureFormat.HTML} and find_browser() is None:
        raise WorkError(NO_BROWSER)


def write_figures(
    figures: FigureSet,
    out: Path,
    options: FigureOptions,
    provenance: Provenance,
    *,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Draw and write all figures; return the index, as `figures.json` holds it.

    Parameters
    ----------
    figures : FigureSet
        Laid out for the preset's page (`dashboard.export.collect.build_figure_set`).
    out : Path
        Folder; see `check_folder`.
    tell : callable
        Gets the name of each figure before it is drawn.

    Raises
    ------
    InputError
        If the folder can't be made or holds something else.
    WorkError
        If a figure can't be drawn, or the disk is full; the folder is as it was.
    """
    out = out.absolute()
    check_folder(out, options)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    except OSError as error:
        raise InputError(f"--out {out} can't be made ({error.strerror}).") from error
    try:
        entries = []
        for figure in figures.figures:
            tell(figure.name)
            entries.append(_write_figure(figure, temporary, options, provenance))
        index = {
            **provenance.document(),
            "provenance": provenance.line(),
            "preset": options.preset.value,
            "width_inches": round(options.preset.page.width_inches, 3),
            "formats": [one.value for one in options.formats],
            "dpi": options.dpi,
            "titles": options.titles,
            "figures": entries,
            "missing": [{"name": one.name, "reason": one.reason} for one in figures.missing],
        }
        shared = [PLOTLY_FILE] if FigureFormat.HTML in options.formats else []
        for name in shared:
            (temporary / name).write_text(plotly_script(), "utf-8")
        index["files"] = sorted(
            [INDEX, PAGE, *shared, *(name for one in entries for name in one["files"])]
        )
        (temporary / PAGE).write_text(_page(index), "utf-8")
        text = json.dumps(index, indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / INDEX).write_text(f"{text}\n", "utf-8")
        _replace(temporary, out)
    except OSError as error:
        raise WorkError(f"--out {out} can't be written ({error}).") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return index


def _write_figure(
    figure: PaperFigure, folder: Path, options: FigureOptions, provenance: Provenance
) -> dict[str, Any]:
    """Write one figure in all formats with its numbers and caption; return its entry."""
    printed = suit_paper(figure.draw(), options.preset.page, title=options.titles)
    files: dict[str, bytes] = {
        f"{figure.name}.{kind.value}": content
        for kind, content in render_print(printed, options.formats, dpi=options.dpi).items()
    }
    files[f"{figure.name}.csv"] = to_csv(figure.table()).encode()
    files[f"{figure.name}.txt"] = f"{figure.caption}\n\n{provenance.line()}\n".encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "width_points": round(printed.width_points, 2),
        "height_points": round(printed.height_points, 2),
        "files": sorted(files),
    }


def _known(out: Path) -> set[str]:
    """Return the files that an earlier export wrote; nothing without its index."""
    try:
        return set(json.loads((out / INDEX).read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(new: Path, out: Path) -> None:
    """Put a folder in the place of another."""
    new.chmod(0o755)
    os.sync()
    with contextlib.ExitStack() as stack:
        if out.is_dir():
            old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".old"))
            out.replace(old)
            stack.callback(shutil.rmtree, old, ignore_errors=True)
        new.replace(out)


def _page(index: dict[str, Any]) -> str:
    """Return the index for readers: figures with captions, then what is missing and why."""
    lines = [f"# Figures of {escape_markdown(index['study'])}", ""]
    for one in index["figures"]:
        lines += [f"## {one['name']}", ""]
        shown = _first(one["files"], (".png", ".svg"))
        lines += [f"![{one['name']}]({shown})", ""] if shown else []
        lines += [escape_markdown(one["caption"]), ""]
        lines += [", ".join(f"[{name}]({name})" for name in one["files"]), ""]
    if index["missing"]:
        lines += ["## Not in the data", ""]
        lines += [f"- {one['name']}: {escape_markdown(one['reason'])}." for one in index["missing"]]
        lines.append("")
    return "\n".join([*lines, escape_markdown(index["provenance"]), ""])


def _first(names: Sequence[str], suffixes: Sequence[str]) -> str | None:
    """Return the first name with the first suffix that any has."""
    return next((name for suffix in suffixes for name in names if name.endswith(suffix)), None)
