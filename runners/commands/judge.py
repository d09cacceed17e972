"""`judge run`, `judge replies` and `judge calibrate`: parse, call, say what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.judge.run import JudgeRun, Outcome
    from warehouse.workspace import Workspace

WorkspaceOption = Annotated[Path, typer.Option(help="Folder that holds everything written.")]
GridArgument = Annotated[
    str | None, typer.Argument(help="A shipped grid's name or a YAML file, with a judge block.")
]
StudyOption = Annotated[str | None, typer.Option(help="A study that was run, instead of a grid.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count votes and cost, ask nobody.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def judge_run(
    grid: GridArgument = None,
    study: StudyOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    dry_run: DryRunOption = False,
    json_output: JsonOption = False,
) -> None:
    """Ask a grid's judges for the votes that are still missing, then ingest them.

    Votes that have a verdict are never asked for again; failed ones are. See docs/judge.md.

    Example: python cli.py judge run --study quickstart --dry-run
    """
    from runners.judge.landed import load_judged_study
    from runners.judge.run import judge_study
    from warehouse.errors import InputError
    from warehouse.workspace import open_workspace

    place = open_workspace(workspace)
    found = load_judged_study(place, grid, study)
    with _Progress() as progress:
        run = judge_study(place, found, offline=dry_run, on_progress=progress.update)
        if not run.pending and not run.n_landed:
            raise InputError(f"There are no votes to ask for: {' '.join(run.notes)}")
        if dry_run:
            _show_plan(run, json_output=json_output)
            return
        outcome = run.run()
    _finish(place, run, outcome, json_output=json_output)


def judge_replies(
    grid: Annotated[str, typer.Argument(help="A shipped grid's name or a YAML file.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Make the replies of cells that were done before their grid had judges.

    Works for base models and kept checkpoints; the other cells are named.

    Example: python cli.py judge replies quickstart-judged.yaml
    """
    from runners.grid_spec import load_grid
    from runners.judge.landed import load_judged_study, load_replies
    from runners.judge.regenerate import regenerate_replies
    from runners.plan import reply_settings
    from warehouse.errors import WorkError
    from warehouse.workspace import open_workspace

    place = open_workspace(workspace)
    found = load_judged_study(place, grid, None)
    spec = load_grid(grid)[1]
    settings = reply_settings(found.spec)
    assert settings is not None  # the study has judges
    without = load_replies(place, found).without
    impossible = regenerate_replies(
        place,
        spec,
        without,
        settings,
        on_cell=lambda cell: print(f"{cell.label} replies", file=sys.stderr),
    )
    print(f"{len(without) - len(impossible)} of {len(without)} cells have replied.")
    if impossible:
        label, reason = next(iter(impossible.items()))
        raise WorkError(f"{len(impossible)} cells can't reply, first {label}: {reason}.")


def judge_calibrate(
    pairs: Annotated[
        Path, typer.Argument(help="CSV or JSON lines: two outputs a row and a person's preference.")
    ],
    grid: Annotated[str, typer.Argument(help="Grid whose judges are compared with the people.")],
    study: Annotated[str, typer.Option(help="Study that the votes go to.")] = "calibration",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    dry_run: DryRunOption = False,
    json_output: JsonOption = False,
) -> None:
    """Compare a grid's judges with people: agreement, kappa and biases, with intervals.

    Columns: instruction, output_a, output_b, and preference (1 = a, 2 = b) or winner (a, b, tie);
    also item_id, model_a, model_b, annotator, ability.

    Example: python cli.py judge calibrate people.csv judged.yaml --dry-run
    """
    import re
    import subprocess

    from runners.grid_spec import load_grid
    from runners.judge.calibration import human_votes, make_pair_ballots, read_pairs
    from runners.judge.run import CLI, JudgeRun, VoteWriter
    from warehouse.errors import InputError, WorkError
    from warehouse.workspace import open_workspace

    spec = load_grid(grid)[1].judge
    if spec is None:
        raise InputError(f"The grid {grid} has no judges: add a block judge: (docs/judge.md).")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}", study):
        raise InputError(f"--study {study!r} is no name; use letters, digits and . _ : + -.")
    read = read_pairs(pairs)
    place = open_workspace(workspace, create=True)
    with _Progress() as progress:
        run = JudgeRun(
            place,
            study,
            spec,
            list(make_pair_ballots(read, spec)),
            offline=dry_run,
            on_progress=progress.update,
        )
        if dry_run:
            _show_plan(run, json_output=json_output)
            return
        writer = VoteWriter(place, study)
        for row in human_votes(study, read):
            writer.add(row)
        writer.land()
        outcome = run.run()
    _ingest(place)
    for reason, count in outcome.failures.most_common(5):
        print(f"Votes that failed: {count:,}: {reason}.", file=sys.stderr)
    if outcome.stopped is not None:
        raise WorkError(outcome.stopped)
    # The statistics of votes are the dashboard's, which no runner imports.
    command = [sys.executable, str(CLI), "judge", "summary", "--study", study]
    command += ["--workspace", str(place.root), *(["--json"] if json_output else [])]
    if subprocess.run(command, check=False).returncode != 0:
        raise WorkError("The votes have landed, but could not be summed up.")


