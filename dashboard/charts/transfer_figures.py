"""What one ability's data does to another, in figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import Interval, ResponseKind
from dashboard.analysis.effective.results import AbilityWorth, EffectiveFit, WorthStatus
from dashboard.analysis.transfer.contrasts import Arm
from dashboard.analysis.transfer.results import (
    TransferCell,
    TransferDesign,
    TransferResult,
    Verdict,
)
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.matrix import Square, matrix_figure
from dashboard.charts.style import escape
from dashboard.charts.transfer import (
    Comparison,
    Evidence,
    cell_sentences,
    say_plain,
    say_signed,
    say_tests,
    say_worth,
    value_of,
)
from dashboard.charts.wording import (
    name_ability,
    say_count,
    say_score,
)

RAW, BEYOND = "raw", "beyond format"

_VERDICT_GLYPHS = {Verdict.HELPS: "▲ ", Verdict.HURTS: "▼ "}


# --- The matrix -------------------------------------------------------------------------------


def transfer_figure(
    comparison: Comparison,
    *,
    mode: str,
    title: str,
    note: str,
    selected: tuple[str, str] | None = None,
    narrow: bool = False,
) -> go.Figure:
    """Draw sources by targets, out-of-domain targets apart.

    Parameters
    ----------
    comparison : Comparison
        Which cells.
    mode : str
        `RAW` or `BEYOND`.
    title, note : str
        The finding; source and uncertainty.
    selected : (str, str), optional
        Source and target to point out.
    narrow : bool
        Whether cells hold signs instead of numbers, for one column of a paper.
    """
    cells = comparison.cells
    percent = all(cell.response is ResponseKind.ACCURACY for cell in cells)
    inside = list(dict.fromkeys(c.target_ability for c in cells if not c.out_of_domain))
    exams = list(dict.fromkeys(c.target_ability for c in cells if c.out_of_domain))
    groups = [("Scored on", inside), ("Out of domain", exams)]
    values = [v for cell in cells if not cell.own and (v := value_of(cell, mode)) is not None]
    factor = 100.0 if percent else 1.0
    first = comparison.first
    against = {
        (TransferDesign.SINGLE_ABILITY, RAW): "against the base model",
        (TransferDesign.LEAVE_ONE_OUT, RAW): "of all abilities against all but it",
        (TransferDesign.SINGLE_ABILITY, BEYOND): "relative to the other abilities' data",
        (TransferDesign.LEAVE_ONE_OUT, BEYOND): "of leaving it out, relative to the others",
    }[first.design, mode]
    return matrix_figure(
        [_square(cell, mode, factor, narrow=narrow) for cell in cells],
        column_groups=[(heading, names) for heading, names in groups if names],
        # An ability's own data would drown the rest: the colours are those of the others.
        limit=factor * max((abs(value) for value in values), default=0.1) or 0.1,
        unit="points" if percent else "score",
        title=title,
        subtitle=f"Effect of a row's training data on a column's score, {against}; "
        f"{first.base_model}, {comparison.name}" + (" (points)" if percent else ""),
        note=note,
        row_heading="Trained on" if first.design is TransferDesign.SINGLE_ABILITY else "Left out",
        selected=selected,
        narrow=narrow,
    )


def matrix_table(comparison: Comparison) -> pd.DataFrame:
    """Return one row a cell: effects with intervals, tests, verdict, as numbers."""
    return pd.DataFrame([_cell_row(cell) for cell in comparison.cells])


def _square(cell: TransferCell, mode: str, factor: float, *, narrow: bool) -> Square:
    """Return one cell of the drawn matrix."""
    value = value_of(cell, mode)
    glyph = _VERDICT_GLYPHS.get(cell.verdict, "") if cell.verdict else ""
    text = "–" if value is None else f"{glyph}{say_signed(factor * value, whole=factor > 1)}"
    if narrow and value is not None:
        text = glyph.strip() or text[0]
    lines = [escape(line) for line in cell_sentences(cell)]
    return Square(
        row=cell.source_ability,
        column=cell.target_ability,
        value=None if value is None else factor * value,
        text=text,
        hover="<br>".join([f"<b>{lines[0]}</b>", *lines[1:]]),
        outlined=cell.own,
    )


# --- The evidence behind a cell ---------------------------------------------------------------


def evidence_figure(
    evidence: Evidence, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw the target's score after training on each source ability, the chosen one on top."""
    cell = evidence.cell
    names = ["chosen", "compared with", "other abilities"]
    base = "base model" if evidence.single else "all abilities"
    reference = evidence.arm.without if evidence.single else evidence.arm.with_source
    rows = [_arm_row(evidence, evidence.arm, names[0]), _runs_row(evidence, base, reference)]
    others = [_arm_row(evidence, arm, names[2]) for arm in evidence.others]
    others.sort(key=lambda row: -(row.marks[0].estimate or 0.0) if row.marks else 0.0)
    percent = cell.response is ResponseKind.ACCURACY
    chance = evidence.target.chance_level
    return forest_figure(
        [*rows, *others],
        plan_named_series(names),
        Axis(
            title="Score",
            tick_format=".0%" if percent else "~g",
            references=() if chance is None else ((chance, "guessing"),),
        ),
        title=title,
        subtitle=f"Score on {name_ability(cell.target_ability)}: mean of the runs, and their range",
        note=note,
        text_heading="Score, runs",
        narrow=narrow,
    )


