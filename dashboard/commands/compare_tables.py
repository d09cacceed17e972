"""Tables of the comparisons' documents; `None` reads as "-"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def print_sources(console: Any, document: Row) -> None:
    """Print differences at the largest common volume, what an example is worth, and balance."""
    if not document["pairs"]:
        reason = document.get("reason") or "the filters leave no pair of sources"
        console.print(f"Nothing to compare: {reason}.", highlight=False, markup=False)
        return
    last = {_key(row, "data_source"): row for row in document["pairs"]}
    rate_of = {
        (*_key(row, "data_source"), row["n_examples"]): row for row in document["exchange_rates"]
    }
    shared = {_key(row, "data_source"): row for row in document["shared_curves"]}
    for (study, base_model, reference, source, metric), rows in _grouped(
        list(last.values()), "study", "base_model", "reference", "data_source", "metric"
    ):
        table = _table(f"{study}: {reference} against {source} data, {base_model} ({metric})")
        for heading in ("at", reference, source, "difference", "q", "rate", "ceilings"):
            table.add_column(heading, justify="right")
        for row in rows:
            key = _key(row, "data_source")
            table.add_row(
                row["ability"],
                _volume(row["n_examples"]),
                _score(row["score_reference"], row),
                _score(row["score"], row),
                _interval(row["difference"], row, row["reason"]),
                _number(row["q_value"]),
                _rate(rate_of.get((*key, row["n_examples"]))),
                {"rejected": "differ", "not_rejected": "may be one"}.get(
                    shared[key]["verdict"], "-"
                ),
            )
        console.print(table)
    console.print(
        "difference: reference minus source, paired by item; rate: examples of the source worth "
        "one of the reference at that volume. See docs/comparisons.md.",
        highlight=False,
    )
    for (study, source), rows in _grouped(document["balance"], "study", "data_source"):
        parts = ", ".join(f"{row['ability']} {100 * (row['share'] or 0):.0f}%" for row in rows)
        console.print(f"{study}, {source} data: {parts}.", highlight=False, markup=False)


def print_scales(console: Any, document: Row) -> None:
    """Print the models at the target, best first, then what rankings from less data cost."""
    if not document["models"]:
        console.print("Nothing to compare: no ability has curves of two base models.")
        return
    for (study, ability, source, metric, volume), rows in _grouped(
        document["models"], "study", "ability", "data_source", "metric", "n_examples"
    ):
        table = _table(f"{study}: {ability} with {source} data at {_volume(volume)} ({metric})")
        for heading in ("parameters", "score", "P(best)", "gain"):
            table.add_column(heading, justify="right")
        for row in sorted(rows, key=lambda row: row["rank"] or len(rows) + 1):
            table.add_row(
                row["base_model"],
                "-" if row["n_params"] is None else f"{row['n_params']:,}",
                _interval(row["score"], row, row["reason"]),
                "-" if row["p_best"] is None else f"{row['p_best']:.0%}",
                _interval(row["gain"], row, None),
            )
        console.print(table)
    for row in document["ranking_at"]:
        if row["n_examples"] != row["target"] and row["expected_regret"] is not None:
            console.print(
                f"{row['ability']}, {row['data_source']} data: choosing by the scores at "
                f"{_volume(row['n_examples'])} examples ({row['order'][0]}) costs "
                f"{row['expected_regret']:.3g} on average at {_volume(row['target'])}.",
                highlight=False,
                markup=False,
            )


def print_abilities(console: Any, document: Row) -> None:
    """Print every ability's gain and pace against the mean of the others."""
    if not document["abilities"]:
        console.print("Nothing to compare: no trained runs are scored in this workspace.")
        return
    for (study, base_model, source, metric), rows in _grouped(
        document["abilities"], "study", "base_model", "data_source", "metric"
    ):
        table = _table(f"{study}: {base_model} on {source} data ({metric})")
        for heading in ("gain", "against mean", "p", "half by", "times the others", "p"):
            table.add_column(heading, justify="right")
        for row in rows:
            table.add_row(
                row["ability"],
                _interval(row["gain"], row, row["reason"]),
                _interval(row["gain_difference"], row, None),
                _number(row["p_gain"]),
                _ratio(row["half_gain_examples"]),
                _ratio(row["pace_ratio"]),
                _number(row["p_pace"]),
            )
        console.print(table)
    console.print(
        "p: adjusted by max-t over the abilities of the table. half by: examples at which half "
        "of the gain is reached. See docs/comparisons.md.",
        highlight=False,
    )


def _table(title: str) -> Any:
    """Return an empty table whose first column is what is compared."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    return table


def _grouped(rows: Sequence[Row], *names: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Return rows by the values of some fields, in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(groups.items())


def _key(row: Row, *more: str) -> tuple[Any, ...]:
    """Return what names a comparison of one ability and base model."""
    return tuple(row[name] for name in ("study", "ability", "base_model", "metric", *more))


def _percent(row: Row) -> bool:
    """Say whether the row's scores read as percentages."""
    return bool(row["higher_is_better"]) and row["metric"].startswith("acc")


def _score(value: float | None, row: Row) -> str:
    """Return a score."""
    if value is None:
        return "-"
    return f"{100 * value:.1f}%" if _percent(row) else f"{value:.3f}"


def _interval(interval: Row | None, row: Row, reason: str | None) -> str:
    """Return an interval, or why there is none."""
    if interval is None:
        return "-" if reason is None else f"- ({reason})"
    scale, digits = (100, 1) if _percent(row) else (1, 3)
    low, high = scale * interval["low"], scale * interval["high"]
    return f"{scale * interval['estimate']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _rate(row: Row | None) -> str:
    """Return an exchange rate with its interval, or its status."""
    if row is None or row["rate"] is None:
        return "-" if row is None else row["status"].replace("_", " ")
    rate = row["rate"]
    low, high = ("?" if rate[name] is None else f"{rate[name]:.2g}" for name in ("low", "high"))
    if row["status"] == "ok":
        return f"{rate['estimate']:.2g} [{low}, {high}]"
    return f"{row['status'].replace('_', ' ')} [{low}, {high}]"


def _ratio(interval: Row | None) -> str:
    """Return a ratio or volume with its interval."""
    if interval is None:
        return "-"
    low, high = interval["low"], interval["high"]
    return f"{interval['estimate']:.2g} [{low:.2g}, {high:.2g}]"


def _number(value: float | None) -> str:
    """Return a p- or q-value."""
    if value is None:
        return "-"
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _volume(value: float | None) -> str:
    """Return a volume."""
    return "-" if value is None else f"{value:,.0f}"
