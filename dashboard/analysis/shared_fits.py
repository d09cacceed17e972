"""Fits that a study's questions share: every curve is fitted once, whatever is asked about it.

Growth, sources, scales and abilities rest on the same fits and replicates. `share_fits` keeps those
of the studies asked about last, found by their content, as far as they fit into a stated memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dashboard.analysis.curve_data import CurveData
from dashboard.analysis.fit_key import fit_key
from dashboard.analysis.replicated import CurveJob, FittedJob, fit_job, prepare_study
from dashboard.analysis.results import RunNoise
from dashboard.analysis.settings import FitSettings

_MAX_STUDIES = 4
_MAX_BYTES = 64_000_000
"""Replicates of one study that are kept; a larger study is fitted anew for each question."""
_REFIT_VALUES = 20
"""Numbers a replicate of a curve keeps besides its scores: optima and weights of its families."""


@dataclass(frozen=True, kw_only=True)
class StudyFits:
    """The curves of one call, prepared together and fitted when asked for.

    Attributes
    ----------
    jobs : tuple of CurveJob
        In the order of the curves.
    pools : tuple of RunNoise
        Run noise of each study and kind of score that has repeated seeds.
    """

    jobs: tuple[CurveJob, ...]
    pools: tuple[RunNoise, ...]
    _settings: FitSettings
    _known: dict[tuple[str, ...], FittedJob | None] | None = field(repr=False)

    def fit(self, job: CurveJob) -> FittedJob | None:
        """Return the fit of one of `jobs`; None where it has no runs to fit."""
        if self._known is None:
            return fit_job(job, self._settings)
        if job.data.key not in self._known:
            self._known[job.data.key] = fit_job(job, self._settings)
        return self._known[job.data.key]


_recent: OrderedDict[str, StudyFits] = OrderedDict()
_lock = threading.Lock()


def share_fits(curves: Sequence[CurveData], settings: FitSettings) -> StudyFits:
    """Prepare the curves of one or several studies, or return what is known of them.

    Raises
    ------
    InputError
        If a curve is given twice.
    """
    # Levels, deltas and volumes to predict change what is read off a fit, not the fit.
    plain = FitSettings()
    relevant = replace(
        settings,
        level=plain.level,
        delta=plain.delta,
        plateau_delta=plain.plateau_delta,
        predict=plain.predict,
        fdr=plain.fdr,
    )
    n_values = sum(len(curve.score) + _REFIT_VALUES for curve in curves) * settings.n_replicates
    if n_values * 8 > _MAX_BYTES:
        jobs, pools = prepare_study(curves, settings)
        return StudyFits(jobs=tuple(jobs), pools=pools, _settings=settings, _known=None)
    # A fit's key names items by their hash; here it matters whether they are at hand.
    held = "".join("i" if curve.item_scores is not None else "-" for curve in curves)
    key = fit_key(curves, relevant) + held
    with _lock:
        if key in _recent:
            _recent.move_to_end(key)
            return _recent[key]
    jobs, pools = prepare_study(curves, relevant)
    fits = StudyFits(jobs=tuple(jobs), pools=pools, _settings=relevant, _known={})
    with _lock:
        _recent[key] = fits
        while len(_recent) > _MAX_STUDIES:
            _recent.popitem(last=False)
    return fits