class _Progress:
    """A progress bar on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        self._bar = Progress(
            TextColumn("votes"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeLeft(),
            console=Console(file=sys.stderr),
            transient=True,
            # Where nothing can be redrawn it would leave empty lines.
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("votes", total=None)

    def __enter__(self) -> _Progress:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self._bar.stop()

    def update(self, n_done: int, n_total: int) -> None:
        """Redraw."""
        self._bar.update(self._task, completed=n_done, total=n_total)


def _show_plan(run: JudgeRun, *, json_output: bool) -> None:
    """Print what a run would ask and cost."""
    import json
    from dataclasses import asdict

    if json_output:
        document = {
            "study": run.study,
            "n_landed": run.n_landed,
            "n_pending": len(run.pending),
            "max_cost": run.spec.max_cost,
            "judges": [
                {"judge": name}
                | asdict(estimate)
                | {"cost_reason": None if estimate.cost is not None else _NO_PRICES}
                for name, estimate in run.estimates.items()
            ],
            "notes": list(run.notes),
        }
        print(json.dumps(document))
        return
    print(f"Study {run.study}: {run.n_landed:,} votes landed, {len(run.pending):,} to ask for.")
    for name, estimate in run.estimates.items():
        cost = (
            f"cost unknown ({_NO_PRICES})"
            if estimate.cost is None
            else f"about {estimate.cost:.4g}, at most {estimate.cost_at_most:.4g}"
        )
        print(
            f"  {name}: {estimate.n_calls:,} calls, {estimate.n_cached:,} from the cache, about "
            f"{estimate.n_prompt_tokens:,} prompt tokens; {cost}."
        )
    for note in run.notes:
        print(f"Note: {note}")
    print("Nobody was asked.")


_NO_PRICES = "the judge has no prices in the grid"


def _finish(place: Workspace, run: JudgeRun, outcome: Outcome, *, json_output: bool) -> None:
    """Ingest, print what the run did, and fail if it was stopped or nothing came of it."""
    import json

    from warehouse.errors import WorkError

    # Also without new votes: those of a run that was killed may have landed and no more.
    _ingest(place)
    document: dict[str, Any] = {
        "study": run.study,
        "n_landed": run.n_landed + outcome.n_decided,
        "n_asked": outcome.n_asked,
        "n_cached": outcome.n_cached,
        "n_decided": outcome.n_decided,
        "n_failed": outcome.n_failed,
        "failures": dict(outcome.failures.most_common()),
        "cost": outcome.cost,
        "cost_reason": None if outcome.cost is not None else "unknown prices or token counts",
        "stopped": outcome.stopped,
        "notes": list(run.notes),
    }
    if json_output:
        print(json.dumps(document))
    else:
        cost = "unknown" if outcome.cost is None else f"{outcome.cost:.4g}"
        print(
            f"Study {run.study}: {outcome.n_decided:,} new verdicts ({outcome.n_cached:,} replies "
            f"from the cache), {outcome.n_failed:,} failed votes, cost {cost}."
        )
        for reason, count in outcome.failures.most_common(5):
            print(f"  failed {count:,} times: {reason}")
        for note in run.notes:
            print(f"Note: {note}")
    if outcome.stopped is not None:
        raise WorkError(outcome.stopped)
    if outcome.n_failed and not outcome.n_decided:
        reason = outcome.failures.most_common(1)[0][0]
        raise WorkError(f"All {outcome.n_failed} votes failed, most of them since {reason}.")


def _ingest(place: Workspace) -> None:
    """Ingest in a process of its own, as runners never open the database."""
    import subprocess

    from runners.judge.run import CLI
    from warehouse.errors import WorkError

    command = [sys.executable, str(CLI), "ingest", "--workspace", str(place.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise WorkError(f"The votes have landed but could not be ingested: {last}")
