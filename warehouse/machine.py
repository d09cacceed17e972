"""Checks of the machine: Python, packages, disk, file systems, browser, compiler, GPU.

Each check is a function of facts that it is given, so that every outcome can be tested; `doctor`
gathers the facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

# Locks on these are slow, advisory or ignored, and one machine may not see what another wrote.
NETWORK_FILE_SYSTEMS = frozenset(
    "9p afs beegfs ceph cifs fuse.ceph fuse.gcsfuse fuse.glusterfs fuse.s3fs fuse.sshfs gfs2 "
    "glusterfs gpfs lustre nfs nfs4 ocfs2 orangefs smb3 smbfs virtiofs wekafs".split()
)
# What scripts/install_chromium.sh takes for an installed browser.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_COMPILERS = ("c++", "g++", "clang++")
_FAIL_BYTES = 500 << 20
_WARN_BYTES = 5 << 30
_ESCAPE = re.compile(r"\\([0-7]{3})")
_INSTALL = "run make setup, or pip install --constraint requirements.lock -e ."


class State(StrEnum):
    """How a check came out; `fail` means that something will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """Outcome of one check; `remedy` says what to do unless it is ok."""

    name: str
    state: State
    detail: str
    remedy: str | None = None


Which = Callable[[str], str | None]


def check_python(version: str, requires: str | None) -> Check:
    """Compare Python's version with what the package asks for."""
    if requires is None:
        return Check(
            name="python",
            state=State.WARN,
            detail=f"Python {version}; growthpace is not installed, so its ranges are not known",
            remedy=_INSTALL,
        )
    if version in SpecifierSet(requires):
        return Check(name="python", state=State.OK, detail=f"Python {version}")
    return Check(
        name="python",
        state=State.FAIL,
        detail=f"Python {version} is not {requires}",
        remedy=f"install Python {requires} and run make setup with PYTHON=...",
    )


def check_packages(
    requirements: Sequence[str], installed: Callable[[str], str | None]
) -> tuple[Check, Check]:
    """Compare installed versions with the tested ranges.

    Parameters
    ----------
    requirements : sequence of str
        As the package's metadata lists them, those of extras included.
    installed : callable
        Distribution name -> version, None if it is missing.

    Returns
    -------
    (Check, Check)
        Of what everything needs, and of what only training needs (extra `train`).
    """
    parsed = [Requirement(text) for text in requirements]
    base = [part for part in parsed if part.marker is None]
    train = [
        part
        for part in parsed
        if part.marker and part.marker.evaluate({"extra": "train"}) and part not in base
    ]
    return (
        _check_ranges("packages", base, installed, State.FAIL, _INSTALL),
        _check_ranges(
            "training packages",
            train,
            installed,
            State.WARN,
            'run make setup, or pip install -e ".[train]"; only run-grid needs them',
        ),
    )


def _check_ranges(
    name: str,
    parts: Sequence[Requirement],
    installed: Callable[[str], str | None],
    if_missing: State,
    remedy: str,
) -> Check:
    """Check one group of packages; another version than tested is a warning."""
    versions = {part.name: installed(part.name) for part in parts}
    missing = [part.name for part in parts if versions[part.name] is None]
    untested = [
        f"{part.name} {versions[part.name]} (tested: {part.specifier})"
        for part in parts
        if versions[part.name] is not None
        and not part.specifier.contains(versions[part.name] or "", prereleases=True)
    ]
    if missing:
        detail = f"missing: {', '.join(missing)}"
        return Check(name=name, state=if_missing, detail=detail, remedy=remedy)
    if untested:
        return Check(name=name, state=State.WARN, detail="; ".join(untested), remedy=remedy)
    return Check(name=name, state=State.OK, detail=f"{len(parts)} within the tested ranges")


def check_disk(free_bytes: int, folder: Path) -> Check:
    """Judge the free space where the workspace lies."""
    detail = f"{free_bytes / 1e9:.1f} GB free at {folder}"
    if free_bytes >= _WARN_BYTES:
        return Check(name="disk", state=State.OK, detail=detail)
    return Check(
        name="disk",
        state=State.FAIL if free_bytes < _FAIL_BYTES else State.WARN,
        detail=detail,
        remedy="free some, or name a workspace on another disk; a checkpoint alone takes 2 bytes "
        "or more a parameter",
    )


