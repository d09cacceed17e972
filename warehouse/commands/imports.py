"""CLI commands `import ...`; heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from warehouse.importers.contract import Imported, ImportReport, RejectedImportError
    from warehouse.ingest import IngestReport

_N_IGNORED_SHOWN = 10

ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Let different results of earlier imports be replaced.")
]
_Files = Annotated[list[Path], typer.Argument(help="CSV or Parquet files (docs/imports.md).")]
_Study = Annotated[str | None, typer.Option(help="Study of all rows.")]

import_app = typer.Typer(no_args_is_help=True, help="Bring in results that other tools produced.")


@import_app.command()
def curves(
    files: _Files,
    study: _Study = None,
    ability: Annotated[str | None, typer.Option(help="Where files name none.")] = None,
    base_model: Annotated[str | None, typer.Option(help="Where files name none.")] = None,
    data_source: Annotated[str | None, typer.Option(help="Where files name none.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Where files name none, e.g. accuracy or loss.")
    ] = None,
    higher_is_better: Annotated[
        bool | None,
        typer.Option(
            "--higher-is-better/--lower-is-better",
            help="Direction of the metrics; by default lower for losses and errors.",
            show_default=False,
        ),
    ] = None,
    replace: ReplaceOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import growth curves: study, ability, base_model, data_source, n_examples, score.

    Example: python cli.py import curves losses.csv --study mine --metric loss
    """

    def read() -> Sequence[Imported]:
        from warehouse.importers.curves import CurveOptions, read_curves
        from warehouse.importers.rows import check_name

        options = CurveOptions(
            study=check_name("--study", study),
            ability=check_name("--ability", ability),
            base_model=check_name("--base-model", base_model),
            data_source=check_name("--data-source", data_source),
            metric=check_name("--metric", metric),
            higher_is_better=higher_is_better,
        )
        return read_curves(files, options)

    run_import(workspace, read, replace=replace, json_output=json_output)


@import_app.command()
def judgments(
    files: _Files,
    study: Annotated[
        str | None, typer.Option(help="Study of all rows; else their column, else the file's name.")
    ] = None,
    replace: ReplaceOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import pairwise votes: item_id, model_a, model_b, and preference or winner.

    Example: python cli.py import judgments votes.csv --study arena
    """

    def read() -> Sequence[Imported]:
        from warehouse.importers.judgments import read_judgments
        from warehouse.importers.rows import check_name

        return read_judgments(files, study=check_name("--study", study))

    run_import(workspace, read, replace=replace, json_output=json_output)


@import_app.command()
def reference(
    name: Annotated[str, typer.Argument(help="lin2024-flan: losses of 30 models on FLAN.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import published curves that come with growthpace, to explore it at once.

    Example: python cli.py import reference lin2024-flan
    """

    def read() -> Sequence[Imported]:
        from warehouse.importers.reference import read_reference

        return read_reference(name)

    run_import(workspace, read, replace=False, json_output=json_output)


def run_import(
    workspace: Path,
    read: Callable[[], Sequence[Imported]],
    *,
    replace: bool,
    json_output: bool,
) -> None:
    """Read, land and publish an import, and print what it did.

    Parameters
    ----------
    workspace : Path
        Made if it doesn't exist and the files are good.
    read : callable
        Returns what the files hold, by study.

    Raises
    ------
    RejectedImportError
        Once its rows were printed.
    WorkError
        As above, for people.
    """
    from warehouse.importers.landed import RejectedImportError, land_all
    from warehouse.ingest import ingest
    from warehouse.workspace import open_workspace

    try:
        found = read()
        opened = open_workspace(workspace, create=True)
        reports = land_all(opened, found, replace=replace)
    except RejectedImportError as error:
        if json_output:
            print_json(
                {
                    "rejected": [
                        {
                            "file": row.file,
                            "line": row.line,
                            "value": row.value,
                            "reason": row.reason,
                        }
                        for row in error.rejected
                    ],
                    "n_rejected": error.n_rejected,
                }
            )
            raise
        raise _told(error) from error
    # Also where nothing is new: an earlier import may have been killed before it published.
    ingested = ingest(opened)
    for item in ingested.quarantined:
        print(f"Quarantined {item.file}: {item.reason}", file=sys.stderr)
    n_files = len({file.sha256 for part in found for file in part.files})
    if json_output:
        print_json(_document(reports, n_files, ingested))
        return
    _print_reports(reports, n_files, ingested)


def _told(error: RejectedImportError) -> Exception:
    """List rejected rows for people; return what is left to say."""
    from warehouse.errors import WorkError
    from warehouse.importers.contract import describe_rejected

    for row in error.rejected:
        print(describe_rejected(row), file=sys.stderr)
    shown = len(error.rejected)
    more = f", the first {shown} above" if error.n_rejected > shown else ", listed above"
    what = "row" if any(row.line is not None for row in error.rejected) else "file"
    rows = f"1 {what} was" if error.n_rejected == 1 else f"{error.n_rejected} {what}s were"
    return WorkError(f"{rows} rejected{more}; nothing was imported. Correct them and import again.")


def _document(
    reports: Sequence[ImportReport], n_files: int, ingested: IngestReport
) -> dict[str, Any]:
    """Bring an import to what `--json` prints."""
    one = reports[0] if len(reports) == 1 else None
    document: dict[str, Any] = {
        "study": one.study if one else None,
        "import_id": one.import_id if one else None,
    }
    if one is None:
        document["reason"] = "the files hold several studies; see imports"
    return document | {
        "files": n_files,
        "rows": sum(report.n_rows for report in reports),
        "new_rows": sum(report.n_new_rows for report in reports),
        "ignored": [
            {"file": part.file, "what": part.what, "reason": part.reason}
            for part in _ignored(reports)
        ],
        "imports": [
            {
                "study": report.study,
                "import_id": report.import_id,
                "rows": report.n_rows,
                "new_rows": report.n_new_rows,
            }
            for report in reports
        ],
        "snapshot": str(ingested.snapshot) if ingested.snapshot else None,
    }


def _ignored(reports: Sequence[ImportReport]) -> list[Any]:
    """Return what was ignored, each part once."""
    return list(dict.fromkeys(part for report in reports for part in report.ignored))


def _print_reports(reports: Sequence[ImportReport], n_files: int, ingested: IngestReport) -> None:
    """Print what an import did, for people."""
    from warehouse.importers.contract import printable

    for report in reports:
        new = "all known before" if not report.n_new_rows else f"{report.n_new_rows} new"
        print(f"Study {report.study}: {report.n_rows} rows, {new}.")
    ignored = _ignored(reports)
    for part in ignored[:_N_IGNORED_SHOWN]:
        print(f"Ignored in {printable(part.file)}: {printable(part.what)} ({part.reason})")
    if len(ignored) > _N_IGNORED_SHOWN:
        print(f"... and {len(ignored) - _N_IGNORED_SHOWN} more; see --json.")
    files = "1 file" if n_files == 1 else f"{n_files} files"
    print(f"Read {files}; {ingested.snapshot} is published.")
