"""Figures of growth: overall, ability by ability, out of domain, gains and plateaus."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis import CurveFit
from dashboard.analysis.compare.results import Overall
from dashboard.charts.findings import (
    gains_title,
    growth_note,
    growth_title,
    interval_note,
    label_rule,
)
from dashboard.charts.focus import focus_title
from dashboard.charts.gains import gains_figure, sort_by_gain
from dashboard.charts.growth import BY_GAIN, growth_figure, order_curves
from dashboard.charts.overall import (
    group_overall,
    overall_figure,
    overall_note,
    overall_table,
    overall_title,
)
from dashboard.charts.plateau import PLATEAU_NOTE, plateau_figure, plateau_table, plateau_title
from dashboard.charts.scale import spread_models
from dashboard.charts.selection import models_of, select_curves, sources_of
from dashboard.charts.tables import gains_table, points_table
from dashboard.charts.wording import say_volume_kind
from dashboard.export.paper import SMALL_PANEL, Page
from dashboard.export.parts import Found, missing, name_axes, name_score, present, say_runs, slug
from dashboard.export.study_evidence import StudyEvidence, Unavailable

_GAINS_PIXELS = 650
"""Three columns of the gains figure take so much."""

IN_DOMAIN, OUT_OF_DOMAIN = "in_domain", "out_of_domain"


def growth_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return growth by model size on the reference source, and what it amounts to."""
    curves = evidence.fit.curves
    if not curves:
        return missing(
            ("growth-overall", "growth-abilities", "gains", "plateau"),
            "no trained run of this study is scored yet",
        )
    source, largest = sources_of(curves)[0], models_of(curves)[0]
    shown = spread_models(models_of(curves)[::-1])
    by_size = select_curves(curves, shown, [source])
    inside = [curve for curve in by_size if not curve.out_of_domain]
    found = overall_figures(evidence, "growth-overall", shown, [source], IN_DOMAIN)
    if inside:
        found += panels(evidence, page, "growth-abilities", inside)
        found += [
            _panel(evidence, page, f"growth-ability-{slug(ability)}", inside, ability)
            for ability in dict.fromkeys(curve.ability for curve in inside)
        ]
    else:
        found += missing(["growth-abilities"], "every ability of this study is out of domain")
    reference = sort_by_gain(select_curves(curves, [largest], [source]))
    found.append(
        present(
            "gains",
            gains_figure(
                reference,
                title=gains_title(reference),
                note=f"{interval_note(reference)} {label_rule(reference)}\n{evidence.source_note}",
                narrow=page.width < _GAINS_PIXELS,
            ),
            lambda: gains_table(reference),
            say_runs(reference),
        )
    )
    return [*found, _plateau(evidence, page, reference, by_size)]


def exam_figures(evidence: StudyEvidence, page: Page) -> list[Found]:
    """Return growth out of domain, by model size and by data source."""
    curves = [curve for curve in evidence.fit.curves if curve.out_of_domain]
    names = ("out-of-domain-overall", "out-of-domain", "out-of-domain-sources")
    if not curves:
        more = (
            "an import names none"
            if evidence.is_imported
            else "name some in out_of_domain of its grid"
        )
        return missing(names, f"no task of this study is out of domain; {more}")
    sources, models = sources_of(curves), models_of(curves)
    shown = spread_models(models[::-1])
    found = overall_figures(evidence, names[0], shown, sources[:1], OUT_OF_DOMAIN)
    found += panels(evidence, page, names[1], select_curves(curves, shown, sources[:1]))
    if len(sources) > 1:
        return found + panels(evidence, page, names[2], select_curves(curves, models[:1], sources))
    return found + missing(names[2:], "all runs of this study train on one data source")


def overall_figures(
    evidence: StudyEvidence,
    name: str,
    models: Sequence[str],
    sources: Sequence[str],
    domain: str,
) -> list[Found]:
    """Return the mean over abilities of some models and sources, one figure a metric."""
    if isinstance(evidence.abilities, Unavailable):
        return missing([name], evidence.abilities)
    lines = evidence.abilities.overall
    groups = group_overall(lines, models, sources, domain)
    if not groups:
        reason = next((one.reason for one in lines if one.domain == domain and one.reason), None)
        return missing([name], reason or "a mean takes two abilities that are scored alike")
    names = [name if len(groups) == 1 else f"{name}-{slug(alike[0].metric)}" for alike in groups]
    return [_overall(evidence, of, alike) for of, alike in zip(names, groups, strict=True)]


def _overall(evidence: StudyEvidence, name: str, lines: Sequence[Overall]) -> Found:
    """Return one mean over abilities."""
    mine = [
        curve
        for curve in evidence.fit.curves
        if (curve.base_model, curve.data_source, curve.metric)
        in {(line.base_model, line.data_source, line.metric) for line in lines}
        and curve.ability in lines[0].abilities
    ]
    response = mine[0].response
    note = overall_note(lines, evidence.settings.level)
    return present(
        name,
        overall_figure(
            lines,
            response,
            title=overall_title(lines, response),
            note=f"{note}\n{evidence.source_note}",
        ),
        lambda: overall_table(lines),
        say_runs(mine),
    )


def panels(
    evidence: StudyEvidence, page: Page, name: str, curves: Sequence[CurveFit]
) -> list[Found]:
    """Return one panel an ability of some curves, all in one figure."""
    ordered = order_curves(curves, BY_GAIN)
    n_columns = page.n_columns(len({curve.ability for curve in ordered}))
    figure = growth_figure(
        ordered,
        title=growth_title(ordered),
        note=f"{growth_note(ordered)}\n{evidence.source_note}",
        n_columns=n_columns,
        small=page.panel_width(n_columns) < SMALL_PANEL,
    )
    name_axes(figure, say_volume_kind(ordered[0]).capitalize(), name_score(ordered[0]))
    return [present(name, figure, lambda: points_table(ordered), say_runs(ordered))]


def _panel(
    evidence: StudyEvidence, page: Page, name: str, curves: Sequence[CurveFit], ability: str
) -> Found:
    """Return one ability's panel as a figure of its own."""
    mine = [curve for curve in curves if curve.ability == ability]
    figure = growth_figure(
        mine,
        title=focus_title(mine),
        note=f"{growth_note(mine)}\n{evidence.source_note}",
        n_columns=1,
    )
    name_axes(figure, say_volume_kind(mine[0]).capitalize(), name_score(mine[0]))
    return present(name, figure, lambda: points_table(mine), say_runs(mine))


def _plateau(
    evidence: StudyEvidence,
    page: Page,
    reference: Sequence[CurveFit],
    by_size: Sequence[CurveFit],
) -> Found:
    """Return whether the next doubling would still pay: by ability, or by model for a lone one."""
    curves = list(reference if len(reference) > 1 else by_size)
    if not any(curve.plateau.gain for curve in curves):
        reason = next((c.plateau.reason or c.reason for c in curves if c.plateau.reason), None)
        return missing(["plateau"], reason or "no curve of this study could be fitted")[0]
    return present(
        "plateau",
        plateau_figure(
            curves,
            title=plateau_title(curves),
            note=f"{PLATEAU_NOTE} {interval_note(curves)}\n{evidence.source_note}",
            narrow=page.narrow,
        ),
        lambda: plateau_table(curves),
        say_runs(curves),
    )
