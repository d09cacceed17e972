"""Every outcome of every check, from facts that are made up; then the whole on a real workspace."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from filelock import FileLock
from typer.testing import CliRunner

from warehouse import commands, doctor
from warehouse.connection import LATEST
from warehouse.errors import InputError
from warehouse.ingest import ingest
from warehouse.machine import (
    BROWSERS,
    NETWORK_FILE_SYSTEMS,
    Check,
    State,
    check_browser,
    check_compiler,
    check_disk,
    check_file_system,
    check_gpu,
    check_packages,
    check_python,
    find_file_system,
)
from warehouse.records import Heartbeat
from warehouse.snapshots import pin_snapshot
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

APP = typer.Typer()
commands.register(APP)

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/me/local\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt rw - 9p share rw
33 22 0:42 / /mnt rw - tmpfs tmpfs rw
34 22 0:43 / /homework rw master:3 - fuse.sshfs me@host: rw
garbled line
35 22 0:44
"""
REQUIREMENTS = [
    "duckdb<2.1,>=2.0",
    "typer<0.30,>=0.29",
    'torch<2.14,>=2.13; extra == "train"',
    'pytest<10,>=9; extra == "dev"',
]
GOOD = {"duckdb": "2.0.0", "typer": "0.29.1", "torch": "2.13.0+cpu"}


def states(*checks: Check) -> list[State]:
    # Whoever is told of a trouble is told what to do.
    assert all((check.remedy is None) == (check.state is State.OK) for check in checks), checks
    return [check.state for check in checks]


def test_python_is_compared_with_what_is_asked() -> None:
    assert states(
        check_python("3.11.7", ">=3.11"),
        check_python("3.10.1", ">=3.11"),
        check_python("3.12", None),
    ) == [State.OK, State.FAIL, State.WARN]


def test_packages_are_compared_with_the_tested_ranges() -> None:
    assert states(*check_packages(REQUIREMENTS, GOOD.get)) == [State.OK, State.OK]
    newer = GOOD | {"duckdb": "2.1.0", "torch": "2.14.0"}
    base, train = check_packages(REQUIREMENTS, newer.get)
    assert states(base, train) == [State.WARN, State.WARN]
    assert base.detail == "duckdb 2.1.0 (tested: <2.1,>=2.0)"
    base, train = check_packages(REQUIREMENTS, {"typer": "0.29.0rc1"}.get)
    # Training is one's own choice; the rest is not. What develops the package is nobody's concern.
    assert states(base, train) == [State.FAIL, State.WARN]
    assert (base.detail, train.detail) == ("missing: duckdb", "missing: torch")


@pytest.mark.parametrize(
    ("free", "state"), [(6 << 30, State.OK), (1 << 30, State.WARN), (1 << 20, State.FAIL)]
)
def test_disk_space_is_judged(free: int, state: State) -> None:
    assert states(check_disk(free, Path("/data"))) == [state]


@pytest.mark.parametrize(
    ("path", "file_system"),
    [
        ("/var/data", "ext4"),
        ("/home/me/work", "nfs4"),
        ("/home/me/local disk/work", "xfs"),
        ("/mnt/work", "tmpfs"),
        ("/homework", "fuse.sshfs"),
    ],
)
def test_file_systems_are_found_by_the_nearest_mount(path: str, file_system: str) -> None:
    assert find_file_system(MOUNTS, Path(path)) == file_system
    assert find_file_system("", Path(path)) is None


def test_a_database_on_the_network_is_a_warning_and_landing_is_not() -> None:
    for name in NETWORK_FILE_SYSTEMS:
        assert states(check_file_system("warehouse", name, holds_database=True)) == [State.WARN]
        assert states(check_file_system("landing", name, holds_database=False)) == [State.OK]
    assert {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "fuse.sshfs",
        "lustre",
        "9p",
        "gpfs",
        "beegfs",
        "ceph",
    } <= (NETWORK_FILE_SYSTEMS)
    assert states(check_file_system("warehouse", "ext4", holds_database=True)) == [State.OK]
    assert states(check_file_system("warehouse", None, holds_database=True)) == [State.WARN]


def test_browsers_are_those_of_the_installer() -> None:
    script = Path(__file__).parents[2] / "scripts" / "install_chromium.sh"
    assert f"for name in {' '.join(BROWSERS)}; do" in script.read_text("utf-8")
    for name in BROWSERS:
        assert states(check_browser({name: "/usr/bin/it"}.get, None)) == [State.OK]
    assert states(check_browser({}.get, "/opt/chrome"), check_browser({}.get, None)) == [
        State.OK,
        State.WARN,
    ]


