"""How scores follow from what is bought: one source, mixes, transfer, replicates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.dashboard.analysis.budget_worlds import GRID, hill, make_surface, make_transfer


def test_one_source_alone_scores_its_own_curve() -> None:
    human, synthetic = hill(0.2, 0.5, 20), hill(0.2, 0.3, 60)
    surface = make_surface([[human, synthetic]], noise=0.05)
    rows = np.arange(10)
    for s, curve in enumerate((human, synthetic)):
        for index in (0, 7, 25, len(GRID) - 1):
            plan = np.zeros((1, 2))
            plan[0, s] = GRID[index]
            np.testing.assert_allclose(surface.scores(plan), curve[index], atol=1e-9)
            replicates = surface.replicates[0, s, index, rows]
            if index:
                start = surface.replicates[0, :, 0, rows].mean() - 0.2
                np.testing.assert_allclose(
                    surface.replicate_scores(plan, rows)[0], replicates + start, atol=1e-9
                )


def test_examples_of_the_weaker_source_count_at_matched_score() -> None:
    # The second source takes three times the examples for the same score.
    human, synthetic = hill(0.2, 0.5, 20), hill(0.2, 0.5, 60)
    surface = make_surface([[human, synthetic]])
    mixed = surface.scores(np.array([[10.0, 60.0]]))
    alone = surface.scores(np.array([[30.0, 0.0]]))
    np.testing.assert_allclose(mixed, alone, atol=2e-3)


def test_a_source_at_its_ceiling_adds_no_more_than_it_reaches_alone() -> None:
    human, synthetic = hill(0.2, 0.5, 20), np.minimum(hill(0.2, 0.5, 20), 0.4)
    surface = make_surface([[human, synthetic]])
    at_ceiling, far_beyond = surface.scores(np.array([[[50.0, 40.0]], [[50.0, 200.0]]]))
    np.testing.assert_allclose(at_ceiling, far_beyond, atol=1e-9)
    assert at_ceiling[0] > surface.scores(np.array([[50.0, 0.0]]))[0]


def test_a_source_that_harms_takes_its_harm_along() -> None:
    surface = make_surface([[hill(0.4, 0.3, 20), hill(0.4, -0.2, 20)]])
    good, both = surface.scores(np.array([[[50.0, 0.0]], [[50.0, 100.0]]]))
    np.testing.assert_allclose(both - good, -0.2 * 100 / 120, atol=1e-3)


def test_nothing_is_extrapolated_silently() -> None:
    surface = make_surface([[hill(0.2, 0.5, 20)]], supported=np.array([[64.0]]))
    inside, beyond = surface.scores(np.array([[[64.0]], [[200.0]]]))
    np.testing.assert_allclose(inside, beyond)


def test_every_replicate_has_its_own_exchange() -> None:
    surface = make_surface([[hill(0.2, 0.5, 20), hill(0.2, 0.3, 60)]] * 2, noise=0.1)
    rows = np.arange(0, 200, 9)
    plan = np.array([[12.0, 30.0], [0.0, 7.0]])
    alone = np.stack([surface.resampled(int(row)).scores(plan) for row in rows], axis=1)
    np.testing.assert_allclose(surface.replicate_scores(plan, rows), alone, atol=1e-12)
    # What synthetic examples are worth is as uncertain as the curves that tell it.
    tied = make_surface([[hill(0.2, 0.5, 20), hill(0.2, 0.3, 60)]] * 2)
    assert surface.replicate_scores(plan, rows)[0].std() > 0.01
    assert tied.replicate_scores(plan, rows)[0].std() < 1e-12


def test_examples_that_are_worth_nothing_add_no_more_than_their_own_number_does() -> None:
    surface = make_surface([[hill(0.4, 0.3, 20), hill(0.4, -0.2, 20)]])
    good, both = surface.scores(np.array([[[150.0, 0.0]], [[150.0, 5.0]]]))
    np.testing.assert_allclose(both - good, -0.2 * 5 / 25, atol=1e-3)


def test_transfer_moves_examples_to_the_other_ability() -> None:
    surface = make_transfer(np.array([[1.0, 0.5], [0.0, 1.0]]))
    plan = np.array([[40.0], [0.0]])
    expected = [
        np.interp(np.log1p(n), np.log1p(GRID), c)
        for n, c in zip((40.0, 20.0), surface.model.curve, strict=True)
    ]
    np.testing.assert_allclose(surface.scores(plan), expected)
    np.testing.assert_allclose(surface.scores(plan), surface.model.scores(plan.T))
    rows = np.arange(5)
    np.testing.assert_allclose(
        surface.replicate_scores(plan, rows), surface.model.replicate_scores(plan.T)[:, rows]
    )
    np.testing.assert_allclose(surface.averaged(rows).scores(plan), expected)


def test_transfer_never_promises_more_than_the_metric_allows() -> None:
    surface = make_transfer(np.eye(2))
    plan = np.full((2, 1), 200.0)
    free = surface.replicate_scores(plan, np.arange(surface.n_replicates))
    bounded = replace(surface, limits=(0.0, float(free.min())))
    assert np.all(free > 0.6)
    assert np.all(bounded.replicate_scores(plan, np.arange(surface.n_replicates)) == free.min())
    assert np.all(bounded.scores(plan) <= free.min())
