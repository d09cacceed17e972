"""Transfer and effective data of run tables, kept in the workspace by what they rest on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np

from dashboard.analysis.effective.results import EffectiveFit
from dashboard.analysis.run_table import RunTable, Target
from dashboard.analysis.serialise import from_plain, to_plain
from dashboard.analysis.settings import ANALYSIS_VERSION, FitSettings
from dashboard.analysis.transfer.results import TransferResult
from dashboard.result_store import load_or_compute
from warehouse.workspace import Workspace

_EFFECTIVE_REPLICATES = 400
"""Enough for the intervals of worths, which refit a curve in every replicate."""

_ARRAYS = ("score", "stderr", "n_items", "parse_rate", "score_given_parsed", "item_scores")


def fit_transfer_or_load(
    workspace: Workspace, table: RunTable, settings: FitSettings, reference: str | None = None
) -> tuple[TransferResult, EffectiveFit]:
    """Return what every ability's data does to every target, and what examples are worth.

    Parameters
    ----------
    reference : str, optional
        Source whose examples count as one each; by default human, else the first by name.

    Returns
    -------
    TransferResult
    EffectiveFit
        Without its `model`, which is large and which only budgets need.
    """

    def compute() -> dict[str, Any]:
        # scipy and the fitting engine are loaded only for a result that is not known.
        from dashboard.analysis.effective import fit_effective
        from dashboard.analysis.transfer import fit_transfer

        small = replace(settings, n_replicates=min(settings.n_replicates, _EFFECTIVE_REPLICATES))
        effective = replace(fit_effective(table, small, reference), model=None)
        return {
            "transfer": to_plain(fit_transfer(table, settings)),
            "effective": to_plain(effective),
        }

    key = _transfer_key(table, settings, reference)
    document = load_or_compute(workspace, "transfer", key, compute)
    return (
        from_plain(TransferResult, document["transfer"]),
        from_plain(EffectiveFit, document["effective"]),
    )


def _transfer_key(table: RunTable, settings: FitSettings, reference: str | None) -> str:
    """Return a hash of the table's content and all that the results depend on besides."""
    asked = [ANALYSIS_VERSION, to_plain(settings), reference]
    named = [table.study, table.base_model, table.n_params, to_plain(table.runs)]
    digest = hashlib.sha256(json.dumps([asked, named]).encode())
    for target in table.targets:
        _add_target(digest, target)
    return digest.hexdigest()[:32]


def _add_target(digest: hashlib._Hash, target: Target) -> None:
    """Hash one target; all NaN are alike."""
    plain = {
        name: getattr(target, name)
        for name in ("ability", "metric", "higher_is_better", "chance_level", "out_of_domain")
    }
    digest.update(json.dumps([plain, target.item_ids]).encode())
    for name in _ARRAYS:
        array = getattr(target, name)
        if array is not None:
            digest.update(name.encode())
            digest.update(np.where(np.isnan(array), np.nan, array).tobytes())
