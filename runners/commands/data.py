"""The `data` commands: check, describe, convert, fetch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.data.check import DataCheck
    from runners.data.label import Labeller
    from warehouse.workspace import Workspace

data = typer.Typer(no_args_is_help=True, help="Check, describe, convert and fetch data.")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]

_CLI = Path(__file__).resolve().parents[2] / "cli.py"
_N_SKIPPED_SHOWN = 5


@data.command("check")
def check(
    target: Annotated[
        str, typer.Argument(help="Grid (name or file), or a folder of DoIT-format data.")
    ],
    workspace: Annotated[
        Path, typer.Option(help="Where matches are kept and flags land.")
    ] = DEFAULT_WORKSPACE,
    min_similarity: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Similarity of near-duplicates.")
    ] = 0.8,
    json_output: JsonOption = False,
) -> None:
    """Find test items that training data gives away, and items that repeat each other.

    Example: python cli.py data check quickstart
    """
    from runners.data.check import check_data, check_document, land_flags, write_matches
    from runners.grid_spec import load_grid
    from warehouse.workspace import open_workspace

    if not Path(target).is_dir():
        load_grid(target)  # a name that is none makes no workspace
    place = open_workspace(workspace, create=True)
    found = check_data(target, place.data, min_similarity=min_similarity)
    matches = write_matches(place, found)
    landed = land_flags(place, found)
    scores = _scores_without_flagged(place, found) if landed else None
    if json_output:
        files = {"matches_file": str(matches), "flags_file": str(landed) if landed else None}
        print(json.dumps(check_document(found) | files | {"scores": scores}))
        return
    _show_check(found)
    print(f"Every match, with both texts: {matches}")
    if scores:
        print(
            f"Scores with and without the flagged items ({len(scores)} rows): "
            "python cli.py sql --example scores_without_flagged"
        )


def _scores_without_flagged(place: Workspace, found: DataCheck) -> list[dict[str, Any]]:
    """Publish the flags and return the scores of the study that they change.

    The warehouse is asked in a process of its own: nothing here may open the database.
    """
    import subprocess

    from warehouse.errors import WorkError

    def run(*arguments: str) -> str:
        command = [sys.executable, str(_CLI), *arguments, "--workspace", str(place.root), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise WorkError(f"The flags have landed but could not be published: {last[0]}")
        return done.stdout

    run("ingest")
    rows = json.loads(run("sql", "--example", "scores_without_flagged"))
    return [row for row in rows if row["study"] == found.study]


def _show_check(found: DataCheck) -> None:
    """Print the counts of a check."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from runners.data.flags import Sign

    console = Console()
    for place, counts in found.n_evaluation.items():
        matched = found.count(place)
        table = Table(title=f"{place} against the training data", box=SIMPLE_HEAD)
        table.add_column("ability")
        seen = [sign for sign in Sign if any(sign in signs for signs in matched.values())]
        for column in ("items", *(sign.value for sign in seen)):
            table.add_column(column, justify="right")
        for ability, n_items in counts.items():
            signs = matched.get(ability, {})
            cells = [str(signs.get(sign, "")) for sign in seen]
            table.add_row(ability, str(n_items), *cells)
        console.print(table)
    table = Table(title="Items that repeat an earlier one of their source", box=SIMPLE_HEAD)
    table.add_column("source")
    for column in ("items", "conversation", "question", "similar"):
        table.add_column(column, justify="right")
    for source, one in found.duplicates.items():
        cells = [str(n) for n in (one.n_items, one.conversation, one.question, one.similar)]
        table.add_row(source, *cells)
    console.print(table)
    print(
        f"{len(found.flagged)} evaluation items are flagged. `wording` is not: there the other "
        "evaluation questions are as much alike, as questions from one template are."
    )


