"""`export figures`: all figures of a study at print size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dashboard.commands.export_report import MetricOption, SnapshotOption, StudyOption
from dashboard.commands.options import JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE


def export_figures(
    out: Annotated[Path, typer.Option(help="Folder to write; new, or of an earlier export.")],
    study: StudyOption = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats, with commas: pdf, svg, png, html.")
    ] = "pdf,svg,png",
    preset: Annotated[
        str,
        typer.Option(help="Width: acl, acl-wide, neurips, icml, icml-wide or slides."),
    ] = "acl-wide",
    dpi: Annotated[float, typer.Option(help="Dots an inch of PNGs.")] = 300,
    titles: Annotated[
        bool, typer.Option("--titles", help="Write the finding inside each figure.")
    ] = False,
    metric: MetricOption = None,
    base_model: Annotated[
        str | None, typer.Option(help="Figures of this base model alone; default: all of them.")
    ] = None,
    snapshot: SnapshotOption = "latest",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Write a study's figures at print size, with captions, numbers and where they come from.

    Example: python cli.py export figures --study quickstart --preset acl --out figures
    """
    import contextlib
    import json

    from dashboard.export.collect import build_figure_set
    from dashboard.export.figure_files import check_folder, read_figure_options, write_figures
    from dashboard.export.provenance import describe_provenance
    from dashboard.export.read_study import load_study_evidence
    from warehouse.errors import InputError
    from warehouse.snapshots import pin_snapshot
    from warehouse.workspace import open_workspace

    options = read_figure_options(preset, formats, dpi, titles=titles)
    place = open_workspace(workspace)
    check_folder(out, options)
    evidence = load_study_evidence(
        place, study, snapshot=snapshot, metric=metric, base_model=base_model, tell=_tell
    )
    index = write_figures(
        build_figure_set(evidence, options.preset.page),
        out,
        options,
        describe_provenance(evidence.snapshot_id, evidence.study, evidence.settings, sys.argv[1:]),
        tell=lambda name: _tell(f"drawing {name}"),
    )
    # Kept from the clean-up; a workspace that can't be written to is no error.
    with contextlib.suppress(OSError, InputError):
        pin_snapshot(place, evidence.snapshot_id, cited_by=str(out))
    if json_output:
        document = {"folder": str(out), **index}
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    print(
        f"Wrote {len(index['figures'])} figures in {len(index['files'])} files to {out}; "
        "see figures.md there."
    )
    for one in index["missing"]:
        print(f"Not in the data: {one['name']}, since {one['reason']}.")


def _tell(text: str) -> None:
    """Say on stderr what takes its time."""
    print(f"{text} ...", file=sys.stderr)
