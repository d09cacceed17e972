"""Where a figure, table or report comes from, in one line that travels with it."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from dashboard.analysis import FitSettings
from dashboard.analysis.settings import ANALYSIS_VERSION

PACKAGES = ("growthpace", "duckdb", "kaleido", "numpy", "pandas", "plotly", "scipy", "statsmodels")
"""Packages that a figure or a number in it depends on."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What one export rests on.

    Attributes
    ----------
    snapshot_id, study : str
    settings : FitSettings
    versions : mapping
        Versions by package, Python's among them.
    git_commit : str or None
        Of the checkout that wrote the export ("+changes" if files differ); None outside git.
    command : str
        What was typed.
    analysis_version : str
    """

    snapshot_id: str
    study: str
    settings: FitSettings
    versions: Mapping[str, str]
    git_commit: str | None
    command: str
    analysis_version: str = ANALYSIS_VERSION

    def line(self) -> str:
        """Return everything in one line of text."""
        changed = changed_settings(self.settings)
        settings = ", ".join(f"{name} {value}" for name, value in changed.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"Provenance: study {self.study}; snapshot {self.snapshot_id}; analysis version "
            f"{self.analysis_version}; level {self.settings.level:g}, "
            f"{self.settings.n_replicates} replicates, seed {self.settings.seed}"
            + (f", {settings}" if settings else "")
            + f"; {versions}; commit {self.git_commit or 'unknown'}; {self.command}"
        )

    def document(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "snapshot": self.snapshot_id,
            "study": self.study,
            "analysis_version": self.analysis_version,
            "settings": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.settings).items()
            },
            "versions": dict(self.versions),
            "git_commit": self.git_commit,
            "command": self.command,
        }


def describe_provenance(
    snapshot_id: str, study: str, settings: FitSettings, arguments: Sequence[str]
) -> Provenance:
    """Return the provenance of an export that runs now.

    Parameters
    ----------
    arguments : sequence of str
        The command's words after `cli.py`, such as those of `sys.argv[1:]`.
    """
    from runners.environment import git_commit

    return Provenance(
        snapshot_id=snapshot_id,
        study=study,
        settings=settings,
        versions=_versions(),
        git_commit=git_commit(),
        command=shlex.join(["python", "cli.py", *arguments]),
    )


def changed_settings(settings: FitSettings) -> dict[str, Any]:
    """Return the settings that differ from the defaults, besides level, replicates and seed."""
    usual = asdict(FitSettings())
    told = ("level", "n_replicates", "seed")
    return {
        name: value
        for name, value in asdict(settings).items()
        if name not in told and value != usual[name]
    }


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
