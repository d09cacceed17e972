"""How far out-of-domain growth mirrors in-domain growth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicates import t_ratio
from dashboard.analysis.results import Interval, IntervalKind
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.table_draws import TargetDraws, macro_mean, usual_df
from dashboard.analysis.transfer.results import Mirror

ALL_EXAMS = "all exams"
_MIN_RECIPES = 4


def mirror_growth(
    table: RunTable, draws: Sequence[TargetDraws], settings: FitSettings
) -> tuple[Mirror, ...]:
    """Compare changes since the base model in and out of domain, over recipes.

    Returns
    -------
    tuple of Mirror
        All exams together and each alone, by metric; empty without exams. Fewer than four recipes
        give no figures, with the reason.

    Notes
    -----
    Intervals cover items and runs for the recipes at hand, not other recipes. Noise in the
    in-domain mean pulls the slope towards 0; with ten abilities of 200 items it is small beside
    the growth. The correlation's interval is symmetric on Fisher's scale.
    """
    recipes = table.recipes()
    mirrors: list[Mirror] = []
    for metric in sorted({d.target.metric for d in draws}):
        mine = [d for d in draws if d.target.metric == metric and d.reason is None]
        inside = macro_mean([d for d in mine if not d.target.out_of_domain], recipes)
        exams = [d for d in mine if d.target.out_of_domain]
        if inside is None or not exams:
            continue
        named = [(ALL_EXAMS, macro_mean(exams, recipes))] if len(exams) > 1 else []
        named += [(exam.target.ability, macro_mean([exam], recipes)) for exam in exams]
        mirrors += [
            _mirror(table, metric, name, inside, outside, settings)
            for name, outside in named
            if outside is not None
        ]
    return tuple(mirrors)


def _mirror(
    table: RunTable,
    metric: str,
    name: str,
    inside: TargetDraws,
    outside: TargetDraws,
    settings: FitSettings,
) -> Mirror:
    """Regress the changes of one exam on the in-domain changes."""
    base = [i for i, run in enumerate(table.runs) if run.is_base]
    scored = np.isfinite(inside.score) & np.isfinite(outside.score)
    points = [
        [i for i in members if scored[i]]
        for members in table.recipes()
        if not table.runs[members[0]].is_base
    ]
    points = [members for members in points if members]

    def without(reason: str) -> Mirror:
        return Mirror(
            base_model=table.base_model,
            metric=metric,
            target=name,
            n_recipes=len(points),
            slope=None,
            rank_correlation=None,
            reason=reason,
        )

    if not base or not scored[base].all():
        return without("the base model is not scored, so there is no change to compare")
    if len(points) < _MIN_RECIPES:
        return without(f"{len(points)} recipes are too few; {_MIN_RECIPES} are needed")
    weights = np.zeros((len(points), len(table.runs)))
    for row, members in enumerate(points):
        weights[row, members] = 1 / len(members)
        weights[row, base] -= 1 / len(base)
    x, y = (_changes(weights, d, d.score) for d in (inside, outside))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return without("scores do not change over these recipes")
    x_b, y_b = (_changes(weights, d, d.replicates) for d in (inside, outside))
    df = min(usual_df(inside), usual_df(outside))
    kind = outside.kind
    slopes = _slope(x_b, y_b)
    fisher = np.arctanh(np.clip(_rank_correlation(x_b, y_b), -0.999, 0.999))
    rank = float(_rank_correlation(x[:, None], y[:, None])[0])
    return Mirror(
        base_model=table.base_model,
        metric=metric,
        target=name,
        n_recipes=len(points),
        slope=_symmetric(float(_slope(x[:, None], y[:, None])[0]), slopes, settings, df, kind),
        rank_correlation=_symmetric(rank, fisher, settings, df, kind, fisher_scale=True),
        reason=None,
    )


def _changes(weights: FloatArray, draws: TargetDraws, values: FloatArray) -> FloatArray:
    """Return changes since the base model by recipe, positive when better; (Q,) or (Q, B)."""
    usable = np.where(np.isfinite(values), values, 0.0)  # only runs without weight are missing
    return np.asarray(draws.sign * (weights @ usable))


def _slope(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return least-squares slopes, (Q, B) -> (B,)."""
    x = x - x.mean(axis=0)
    return np.asarray((x * y).sum(axis=0) / np.maximum((x * x).sum(axis=0), 1e-300))


def _rank_correlation(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return Spearman's correlation, (Q, B) -> (B,)."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=0) for values in (x, y)]
    first, second = (r - r.mean(axis=0) for r in ranks)
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.asarray((first * second).sum(axis=0) / np.maximum(scale, 1e-300))


def _symmetric(
    estimate: float,
    replicates: FloatArray,
    settings: FitSettings,
    df: float,
    kind: IntervalKind,
    *,
    fisher_scale: bool = False,
) -> Interval:
    """Return estimate +- t quantile x sd of the replicates.

    Noise in x is counted twice in the replicates, which shifts them towards 0: their spread is of
    use, their position is not.
    """
    from scipy.stats import norm

    tail = (1 + settings.level) / 2
    reach = float(norm.ppf(tail)) * t_ratio(df, tail) * float(np.std(replicates))
    if not fisher_scale:
        low, high = estimate - reach, estimate + reach
    else:
        centre = float(np.arctanh(np.clip(estimate, -0.999, 0.999)))
        low, high = np.tanh(centre - reach), np.tanh(centre + reach)
    return Interval(
        estimate=estimate,
        low=float(min(low, estimate)),
        high=float(max(high, estimate)),
        level=settings.level,
        kind=kind,
    )
