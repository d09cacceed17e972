"""A summary of votes as the JSON document and the sentence that `judge summary` prints."""

from __future__ import annotations

from typing import Any

from dashboard.analysis.judge.between_voters import AgreementRow
from dashboard.analysis.judge.shares import Share
from dashboard.analysis.judge.summary import JudgeSummary, ModelRow
from dashboard.analysis.serialise import to_plain


def read_summary(summary: JudgeSummary) -> str:
    """Return what the votes say in one plain sentence."""
    parts = [_leader(summary)]
    if summary.n_both_orders:
        rate = summary.n_inconsistent / summary.n_both_orders
        parts.append(f"{100 * rate:.1f}% of verdicts changed with the order and count as ties")
    elif summary.n_comparisons:
        parts.append("each pair was judged in one order only, so position may matter")
    if summary.n_failed:
        parts.append(
            f"{summary.n_failed:,} of {summary.n_votes:,} votes failed and "
            f"{'counts' if summary.n_failed == 1 else 'count'} nowhere"
        )
    return "; ".join(parts) + "."


def _leader(summary: JudgeSummary) -> str:
    """Say which model is best, and against what."""
    rows = [row for row in summary.models if row.win_rate is not None and not row.is_reference]
    if rows:
        best = rows[0]
        assert best.win_rate is not None  # filtered above
        against = (
            "its comparisons" if summary.reference is None else f"pairs with {summary.reference}"
        )
        text = f"{best.model} wins {_percent(best.win_rate)} of {against}"
        if best.length_controlled is not None and best.length_controlled.share is not None:
            share = best.length_controlled.share.estimate
            text += f" ({100 * share:.1f}% at equal length)"
        if len(rows) > 1 and rows[1].win_rate is not None:
            text += f", next {rows[1].model} with {_percent(rows[1].win_rate)}"
        return text
    marked = [row for row in summary.models if row.mean_mark is not None]
    if marked and marked[0].mean_mark is not None:
        mark = marked[0].mean_mark
        best_mark = f"{mark.estimate:.2f} over {mark.n_items} items"
        return f"{marked[0].model} has the best mean mark, {best_mark}"
    return "No vote holds a verdict"


def _percent(share: Share) -> str:
    """Return a share with its interval."""
    interval = share.interval
    return f"{100 * share.estimate:.1f}% [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def summary_document(summary: JudgeSummary) -> dict[str, Any]:
    """Return the summary as JSON values; unknown ones are null with a reason beside them."""
    ratings = summary.ratings
    return {
        "reference": summary.reference,
        "reference_given": summary.reference_given,
        "jury": list(summary.jury),
        "jury_rule": summary.jury_rule.value,
        "level": summary.level,
        "n_replicates": summary.n_replicates,
        "n_votes": summary.n_votes,
        "failed_votes": summary.n_failed,
        "self_comparisons": summary.n_self,
        "n_comparisons": summary.n_comparisons,
        "n_both_orders": summary.n_both_orders,
        "n_one_order": summary.n_one_order,
        "n_inconsistent": summary.n_inconsistent,
        "n_ties": summary.n_ties,
        "models": [_model(row) for row in summary.models],
        "ratings_status": ratings.status.value,
        "ratings_reason": ratings.reason,
        "order_effect": to_plain(ratings.order_effect),
        "order_effect_reason": ratings.order_effect_reason,
        "agreement": [_agreement(row) for row in summary.agreement],
        "agreement_with_people": [_agreement(row) for row in summary.agreement_with_people],
        "bias": to_plain(summary.bias),
        "bias_correction": "Benjamini-Hochberg",
        "reading": read_summary(summary),
    }


def _model(row: ModelRow) -> dict[str, Any]:
    """Return one model as JSON values."""
    share, controlled = row.win_rate, row.length_controlled
    level = None if controlled is None else controlled.share
    no_control = row.win_rate_reason if controlled is None else controlled.reason
    no_orders = None if row.n_both_orders else "no pair was judged in both orders"
    return {
        "model": row.model,
        "is_reference": row.is_reference,
        "n_items": 0 if share is None else share.n_items,
        "n_comparisons": 0 if share is None else share.n,
        "win_rate": None if share is None else share.estimate,
        "stderr": None if share is None else share.stderr,
        "win_rate_interval": None if share is None else to_plain(share.interval),
        "win_rate_reason": row.win_rate_reason,
        "win_rate_overall": (
            None if row.win_rate_overall is None else to_plain(row.win_rate_overall.interval)
        ),
        "length_controlled_win_rate": None if level is None else level.estimate,
        "length_controlled_stderr": None if level is None else level.stderr,
        "length_controlled_interval": None if level is None else to_plain(level.interval),
        "length_controlled_status": None if controlled is None else controlled.status.value,
        "length_controlled_reason": no_control,
        "length_effect": None if controlled is None else controlled.length_effect,
        "length_effect_stderr": None if controlled is None else controlled.length_effect_stderr,
        "length_effect_own_weight": None if controlled is None else controlled.own_weight,
        "difficulty_used": None if controlled is None else controlled.used_difficulty,
        "rating": to_plain(row.rating),
        "rating_stderr": row.rating_stderr,
        "rating_reason": row.rating_reason,
        "inconsistent_rate": row.inconsistent_rate,
        "inconsistent_rate_reason": no_orders,
        "n_both_orders": row.n_both_orders,
        "n_one_order": row.n_one_order,
        "failed_votes": row.n_failed,
        "mean_mark": to_plain(row.mean_mark),
    }


def _agreement(row: AgreementRow) -> dict[str, Any]:
    """Return one row of agreement as JSON values."""
    result = row.result
    decided = result.agreement_decided
    return {
        "annotator_a": row.annotator_a,
        "annotator_b": row.annotator_b,
        "on": row.on,
        "n": result.n,
        "n_items": result.n_items,
        "agreement": result.agreement.estimate,
        "agreement_interval": to_plain(result.agreement.interval),
        "kappa": None if result.kappa is None else result.kappa.estimate,
        "kappa_interval": to_plain(result.kappa),
        "kappa_reason": result.kappa_reason,
        "kappa_weighting": result.weighting.value,
        "agreement_decided": None if decided is None else decided.estimate,
        "n_decided": 0 if decided is None else decided.n,
    }
