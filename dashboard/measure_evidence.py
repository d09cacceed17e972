"""Growth curves of other measures than the score: how often replies parse, accuracy of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd

from dashboard.analysis import CurveData
from warehouse.queries import load_ability_scores
from warehouse.statements import load_statement

SCORE, PARSE_RATE, GIVEN_PARSED = "score", "parse rate", "accuracy given parsed"
MEASURES = (SCORE, PARSE_RATE, GIVEN_PARSED)
_KEYS = ["cell_id", "ability", "metric"]


def has_parses(scores: pd.DataFrame) -> bool:
    """Tell whether rows of `load_ability_scores` say how many replies had a valid form."""
    return bool(scores["parse_rate"].notna().any())


def with_measure(
    conn: duckdb.DuckDBPyConnection, curves: Sequence[CurveData], measure: str
) -> list[CurveData]:
    """Return the curves with another measure in place of their scores; those without it left out.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Connection that the curves come from.
    curves : sequence of CurveData
        Read without items (`dashboard.evidence.load_curves`).
    measure : str
        One of `MEASURES`.

    Notes
    -----
    Both are shares of replies, so their standard errors are binomial; which items parsed is not
    paired between runs. Replies that fail to parse drop out of the accuracy given parsed, so it
    compares different items at different volumes: read it beside the parse rate.
    """
    if measure == SCORE:
        return list(curves)
    studies = sorted({curve.study for curve in curves})
    with conn.cursor() as cursor:
        parsed = cursor.execute(load_statement("queries", "parsed_scores"), {"study": studies}).df()
    rows = load_ability_scores(conn, study=studies).merge(parsed, on=_KEYS, how="left")
    known = rows.set_index(_KEYS)[["parse_rate", "score_given_parsed", "n_scored"]].astype(float)
    changed = [_change(curve, known, measure) for curve in curves]
    return [curve for curve in changed if np.isfinite(curve.score).any()]


def _change(curve: CurveData, known: pd.DataFrame, measure: str) -> CurveData:
    """Return one curve with another measure."""
    index = pd.MultiIndex.from_product([curve.cell_id, [curve.ability], [curve.metric]])
    mine = known.reindex(index)
    rate, n_scored = mine["parse_rate"].to_numpy(), mine["n_scored"].to_numpy()
    share, n = (
        (rate, n_scored)
        if measure == PARSE_RATE
        else (mine["score_given_parsed"].to_numpy(), n_scored * rate)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        stderr = np.sqrt(share * (1 - share) / n)
    return replace(
        curve,
        score=share,
        stderr=stderr,
        n_items=n,
        metric=measure if measure == PARSE_RATE else f"{curve.metric} given parsed",
        higher_is_better=True if measure == PARSE_RATE else curve.higher_is_better,
        chance_level=None if measure == PARSE_RATE else curve.chance_level,
        item_hash=None,
    )
