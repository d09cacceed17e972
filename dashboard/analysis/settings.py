"""What a user may ask of a fit."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse.errors import InputError

ANALYSIS_VERSION = "9"
"""Part of every fit key: raise it whenever a change alters any number that a fit reports."""

DEFAULT_DELTA = 0.03
"""Smallest gain of an accuracy that matters where neither user nor study states one."""

DEFAULT_PLATEAU_DELTA = 0.01
"""Gain of an accuracy's next doubling that counts as flat."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Settings of one analysis; part of the fit key.

    Attributes
    ----------
    level : float
        Level of two-sided intervals, in (0, 1).
    n_replicates : int
        Bootstrap replicates, at least 50.
    seed : int
        Seed of all random draws: equal input and settings give equal results.
    delta : float or None
        Smallest gain that matters, in score units (0.03 = 3 points). None means: what the study
        states, else 0.03 for accuracies; losses without a stated delta get no label.
    plateau_delta : float or None
        Gain of the next doubling below which a curve counts as flat at its end. None means 0.01
        (1 point) for accuracies and no plateau verdict for losses.
    families : tuple of str or None
        Growth families to fit; None means all that suit the metric.
    max_examples : float or None
        Fit only on runs of at most this volume; the others stay visible as excluded.
    predict : tuple of float
        Volumes to predict.
    include_base : bool
        Whether the base model is part of a *loss* curve (it always is for accuracies).
    fdr : float
        False discovery rate below which a gain counts as significant.

    Raises
    ------
    InputError
        If a value lies outside its range, or a family is unknown.
    """

    level: float = 0.95
    n_replicates: int = 1000
    seed: int = 20231030
    delta: float | None = None
    plateau_delta: float | None = None
    families: tuple[str, ...] | None = None
    max_examples: float | None = None
    predict: tuple[float, ...] = ()
    include_base: bool = False
    fdr: float = 0.05

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 < self.level < 1:
            raise InputError(f"--level is {self.level:g}; give a number between 0 and 1.")
        if self.n_replicates < 50:
            raise InputError(f"--replicates is {self.n_replicates}; give at least 50.")
        for name in ("delta", "plateau_delta", "max_examples"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} is {value:g}; give a positive number.")
        if self.families is not None:
            # Only a caller that names families pays for loading them.
            from dashboard.analysis.families import FAMILIES

            for family in self.families:
                if family not in FAMILIES:
                    known = ", ".join(FAMILIES)
                    raise InputError(f"unknown family {family!r}; known ones are {known}.")
        if not 0 < self.fdr < 1:
            raise InputError(f"fdr is {self.fdr:g}; give a number between 0 and 1.")
        for value in self.predict:
            if not 0 <= value < float("inf"):
                raise InputError(f"--predict {value:g}: a volume is a count of 0 or more.")
