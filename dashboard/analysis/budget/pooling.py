r"""What a study's abilities say of each other: growth curves drawn from their posterior.

A plan is chosen where the fitted curves look best, so it leans on their luck. Curves that look
better than the others of their study are partly lucky; how much is told by the other abilities.
With y_a the fitted scores of ability a at the first volume and their increments between K + 1
volumes, for all sources one after another, and V_a the covariance of its replicates,

.. math:: y_a \sim N(\theta_a, V_a), \qquad \theta_a \sim N(\mu, T)

mu is flat a priori and T has the half-t prior of [1]_ (2 degrees of freedom, so correlations are
uniform). The scales of all increments hang together in one factor of their noise, half-Cauchy:
abilities that are alike in one part of the curve are likely alike in the others. A Gibbs sampler
draws mu and T, and each draw turns a replicate y* into

.. math:: \theta^* = \mu + W (y_a - \mu) + R \, (y^* - \bar y^*), \quad
          W = T (T + V_a)^{-1}, \quad R V_a R' = W V_a

which is a draw from the posterior, made of that replicate: draws of different abilities, and of
what else was fitted to the replicate, stay together. Where abilities differ by much more than the
noise W is 1 and nothing changes. This is empirical Bayes [2]_ with the variance between abilities
drawn, not plugged in. The expected score of a plan over these draws needs no correction for having
been chosen, as far as the model holds [3]_.

References
----------
.. [1] Huang, Wand, "Simple marginally noninformative prior distributions for covariance matrices",
   Bayesian Anal. 8 (2013), equations 2 and 4.
.. [2] Efron, Morris, "Stein's estimation rule and its competitors: an empirical Bayes approach",
   J. Am. Stat. Assoc. 68 (1973).
.. [3] Senn, "A note concerning a selection 'paradox' of Dawid's", Am. Stat. 62 (2008).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.budget.surface import SourceSurface
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray

_N_STEPS = 4
"""Increments of a curve; between their volumes its shape is kept."""
_BURN_IN = 200
_NU = 2.0
_RIDGE = 1e-4
"""Share of the noise added to its diagonal: fits can leave a direction without any."""
_LEAST = 1e-6
"""Least variance of anything, and _MOST the most, in units of the spread."""
_MOST = 1e3
_UNKNOWN = 1e2
"""Variance of what was not estimated, in the same units."""


def pool_abilities(surface: GrowthSurface) -> GrowthSurface:
    """Return the surface with draws from the posterior of its curves in the replicates' place.

    A single ability has nothing to lean on and stays as it is. With transfer, growth curves over
    effective examples are pooled, worths are not.
    """
    if len(surface.abilities) < 2 or not surface.n_replicates:
        return surface
    if isinstance(surface, SourceSurface):
        draws = pool_curves(
            surface.n_grid,
            surface.curves,
            surface.replicates,
            known=surface.supported > 0,
            between=(surface.first, float(surface.supported.max())),
        )
        return replace(surface, curves=draws.mean(axis=-1), replicates=draws)
    model = surface.model
    draws = pool_curves(
        model.n_grid,
        model.curve[:, None],
        model.curve_replicates[:, None],
        known=np.ones((len(surface.abilities), 1), dtype=bool),
        between=(0.0, float(model.supported_max.max())),
    )[:, 0]
    pooled = replace(model, curve=draws.mean(axis=-1), curve_replicates=draws)
    return replace(surface, model=pooled)


def pool_curves(
    n_grid: FloatArray,
    curves: FloatArray,
    replicates: FloatArray,
    *,
    known: NDArray[np.bool_],
    between: tuple[float, float],
) -> FloatArray:
    """Return draws of curves from their posterior, shape (A, S, G, B).

    Parameters
    ----------
    n_grid : ndarray, shape (G,), count, ascending
    curves : ndarray, shape (A, S, G)
    replicates : ndarray, shape (A, S, G, B)
    known : ndarray of bool, shape (A, S)
        Whether there is a curve; the others' values mean nothing, and are not used.
    between : tuple of float
        First and last volume; increments are taken at equal steps of log(1 + n) between them.
    """
    n_abilities, n_sources, _, n_replicates = replicates.shape
    positions = np.log1p(n_grid)
    knots = np.linspace(np.log1p(between[0]), np.log1p(between[1]), _N_STEPS + 1)
    to_knots, to_grid = _interpolation(knots, positions), _interpolation(positions, knots)
    values = np.einsum("kg,asg->ask", to_knots, curves)
    drawn = np.einsum("kg,asgb->askb", to_knots, replicates)
    steps = values.copy()
    steps[..., 1:] = np.diff(values, axis=2)
    drawn_steps = drawn.copy()
    drawn_steps[:, :, 1:] = np.diff(drawn, axis=2)
    shape = (n_abilities, n_sources * len(knots))
    starts = np.tile(np.arange(len(knots)) == 0, n_sources)
    posterior = draw_posterior(
        steps.reshape(shape),
        drawn_steps.reshape(*shape, n_replicates),
        tied=~starts,
        known=np.repeat(known, len(knots), axis=1),
    )
    moved = posterior.reshape(drawn.shape).cumsum(axis=2) - drawn
    return np.asarray(replicates + np.einsum("gk,askb->asgb", to_grid, moved))


def draw_posterior(
    estimates: FloatArray,
    replicates: FloatArray,
    *,
    tied: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> FloatArray:
    """Return draws (A, D, B) of A vectors from their posterior, made of their replicates.

    Parameters
    ----------
    estimates : ndarray, shape (A, D)
    replicates : ndarray, shape (A, D, B)
    tied : ndarray of bool, shape (D,)
        Coordinates whose scales hang together.
    known : ndarray of bool, shape (A, D)
        Coordinates that were estimated.
    """
    # In units of the spread of each coordinate, so that losses and accuracies are alike.
    count = np.maximum(known.sum(axis=0), 1)
    estimates = np.where(known, estimates, np.where(known, estimates, 0.0).sum(axis=0) / count)
    noise = np.where(known[..., None], replicates - replicates.mean(axis=-1, keepdims=True), 0.0)
    unit = np.sqrt(estimates.var(axis=0) + noise.var(axis=-1).mean(axis=0))
    # A spread that rounding could cause is none.
    unit[unit <= 1e-9 * np.abs(estimates).max()] = 1.0
    estimates, noise = estimates / unit, noise / unit[:, None]
    own = np.einsum("aib,ajb->aij", noise, noise) / noise.shape[-1]
    # A fit can leave a direction without noise, in which it is wrong all the same: the covariance
    # is shrunk half way to the abilities' mean. In simulated studies squared errors were then 0.6
    # to 1.2 of what it says, in every direction, and up to 15 without.
    variance = (own + own.mean(axis=0)) / 2
    usual = np.maximum(np.einsum("add->d", variance) / len(variance), _LEAST)
    ridge = np.where(known, np.maximum(_RIDGE * usual, _LEAST), _UNKNOWN)
    variance = variance + np.eye(len(usual)) * ridge[:, None]
    mean, covariance = _sample(estimates, variance, usual, tied, noise.shape[-1])
    draws = np.empty_like(noise)
    for a, root in enumerate(np.linalg.cholesky(variance)):
        whiten = np.linalg.inv(root)
        value, vector = np.linalg.eigh(whiten @ covariance @ whiten.T)
        share = np.clip(value, 0.0, None)[:, None] / (1 + np.clip(value, 0.0, None)[:, None])
        turned = root @ vector, vector.swapaxes(1, 2) @ whiten
        off = estimates[a] - mean
        draws[a] = (
            mean
            + np.einsum("bij,bj->bi", (turned[0] * share) @ turned[1], off)
            + np.einsum("bij,jb->bi", (turned[0] * np.sqrt(share)) @ turned[1], noise[a])
        ).T
    return np.asarray(draws * unit[:, None])


def _sample(
    y: FloatArray, variance: FloatArray, usual: FloatArray, tied: NDArray[np.bool_], n_draws: int
) -> tuple[FloatArray, FloatArray]:
    """Draw mu (B, D) and T (B, D, D) given y (A, D) and its covariances (A, D, D)."""
    n, d = y.shape
    rng = np.random.default_rng([n, d, n_draws])
    precision = np.linalg.inv(variance)
    weighted = np.einsum("aij,aj->ai", precision, y)
    scale = y.var(axis=0) + usual
    a, inverse = scale.copy(), np.diag(1 / scale)
    covariance = np.diag(scale)
    b = 1.0
    lower = np.tril(np.ones((d, d)), -1)
    means, covariances = np.empty((n_draws, d)), np.empty((n_draws, d, d))
    for step in range(-_BURN_IN, n_draws):
        # mu with theta integrated out, or the chain sticks where T is small.
        marginal = np.linalg.inv(variance + covariance)
        centre = np.linalg.inv(marginal.sum(axis=0))
        mu = centre @ np.einsum("aij,aj->i", marginal, y)
        mu += np.linalg.cholesky(centre) @ rng.standard_normal(d)
        spread = np.linalg.inv(precision + inverse)
        theta = np.einsum("aij,aj->ai", spread, weighted + inverse @ mu)
        theta += np.einsum("aij,aj->ai", np.linalg.cholesky(spread), rng.standard_normal((n, d)))
        # T given theta: inverse Wishart, by Bartlett's decomposition of the Wishart.
        scatter = (theta - mu).T @ (theta - mu) + np.diag(2 * _NU / a)
        factor = lower * rng.standard_normal((d, d))
        factor += np.diag(np.sqrt(rng.chisquare(_NU + d - 1 + n - np.arange(d))))
        factor = np.linalg.cholesky(np.linalg.inv(scatter)) @ factor
        value, vector = np.linalg.eigh(factor @ factor.T)
        value = np.clip(value, 1 / _MOST, 1 / _LEAST)
        inverse, covariance = (vector * value) @ vector.T, (vector / value) @ vector.T
        a = _inverse_gamma(rng, (_NU + d) / 2, _NU * np.diag(inverse) + 1 / scale)
        factor2 = _inverse_gamma(rng, (1 + tied.sum()) / 2, 1 / b + (1 / (a * usual))[tied].sum())
        b = float(_inverse_gamma(rng, 1.0, 1 + 1 / factor2))
        scale = np.where(tied, factor2 * usual, scale)
        if step >= 0:
            means[step], covariances[step] = mu, covariance
    return means, covariances


def _inverse_gamma(rng: np.random.Generator, shape: float, rate: FloatArray | float) -> FloatArray:
    """Draw from inverse gamma distributions of one shape, kept within what can be computed with."""
    return np.asarray(np.clip(rate / rng.gamma(shape, size=np.shape(rate)), _LEAST, _MOST))


def _interpolation(at: FloatArray, grid: FloatArray) -> FloatArray:
    """Return the matrix (len(at), len(grid)) that interpolates linearly; beyond it is level."""
    return np.stack([np.interp(at, grid, unit) for unit in np.eye(len(grid))], axis=1)
