"""Effective data: known worths come back, and what a design can't tell is not told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from dashboard.analysis import FitSettings
from dashboard.analysis.effective import EffectiveFit, EffectiveModel, WorthStatus, fit_effective
from dashboard.analysis.effective.growth import SHAPES, LogLinear
from dashboard.analysis.effective.solver import Compositions, evaluate, solve
from dashboard.analysis.effective.worths import opened
from dashboard.analysis.results import Interval, IntervalKind
from dashboard.analysis.run_table import RunTable, TrainedOn
from dashboard.bench.run_worlds import World, plan, run, simulate_table
from warehouse.errors import InputError

ABILITIES = ("art", "botany", "cooking", "dance")
FEW = FitSettings(n_replicates=60)
RHO = {"human": 1.0, "synthetic": 0.4}


def planted() -> np.ndarray:
    tau = np.eye(4)
    tau[0, 1], tau[2, 3] = 0.3, 0.8
    return tau


def simulate(runs, seed: int = 0, *, tau=None, **changes) -> RunTable:
    worlds = {k: changes.pop(k) for k in ("harm", "format_gain", "span", "rho") if k in changes}
    truth = World(
        abilities=ABILITIES, tau=planted() if tau is None else tau, **({"rho": RHO} | worlds)
    )
    return simulate_table(truth, runs, np.random.default_rng(seed), **changes)


def full_plan():
    return plan(ABILITIES, other_sources={"synthetic": (16, 64, 256)})


def worth(fit: EffectiveFit, source: str, target: str):
    (found,) = [w for w in fit.tau if (w.source_ability, w.target_ability) == (source, target)]
    return found


@pytest.mark.parametrize("kind", SHAPES)
def test_slopes_and_gradients_match_differences(kind) -> None:
    shape = kind(4.0, 256.0, (0.0, 1.0), 0.25)
    u = {
        "log_linear": [0.1, -1.0, 0.5],
        "exponential": [0.2, 0.8, -3.0],
        "weibull": [0.2, 0.8, -3.5, 0.5],
        "power_law": [0.2, 0.8, 2.5, -0.3],
    }[shape.name]
    u = np.array(u)[:, None]
    n = np.array([[0.5], [3.0], [40.0], [200.0]])
    _, gradient, slope = shape.evaluate(u, n)
    step = 1e-6
    assert slope == pytest.approx(
        (shape.evaluate(u, n + step)[0] - shape.evaluate(u, n - step)[0]) / (2 * step),
        rel=1e-4,
        abs=1e-9,
    )
    for j in range(len(u)):
        high, low = u.copy(), u.copy()
        high[j] += step
        low[j] -= step
        expected = (shape.evaluate(high, n)[0] - shape.evaluate(low, n)[0]) / (2 * step)
        assert gradient[j] == pytest.approx(expected, abs=1e-6)
    assert shape.evaluate(u, np.zeros((1, 1)))[0].item() == pytest.approx(
        0.1 + 0.9 * expit(-1.0) if shape.name == "log_linear" else 0.2
    )
    assert np.isfinite(shape.evaluate(u, np.zeros((1, 1)))[2]).all()


def compositions(rng: np.random.Generator) -> Compositions:
    return Compositions(
        own=rng.integers(0, 64, (30, 2)).astype(float),
        other=rng.integers(0, 64, (30, 2, 3)).astype(float),
        pool=rng.integers(0, 64, (30, 2)).astype(float),
        reference=0,
        pool_reference=False,
        sign=1.0,
        n_unit=4.0,
    )


def test_the_whole_gradient_matches_differences() -> None:
    data = compositions(np.random.default_rng(0))
    shape = LogLinear(4.0, 256.0, (0.0, 1.0), 0.25)
    u = np.array([0.1, -1, 0.4, 0, -0.5, 0.3, -0.1, 0.2, -0.3, -1.0])[:, None]
    _, gradient = evaluate(shape, data, u)
    for j in range(len(u)):
        high, low = u.copy(), u.copy()
        high[j] += 1e-6
        low[j] -= 1e-6
        expected = (evaluate(shape, data, high)[0] - evaluate(shape, data, low)[0]) / 2e-6
        assert gradient[j] == pytest.approx(expected, abs=1e-6), j


def test_noise_free_parameters_come_back() -> None:
    data = compositions(np.random.default_rng(1))
    shape = LogLinear(4.0, 256.0, (0.0, 1.0), 0.25)
    true = np.array([0.1, -1, 0.4, 0, -0.5, 0.3, -0.1, 0.2, -0.3, -1.0])[:, None]
    y, _ = evaluate(shape, data, true)
    start = np.array([0.05, -0.5, 0.6, 0, 0, 0.05, 0.0, 0.05, 0, 0])[:, None]
    held = np.zeros(start.shape, dtype=bool)
    held[3] = True
    found = solve(shape, data, y, np.full(30, 1e4), start, held, (500, 1e-14))
    assert found.u == pytest.approx(true, abs=1e-6)


def test_planted_worths_come_back_with_their_intervals() -> None:
    fit = fit_effective(simulate(full_plan(), seed=1, m=400), FEW)
    assert fit.status == "ok" and fit.tau_identified
    assert fit.reference == "human"
    helped = worth(fit, "art", "botany")
    assert helped.status is WorthStatus.OK
    assert helped.tau.low < 0.3 < helped.tau.high
    assert helped.q_value < 0.01
    assert worth(fit, "cooking", "dance").tau.low > 0.1
    assert worth(fit, "botany", "art").tau.low == 0
    assert sum(w.rho.low < 0.4 < w.rho.high for w in fit.rho) >= 3
    assert any("one cooking example is worth" in line for line in fit.reading)


def test_all_abilities_runs_alone_identify_no_transfer() -> None:
    runs = plan(ABILITIES, designs=(), other_sources={"synthetic": (16, 64, 256)})
    fit = fit_effective(simulate(runs), FEW)
    assert {w.status for w in fit.tau} == {WorthStatus.NOT_IDENTIFIED}
    assert all(w.tau is None and "single_ability" in w.reason for w in fit.tau)
    assert not fit.tau_identified
    assert (fit.model.tau == np.eye(4)).all()
    # The second source still tells its worth, which here includes what transfer brings it.
    assert any(w.status is WorthStatus.OK for w in fit.rho)
    only = fit_effective(simulate(plan(ABILITIES, designs=())), FEW)
    assert only.status == "not_identified"
    assert "second data source" in only.reason
    assert only.model is not None


def test_two_abilities_always_together_are_not_told_apart() -> None:
    runs = [
        r
        for r in plan(ABILITIES)
        if r.design in ("base", "all_abilities") or r.design_target == "dance"
    ]
    fit = fit_effective(simulate(runs), FEW)
    assert worth(fit, "art", "botany").status is WorthStatus.NOT_IDENTIFIED
    assert worth(fit, "cooking", "botany").status is WorthStatus.NOT_IDENTIFIED
    assert worth(fit, "dance", "botany").status is WorthStatus.OK


def test_an_ability_that_does_not_grow_tells_no_worth() -> None:
    fit = fit_effective(simulate(full_plan(), span=0.0, tau=np.eye(4), m=100), FEW)
    told = [w for w in fit.tau if w.status in (WorthStatus.OK, WorthStatus.OPEN_ABOVE)]
    assert len(told) <= 2
    assert all(w.tau is None for w in fit.tau if w.status is WorthStatus.NOT_IDENTIFIED)


def test_harm_is_a_shift_and_no_worth() -> None:
    harm = np.zeros((4, 4))
    harm[2, 0] = 0.15
    fit = fit_effective(simulate(full_plan(), harm=harm, m=400), FEW)
    hurt = worth(fit, "cooking", "art")
    assert hurt.tau.estimate == 0
    assert hurt.shift.low < -0.1 < hurt.shift.high
    assert hurt.q_value < 0.01


def test_unlabelled_data_tells_source_effects_and_never_tau() -> None:
    runs = plan(ABILITIES, designs=())
    for n in (64, 256, 1024):
        for seed in (0, 1):
            counts = {("synthetic", "unlabelled"): n}
            runs.append(run(f"u-{n}-{seed}", "all_abilities", None, counts, volume=n, seed=seed))
    # Truth: an unlabelled example is worth a tenth of one of the ability's own.
    rng = np.random.default_rng(2)
    even = World(abilities=(*ABILITIES, "unlabelled"), tau=_with_pool(0.1), rho={"human": 1.0,
                 "synthetic": 1.0})  # fmt: skip
    table = simulate_table(even, runs, rng, m=400)
    table = replace(table, targets=table.targets[:4])
    fit = fit_effective(table, FEW)
    assert {w.status for w in fit.tau} == {WorthStatus.NOT_IDENTIFIED}
    assert fit.rho == ()
    assert len(fit.unlabelled) == 4
    assert np.mean([w.rho.low < 0.1 < w.rho.high for w in fit.unlabelled]) >= 0.75
    assert fit.model.sources == ("human",)


def _with_pool(share: float) -> np.ndarray:
    tau = np.eye(5)
    tau[4, :4] = share
    return tau


def test_runs_of_another_length_are_left_out_and_named() -> None:
    runs = full_plan()
    short = [
        replace(r, cell_id=f"{r.cell_id}-short", n_steps=4, length_rule="epochs")
        for r in runs
        if r.design == "single_ability"
    ]
    fit = fit_effective(simulate([*runs, *short]), FEW)
    assert fit.n_runs == len(runs)
    assert "16 runs whose length another rule fixes" in fit.left_out[0]


def test_a_model_that_does_not_fit_reports_no_worth() -> None:
    # Scores that depend on how many abilities are mixed: no effective volume explains that.
    data = simulate(full_plan(), m=2000, run_stddev=0.05, tau=np.eye(4))
    n_mixed = np.array([len({p.ability for p in r.composition}) for r in data.runs])
    own = np.array([any(p.ability == "art" for p in r.composition) for r in data.runs])
    score = np.where(own, np.where(n_mixed == 1, 0.9, 0.15), 0.2)
    rng = np.random.default_rng(0)
    items = (rng.random((len(score), 2000)) < score[:, None]).astype(float)
    first = replace(data.targets[0], item_scores=items, score=items.mean(axis=1))
    fit = fit_effective(replace(data, targets=(first, *data.targets[1:])), FEW)
    assert fit.abilities[0].status == "poor_fit"
    assert all(w.status is WorthStatus.NOT_IDENTIFIED for w in fit.tau if w.target_ability == "art")
    assert "does not fit" in worth(fit, "botany", "art").reason
    assert fit.abilities[1].status == "ok"


def test_losses_are_fitted_on_the_log() -> None:
    data = simulate(full_plan())
    targets = tuple(
        replace(t, metric="loss", higher_is_better=False, item_scores=None, score=1.5 - t.score)
        for t in data.targets
    )
    fit = fit_effective(replace(data, targets=targets), FEW)
    assert fit.status == "ok"
    assert worth(fit, "cooking", "dance").tau.low > 0
    assert (np.diff(fit.model.curve, axis=1) <= 1e-9).all()


@pytest.mark.parametrize("n_runs", [0, 1, 2])
def test_too_few_runs_fail_with_a_reason(n_runs: int) -> None:
    fit = fit_effective(simulate(full_plan()[:n_runs] or full_plan()[:1]), FEW)
    assert fit.status == "failed"
    assert fit.model is None
    assert fit.reason


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(InputError, match="'web' is no source"):
        fit_effective(simulate(full_plan()), FEW, reference="web")


def test_another_reference_turns_the_worth_around() -> None:
    fit = fit_effective(simulate(full_plan(), m=400), FEW, reference="synthetic")
    assert {w.data_source for w in fit.rho} == {"human"}
    assert np.median([w.rho.estimate for w in fit.rho]) == pytest.approx(2.5, rel=0.4)


def test_the_model_predicts_what_the_runs_scored() -> None:
    data = simulate(full_plan(), m=400)
    model = fit_effective(data, FEW).model
    assert model.n_grid[0] == 0
    for index in (0, *range(10, len(data.runs), 7)):
        n = np.zeros((2, 4))
        for part in data.runs[index].composition:
            assert isinstance(part, TrainedOn)
            n[model.sources.index(part.data_source), model.abilities.index(part.ability)] += (
                part.n_examples
            )
        observed = np.array([t.score[index] for t in data.targets])
        assert np.abs(model.scores(n) - observed).max() < 0.17
        replicates = model.replicate_scores(n)
        assert replicates.shape == (4, 60)
        assert np.abs(np.median(replicates, axis=1) - model.scores(n)).max() < 0.05


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (0.1, 9.0, WorthStatus.OK),
        (0.001, 9.0, WorthStatus.OPEN_BELOW),
        (0.1, 900.0, WorthStatus.OPEN_ABOVE),
        (0.001, 900.0, WorthStatus.NOT_IDENTIFIED),
    ],
)
def test_an_interval_beyond_belief_is_an_open_end(
    low: float, high: float, status: WorthStatus
) -> None:
    interval = Interval(
        estimate=1.0, low=low, high=high, level=0.95, kind=IntervalKind.ITEMS_AND_RUNS
    )
    assert opened(interval, WorthStatus.OK, None)[0] is status


def small_model(**changes) -> EffectiveModel:
    curve = np.array([[0.2, 0.4, 0.8]])
    fields = {
        "abilities": ("art",),
        "sources": ("human",),
        "reference": "human",
        "n_grid": np.array([0.0, 1.0, 3.0]),
        "curve": curve,
        "curve_replicates": np.repeat(curve[:, :, None], 2, axis=2),
        "rho": np.ones((1, 1)),
        "rho_replicates": np.ones((1, 1, 2)),
        "tau": np.ones((1, 1)),
        "tau_replicates": np.ones((1, 1, 2)),
        "tau_identified": False,
        "supported_max": np.array([3.0]),
    }
    return EffectiveModel(**(fields | changes))


def test_the_model_interpolates_on_log_volume_and_ends_flat() -> None:
    model = small_model()
    half = np.sqrt(2.0) - 1  # half of the way from 0 to 1 on log(1 + n)
    for n, expected in ((0.0, 0.2), (half, 0.3), (1.0, 0.4), (3.0, 0.8), (99.0, 0.8)):
        counts = np.array([[n]])
        assert model.scores(counts) == pytest.approx([expected])
        assert model.replicate_scores(counts) == pytest.approx(np.full((1, 2), expected))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curve": np.ones((2, 3))}, "curve has shape"),
        ({"n_grid": np.array([0.0, 3.0, 1.0])}, "ascend"),
        ({"reference": "web"}, "'web'"),
    ],
)
def test_a_model_of_disagreeing_parts_is_refused(change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_model(**change)


@pytest.mark.slow
def test_simulated_worths_are_covered() -> None:
    tau, covered, zero, rejected = planted(), [], [], []
    for seed in range(20):
        fit = fit_effective(simulate(full_plan(), seed=1000 + seed), FEW)
        for one in fit.tau:
            true = tau[ABILITIES.index(one.source_ability), ABILITIES.index(one.target_ability)]
            inside = one.tau is not None and one.tau.low <= true <= one.tau.high
            (covered if true else zero).append(inside)
            if not true and one.p_value is not None:
                rejected.append(one.p_value < 0.05)
    # 40 positive and 200 zero worths; three standard errors below 95%.
    assert np.mean(covered) > 0.95 - 3 * 0.035
    assert np.mean(zero) > 0.95 - 3 * 0.016
    assert np.mean(rejected) < 0.05 + 3 * 0.016
