"""A worker's own life, from one job to the next."""

import gc
import weakref
from types import SimpleNamespace

import pytest

from runners import worker
from runners.worker import Worker


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
