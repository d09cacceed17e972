"""One rolling resume checkpoint: weights, optimizer, random state and position of a training.

The best weights so far lie beside it: on disk, since in memory they would take as much again as
the model.

A folder holds one file set and `resume.json`, which names it and is written last, atomically: a
kill at any moment leaves the old set or the new one. Sharded states fit the number of ranks and
the sharding that wrote them; a job that comes back with others starts again and says so.
"""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from warehouse.landing import write_atomically

_STATE = "resume.json"


class RollingCheckpoint:
    """Saves and restores one training.

    Parameters
    ----------
    folder : Path
        On a file system that all ranks share.
    every_seconds : float
        Shortest time between two saves.
    layout : mapping
        What a file set must agree on to be taken up: ranks, sharding, number format.
    """

    def __init__(self, folder: Path, every_seconds: float, layout: Mapping[str, Any]) -> None:
        self.folder = folder
        self.every_seconds = every_seconds
        self.layout = dict(layout)
        self._rank = torch.distributed.get_rank()
        self._ranks = torch.distributed.get_world_size()
        self._last = time.monotonic()
        self._best: str | None = None
        # What the file set on disk needs, which may be an earlier epoch's.
        self._saved_best: str | None = None

    def due(self) -> bool:
        """Tell whether it is time to save; rank 0's clock counts, so that all ranks agree."""
        waited = time.monotonic() - self._last >= self.every_seconds
        return self._agree(waited if self._rank == 0 else True)

    def find(self) -> tuple[dict[str, Any] | None, str | None]:
        """Look for a file set that this job can take up.

        Returns
        -------
        state : dict or None
            What `save` was given, plus `tag`.
        reason : str or None
            Why there is none, although an earlier attempt left a checkpoint.
        """
        found: list[Any] = [self._read() if self._rank == 0 else None]
        if self._ranks > 1:
            torch.distributed.broadcast_object_list(found)
        state, reason = found[0]
        if state is None:
            return None, reason
        files = state["files"][self._rank :: self._ranks]
        if not self._agree(all(_is_whole(self.folder / name) for name in files)):
            return None, "the resume checkpoint is damaged"
        return state, None

    def _read(self) -> tuple[dict[str, Any] | None, str | None]:
        path = self.folder / _STATE
        if not path.is_file():
            return None, None
        try:
            state = json.loads(path.read_text("utf-8"))
            saved = state["layout"]
            changes = [
                f"{key} {saved.get(key)} before, {value} now"
                for key, value in self.layout.items()
                if saved.get(key) != value
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None, "the resume checkpoint's description can't be read"
        if changes:
            return None, f"the resume checkpoint fits another job ({'; '.join(changes)})"
        return state, None

    def load(self, engine: Any, state: Mapping[str, Any]) -> None:
        """Restore engine and random state."""
        engine.load_checkpoint(str(self.folder), tag=state["tag"], load_lr_scheduler_states=False)
        random = torch.load(
            self.folder / state["tag"] / f"random-{self._rank}.pt", weights_only=True
        )
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"])
        self._best = self._saved_best = state["best"]

    def keep_best(self, weights: Mapping[str, torch.Tensor], step: int) -> None:
        """Keep the weights of the best epoch so far; rank 0 writes them."""
        self._best = f"best-{step}.pt"
        if self._rank != 0:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("best-*.pt"):
            if path.name != self._saved_best:
                path.unlink()
        write_atomically(self.folder / self._best, lambda path: torch.save(dict(weights), path))

    def load_best(self) -> dict[str, torch.Tensor] | None:
        """Return what `keep_best` kept last, mapped from disk; None on ranks other than 0."""
        if self._rank != 0 or self._best is None:
            return None
        return dict(
            torch.load(self.folder / self._best, weights_only=True, mmap=True, map_location="cpu")
        )

    def save(self, engine: Any, step: int, progress: Mapping[str, Any]) -> None:
        """Write a new file set, then drop the old one; every rank must call it.

        Parameters
        ----------
        progress : mapping
            Whatever JSON can hold; `find` returns it under the same key.
        """
        tag = f"step-{step}"
        try:
            engine.save_checkpoint(str(self.folder), tag=tag, save_latest=False)
            random = {"cpu": torch.get_rng_state()}
            if torch.cuda.is_available():
                random["cuda"] = torch.cuda.get_rng_state()
            torch.save(random, self.folder / tag / f"random-{self._rank}.pt")
        except BaseException:
            # A full disk, most likely: leave the last good set and free the rest.
            shutil.rmtree(self.folder / tag, ignore_errors=True)
            raise
        torch.distributed.barrier()
        if self._rank == 0:
            kept = {tag, self._best, _STATE}
            files = [str(p.relative_to(self.folder)) for p in sorted((self.folder / tag).iterdir())]
            state = {
                "tag": tag,
                "layout": self.layout,
                "files": [*files, self._best] if self._best else files,
                "best": self._best,
                "progress": dict(progress),
            }
            text = json.dumps(state)
            write_atomically(self.folder / _STATE, lambda path: path.write_text(text, "utf-8"))
            for path in self.folder.iterdir():
                if path.name not in kept:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._saved_best = self._best
        self._last = time.monotonic()

    def remove(self) -> None:
        """Drop everything; a training that is finished, or begins anew, needs none of it."""
        if self._rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        torch.distributed.barrier()

    def _agree(self, mine: bool) -> bool:
        """Return whether all ranks say yes."""
        if self._ranks == 1:
            return mine
        from deepspeed.accelerator import get_accelerator

        answer = torch.tensor(int(mine), device=get_accelerator().current_device_name())
        torch.distributed.all_reduce(answer, op=torch.distributed.ReduceOp.MIN)
        return bool(answer)


def _is_whole(path: Path) -> bool:
    """Check the sums that PyTorch's archives carry."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError):
        return False
