"""Two data sources compared, in figures and tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import Interval, ResponseKind
from dashboard.analysis.compare.results import (
    SharedCurve,
    SourceDifference,
)
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.ratios import ratio_mark, say_ratio
from dashboard.charts.sources import VERDICT_WORDS, SourceView, response_of, shares_of
from dashboard.charts.style import escape
from dashboard.charts.wording import (
    STATUS_WORDS,
    name_ability,
    name_row,
    say_examples,
    say_interval,
)

# --- Figures ----------------------------------------------------------------------------------


def difference_figure(
    view: SourceView, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw the difference between two sources with its interval, one row an ability."""
    rows = []
    for pair in view.pairs:
        response = response_of(view, pair.ability)
        marks: tuple[Mark, ...] = ()
        if pair.difference is not None:
            marks = (_difference_mark(pair, pair.difference, response),)
        text = pair.reason or ""
        if pair.q_value is not None:
            q = _say_q(pair.q_value)
            text = f"q {q}" if q.startswith("<") else f"q = {q}"
        rows.append(_row(pair, marks, text))
    percent = _percent(view)
    better = "reference better" if view.pairs[0].higher_is_better else "reference higher"
    return forest_figure(
        rows,
        plan_named_series(["difference"]),
        Axis(
            title=f"{view.reference} minus {view.source}" + (" (points)" if percent else ""),
            references=((0.0, "no difference"),),
        ),
        title=title,
        subtitle=f"Score on {view.reference} data minus score on {view.source} data, "
        f"{_say_at(view)} of {view.base_model}, paired by question (right: {better})",
        note=note,
        text_heading="Corrected",
        narrow=narrow,
    )


def rates_figure(view: SourceView, *, title: str, note: str, narrow: bool = False) -> go.Figure:
    """Draw how many examples of the source one of the reference is worth, one row an ability."""
    rows = []
    for pair in view.pairs:
        rate = view.rates.get(pair.ability)
        mark = ratio_mark("rate", rate.rate, rate.status) if rate else None
        text = "no curve" if rate is None else say_ratio(rate.rate, rate.status)
        rows.append(_row(pair, () if mark is None else (mark,), text))
    return forest_figure(
        rows,
        plan_named_series(["rate"]),
        Axis(
            title=f"{view.source} examples (ratio, logarithmic)",
            log=True,
            references=((1.0, "one for one"),),
        ),
        title=title,
        subtitle=f"Examples of {view.source} data worth one of {view.reference} data, "
        f"{_say_at(view)} of {view.reference} data on {view.base_model}",
        note=note,
        text_heading="Exchange rate [interval]",
        narrow=narrow,
    )


def growing_figure(view: SourceView, *, title: str, note: str, narrow: bool = False) -> go.Figure:
    """Draw both sources' gains over the last fourfold of data, one row an ability."""
    names = (view.reference, view.source)
    rows = []
    for pair in view.pairs:
        one = view.growing.get(pair.ability)
        gains = (None, None) if one is None else (one.gain_reference, one.gain)
        response = response_of(view, pair.ability)
        marks = tuple(
            _gain_mark(name, gain, response)
            for name, gain in zip(names, gains, strict=True)
            if gain is not None
        )
        text = ""
        if one is not None and not marks:
            text = one.reason or STATUS_WORDS[one.status]
        rows.append(_row(pair, marks, text))
    return forest_figure(
        rows,
        plan_named_series(names),
        Axis(
            title="Gain over the last fourfold" + (" (points)" if _percent(view) else ""),
            references=((0.0, "flat"),),
        ),
        title=title,
        subtitle=f"Gain of {view.base_model} from a quarter of the largest volume to the largest, "
        "of each source's own curve",
        note=note,
        narrow=narrow,
    )


def balance_figure(view: SourceView, *, title: str, note: str, narrow: bool = False) -> go.Figure:
    """Draw what share of each source's training examples every ability has."""
    rows = [
        Row(
            name=name_ability(ability),
            marks=tuple(
                Mark(
                    series=source,
                    estimate=share,
                    low=share,
                    high=share,
                    hover=f"<b>{escape(name_ability(ability))}</b>: {share:.1%} of {escape(source)}"
                    " data",
                )
                for source in (view.reference, view.source)
                if (share := by_source.get(source)) is not None
            ),
        )
        for ability, by_source in shares_of(view).items()
    ]
    return forest_figure(
        rows,
        plan_named_series([view.reference, view.source]),
        Axis(title="Share of training examples", tick_format=".0%", references=((0.0, ""),)),
        title=title,
        subtitle="Share of each source's training examples by ability, over all of its runs",
        note=note,
        narrow=narrow,
    )


# --- Tables -----------------------------------------------------------------------------------


def differences_table(view: SourceView) -> pd.DataFrame:
    """Return one row an ability and volume: scores, difference, test, as numbers."""
    return pd.DataFrame(
        [
            {
                "ability": p.ability,
                "base_model": p.base_model,
                "metric": p.metric,
                "n_examples": p.n_examples,
                p.reference: p.score_reference,
                p.data_source: p.score,
                "difference": p.difference.estimate if p.difference else None,
                "low": p.difference.low if p.difference else None,
                "high": p.difference.high if p.difference else None,
                "p": p.p_value,
                "q": p.q_value,
                "significant": p.significant,
                "better": p.better,
                "status": p.status,
                "reason": p.reason,
            }
            for p in view.all_pairs
        ]
    )


