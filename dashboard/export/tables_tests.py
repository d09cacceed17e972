"""Tables of tests: sources, abilities, base models, transfer, mixtures, with corrections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dashboard.analysis import Interval
from dashboard.analysis.compare.ceilings import SharedVerdict
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.results import (
    AbilityComparison,
    ExchangeRate,
    ScaleComparison,
    SourceComparison,
)
from dashboard.analysis.mixtures import MixtureResult
from dashboard.analysis.serialise import to_plain
from dashboard.analysis.transfer.results import TransferResult, Verdict
from dashboard.charts.wording import name_ability, name_row, say_count, say_examples
from dashboard.export.tables import (
    Missing,
    PaperTable,
    Shown,
    bounds,
    p_text,
    say_fixed,
    significant,
    varying,
)

_ACCURACY = "acc"
_MOST_CELLS = 12
_FAR = 1000
_WORDS = {"base_model": "base model", "data_source": "data source", "metric": "metric"}
_HEADINGS = {
    "base_model": "Base model",
    "data_source": "Source",
    "metric": "Metric",
    "design": "Design",
    "volume": "Volume",
}
_NOT_TESTED = "not tested"


def source_table(comparison: SourceComparison) -> PaperTable | None:
    """Return differences of sources at the largest common volume, with exchange rates."""
    pairs = comparison.pairs
    if not pairs:
        return None
    last = {(p.ability, p.base_model, p.data_source, p.metric): p for p in pairs}
    rates = {
        (r.ability, r.base_model, r.data_source, r.metric, r.n_examples): r
        for r in comparison.exchange_rates
    }
    shared = {
        (s.ability, s.base_model, s.data_source, s.metric): s for s in comparison.shared_curves
    }
    rows = [
        {
            "ability": name_row(pair.ability, out_of_domain=pair.out_of_domain),
            "base_model": pair.base_model,
            "data_source": pair.data_source,
            "metric": pair.metric,
        }
        for pair in last.values()
    ]
    names, headings, fixed = _named(rows, ("base_model", "data_source", "metric"))
    body: list[tuple[Shown, ...]] = []
    for (key, pair), row in zip(last.items(), rows, strict=True):
        why = pair.reason or _NOT_TESTED
        verdict = shared[key].verdict if key in shared else SharedVerdict.NOT_TESTABLE
        body.append(
            (
                *(row[name] for name in names),
                say_examples(pair.n_examples),
                _difference(pair.difference, pair.metric, pair.higher_is_better, why),
                p_text(pair.q_value, why),
                _rate(rates.get((*key, pair.n_examples))),
                Missing(reason=shared[key].reason or _NOT_TESTED)
                if verdict is SharedVerdict.NOT_TESTABLE and key in shared
                else {"rejected": "differ", "not_rejected": "may be one"}.get(verdict, _NOT_TESTED),
            )
        )
    reference = pairs[0].reference
    return PaperTable(
        name="tests-sources",
        caption=f"{reference.capitalize()} data minus the other source at the largest common "
        f"volume, paired by test item (accuracies in points); q is adjusted after "
        f"{comparison.correction} over all {say_count(pairs[0].n_tests, 'difference')} of the "
        f"study and metric. Rate: examples of the source worth one of {reference} data there; "
        "Ceilings: whether the two sources lead to different ones. Intervals in brackets; all "
        f"volumes are in the CSV file.{fixed}",
        headings=(*headings, "At", "Difference", "q", "Rate", "Ceilings"),
        rows=tuple(body),
        n_names=len(names),
        data=_joined(
            _flat(pairs),
            _flat(comparison.exchange_rates),
            on=["study", "ability", "base_model", "data_source", "metric", "n_examples"],
            columns=["rate", "rate_low", "rate_high", "status", "reason"],
        ),
    )


def ability_table(comparison: AbilityComparison) -> PaperTable | None:
    """Return every ability's gain and pace against the mean of the others."""
    found = comparison.abilities
    if len({one.ability for one in found}) < 2:
        return None
    rows = [
        {
            "ability": name_row(one.ability, out_of_domain=one.out_of_domain),
            "base_model": one.base_model,
            "data_source": one.data_source,
            "metric": one.metric,
        }
        for one in found
    ]
    names, headings, fixed = _named(rows, ("base_model", "data_source", "metric"))
    body: list[tuple[Shown, ...]] = []
    for one, row in zip(found, rows, strict=True):
        why = one.reason or "too few abilities to compare with"
        slow = one.reason or "no gain is established, so there is no pace"
        body.append(
            (
                *(row[name] for name in names),
                _difference(one.gain_difference, one.metric, True, why),
                p_text(one.p_gain, why),
                _ratio(one.half_gain_examples, slow),
                _ratio(one.pace_ratio, slow),
                p_text(one.p_pace, slow),
            )
        )
    return PaperTable(
        name="tests-abilities",
        caption="Every ability against the others: gain minus the mean gain of the others "
        "(accuracies in points), examples by which half of the gain is reached, and that over "
        "the geometric mean of the others (above 1 is slower). p is adjusted by max-t over the "
        f"abilities of one base model, source and metric. Intervals in brackets.{fixed}",
        headings=(*headings, "Against the mean", "p", "Half by", "Times the others", "p (pace)"),
        rows=tuple(body),
        n_names=len(names),
        data=_flat(found),
    )


