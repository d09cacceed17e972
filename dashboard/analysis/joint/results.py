"""What a joint fit hands back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.results import FitStatus

if TYPE_CHECKING:
    from dashboard.analysis.joint.law import JointLaw

_UPPER_SIGMA = 0.8413447460685429


@dataclass(frozen=True, kw_only=True)
class JointFit:
    """The joint law of model size and data, fitted to one ability.

    Attributes
    ----------
    status : FitStatus
        `not_identified` where sizes and volumes can't separate some parameters (they are None),
        where one lies at its bound in a fifth of the replicates, or where the standard error of
        an exponent exceeds the exponent; `reason` names them.
    n_points, n_left_out : int
        Runs that were fitted, and runs that were not: at n = 0, missing, without a model size, or
        beyond the largest volume asked for.
    n_models, n_volumes : int
        Distinct model sizes and volumes.
    params, stderr : dict
        E, A, B, alpha, beta; None where not identified, `stderr` also at a bound. Standard errors
        are half the width of the central 68% of the replicates.
    low, high : dict
        Percentile bounds of each parameter at `level`.
    floor : float or None
        Floor of the accuracy-like twin, 0 or the chance level; None for losses.
    resampled : str or None
        "models" or "runs": what the bootstrap reweighs.
    rmse : float or None
        Root mean squared residual over runs, of the log for losses.
    reading : str
        One plain sentence.
    """

    study: str
    ability: str
    data_source: str
    metric: str
    response: ResponseKind
    x_kind: str
    status: FitStatus
    reason: str | None
    n_points: int
    n_left_out: int
    n_models: int
    n_volumes: int
    params: dict[str, float | None]
    stderr: dict[str, float | None]
    low: dict[str, float | None]
    high: dict[str, float | None]
    level: float
    floor: float | None
    resampled: str | None
    rmse: float | None
    reading: str

    @classmethod
    def without_fit(
        cls,
        curve: CurveData,
        response: ResponseKind,
        *,
        n_points: int,
        n_left_out: int,
        n_models: int,
        n_volumes: int,
        level: float,
    ) -> JointFit:
        """Return the result of a group before anything is fitted."""
        unknown: dict[str, float | None] = dict.fromkeys(("E", "A", "B", "alpha", "beta"))
        return cls(
            study=curve.study,
            ability=curve.ability,
            data_source=curve.data_source,
            metric=curve.metric,
            response=response,
            x_kind=curve.x_kind,
            status=FitStatus.FAILED,
            reason=None,
            n_points=n_points,
            n_left_out=n_left_out,
            n_models=n_models,
            n_volumes=n_volumes,
            params=unknown,
            stderr=unknown,
            low=unknown,
            high=unknown,
            level=level,
            floor=None,
            resampled=None,
            rmse=None,
            reading="",
        )

    def but(self, **changes: Any) -> JointFit:
        """Return the result with some fields changed and the sentence that goes with them."""
        changed = replace(self, **changes)
        return replace(changed, reading=read_joint(changed))

    def described(
        self,
        *,
        law: JointLaw,
        u: FloatArray,
        replicates: FloatArray,
        known: np.ndarray,
        bound: np.ndarray,
        doubtful: np.ndarray,
        by_model: bool,
        rmse: float,
    ) -> JointFit:
        """Read parameters, errors and status off an optimum and its replicates.

        Parameters
        ----------
        u : ndarray, shape (5,)
            Working parameters at the optimum.
        replicates : ndarray, shape (B, 5)
            Natural parameters of the replicates.
        known, bound, doubtful : ndarray of bool, shape (5,)
            Parameters that the design determines, that lie at a bound, and that often do so in
            replicates.

        Notes
        -----
        A and B are barely identified even by many runs: look at E, alpha and beta.
        """
        tail = (1 - self.level) / 2
        probabilities = (1 - _UPPER_SIGMA, _UPPER_SIGMA, tail, 1 - tail)
        quantiles = np.quantile(replicates, probabilities, axis=0)
        estimate = law.natural(u)
        names = law.symbols

        def table(values: FloatArray, use: np.ndarray) -> dict[str, float | None]:
            return {
                name: float(value) if keep and np.isfinite(value) else None
                for name, value, keep in zip(names, values, use, strict=True)
            }

        spread = (quantiles[1] - quantiles[0]) / 2
        vague = np.array([name in ("alpha", "beta") for name in names]) & (spread > estimate)
        status, reason = _judge(names, known, bound, doubtful | vague)
        free = known & ~bound
        return self.but(
            status=status,
            reason=reason,
            params=table(estimate, known),
            stderr=table(spread, free),
            low=table(quantiles[2], free),
            high=table(quantiles[3], free),
            floor=law.floor if self.response is ResponseKind.ACCURACY else None,
            resampled="models" if by_model else "runs",
            rmse=rmse,
        )


def _judge(
    names: tuple[str, ...], known: np.ndarray, bound: np.ndarray, doubtful: np.ndarray
) -> tuple[FitStatus, str | None]:
    """Return status and reason of a converged fit."""

    def listed(mask: np.ndarray) -> str:
        return ", ".join(name for name, hit in zip(names, mask, strict=True) if hit)

    if not known.all() and not bound.any():
        return (
            FitStatus.NOT_IDENTIFIED,
            f"these model sizes and volumes can't separate {listed(~known)}",
        )
    if bound.any():
        return FitStatus.AT_BOUND, f"at the bound: {listed(bound)}"
    if doubtful.any():
        return (
            FitStatus.NOT_IDENTIFIED,
            f"hardly determined by these sizes and volumes: {listed(doubtful)}",
        )
    return FitStatus.OK, None


def read_joint(fit: JointFit) -> str:
    """Return what a joint fit says, in one sentence."""
    subject = (
        f"{fit.ability} on {fit.data_source} data ({fit.metric}), {fit.n_models} model size(s)"
    )
    alpha, beta = fit.params["alpha"], fit.params["beta"]
    if alpha is None or beta is None or fit.status is FitStatus.ITERATION_CAP:
        return f"{subject}: no joint law, since {fit.reason}."
    what = "the loss" if fit.response is ResponseKind.LOSS else "the logit of the error"
    parts = [f"{subject}: the part of {what} that a larger model removes shrinks as N^-{alpha:.2f}"]
    parts.append(f"the part that more data removes as n^-{beta:.2f}")
    text = ", ".join(parts)
    errors = [fit.stderr["alpha"], fit.stderr["beta"]]
    if None not in errors:
        text += f" (standard errors {errors[0]:.2f} and {errors[1]:.2f})"
    return text + (f"; {fit.reason}." if fit.reason is not None else ".")
