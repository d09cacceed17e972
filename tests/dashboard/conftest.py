"""Workspaces that the app's tests look at, made once per test process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dashboard.analysis import FitSettings
from tests.dashboard.made_study import StudyShape, land_study, make_workspace, small_shape
from warehouse.workspace import Workspace, open_workspace


@pytest.fixture(scope="session", autouse=True)
def local_server() -> None:
    """Let pages believe what dashboard/.streamlit says, which only a server reads."""
    from streamlit import config

    config.set_option("server.address", "localhost")


@pytest.fixture(scope="session")
def full_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two studies; in the first a cell failed and one is pending."""
    first = small_shape(
        fails=lambda cell: cell.base_model == "ladder-s" and cell.volume_setting == 256,
        waits=lambda cell: cell.label == "ladder-s synthetic 64/ability seed 1",
    )
    second = StudyShape(
        study="another",
        abilities=("math", "role_play"),
        exams=(),
        models=("ladder-m",),
        sources=("synthetic",),
        n_items=40,
        notice=None,
    )
    return make_workspace(tmp_path_factory.mktemp("full") / "workspace", first, second)


@pytest.fixture(scope="session")
def one_point_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One seed and one volume beside the base model: no curve can be fitted."""
    shape = small_shape(volumes=(4,), seeds=(0,), n_items=30)
    return make_workspace(tmp_path_factory.mktemp("one") / "workspace", shape)


@pytest.fixture
def unscored_workspace(tmp_path: Path) -> Workspace:
    """A published study of which no cell is done."""
    return make_workspace(tmp_path / "unscored", small_shape(waits=lambda cell: True))


@pytest.fixture
def landed_workspace(tmp_path: Path) -> Workspace:
    """A study that was planned and never ingested."""
    workspace = open_workspace(tmp_path / "landed", create=True)
    land_study(workspace, small_shape(waits=lambda cell: True))
    return workspace


@pytest.fixture
def quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the app fit with few replicates."""
    import dashboard.components.method
    import dashboard.data

    settings = dataclasses.replace(FitSettings(), n_replicates=50)
    monkeypatch.setattr(dashboard.data, "FIT_SETTINGS", settings)
    monkeypatch.setattr(dashboard.components.method, "FIT_SETTINGS", settings)
