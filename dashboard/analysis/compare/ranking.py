"""Which base model will be best: probabilities, regret, and rankings judged by backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2, rankdata

from dashboard.analysis.compare.results import RankingBacktest
from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.extrapolation import Extrapolator
from dashboard.analysis.prepare import FittedRuns, prepare_curve
from dashboard.analysis.replicated import CurveJob
from dashboard.analysis.settings import FitSettings

_HORIZONS = (4.0, 16.0, 64.0)
_MIN_VOLUMES = 3
_N_TAU = 60


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Base models at a target volume.

    Attributes
    ----------
    order : tuple of str
        Best expected score first.
    rank, p_best, expected_regret : dict
        By base model: 1 for the best; probability of being the best; expected loss of score by
        taking this model, in score units.
    """

    order: tuple[str, ...]
    rank: Mapping[str, int]
    p_best: Mapping[str, float]
    expected_regret: Mapping[str, float]

    def correlation_with(self, order: Sequence[str]) -> float | None:
        """Return Spearman's correlation of another order with this one."""
        places = np.array([self.rank[name] for name in order], dtype=float)
        return spearman(np.arange(len(order), dtype=float), places)


def rank_at(
    names: Sequence[str],
    estimates: FloatArray,
    draws: Sequence[FloatArray],
    sign: float,
    df: float = np.inf,
) -> Ranked:
    """Rank models by their estimates and judge each over joint draws.

    Parameters
    ----------
    estimates : ndarray, shape (M,)
        Scores at the target.
    draws : sequence of ndarray, shape (B,)
        Draws of them; draw b of all models belongs together.
    sign : float
        1 where higher is better, else -1.
    df : float
        Degrees of freedom of the draws' noise, which is as uncertain: each draw's is that of a t.

    Notes
    -----
    Probabilities and regret shrink models towards their mean: a model that looks best is partly
    lucky. With e_m the estimates' and s_m the draws' deviations from the models' mean, true
    deviations are taken as normal with standard deviation tau, uniform a priori; each draw uses a
    tau from its posterior and B = tau^2 / (tau^2 + s_m^2), B e_m + sqrt(B) (draw - e_m). s_m^2 is
    shrunk half way to the models' mean, since a fit can know too little of its own noise.
    """
    if not names:
        return Ranked(order=(), rank={}, p_best={}, expected_regret={})
    values = _shrunken(sign * estimates, sign * np.array(draws), df)
    best = values.max(axis=0)
    winners = values >= best
    p_best = (winners / winners.sum(axis=0)).mean(axis=1)
    regret = (best - values).mean(axis=1)
    places = np.argsort(-sign * estimates, kind="stable")
    order = tuple(names[index] for index in places)
    return Ranked(
        order=order,
        rank={name: place for place, name in enumerate(order, start=1)},
        p_best={name: float(p) for name, p in zip(names, p_best, strict=True)},
        expected_regret={name: float(r) for name, r in zip(names, regret, strict=True)},
    )


def _shrunken(estimates: FloatArray, draws: FloatArray, df: float) -> FloatArray:
    """Return posterior draws (M, B) of the models' deviations from their mean."""
    centre = estimates - estimates.mean()
    noise = draws - draws.mean(axis=0) - centre[:, None]
    rng = np.random.default_rng(draws.shape)
    if np.isfinite(df):
        noise = noise * np.sqrt(max(df, 3.0) / rng.chisquare(max(df, 3.0), size=draws.shape[1]))
    own = noise.var(axis=1)
    variance = (own + own.mean()) / 2
    noise = noise * np.sqrt(variance / np.maximum(own, 1e-300))[:, None]
    largest = 3 * float(np.abs(centre).max())
    if largest == 0 or not (variance > 0).all():
        return np.asarray(centre[:, None] + noise)
    tau = np.linspace(0, largest, _N_TAU + 1)[1:]
    total = tau[:, None] ** 2 + variance
    log_posterior = -0.5 * (np.log(total) + centre**2 / total).sum(axis=1)
    weight = np.exp(log_posterior - log_posterior.max())
    chosen = rng.choice(tau, size=draws.shape[1], p=weight / weight.sum())
    share = chosen**2 / (chosen**2 + variance[:, None])
    return np.asarray(share * centre[:, None] + np.sqrt(share) * noise)