def scale_table(comparison: ScaleComparison) -> PaperTable | None:
    """Return slopes of score and gain over model size, at the largest volume of each ability."""
    effects = comparison.scale_effects
    if not effects:
        return None
    largest: dict[tuple[str, str, str, str], Any] = {}
    for effect in effects:
        key = (effect.ability, effect.data_source, effect.metric, effect.quantity)
        if key not in largest or effect.n_examples > largest[key].n_examples:
            largest[key] = effect
    rows = [
        {
            "ability": name_ability(effect.ability),
            "data_source": effect.data_source,
            "metric": effect.metric,
        }
        for effect in largest.values()
    ]
    names, headings, fixed = _named(rows, ("data_source", "metric"))
    body: list[tuple[Shown, ...]] = []
    for effect, row in zip(largest.values(), rows, strict=True):
        why = effect.reason or _NOT_TESTED
        body.append(
            (
                *(row[name] for name in names),
                effect.quantity,
                say_examples(effect.n_examples),
                str(effect.n_models),
                _difference(effect.slope, effect.metric, True, why),
                p_text(effect.q_value, why),
            )
        )
    return PaperTable(
        name="tests-scale",
        caption="What twice the parameters change: the score at a volume, and the gain "
        "up to it (accuracies in points; losses: of the log; positive is better); q is adjusted "
        f"after {comparison.correction}. Intervals in brackets; all volumes are in the CSV "
        f"file.{fixed}",
        headings=(*headings, "Of", "At", "Models", "Change", "q"),
        rows=tuple(body),
        n_names=len(names) + 1,
        data=_flat(effects),
    )


def transfer_table(results: Sequence[TransferResult]) -> PaperTable | None:
    """Return the effects of one ability's data on others: those that are shown, else the closest.

    A matrix has hundreds of cells; all of them are in the CSV.
    """
    cells = [cell for result in results for cell in result.cells if not cell.own]
    tested = [cell for cell in cells if cell.beyond_format_q_value is not None]
    if not cells:
        return None
    shown = [cell for cell in tested if cell.verdict in (Verdict.HELPS, Verdict.HURTS)]
    shown = shown or sorted(tested, key=lambda cell: cell.beyond_format_q_value or 0)[:_MOST_CELLS]
    rows = [
        {
            "source": name_ability(cell.source_ability),
            "target": name_row(cell.target_ability, out_of_domain=cell.out_of_domain),
            "base_model": cell.base_model,
            "data_source": cell.data_source,
            "metric": cell.metric,
            "design": cell.design.value.replace("_", " "),
            "volume": "not stated" if cell.volume is None else f"{cell.volume:g}",
        }
        for cell in shown
    ]
    words = ("base_model", "data_source", "metric", "design", "volume")
    extra = varying(rows, words)
    body: list[tuple[Shown, ...]] = []
    for cell, row in zip(shown, rows, strict=True):
        percent = cell.response.value == "accuracy"
        why = cell.reason or _NOT_TESTED
        body.append(
            (
                row["source"],
                row["target"],
                *(row[name] for name in extra),
                _interval(cell.effect, percent, why),
                _interval(cell.beyond_format, percent, why),
                p_text(cell.beyond_format_q_value, why),
                (cell.verdict or Verdict.NOT_SHOWN).value.replace("_", " "),
            )
        )
    fixed = say_fixed(rows, _WORDS | {"design": "design", "volume": "volume"})
    which = (
        f"the {len(shown)} effects that are established"
        if any(cell.verdict in (Verdict.HELPS, Verdict.HURTS) for cell in shown)
        else f"none is established; the {len(shown)} smallest q"
        if shown
        else "nothing could be tested"
    )
    return PaperTable(
        name="tests-transfer",
        caption=f"What one ability's data does to another: {which} of {len(cells)} (accuracies in "
        "points). Beyond format: the effect minus the mean effect of the other sources; q is "
        "adjusted after Benjamini-Hochberg over the matrix of one base model, data source and "
        f"metric ({max((cell.n_tests for cell in cells), default=0)} tests). Intervals in "
        f"brackets; the whole matrix is in the CSV file.{fixed}",
        headings=(
            "Data of", "On", *(_HEADINGS[name] for name in extra), "Effect", "Beyond format", "q",
            "Verdict",
        ),
        rows=tuple(body),
        n_names=2 + len(extra),
        data=pd.concat(
            [_flat(result.cells).assign(study=result.study) for result in results if result.cells],
            ignore_index=True,
        ),
    )  # fmt: skip


