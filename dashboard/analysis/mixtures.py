"""Named mixtures of training data, compared in pairs on abilities and exams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.results import Interval
from dashboard.analysis.run_contrasts import adjust, difference
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import TargetDraws, draw_table, macro_mean
from warehouse.errors import InputError

IN_DOMAIN = "overall, in domain"
OUT_OF_DOMAIN = "overall, out of domain"


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """One mixture: its name, its size and its runs.

    All-abilities runs of the same number of examples as some mixture stand beside the mixtures
    under the name `even SOURCE VOLUME`, since an even mix is what a mixture has to beat.
    """

    name: str
    n_examples: float
    n_steps: float | None
    runs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MixturePair:
    """Two mixtures on one target.

    Attributes
    ----------
    target : str
        An ability, an exam, or one of the overall means (each target counts the same).
    overall, out_of_domain : bool
    mixture, reference : str
    n_examples, n_examples_reference : float
    steps_matched : bool or None
        Whether both took the same optimizer steps; None if unknown.
    difference : Interval or None
        Reference minus mixture, paired by item; positive where the reference is better.
    p_value, q_value : float or None
        Against 0; Benjamini-Hochberg over the pairs and targets of a study, base model and
        metric, the overall means apart.
    n_tests : int
    reason : str or None
    """

    base_model: str
    metric: str
    target: str
    overall: bool
    out_of_domain: bool
    mixture: str
    reference: str
    n_examples: float
    n_examples_reference: float
    steps_matched: bool | None
    response: ResponseKind
    difference: Interval | None
    p_value: float | None
    q_value: float | None
    n_tests: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class MixtureResult:
    """All pairs of one study and base model; `reason` says why there are none."""

    study: str
    base_model: str
    mixtures: tuple[Mixture, ...]
    pairs: tuple[MixturePair, ...]
    reason: str | None
    reading: tuple[str, ...]


def compare_mixtures(
    table: RunTable, settings: FitSettings | None = None, reference: str | None = None
) -> MixtureResult:
    """Compare every pair of mixtures, or each with one reference.

    Differences share the items' draw and carry run noise as in `dashboard.analysis.transfer`; an
    overall mean takes its run noise from the mean itself, since a run's luck is shared by its
    abilities.

    Parameters
    ----------
    reference : str, optional
        Compare with this one only; by default all pairs, the later name as the reference.

    Raises
    ------
    InputError
        If `reference` is no mixture of the table.
    """
    settings = settings or FitSettings()
    mixtures = find_mixtures(table)
    names = [one.name for one in mixtures]
    if reference is not None and reference not in names:
        raise InputError(
            f"--reference {reference!r} is no mixture of {table.title}; "
            f"known: {', '.join(names) or 'none'}."
        )
    if reference is None:
        chosen = list(combinations(mixtures, 2))
    else:
        standard = mixtures[names.index(reference)]
        chosen = [(one, standard) for one in mixtures if one.name != reference]
    if not chosen:
        found = names[0] if names else "none"
        reason = f"two mixtures are needed to compare; {table.title} has {found}"
        return MixtureResult(
            study=table.study,
            base_model=table.base_model,
            mixtures=mixtures,
            pairs=(),
            reason=reason,
            reading=(f"{table.base_model}: {reason}.",),
        )
    draws = draw_table(table, settings)
    pairs = _adjust(
        [
            _pair(table, one, standard, target, name, settings)
            for name, target in (*_overall(table, draws), *((None, d) for d in draws))
            for one, standard in chosen
        ]
    )
    return MixtureResult(
        study=table.study,
        base_model=table.base_model,
        mixtures=mixtures,
        pairs=tuple(pairs),
        reason=None,
        reading=tuple(_read(pair, settings.fdr) for pair in pairs if pair.overall),
    )


def find_mixtures(table: RunTable) -> tuple[Mixture, ...]:
    """Return named mixtures and even mixes of the same size, by name."""
    found: list[Mixture] = []
    sizes: set[float] = set()
    recipes = table.recipes()
    named = [m for m in recipes if table.runs[m[0]].design == "mixture"]
    for members in named:
        run = table.runs[members[0]]
        name = run.design_target or "mixture"
        alike = [m for m in named if table.runs[m[0]].design_target == run.design_target]
        if len(alike) > 1:
            name += f" ({run.n_steps} steps)"
        found.append(_mixture(name, table, members))
        sizes.add(run.n_examples)
    for members in recipes:
        run = table.runs[members[0]]
        if run.design == "all_abilities" and run.n_examples in sizes:
            volume = "" if run.volume is None else f" {run.volume:g}"
            found.append(_mixture(f"even {run.data_source}{volume}", table, members))
    return tuple(sorted(found, key=lambda one: one.name))


def _mixture(name: str, table: RunTable, members: Sequence[int]) -> Mixture:
    run = table.runs[members[0]]
    steps = None if run.n_steps is None else float(run.n_steps)
    return Mixture(name=name, n_examples=run.n_examples, n_steps=steps, runs=tuple(members))


def _overall(table: RunTable, draws: Sequence[TargetDraws]) -> list[tuple[str | None, TargetDraws]]:
    """Return macro means in domain and out of domain, by metric."""
    overall: list[tuple[str | None, TargetDraws]] = []
    for metric in sorted({d.target.metric for d in draws}):
        for name, outside in ((IN_DOMAIN, False), (OUT_OF_DOMAIN, True)):
            members = [
                d for d in draws if d.target.metric == metric and d.target.out_of_domain is outside
            ]
            mean = macro_mean([d for d in members if d.reason is None], table.recipes())
            if mean is not None:
                overall.append((name, mean))
    return overall


def _pair(
    table: RunTable,
    one: Mixture,
    standard: Mixture,
    draws: TargetDraws,
    overall: str | None,
    settings: FitSettings,
) -> MixturePair:
    """Compare two mixtures on one target."""
    weights = np.zeros(len(table.runs))
    weights[list(standard.runs)] = 1 / len(standard.runs)
    weights[list(one.runs)] = -1 / len(one.runs)
    interval, p_value, reason = difference(draws, weights, settings.level)
    known = one.n_steps is not None and standard.n_steps is not None
    return MixturePair(
        base_model=table.base_model,
        metric=draws.target.metric,
        target=overall or draws.target.ability,
        overall=overall is not None,
        out_of_domain=draws.target.out_of_domain,
        mixture=one.name,
        reference=standard.name,
        n_examples=one.n_examples,
        n_examples_reference=standard.n_examples,
        steps_matched=one.n_steps == standard.n_steps if known else None,
        response=draws.response,
        difference=interval,
        p_value=p_value,
        q_value=None,
        n_tests=0,
        reason=reason,
    )


def _adjust(pairs: Sequence[MixturePair]) -> list[MixturePair]:
    """Fill in q-values by metric, overall means apart from single targets."""
    result = list(pairs)
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault((pair.metric, pair.overall), []).append(index)
    for members in groups.values():
        q_values, n_tests = adjust([pairs[i].p_value for i in members])
        for index, q_value in zip(members, q_values, strict=True):
            result[index] = replace(pairs[index], q_value=q_value, n_tests=n_tests)
    return result


def _read(pair: MixturePair, fdr: float) -> str:
    """Return one overall comparison in a sentence."""
    start = f"{pair.base_model}, {pair.target} ({pair.metric}): "
    if pair.difference is None:
        return f"{start}{pair.reference} and {pair.mixture} can't be compared, since {pair.reason}."
    accuracy = pair.response is ResponseKind.ACCURACY
    scale, digits, unit = (100, 1, " points") if accuracy else (1, 3, "")
    d = pair.difference
    size = f"{scale * abs(d.estimate):.{digits}f}{unit}"
    span = f"[{scale * d.low:+.{digits}f}, {scale * d.high:+.{digits}f}]"
    if pair.q_value is None:
        verdict = pair.reason or "not tested"
    elif pair.q_value < fdr:
        verdict = f"a difference, q = {pair.q_value:.2g} over {pair.n_tests} tests"
    else:
        verdict = f"no difference established, q = {pair.q_value:.2g} over {pair.n_tests} tests"
    side = "above" if d.estimate >= 0 else "below"
    return f"{start}{pair.reference} is {size} {side} {pair.mixture} {span}; {verdict}."
