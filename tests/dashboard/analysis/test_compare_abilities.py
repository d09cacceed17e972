"""Abilities against each other: paces, gains, and the macro mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from dashboard.analysis import FitSettings, fit_study
from dashboard.analysis.compare.abilities import compare_abilities
from dashboard.analysis.compare.results import AbilityComparison
from tests.dashboard.analysis.worlds import TRUTHS, make_curve, simulate

SETTINGS = FitSettings(n_replicates=200)
KINDS = ("saturate", "sigmoid", "rise", "flat", "fall")


def make_world() -> list:
    return simulate(KINDS, m=800, run_stddev=0.05, rng=np.random.default_rng(70))


@pytest.fixture(scope="module")
def result() -> AbilityComparison:
    return compare_abilities(make_world(), SETTINGS)


def test_gain_and_pace_are_those_of_fit(result: AbilityComparison) -> None:
    for found, fit in zip(result.abilities, fit_study(make_world(), SETTINGS).curves, strict=True):
        assert found.gain == fit.gain
        assert found.gain_per_fourfold == fit.gain_per_fourfold
        assert found.half_gain_examples == fit.half_gain_examples


def test_the_fast_and_the_slow_ability_are_named(result: AbilityComparison) -> None:
    found = {item.ability.split("-")[0]: item for item in result.abilities}
    assert found["saturate"].pace_ratio.high < 1
    assert found["saturate"].p_pace < 0.05
    assert found["sigmoid"].pace_ratio.low > 1
    assert found["sigmoid"].n_pace == 3
    texts = {r.ability: r.text for r in result.readings}
    assert "faster than the others" in texts["saturate-0"]
    assert "max-t over 3 abilities" in texts["saturate-0"]


def test_what_does_not_grow_has_no_pace_but_a_gain_to_compare(result: AbilityComparison) -> None:
    found = {item.ability.split("-")[0]: item for item in result.abilities}
    for kind in ("flat", "fall"):
        assert found[kind].half_gain_examples is None
        assert found[kind].pace_ratio is None
        assert "none to halve" in found[kind].reason
        assert found[kind].gain_difference.high < 0
        assert found[kind].n_gain == 5


def test_all_pairs_are_adjusted_by_quantity(result: AbilityComparison) -> None:
    counts = {"half_gain_examples": 3, "gain": 10, "gain_per_fourfold": 10}
    for quantity, n_tests in counts.items():
        pairs = [pair for pair in result.pairs if pair.quantity == quantity]
        assert [pair.n_tests for pair in pairs] == [n_tests] * n_tests
        np.testing.assert_allclose(
            [pair.q_value for pair in pairs],
            false_discovery_control([pair.p_value for pair in pairs]),
        )
    for pair in result.pairs:
        assert pair.difference.low <= pair.difference.estimate <= pair.difference.high


def test_the_pace_of_a_pair_is_a_ratio(result: AbilityComparison) -> None:
    paces = {item.ability: item.half_gain_examples for item in result.abilities}
    for pair in result.pairs:
        if pair.quantity == "half_gain_examples":
            ratio = paces[pair.ability].estimate / paces[pair.other].estimate
            assert pair.difference.estimate == pytest.approx(ratio, rel=1e-6)


def test_the_macro_mean_is_the_mean_of_observed_scores(result: AbilityComparison) -> None:
    (overall,) = result.overall
    assert overall.domain == "in_domain"
    assert len(overall.abilities) == 5
    assert [point.n_examples for point in overall.curve] == [0, 4, 16, 64, 256]
    bases = [curve.score[0] for curve in make_world()]
    assert overall.curve[0].score.estimate == pytest.approx(np.mean(bases))
    truth = np.mean([TRUTHS[kind](256.0) - TRUTHS[kind](0.0) for kind in KINDS])
    assert overall.gain.low < truth < overall.gain.high
    widths = [item.gain.high - item.gain.low for item in result.abilities]
    assert overall.gain.high - overall.gain.low < np.mean(widths)


def test_in_domain_and_out_of_domain_are_apart() -> None:
    curves = make_world()
    exam = replace(
        curves[2], ability="exam", out_of_domain=True, x_kind="total",
        n_examples=curves[2].n_examples * 10,
    )  # fmt: skip
    result = compare_abilities([*curves, exam], SETTINGS)
    assert [item.domain for item in result.overall] == ["in_domain", "out_of_domain"]
    assert result.overall[1].abilities == ("exam",)
    assert result.overall[1].x_kind == "total"
    # Volumes of exams count other things: the pace of an exam is not set against the others'.
    (found,) = [item for item in result.abilities if item.ability == "exam"]
    assert found.half_gain_examples is not None
    assert found.pace_ratio is None
    assert all("exam" not in (pair.ability, pair.other) for pair in result.pairs)


def test_losses_without_items_are_compared_by_their_scatter() -> None:
    n = [100.0, 200, 400, 800, 1600, 3200]
    curves = [
        make_curve(
            [1 + scale / (10 + v**0.5) for v in n], n, ability=f"a{scale}", metric="loss",
            higher_is_better=False, chance_level=None, seed=(0,) * 6,
        )
        for scale in (10, 20)
    ]  # fmt: skip
    result = compare_abilities(curves, SETTINGS)
    (overall,) = result.overall
    assert overall.gain.estimate > 0
    assert "points" not in result.readings[-1].text


def test_abilities_that_nothing_is_known_of_say_why() -> None:
    curves = [make_curve([0.2], (0,), ability=name) for name in ("a", "b")]
    result = compare_abilities(curves, SETTINGS)
    assert all(item.gain is None and item.reason for item in result.abilities)
    assert result.pairs == ()
    assert result.overall[0].reason == "no ability has runs to average"
    assert "have no macro mean" in result.readings[-1].text
