"""Base models against each other: ranking, regret, scale effects and data equivalents."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard.analysis import CurveData, FitSettings, FitStatus, PredictionStatus
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.ranking import judge_rankings, rank_at, spearman
from dashboard.analysis.compare.results import ScaleComparison
from dashboard.analysis.compare.scales import compare_scales
from dashboard.analysis.replicated import prepare_study
from dashboard.bench.worlds import WorldShape, simulate_study
from tests.dashboard.analysis.worlds import TRUTHS, make_curve

FIXTURES = Path(__file__).parents[2] / "fixtures"
SETTINGS = FitSettings(n_replicates=120)
KEYS = {"study": "s", "ability": "flan", "data_source": "human", "metric": "loss"}
SIZES = {"small": 10**6, "large": 10**7}


def faster(n: Any) -> Any:
    """The saturating curve at four times the pace."""
    return TRUTHS["saturate"](4 * np.asarray(n))


@pytest.fixture(scope="module")
def result() -> ScaleComparison:
    """A larger model that needs a quarter of the data, and one that gains more in the end."""
    truths = {
        ("pace", "small", "human"): TRUTHS["saturate"],
        ("pace", "large", "human"): faster,
        ("gain", "small", "human"): TRUTHS["flat"],
        ("gain", "large", "human"): TRUTHS["sigmoid"],
    }
    shape = WorldShape(n_items=800, seeds=3, run_stddev=0.05)
    curves = simulate_study(truths, shape, np.random.default_rng(60), n_params=SIZES)
    return compare_scales(curves, SETTINGS)


def load_flan(n_models: int) -> list[CurveData]:
    """The first models of the published figures, one run a volume."""
    with (FIXTURES / "lin2024_flan.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    models: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        models.setdefault(row["base_model"], []).append(row)
    return [
        make_curve(
            [float(row["test_loss"]) for row in members],
            [float(row["n_examples"]) for row in members],
            ability="flan",
            base_model=name,
            n_params=int(members[0]["n_params"]),
            metric="loss",
            higher_is_better=False,
            chance_level=None,
        )
        for name, members in list(models.items())[:n_models]
    ]


@pytest.fixture(scope="module")
def flan() -> ScaleComparison:
    return compare_scales(load_flan(10), SETTINGS, at=(51200.0, 1638400.0, 6553600.0))


def test_the_gain_of_the_larger_model_is_told_apart(result: ScaleComparison) -> None:
    effects = {e.ability: e for e in result.scale_effects if e.quantity == "gain"}
    truth = (TRUTHS["sigmoid"](256.0) - 0.25) / np.log2(SIZES["large"] / SIZES["small"])
    assert effects["gain"].slope.low < truth < effects["gain"].slope.high
    assert effects["gain"].slope.low > 0.12
    assert effects["gain"].q_value < 0.001
    assert effects["pace"].slope.low < 0.006
    assert effects["gain"].n_tests == 2
    assert "with fewer than four" in effects["gain"].reason


def test_scores_are_set_against_size_at_every_common_volume(result: ScaleComparison) -> None:
    found = [e.n_examples for e in result.scale_effects
             if e.ability == "pace" and e.quantity == "score"]  # fmt: skip
    assert found == [0, 4, 16, 64, 256]


def test_a_larger_model_that_needs_a_quarter_is_worth_four_times_the_data(
    result: ScaleComparison,
) -> None:
    found = {e.n_examples: e for e in result.data_equivalents if e.ability == "pace"}
    assert (found[4].base_model, found[4].larger) == ("small", "large")
    assert found[4].ratio.low < 4 < found[4].ratio.high
    assert found[256].p_never_under_family >= found[4].p_never_under_family == 0
    assert {e.status for e in result.data_equivalents if e.ability == "gain"} == {
        RatioStatus.NOT_IDENTIFIED
    }


def test_the_best_model_at_the_largest_volume_is_named_with_its_probability(
    result: ScaleComparison,
) -> None:
    best = {m.ability: m for m in result.models if m.rank == 1}
    assert best["gain"].base_model == "large"
    assert best["gain"].p_best > 0.99
    for ability in ("gain", "pace"):
        group = [m for m in result.models if m.ability == ability]
        assert sum(m.p_best for m in group) == pytest.approx(1)
        assert {m.prediction_status for m in group} == {PredictionStatus.INSIDE_RANGE}
    reading = next(r.text for r in result.readings if r.ability == "gain")
    assert reading.startswith(
        "At 256 examples of human data, large is expected to be the best of 2"
    )
    assert "bigger models gain more from the data" in reading


def test_rankings_at_small_volumes_are_judged_at_the_target(result: ScaleComparison) -> None:
    rankings = [r for r in result.ranking_at if r.ability == "gain"]
    assert [r.n_examples for r in rankings] == [4, 16, 64, 256]
    for ranking in rankings:
        assert ranking.target == 256
        assert ranking.expected_regret >= 0
    assert rankings[-1].order == ("large", "small")
    assert rankings[-1].rank_correlation == 1
    assert rankings[-1].expected_regret < 0.01


# ------------------------------------------------------------------------------ published losses


def test_published_losses_are_ranked_as_they_were_observed(flan: ScaleComparison) -> None:
    curves = load_flan(10)
    observed = sorted(curves, key=lambda curve: curve.score[-1])
    ranking = next(r for r in flan.ranking_at if r.n_examples == r.target == 1638400)
    found = spearman(
        np.array([ranking.order.index(c.base_model) for c in observed], dtype=float),
        np.arange(10.0),
    )
    assert found > 0.97


def test_volumes_beyond_the_observed_ones_are_predicted_and_say_so(flan: ScaleComparison) -> None:
    beyond = [m for m in flan.models if m.n_examples == 6553600]
    assert {m.prediction_status for m in beyond} == {PredictionStatus.BACKTESTED}
    inside = {m.base_model: m for m in flan.models if m.n_examples == 1638400}
    for model in beyond:
        before = inside[model.base_model].score
        assert model.score.high - model.score.low > before.high - before.low
    text = next(r.text for r in flan.readings if "6,553,600" in r.text)
    assert "by a backtested prediction" in text


def test_predictions_from_small_volumes_rank_better_than_scores_there() -> None:
    jobs, _ = prepare_study(load_flan(30), SETTINGS)
    backtests, correlation = judge_rankings(jobs, KEYS, SETTINGS)
    found = {(b.method, b.max_examples): b for b in backtests}
    assert {method for method, _ in found} == {"last_score", "predicted", "n_params"}
    for cut in (409600.0, 102400.0, 25600.0):
        predicted, last = found["predicted", cut], found["last_score", cut]
        assert predicted.rank_correlation > last.rank_correlation > 0
        assert predicted.n_examples == 1638400
        assert min(predicted.regret, last.regret) >= 0
    assert 0 <= correlation < 0.99


def test_only_smaller_volumes_are_used_when_asked() -> None:
    result = compare_scales(load_flan(4), replace(SETTINGS, max_examples=51200), at=(1638400.0,))
    assert {m.prediction_status for m in result.models} <= {
        PredictionStatus.BACKTESTED,
        PredictionStatus.UNSUPPORTED_HORIZON,
    }
    assert max(r.n_examples for r in result.ranking_at) == 1638400
    assert max(e.n_examples for e in result.scale_effects) == 51200


def test_a_model_with_one_volume_stays_in_the_list_with_its_reason() -> None:
    curves = load_flan(3)
    poor = make_curve([5.0, 3.0], (0, 200), ability="flan", base_model="poor", n_params=10**9,
                      metric="loss", higher_is_better=False, chance_level=None)  # fmt: skip
    models = compare_scales([*curves, poor], SETTINGS).models
    (found,) = [m for m in models if m.base_model == "poor"]
    assert found.status is FitStatus.TOO_FEW_POINTS
    assert found.score is found.rank is found.p_best is None
    assert found.reason
    assert sorted(m.rank for m in models if m.rank is not None) == [1, 2, 3]


def test_one_model_is_nothing_to_compare() -> None:
    assert compare_scales(load_flan(1), SETTINGS).models == ()


def test_chosen_models_are_ranked_among_themselves() -> None:
    curves = load_flan(4)
    names = [curves[0].base_model, curves[2].base_model]
    result = compare_scales(curves, SETTINGS, base_models=names)
    assert {m.base_model for m in result.models} == set(names)


# --------------------------------------------------------------------------- probabilities by hand


def test_equal_models_are_equally_likely_to_be_the_best() -> None:
    rng = np.random.default_rng(61)
    draws = [0.5 + 0.1 * rng.standard_normal(4000) for _ in range(4)]
    ranked = rank_at("abcd", np.array([draw.mean() for draw in draws]), draws, 1.0)
    for p in ranked.p_best.values():
        assert p == pytest.approx(0.25, abs=0.03)


def test_a_clear_winner_has_no_regret_and_a_loser_has_the_difference() -> None:
    rng = np.random.default_rng(62)
    estimates = np.array([0.9, 0.5, 0.1])
    draws = [value + 0.001 * rng.standard_normal(1000) for value in estimates]
    ranked = rank_at(("a", "b", "c"), estimates, draws, 1.0)
    assert ranked.order == ("a", "b", "c")
    assert ranked.p_best["a"] == 1
    assert ranked.expected_regret["a"] == 0
    assert ranked.expected_regret["c"] == pytest.approx(0.8, abs=0.01)
    lower_is_better = rank_at(("a", "b", "c"), estimates, draws, -1.0)
    assert lower_is_better.order == ("c", "b", "a")
    assert lower_is_better.expected_regret["a"] == pytest.approx(0.8, abs=0.01)


def test_a_lucky_winner_is_less_sure_than_its_draws() -> None:
    rng = np.random.default_rng(63)
    estimates = np.array([0.56, 0.5, 0.5, 0.5, 0.5, 0.44])
    draws = [value + 0.05 * rng.standard_normal(4000) for value in estimates]
    plain = float((np.argmax(draws, axis=0) == 0).mean())
    ranked = rank_at(tuple("abcdef"), estimates, draws, 1.0)
    assert 1 / 6 < ranked.p_best["a"] < plain


def test_spearman_by_hand() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 40, 30])) == pytest.approx(0.8)
    assert spearman(np.array([1.0]), np.array([2.0])) is None
    assert spearman(np.array([1.0, 1]), np.array([2.0, 3])) is None
