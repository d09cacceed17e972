"""The grid on a real Ray cluster of two nodes, one of which is lost on the way."""

import sys

import pytest

from tests.runners.grid_runs import (
    finish,
    live_workers,
    mart_rows,
    records,
    run,
    start,
    variant,
    wait_for,
)

pytestmark = pytest.mark.slow
pytest.importorskip("ray")


@pytest.fixture
def cluster(monkeypatch):
    """A head node of one core."""
    from ray.cluster_utils import Cluster

    # Ray would give way to every other process of the machine.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield nodes
    nodes.shutdown()


def test_cells_of_a_lost_node_move_to_the_other_one(tiny_study, tmp_path, cluster):
    grid = variant(
        tiny_study,
        tmp_path / "long.yaml",
        volumes={"values": [4, 16]},
        training={"steps": 400, "epochs": None},
    )
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    workspace = tmp_path / "w"
    process = start(
        grid, workspace, "--json", "--executor", "ray", "--ray-address", cluster.address
    )

    def both_train():
        states = live_workers(workspace)
        return len([state for state in states if state.stage == "train" and state.step]) == 2

    wait_for(lambda: both_train() or process.poll() is not None, seconds=400)
    cluster.remove_node(lost, allow_graceful=False)
    outcome, err = finish(process)
    assert outcome["cells"] == {"total": 4, "done": 4, "new": 4, "failed": 0}, err
    (failed,) = records(workspace, "failed")
    assert "its node was lost" in failed["failure_reason"]
    done = records(workspace, "done")
    assert len(done) == 4
    assert {record["environment"]["placement"]["executor"] for record in done} == {"ray"}
    local = tmp_path / "local"
    run(grid, local)
    assert [sorted(record) for record in done] == [sorted(r) for r in records(local, "done")]
    assert mart_rows(workspace) == mart_rows(local)


def test_without_ray_or_a_cluster_there_is_one_clear_sentence(tmp_path, monkeypatch):
    from runners.executors.ray_cluster import RayExecutor
    from runners.hardware import detect_hardware
    from warehouse.errors import InputError, MissingDependencyError
    from warehouse.workspace import Workspace

    place = Workspace(root=tmp_path)
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        RayExecutor(place, detect_hardware(), "127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match="needs the extra ray"):
        RayExecutor(place, detect_hardware(), None)
