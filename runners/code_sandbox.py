"""Runs a Python module that executes untrusted code: no network, no writing, limits.

bubblewrap does it where it is installed, else util-linux (unshare, mount, setpriv, prlimit).
Inside, every file can at most be read, except in a small scratch folder in memory; processes see
no others and end with the sandbox. What can be read is not hidden, but nothing can send it away.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from warehouse.errors import InputError, WorkError

SCRATCH = Path("/dev/shm")
"""The only folder that can be written to inside."""
_REPOSITORY = Path(__file__).resolve().parent.parent
_MOUNT_READ_ONLY = f"""
set -e
mount --make-rprivate /
# No sockets of services, and of devices only those that harm nobody.
mount -t tmpfs tmpfs /run
for device in null zero random urandom; do
  touch /run/$device
  mount --bind /dev/$device /run/$device
done
mount -t tmpfs tmpfs /dev
for device in null zero random urandom; do
  touch /dev/$device
  mount --move /run/$device /dev/$device
done
mkdir {SCRATCH}
cut -d' ' -f2 /proc/self/mounts | while read -r place; do
  mount -o remount,bind,ro "$place" 2>/dev/null || true
done
mount -t tmpfs -o "size=$1" tmpfs {SCRATCH}
cd {SCRATCH}
shift
exec "$@"
"""
# Must all fail inside, and the last line must be reached.
_PROBE = """
import json, os, pathlib, socket, stat, sys
def fails(action):
    try:
        action()
    except OSError:
        return True
    return False
held = [
    fails(lambda: socket.create_connection(("192.0.2.1", 9), timeout=1)),
    fails(lambda: pathlib.Path(sys.argv[1], ".growthpace-probe").touch()),
    fails(lambda: pathlib.Path("/tmp", ".growthpace-probe").touch()),
    # Root could set the kernel's parameters through files that it owns; opening them changes none.
    fails(lambda: os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))),
    not any(stat.S_ISBLK(os.lstat(entry).st_mode) for entry in os.scandir("/dev")),
    not any(stat.S_ISSOCK(os.lstat(entry).st_mode) for entry in os.scandir("/run")),
]
pathlib.Path("scratch").touch()
print(json.dumps(held))
"""

Kind = Literal["bubblewrap", "unshare"]

# The tighter one first.
_TOOLS: tuple[tuple[Kind, str], ...] = (("bubblewrap", "bwrap"), ("unshare", "unshare"))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run inside may use at most.

    Attributes
    ----------
    seconds : int
        Of wall time, for the whole run.
    memory_bytes : int
        Address space of each process.
    scratch_bytes : int
        Of the scratch folder, and of each file.
    n_processes : int
        Processes and threads.
    """

    seconds: int = 600
    memory_bytes: int = 16 << 30
    scratch_bytes: int = 256 << 20
    n_processes: int = 256


def _command(kind: Kind, program: Sequence[str], limits: Limits) -> list[str]:
    """Return the command line that runs a program inside."""
    limited = [
        "prlimit",
        f"--as={limits.memory_bytes}",
        f"--cpu={limits.seconds}",
        f"--fsize={limits.scratch_bytes}",
        f"--nproc={limits.n_processes}",
        "--nofile=512",
        "--core=0",
        *program,
    ]
    if kind == "bubblewrap":
        return [
            *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
            *(
                "--tmpfs",
                "/run",
                "--remount-ro",
                "/run",
                "--remount-ro",
                "/dev",
                "--remount-ro",
                "/proc",
            ),
            *("--size", str(limits.scratch_bytes), "--tmpfs", str(SCRATCH)),
            *("--chdir", str(SCRATCH), "--"),
            *limited,
        ]
    return [
        *("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc", "--pid", "--fork"),
        *("--kill-child", "--mount-proc", "sh", "-c", _MOUNT_READ_ONLY, "sh"),
        *(str(limits.scratch_bytes), "setpriv", "--bounding-set=-all", "--no-new-privs"),
        *limited,
    ]


def _environment() -> dict[str, str]:
    """Return the variables that the program inside gets; none of the caller's secrets."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(SCRATCH),
        "TMPDIR": str(SCRATCH),
        "PYTHONPATH": str(_REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


@lru_cache(maxsize=1)
def find_sandbox() -> Kind | None:
    """Return the kind of sandbox that works on this machine, tried out; None if none does."""
    for kind, tool in _TOOLS:
        if shutil.which(tool) and is_tight(kind):
            return kind
    return None


def is_tight(kind: Kind) -> bool:
    """Tell whether a kind of sandbox starts here and holds: no network, no file to write to."""
    program = [sys.executable, "-c", _PROBE, str(_REPOSITORY)]
    try:
        done = subprocess.run(
            _command(kind, program, Limits(seconds=20)),
            capture_output=True,
            env=_environment(),
            timeout=30,
            check=True,
        )
        return set(json.loads(done.stdout)) == {True}
    except (OSError, subprocess.SubprocessError, ValueError):
        return False


def require_sandbox(task: str) -> Kind:
    """Return the sandbox for a task that runs generated code.

    Raises
    ------
    InputError
        If this machine has none.
    """
    kind = find_sandbox()
    if kind is None:
        raise InputError(
            f"evaluation.public_tasks: {task} runs the code that models write, and no sandbox "
            "works here; install bubblewrap (apt-get install bubblewrap), allow user namespaces, "
            "or leave the task out."
        )
    return kind


def run_sandboxed(module: str, message: object, *, kind: Kind, limits: Limits | None = None) -> Any:
    """Run `python -m module` inside, a JSON document on standard input and one as its answer.

    Raises
    ------
    WorkError
        If it ends with an error, takes too long or answers no JSON.
    """
    limits = limits or Limits()
    try:
        done = subprocess.run(
            _command(kind, [sys.executable, "-m", module], limits),
            input=json.dumps(message).encode(),
            capture_output=True,
            env=_environment(),
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WorkError(f"{module} took more than {limits.seconds} s in the sandbox.") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise WorkError(f"{module} failed in the sandbox: {last[0][:300]}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise WorkError(f"{module} gave no answer in the sandbox.") from error
