"""Transfer and effective data as `transfer --json` prints them (see docs/transfer.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dashboard.analysis.effective import AbilityWorth, EffectiveFit, SourceWorth
from dashboard.analysis.results import Interval
from dashboard.analysis.serialise import to_plain
from dashboard.analysis.transfer.results import Mirror, TransferCell, TransferResult

_PLAIN_CELL = (
    "design",
    "base_model",
    "data_source",
    "metric",
    "volume",
    "volume_per",
    "length_rule",
    "source_ability",
    "target_ability",
    "own",
    "out_of_domain",
)
_REST_OF_CELL = (
    "p_value",
    "q_value",
    "beyond_format_p_value",
    "beyond_format_q_value",
    "verdict",
    "n_tests",
    "n_others",
    "parse_rate_change",
    "given_parsed_change",
    "n_steps",
    "n_steps_reference",
    "steps_matched",
    "n_runs",
    "reason",
)


def transfer_document(
    results: Sequence[TransferResult], effective: Sequence[EffectiveFit]
) -> dict[str, Any]:
    """Return `matrix`, `mirror`, `tau`, `rho`, `unlabelled`, `effective` and `reading`."""
    return {
        "matrix": [cell_document(r.study, cell) for r in results for cell in r.cells],
        "status": [
            {"study": r.study, "base_model": r.base_model, "status": r.status, "reason": r.reason}
            for r in results
        ],
        "correction": "Benjamini-Hochberg over each study x base model x data source x metric",
        "mirror": [_mirror(r.study, mirror) for r in results for mirror in r.mirrors],
        "tau": [_ability_worth(fit, worth) for fit in effective for worth in fit.tau],
        "rho": [_source_worth(fit, worth) for fit in effective for worth in fit.rho],
        "unlabelled": [_source_worth(fit, worth) for fit in effective for worth in fit.unlabelled],
        "effective": [_effective(fit) for fit in effective],
        "reading": [line for result in results for line in result.reading]
        + [line for fit in effective for line in fit.reading],
    }


def cell_document(study: str, cell: TransferCell) -> dict[str, Any]:
    """Return one cell of the matrix."""
    return {
        "study": study,
        **{name: to_plain(getattr(cell, name)) for name in _PLAIN_CELL},
        "effect": interval_document(cell.effect),
        "beyond_format": interval_document(cell.beyond_format),
        **{name: to_plain(getattr(cell, name)) for name in _REST_OF_CELL},
    }


def interval_document(interval: Interval | None) -> dict[str, Any] | None:
    """Return an interval; a bound that is not known (an open end) is null."""
    if interval is None:
        return None
    document: dict[str, Any] = to_plain(interval)
    for name in ("low", "high"):
        if not math.isfinite(getattr(interval, name)):
            document[name] = None
    return document


def _mirror(study: str, mirror: Mirror) -> dict[str, Any]:
    return {
        "study": study,
        "base_model": mirror.base_model,
        "metric": mirror.metric,
        "target": mirror.target,
        "n_recipes": mirror.n_recipes,
        "slope": interval_document(mirror.slope),
        "rank_correlation": interval_document(mirror.rank_correlation),
        "reason": mirror.reason,
    }


def _ability_worth(fit: EffectiveFit, worth: AbilityWorth) -> dict[str, Any]:
    return {
        "study": fit.study,
        "base_model": fit.base_model,
        "source_ability": worth.source_ability,
        "target_ability": worth.target_ability,
        "status": worth.status.value,
        "tau": interval_document(worth.tau),
        "shift": interval_document(worth.shift),
        "p_value": worth.p_value,
        "q_value": worth.q_value,
        "n_tests": worth.n_tests,
        "reason": worth.reason,
    }


def _source_worth(fit: EffectiveFit, worth: SourceWorth) -> dict[str, Any]:
    return {
        "study": fit.study,
        "base_model": fit.base_model,
        "ability": worth.ability,
        "data_source": worth.data_source,
        "reference": fit.reference,
        "status": worth.status.value,
        "rho": interval_document(worth.rho),
        "reason": worth.reason,
    }


def _effective(fit: EffectiveFit) -> dict[str, Any]:
    return {
        "study": fit.study,
        "base_model": fit.base_model,
        "metric": fit.metric,
        "reference": fit.reference,
        "status": fit.status,
        "reason": fit.reason,
        "tau_identified": fit.tau_identified,
        "n_runs": fit.n_runs,
        "left_out": list(fit.left_out),
        "abilities": [to_plain(one) for one in fit.abilities],
    }
