"""Every odd input has a defined answer: a refusal in one sentence, or a status with its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dashboard.analysis import (
    CurveFit,
    FitSettings,
    FitStatus,
    IntervalKind,
    Label,
    PlateauStatus,
    fit_study,
)
from tests.dashboard.analysis.worlds import VOLUMES, make_curve, simulate
from warehouse.errors import InputError

QUICK = FitSettings(n_replicates=100)


def fit_one(curve: Any, **settings: Any) -> CurveFit:
    return fit_study([curve], FitSettings(**({"n_replicates": 100} | settings))).curves[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": (0, 4, -16)}, r"cell c2 has n_examples = -16"),
        ({"n": (0, 4, float("nan"))}, r"cell c2 has n_examples = nan"),
        ({"stderr": (0.1, -0.1, 0.1)}, r"cell c1 has a standard error of -0.1"),
        ({"chance_level": 1.0}, r"chance level 1 lies outside \[0, 1\)"),
        ({"chance_level": -0.1}, r"chance level -0.1"),
        ({"seed": (None, 0)}, r"seed has 2 entries for 3 points"),
        ({"score": (0.1, 0.2)}, r"score has 2 entries for 3 points"),
        ({"score": ("a", "b", "c")}, r"score holds something that is no number"),
        ({"score": [[0.1, 0.2, 0.3]]}, r"score has 2 dimensions"),
        ({"item_scores": np.ones((2, 4))}, r"item_scores has 2 entries for 3 points"),
        ({"item_scores": np.ones((3, 4)), "item_ids": ("a",)}, r"1 item ids for 4 items"),
    ],
)
def test_what_can_not_be_a_curve_is_refused(changes: dict[str, Any], message: str) -> None:
    fields = {"score": (0.2, 0.3, 0.4), "n": (0, 4, 16)} | changes
    with pytest.raises(InputError, match=message):
        make_curve(**fields)


def test_arrays_are_copied_and_read_only() -> None:
    score = np.array([0.1, 0.2, 0.3])
    curve = make_curve(score, (0, 4, 16))
    score[0] = 0.9
    assert curve.score[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        curve.score[0] = 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 1.0}, "--level is 1"),
        ({"n_replicates": 10}, "--replicates is 10"),
        ({"delta": 0.0}, "--delta is 0"),
        ({"max_examples": -1.0}, "--max-examples is -1"),
        ({"predict": (-4.0,)}, "--predict -4"),
        ({"predict": (float("nan"),)}, "--predict nan"),
        ({"fdr": 0.0}, "fdr is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FitSettings(**settings)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown family 'linear'; known ones are constant"):
        fit_one(make_curve((0.2, 0.3), (0, 4)), families=("linear",))


def test_a_curve_given_twice_is_refused() -> None:
    curve = make_curve((0.2, 0.3), (0, 4))
    with pytest.raises(InputError, match="given twice"):
        fit_study([curve, curve], QUICK)


def test_no_curves_make_an_empty_study() -> None:
    assert fit_study([], QUICK).curves == ()


def assert_nothing_fitted(fit: CurveFit, status: FitStatus, reason: str) -> None:
    assert fit.status is status
    assert reason in (fit.reason or "")
    assert not fit.drawable
    assert fit.band is None
    assert fit.gain is None
    assert fit.label is None
    assert fit.label_reason == fit.reason
    assert "no growth curve" in fit.reading


def test_one_point_is_too_few() -> None:
    fit = fit_one(make_curve((0.2,), (4,)))
    assert_nothing_fitted(fit, FitStatus.TOO_FEW_POINTS, "1 of 1 runs can be fitted")


def test_only_missing_scores_are_too_few() -> None:
    fit = fit_one(make_curve((np.nan, np.nan), (0, 4)))
    assert_nothing_fitted(fit, FitStatus.TOO_FEW_POINTS, "0 of 2 runs")
    assert fit.points.excluded == ("the score is missing",) * 2


def test_equal_volumes_are_not_identified() -> None:
    fit = fit_one(make_curve((0.2, 0.3, 0.4), (16, 16, 16), seed=(0, 1, 2)))
    assert_nothing_fitted(fit, FitStatus.NOT_IDENTIFIED, "all 3 runs have 16 examples")


def test_contradictory_rows_fail_with_their_reason() -> None:
    fit = fit_one(make_curve((0.2, 0.3), (0, 4), invalid_reason="two chance levels"))
    assert_nothing_fitted(fit, FitStatus.FAILED, "two chance levels")


def test_a_loss_of_zero_fails_naming_the_cell() -> None:
    curve = make_curve((2.0, 0.0), (4, 16), higher_is_better=False, chance_level=None)
    assert_nothing_fitted(fit_one(curve), FitStatus.FAILED, "cell c1")


def test_two_volumes_give_a_difference_but_no_curve() -> None:
    rng = np.random.default_rng(0)
    curve = simulate(["rise"], rng=rng, volumes=(0.0, 256.0))[0]
    fit = fit_one(curve)
    assert fit.status is FitStatus.TOO_FEW_POINTS
    assert not fit.drawable
    assert fit.gain is not None
    raw = curve.score[1:].mean() - curve.score[0]
    assert fit.gain.estimate == pytest.approx(raw)
    assert fit.gain.low < raw < fit.gain.high
    assert "2 volumes" in (fit.reason or "")
    assert fit.label is None
    assert "2 volumes" in (fit.label_reason or "")


def test_three_volumes_with_two_seeds_fit_the_two_parameter_curve_only() -> None:
    rng = np.random.default_rng(0)
    fit = fit_one(simulate(["rise"], rng=rng, volumes=(0.0, 16.0, 256.0))[0])
    assert fit.status is FitStatus.OK
    averaged = [family.name for family in fit.families if family.weight > 0]
    assert averaged == ["log_linear"]
    by_name = {family.name: family for family in fit.families}
    assert by_name["log_linear"].n_free == 2
    assert by_name["weibull"].status is FitStatus.TOO_FEW_POINTS
    assert by_name["weibull"].params == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"score": (0.3, 0.5, 0.6), "stderr": (0.02, 0.02, 0.02)},
        {"score": (0.3, 0.5, 0.6)},
        {"score": (2.5, 2.2, 2.0), "metric": "loss", "higher_is_better": False},
        {"score": (2.5, 2.7, 2.8), "metric": "loss", "higher_is_better": False},
        {"score": (4.0, 5.0, 6.5), "metric": "judge"},
    ],
)
def test_three_runs_make_a_straight_line_that_admits_what_it_hides(changes) -> None:
    curve = make_curve(n=(100, 400, 1600), chance_level=None, delta=0.05, **changes)
    fit = fit_one(curve, predict=(400.0, 6400.0))
    assert fit.status is FitStatus.OK
    assert [family.name for family in fit.families if family.weight > 0] == ["log_linear"]
    assert fit.gain is not None
    sign = 1 if curve.higher_is_better else -1
    assert fit.gain.estimate == pytest.approx(sign * (curve.score[-1] - curve.score[0]), rel=0.1)
    assert "3 volumes can't tell a bend" in (fit.reason or "")
    assert "can't tell a bend" in fit.reading
    assert fit.plateau.status is PlateauStatus.UNDECIDED
    assert fit.plateau.gain is None
    assert fit.label is not Label.SATURATING
    assert fit.half_gain_examples is None
    assert fit.half_gain_reason is not None
    assert fit.predictions[1].status.value == "unsupported_horizon"


def test_three_losses_without_errors_leave_one_degree_of_freedom() -> None:
    curve = make_curve(
        (2.5, 2.2, 2.0), (100, 400, 1600), metric="loss", higher_is_better=False, chance_level=None
    )
    gain = fit_one(curve).gain
    assert gain is not None
    # The t quantile at one degree of freedom is 12.7: three points say very little.
    assert gain.low < 0 < gain.high


def test_a_point_with_a_reason_is_shown_and_never_fitted() -> None:
    curve = make_curve(
        (0.2, 0.3, 0.9, 0.4, 0.5),
        (0, 4, np.nan, 16, 64),
        missing_reason=(None, None, "the run's n_tokens is not known", "excluded: a bug", None),
    )
    fit = fit_one(curve)
    assert fit.n_points == 3
    assert fit.points.excluded[2:4] == ("the run's n_tokens is not known", "excluded: a bug")
    with pytest.raises(InputError, match="missing_reason has 1 entries"):
        make_curve((0.2, 0.3), (0, 4), missing_reason=("a",))


def test_too_few_runs_name_the_reason_that_most_were_left_out_for() -> None:
    fit = fit_one(make_curve((0.2, 0.3, 0.4), (0, 4, 16), missing_reason=(None, "why", "why")))
    assert "1 of 3 runs can be fitted (why)" in (fit.reason or "")


def test_a_likelihood_that_is_finite_nowhere_fails_with_its_reason(monkeypatch) -> None:
    from dashboard.analysis import families

    def broken(self, u, n):
        shape = (len(n), u.shape[1])
        return np.full(shape, np.nan), np.full((len(u), *shape), np.nan)

    for family in families.FAMILIES.values():
        monkeypatch.setattr(family, "evaluate", broken)
    fit = fit_one(make_curve((0.2, 0.3, 0.4, 0.5, 0.6), (0, 4, 16, 64, 256)))
    assert {family.status for family in fit.families} <= {
        FitStatus.FAILED,
        FitStatus.TOO_FEW_POINTS,
    }
    assert not fit.drawable
    # Bare scores have only the curve to tell their noise by.
    assert fit.gain is None
    assert "not finite" in (fit.reason or "")
    assert fit.label is None


def test_nan_points_are_shown_as_excluded_and_never_fitted() -> None:
    rng = np.random.default_rng(1)
    whole = simulate(["rise"], rng=rng)[0]
    score = np.array(whole.score)
    score[3] = np.nan
    items = np.array(whole.item_scores)
    items[3] = np.nan
    fit = fit_one(make_like(whole, score=score, item_scores=items))
    assert fit.status is FitStatus.OK
    assert fit.n_points == 8
    assert fit.points.excluded[3] == "the score is missing"
    assert sum(reason is None for reason in fit.points.excluded) == 8


def make_like(curve: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(curve, **changes)


def test_items_missing_from_some_runs_are_left_out_there() -> None:
    rng = np.random.default_rng(2)
    whole = simulate(["rise"], rng=rng)[0]
    items = np.array(whole.item_scores)
    items[2, :100] = np.nan
    items[5, 250:] = np.nan
    fit = fit_one(make_like(whole, item_scores=items, score=np.nanmean(items, axis=1)))
    assert fit.noise is IntervalKind.ITEMS_AND_RUNS
    assert fit.label is Label.RESPONSIVE


def test_items_that_do_not_average_to_the_score_are_not_resampled() -> None:
    rng = np.random.default_rng(3)
    whole = simulate(["rise"], rng=rng)[0]
    fit = fit_one(make_like(whole, score=np.clip(whole.score + 0.05, 0, 1)))
    assert fit.noise is IntervalKind.STDERR_AND_RUNS


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_items_wrong_or_right_everywhere(value: float) -> None:
    n = (0.0, 4.0, 4.0, 16.0, 16.0, 64.0, 64.0, 256.0, 256.0)
    m = 400
    curve = make_curve(
        np.full(9, value),
        n,
        seed=(None, 0, 1, 0, 1, 0, 1, 0, 1),
        n_items=np.full(9, m),
        stderr=np.zeros(9),
        item_scores=np.full((9, m), value),
    )
    fit = fit_one(curve)
    assert fit.status is FitStatus.OK
    assert fit.p_value == 1.0
    assert fit.gain is not None
    assert fit.gain.estimate == pytest.approx(0, abs=1e-4)
    # 0 of 400 right still leaves room for a rate of about 1%: never an interval of no width.
    assert 1e-3 < fit.gain.high - fit.gain.low < 0.05
    assert fit.label is Label.RESISTANT
    assert "in every run" in fit.reading
    assert fit.half_gain_examples is None


@pytest.mark.parametrize(
    ("curve", "settings", "reason"),
    [
        (make_curve((0.2, 0.5), (0, 10)), {}, "2 volumes can't support"),
        (make_curve((0.2, 0.3, 0.4, 0.6), (0, 4, 8, 16)), {"families": ("rectified",)}, "suits"),
    ],
)
def test_bare_scores_without_a_curve_are_never_tested(
    curve: Any, settings: dict[str, Any], reason: str
) -> None:
    fit = fit_one(curve, **settings)
    assert fit.status is FitStatus.TOO_FEW_POINTS
    assert (fit.gain, fit.p_value, fit.label) == (None, None, None)
    assert reason in (fit.reason or "")
    assert (fit.reason or "") in fit.reading


def test_the_constant_alone_rules_no_gain_out() -> None:
    fit = fit_one(make_curve((0.2, 0.3, 0.4, 0.5, 0.6), (0, 4, 8, 16, 64)), families=("constant",))
    assert fit.label is None
    assert "presumes that nothing grows" in fit.reading
    assert fit.plateau.status is PlateauStatus.UNDECIDED


def test_all_scores_equal_without_items_have_no_gain() -> None:
    fit = fit_one(make_curve(np.full(7, 0.5), (0, 2, 4, 8, 16, 64, 256)))
    assert fit.p_value == 1.0
    assert fit.gain is not None
    assert fit.gain.estimate == pytest.approx(0, abs=1e-6)


def test_seeds_without_any_variance_have_no_run_noise() -> None:
    rng = np.random.default_rng(4)
    curve = simulate(["rise"], rng=rng)[0]
    items = np.array(curve.item_scores)
    for first in (1, 3, 5, 7):
        items[first + 1] = items[first]
    fit = fit_one(make_like(curve, item_scores=items, score=items.mean(axis=1)))
    assert fit.run_stddev == 0
    assert fit.noise is IntervalKind.ITEMS_AND_RUNS
    assert fit.gain is not None
    assert fit.gain.low < fit.gain.high


def test_one_seed_everywhere_is_called_items_only() -> None:
    rng = np.random.default_rng(5)
    fit = fit_study(simulate(["rise", "flat"], seeds=1, rng=rng), QUICK).curves[0]
    assert fit.noise is IntervalKind.ITEMS_ONLY
    assert fit.gain is not None
    assert fit.gain.kind is IntervalKind.ITEMS_ONLY
    assert fit.run_stddev is None
    assert "not another training run" in fit.reading
    assert fit.label is Label.RESPONSIVE
    assert fit.label_basis == "items and scatter around the curves"
    assert "scatter around the curves" in (fit.label_reason or "")
    pooled = fit_study(simulate(["rise", "flat"], seeds=2, rng=rng), QUICK).curves[0]
    assert pooled.label_basis == "items and runs"
    assert pooled.label_reason is None


def test_a_loss_without_stated_delta_has_a_null_label_with_its_reason() -> None:
    n = np.array([200, 400, 800, 1600, 3200, 6400, 12800, 25600], dtype=float)
    loss = 1.5 + 30 / (20 + n**0.4)
    curve = make_curve(loss, n, higher_is_better=False, chance_level=None, metric="loss")
    fit = fit_one(curve)
    assert fit.status is FitStatus.OK
    assert fit.label is None
    assert "delta" in (fit.label_reason or "")
    assert fit.noise is IntervalKind.RESIDUAL
    assert fit.gain is not None
    assert fit.gain.estimate > 0
    assert fit.plateau.status is PlateauStatus.UNDECIDED
    assert fit.plateau.reason is not None
    stated = fit_one(make_like(curve, delta=0.01))
    assert stated.label in (Label.RESPONSIVE, Label.SATURATING)


def test_the_base_model_joins_a_loss_curve_only_when_asked() -> None:
    n = np.array([0, 200, 400, 800, 1600, 3200, 6400, 12800], dtype=float)
    loss = 1.5 + 30 / (20 + n**0.4)
    curve = make_curve(loss, n, higher_is_better=False, chance_level=None, metric="loss")
    assert fit_one(curve).points.excluded[0] is not None
    included = fit_one(curve, include_base=True)
    assert included.points.excluded[0] is None
    assert included.band is not None
    assert included.band.n_examples[0] == 0


def test_judge_marks_beyond_one_are_fitted_as_plain_scores() -> None:
    n = (0, 4, 4, 16, 16, 64, 64, 256, 256)
    score = (
        4 + 3 * (1 - np.exp(-np.array(n) / 20.0)) + np.array([0, 1, -1, 1, -1, 1, -1, 1, -1]) / 20
    )
    curve = make_curve(
        score, n, stderr=np.full(9, 0.1), chance_level=None, metric="judge",
        seed=(None, 0, 1, 0, 1, 0, 1, 0, 1),
    )  # fmt: skip
    fit = fit_one(curve)
    assert fit.status is FitStatus.OK
    assert fit.noise is IntervalKind.STDERR_AND_RUNS
    assert fit.gain is not None
    assert fit.gain.low < 3 < fit.gain.high
    assert fit.label is None


def test_accuracies_with_neither_items_nor_errors_use_the_residuals() -> None:
    n = (0, 2, 4, 8, 16, 32, 64, 128)
    score = 0.3 + 0.4 * (1 - np.exp(-np.array(n) / 20.0))
    wobble = np.array([1, -1, 1, -1, 1, -1, 1, -1]) / 100
    fit = fit_one(make_curve(score + wobble, n))
    assert fit.noise is IntervalKind.RESIDUAL
    assert fit.overdispersion is None
    assert fit.gain is not None
    assert fit.gain.low < 0.4 < fit.gain.high


def test_max_examples_excludes_larger_runs_with_the_reason() -> None:
    rng = np.random.default_rng(6)
    fit = fit_one(simulate(["rise"], rng=rng)[0], max_examples=64.0)
    assert fit.n_volumes == 4
    assert fit.points.excluded[-1] == "beyond --max-examples 64"
    assert fit.band is not None
    assert fit.band.n_examples[-1] == 64


def test_volumes_are_drawn_from_zero_to_the_largest() -> None:
    rng = np.random.default_rng(7)
    band = fit_one(simulate(["rise"], rng=rng)[0]).band
    assert band is not None
    assert band.n_examples[0] == 0
    assert band.n_examples[-1] == VOLUMES[-1]
    assert set(VOLUMES) <= set(band.n_examples)
    assert (band.low <= band.estimate).all()
    assert (band.estimate <= band.high).all()
    assert (band.low >= 0).all()
    assert (band.high <= 1).all()


def test_seeds_that_never_differ_are_not_called_one_seed() -> None:
    n = (0.0, 4.0, 4.0, 16.0, 16.0, 64.0, 64.0, 256.0, 256.0)
    curve = make_curve(
        np.ones(9),
        n,
        seed=(None, 0, 1, 0, 1, 0, 1, 0, 1),
        n_items=np.full(9, 400),
        stderr=np.zeros(9),
        item_scores=np.ones((9, 400)),
    )
    reason = fit_one(curve).label_reason
    assert reason is not None
    assert reason.startswith("seeds differ nowhere")


def test_marks_that_are_all_equal_are_not_taken_for_certain() -> None:
    n = (0.0, 4.0, 4.0, 16.0, 16.0, 64.0, 64.0)
    score = (3.0, 4.0, 4.2, 5.0, 5.1, 6.0, 6.0)
    curve = make_curve(
        score,
        n,
        metric="judge_rating",
        seed=(None, 0, 1, 0, 1, 0, 1),
        n_items=np.full(7, 10.0),
        stderr=np.array([0.0, 0.3, 0.3, 0.3, 0.3, 0.0, 0.0]),
        chance_level=None,
    )
    fit = fit_one(curve)
    assert fit.gain is not None
    assert fit.gain.high - fit.gain.low > 0.5
