"""Where everything lies inside one workspace folder (see docs/warehouse.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import InputError

DEFAULT_WORKSPACE = Path("workspace")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Paths of one workspace; creating this object touches nothing on disk."""

    root: Path

    @property
    def data(self) -> Path:
        """Prepared training data, one folder a dataset hash."""
        return self.root / "data"

    def dataset_note(self, study: str) -> Path:
        """File that says where the study's dataset lies on this machine; no export holds it."""
        return self.data / f"{study}.dataset"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints by cell id, deleted after scoring unless kept."""
        return self.root / "checkpoints"

    @property
    def landing(self) -> Path:
        """Append-only record files: the truth."""
        return self.root / "landing"

    @property
    def warehouse(self) -> Path:
        """The ingester's database, the published snapshots and the copy for shells."""
        return self.root / "warehouse"

    @property
    def snapshots(self) -> Path:
        """Published, read-only snapshots and the LATEST pointer."""
        return self.warehouse / "snapshots"

    @property
    def heartbeats(self) -> Path:
        """Live progress files of running grids."""
        return self.root / "heartbeats"

    @property
    def quarantine(self) -> Path:
        """Landing files that were refused, each with its reason."""
        return self.root / "quarantine"

    @property
    def fits(self) -> Path:
        """Results of analysis by fit key."""
        return self.root / "fits"

    @property
    def judge_cache(self) -> Path:
        """Replies of judges and teachers, by the hash of the question."""
        return self.root / "judge_cache"

    @property
    def exports(self) -> Path:
        """Figures and tables that the user asked for without naming a folder."""
        return self.root / "exports"


def open_workspace(root: Path | str, *, create: bool = False) -> Workspace:
    """Return the workspace at `root`, made if `create`.

    Raises
    ------
    InputError
        If `root` is a file, can't be created or written to (`create`), or does not exist.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise InputError(f"The workspace {root} is a file; name a folder with --workspace.")
    if not create:
        if not root.is_dir():
            raise InputError(
                f"There is no workspace at {root}; run a grid first (python cli.py run-grid "
                "quickstart) or name another folder with --workspace."
            )
        return Workspace(root=root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The workspace {root} can't be created ({error.strerror}); name a writable folder "
            "with --workspace."
        ) from error
    # root passes every access check, so only a real write tells whether a read-only mount refuses.
    probe = root / f".write-probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"The workspace {root} can't be written to ({error.strerror}); name a writable folder "
            "with --workspace."
        ) from error
    return Workspace(root=root)
