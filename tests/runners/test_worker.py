"""A worker's own life, from one job to the next."""

import gc
import os
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest

from runners import worker
from runners.worker import Worker
from runners.worker_group import ALLOCATION


class Circle:
    """Holds itself, as a DeepSpeed engine does."""

    def __init__(self):
        self.itself = self


class BegunError(Exception):
    """The job has come to its model."""


def test_what_a_job_leaves_in_circles_is_freed_before_the_next_needs_memory(monkeypatch):
    left = weakref.ref(Circle())
    held = []

    def obtain(*_):
        held.append(left())
        raise BegunError

    monkeypatch.setattr(worker, "load_template", lambda *_: None)
    monkeypatch.setattr(Worker, "obtain", obtain)
    job = SimpleNamespace(cell=SimpleNamespace(seed=0, template=""), model_folder=None)
    gc.disable()
    try:
        assert left() is not None
        with pytest.raises(BegunError):
            Worker.__new__(Worker)._run(job)
    finally:
        gc.enable()
    assert held == [None]


RESIDENT = """
from pathlib import Path

import torch

from runners.train import release_freed_memory


def resident() -> None:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")))


resident()
gradients = torch.ones(64 << 20)
del gradients
resident()
release_freed_memory()
resident()
"""


def test_freed_memory_is_kept_for_the_next_step_until_it_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT],
        env=os.environ | ALLOCATION,
        capture_output=True,
        text=True,
        check=True,
    )
    before, kept, after = map(int, done.stdout.split())
    assert kept - before > 200, "256 MiB were freed, and stay"
    assert after - before < 50
