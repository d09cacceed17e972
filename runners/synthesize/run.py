"""`synthesize`: from seeds to a folder of synthetic data in the DoIT format.

Of each ability, instructions are proposed (taken from the seeds, or written by the teacher after
their example), those that repeat an earlier one or give an evaluation question away are left out,
and the teacher answers the rest, until there are as many as asked for. All of it follows from the
settings, the seeds and the teacher's replies; replies are kept as they come in, so a run that was
killed goes on where it was, and the same call twice asks nothing twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from runners.doit_format import (
    MANIFEST_FILE,
    Item,
    find_doit_folders,
    read_doit_file,
    read_doit_folder,
)
from runners.environment import describe_environment, git_commit
from runners.grid import short_hash
from runners.sft_data import item_document
from runners.synthesize.log import ReplyLog
from runners.synthesize.making import LEFT_OUT, AbilityReport, Maker
from runners.synthesize.prompts import prompt_hash
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import Teacher
from warehouse.errors import BusyError, InputError
from warehouse.landing import write_atomically

WORK_FOLDER = ".synthesis"
REPLIES_FILE = "replies.jsonl"


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What was made.

    Attributes
    ----------
    abilities : mapping of ability to AbilityReport
    data_hash : str
        Hash of the examples and of their provenance.
    n_tokens : int or None
        Tokens of all replies; None where the server doesn't say.
    cost : float or None
        Of all replies, those of earlier runs too; None where prices are unknown.
    """

    folder: Path
    provenance: Mapping[str, object]
    abilities: Mapping[str, AbilityReport]
    data_hash: str
    n_tokens: int | None
    cost: float | None
    is_new: bool

    def document(self) -> dict[str, object]:
        """The report as the manifest and `--json` show it."""
        n_total = sum(report.n_accepted for report in self.abilities.values())
        counts = [report.n_accepted for report in self.abilities.values()]
        return {
            "n_examples": n_total,
            "abilities": {
                ability: {
                    "n_asked": report.n_asked,
                    "n_examples": report.n_accepted,
                    "share": round(report.n_accepted / n_total, 4) if n_total else None,
                    "n_proposed": report.n_proposed,
                    "left_out": {reason: report.left_out[reason] for reason in LEFT_OUT},
                }
                for ability, report in self.abilities.items()
            },
            # 1 where all abilities have the same number of examples.
            "balance": round(min(counts) / max(counts), 4) if max(counts, default=0) else None,
            "n_tokens": self.n_tokens,
            "n_tokens_reason": None if self.n_tokens is not None else "the server gave no counts",
            "cost": self.cost,
            "cost_reason": None if self.cost is not None else "no prices were given",
            "data_hash": self.data_hash,
        }


def read_seeds(path: Path, abilities: Sequence[str]) -> dict[str, list[Item]]:
    """Return the seeds of the wanted abilities (none: all), from a file or folder.

    Raises
    ------
    InputError
        If an ability has no seeds, or a line is bad.
    """
    if path.is_file():
        pool: dict[str, list[Item]] = {}
        for item in read_doit_file(path, scored=False):
            pool.setdefault(item.ability, []).append(item)
    else:
        pool = read_doit_folder(path, scored=False)
    if missing := sorted(set(abilities) - set(pool)):
        raise InputError(
            f"There are no seeds of {', '.join(missing)} in {path}; it holds "
            f"{', '.join(sorted(pool))}."
        )
    return {ability: pool[ability] for ability in sorted(abilities or pool)}


def read_evaluation(folders: Sequence[Path]) -> list[Item]:
    """Return the items of evaluation folders; of a folder of data sets those named valid or test.

    Raises
    ------
    InputError
        If a folder holds none.
    """
    items: list[Item] = []
    for folder in folders:
        training, evaluation = find_doit_folders(folder)
        for place in evaluation or training:
            items += [i for some in read_doit_folder(place, scored=False).values() for i in some]
    return items


