"""The commands `export warehouse`, `export landing`, `import warehouse` and `import landing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE

_MAX_GB = 64.0

_MaxGb = Annotated[float, typer.Option("--max-gb", min=0.001, help="Refuse more than this.")]

export_app = typer.Typer(no_args_is_help=True, help="Take results elsewhere.")


@export_app.command("warehouse")
def export_warehouse(
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Write every table as Parquet for other tools, and the landing files beside them.

    Example: python cli.py export warehouse --out results-parquet
    """
    from warehouse.tables import export_warehouse as run_export
    from warehouse.workspace import open_workspace

    done = run_export(open_workspace(workspace), out)
    if json_output:
        print_json(
            {
                "folder": str(done.folder),
                "snapshot": done.snapshot,
                "rows": done.n_rows,
                "landing_files": done.n_landing_files,
            }
        )
        return
    print(
        f"Wrote {len(done.n_rows)} tables with {sum(done.n_rows.values())} rows and "
        f"{done.n_landing_files} landing files to {done.folder} (snapshot {done.snapshot})."
    )


@export_app.command("landing")
def export_landing(
    out: Annotated[Path, typer.Option(help="Archive: .tar.zst, .tar.gz or .zip.")],
    study: Annotated[
        str | None, typer.Option(help="Pack this study alone; default: all of the workspace.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Pack landing files, of all studies or one, into an archive that recreates them elsewhere.

    Example: python cli.py export landing --study quickstart --out quickstart.tar.zst
    """
    from warehouse.archive import export_landing as run_export
    from warehouse.workspace import open_workspace

    files = run_export(open_workspace(workspace), out, study=study)
    if json_output:
        print_json(
            {
                "file": str(out),
                "study": study,
                "files": len(files),
                "bytes": sum(file.size_bytes for file in files),
                "archive_bytes": out.stat().st_size,
            }
        )
        return
    print(f"Packed {len(files)} landing files into {out} ({out.stat().st_size / 1e6:.1f} MB).")


def import_warehouse(
    folder: Annotated[Path, typer.Argument(help="Folder that export warehouse wrote.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    max_gb: _MaxGb = _MAX_GB,
    json_output: JsonOption = False,
) -> None:
    """Bring back what `export warehouse` wrote: verify its landing files, land and publish them.

    Example: python cli.py import warehouse results-parquet
    """
    from warehouse.errors import InputError

    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name one that export warehouse wrote.")
    _import(folder, workspace, max_gb, json_output)


def import_landing(
    archive: Annotated[Path, typer.Argument(help="Archive that export landing wrote.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    max_gb: _MaxGb = _MAX_GB,
    json_output: JsonOption = False,
) -> None:
    """Bring back what `export landing` packed: verify every file, land and publish them.

    Example: python cli.py import landing results.tar.zst
    """
    from warehouse.errors import InputError

    if not archive.is_file():
        raise InputError(f"There is no archive {archive}; name one that export landing wrote.")
    _import(archive, workspace, max_gb, json_output)


def _import(source: Path, workspace: Path, max_gb: float, json_output: bool) -> None:
    """Land the files of an archive or folder and publish them."""
    from warehouse.archive import import_landing as run_import
    from warehouse.ingest import ingest
    from warehouse.workspace import open_workspace

    opened = open_workspace(workspace, create=True)
    done = run_import(opened, source, max_bytes=round(max_gb * 1e9))
    # Also where nothing is new: an earlier call may have been killed before it published.
    report = ingest(opened)
    snapshot = str(report.snapshot) if report.snapshot else None
    if json_output:
        print_json(
            {"files": done.n_new, "known_files": done.n_known, "ignored": [], "snapshot": snapshot}
        )
        return
    known = f", {done.n_known} were here already" if done.n_known else ""
    print(f"Landed {done.n_new} files{known}; published in {snapshot}.")