@data.command("describe")
def describe(
    folder: Annotated[Path, typer.Argument(help="Folder of DoIT-format data, or one above.")],
    json_output: JsonOption = False,
) -> None:
    """Show what data is made of: items, lengths and languages of each folder and ability.

    Example: python cli.py data describe data/doit
    """
    from runners.data.describe import composition_document, describe_folder

    found = describe_folder(folder)
    if json_output:
        print(json.dumps(composition_document(found)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Medians (95th percentiles) of lengths", box=SIMPLE_HEAD)
    for column in ("folder", "ability"):
        table.add_column(column)
    for column in ("items", "turns", "question chars", "answer chars", "words"):
        table.add_column(column, justify="right")
    table.add_column("languages")
    for part in found:
        lengths = (part.question_characters, part.answer_characters, part.words)
        languages = ", ".join(
            f"{name} {n / part.n_items:.0%}" for name, n in part.languages.items()
        )
        table.add_row(
            part.folder,
            part.ability,
            str(part.n_items),
            f"{part.n_turns:g}",
            *(f"{length.median:g} ({length.p95:.0f})" for length in lengths),
            languages,
        )
    Console().print(table)
    print(f"{sum(part.n_items for part in found)} items.")


@data.command("convert")
def convert(
    source: Annotated[
        str, typer.Argument(help=".json, .jsonl, .csv, .tsv or .parquet file or folder, or hub id.")
    ],
    folder: Annotated[Path, typer.Argument(help="New folder for the DoIT-format files.")],
    form: Annotated[
        str, typer.Option("--from", help="alpaca, sharegpt, messages, or auto: by each row.")
    ] = "auto",
    ability: Annotated[str | None, typer.Option(help="Ability of every row.")] = None,
    ability_column: Annotated[str | None, typer.Option(help="Column that holds it.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="YAML file that maps rows to abilities.")
    ] = None,
    require_labels: Annotated[
        bool, typer.Option("--require-labels", help="Stop at a row that nothing labels.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad rows out and count them.")
    ] = False,
    split: Annotated[str, typer.Option(help="Part of a hub data set.")] = "train",
    json_output: JsonOption = False,
) -> None:
    """Convert Alpaca, ShareGPT or OpenAI-messages data to the DoIT format and label it.

    Example: python cli.py data convert alpaca.jsonl data/curated/full --labels abilities.yaml
    """
    from dataclasses import asdict

    from runners.data.convert import convert_data
    from runners.data.formats import Format
    from warehouse.errors import InputError

    if form not in list(Format):
        raise InputError(f"--from {form!r:.60} is unknown; use one of {', '.join(Format)}.")
    result = convert_data(
        source,
        folder,
        _labeller(ability, ability_column, labels),
        form=Format(form),
        split=split,
        skip_bad=skip_bad,
        require_labels=require_labels,
    )
    if json_output:
        print(json.dumps(asdict(result) | {"folder": str(folder)}))
        return
    for reason in result.skipped[:_N_SKIPPED_SHOWN]:
        print(f"Left out: {reason}", file=sys.stderr)
    if len(result.skipped) > _N_SKIPPED_SHOWN:
        print(f"... and {len(result.skipped) - _N_SKIPPED_SHOWN} more.", file=sys.stderr)
    abilities = ", ".join(f"{name} {n}" for name, n in result.by_ability.items())
    print(
        f"{result.n_items} of {result.n_rows} rows in {folder}: {abilities}. "
        f"{result.n_system_prompts} with a system prompt, {len(result.skipped)} left out."
    )


def _labeller(ability: str | None, column: str | None, labels: Path | None) -> Labeller:
    """Return what names abilities; at most one of the options may be given."""
    from runners.data.label import Labeller, load_label_map
    from warehouse.errors import InputError

    if sum(option is not None for option in (ability, column, labels)) > 1:
        raise InputError("Give only one of --ability, --ability-column and --labels.")
    mapping = load_label_map(labels) if labels is not None else None
    return Labeller(ability=ability, column=column, mapping=mapping)


@data.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="doit: the paper's data set.")],
    folder: Annotated[Path, typer.Argument(help="Where it goes.")] = Path("data/doit"),
    repo: Annotated[
        str, typer.Option(help="Hub data set.")
    ] = "ChiyuSONG/dynamics-of-instruction-tuning",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Fetch the paper's data set from the hub and count its items.

    Example: python cli.py data fetch doit /data/doit
    """
    from dataclasses import asdict

    from runners.data.fetch import fetch_doit
    from warehouse.errors import InputError

    if name != "doit":
        raise InputError(f"There is no published data {name!r:.60} to fetch; known is doit.")
    found = fetch_doit(folder, repository=repo, revision=revision)
    short = [one for one in found.checks if not one.is_met]
    if json_output:
        checks = [asdict(one) | {"is_met": one.is_met} for one in found.checks]
        print(json.dumps(asdict(found) | {"folder": str(found.folder), "checks": checks}))
        return
    n_items = sum(sum(counts.values()) for counts in found.n_items.values())
    print(f"{n_items} items of {found.repository} ({found.revision}) in {found.folder}.")
    for one in short:
        print(
            f"Warning: {one.folder} holds {one.found} items of {one.ability or 'all abilities'}; "
            f"the paper's experiment draws {one.at_least}.",
            file=sys.stderr,
        )
    print(f"{len(found.checks) - len(short)} of {len(found.checks)} counts are what it needs.")
