"""A grid that ran undisturbed, to compare disturbed ones with."""

import pytest

from tests.runners.grid_runs import run


@pytest.fixture(scope="session")
def undisturbed(tiny_study, tmp_path_factory):
    """Workspace and outcome of the tiny study."""
    workspace = tmp_path_factory.mktemp("undisturbed") / "w"
    return workspace, run(tiny_study.grid, workspace)
