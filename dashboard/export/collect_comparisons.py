"""Figures of comparisons: data sources, mixtures, base models, transfer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dashboard.charts import scale as scale_words
from dashboard.charts import scale_figures as scale_charts
from dashboard.charts import source_figures as source_charts
from dashboard.charts import sources as source_words
from dashboard.charts import transfer as transfer_words
from dashboard.charts import transfer_figures as transfer_charts
from dashboard.charts.findings import interval_note
from dashboard.charts.mixture_figures import (
    MIXTURE_NOTE,
    mixtures_figure,
    mixtures_table,
    mixtures_title,
)
from dashboard.charts.scale import select_scale, spread_models
from dashboard.charts.selection import models_of, select_curves, sources_of
from dashboard.charts.sizes import sizes_figure, sizes_note
from dashboard.charts.sources import SourceView, select_sources
from dashboard.charts.tables import points_table
from dashboard.charts.wording import say_count
from dashboard.export.collect_growth import IN_DOMAIN, overall_figures, panels
from dashboard.export.paper import Page
from dashboard.export.parts import Found, missing, name_axes, name_score, present, say_runs
from dashboard.export.study_evidence import StudyEvidence, Unavailable

_SOURCES = (
    "sources-overall",
    "sources-abilities",
    "source-differences",
    "exchange-rates",
    "still-growing",
)


def source_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return the reference source against each other one, on the largest base model with both."""
    found = evidence.sources
    if isinstance(found, Unavailable):
        return missing(_SOURCES, found)
    curves = evidence.fit.curves
    reference, *others = sources_of(curves)
    result: list[Found] = []
    for source in others:
        suffix = f"-{source}" if len(others) > 1 else ""
        views = (
            select_sources(
                found.comparison,
                found.balance,
                curves,
                reference=reference,
                source=source,
                base_model=model,
                volume=None,
            )
            for model in models_of(curves)
        )
        view = next((view for view in views if view.pairs), None)
        if view is None:
            reason = f"no base model was trained on both {reference} and {source} data"
            result += missing([name + suffix for name in _SOURCES], reason)
        else:
            result += _two_sources(evidence, page, view, suffix)
    return result


def _two_sources(evidence: StudyEvidence, page: Page, view: SourceView, suffix: str) -> list[Found]:
    """Return two sources' growth, differences, exchange rates, last gains and proportions."""
    names = [name + suffix for name in _SOURCES]
    pair = [view.reference, view.source]
    curves = select_curves(evidence.fit.curves, [view.base_model], pair)
    inside = [curve for curve in curves if not curve.out_of_domain]
    found = overall_figures(evidence, names[0], [view.base_model], pair, IN_DOMAIN)
    if inside:
        found += panels(evidence, page, names[1], inside)
    note = f"{interval_note(curves)}\n{evidence.source_note}"
    runs = say_runs(curves)
    for name, draw, title, said, table in (
        (
            names[2],
            source_charts.difference_figure,
            source_words.difference_title(view),
            source_words.FILLED_NOTE,
            source_charts.differences_table,
        ),
        (
            names[3],
            source_charts.rates_figure,
            source_words.rates_title(view),
            source_words.RATE_NOTE,
            source_charts.rates_table,
        ),
        (
            names[4],
            source_charts.growing_figure,
            source_words.growing_title(view),
            source_words.GROWING_NOTE,
            source_charts.growing_table,
        ),
    ):
        figure = draw(view, title=title, note=f"{said} {note}", narrow=page.narrow)
        found.append(present(name, figure, partial(table, view), runs))
    if view.balance and not source_words.is_balanced(view):
        figure = source_charts.balance_figure(
            view,
            title=source_words.balance_title(view),
            note=evidence.source_note,
            narrow=page.narrow,
        )
        table = partial(source_charts.balance_table, view)
        found.append(present(f"source-balance{suffix}", figure, table))
    return found


