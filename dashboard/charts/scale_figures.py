"""Base models compared, in figures and tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import ResponseKind
from dashboard.analysis.compare.results import (
    ModelScore,
    VolumeRanking,
)
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.results import PredictionStatus
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.ratios import RATIO_WORDS, ratio_mark, say_ratio
from dashboard.charts.scale import STANDS_OUT, ScaleView, final_equivalents, rests_on
from dashboard.charts.style import escape
from dashboard.charts.wording import (
    STATUS_WORDS,
    name_ability,
    name_model,
    name_row,
    say_examples,
    say_interval,
)

# --- Figures ----------------------------------------------------------------------------------


def best_figure(view: ScaleView, *, title: str, note: str, narrow: bool = False) -> go.Figure:
    """Draw every model's expected score at the target, one row an ability.

    Parameters
    ----------
    view : ScaleView
        With at least one ranked ability.
    title : str
        The finding.
    note : str
        Source and uncertainty.
    """
    if len(view.abilities) == 1:
        return _ranking_figure(view, title=title, note=note, narrow=narrow)
    shown = list(dict.fromkeys(curve.base_model for curve in view.curves))
    by_key = {(score.ability, score.base_model): score for score in view.scores}
    names = {model: name_model(model, _size(view, model)) for model in shown}
    rankings = {ranking.ability: ranking for ranking in view.rankings}
    rows = []
    for ability in view.abilities:
        found = [score for model in shown if (score := by_key.get((ability, model)))]
        marks = [_score_mark(s, names[s.base_model], view.responses[ability]) for s in found]
        rows.append(
            Row(
                name=name_ability(ability),
                marks=tuple(mark for mark in marks if mark is not None),
                text=_say_best(rankings.get(ability)),
                apart=ability in view.exams,
            )
        )
    return forest_figure(
        rows,
        plan_named_series(list(names.values())),
        _score_axis(view),
        title=title,
        subtitle=f"Expected score of each base model at {say_examples(view.volume)} examples "
        f"{'per ability ' if _own(view) else ''}of {view.source} data, with interval",
        note=note,
        text_heading="P(best)",
        narrow=narrow,
    )


def _ranking_figure(view: ScaleView, *, title: str, note: str, narrow: bool = False) -> go.Figure:
    """Draw the models of the only ability, the best on top."""
    (ability,) = view.abilities
    ordered = sorted(view.scores, key=lambda s: (s.rank is None, s.rank or 0, s.base_model))
    rows = []
    for score in ordered:
        mark = _score_mark(score, "expected score", view.responses[ability])
        text = "" if score.p_best is None else _say_chance(score.p_best)
        rows.append(
            Row(
                name=name_model(score.base_model, score.n_params),
                marks=() if mark is None else (mark,),
                text=text if mark is not None else score.reason or "no curve",
            )
        )
    return forest_figure(
        rows,
        plan_named_series(["expected score"]),
        _score_axis(view),
        title=title,
        subtitle=f"Expected score on {name_ability(ability)} at {say_examples(view.volume)} "
        f"examples of {view.source} data, with interval"
        + ("" if ordered[0].higher_is_better else " (lower is better)"),
        note=note,
        text_heading="P(best)",
        narrow=narrow,
    )


def equivalents_figure(
    view: ScaleView, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw how many examples on a smaller model one on a larger is worth, one row an ability."""
    chosen = final_equivalents(view)
    pairs = list(dict.fromkeys((e.base_model, e.larger) for e in chosen))
    series = plan_named_series([_say_pair(pair) for pair in pairs])
    rows = []
    if len(view.abilities) == 1:
        series = plan_named_series(["ratio"])
        for e in chosen:
            mark = ratio_mark("ratio", e.ratio, e.status)
            rows.append(
                Row(
                    name=_say_pair((e.base_model, e.larger)),
                    marks=() if mark is None else (mark,),
                    text=say_ratio(e.ratio, e.status),
                )
            )
        pairs = pairs[:1]
    for ability in view.abilities if not rows else ():
        mine = [e for e in chosen if e.ability == ability]
        marks = [
            mark
            for e in mine
            if (mark := ratio_mark(_say_pair((e.base_model, e.larger)), e.ratio, e.status))
        ]
        said = [say_ratio(e.ratio, e.status) for e in mine]
        rows.append(
            Row(
                name=name_ability(ability),
                marks=tuple(marks),
                # Two ratios do not fit beside a name in one column.
                text="" if narrow and len(said) > 1 else "; ".join(said),
                apart=ability in view.exams,
            )
        )
    return forest_figure(
        rows,
        series,
        Axis(
            title="Examples on the smaller model (ratio, logarithmic)",
            log=True,
            references=((1.0, "as many"),),
        ),
        title=title,
        subtitle=f"Examples of {view.source} data that the smaller model needs for one on the "
        "larger, at the largest volume of the larger",
        note=note,
        text_heading="Worth, in order of the legend" if len(pairs) > 1 else "Worth",
        narrow=narrow,
    )


# --- Tables -----------------------------------------------------------------------------------