def runs_table(evidence: Evidence) -> pd.DataFrame:
    """Return one row a run behind a cell, both sides and the other source abilities."""
    groups = [
        ("with it", evidence.arm.with_source),
        ("without it", evidence.arm.without),
    ]
    for other in evidence.others:
        trained = other.with_source if evidence.single else other.without
        groups.append((f"other: {name_ability(other.source_ability)}", trained))
    target = evidence.target
    return pd.DataFrame(
        [
            {
                "side": side,
                "cell_id": evidence.runs[i].cell_id,
                "seed": evidence.runs[i].seed,
                "examples": evidence.runs[i].n_examples,
                "steps": evidence.runs[i].n_steps,
                "score": target.score[i],
                "stderr": target.stderr[i],
                "items": target.n_items[i],
                "parse_rate": np.nan if target.parse_rate is None else target.parse_rate[i],
                "score_given_parsed": np.nan
                if target.score_given_parsed is None
                else target.score_given_parsed[i],
            }
            for side, members in groups
            for i in members
        ]
    ).astype({"seed": "Int64", "steps": "Int64"})


def _arm_row(evidence: Evidence, arm: Arm, series: str) -> Row:
    """Return the runs that tell one source ability."""
    name = name_ability(arm.source_ability)
    if evidence.single:
        return _runs_row(evidence, f"{name} alone", arm.with_source, series)
    return _runs_row(evidence, f"all but {name}", arm.without, series)


def _runs_row(
    evidence: Evidence, name: str, members: Sequence[int], series: str = "compared with"
) -> Row:
    """Return the mean and range of some runs' scores."""
    scores = evidence.target.score[list(members)]
    scores = scores[np.isfinite(scores)]
    if not scores.size:
        return Row(name=name, marks=(), text="not scored")
    response = evidence.cell.response
    mean = float(scores.mean())
    said = f"{say_score(mean, response)}, {say_count(scores.size, 'run')}"
    mark = Mark(
        series=series,
        estimate=mean,
        low=float(scores.min()),
        high=float(scores.max()),
        hover=f"<b>{escape(name)}</b><br>"
        + "<br>".join(say_score(float(score), response) for score in scores),
    )
    return Row(name=name, marks=(mark,), text=said)


# --- Effective data ---------------------------------------------------------------------------


