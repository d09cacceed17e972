"""The one module that touches statsmodels: final fits as likelihood-model results.

statsmodels has no type information, so everything that leaves here is typed. Results are built at
the optimum that the engine found; nothing is searched again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln, xlogy
from statsmodels.base.model import (
    GenericLikelihoodModel,
    GenericLikelihoodModelResults,
    LikelihoodModelResults,
)
from statsmodels.stats.multitest import multipletests

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.engine import MU_EDGE
from dashboard.analysis.families import Family


class GrowthModel(GenericLikelihoodModel):  # type: ignore[misc]
    r"""Likelihood of one growth family for the runs of one curve, in natural parameters.

    Accuracies: binomial, sum_i log C(m_i, m_i y_i) + m_i y_i log mu_i + m_i (1 - y_i) log(1 - mu_i)
    with gamma functions for counts that are no integers. Otherwise Gaussian at the maximum
    likelihood variance, on the log for losses: -n / 2 (log(2 pi RSS / n) + 1).

    Parameters
    ----------
    score, weight : ndarray, shape (P,)
        Scores of the runs and their binomial denominators (1 for losses).
    n : ndarray, shape (P,)
        Volumes of the runs.
    family : Family
        The family, for its function.
    """

    def __init__(
        self,
        score: FloatArray,
        n: FloatArray,
        *,
        family: Family,
        weight: FloatArray,
        weight_known: bool,
    ) -> None:
        """Keep data and family; set degrees of freedom by the family's parameters."""
        super().__init__(score, n[:, None], hasconst=False)
        self.family = family
        self.weight = weight
        self.binomial = family.response is ResponseKind.ACCURACY and weight_known
        self.df_model = len(family.symbols)
        self.df_resid = len(score) - self.df_model

    @property
    def exog_names(self) -> list[str]:
        """Names of the natural parameters."""
        return list(self.family.symbols)

    def predict(self, params: FloatArray, exog: FloatArray | None = None) -> FloatArray:
        """Return the curve at volumes `exog` (the runs' own by default)."""
        n = np.asarray(self.exog if exog is None else exog, dtype=float).reshape(-1)
        u = self.family.working(np.asarray(params, dtype=float))
        return self.family.predict(u[:, None], n)[:, 0]

    def loglike(self, params: FloatArray) -> float:
        """Return the log-likelihood at natural parameters."""
        y = np.asarray(self.endog, dtype=float)
        mu = self.predict(params)
        if self.binomial:
            m = self.weight
            mu = np.clip(mu, MU_EDGE, 1 - MU_EDGE)
            right, wrong = m * y, m * (1 - y)
            count = gammaln(m + 1) - gammaln(right + 1) - gammaln(wrong + 1)
            return float((count + xlogy(right, mu) + xlogy(wrong, 1 - mu)).sum())
        residual = np.log(y / mu) if self.family.response is ResponseKind.LOSS else y - mu
        mean_square = max(float((self.weight * residual**2).sum() / len(y)), 1e-300)
        return float(
            -0.5 * len(y) * (np.log(2 * np.pi * mean_square) + 1) + 0.5 * np.log(self.weight).sum()
        )


def build_results(
    model: GrowthModel, params: FloatArray, covariance: FloatArray
) -> GenericLikelihoodModelResults:
    """Wrap an optimum as statsmodels results, with `summary`, `conf_int`, `cov_params`, `llf`.

    Parameters
    ----------
    params : ndarray, shape (k,)
        Natural parameters at the optimum.
    covariance : ndarray, shape (k, k)
        Their covariance, overdispersion included; NaN for parameters at a bound.
    """
    base: Any = LikelihoodModelResults(model, params, normalized_cov_params=covariance, scale=1.0)
    base.mle_settings = {"optimizer": "growthpace"}
    base.mle_retvals = {"converged": True}
    return GenericLikelihoodModelResults(model, base)


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Return Benjamini-Hochberg adjusted p-values, shape (n_tests,)."""
    if len(p_values) == 0:
        return np.empty(0)
    return np.asarray(multipletests(p_values, method="fdr_bh")[1], dtype=float)
