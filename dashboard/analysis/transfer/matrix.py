r"""Transfer between abilities: source ability s, target ability a.

With x_r the score of run r on the target, averaged over the items of the test,

- single ability: e(s -> a) = mean of x over runs trained on s alone - x of the base model;
- leave one out: e(s -> a) = mean of x over runs trained on all - mean over runs without s;
- beyond format: e(s -> a) - mean of e(s' -> a) over the other sources s', a's own data left out.

Any fine-tuning teaches the form of an answer, whatever it is about, so the raw effect is no proof
of transfer; the effect beyond the mean of the other sources is. In both designs the other side of
the comparison (base model, all-abilities runs) cancels out of it, so that its runs are all
fine-tuned, and for as many steps where `steps_matched` says so.

Scores of all runs on a target share the items' draw, so differences are paired by item; run noise
is added with the variance pooled on the link scale over all recipes and targets. Tests are
studentised: the difference over the standard deviation of its replicates, against t at the pool's
degrees of freedom. A thousand replicates could not reach the p-values that many cells need.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.run_contrasts import adjust, difference
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import TargetDraws, draw_table
from dashboard.analysis.transfer.contrasts import (
    Arm,
    ArmSet,
    effect_weights,
    find_arms,
    others_of,
    steps_match,
    steps_of,
)
from dashboard.analysis.transfer.mirror import mirror_growth
from dashboard.analysis.transfer.reading import read_transfer
from dashboard.analysis.transfer.results import TransferCell, TransferResult, Verdict


def fit_transfer(table: RunTable, settings: FitSettings | None = None) -> TransferResult:
    """Estimate transfer between abilities, and how exams mirror the growth of the abilities.

    Parameters
    ----------
    table : RunTable
        All runs of a study and base model; pass them whole, since noise is pooled over them.
    settings : FitSettings, optional
        Level, replicates and seed are used.

    Returns
    -------
    TransferResult
        With the status `not_identified` where there are neither `single_ability` runs beside a
        base model nor `leave_one_out` runs beside all-abilities runs.
    """
    settings = settings or FitSettings()
    draws = draw_table(table, settings)
    sets = find_arms(table)
    cells = [
        _cell(table, one, arm, target, settings)
        for one in sets
        for arm in one.arms
        for target in draws
        if not _unscored(target, arm)
    ]
    cells = _adjust(cells, settings.fdr)
    mirrors = mirror_growth(table, draws, settings)
    reason = None
    if not sets:
        reason = (
            "transfer needs single_ability runs beside the base model, or leave_one_out runs "
            "beside all-abilities runs of the same volume and source; "
            f"{table.title} has neither."
        )
    return TransferResult(
        study=table.study,
        base_model=table.base_model,
        cells=tuple(cells),
        mirrors=mirrors,
        status="not_identified" if reason else "ok",
        reason=reason,
        reading=read_transfer(table, cells, mirrors, settings.fdr, reason),
    )


def _cell(
    table: RunTable, one: ArmSet, arm: Arm, draws: TargetDraws, settings: FitSettings
) -> TransferCell:
    """Estimate one cell of the matrix; q-values come later."""
    target = draws.target
    n_runs = len(table.runs)
    weights = effect_weights(n_runs, arm)
    effect, p_value, reason = difference(draws, weights, settings.level)
    others = others_of(one.arms, arm, target.ability)
    beyond, beyond_p = None, None
    if others:
        mean = np.mean([effect_weights(n_runs, other) for other in others], axis=0)
        beyond, beyond_p, _ = difference(draws, weights - mean, settings.level)
    elif reason is None:
        reason = "no other source ability to compare with, so nothing is known beyond format"
    return TransferCell(
        design=one.design,
        base_model=table.base_model,
        data_source=one.data_source,
        metric=target.metric,
        volume=one.volume,
        volume_per=one.volume_per,
        length_rule=one.length_rule,
        source_ability=arm.source_ability,
        target_ability=target.ability,
        own=arm.source_ability == target.ability,
        out_of_domain=target.out_of_domain,
        response=draws.response,
        effect=effect,
        beyond_format=beyond,
        p_value=p_value,
        q_value=None,
        beyond_format_p_value=beyond_p,
        beyond_format_q_value=None,
        verdict=None,
        n_tests=0,
        n_others=len(others),
        parse_rate_change=_change(target.parse_rate, weights),
        given_parsed_change=_change(target.score_given_parsed, weights, draws.sign),
        n_steps=steps_of(table.runs, arm.with_source),
        n_steps_reference=steps_of(table.runs, arm.without),
        steps_matched=steps_match(table.runs, one.design, (arm, *others)),
        n_runs=len(arm.with_source) + len(arm.without),
        reason=reason,
    )


def _unscored(draws: TargetDraws, arm: Arm) -> bool:
    """Say whether no run of an arm was scored on a target at all: no cell of the matrix."""
    return not np.isfinite(draws.target.score[[*arm.with_source, *arm.without]]).any()


def _change(values: FloatArray | None, weights: FloatArray, sign: float = 1.0) -> float | None:
    """Return the weighted difference of a per-run figure; None where it is unknown."""
    if values is None:
        return None
    used = np.flatnonzero(weights)
    total = float(sign * (weights[used] @ values[used]))
    return total if np.isfinite(total) else None


def _adjust(cells: list[TransferCell], fdr: float) -> list[TransferCell]:
    """Fill in q-values, one correction for each data source and metric, and verdicts."""
    result = list(cells)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, cell in enumerate(cells):
        groups.setdefault((cell.data_source, cell.metric), []).append(index)
    for members in groups.values():
        raw, n_tests = adjust([cells[i].p_value for i in members])
        beyond, _ = adjust([cells[i].beyond_format_p_value for i in members])
        for index, q_value, beyond_q in zip(members, raw, beyond, strict=True):
            result[index] = replace(
                cells[index],
                q_value=q_value,
                beyond_format_q_value=beyond_q,
                verdict=_judge(cells[index], beyond_q, fdr),
                n_tests=n_tests,
            )
    return result


def _judge(cell: TransferCell, q_value: float | None, fdr: float) -> Verdict | None:
    """Return what a cell says of transfer."""
    if q_value is None or cell.effect is None or cell.beyond_format is None:
        return None
    if q_value < fdr and cell.beyond_format.estimate > 0 and cell.effect.low > 0:
        return Verdict.HELPS
    if q_value < fdr and cell.beyond_format.estimate < 0 and cell.effect.high < 0:
        return Verdict.HURTS
    return Verdict.NOT_SHOWN
