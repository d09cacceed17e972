"""Sources against each other: exact differences, exchange rates, ceilings and honest refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_rel

from dashboard.analysis import CurveData, FitSettings, IntervalKind
from dashboard.analysis.compare.ceilings import SharedVerdict
from dashboard.analysis.compare.inversion import RatioStatus, ratio_interval
from dashboard.analysis.compare.results import PairStatus, SourceComparison
from dashboard.analysis.compare.sources import compare_sources
from dashboard.bench.bench_compare import bench_sources
from dashboard.bench.worlds import WorldShape, simulate_study
from tests.dashboard.analysis.worlds import TRUTHS, make_curve
from warehouse.errors import InputError

SETTINGS = FitSettings(n_replicates=150)


def lower(n: Any) -> Any:
    """The saturating curve with a ceiling of 0.55 in place of 0.75."""
    return 0.3 + 0.25 * (1 - np.exp(-0.08 * np.asarray(n)))


def slower(kind: str) -> Callable[[Any], Any]:
    """A curve whose examples are worth a quarter."""
    return lambda n: TRUTHS[kind](np.asarray(n) * 0.25)


def make_world(n_items: int = 800, seeds: int = 3, run_stddev: float = 0.05) -> list[CurveData]:
    """Four abilities: slower but equal in the end, a lower ceiling, no difference, no growth."""
    truths = {
        ("slow", "m", "human"): TRUTHS["saturate"],
        ("slow", "m", "synthetic"): slower("saturate"),
        ("low", "m", "human"): TRUTHS["saturate"],
        ("low", "m", "synthetic"): lower,
        ("same", "m", "human"): TRUTHS["rise"],
        ("same", "m", "synthetic"): TRUTHS["rise"],
        ("none", "m", "human"): TRUTHS["flat"],
        ("none", "m", "synthetic"): TRUTHS["flat"],
    }
    shape = WorldShape(n_items=n_items, seeds=seeds, run_stddev=run_stddev)
    return simulate_study(truths, shape, np.random.default_rng(50))


@pytest.fixture(scope="module")
def world() -> list[CurveData]:
    return make_world()


@pytest.fixture(scope="module")
def result(world: list[CurveData]) -> SourceComparison:
    return compare_sources(world, SETTINGS)


def rate_at(result: SourceComparison, ability: str, volume: float) -> Any:
    (rate,) = [r for r in result.exchange_rates if (r.ability, r.n_examples) == (ability, volume)]
    return rate


# ------------------------------------------------------------------------------------ differences


def test_one_seed_of_each_source_gives_the_paired_t_test(world: list[CurveData]) -> None:
    singles = []
    for curve in world[:2]:
        keep = [0, *range(1, len(curve.score), 3)]
        singles.append(
            replace(
                curve,
                **{name: getattr(curve, name)[keep]
                   for name in ("n_examples", "score", "stderr", "n_items", "item_scores")},
                missing_reason=(),
                seed=tuple(curve.seed[i] for i in keep),
                cell_id=tuple(curve.cell_id[i] for i in keep),
            )
        )  # fmt: skip
    result = compare_sources(singles, SETTINGS)
    assert [pair.n_examples for pair in result.pairs] == [4, 16, 64, 256]
    for index, pair in enumerate(result.pairs, start=1):
        items = [curve.item_scores[index] for curve in singles]
        test = ttest_rel(*items)
        assert pair.p_value == pytest.approx(test.pvalue, rel=1e-9)
        low, high = test.confidence_interval(0.95)
        assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
        assert pair.difference.kind is IntervalKind.ITEMS_ONLY
    assert "items only, one seed" in result.readings[0].text


def test_differences_are_of_means_over_seeds_with_run_noise(result: SourceComparison) -> None:
    for pair in result.pairs:
        assert pair.difference.estimate == pytest.approx(pair.score_reference - pair.score)
        assert pair.difference.low < pair.difference.estimate < pair.difference.high
        assert pair.difference.kind is IntervalKind.ITEMS_AND_RUNS
        assert (pair.n_runs, pair.n_runs_reference) == (3, 3)
        assert pair.better == ("human" if pair.difference.estimate > 0 else "synthetic")


def test_run_noise_widens_what_items_alone_would_say() -> None:
    calm = compare_sources(make_world(run_stddev=0.0), SETTINGS)
    noisy = compare_sources(make_world(run_stddev=0.6), SETTINGS)
    widths = [np.mean([pair.stderr for pair in r.pairs]) for r in (calm, noisy)]
    assert widths[1] > 2 * widths[0]


def test_q_values_are_adjusted_over_study_and_metric(result: SourceComparison) -> None:
    p = [pair.p_value for pair in result.pairs]
    np.testing.assert_allclose([pair.q_value for pair in result.pairs], false_discovery_control(p))
    assert {pair.n_tests for pair in result.pairs} == {16}
    assert result.correction == "Benjamini-Hochberg"


def test_the_base_model_is_no_comparison(result: SourceComparison) -> None:
    assert min(pair.n_examples for pair in result.pairs) > 0


def test_the_reference_is_human_by_default_and_can_be_chosen(world: list[CurveData]) -> None:
    assert {p.reference for p in compare_sources(world[:2], SETTINGS).pairs} == {"human"}
    turned = compare_sources(world[:2], SETTINGS, reference="synthetic").pairs
    straight = compare_sources(world[:2], SETTINGS).pairs
    for one, other in zip(turned, straight, strict=True):
        assert one.difference.estimate == pytest.approx(-other.difference.estimate)
        assert one.better == other.better
    renamed = [replace(curve, data_source=f"web-{curve.data_source}") for curve in world[:2]]
    assert {p.reference for p in compare_sources(renamed, SETTINGS).pairs} == {"web-human"}
    with pytest.raises(InputError, match=r"--reference 'web' has no curves; known sources: human"):
        compare_sources(world, SETTINGS, reference="web")


def losses(source: str, scale: float, **changes: Any) -> CurveData:
    """Losses of two seeds over five volumes, without items."""
    n = np.repeat([100.0, 200, 400, 800, 1600], 2)
    rng = np.random.default_rng(len(source))
    loss = scale * (1 + 20 / (10 + n**0.5)) * np.exp(rng.normal(0, 0.01, len(n)))
    fields: dict[str, Any] = {
        "data_source": source,
        "metric": "loss",
        "higher_is_better": False,
        "chance_level": None,
        "seed": (0, 1) * 5,
    }
    return make_curve(loss, n, **(fields | changes))


def test_a_positive_difference_of_losses_means_that_the_reference_is_worse() -> None:
    result = compare_sources([losses("human", 1.0), losses("synthetic", 1.2)], SETTINGS)
    for pair in result.pairs:
        assert pair.difference.high < 0
        assert pair.better == "human"
    text = result.readings[0].text
    assert text.startswith("Human data beats synthetic on code of m by 0.")
    assert "points" not in text
    assert rate_at(result, "code", 1600).status is not RatioStatus.OK


def test_losses_that_are_better_from_the_start_have_no_lower_bound() -> None:
    result = compare_sources([losses("human", 1.2), losses("synthetic", 0.8)], SETTINGS)
    rate = rate_at(result, "code", 200)
    assert rate.status is RatioStatus.BELOW_OBSERVED
    assert rate.rate.low is None
    assert "below which nothing was observed" in rate.reason


def test_all_right_everywhere_still_has_a_width() -> None:
    ones = np.ones((9, 50))
    n = [0.0, *np.repeat([4.0, 16, 64, 256], 2)]
    curves = [
        make_curve(ones.mean(axis=1), n, data_source=source, item_scores=ones,
                   seed=(None, *(0, 1) * 4))
        for source in ("human", "synthetic")
    ]  # fmt: skip
    for pair in compare_sources(curves, SETTINGS).pairs:
        assert pair.difference.estimate == 0
        assert pair.difference.high > 0.01
        assert pair.p_value == 1
        assert pair.better is None


def test_sources_on_different_axes_are_not_compared(world: list[CurveData]) -> None:
    result = compare_sources([world[0], replace(world[1], x_kind="total")], SETTINGS)
    (pair,) = result.pairs
    assert pair.status is PairStatus.DIFFERENT_AXES
    assert "--x total" in pair.reason
    assert pair.difference is None
    assert result.exchange_rates[0].status is RatioStatus.NO_CURVE
    assert "can't be compared" in result.readings[0].text


def test_without_a_common_volume_only_curves_are_compared(world: list[CurveData]) -> None:
    moved = replace(world[1], n_examples=world[1].n_examples * 1.5)
    result = compare_sources([world[0], moved], SETTINGS)
    assert [pair.status for pair in result.pairs] == [PairStatus.NO_COMMON_VOLUME]
    assert rate_at(result, "slow", 16).rate is not None


def test_two_volumes_give_a_difference_but_no_rate(world: list[CurveData]) -> None:
    some = compare_sources(world[:2], replace(SETTINGS, max_examples=4))
    assert [pair.status for pair in some.pairs] == [PairStatus.OK]
    assert some.exchange_rates[0].status is RatioStatus.NO_CURVE
    assert some.shared_curves[0].verdict is SharedVerdict.NOT_TESTABLE
    assert "can't support a growth curve" in some.still_growing[0].reason


def test_scores_that_nothing_is_known_about_have_no_interval() -> None:
    curves = [make_curve([0.2, 0.4], (0, 4), data_source=s) for s in ("human", "web")]
    for pair in compare_sources(curves, SETTINGS).pairs:
        assert pair.difference is None
        assert pair.status is PairStatus.NO_NOISE
        assert pair.reason


# ------------------------------------------------------------------------- rates, ceilings, growth


def test_examples_worth_a_quarter_have_a_rate_of_four(result: SourceComparison) -> None:
    for volume in (4, 16):
        rate = rate_at(result, "slow", volume)
        assert rate.status is RatioStatus.OK
        assert rate.rate.low < 4 < rate.rate.high
        assert rate.p_never_under_family == 0
    assert rate_at(result, "same", 64).rate.low < 1


def test_a_lower_ceiling_is_never_reached_and_no_shared_curve(result: SourceComparison) -> None:
    rate = rate_at(result, "low", 256)
    assert rate.status is RatioStatus.NEVER_UNDER_FAMILY
    assert rate.rate.estimate is None
    assert rate.rate.high is None
    assert rate.p_never_under_family > 0.8
    assert rate.p_beyond_observed >= rate.p_never_under_family
    assert rate.largest_observed_rate == 1
    verdicts = {item.ability: item.verdict for item in result.shared_curves}
    assert verdicts["low"] is SharedVerdict.REJECTED
    assert verdicts["slow"] is verdicts["same"] is SharedVerdict.NOT_REJECTED
    (found,) = [item for item in result.shared_curves if item.ability == "low"]
    assert found.ceiling_reference == pytest.approx(0.75, abs=0.04)
    assert found.ceiling_source == pytest.approx(0.55, abs=0.04)
    (slow,) = [item for item in result.shared_curves if item.ability == "slow"]
    assert slow.rho == pytest.approx(0.25, rel=0.3)


def test_own_ceilings_are_found_where_scores_begin_at_0_and_end_at_1() -> None:
    def late(ceiling: float) -> Callable[[Any], Any]:
        return lambda n: ceiling * np.asarray(n) ** 2.5 / (np.asarray(n) ** 2.5 + 90**2.5)

    truths = {
        ("late", "m", "human"): late(1.0),
        ("late", "m", "synthetic"): late(0.4),
        ("top", "m", "human"): lambda n: 1 - np.exp(-0.5 * np.asarray(n)),
        ("top", "m", "synthetic"): lambda n: 1 - np.exp(-0.1 * np.asarray(n)),
    }
    shape = WorldShape(n_items=200, seeds=2, run_stddev=0.2)
    world = simulate_study(truths, shape, np.random.default_rng(3))
    found = {item.ability: item for item in compare_sources(world, SETTINGS).shared_curves}
    # A fit with more parameters is never the worse one.
    for item in found.values():
        assert item.chi_square_own <= item.chi_square_shared * (1 + 1e-6)
    assert found["late"].ceiling_reference == pytest.approx(0.97, abs=0.1)
    assert found["late"].ceiling_source == pytest.approx(0.4, abs=0.1)
    assert found["top"].ceiling_reference == pytest.approx(1.0, abs=0.02)


def test_what_brings_no_gain_has_no_exchange_rate(result: SourceComparison) -> None:
    rate = rate_at(result, "none", 64)
    assert rate.status is RatioStatus.NOT_IDENTIFIED
    assert rate.rate is None
    assert "no gain of human data" in rate.reason


def test_the_slower_source_is_the_one_still_growing(result: SourceComparison) -> None:
    (growth,) = [item for item in result.still_growing if item.ability == "slow"]
    assert growth.gain.low > 0
    assert growth.difference.high < 0
    assert growth.difference.estimate == pytest.approx(
        growth.gain_reference.estimate - growth.gain.estimate
    )


def test_infinite_replicates_leave_bounds_open() -> None:
    draws = np.array([8.0] * 90 + [np.inf] * 10)
    ratio = ratio_interval(8.0, draws, 4.0, 0.95, np.inf, IntervalKind.ITEMS_AND_RUNS)
    assert (ratio.estimate, ratio.low, ratio.high) == (2.0, 2.0, None)
    ratio = ratio_interval(np.inf, draws, 4.0, 0.95, np.inf, IntervalKind.ITEMS_AND_RUNS)
    assert ratio.low == pytest.approx(2.0)
    assert ratio.estimate is ratio.high is None
    ratio = ratio_interval(8.0, draws, 4.0, 0.5, np.inf, IntervalKind.ITEMS_AND_RUNS)
    assert ratio.high == pytest.approx(2.0)


# ---------------------------------------------------------------------------------------- readings


def test_readings_are_plain_sentences_per_ability_and_over_all(result: SourceComparison) -> None:
    texts = {reading.ability: reading.text for reading in result.readings}
    assert texts["low"].startswith("Human data beats synthetic on low of m by ")
    assert "points at 256 examples (95% interval " in texts["low"]
    assert "items and runs)" in texts["low"]
    assert "can't be told apart at 256 examples" in texts["none"]
    assert texts[None].startswith("By accuracy, at the largest common volumes of m: of 4 abilities")
    assert "Benjamini-Hochberg over 16 differences" in texts[None]


def test_no_winner_is_named_across_metrics(world: list[CurveData]) -> None:
    both = world[:2] + [replace(curve, metric="f1") for curve in world[:2]]
    result = compare_sources(both, SETTINGS)
    overall = [reading for reading in result.readings if reading.ability is None]
    assert sorted(reading.metric for reading in overall) == ["accuracy", "f1"]
    assert {pair.n_tests for pair in result.pairs} == {4}


def test_small_simulation_covers_and_rejects_as_stated() -> None:
    found = bench_sources(6, seeds=2, n_replicates=60)
    assert found["difference"]["n"] == 120
    assert found["difference"]["share"] > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 120)
    assert found["type_one"]["share"] < 0.05 + 3 * np.sqrt(0.95 * 0.05 / found["type_one"]["n"])
    assert found["rate"]["share"] > 0.85
    assert found["one_curve_rejected"]["share"] < 0.05 + 3 * np.sqrt(0.95 * 0.05 / 24)
