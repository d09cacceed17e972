"""Curves pooled over abilities: what is alike is drawn together, what differs is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dashboard.analysis.budget.pooling import draw_posterior, pool_abilities
from tests.dashboard.analysis.budget_worlds import hill, make_surface, make_transfer


def draw(effects: np.ndarray, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Estimates of effects (A, D) with independent noise, and draws from their posterior."""
    rng = np.random.default_rng(seed)
    estimates = effects + noise * rng.normal(size=effects.shape)
    replicates = estimates[..., None] + noise * rng.normal(size=(*effects.shape, 600))
    draws = draw_posterior(
        estimates,
        replicates,
        tied=np.ones(effects.shape[1], dtype=bool),
        known=np.ones(effects.shape, dtype=bool),
    )
    return estimates, draws


def test_abilities_that_are_alike_are_drawn_to_their_mean() -> None:
    estimates, draws = draw(np.full((8, 3), 5.0))
    error, before = draws.mean(axis=-1) - 5, estimates - 5
    assert np.sqrt((error**2).mean()) < 0.6 * np.sqrt((before**2).mean())
    # The mean itself is as uncertain as eight estimates leave it, and no less.
    assert 0.2 < draws.mean(axis=0).std(axis=-1).mean() < 0.6


def test_abilities_far_apart_are_left_alone() -> None:
    effects = 100.0 * np.random.default_rng(1).normal(size=(8, 3))
    estimates, draws = draw(effects)
    np.testing.assert_allclose(draws.mean(axis=-1), estimates, atol=0.4)
    np.testing.assert_allclose(draws.std(axis=-1), 1.0, atol=0.2)


def test_draws_cover_effects_that_come_from_a_normal_distribution() -> None:
    inside = []
    for world in range(30):
        effects = np.random.default_rng(100 + world).normal(size=(6, 2))
        _, draws = draw(effects, seed=world)
        low, high = np.quantile(draws, (0.05, 0.95), axis=-1)
        inside.append((low <= effects) & (effects <= high))
    # 360 intervals of 90%, dependent within a world: within four standard errors of 30 worlds.
    assert abs(float(np.mean(inside)) - 0.9) < 0.07


def test_pooled_replicates_of_a_surface_stay_near_its_curves_where_noise_is_small() -> None:
    curves = [[hill(0.2, 0.5, 20), hill(0.2, 0.3, 60)], [hill(0.5, 0.1, 5), hill(0.5, 0.2, 9)]]
    surface = make_surface(curves, noise=1e-3)
    pooled = pool_abilities(surface)
    np.testing.assert_allclose(pooled.curves, surface.curves, atol=5e-3)
    assert pooled.replicates.shape == surface.replicates.shape


def test_a_single_ability_stays_as_it_is() -> None:
    surface = make_surface([[hill(0.2, 0.5, 20)]], noise=0.1)
    assert pool_abilities(surface) is surface


def test_a_source_that_an_ability_has_no_curve_of_changes_nothing_for_the_others() -> None:
    curves = [[hill(0.2, 0.5, 20), hill(0.2, 0.4, 60)]] * 3
    surface = make_surface(curves, noise=0.02)
    supported = surface.supported.copy()
    supported[1, 1] = 0
    lacking = replace(surface, supported=supported, curves=surface.curves.copy())
    lacking.curves[1, 1] = 99.0
    pooled = pool_abilities(lacking)
    assert np.abs(pooled.curves[[0, 2]] - surface.curves[[0, 2]]).max() < 0.05
    assert np.abs(pooled.curves[1, 0] - surface.curves[1, 0]).max() < 0.05


def test_growth_over_effective_examples_is_pooled_too() -> None:
    surface = make_transfer(np.array([[1.0, 0.9], [0.0, 1.0]]))
    pooled = pool_abilities(surface)
    np.testing.assert_allclose(pooled.model.curve, surface.model.curve, atol=1e-2)
    assert pooled.model.rho is surface.model.rho
