"""`export tables` and `export report`: a study's results for a paper, and for a colleague."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashboard.commands.options import JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.export.provenance import Provenance
    from dashboard.export.study_evidence import StudyEvidence
    from dashboard.export.study_records import StudyRecords
    from warehouse.workspace import Workspace

StudyOption = Annotated[str | None, typer.Option(help="Study; default: the one planned last.")]
SnapshotOption = Annotated[str, typer.Option(help="Snapshot: an id, the start of one, or latest.")]
MetricOption = Annotated[
    str | None, typer.Option(help="Metric; default: each ability's primary one.")
]
LevelOption = Annotated[float, typer.Option(help="Level of the intervals.")]
ReplicatesOption = Annotated[int, typer.Option(help="Bootstrap replicates.")]


def export_tables(
    out: Annotated[Path, typer.Option(help="Folder to write; new, or of an earlier export.")],
    study: StudyOption = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats, with commas: latex, md, csv.")
    ] = "latex,md,csv",
    metric: MetricOption = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    snapshot: SnapshotOption = "latest",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Write a study's tables: scores, fits, tests with corrections, settings and compute.

    Example: python cli.py export tables --study quickstart --out tables
    """
    import json

    from dashboard.export.tables_study import study_tables
    from dashboard.export.tables_write import check_folder, read_formats, table_files, write_tables

    wanted = read_formats(formats)
    check_folder(out)
    place, evidence, records, provenance = _load(
        workspace, study, snapshot, metric, level, replicates
    )
    tables = study_tables(evidence, records)
    files = table_files(tables, wanted, study=evidence.study, provenance=provenance.line())
    document = {
        "folder": str(out),
        "provenance": provenance.document(),
        "tables": [
            {"name": one.name, "caption": one.caption, "rows": len(one.rows)}
            for one in tables.tables
        ],
        "missing": [{"name": one.name, "reason": one.reason} for one in tables.missing],
        "files": sorted(files),
    }
    write_tables(out, files, document)
    _cite(place, evidence.snapshot_id, out)
    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    print(f"Wrote {len(tables.tables)} tables in {len(files)} files to {out}.")
    for one in tables.missing:
        print(f"Not in the data: {one.name}, since {one.reason}.")


def export_report(
    out: Annotated[Path, typer.Option(help="Report to write; ends in .html.")],
    study: StudyOption = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Also write this .zip, with all that makes the report again."),
    ] = None,
    landing: Annotated[
        Path | None,
        typer.Option(help="Import this archive of export landing into the workspace first."),
    ] = None,
    metric: MetricOption = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    snapshot: SnapshotOption = "latest",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Write one self-contained HTML report of a study: findings, figures, tables, methods, limits.

    Example: python cli.py export report --study quickstart --out report.html --bundle report.zip
    """
    import json

    from dashboard.export.bundle import write_bundle
    from dashboard.export.collect import build_figure_set
    from dashboard.export.report import REPORT_PAGE, list_commands, write_report
    from dashboard.export.tables_study import study_tables
    from dashboard.export.tables_write import TableFormat, table_files
    from warehouse.landing import write_atomically

    _check_file("--out", out, ".html")
    if bundle is not None:
        _check_file("--bundle", bundle, ".zip")
    if landing is not None:
        _bring(landing, workspace)
    place, evidence, records, provenance = _load(
        workspace, study, snapshot, metric, level, replicates
    )

    options = ["--study", evidence.study]
    options += [] if metric is None else ["--metric", metric]
    options += [] if level == 0.95 else ["--level", f"{level:g}"]
    options += [] if replicates == 1000 else ["--replicates", str(replicates)]
    tables = study_tables(evidence, records)
    _tell("drawing figures")
    figures = build_figure_set(evidence, REPORT_PAGE)
    text = write_report(
        evidence,
        records,
        figures,
        tables,
        provenance,
        list_commands(evidence, records, provenance, options),
    )
    write_atomically(out, lambda target: target.write_text(text, "utf-8"))
    missing = [(one.name, one.reason) for one in figures.missing]
    missing += [(one.name, one.reason) for one in tables.missing]
    document = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "provenance": provenance.document(),
        "figures": [one.name for one in figures.figures],
        "tables": [one.name for one in tables.tables],
        "missing": [{"name": name, "reason": reason} for name, reason in missing],
        "bundle": None,
        "bundle_bytes": None,
    }
    if bundle is not None:
        _tell("packing the bundle")
        document["bundle_bytes"] = write_bundle(
            bundle,
            place,
            report=text,
            records=records,
            figures=figures,
            tables=table_files(
                tables, list(TableFormat), study=evidence.study, provenance=provenance.line()
            ),
            provenance=provenance,
            options=options,
        )
        document["bundle"] = str(bundle)
    _cite(place, evidence.snapshot_id, out)
    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    print(
        f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB): {len(figures.figures)} figures, "
        f"{len(tables.tables)} tables; {len(missing)} are not in the data, with the "
        "reasons in it."
    )
    if bundle is not None:
        print(
            f"Wrote {bundle} ({bundle.stat().st_size / 1e6:.1f} MB), with the landing files of the "
            "study."
        )


def _bring(archive: Path, workspace: Path) -> None:
    """Land and publish what an archive holds, as `import landing` does."""
    from warehouse.archive import import_landing
    from warehouse.errors import InputError
    from warehouse.ingest import ingest
    from warehouse.workspace import open_workspace

    if not archive.is_file():
        raise InputError(f"--landing {archive}: there is no such file.")
    place = open_workspace(workspace, create=True)
    _tell("importing the archive")
    import_landing(place, archive)
    ingest(place)


def _load(
    workspace: Path,
    study: str | None,
    snapshot: str,
    metric: str | None,
    level: float,
    replicates: int,
) -> tuple[Workspace, StudyEvidence, StudyRecords, Provenance]:
    """Read a study and compute what is not known of it yet."""
    from dashboard.analysis import FitSettings
    from dashboard.export.provenance import describe_provenance
    from dashboard.export.read_study import load_study_evidence
    from dashboard.export.study_records import load_study_records
    from warehouse.workspace import open_workspace

    place = open_workspace(workspace)
    settings = FitSettings(level=level, n_replicates=replicates)
    evidence = load_study_evidence(
        place, study, snapshot=snapshot, metric=metric, settings=settings, tell=_tell
    )
    records = load_study_records(place, evidence.snapshot_id, evidence.study)
    provenance = describe_provenance(evidence.snapshot_id, evidence.study, settings, sys.argv[1:])
    return place, evidence, records, provenance


def _check_file(option: str, path: Path, suffix: str) -> None:
    """Refuse a file that could not be written, before anything is computed."""
    from warehouse.errors import InputError

    if path.suffix.lower() != suffix:
        raise InputError(f"{option} {path}: the file's name must end in {suffix}.")
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.absolute().parent}.")


def _cite(workspace: Workspace, snapshot_id: str, out: Path) -> None:
    """Keep the snapshot that an export cites; a workspace that can't be written to is no error."""
    import contextlib

    from warehouse.errors import InputError
    from warehouse.snapshots import pin_snapshot

    with contextlib.suppress(OSError, InputError):
        pin_snapshot(workspace, snapshot_id, cited_by=str(out))


def _tell(text: str) -> None:
    """Say on stderr what takes its time."""
    print(f"{text} ...", file=sys.stderr)
