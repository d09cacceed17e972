"""Results of comparisons kept in the workspace by key, as JSON documents.

A key is a hash of the result's name, the input rows, the settings, the command's own options and
the analysis version. Files are written atomically as `fits/<name>-<key>.json`; one that can't be
read is ignored and written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashboard.analysis import CurveData, FitSettings
from dashboard.analysis.fit_key import fit_key
from warehouse.landing import write_atomically
from warehouse.workspace import Workspace


def result_key(
    name: str,
    curves: Sequence[CurveData],
    settings: FitSettings,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Return the key of a result: equal name, rows, settings and options give equal keys.

    Parameters
    ----------
    options : mapping, optional
        What else the result depends on, as JSON values.
    """
    described = json.dumps([name, fit_key(curves, settings), options or {}], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def load_or_compute(
    workspace: Workspace, name: str, key: str, compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the document kept under a key, or compute and keep it.

    Parameters
    ----------
    name : str
        First part of the file's name, for people who look into the folder.
    compute : callable
        Returns the document: plain JSON values without NaN or infinity.

    Notes
    -----
    A workspace that can't be written to is no error: the document is returned all the same.
    """
    path = workspace.fits / f"{name}-{key}.json"
    try:
        known = json.loads(path.read_text("utf-8"))
        if isinstance(known, dict):
            return known
    except (OSError, ValueError):
        # Missing or damaged: computing again gives the same content.
        pass
    document = compute()
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    try:
        write_atomically(path, lambda target: target.write_text(text + "\n", "utf-8"))
    except OSError:
        # A read-only or full workspace must not cost the user the answer.
        return document
    return document