def test_compilers_are_looked_for() -> None:
    tools = {"g++": "/usr/bin/g++", "ninja": "/usr/bin/ninja"}
    assert states(check_compiler(tools.get, has_python_headers=True)) == [State.OK]
    nothing = check_compiler({}.get, has_python_headers=False)
    assert states(nothing) == [State.WARN]
    assert "a C++ compiler, ninja, Python's headers" in nothing.detail


def test_gpus_are_compared_with_the_build_of_torch() -> None:
    gpus = ["NVIDIA H100", "NVIDIA H100"]
    assert states(
        check_gpu("2.13.0+cpu", []),
        check_gpu("2.13.0", gpus),
        check_gpu("2.13.0+cpu", gpus),
        check_gpu(None, []),
    ) == [State.OK, State.OK, State.WARN, State.WARN]
    assert "2 x NVIDIA H100" in check_gpu("2.13.0", gpus).detail


def test_gpus_are_listed_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    program = tmp_path / "nvidia-smi"
    for text, found in (
        ("echo 'NVIDIA A'; echo 'NVIDIA B'", ["NVIDIA A", "NVIDIA B"]),
        ("echo 'No devices were found'; exit 6", []),
    ):
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        assert doctor.list_gpus() == found
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.list_gpus() == []


# --- The workspace ----------------------------------------------------------------------------


def test_a_place_that_cannot_be_written_to_fails(workspace: Workspace) -> None:
    missing = doctor.check_writable(workspace.root / "not" / "yet")
    assert states(doctor.check_writable(workspace.root), missing) == [State.OK, State.OK]
    assert "the first run makes it" in missing.detail
    # Not even root can write there.
    assert states(doctor.check_writable(Path("/proc/growthpace"))) == [State.FAIL]


