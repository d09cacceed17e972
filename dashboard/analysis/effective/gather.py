"""From a run table to the compositions and scores of each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.effective.results import AbilityFit
from dashboard.analysis.effective.solver import Compositions, TargetRuns
from dashboard.analysis.effective.target import MOST_OVERDISPERSION, TargetFit, fit_target
from dashboard.analysis.run_table import UNLABELLED, RunTable, TrainedOn
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import TargetDraws
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FittedTarget:
    """One target with its fit, or why there is none."""

    draws: TargetDraws
    runs: TargetRuns | None
    fit: TargetFit | None
    others: tuple[str, ...]
    reason: str | None

    @property
    def summary(self) -> AbilityFit:
        """What is said of the fit."""
        fit = self.fit
        status, reason = "too_few_points" if fit is None else "ok", self.reason
        if fit is not None and fit.overdispersion > MOST_OVERDISPERSION:
            status = "poor_fit"
            reason = (
                f"errors {fit.overdispersion**0.5:.0f} times what noise explains: this ability's "
                "score does not follow effective examples, so only plain growth is drawn"
            )
        names = [] if fit is None else [f"u{i}" for i in range(len(fit.shape.lower))]
        return AbilityFit(
            ability=self.draws.target.ability,
            shape=None if fit is None else fit.shape.name,
            params={} if fit is None else dict(zip(names, map(float, fit.u), strict=False)),
            n_compositions=0 if self.runs is None else len(self.runs.y),
            n_parameters=0 if fit is None else fit.n_parameters,
            overdispersion=1.0 if fit is None else fit.overdispersion,
            status=status,
            reason=reason,
        )


def usable_runs(table: RunTable) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Choose runs that differ by composition and seed alone."""
    trained = [i for i, run in enumerate(table.runs) if run.composition]
    by_rule: dict[str, set[tuple[TrainedOn, ...]]] = {}
    for i in trained:
        by_rule.setdefault(table.runs[i].length_rule, set()).add(table.runs[i].composition)
    if not by_rule:
        return tuple(i for i, run in enumerate(table.runs) if run.is_base), ()
    rule = max(by_rule, key=lambda one: (len(by_rule[one]), one))
    longest: dict[tuple[TrainedOn, ...], int] = {}
    for i in trained:
        run = table.runs[i]
        if run.length_rule == rule:
            longest[run.composition] = max(longest.get(run.composition, 0), run.n_steps or 0)
    other_rule = [i for i in trained if table.runs[i].length_rule != rule]
    shorter = [
        i
        for i in trained
        if table.runs[i].length_rule == rule
        and (table.runs[i].n_steps or 0) < longest[table.runs[i].composition]
    ]
    left_out = []
    if other_rule:
        left_out.append(
            f"{len(other_rule)} runs whose length another rule fixes "
            f"({' and '.join(sorted({table.runs[i].length_rule for i in other_rule}))} in the "
            f"place of {rule or 'an unknown one'})"
        )
    if shorter:
        left_out.append(f"{len(shorter)} runs of compositions that also ran for more steps")
    skipped = {*other_rule, *shorter}
    kept = [
        i for i, run in enumerate(table.runs) if i not in skipped and (run.is_base or i in trained)
    ]
    return tuple(kept), tuple(left_out)


def choose_reference(
    table: RunTable, sources: Sequence[str], labelled: Sequence[str], asked: str | None
) -> str:
    """Return the reference source: the one asked for, `human`, or the first; sorted ones first."""
    if asked is not None and asked not in sources:
        known = ", ".join(sources) or "none"
        raise InputError(f"reference {asked!r} is no source of {table.title}; it has {known}.")
    if asked is not None:
        return asked
    candidates = labelled or sources
    return "human" if "human" in candidates else candidates[0] if candidates else ""


def gather_and_fit(
    table: RunTable,
    used: Sequence[int],
    draws: TargetDraws,
    sources: Sequence[str],
    reference: str,
    trained: Sequence[str],
    settings: FitSettings,
) -> FittedTarget:
    """Gather one target's compositions and fit them."""
    ability = draws.target.ability
    others = tuple(name for name in trained if name != ability)
    groups: dict[tuple[TrainedOn, ...], list[int]] = {}
    for i in used:
        if np.isfinite(draws.score[i]):
            groups.setdefault(table.runs[i].composition, []).append(i)
    reason = draws.reason
    if reason is None and (len(groups) < 3 or not sources):
        reason = f"{len(groups)} distinct compositions; effective data needs at least three"
    if reason is not None:
        return FittedTarget(draws=draws, runs=None, fit=None, others=others, reason=reason)
    log = draws.response is ResponseKind.LOSS
    members = list(groups.values())
    runs = TargetRuns(
        y=np.array([_mean(draws.score[m], log) for m in members]),
        replicates=np.array([_mean(draws.replicates[m], log) for m in members]),
        data=_count(list(groups), ability, others, sources, reference, draws.sign),
        limits=(0.0, 1.0) if draws.response is ResponseKind.ACCURACY else (-np.inf, np.inf),
        chance=draws.target.chance_level,
        accuracy=draws.response is ResponseKind.ACCURACY,
    )
    fit = fit_target(runs, settings.level)
    why = None if fit is not None else f"{len(groups)} distinct compositions can't carry a curve"
    return FittedTarget(draws=draws, runs=runs, fit=fit, others=others, reason=why)


def _mean(scores: FloatArray, log: bool) -> FloatArray:
    """Return the mean over seeds on the fitted scale."""
    return np.asarray((np.log(scores) if log else scores).mean(axis=0))


def _count(
    compositions: Sequence[tuple[TrainedOn, ...]],
    ability: str,
    others: Sequence[str],
    sources: Sequence[str],
    reference: str,
    sign: float,
) -> Compositions:
    """Count examples by role."""
    shape = (len(compositions), len(sources))
    own, pool = np.zeros(shape), np.zeros(shape)
    other = np.zeros((*shape, len(others)))
    for u, parts in enumerate(compositions):
        for part in parts:
            c = sources.index(part.data_source)
            if part.ability == ability:
                own[u, c] += part.n_examples
            elif part.ability == UNLABELLED:
                pool[u, c] += part.n_examples
            elif part.ability in others:
                other[u, c, others.index(part.ability)] += part.n_examples
    counts = np.concatenate([own, pool, other.reshape(len(own), -1)], axis=1)
    index = sources.index(reference)
    labelled = own[:, index].any() or other[:, index].any()
    return Compositions(
        own=own,
        other=other,
        pool=pool,
        reference=index,
        pool_reference=not labelled,
        sign=sign,
        n_unit=float(counts[counts > 0].min()),
    )
