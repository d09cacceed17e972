"""Effective data of a study: every target fitted, worths with intervals, one compact model."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.effective.gather import (
    FittedTarget,
    choose_reference,
    gather_and_fit,
    usable_runs,
)
from dashboard.analysis.effective.reading import read_effective
from dashboard.analysis.effective.results import (
    EffectiveFit,
    WorthStatus,
)
from dashboard.analysis.effective.tabulate import tabulate
from dashboard.analysis.effective.worths import ability_worths, adjust_worths, source_worths
from dashboard.analysis.run_table import UNLABELLED, RunTable
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import draw_table


def fit_effective(
    table: RunTable, settings: FitSettings | None = None, reference: str | None = None
) -> EffectiveFit:
    r"""Fit score_a = g_a(n_eff) with what examples of other sources and abilities are worth.

    Parameters
    ----------
    table : RunTable
        All runs of a study and base model.
    settings : FitSettings, optional
        Level, replicates and seed are used.
    reference : str, optional
        The source whose examples count as one each; by default `human` if there is such a source,
        else the first by name.

    Returns
    -------
    EffectiveFit
        With the status `not_identified` where the runs' compositions tell neither the worth of
        another source nor that of another ability, and `failed` where nothing can be fitted.

    Raises
    ------
    InputError
        If `reference` is none of the sources.

    Notes
    -----
    Runs of one way of fixing training length are used (stated steps or epochs), the one with more
    distinct compositions; of a composition run at several lengths, the longest. Intervals
    resample items and add run noise, the shape chosen anew in every replicate, and are widened by
    the root of the overdispersion where the model does not fit.
    """
    settings = settings or FitSettings()
    used, left_out = usable_runs(table)
    sources = sorted({p.data_source for i in used for p in table.runs[i].composition})
    draws = [d for d in draw_table(table, settings) if not d.target.out_of_domain]
    labelled = sorted(
        {p.data_source for i in used for p in table.runs[i].composition if p.ability != UNLABELLED}
    )
    reference = choose_reference(table, sources, labelled, reference)
    trained = sorted({p.ability for i in used for p in table.runs[i].composition} - {UNLABELLED})
    if trained:
        draws = [d for d in draws if d.target.ability in trained]
    found = [gather_and_fit(table, used, d, sources, reference, trained, settings) for d in draws]
    if not draws or not any(one.fit for one in found):
        reason = next((one.reason for one in found if one.reason), "no ability is scored")
        return _failed(table, found, reference, reason, len(used), left_out)
    model = tabulate(found, sources, labelled, reference, settings.n_replicates)
    rho = tuple(w for one in found for w in source_worths(one, sources, reference, settings))
    unlabelled = tuple(
        w for one in found for w in source_worths(one, sources, reference, settings, pool=True)
    )
    tau = adjust_worths([w for one in found for w in ability_worths(one, settings)])
    statuses = [w.status for w in (*rho, *unlabelled)] + [w.status for w in tau]
    known = any(status is not WorthStatus.NOT_IDENTIFIED for status in statuses)
    nothing = None if known else _why_nothing(trained, sources)
    abilities = tuple(one.summary for one in found)
    return EffectiveFit(
        study=table.study,
        base_model=table.base_model,
        metric=draws[0].target.metric,
        reference=reference,
        status="ok" if known else "not_identified",
        reason=nothing,
        tau_identified=model is not None and model.tau_identified,
        abilities=abilities,
        rho=rho,
        unlabelled=unlabelled,
        tau=tau,
        model=model,
        n_runs=len(used),
        left_out=left_out,
        reading=read_effective(
            table.base_model, rho, unlabelled, tau, reference, settings.fdr, nothing
        ),
    )


def _why_nothing(trained: Sequence[str], sources: Sequence[str]) -> str:
    """Say what a study would need."""
    if not trained:
        return (
            "the training data is not sorted by ability, which can tell what a source is worth "
            "but never what one ability gives another; here there is one source"
        )
    more = "" if len(sources) > 1 else ", and a second data source for rho"
    return (
        "every run trains all abilities in the same proportions: tau needs single_ability, "
        f"leave_one_out or mixture runs{more}"
    )


def _failed(
    table: RunTable,
    found: Sequence[FittedTarget],
    reference: str,
    reason: str,
    n_runs: int,
    left_out: tuple[str, ...],
) -> EffectiveFit:
    """Return the result of a study that can't be fitted."""
    return EffectiveFit(
        study=table.study,
        base_model=table.base_model,
        metric=found[0].draws.target.metric if found else "",
        reference=reference,
        status="failed",
        reason=reason,
        tau_identified=False,
        abilities=tuple(one.summary for one in found),
        rho=(),
        unlabelled=(),
        tau=(),
        model=None,
        n_runs=n_runs,
        left_out=left_out,
        reading=(f"Effective data of {table.base_model}: not estimated, since {reason}.",),
    )