def test_locks_are_tried(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(doctor.check_locks(workspace.warehouse)) == [State.OK]
    workspace.warehouse.mkdir()
    assert states(doctor.check_locks(workspace.warehouse)) == [State.OK]
    assert list(workspace.warehouse.iterdir()) == []
    monkeypatch.setattr(
        FileLock, "_acquire", lambda lock: setattr(lock._context, "lock_file_fd", 1)
    )
    monkeypatch.setattr(FileLock, "_release", lambda lock: None)
    assert states(doctor.check_locks(workspace.warehouse)) == [State.FAIL]

    def fail(lock: FileLock) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", fail)
    check = doctor.check_locks(workspace.warehouse)
    assert states(check) == [State.FAIL] and "No locks available" in check.detail


def test_an_ingest_that_was_killed_is_noticed() -> None:
    assert states(
        doctor.check_ingest_holder(None, lambda _: False),
        doctor.check_ingest_holder("77\n", lambda pid: pid == 77),
        doctor.check_ingest_holder("77\n", lambda _: False),
        doctor.check_ingest_holder("", lambda _: True),
    ) == [State.OK, State.OK, State.WARN, State.WARN]
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert doctor.process_exists(os.getpid()) and not doctor.process_exists(done.pid)


def test_snapshots_are_opened(demo: Workspace) -> None:
    check = doctor.check_snapshots(demo)
    assert states(check) == [State.WARN] and "none is published" in check.detail
    ingest(demo)
    assert states(doctor.check_snapshots(demo)) == [State.OK]
    pinned = pin_snapshot(demo, "latest")
    moved = pinned.path.rename(demo.root / "moved.duckdb")
    assert states(doctor.check_snapshots(demo)) == [State.FAIL]
    moved.rename(pinned.path)
    ingest(demo, rebuild=True)
    pinned.path.unlink()
    lost = doctor.check_snapshots(demo)
    assert states(lost) == [State.WARN] and pinned.id in lost.detail
    (demo.snapshots / LATEST).write_text("nonsense\n")
    assert states(doctor.check_snapshots(demo)) == [State.FAIL]


def test_nothing_published_and_nothing_landed_is_fine(workspace: Workspace) -> None:
    assert states(doctor.check_snapshots(workspace)) == [State.OK]


def test_whoever_holds_the_database_is_named(
    demo: Workspace, holding: Callable[[Path], AbstractContextManager[int]]
) -> None:
    database = demo.warehouse / "work.duckdb"
    assert states(doctor.check_database(demo)) == [State.OK]
    ingest(demo)
    assert states(doctor.check_database(demo)) == [State.OK]
    with holding(database) as pid:
        check = doctor.check_database(demo)
        assert states(check) == [State.WARN] and f"(PID {pid})" in check.detail
        (demo.warehouse / "ingest.pid").write_text(f"{pid}\n")
        assert states(doctor.check_database(demo)) == [State.OK]
    database.write_bytes(b"nonsense" * 1000)
    check = doctor.check_database(demo)
    assert states(check) == [State.FAIL] and "--rebuild" in str(check.remedy)


def test_old_temporary_files_are_found_and_young_ones_left(demo: Workspace) -> None:
    now = time.time()
    paths = [
        demo.landing / "run" / ".x.json.77.tmp",
        demo.root / ".import-abc.tmp",
        demo.landing / "run" / ".young.json.78.tmp",
    ]
    for path in paths:
        path.touch()
    for path in paths[:2]:
        os.utime(path, (now - 3700, now - 3700))
    check = doctor.check_leftovers(demo, now)
    assert states(check) == [State.WARN] and check.detail.startswith("2 temporary files")
    assert states(doctor.check_leftovers(demo, now - 3600)) == [State.OK]


def test_the_newest_reason_of_the_quarantine_is_shown(demo: Workspace, landing: Landing) -> None:
    assert states(doctor.check_quarantine(demo)) == [State.OK]
    landing.run("one").write_text("{")
    ingest(demo)
    landing.run("two").write_text('{"schema_version": 1}')
    ingest(demo)
    check = doctor.check_quarantine(demo)
    assert states(check) == [State.WARN]
    assert check.detail.startswith("2 landing files were refused") and "two-1.json" in check.detail


def test_lost_runs_are_told() -> None:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    beat = Heartbeat(
        run_id="r1",
        study="demo",
        host="here",
        pid=77,
        started_at=moment,
        updated_at=moment + timedelta(seconds=1),
        n_total=1,
        n_done=0,
        n_failed=0,
    )
    check = doctor.check_runs([beat])
    assert states(check, doctor.check_runs([])) == [State.WARN, State.OK]
    assert "demo on here (PID 77)" in check.detail


# --- The command ------------------------------------------------------------------------------


def test_the_command_prints_one_line_a_check_and_its_remedies(demo: Workspace) -> None:
    arguments = ["doctor", "--workspace", str(demo.root)]
    result = CliRunner().invoke(APP, arguments)
    # Whatever this machine lacks is a warning, not a failure.
    assert result.exit_code == 0, result.output
    assert "-> run python cli.py ingest" in result.stdout
    (demo.snapshots).mkdir(parents=True)
    (demo.snapshots / LATEST).write_text("nonsense\n")
    failed = CliRunner().invoke(APP, [*arguments, "--json"])
    assert failed.exit_code == 1
    document = json.loads(failed.stdout)
    assert document["ok"] is False
    assert {check["state"] for check in document["checks"] if check["name"] == "snapshot"} == {
        "fail"
    }
    assert all(set(check) == {"name", "state", "detail", "remedy"} for check in document["checks"])


def test_the_command_works_before_there_is_a_workspace(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, ["doctor", "--json", "--workspace", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    names = {check["name"] for check in json.loads(result.stdout)["checks"]}
    assert {"python", "packages", "workspace", "disk"} <= names and "snapshot" not in names
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    refused = CliRunner().invoke(APP, ["doctor", "--workspace", str(tmp_path / "file")])
    assert isinstance(refused.exception, InputError)


def test_a_check_that_cannot_be_made_is_a_failure(
    demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Workspace) -> Check:
        raise PermissionError(13, "Permission denied", "quarantine")

    monkeypatch.setattr(doctor, "check_quarantine", fail)
    failed = [check for check in doctor.examine(demo) if check.state is State.FAIL]
    assert [check.name for check in failed] == ["doctor"]
    assert "Permission denied" in failed[0].detail


def test_no_check_imports_torch(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from warehouse.doctor import examine\nfrom warehouse.workspace import Workspace\n"
        "examine(Workspace(root=Path('nowhere')))\n"
        "assert not {'torch', 'streamlit', 'deepspeed', 'dashboard'} & set(sys.modules)"
    )
    result = run_python(program)
    assert result.returncode == 0, result.stderr
