"""What a fit depends on, as one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from dashboard.analysis.curve_data import CurveData, FloatArray
from dashboard.analysis.serialise import to_plain
from dashboard.analysis.settings import ANALYSIS_VERSION, FitSettings


def fit_key(curves: Sequence[CurveData], settings: FitSettings) -> str:
    """Return the key of a fit: equal rows, settings and analysis version give equal keys.

    Curves have one key with and without their items if the warehouse gave them `item_hash`.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([ANALYSIS_VERSION, to_plain(settings)]).encode())
    for curve in curves:
        described = to_plain(
            {
                name: getattr(curve, name)
                for name in (
                    "study",
                    "ability",
                    "base_model",
                    "n_params",
                    "data_source",
                    "metric",
                    "higher_is_better",
                    "chance_level",
                    "seed",
                    "cell_id",
                    "item_hash",
                    "missing_reason",
                    "x_kind",
                    "out_of_domain",
                    "delta",
                    "invalid_reason",
                )
            }
        )
        digest.update(json.dumps(described).encode())
        for array in (curve.n_examples, curve.score, curve.stderr, curve.n_items):
            _add_array(digest, array)
        if curve.item_hash is None and curve.item_scores is not None:
            digest.update(json.dumps(curve.item_ids).encode())
            _add_array(digest, curve.item_scores)
    return digest.hexdigest()[:32]


def _add_array(digest: hashlib._Hash, array: FloatArray) -> None:
    """Hash an array's shape and values; all NaN are alike."""
    values = np.where(np.isnan(array), np.nan, array)
    digest.update(str(array.shape).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