def mixture_table(results: Sequence[MixtureResult]) -> PaperTable | None:
    """Return differences of named mixtures, overall means first; single targets are in the CSV."""
    pairs = [pair for result in results for pair in result.pairs]
    overall = [pair for pair in pairs if pair.overall] or pairs
    if not pairs:
        return None
    rows = [
        {"target": pair.target, "base_model": pair.base_model, "metric": pair.metric}
        for pair in overall
    ]
    extra = varying(rows, ("base_model", "metric"))
    fixed = say_fixed(rows, {"base_model": "base model", "metric": "metric"})
    body: list[tuple[Shown, ...]] = []
    for pair, row in zip(overall, rows, strict=True):
        why = pair.reason or _NOT_TESTED
        body.append(
            (
                row["target"],
                *(row[name] for name in extra),
                pair.reference,
                pair.mixture,
                _interval(pair.difference, pair.response.value == "accuracy", why),
                p_text(pair.q_value, why),
            )
        )
    return PaperTable(
        name="tests-mixtures",
        caption="Named mixtures of training data: the first minus "
        "the second, paired by test item (accuracies in points); q is adjusted after "
        "Benjamini-Hochberg, overall means apart from single targets. Intervals in brackets; "
        f"every ability and exam is in the CSV file.{fixed}",
        headings=(
            "Score", *(_HEADINGS[name] for name in extra), "First", "Second", "Difference", "q",
        ),
        rows=tuple(body),
        n_names=3 + len(extra),
        data=pd.concat(
            [_flat(result.pairs).assign(study=result.study) for result in results if result.pairs],
            ignore_index=True,
        ),
    )  # fmt: skip


# --- Cells and frames -------------------------------------------------------------------------


def _named(
    rows: Sequence[dict[str, str]], optional: Iterable[str]
) -> tuple[list[str], list[str], str]:
    """Return names and headings of the columns that tell rows apart, and what all rows share."""
    words = {name: _WORDS[name] for name in optional}
    names = varying(rows, words)
    headings = ["Ability", *(_HEADINGS[name] for name in names)]
    return ["ability", *names], headings, say_fixed(rows, words)


def _difference(interval: Interval | None, metric: str, higher_is_better: bool, why: str) -> Shown:
    """Return a difference of scores by its metric's name: accuracies read in points."""
    return _interval(interval, higher_is_better and metric.startswith(_ACCURACY), why)


def _interval(interval: Interval | None, percent: bool, why: str) -> Shown:
    """Return a signed difference with its interval."""
    if interval is None:
        return Missing(reason=why)
    return bounds(interval, 1 if percent else 3, scale=100 if percent else 1, signed=True)


def _ratio(interval: Interval | None, why: str) -> Shown:
    """Return a ratio or volume with its interval."""
    if interval is None:
        return Missing(reason=why)
    low, high = significant(interval.low), significant(interval.high)
    return f"{significant(interval.estimate)} [{low}, {high}]"


def _rate(rate: ExchangeRate | None) -> Shown:
    """Return an exchange rate; an open end says so."""
    if rate is None:
        return Missing(reason="no exchange rate was asked for here")
    found = rate.rate
    if found is None or found.estimate is None or rate.status not in (
        RatioStatus.OK, RatioStatus.BEYOND_OBSERVED,
    ):  # fmt: skip
        return Missing(reason=rate.reason or rate.status.value.replace("_", " "))
    low = "below" if found.low is None else significant(found.low)
    high = "no limit" if found.high is None else significant(found.high)
    if rate.status is RatioStatus.OK:
        return f"{significant(found.estimate)} [{low}, {high}]"
    # So far out a number would only tell what the family does.
    value = f">{_FAR:,}" if found.estimate > _FAR else significant(found.estimate)
    return f"{value} [{low}, {high}] beyond observed"


def _flat(results: Sequence[Any]) -> pd.DataFrame:
    """Return dataclasses as a frame; an interval or ratio becomes estimate, low, high and level."""
    rows = []
    for result in results:
        row: dict[str, Any] = {}
        for name, value in to_plain(result).items():
            if isinstance(value, dict):
                row[name] = value["estimate"]
                row |= {f"{name}_{part}": value[part] for part in ("low", "high", "level", "kind")}
            else:
                row[name] = value
        rows.append(row)
    return pd.DataFrame(rows)


def _joined(
    left: pd.DataFrame, right: pd.DataFrame, *, on: list[str], columns: list[str]
) -> pd.DataFrame:
    """Add some columns of another frame where both have a row; names that clash get a prefix."""
    if right.empty:
        return left
    known = right.reindex(columns=[*on, *columns]).rename(
        columns={name: f"rate_{name}" for name in columns if name in left.columns}
    )
    return left.merge(known, on=on, how="left")
