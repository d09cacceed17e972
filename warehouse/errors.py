"""Named errors that every package may import; each carries the exit code that the CLI ends with."""

from __future__ import annotations


class GrowthpaceError(Exception):
    """Base of all errors whose message is one clear sentence for the user (what, where, remedy)."""

    exit_code = 1


class InputError(GrowthpaceError):
    """The call or its input is wrong and nothing was started (exit code 2)."""

    exit_code = 2


class WorkError(GrowthpaceError):
    """The work was started and failed, or an imported file was rejected (exit code 1)."""


class LandingError(WorkError):
    """A landing file can't be read or breaks the landing contract."""


class BusyError(WorkError):
    """Another process holds the lock that this work needs."""


class MissingDependencyError(InputError):
    """An optional extra is not installed; the message names the extra."""