def spearman(one: FloatArray, other: FloatArray) -> float | None:
    """Return Spearman's rank correlation; None for fewer than two or where all are tied."""
    if len(one) < 2:
        return None
    ranks = rankdata(one), rankdata(other)
    centred = [rank - rank.mean() for rank in ranks]
    size = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum() / size) if size > 0 else None


def judge_rankings(
    jobs: Sequence[CurveJob], keys: Mapping[str, str], settings: FitSettings
) -> tuple[list[RankingBacktest], float]:
    """Rank models from small volumes only and compare with the largest common volume.

    Parameters
    ----------
    jobs : sequence of CurveJob
        Models of one study, ability, source and metric.
    keys : dict
        Fields that name them in the results.

    Returns
    -------
    backtests : list of RankingBacktest
        For up to three smaller volumes, about 4, 16 and 64 times below the largest.
    correlation : float
        Of the models' prediction errors at one volume, in [0, 0.99]: errors that models share do
        not change their order. A lower bound (90%), so 0 where little could be predicted.
    """
    runs = [job.prepared.runs for job in jobs if job.prepared.runs is not None]
    if len(runs) < 2:
        return [], 0.0
    common = sorted(set.intersection(*[set(item.volumes.tolist()) for item in runs]) - {0.0})
    if len(common) < 2:
        return [], 0.0
    target = common[-1]
    sign = 1.0 if runs[0].data.higher_is_better else -1.0
    truth = sign * np.array([_mean_at(item, target) for item in runs])
    result: list[RankingBacktest] = []
    apart, total, df = 0.0, 0.0, 0
    for cut in _cuts(common):
        guesses = {"last_score": sign * np.array([_mean_at(item, cut) for item in runs])}
        sizes = np.array([item.data.n_params or np.nan for item in runs], dtype=float)
        if np.isfinite(sizes).all():
            guesses["n_params"] = sizes
        predicted = _predict_from(jobs, cut, target, settings)
        if predicted is not None:
            guesses["predicted"] = sign * predicted
            errors = _on_error_scale(runs[0], predicted) - _on_error_scale(runs[0], sign * truth)
            total += float((errors**2).mean())
            apart += float(errors.var(ddof=1))
            df += len(errors) - 1
        for method, values in guesses.items():
            chosen = int(values.argmax())
            result.append(
                RankingBacktest(
                    **keys,
                    method=method,
                    max_examples=cut,
                    n_examples=target,
                    n_models=len(runs),
                    chosen=runs[chosen].data.base_model,
                    rank_correlation=spearman(values, truth),
                    regret=float(truth.max() - truth[chosen]),
                )
            )
    if not total > 0:
        return result, 0.0
    # Few models may agree by chance: their disagreement is taken at its upper 90% bound.
    apart *= df / float(chi2.ppf(0.1, df))
    return result, float(np.clip(1 - apart / total, 0.0, 0.99))


def _cuts(common: Sequence[float]) -> list[float]:
    """Return the smaller volumes nearest to the horizons, largest first."""
    smaller = np.array(common[:-1])
    wanted = [common[-1] / horizon for horizon in _HORIZONS]
    found = {float(smaller[np.abs(np.log(smaller / volume)).argmin()]) for volume in wanted}
    return sorted(found, reverse=True)


def _mean_at(runs: FittedRuns, volume: float) -> float:
    """Return the observed mean at a volume."""
    return float(runs.score[runs.n == volume].mean())


def _predict_from(
    jobs: Sequence[CurveJob], cut: float, target: float, settings: FitSettings
) -> FloatArray | None:
    """Return predictions (M,) at the target from volumes up to `cut`; None if they are too few."""
    limited = replace(settings, max_examples=cut)
    prefixes = [prepare_curve(job.data, limited).runs for job in jobs]
    if any(item is None or len(item.volumes) < _MIN_VOLUMES for item in prefixes):
        return None
    extrapolator = Extrapolator(prefixes, limited)
    values = [extrapolator.predict(index, target).estimate for index in range(len(jobs))]
    return np.array(values, dtype=float)


def _on_error_scale(runs: FittedRuns, values: FloatArray) -> FloatArray:
    """Return scores on the scale of prediction errors: logs for losses."""
    return np.log(values) if runs.response is ResponseKind.LOSS else values
