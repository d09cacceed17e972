"""Named mixtures of training data against one of them, on abilities and exams."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import ResponseKind
from dashboard.analysis.mixtures import MixturePair, MixtureResult
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.style import escape
from dashboard.charts.wording import name_ability, say_count, say_interval, say_list

MIXTURE_NOTE = (
    "Filled: significant after correction for all targets and mixtures; overall means, in which "
    "each target counts the same, are corrected apart."
)


def mixtures_figure(
    result: MixtureResult, fdr: float, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw what each mixture gains over the reference, one row a target.

    Parameters
    ----------
    result : MixtureResult
        Of pairs with one common reference.
    fdr : float
        False discovery rate below which a difference counts as significant.
    title, note : str
        The finding; source and uncertainty.
    narrow : bool
        Whether the figure is for one column of a paper.
    """
    percent = all(pair.response is ResponseKind.ACCURACY for pair in result.pairs)
    names = list(dict.fromkeys(pair.mixture for pair in result.pairs))
    by_target: dict[str, list[MixturePair]] = {}
    for pair in sorted(result.pairs, key=lambda one: (one.out_of_domain, not one.overall)):
        by_target.setdefault(pair.target, []).append(pair)
    rows = [
        Row(
            name=name_ability(target),
            marks=tuple(mark for pair in pairs if (mark := _mark(pair, fdr)) is not None),
            text="" if any(pair.difference for pair in pairs) else (pairs[0].reason or ""),
            apart=pairs[0].out_of_domain,
        )
        for target, pairs in by_target.items()
    ]
    reference = result.pairs[0].reference
    return forest_figure(
        rows,
        plan_named_series(names),
        Axis(
            title=f"Gain over {reference}" + (" (points)" if percent else ""),
            references=((0.0, "no difference"),),
        ),
        title=title,
        subtitle=f"What each mixture gains over {reference} on {result.base_model}, paired by "
        "question",
        note=note,
        narrow=narrow,
    )


def mixtures_title(result: MixtureResult, fdr: float) -> str:
    """Say which mixtures beat the reference: in overall means where there are any, else where."""
    reference = result.pairs[0].reference
    overall = [pair for pair in result.pairs if pair.overall] or result.pairs
    better = [
        pair
        for pair in overall
        if pair.q_value is not None
        and pair.q_value < fdr
        and pair.difference is not None
        and pair.difference.estimate < 0
    ]
    total = say_count(len({pair.mixture for pair in result.pairs}), "mixture")
    if not better:
        return f"None of {total} is shown to be better than {reference}"
    said = [
        f"{pair.mixture} ({name_ability(pair.target.removeprefix('overall, '))})"
        for pair in better[:4]
    ]
    more = f" and {len(better) - 4} more" if len(better) > 4 else ""
    return f"Better than {reference}: {say_list(said)}{more}"


def mixtures_table(result: MixtureResult) -> pd.DataFrame:
    """Return one row a target and mixture: difference, test, as numbers."""
    return pd.DataFrame(
        [
            {
                "study": result.study,
                "base_model": pair.base_model,
                "target": pair.target,
                "overall": pair.overall,
                "out_of_domain": pair.out_of_domain,
                "metric": pair.metric,
                "mixture": pair.mixture,
                "reference": pair.reference,
                "n_examples": pair.n_examples,
                "n_examples_reference": pair.n_examples_reference,
                "difference": -pair.difference.estimate if pair.difference else None,
                "low": -pair.difference.high if pair.difference else None,
                "high": -pair.difference.low if pair.difference else None,
                "p": pair.p_value,
                "q": pair.q_value,
                "steps_matched": pair.steps_matched,
                "reason": pair.reason,
            }
            for pair in result.pairs
        ]
    )


def _mark(pair: MixturePair, fdr: float) -> Mark | None:
    """Return one mixture's difference, turned so that above 0 the mixture scores more."""
    known = pair.difference
    if known is None:
        return None
    factor = 100.0 if pair.response is ResponseKind.ACCURACY else 1.0
    return Mark(
        series=pair.mixture,
        estimate=-factor * known.estimate,
        low=-factor * known.high,
        high=-factor * known.low,
        hover=f"<b>{escape(pair.mixture)}</b> on {escape(name_ability(pair.target))}<br>"
        f"{escape(pair.reference)} minus mixture: "
        f"{say_interval(known, pair.response, signed=True)}<br>{known.level:.0%} interval",
        filled=pair.q_value is not None and pair.q_value < fdr,
    )