def verdicts_table(view: SourceView) -> pd.DataFrame:
    """Return one row an ability: difference, exchange rate, ceilings, as text."""
    rows = []
    for pair in view.pairs:
        response = response_of(view, pair.ability)
        rate, shared = view.rates.get(pair.ability), view.shared.get(pair.ability)
        rows.append(
            {
                "ability": name_row(pair.ability, out_of_domain=pair.out_of_domain),
                "examples": pair.n_examples,
                "difference": say_interval(pair.difference, response, signed=True),
                "q": None if pair.q_value is None else _say_q(pair.q_value),
                "better": pair.better if pair.significant else "can't be told",
                "exchange rate": say_ratio(rate.rate, rate.status) if rate else None,
                "ceilings": VERDICT_WORDS[shared.verdict] if shared else None,
                f"ceiling, {view.reference}": _ceiling(
                    shared, "ceiling_reference", pair.score_reference, response
                ),
                f"ceiling, {view.source}": _ceiling(shared, "ceiling_source", pair.score, response),
                "reason": pair.reason or (shared.reason if shared else None),
            }
        )
    return pd.DataFrame(rows)


def rates_table(view: SourceView) -> pd.DataFrame:
    """Return one row an ability: exchange rate with interval and what stands behind it."""
    return pd.DataFrame(
        [
            {
                "ability": r.ability,
                "n_examples": r.n_examples,
                "rate": r.rate.estimate if r.rate else None,
                "low": r.rate.low if r.rate else None,
                "high": r.rate.high if r.rate else None,
                "p_beyond_observed": r.p_beyond_observed,
                "p_never_under_family": r.p_never_under_family,
                "largest_observed_rate": r.largest_observed_rate,
                "status": r.status,
                "reason": r.reason,
            }
            for r in view.rates.values()
        ]
    )


def growing_table(view: SourceView) -> pd.DataFrame:
    """Return one row an ability: both gains over the last fourfold, as numbers."""
    rows = []
    for one in view.growing.values():
        row: dict[str, Any] = {"ability": one.ability}
        for name, gain in ((one.reference, one.gain_reference), (one.data_source, one.gain)):
            row |= {
                f"{name} gain": gain.estimate if gain else None,
                f"{name} low": gain.low if gain else None,
                f"{name} high": gain.high if gain else None,
            }
        rows.append(row | {"reason": one.reason})
    return pd.DataFrame(rows)


def balance_table(view: SourceView) -> pd.DataFrame:
    """Return one row a source and ability: runs, volumes, share."""
    return pd.DataFrame(list(view.balance))


# --- Parts ------------------------------------------------------------------------------------


def _row(pair: SourceDifference, marks: tuple[Mark, ...], text: str) -> Row:
    return Row(name=name_ability(pair.ability), marks=marks, text=text, apart=pair.out_of_domain)


def _difference_mark(pair: SourceDifference, interval: Interval, response: ResponseKind) -> Mark:
    """Return a difference's mark, filled where it is significant after correction."""
    factor = 100.0 if response is ResponseKind.ACCURACY else 1.0
    verdict = f"{pair.better} data is better" if pair.significant else "can't be told apart"
    return Mark(
        series="difference",
        estimate=factor * interval.estimate,
        low=factor * interval.low,
        high=factor * interval.high,
        hover=f"<b>{escape(name_ability(pair.ability))}</b>: {escape(verdict)}"
        f"<br>{say_interval(interval, response, signed=True)} at {say_examples(pair.n_examples)}"
        f" examples<br>{interval.level:.0%} interval; runs: {pair.n_runs_reference} and "
        f"{pair.n_runs}",
        filled=pair.significant,
    )


def _gain_mark(name: str, gain: Interval, response: ResponseKind) -> Mark:
    """Return a gain's mark, filled where it is above 0."""
    factor = 100.0 if response is ResponseKind.ACCURACY else 1.0
    return Mark(
        series=name,
        estimate=factor * gain.estimate,
        low=factor * gain.low,
        high=factor * gain.high,
        hover=f"<b>{escape(name)}</b>: {say_interval(gain, response, signed=True)}"
        f"<br>{gain.level:.0%} interval",
        filled=gain.low > 0,
    )


def _say_q(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _say_at(view: SourceView) -> str:
    if view.volume is None:
        return "at the largest common volume"
    return f"at {say_examples(view.volume)} examples"


def _percent(view: SourceView) -> bool:
    kinds = {response_of(view, pair.ability) for pair in view.pairs}
    return kinds == {ResponseKind.ACCURACY}


def _ceiling(
    shared: SharedCurve | None, name: str, seen: float, response: ResponseKind
) -> str | None:
    """Return a fitted ceiling; one below what runs have reached tells nothing."""
    value = None if shared is None else getattr(shared, name)
    if value is None:
        return None
    if response is ResponseKind.ACCURACY and value < 0.8 * seen:
        return "not told"
    return f"{100 * value:.0f}%" if response is ResponseKind.ACCURACY else f"{value:.3g}"
