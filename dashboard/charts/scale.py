"""Base models compared: which is best at a volume, what a larger one is worth in data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis import CurveFit, FitStatus, ResponseKind
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.results import (
    DataEquivalent,
    ModelScore,
    Reading,
    ScaleComparison,
    ScaleEffect,
    VolumeRanking,
)
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.results import PredictionStatus
from dashboard.charts.sizes import has_lines
from dashboard.charts.wording import (
    name_ability,
    say_count,
    say_examples,
    say_gain,
    say_list,
)

STANDS_OUT = 0.5
"""As the readings have it: with a smaller probability none is called the best."""

BEST_NOTE = (
    "P(best): the first model's probability of having the best expected score there. Hollow: "
    "farther out than any backtest reaches, so the interval is a guess."
)
RATIO_NOTE = (
    "Hollow: not reached within the observed volumes. Arrow: an open end, since too many "
    "replicates never reach the score, or reach it at once."
)

_PREDICTION_WORDS = {
    PredictionStatus.INSIDE_RANGE: "within the observed volumes",
    PredictionStatus.BACKTESTED: "predicted, with backtested errors",
    PredictionStatus.UNSUPPORTED_HORIZON: "predicted, farther out than any backtest reaches",
}


@dataclass(frozen=True, kw_only=True)
class ScaleView:
    """What one page shows of a comparison: one data source at one target volume.

    Attributes
    ----------
    curves : tuple of CurveFit
        Of the models that figures show, smallest first.
    scores : tuple of ModelScore
        Of every model at the target.
    rankings : tuple of VolumeRanking
        By ability, those that look at the target itself; `earlier` holds those from less data.
    readings : tuple of Reading
        In the order of `rankings`.
    """

    source: str
    volume: float
    curves: tuple[CurveFit, ...]
    scores: tuple[ModelScore, ...]
    rankings: tuple[VolumeRanking, ...]
    earlier: tuple[VolumeRanking, ...]
    readings: tuple[Reading, ...]
    gains: tuple[ScaleEffect, ...]
    equivalents: tuple[DataEquivalent, ...]
    laws: tuple[JointFit, ...]

    @property
    def responses(self) -> dict[str, ResponseKind]:
        """Kind of score by ability."""
        return {curve.ability: curve.response for curve in self.curves}

    @property
    def exams(self) -> set[str]:
        """Out-of-domain abilities."""
        return {curve.ability for curve in self.curves if curve.out_of_domain}

    @property
    def abilities(self) -> list[str]:
        """Abilities in order, out-of-domain ones last."""
        names = dict.fromkeys(curve.ability for curve in self.curves)
        return sorted(names, key=lambda name: name in self.exams)


def select_scale(
    comparison: ScaleComparison,
    laws: Sequence[JointFit],
    curves: Sequence[CurveFit],
    *,
    source: str,
    models: Sequence[str],
    volume: float,
    exam_volume: float,
) -> ScaleView:
    """Select what belongs to a data source and a target volume.

    Parameters
    ----------
    curves : sequence of CurveFit
        All of the study.
    models : sequence of str
        Base models that figures show.
    volume, exam_volume : float
        Target in examples per ability, and in examples of all abilities for exams.
    """
    mine = [c for c in curves if c.data_source == source and c.base_model in models]
    mine.sort(key=lambda c: (c.ability, c.n_params or 0, c.base_model))
    exams = {c.ability for c in curves if c.out_of_domain}

    def wanted(ability: str, data_source: str, at: float) -> bool:
        return data_source == source and at == (exam_volume if ability in exams else volume)

    final = [r for r in comparison.ranking_at if r.n_examples == r.target]
    told = zip(final, comparison.readings, strict=True)
    return ScaleView(
        source=source,
        volume=volume,
        curves=tuple(mine),
        scores=tuple(
            m for m in comparison.models if wanted(m.ability, m.data_source, m.n_examples)
        ),
        rankings=tuple(r for r in final if wanted(r.ability, r.data_source, r.target)),
        earlier=tuple(
            r
            for r in comparison.ranking_at
            if r.n_examples != r.target and wanted(r.ability, r.data_source, r.target)
        ),
        readings=tuple(
            reading for r, reading in told if wanted(r.ability, r.data_source, r.target)
        ),
        gains=tuple(
            e for e in comparison.scale_effects if e.data_source == source and e.quantity == "gain"
        ),
        equivalents=tuple(e for e in comparison.data_equivalents if e.data_source == source),
        laws=tuple(law for law in laws if law.data_source == source),
    )


def spread_models(models: Sequence[str], n_models: int = 5) -> list[str]:
    """Return at most `n_models` of models in order of size, the smallest and largest among them."""
    if len(models) <= n_models:
        return list(models)
    last = len(models) - 1
    places = dict.fromkeys(round(i * last / (n_models - 1)) for i in range(n_models))
    return [models[place] for place in places]


# --- Sentences --------------------------------------------------------------------------------


def scale_headline(view: ScaleView) -> str:
    """Return which base model to take at the target volume, over all abilities, in a sentence."""
    inside = [r for r in view.rankings if r.ability not in view.exams] or list(view.rankings)
    ranked = [r for r in inside if r.order]
    at = f"At {say_examples(view.volume)} examples of {view.source} data"
    if not ranked:
        return f"{at}, base models can't be ranked."
    best: dict[str, list[str]] = {}
    for ranking in ranked:
        if ranking.p_best is not None and ranking.p_best >= STANDS_OUT:
            best.setdefault(ranking.order[0], []).append(ranking.ability)
    total = say_count(len(ranked), "ability", "abilities")
    if best and len(ranked) == 1:
        (only,) = ranked
        return (
            f"{at}, the best of {len(only.order)} base models is likely {only.order[0]} "
            f"(probability {only.p_best:.0%})."
        )
    if not best:
        where = (
            f"in {name_ability(ranked[0].ability)}" if len(ranked) == 1 else f"for any of {total}"
        )
        return f"{at}, no base model stands out {where}."
    ordered = sorted(best.items(), key=lambda item: -len(item[1]))
    said = [f"{model} for {len(names)}" for model, names in ordered]
    open_ = len(ranked) - sum(len(names) for names in best.values())
    rest = f"; none stands out for {open_}" if open_ else ""
    return f"{at}, the best base model is likely {say_list(said)} of {total}{rest}."


def lead_title(view: ScaleView) -> str:
    """Say by how much the best base model leads the next, on the median ability."""
    leads = []
    for ranking in view.rankings:
        if ranking.ability in view.exams or len(ranking.order) < 2:
            continue
        first, second = (
            next(s for s in view.scores if (s.ability, s.base_model) == (ranking.ability, model))
            for model in ranking.order[:2]
        )
        if first.score and second.score:
            leads.append(abs(first.score.estimate - second.score.estimate))
    if not leads:
        return "Expected score of each base model"
    response = next(iter(view.responses.values()))
    lead = say_gain(float(np.median(leads)), response).removeprefix("+")
    where = " on the median ability" if len(leads) > 1 else ""
    return f"The best base model leads the next by {lead}{where}"


def gain_sentence(view: ScaleView, fdr: float) -> str:
    """Say for how many abilities bigger models gain more from the data."""
    inside = [e for e in view.gains if e.ability not in view.exams] or list(view.gains)
    tested = [(e, e.slope) for e in inside if e.slope is not None and e.q_value is not None]
    if not tested:
        return "Whether bigger base models gain more from the data can't be told"
    found = [(e, s) for e, s in tested if e.q_value is not None and e.q_value < fdr]
    more = [name_ability(e.ability) for e, s in found if s.estimate > 0]
    less = [name_ability(e.ability) for e, s in found if s.estimate < 0]
    total = say_count(len(tested), "ability", "abilities")
    only = name_ability(tested[0][0].ability) if len(tested) == 1 else None
    if not found:
        return f"No difference in gain between small and big base models shows in {only or total}"
    parts = [
        f"{word} from the data in {only or f'{len(names)} of {total} ({say_list(names)})'}"
        for word, names in (("more", more), ("less", less))
        if names
    ]
    return f"Bigger base models gain {' and '.join(parts)}"


def laws_title(view: ScaleView) -> str:
    """Say for how many abilities a joint law of size and data is identified."""
    laws = [law for law in view.laws if law.ability not in view.exams]
    known = [law for law in laws if has_lines(law)]
    if not known:
        return "No joint law of model size and data is identified by these sizes and volumes"
    at_bound = sum(law.status is FitStatus.AT_BOUND for law in known)
    if len(laws) == 1:
        bound = ", a parameter at its bound" if at_bound else ""
        name = name_ability(known[0].ability)
        return f"A joint law of model size and data is identified for {name}{bound}"
    return (
        f"A joint law of model size and data is identified for {len(known)} of "
        f"{say_count(len(laws), 'ability', 'abilities')}"
        + (f", for {at_bound} with a parameter at its bound" if at_bound else "")
    )


def how_scale(comparison: ScaleComparison, view: ScaleView) -> list[tuple[str, str]]:
    """Say how base models were compared."""
    n_tests = max((effect.n_tests for effect in view.gains), default=0)
    return [
        (
            "Score at the target",
            "averaged growth curve within the observed volumes; beyond them the prediction that "
            "backtests weigh, with their errors as its interval",
        ),
        (
            "P(best), regret",
            "shares and means over replicates that all models draw together; expected regret: what "
            "the first by the scores at a smaller volume loses at the target, in score units",
        ),
        (
            "Bigger models gain more",
            "slope of the gain over log2 of the parameters, over the base models at hand; "
            f"{comparison.correction} over {n_tests} slopes",
        ),
        (
            "Data equivalent",
            "volume at which the smaller model's curve reaches the larger's score, over the "
            "larger's volume",
        ),
        ("Joint law", "Huber loss on the log or logit error, all sizes and volumes together"),
    ]


# --- Figures ----------------------------------------------------------------------------------


def equivalents_title(view: ScaleView) -> str:
    """Say how often data makes up for size."""
    chosen = [e for e in final_equivalents(view) if e.ability not in view.exams]
    never = [e for e in chosen if e.status is RatioStatus.NEVER_UNDER_FAMILY]
    beyond = [e for e in chosen if e.status is RatioStatus.BEYOND_OBSERVED]
    known = [e for e in chosen if e.status is RatioStatus.OK and e.ratio and e.ratio.estimate]
    if not chosen:
        return "What a larger base model is worth in data can't be told"
    said = (
        f"Of {say_count(len(chosen), 'step')} to a larger base model, data makes up for "
        f"{len(known)} within the observed volumes, for {len(beyond)} beyond them"
    )
    return f"{said}, and for {len(never)} never as the fitted curves go" if never else said


def final_equivalents(view: ScaleView) -> list[DataEquivalent]:
    """Return equivalents at the largest volume between neighbours in size.

    With several abilities only those of the models shown.
    """
    shown = {curve.base_model for curve in view.curves}
    every = len(view.abilities) == 1
    last: dict[tuple[str, str, str], DataEquivalent] = {}
    for one in view.equivalents:
        key = (one.ability, one.base_model, one.larger)
        wanted = every or {one.base_model, one.larger} <= shown
        if wanted and (key not in last or last[key].n_examples < one.n_examples):
            last[key] = one
    return list(last.values())


# --- Parts ------------------------------------------------------------------------------------


def rests_on(score: ModelScore | None) -> str:
    """Say what stands behind a score at the target."""
    if score is None or score.prediction_status is None:
        return "no curve"
    return _PREDICTION_WORDS[score.prediction_status]