def find_file_system(mountinfo: str, path: Path) -> str | None:
    """Return the type of the file system that holds an absolute path.

    Parameters
    ----------
    mountinfo : str
        Text of /proc/self/mountinfo (see proc_pid_mountinfo(5)).
    path : Path
        Absolute, without symbolic links.
    """
    best: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, types = left.split(), right.split()
        if len(fields) < 5 or not types:
            continue
        # Blanks and backslashes in a mount point are written as octal numbers.
        mount = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # A later mount on the same point covers the earlier one.
        if path.is_relative_to(mount) and (best is None or len(mount.parts) >= best[0]):
            best = (len(mount.parts), types[0])
    return best[1] if best else None


def check_file_system(name: str, file_system: str | None, *, holds_database: bool) -> Check:
    """Judge the file system under a folder of the workspace."""
    if file_system is None:
        return Check(
            name=name,
            state=State.WARN,
            detail="the file system is not known: /proc/self/mountinfo doesn't tell",
            remedy="make sure that the workspace's warehouse folder is on a local disk",
        )
    if file_system not in NETWORK_FILE_SYSTEMS:
        return Check(name=name, state=State.OK, detail=f"{file_system}, a local file system")
    if not holds_database:
        return Check(name=name, state=State.OK, detail=f"{file_system}; landing may lie there")
    return Check(
        name=name,
        state=State.WARN,
        detail=f"{file_system} is a network file system, where database locks can't be relied on",
        remedy="keep the database on local disk: make warehouse/ a link to a local folder; "
        "landing/ may stay on the network",
    )


def check_browser(which: Which, browser_path: str | None) -> Check:
    """Look for the browser that chart files need."""
    found = browser_path or next(filter(None, map(which, BROWSERS)), None)
    if found:
        return Check(name="browser", state=State.OK, detail=found)
    return Check(
        name="browser",
        state=State.WARN,
        detail="no Chromium or Chrome found; PDF, SVG and PNG charts need one, HTML and CSV don't",
        remedy="install chromium with your package manager, or run sh scripts/install_chromium.sh",
    )


def check_compiler(which: Which, *, has_python_headers: bool) -> Check:
    """Look for what DeepSpeed compiles its operators with."""
    missing = [] if any(map(which, _COMPILERS)) else ["a C++ compiler"]
    missing += [] if which("ninja") else ["ninja"]
    missing += [] if has_python_headers else ["Python's headers"]
    if not missing:
        return Check(name="compiler", state=State.OK, detail="DeepSpeed can compile its operators")
    return Check(
        name="compiler",
        state=State.WARN,
        detail=f"missing: {', '.join(missing)}; DeepSpeed compiles operators at first use",
        remedy="install g++, ninja and python3-dev; small training on the CPU works without",
    )


def check_gpu(torch_version: str | None, gpus: Sequence[str]) -> Check:
    """Compare the GPUs that nvidia-smi lists with the build of torch.

    Parameters
    ----------
    torch_version : str or None
        Of the installed distribution; its local part names a CPU build.
    gpus : sequence of str
        Names of GPUs; empty if there are none, or no nvidia-smi.
    """
    if torch_version is None:
        return Check(
            name="gpu",
            state=State.WARN,
            detail=f"torch is not installed; {len(gpus)} GPUs found",
            remedy='pip install -e ".[train]"; only run-grid needs it',
        )
    if gpus and torch_version.endswith("+cpu"):
        return Check(
            name="gpu",
            state=State.WARN,
            detail=f"{len(gpus)} x {gpus[0]}, but torch {torch_version} is a build for CPUs",
            remedy="install the CUDA build of torch",
        )
    detail = f"torch {torch_version}, " + (
        f"{len(gpus)} x {gpus[0]}" if gpus else "no GPU: training runs on the CPU"
    )
    return Check(name="gpu", state=State.OK, detail=detail)
