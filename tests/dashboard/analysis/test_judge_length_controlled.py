"""Win rates at equal length: statsmodels agreed with, known truth recovered, gaps said."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.length_controlled import (
    LengthControlled,
    LengthControlStatus,
    length_controlled_win_rates,
)
from dashboard.analysis.judge.pairs import combine_orders
from dashboard.bench.bench_judge import WORLD_SEED, WORLDS, draw_votes


def draw(
    n: int = 400,
    *,
    theta: tuple[float, ...] = (-0.5,),
    effect: float = 1.0,
    by_difficulty: float = 0.6,
    shift: float = 0.0,
    graded: bool = True,
    seed: int = 1,
) -> Votes:
    """Draw votes of models against `ref`, whose answers are longer by -`shift` deviations."""
    rng = np.random.default_rng(seed)
    gamma = rng.standard_normal(n)
    columns: dict[str, list] = {name: [] for name in ("a", "b", "item", "p", "la", "lb", "g")}
    for index, level in enumerate(theta):
        difference = np.round(100 * (shift + rng.standard_normal(n)))
        p = expit(
            level + effect * np.tanh(difference / difference.std(ddof=1)) + by_difficulty * gamma
        )
        wins = rng.beta(2 * p, 2 * (1 - p)) if graded else (rng.random(n) < p).astype(float)
        columns["a"] += ["ref"] * n
        columns["b"] += [f"model{index}"] * n
        columns["item"] += [f"i{k}" for k in range(n)]
        columns["p"] += list(1 + wins)
        columns["la"] += [1000] * n
        columns["lb"] += list(1000 + difference)
        columns["g"] += list(gamma)
    return Votes.from_columns(
        item=columns["item"], model_a=columns["a"], model_b=columns["b"],
        preference=columns["p"], len_a=columns["la"], len_b=columns["lb"],
        difficulty=columns["g"] if by_difficulty else None,
    )  # fmt: skip


def control(votes: Votes) -> dict[str, LengthControlled]:
    models = [code for code, name in enumerate(votes.models) if name != "ref"]
    found = length_controlled_win_rates(
        combine_orders(votes), models, reference=votes.models.index("ref")
    )
    return {votes.models[code]: result for code, result in found.items()}


def test_one_model_is_the_glm_of_alpaca_eval_fitted_by_statsmodels() -> None:
    votes = draw(300)
    result = control(votes)["model0"]
    difference = votes.len_b - votes.len_a
    design = np.column_stack(
        [np.ones(300), np.tanh(difference / difference.std(ddof=1)), votes.difficulty]
    )
    oracle = sm.GLM(votes.preference - 1, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": votes.item}
    )
    weight = 1 / (1 + oracle.bse[1] ** 2)
    assert weight > 0.95
    phi = weight * oracle.params[1]
    assert result.status is LengthControlStatus.OK
    assert result.used_difficulty
    assert result.own_weight == pytest.approx(weight, abs=1e-6)
    assert result.length_effect == pytest.approx(phi, abs=1e-6)
    rest = design[:, [0, 2]]
    at_phi = sm.GLM(
        votes.preference - 1, rest, family=sm.families.Binomial(), offset=phi * design[:, 1]
    ).fit()
    assert result.share is not None
    predicted = at_phi.predict(rest, offset=np.zeros(300))
    assert result.share.estimate == pytest.approx(predicted.mean(), abs=1e-7)
    # The plain maximum is hardly another figure.
    assert result.share.estimate == pytest.approx(
        oracle.predict(design * [1, 0, 1]).mean(), abs=0.005
    )


def test_the_standard_error_is_that_of_a_bootstrap_over_items() -> None:
    votes = draw(250, theta=(-1.0,), shift=-0.8, graded=False)
    result = control(votes)["model0"]
    assert result.share is not None
    difference = votes.len_b - votes.len_a
    design = np.column_stack([np.ones(250), np.tanh(difference / difference.std(ddof=1))])
    design = np.column_stack([design, votes.difficulty])
    rng = np.random.default_rng(0)
    replicates = []
    for _ in range(200):
        rows = rng.integers(250, size=250)
        fit = sm.GLM(votes.preference[rows] - 1, design[rows], family=sm.families.Binomial()).fit()
        replicates.append(fit.predict(design[rows] * [1, 0, 1]).mean())
    assert result.share.stderr == pytest.approx(np.std(replicates, ddof=1), rel=0.15)


def test_a_wordy_model_loses_what_its_length_won() -> None:
    votes = draw(4000, theta=(0.0,), shift=1.0, by_difficulty=0.0)
    result = control(votes)["model0"]
    assert result.share is not None
    raw = float(np.mean(votes.preference - 1))
    assert raw > 0.6
    assert result.share.estimate == pytest.approx(0.5, abs=0.04)


def test_models_that_say_little_about_length_alone_borrow_from_the_others() -> None:
    theta = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0)
    votes = draw(300, theta=theta, shift=-1.5, by_difficulty=0.0)
    together = control(votes)
    held = votes.model_b == votes.models.index("model0")
    by_itself = control(
        Votes.from_columns(
            item=[votes.items[code] for code in votes.item[held]],
            model_a=["ref"] * 300,
            model_b=["model0"] * 300,
            preference=votes.preference[held],
            len_a=votes.len_a[held],
            len_b=votes.len_b[held],
        )
    )["model0"]
    pooled = together["model0"]
    assert pooled.own_weight is not None
    assert pooled.own_weight < 0.5
    assert pooled.share is not None
    assert by_itself.share is not None
    assert pooled.share.stderr < by_itself.share.stderr
    assert pooled.length_effect == pytest.approx(1.0, abs=0.25)
    assert pooled.share.estimate == pytest.approx(expit(-3.0), abs=0.03)


def test_a_model_that_nearly_always_wins_has_a_rate_beside_weaker_ones() -> None:
    # Started from a fit with another phi, the refit of model7 (99% won) did not converge here.
    votes = draw_votes(WORLDS["many_models"], np.random.default_rng([WORLD_SEED, 30]))
    found = length_controlled_win_rates(combine_orders(votes), range(1, 8), reference=0)
    assert {result.status for result in found.values()} == {LengthControlStatus.OK}
    strongest = found[7].share
    assert strongest is not None
    assert 0.9 < strongest.estimate < 1


def test_a_length_effect_that_the_votes_do_not_hold_stays_near_none() -> None:
    # All answers are far shorter than the reference's, so tanh is -1 nearly everywhere.
    votes = draw(400, theta=(-1.0,), shift=-6.0, by_difficulty=0.0)
    result = control(votes)["model0"]
    raw = float(np.mean(votes.preference - 1))
    assert result.own_weight is not None
    assert result.own_weight < 0.3
    assert result.share is not None
    assert result.share.interval.low < raw < result.share.interval.high
    # Nothing is known about equal lengths, and the interval says so.
    assert result.share.interval.high - result.share.interval.low > 0.2


def test_votes_without_lengths_have_no_length_controlled_rate() -> None:
    votes = Votes.from_columns(item=["i"], model_a=["ref"], model_b=["model"], preference=[1])
    result = control(votes)["model"]
    assert result.status is LengthControlStatus.NO_LENGTHS
    assert result.share is None
    assert result.reason == "the votes hold no answer lengths"


def test_few_items_are_refused_with_the_number_needed() -> None:
    result = control(draw(9))["model0"]
    assert result.status is LengthControlStatus.TOO_FEW_ITEMS
    assert result.reason == "9 items with lengths; length control needs 10"


def test_equal_lengths_leave_the_plain_win_rate() -> None:
    rng = np.random.default_rng(2)
    preference = rng.uniform(1, 2, 50)
    votes = Votes.from_columns(
        item=[f"i{k}" for k in range(50)], model_a=["ref"] * 50, model_b=["model"] * 50,
        preference=preference, len_a=[10] * 50, len_b=[12] * 50,
    )  # fmt: skip
    result = control(votes)["model"]
    assert result.status is LengthControlStatus.EQUAL_LENGTHS
    assert result.share is not None
    assert result.share.estimate == pytest.approx(preference.mean() - 1, abs=1e-8)
    assert result.share.stderr == pytest.approx(preference.std(ddof=1) / np.sqrt(50), rel=1e-6)


@pytest.mark.parametrize("rule", ["length decides", "all lost", "all won"])
def test_separated_wins_are_regularised_and_finite(rule: str) -> None:
    rng = np.random.default_rng(3)
    difference = np.round(100 * rng.standard_normal(60))
    preference = {
        "length decides": np.where(difference > 0, 2.0, 1.0),
        "all lost": np.full(60, 1.0),
        "all won": np.full(60, 2.0),
    }[rule]
    votes = Votes.from_columns(
        item=[f"i{k}" for k in range(60)], model_a=["ref"] * 60, model_b=["model"] * 60,
        preference=preference, len_a=[1000] * 60, len_b=1000 + difference,
    )  # fmt: skip
    result = control(votes)["model"]
    assert result.status is LengthControlStatus.REGULARISED
    assert result.share is not None
    assert result.length_effect_stderr is None
    truth = {"length decides": 0.5, "all lost": 0.0, "all won": 1.0}[rule]
    assert result.share.estimate == pytest.approx(truth, abs=0.15)
    assert 0 <= result.share.interval.low < result.share.interval.high <= 1


def test_difficulty_known_in_part_is_left_out_and_said() -> None:
    votes = draw(60)
    difficulty = votes.difficulty.copy()
    difficulty[5] = np.nan
    part = Votes.from_columns(
        item=[votes.items[code] for code in votes.item], model_a=["ref"] * 60,
        model_b=["model0"] * 60, preference=votes.preference, len_a=votes.len_a,
        len_b=votes.len_b, difficulty=difficulty,
    )  # fmt: skip
    assert not control(part)["model0"].used_difficulty


def test_length_and_difficulty_that_go_together_are_refused() -> None:
    rng = np.random.default_rng(3)
    difference = np.where(rng.random(40) < 0.5, 100.0, -100.0)
    votes = Votes.from_columns(
        item=[f"i{k}" for k in range(40)], model_a=["ref"] * 40, model_b=["model"] * 40,
        preference=rng.uniform(1, 2, 40), len_a=[1000] * 40, len_b=1000 + difference,
        difficulty=difference,
    )  # fmt: skip
    result = control(votes)["model"]
    assert result.status is LengthControlStatus.FAILED
    assert result.share is None
