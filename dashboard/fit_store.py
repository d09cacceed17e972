"""Fits kept in the workspace by key, so that nothing known is refitted.

A key is a hash of the input rows, the settings and the analysis version; item scores enter by the
hash that the warehouse keeps of them, so they are read only for a fit that is not known. Each
study's result is one file, `fits/<key>.parquet`, with one row a curve; it is written atomically,
so any number of processes may fit at once. A file that can't be read is ignored and written again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.analysis import CurveData, FitSettings, StudyFit
from dashboard.analysis.fit_key import fit_key
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.results import CurveFit, RunNoise
from dashboard.analysis.serialise import from_plain, to_plain
from dashboard.analysis.settings import ANALYSIS_VERSION
from warehouse.landing import write_atomically
from warehouse.workspace import Workspace

_SHARED = b"growthpace_shared"

ItemLoader = Callable[[Sequence[CurveData]], Sequence[CurveData]]


def fit_or_load(
    workspace: Workspace,
    curves: Sequence[CurveData],
    settings: FitSettings,
    *,
    keep: bool = True,
    load_items: ItemLoader | None = None,
) -> StudyFit:
    """Return the fits of some curves, study by study from the store where it knows them.

    Parameters
    ----------
    curves : sequence of CurveData
        All curves of one or several studies, as `dashboard.evidence.load_curves` gives them.
    keep : bool
        Whether to store what is fitted anew. A workspace that can't be written to is no error:
        the fit is returned all the same.
    load_items : callable, optional
        Adds item scores to curves that were read without them
        (`dashboard.evidence.load_items`); called only for studies whose fit is not known.

    Returns
    -------
    StudyFit
        Curves in the order given.
    """
    studies: dict[str, list[CurveData]] = {}
    for curve in curves:
        studies.setdefault(curve.study, []).append(curve)
    parts = [
        _fit_one(workspace, members, settings, keep, load_items) for members in studies.values()
    ]
    by_key = {fit.key: fit for part in parts for fit in part.curves}
    return StudyFit(
        curves=tuple(by_key[curve.key] for curve in curves),
        run_noise=tuple(noise for part in parts for noise in part.run_noise),
        analysis_version=ANALYSIS_VERSION,
    )


def fit_joint_or_load(
    workspace: Workspace, curves: Sequence[CurveData], settings: FitSettings, *, keep: bool = True
) -> tuple[JointFit, ...]:
    """Return the joint laws of some curves, from `fits/<key>.joint.json` where they are known."""
    path = workspace.fits / f"{fit_key(curves, settings)}.joint.json"
    try:
        return tuple(from_plain(JointFit, law) for law in json.loads(path.read_text("utf-8")))
    except (OSError, KeyError, TypeError, ValueError):
        # Missing or damaged: fitting again gives the same content.
        from dashboard.analysis.joint.fit import fit_joint
    laws = fit_joint(curves, settings)
    if keep:
        text = json.dumps(to_plain(laws))
        with contextlib.suppress(OSError):
            write_atomically(path, lambda target: target.write_text(text, "utf-8"))
    return laws


def load_fit(path: Path) -> StudyFit | None:
    """Return a stored fit; None if the file is missing, damaged or of another version."""
    try:
        table = pq.read_table(path)
        shared = json.loads((table.schema.metadata or {})[_SHARED])
        if shared["analysis_version"] != ANALYSIS_VERSION:
            return None
        return StudyFit(
            curves=tuple(
                from_plain(CurveFit, json.loads(text)) for text in table["fit"].to_pylist()
            ),
            run_noise=tuple(from_plain(RunNoise, noise) for noise in shared["run_noise"]),
            analysis_version=shared["analysis_version"],
            correction=shared["correction"],
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        # Whatever is wrong with the file, fitting again gives the same content.
        return None


def store_fit(path: Path, fit: StudyFit) -> None:
    """Write a fit as `path`, atomically: one row a curve, its keys readable by any tool."""
    keys = ("study", "ability", "base_model", "data_source", "metric", "status", "label")
    columns: dict[str, list[str | None]] = {
        name: [
            None if (value := getattr(curve, name)) is None else str(value) for curve in fit.curves
        ]
        for name in keys
    }
    columns["fit"] = [json.dumps(to_plain(curve)) for curve in fit.curves]
    shared = json.dumps(
        {
            "analysis_version": fit.analysis_version,
            "correction": fit.correction,
            "run_noise": to_plain(fit.run_noise),
        }
    )
    schema = pa.schema([(name, pa.string()) for name in columns], metadata={_SHARED: shared})
    table = pa.table(columns, schema=schema)
    write_atomically(path, lambda target: pq.write_table(table, target, compression="zstd"))


def _fit_one(
    workspace: Workspace,
    curves: Sequence[CurveData],
    settings: FitSettings,
    keep: bool,
    load_items: ItemLoader | None,
) -> StudyFit:
    """Fit one study, or read it."""
    if load_items is not None and any(curve.item_hash is None for curve in curves):
        # A snapshot of an older version does not know the hashes: the items must speak.
        curves, load_items = load_items(curves), None
    path = workspace.fits / f"{fit_key(curves, settings)}.parquet"
    known = load_fit(path)
    if known is not None and [fit.key for fit in known.curves] == [c.key for c in curves]:
        return known
    # statsmodels and scipy take a second to load: only a new fit needs them.
    from dashboard.analysis.study import fit_study

    fit = fit_study(curves if load_items is None else load_items(curves), settings)
    if keep:
        # A read-only or full workspace must not cost the user the answer.
        with contextlib.suppress(OSError):
            store_fit(path, fit)
    return fit