def best_table(view: ScaleView) -> pd.DataFrame:
    """Return one row an ability: order of the models, P(best), and what less data would cost."""
    by_key = {(score.ability, score.base_model): score for score in view.scores}
    earlier: dict[str, VolumeRanking] = {}
    for ranking in view.earlier:
        if ranking.n_examples < ranking.target:
            earlier[ranking.ability] = ranking
    rows = []
    for ranking in sorted(view.rankings, key=lambda one: one.ability in view.exams):
        first = by_key.get((ranking.ability, ranking.order[0])) if ranking.order else None
        before = earlier.get(ranking.ability)
        response = view.responses.get(ranking.ability, ResponseKind.SCORE)
        rows.append(
            {
                "ability": name_row(ranking.ability, out_of_domain=ranking.ability in view.exams),
                "volume": ranking.target,
                "order": ", ".join(ranking.order[:8]) + (", …" if len(ranking.order) > 8 else ""),
                "P(best)": ranking.p_best,
                "score of the first": say_interval(first.score if first else None, response),
                "rests on": rests_on(first),
                "chosen at": None if before is None else before.n_examples,
                "expected regret": _say_regret(before, response),
                "reason": ranking.reason,
            }
        )
    return pd.DataFrame(rows)


def scores_table(view: ScaleView) -> pd.DataFrame:
    """Return one row an ability and base model: expected score at the target, as numbers."""
    return pd.DataFrame(
        [
            {
                "ability": score.ability,
                "base_model": score.base_model,
                "n_params": score.n_params,
                "data_source": score.data_source,
                "metric": score.metric,
                "n_examples": score.n_examples,
                "score": score.score.estimate if score.score else None,
                "low": score.score.low if score.score else None,
                "high": score.score.high if score.score else None,
                "rank": score.rank,
                "p_best": score.p_best,
                "prediction_status": score.prediction_status,
                "reason": score.reason,
            }
            for score in view.scores
        ]
    )


def equivalents_table(view: ScaleView) -> pd.DataFrame:
    """Return one row an ability, pair of models and volume."""
    return pd.DataFrame(
        [
            {
                "ability": e.ability,
                "smaller": e.base_model,
                "larger": e.larger,
                "n_examples": e.n_examples,
                "ratio": e.ratio.estimate if e.ratio else None,
                "low": e.ratio.low if e.ratio else None,
                "high": e.ratio.high if e.ratio else None,
                "status": RATIO_WORDS[e.status],
                "p_beyond_observed": e.p_beyond_observed,
                "p_never_under_family": e.p_never_under_family,
                "reason": e.reason,
            }
            for e in view.equivalents
        ]
    )


def laws_table(laws: Sequence[JointFit]) -> pd.DataFrame:
    """Return one row an ability: parameters of the joint law with standard errors, and status."""
    return pd.DataFrame(
        [
            {
                "ability": name_ability(law.ability),
                **{name: _say_parameter(law.params[name], law.stderr[name]) for name in law.params},
                "sizes": law.n_models,
                "volumes": law.n_volumes,
                "runs": law.n_points,
                "RMSE": law.rmse,
                "status": STATUS_WORDS[law.status],
                "reason": law.reason,
            }
            for law in laws
        ]
    )


# --- Parts ------------------------------------------------------------------------------------


def _score_mark(score: ModelScore, name: str, response: ResponseKind) -> Mark | None:
    """Return one model's mark; hollow where no backtest reaches."""
    if score.score is None:
        return None
    lines = [
        f"<b>{escape(name)}</b>: {say_interval(score.score, response)}",
        f"{score.score.level:.0%} interval, {rests_on(score)}",
    ]
    if score.p_best is not None:
        lines.append(f"the best with probability {score.p_best:.0%}")
    return Mark(
        series=name,
        estimate=score.score.estimate,
        low=score.score.low,
        high=score.score.high,
        hover="<br>".join(lines),
        filled=score.prediction_status is not PredictionStatus.UNSUPPORTED_HORIZON,
    )


def _say_best(ranking: VolumeRanking | None) -> str:
    """Return "ladder-l 94%", or that none stands out."""
    if ranking is None or not ranking.order:
        return "not ranked"
    if ranking.p_best is None:
        return ranking.order[0]
    if ranking.p_best < STANDS_OUT:
        return "none stands out"
    return f"{ranking.order[0]} {ranking.p_best:.0%}"


def _say_regret(before: VolumeRanking | None, response: ResponseKind) -> str | None:
    if before is None or before.expected_regret is None:
        return None
    if response is ResponseKind.ACCURACY:
        return f"{100 * before.expected_regret:.1f} points"
    return f"{before.expected_regret:.3g}"


def _say_chance(probability: float) -> str:
    return "<1%" if probability < 0.01 else f"{probability:.0%}"


def _say_pair(pair: tuple[str, str]) -> str:
    return f"{pair[0]} for {pair[1]}"


def _say_parameter(value: float | None, stderr: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.3g}" if stderr is None else f"{value:.3g} \N{PLUS-MINUS SIGN} {stderr:.2g}"


def _size(view: ScaleView, model: str) -> int | None:
    return next((c.n_params for c in view.curves if c.base_model == model), None)


def _score_axis(view: ScaleView) -> Axis:
    return Axis(title="Expected score", tick_format=".0%" if _percent(view) else "~g")


def _percent(view: ScaleView) -> bool:
    return all(response is ResponseKind.ACCURACY for response in view.responses.values())


def _own(view: ScaleView) -> bool:
    return any(curve.x_kind == "own" for curve in view.curves)
