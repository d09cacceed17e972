"""One sentence for every ability and source on what a larger base model brings."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.compare.results import ModelScore, Reading, ScaleEffect, VolumeRanking
from dashboard.analysis.compare.wording import count_of, size_of, span_of
from dashboard.analysis.results import PredictionStatus

Key = tuple[str, str, str, str]
# With a smaller probability the first by expected score is not called the best.
_STANDS_OUT = 0.5


def read_scales(
    models: Sequence[ModelScore],
    rankings: Sequence[VolumeRanking],
    effects: Sequence[ScaleEffect],
) -> tuple[Reading, ...]:
    """Read every group at its target: the best model, and whether bigger models gain more."""
    gains = {_key(effect): effect for effect in effects if effect.quantity == "gain"}
    readings = []
    for ranking in rankings:
        if ranking.n_examples != ranking.target:
            continue
        group = [m for m in models if _key(m) == _key(ranking) and m.n_examples == ranking.target]
        readings.append(
            Reading(
                study=ranking.study,
                ability=ranking.ability,
                base_model=None,
                data_source=ranking.data_source,
                metric=ranking.metric,
                text=_read(ranking, group, gains.get(_key(ranking))),
            )
        )
    return tuple(readings)


def _key(item: ModelScore | VolumeRanking | ScaleEffect) -> Key:
    """Return what names a group."""
    return (item.study, item.ability, item.data_source, item.metric)


def _read(ranking: VolumeRanking, models: Sequence[ModelScore], gain: ScaleEffect | None) -> str:
    """Return the best model at the target and the interaction."""
    at = f"At {count_of(ranking.target)} examples of {ranking.data_source} data"
    if not ranking.order:
        return f"{at}, base models can't be ranked on {ranking.ability}: {ranking.reason}."
    first = next(model for model in models if model.base_model == ranking.order[0])
    n_models = len(ranking.order)
    if ranking.p_best is not None and ranking.p_best < _STANDS_OUT:
        text = (
            f"{at}, none of {n_models} base models stands out on {ranking.ability} "
            f"({ranking.metric}; {first.base_model} has the highest expected score and is the "
            f"best with probability {ranking.p_best:.0%})"
        )
    else:
        text = (
            f"{at}, {first.base_model} is expected to be the best of {n_models} base models on "
            f"{ranking.ability} ({ranking.metric}"
        )
        text += ")" if ranking.p_best is None else f"; probability {ranking.p_best:.0%})"
    if first.prediction_status is PredictionStatus.BACKTESTED:
        text += ", by a backtested prediction"
    elif first.prediction_status is PredictionStatus.UNSUPPORTED_HORIZON:
        text += ", farther out than any backtest reaches"
    if gain is None or gain.slope is None or gain.q_value is None:
        return f"{text}."
    unit = "" if first.higher_is_better else " of log loss"
    accuracy = first.higher_is_better and _is_accuracy(models)
    verb = "gain about as much, as far as these runs can tell"
    if gain.slope.low > 0 or gain.slope.high < 0:
        verb = f"gain {'more' if gain.slope.estimate > 0 else 'less'} from the data"
    text += (
        f"; bigger models {verb}: {size_of(gain.slope.estimate, accuracy)}{unit} for twice the "
        f"parameters {span_of(gain.slope, accuracy)}"
    )
    return f"{text}."


def _is_accuracy(models: Sequence[ModelScore]) -> bool:
    """Say whether scores read as percentages."""
    return all(m.score is None or 0 <= m.score.estimate <= 1 for m in models)
