"""`data fetch doit`: the paper's data set from the hub, checked against what the paper used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.doit_format import read_doit_folder
from warehouse.errors import InputError, MissingDependencyError, WorkError

DOIT_REPOSITORY = "ChiyuSONG/dynamics-of-instruction-tuning"
DOIT_ABILITIES = (
    "biology",
    "chinese",
    "code",
    "creative_writing",
    "ethics",
    "history",
    "math",
    "reasoning",
    "role_play",
    "understanding",
)
DOIT_EXAMS = (
    "ceval_physician_fshot",
    "ceval_teacher_qualification_fshot",
    "ceval_urban_and_rural_planner_fshot",
)

# What the paper's own code draws from each folder (its data types `baseline`, `reconstruct` and
# `synthetic-40960`) and its exams: the fewest items that must be there.
_PER_ABILITY_SMALL = 1000
_FULL_AT_LEAST = {
    "biology": 1041,
    "creative_writing": 1000,
    "ethics": 64,
    "role_play": 64,
} | dict.fromkeys(("chinese", "code", "history", "math", "reasoning", "understanding"), 1305)
_SYNTHETIC = 40_960
_EXAM_ITEMS = 40


@dataclass(frozen=True, kw_only=True)
class CountCheck:
    """Items that a folder should hold of an ability (None: in all), and does."""

    folder: str
    ability: str | None
    at_least: int
    found: int

    @property
    def is_met(self) -> bool:
        """Whether there are enough."""
        return self.found >= self.at_least


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The data set on disk: `folder` is what a grid's `dataset.folder` names."""

    folder: Path
    repository: str
    revision: str | None
    n_items: Mapping[str, Mapping[str, int]]
    checks: tuple[CountCheck, ...]


def fetch_doit(
    folder: Path, *, repository: str = DOIT_REPOSITORY, revision: str | None = None
) -> Fetched:
    """Download the data set (or what is missing of it) and count its items.

    Parameters
    ----------
    folder : Path
        Made if needed. Files that are there already and unchanged are not fetched again.
    revision : str, optional
        Branch, tag or commit; the main branch by default.

    Raises
    ------
    InputError
        If the name is no repository's, or a file has a bad line.
    WorkError
        If the hub can't be reached, or has no such repository.
    MissingDependencyError
        If `huggingface_hub` isn't installed.
    """
    try:
        from httpx2 import HTTPError
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            OfflineModeIsEnabled,
        )
    except ImportError as error:
        raise MissingDependencyError(
            "Data from the hub needs the extra train: pip install -e '.[train]'."
        ) from error
    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
        snapshot_download(repository, repo_type="dataset", revision=commit, local_dir=folder)
    except HFValidationError as error:
        raise InputError(f"--repo: {repository!r} is no repository's name (owner/name).") from error
    except (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        HTTPError,
        OSError,
        ValueError,
    ) as error:
        raise WorkError(
            f"{repository} could not be fetched from "
            f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')} ({type(error).__name__}); "
            "check the connection and --repo, then run it again: what has arrived is kept. "
            f"Offline, copy the data set's files to {folder} by other means."
        ) from error
    root = _data_root(folder)
    counts = count_doit(root)
    return Fetched(
        folder=root,
        repository=repository,
        revision=commit,
        n_items=counts,
        checks=check_counts(counts),
    )


def _data_root(folder: Path) -> Path:
    """Return the folder that holds `curated`: the data set's own, or its `data`."""
    for root in (folder, folder / "data"):
        if (root / "curated").is_dir():
            return root
    raise WorkError(f"{folder} holds no folder curated; is the repository the paper's data set?")


def count_doit(root: Path) -> dict[str, dict[str, int]]:
    """Count the items of each folder of the data set by ability."""
    folders = sorted({path.parent for path in root.rglob("*.json") if path.parent != root})
    folders = [folder for folder in folders if ".cache" not in folder.parts]
    return {
        str(folder.relative_to(root)): {
            ability: len(items) for ability, items in read_doit_folder(folder, scored=False).items()
        }
        for folder in folders
    }


def check_counts(counts: Mapping[str, Mapping[str, int]]) -> tuple[CountCheck, ...]:
    """Compare counts with what the paper's experiment draws."""
    wanted: list[tuple[str, str | None, int]] = [
        *(("curated/1000", ability, _PER_ABILITY_SMALL) for ability in DOIT_ABILITIES),
        *(("curated/full", ability, _FULL_AT_LEAST[ability]) for ability in DOIT_ABILITIES),
        *(("curated/valid", ability, 1) for ability in DOIT_ABILITIES),
        *(("curated/test", ability, 1) for ability in DOIT_ABILITIES),
        *(("curated/test", exam, _EXAM_ITEMS) for exam in DOIT_EXAMS),
        ("synthetic/40960", None, _SYNTHETIC),
    ]
    return tuple(
        CountCheck(
            folder=folder,
            ability=ability,
            at_least=at_least,
            found=sum(counts.get(folder, {}).values())
            if ability is None
            else counts.get(folder, {}).get(ability, 0),
        )
        for folder, ability, at_least in wanted
    )