def synthesize(
    spec: SynthesisSpec,
    teacher: Teacher,
    seeds: Mapping[str, Sequence[Item]],
    folder: Path,
    *,
    evaluation: Sequence[Item] | None = None,
    on_progress: Callable[[str, AbilityReport], None] | None = None,
) -> Synthesis:
    """Make synthetic data, or what is missing of it.

    Parameters
    ----------
    seeds : mapping of ability to items
        Instructions to be answered (their own answers are not shown), or examples of them.
    folder : Path
        Receives a file for each ability and, last, the manifest.
    evaluation : sequence of Item, optional
        None: nothing is compared with evaluation sets, and the manifest says so.
    on_progress : callable, optional
        Called with an ability and its report after every round.

    Raises
    ------
    InputError
        If the folder holds other data.
    BusyError
        If another process writes to it.
    WorkError
        If requests failed; what was answered is kept for the next run.
    """
    provenance = find_provenance(spec, teacher, seeds, evaluation)
    check_folder(folder, provenance)
    if (folder / MANIFEST_FILE).is_file():
        return _read_result(folder)
    work = folder / WORK_FOLDER
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            log = ReplyLog(work / REPLIES_FILE)
            maker = Maker(spec, teacher, log, list(evaluation or ()), on_progress)
            made = {ability: maker.make(ability, items) for ability, items in seeds.items()}
            result = Synthesis(
                folder=folder,
                provenance=provenance,
                abilities=maker.reports,
                data_hash=short_hash(
                    [[item.item_id for items in made.values() for item in items], provenance]
                ),
                n_tokens=maker.n_tokens,
                cost=log.cost if maker.cost_is_known else None,
                is_new=True,
            )
            _write(result, made)
            return result
    except Timeout as error:
        raise BusyError(f"Another process writes to {folder}; wait for it to end.") from error


def find_provenance(
    spec: SynthesisSpec,
    teacher: Teacher,
    seeds: Mapping[str, Sequence[Item]],
    evaluation: Sequence[Item] | None,
) -> dict[str, object]:
    """Return all that the data follows from."""
    return {
        "made_by": "synthesize",
        "teacher": dict(teacher.identity),
        "settings": spec.document(),
        "prompt_hash": prompt_hash() if spec.mode is Mode.INSTRUCTIONS else None,
        "seeds_hash": short_hash(
            {ability: [item.item_id for item in items] for ability, items in seeds.items()}
        ),
        "evaluation_hash": None
        if evaluation is None
        else short_hash(sorted(item.item_id for item in evaluation)),
    }


def check_folder(folder: Path, provenance: Mapping[str, object]) -> None:
    """Refuse a folder with data that was made in another way.

    Raises
    ------
    InputError
        If there is such data, or something else.
    """
    if not folder.exists():
        return
    manifest = folder / MANIFEST_FILE
    if manifest.is_file():
        try:
            known = json.loads(manifest.read_text("utf-8")).get("provenance")
        except (ValueError, AttributeError):
            known = None
        # Tuples become lists on the way.
        if known != json.loads(json.dumps(provenance)):
            raise InputError(
                f"{folder} holds data that was made in another way (see {MANIFEST_FILE}); name a "
                "new folder with --out."
            )
    elif not folder.is_dir() or any(path.name != WORK_FOLDER for path in folder.iterdir()):
        # Files of this program appear just before the manifest; then they are made again.
        foreign = [
            path.name
            for path in (folder.iterdir() if folder.is_dir() else [folder])
            if path.name != WORK_FOLDER and not path.name.endswith("_synthetic.jsonl")
        ]
        if foreign or not (folder / WORK_FOLDER).is_dir():
            raise InputError(f"{folder} is not empty; name a new folder with --out.")


def _read_result(folder: Path) -> Synthesis:
    """Return what a complete folder's manifest says."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    report = manifest["report"]
    return Synthesis(
        folder=folder,
        provenance=manifest["provenance"],
        abilities={
            ability: AbilityReport(
                n_asked=one["n_asked"],
                n_accepted=one["n_examples"],
                n_proposed=one["n_proposed"],
                left_out=Counter(one["left_out"]),
            )
            for ability, one in report["abilities"].items()
        },
        data_hash=report["data_hash"],
        n_tokens=report["n_tokens"],
        cost=report["cost"],
        is_new=False,
    )


def _write(result: Synthesis, made: Mapping[str, Sequence[Item]]) -> None:
    """Write a file for each ability; the manifest last, so its presence means complete."""
    for ability, items in made.items():
        if items:
            lines = [json.dumps(item_document(item), ensure_ascii=False) for item in items]
            write = partial(_write_text, text="\n".join(lines) + "\n")
            write_atomically(result.folder / f"{ability}_synthetic.jsonl", write)
    manifest = {
        "provenance": result.provenance,
        "report": result.document(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "environment": describe_environment(),
    }
    write = partial(_write_text, text=json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    write_atomically(result.folder / MANIFEST_FILE, write)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
