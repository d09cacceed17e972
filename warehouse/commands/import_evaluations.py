"""The commands `import lm-eval`, `import helm` and `import inspect`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.commands.imports import ReplaceOption, run_import
from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from warehouse.importers.contract import Imported
    from warehouse.importers.mapping import Mapping

_MappingOption = Annotated[
    Path | None, typer.Option(help="YAML file: abilities of tasks, volumes of models.")
]
_StudyOption = Annotated[str, typer.Option(help="Study that the results belong to.")]


def lm_eval(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders that lm-eval wrote.")],
    mapping: _MappingOption = None,
    write_mapping: Annotated[
        Path | None,
        typer.Option(help="Write a mapping file of what is found, to edit; import nothing."),
    ] = None,
    study: _StudyOption = "lm-eval",
    replace: ReplaceOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import results and samples of lm-eval 0.3 to 0.4.13.

    Example: python cli.py import lm-eval evals/ --mapping mapping.yaml --study my-runs
    """
    if write_mapping is not None:
        _write_template(paths, write_mapping, json_output)
        return

    def read(found: Mapping) -> Imported:
        from warehouse.importers.lm_eval import read_lm_eval

        return read_lm_eval(paths, study=study, mapping=found)

    run_import(workspace, _reader(read, study, mapping), replace=replace, json_output=json_output)


def helm(
    paths: Annotated[list[Path], typer.Argument(help="Run folders of HELM, or folders of them.")],
    helm_python: Annotated[
        Path | None, typer.Option(help="Python of the environment that has crfm-helm.")
    ] = None,
    mapping: _MappingOption = None,
    study: _StudyOption = "helm",
    replace: ReplaceOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import runs of HELM, read by HELM in an environment of its own.

    Example: python cli.py import helm benchmark_output/runs/v1 --helm-python helm-env/bin/python
    """

    def read(found: Mapping) -> Imported:
        from warehouse.importers.helm import read_helm

        return read_helm(paths, study=study, mapping=found, python=helm_python)

    run_import(workspace, _reader(read, study, mapping), replace=replace, json_output=json_output)


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Logs of inspect_ai, or folders of them.")],
    mapping: _MappingOption = None,
    study: _StudyOption = "inspect",
    replace: ReplaceOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Import logs of inspect_ai, .eval or .json (needs the extra `inspect`).

    Example: python cli.py import inspect logs/
    """

    def read(found: Mapping) -> Imported:
        from warehouse.importers.inspect_logs import read_inspect

        return read_inspect(paths, study=study, mapping=found)

    run_import(workspace, _reader(read, study, mapping), replace=replace, json_output=json_output)


def _reader(
    read: Callable[[Mapping], Imported], study: str, mapping: Path | None
) -> Callable[[], Sequence[Imported]]:
    """Return what reads the files once the options are checked."""

    def read_all() -> Sequence[Imported]:
        from warehouse.importers.mapping import read_mapping
        from warehouse.importers.rows import check_name

        check_name("--study", study)
        return [read(read_mapping(mapping))]

    return read_all


def _write_template(paths: Sequence[Path], target: Path, json_output: bool) -> None:
    """Write a mapping file, never over one that exists."""
    from warehouse.errors import InputError
    from warehouse.importers.lm_eval import lm_eval_template
    from warehouse.landing import write_atomically

    if target.exists():
        raise InputError(f"--write-mapping {target} exists already; name another file.")
    text = lm_eval_template(paths)
    try:
        write_atomically(target, lambda file: file.write_text(text, "utf-8"))
    except OSError as error:
        raise InputError(
            f"--write-mapping {target} can't be written ({error.strerror})."
        ) from error
    if json_output:
        print_json({"mapping": str(target)})
    else:
        print(f"Wrote {target}; edit it, then import with --mapping {target}.")