def mixture_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return named mixtures, overall and on public benchmarks, then on each ability."""
    names = ("mixtures", "mixtures-abilities")
    if isinstance(evidence.mixtures, Unavailable):
        return missing(names, evidence.mixtures)
    fdr = evidence.settings.fdr
    found: list[Found] = []
    for result in evidence.mixtures:
        suffix = "" if len(evidence.mixtures) == 1 else f"-{result.base_model}"
        runs = say_count(sum(len(one.runs) for one in result.mixtures), "run")
        for name, pairs in (
            (names[0], [one for one in result.pairs if one.overall or one.out_of_domain]),
            (names[1], [one for one in result.pairs if not one.overall and not one.out_of_domain]),
        ):
            if not pairs:
                found += missing([f"{name}{suffix}"], "the study scores no such target")
                continue
            part = replace(result, pairs=tuple(pairs))
            figure = mixtures_figure(
                part,
                fdr,
                title=mixtures_title(part, fdr),
                note=f"{MIXTURE_NOTE}\n{evidence.source_note}",
                narrow=page.narrow,
            )
            more = (
                f"{evidence.settings.level:.0%} intervals cover test items and run-to-run "
                f"differences. n = {runs}"
            )
            found.append(present(f"{name}{suffix}", figure, partial(mixtures_table, part), more))
    return found


def scale_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return what a bigger base model buys, on the reference source."""
    found = evidence.scales
    names = ("best-base-model", "score-by-size", "data-equivalents")
    if isinstance(found, Unavailable):
        return missing(names, found)
    curves = evidence.fit.curves
    at = found.largest_common or (found.volumes[0] if found.volumes else None)
    if at is None:
        return missing(names, "no two runs of this study share a volume")
    view = select_scale(
        found.comparison,
        found.laws,
        curves,
        source=sources_of(curves)[0],
        models=spread_models(models_of(curves)[::-1]),
        volume=at,
        exam_volume=at * found.exam_factor,
    )
    note = f"{interval_note(view.curves)}\n{evidence.source_note}"
    runs = say_runs(view.curves)
    result: list[Found] = [
        present(
            names[0],
            scale_charts.best_figure(
                view,
                title=scale_words.lead_title(view),
                note=f"{scale_words.BEST_NOTE} {note}",
                narrow=page.narrow,
            ),
            lambda: scale_charts.scores_table(view),
            runs,
        )
    ]
    inside = [curve for curve in view.curves if curve.n_params and not curve.out_of_domain]
    if inside:
        figure = sizes_figure(
            inside,
            view.laws,
            title=scale_words.laws_title(view),
            note=f"{sizes_note()}\n{evidence.source_note}",
            n_columns=page.n_columns(len({curve.ability for curve in inside})),
        )
        name_axes(figure, "Parameters of the base model", name_score(inside[0]))
        result.append(present(names[1], figure, lambda: points_table(inside), runs))
    else:
        result += missing(names[1:2], "the sizes of these base models are not known")
    if not scale_words.final_equivalents(view):
        return result + missing(names[2:], "no larger model's score can be set against a smaller's")
    result.append(
        present(
            names[2],
            scale_charts.equivalents_figure(
                view,
                title=scale_words.equivalents_title(view),
                note=f"{scale_words.RATIO_NOTE} {note}",
                narrow=page.narrow,
            ),
            lambda: scale_charts.equivalents_table(view),
            runs,
        )
    )
    return result


def transfer_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return the transfer matrix, raw and beyond format, and worths, of the largest base model."""
    names = ("transfer", "transfer-raw", "effective-data")
    if isinstance(evidence.transfer, Unavailable):
        return missing(names, evidence.transfer)
    result: list[Found] = []
    for results in evidence.transfer:
        comparisons = transfer_words.list_comparisons(results.transfer)
        if comparisons:
            break
    else:
        return missing(names, evidence.transfer[0].transfer.reason or "nothing to compare")
    chosen = comparisons[0]
    runs = f"n = {say_count(len(results.table.runs), 'run')}"
    for name, mode in ((names[0], transfer_words.BEYOND), (names[1], transfer_words.RAW)):
        result.append(
            present(
                name,
                transfer_charts.transfer_figure(
                    chosen,
                    mode=mode,
                    title=transfer_words.matrix_title(chosen, mode),
                    note=f"{transfer_words.MATRIX_NOTE}\n{evidence.source_note}",
                    narrow=page.narrow,
                ),
                lambda: transfer_charts.matrix_table(chosen),
                f"{transfer_words.transfer_headline(chosen)} {runs}",
            )
        )
    effective = results.effective
    if not effective.tau_identified:
        reasons = transfer_words.unidentified(effective)
        return result + missing(names[2:], reasons[0] if reasons else "worths are not identified")
    result.append(
        present(
            names[2],
            transfer_charts.tau_figure(
                effective,
                title=transfer_words.tau_title(effective, evidence.settings.fdr),
                note=f"{transfer_words.TAU_NOTE}\n{evidence.source_note}",
                narrow=page.narrow,
            ),
            lambda: transfer_charts.tau_table(effective),
            runs,
        )
    )
    return result