def tau_figure(
    effective: EffectiveFit, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw what an example of another ability is worth, in examples of the target's own."""
    targets = list(dict.fromkeys(worth.target_ability for worth in effective.tau))
    return matrix_figure(
        sorted(
            (_tau_square(worth, narrow=narrow) for worth in effective.tau), key=lambda one: one.row
        ),
        column_groups=[("Worth to", targets)],
        limit=1.0,
        unit="worth",
        title=title,
        subtitle="Examples of the column's own data that one example of the row's is worth (tau); "
        "▼: change of the score in points where it hurts",
        note=note,
        row_heading="One example of",
        signed=False,
        narrow=narrow,
    )


def tau_table(effective: EffectiveFit) -> pd.DataFrame:
    """Return one row a pair of abilities: worth, bounds, status and reason."""
    return pd.DataFrame(
        [
            {
                "source": worth.source_ability,
                "target": worth.target_ability,
                **_flat("tau", worth.tau),
                **_flat("shift", worth.shift),
                "p": worth.p_value,
                "q": worth.q_value,
                "status": worth.status.replace("_", " "),
                "reason": worth.reason,
            }
            for worth in effective.tau
        ]
    )


def rho_table(effective: EffectiveFit) -> pd.DataFrame:
    """Return one row an ability and source: worth in examples of the reference source."""
    return pd.DataFrame(
        [
            {
                "ability": name_ability(worth.ability),
                "one example of": kind + worth.data_source,
                f"is worth, in {effective.reference}": say_worth(worth.rho, worth.status),
                "status": worth.status.replace("_", " "),
                "reason": worth.reason,
            }
            for kind, worths in (("", effective.rho), ("unlabelled ", effective.unlabelled))
            for worth in worths
        ]
    )


def mirrors_table(result: TransferResult) -> pd.DataFrame:
    """Return one row an exam: how far it grows along with the trained abilities."""
    return pd.DataFrame(
        [
            {
                "exam": name_ability(mirror.target),
                "change per point in domain": say_plain(mirror.slope),
                "rank correlation": say_plain(mirror.rank_correlation),
                "recipes": mirror.n_recipes,
                "reason": mirror.reason,
            }
            for mirror in result.mirrors
        ]
    )


def _tau_square(worth: AbilityWorth, *, narrow: bool) -> Square:
    """Return one worth as a cell."""
    text, value = "?", None
    if worth.tau is not None:
        value = worth.tau.estimate
        text = "<.01" if value < 0.01 else f"{value:.2f}"
        # An open estimate can be anywhere beyond its bound: the colour is the bound's, as the text.
        if worth.status is WorthStatus.OPEN_ABOVE:
            value, text = worth.tau.low, f"≥{worth.tau.low:.2g}"
        elif worth.status is WorthStatus.OPEN_BELOW:
            value, text = worth.tau.high, f"≤{worth.tau.high:.2g}"
        elif worth.tau.estimate == 0 and worth.shift is not None and worth.shift.estimate < 0:
            points = round(100 * abs(worth.shift.estimate))
            text = f"▼{points}" if points else "0"
    sure = worth.q_value is not None and worth.q_value < 0.05
    if narrow:
        text = text[0] if text[0] in "▼≥≤?" else ""
    lines = [
        f"<b>{escape(name_ability(worth.source_ability))} for "
        f"{escape(name_ability(worth.target_ability))}</b>",
        escape(
            f"worth {say_worth(worth.tau, worth.status)}{say_tests(worth.p_value, worth.q_value)}"
        ),
    ]
    lines += [escape(worth.reason)] if worth.reason else []
    return Square(
        row=worth.source_ability,
        column=worth.target_ability,
        value=None if value is None else min(value, 1.0),
        text=f"{text}*" if sure else text,
        hover="<br>".join(lines),
    )


def _cell_row(cell: TransferCell) -> dict[str, object]:
    return {
        "source_ability": cell.source_ability,
        "target_ability": cell.target_ability,
        "out_of_domain": cell.out_of_domain,
        "own": cell.own,
        **_flat("effect", cell.effect),
        "p": cell.p_value,
        "q": cell.q_value,
        **_flat("beyond_format", cell.beyond_format),
        "beyond_format_p": cell.beyond_format_p_value,
        "beyond_format_q": cell.beyond_format_q_value,
        "verdict": cell.verdict,
        "parse_rate_change": cell.parse_rate_change,
        "given_parsed_change": cell.given_parsed_change,
        "steps": cell.n_steps,
        "steps_matched": cell.steps_matched,
        "n_runs": cell.n_runs,
        "reason": cell.reason,
    }


def _flat(name: str, interval: Interval | None) -> Mapping[str, float | None]:
    return {
        name: interval.estimate if interval else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }
