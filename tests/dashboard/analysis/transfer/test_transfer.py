"""The transfer matrix: what it compares, what it calls found, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis import FitSettings
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.table_draws import draw_table, macro_mean
from dashboard.analysis.transfer import TransferDesign, TransferResult, Verdict, fit_transfer
from dashboard.analysis.transfer.document import transfer_document
from dashboard.bench.run_worlds import World, plan, run, simulate_table
from warehouse.errors import InputError

ABILITIES = ("art", "botany", "cooking", "dance")
FEW = FitSettings(n_replicates=300)


def world(**changes) -> World:
    fields = {"abilities": ABILITIES, "tau": np.eye(4)}
    return World(**(fields | changes))


def with_exam(tau: np.ndarray) -> World:
    """A fifth target that is no training ability: an exam on botany."""
    full = np.zeros((5, 5))
    full[:4, :4] = tau
    full[1, 4] = 0.8
    return World(abilities=(*ABILITIES, "exam_botany"), tau=full)


def table(truth: World, seed: int = 0, **changes) -> RunTable:
    runs = changes.pop("runs", None) or plan(ABILITIES)
    return simulate_table(truth, runs, np.random.default_rng(seed), **changes)


def cell(result: TransferResult, source: str, target: str, *, design: str, volume: float):
    (found,) = [
        one
        for one in result.cells
        if (one.source_ability, one.target_ability) == (source, target)
        and (one.design.value, one.volume) == (design, volume)
    ]
    return found


def test_effects_are_differences_of_mean_scores() -> None:
    data = table(world())
    result = fit_transfer(data, FEW)
    score = data.targets[1].score
    ids = [one.cell_id for one in data.runs]

    def mean(prefix: str) -> float:
        return float(np.mean([s for s, name in zip(score, ids, strict=True) if prefix in name]))

    alone = cell(result, "art", "botany", design="single_ability", volume=16)
    assert alone.effect.estimate == pytest.approx(mean("single-art-16") - mean("base"))
    others = (mean("single-cooking-16") + mean("single-dance-16")) / 2
    assert alone.n_others == 2
    assert alone.beyond_format.estimate == pytest.approx(mean("single-art-16") - others)
    left = cell(result, "art", "botany", design="leave_one_out", volume=64)
    assert left.effect.estimate == pytest.approx(mean("all-64") - mean("without-art-64"))
    others = (mean("without-cooking-64") + mean("without-dance-64")) / 2
    assert left.beyond_format.estimate == pytest.approx(others - mean("without-art-64"))


def test_the_target_s_own_data_is_no_part_of_the_format() -> None:
    own = cell(fit_transfer(table(world()), FEW), "art", "art", design="single_ability", volume=16)
    assert own.own
    assert own.n_others == 3


def test_planted_transfer_is_found_and_told() -> None:
    tau = np.eye(4)
    tau[0, 1] = 1.0
    result = fit_transfer(table(world(tau=tau, format_gain=0.5)), FEW)
    found = cell(result, "art", "botany", design="single_ability", volume=64)
    assert found.beyond_format_q_value < 0.01
    assert found.beyond_format.low > 0.1
    assert any("art on botany +" in line for line in result.reading)


def test_what_any_fine_tuning_teaches_is_no_transfer() -> None:
    result = fit_transfer(table(world(format_gain=1.5)), FEW)
    cross = [c for c in result.cells if not c.own and c.design is TransferDesign.SINGLE_ABILITY]
    assert sum(c.q_value < 0.05 for c in cross) > 0.8 * len(cross)
    assert sum(c.beyond_format_q_value < 0.05 for c in cross) <= 1


def test_negative_transfer_has_its_sign() -> None:
    harm = np.zeros((4, 4))
    harm[2, 0] = 0.15
    result = fit_transfer(table(world(harm=harm, format_gain=0.8)), FEW)
    hurt = cell(result, "cooking", "art", design="single_ability", volume=64)
    assert hurt.beyond_format.high < 0


def test_one_helpful_source_makes_no_other_harmful() -> None:
    tau = np.eye(4)
    tau[0, 1] = 4.0
    result = fit_transfer(table(world(tau=tau), m=1000, run_stddev=0.1), FEW)
    bystander = cell(result, "cooking", "botany", design="single_ability", volume=64)
    assert bystander.beyond_format_q_value < 0.05  # below the mean of the others
    assert bystander.verdict is Verdict.NOT_SHOWN
    helper = cell(result, "art", "botany", design="single_ability", volume=64)
    assert helper.verdict is Verdict.HELPS


def test_one_correction_covers_the_whole_matrix() -> None:
    result = fit_transfer(table(world()), FEW)
    assert len(result.cells) == 2 * 2 * 4 * 4
    assert {c.n_tests for c in result.cells} == {64}
    assert all(c.q_value >= c.p_value for c in result.cells)


def test_exams_are_targets_and_never_sources() -> None:
    result = fit_transfer(table(with_exam(np.eye(4))), FEW)
    assert {c.source_ability for c in result.cells} == set(ABILITIES)
    exam = [c for c in result.cells if c.target_ability == "exam_botany"]
    assert exam and all(c.out_of_domain and not c.own for c in exam)
    found = cell(result, "botany", "exam_botany", design="single_ability", volume=64)
    assert found.beyond_format_q_value < 0.05


def test_steps_are_matched_only_where_all_runs_took_the_same() -> None:
    runs = plan(ABILITIES, volumes=(16,))
    result = fit_transfer(table(world(), runs=runs), FEW)
    assert {c.steps_matched for c in result.cells} == {True}
    mixed = [replace(r, n_steps=9) if r.cell_id.startswith("single-art") else r for r in runs]
    result = fit_transfer(table(world(), runs=mixed), FEW)
    alone = cell(result, "botany", "cooking", design="single_ability", volume=16)
    assert alone.steps_matched is False
    unknown = [replace(r, n_steps=None) if r.seed is not None else r for r in runs]
    result = fit_transfer(table(world(), runs=unknown), FEW)
    assert {c.steps_matched for c in result.cells} == {None}
    assert {c.n_steps for c in result.cells} == {None}


def test_stated_steps_and_epochs_are_told_apart() -> None:
    runs = plan(ABILITIES, volumes=(16,), designs=("single_ability",))
    short = [
        replace(r, cell_id=f"{r.cell_id}-short", n_steps=4, length_rule="epochs")
        for r in runs
        if r.design == "single_ability"
    ]
    result = fit_transfer(table(world(), runs=[*runs, *short]), FEW)
    rules = [c.length_rule for c in result.cells]
    assert rules == sorted(rules, reverse=True)
    assert rules.count("steps") == rules.count("epochs") == 16


def test_all_abilities_runs_alone_tell_no_transfer() -> None:
    result = fit_transfer(table(world(), runs=plan(ABILITIES, designs=())), FEW)
    assert result.status == "not_identified"
    assert "single_ability" in result.reason
    assert result.cells == ()
    assert "not identified" in result.reading[0]


def test_one_seed_gives_effects_without_tests() -> None:
    result = fit_transfer(table(world(), runs=plan(ABILITIES, seeds=1)), FEW)
    assert all(c.effect is not None and c.p_value is None for c in result.cells)
    assert {c.effect.kind.value for c in result.cells} == {"items_only"}
    assert all("one seed" in c.reason for c in result.cells)


def test_a_single_source_ability_has_nothing_beyond_format() -> None:
    runs = [r for r in plan(ABILITIES, designs=("single_ability",)) if
            r.design != "single_ability" or r.design_target == "art"]  # fmt: skip
    result = fit_transfer(table(world(), runs=runs), FEW)
    assert result.cells
    assert all(c.beyond_format is None and "no other source" in c.reason for c in result.cells)


def test_runs_without_a_score_leave_a_reason_and_no_number() -> None:
    data = table(world())
    score = data.targets[0].score.copy()
    score[0] = np.nan
    missing = replace(data.targets[0], score=score)
    result = fit_transfer(replace(data, targets=(missing, *data.targets[1:])), FEW)
    lost = cell(result, "botany", "art", design="single_ability", volume=16)
    assert lost.effect is None and lost.p_value is None
    assert "not scored" in lost.reason
    assert lost.beyond_format is not None  # the base model cancels out of it


def test_losses_improve_when_they_fall() -> None:
    data = table(world())
    targets = tuple(
        replace(t, metric="loss", higher_is_better=False, item_scores=None, item_ids=None,
                score=2 - t.score, stderr=t.stderr)
        for t in data.targets
    )  # fmt: skip
    result = fit_transfer(replace(data, targets=targets), FEW)
    own = cell(result, "art", "art", design="single_ability", volume=64)
    assert own.effect.estimate > 0
    assert own.effect.kind.value == "stderr_and_runs"


def bare_losses(seeds: int) -> RunTable:
    data = table(world(), runs=plan(ABILITIES, seeds=seeds))
    unknown = np.full(len(data.runs), np.nan)
    targets = tuple(
        replace(t, metric="loss", higher_is_better=False, item_scores=None, score=2 - t.score,
                stderr=unknown, n_items=unknown)
        for t in data.targets
    )  # fmt: skip
    return replace(data, targets=targets)


def test_without_items_and_errors_the_seeds_tell_the_noise() -> None:
    result = fit_transfer(bare_losses(seeds=3), FEW)
    own = cell(result, "art", "art", design="single_ability", volume=64)
    assert own.effect.kind.value == "residual"
    assert own.effect.low > 0
    assert own.verdict is Verdict.HELPS


def test_without_any_measure_of_noise_nothing_is_claimed() -> None:
    result = fit_transfer(bare_losses(seeds=1), FEW)
    assert all(c.effect is None and c.p_value is None for c in result.cells)
    assert all("nothing tells the noise" in c.reason for c in result.cells)


def test_parse_rate_and_score_given_parsed_are_reported() -> None:
    data = table(world())
    rate = np.array([0.2 if r.is_base else 0.9 for r in data.runs])
    given = np.where(rate > 0.5, 0.6, 0.5)
    first = replace(data.targets[0], parse_rate=rate, score_given_parsed=given)
    result = fit_transfer(replace(data, targets=(first, *data.targets[1:])), FEW)
    found = cell(result, "botany", "art", design="single_ability", volume=16)
    assert found.parse_rate_change == pytest.approx(0.7)
    assert found.given_parsed_change == pytest.approx(0.1)
    other = cell(result, "art", "botany", design="single_ability", volume=16)
    assert other.parse_rate_change is None


def test_exams_that_share_knowledge_mirror_growth() -> None:
    tau = np.zeros((5, 5))
    tau[:4, :4] = np.eye(4)
    tau[:4, 4] = 0.25
    truth = World(abilities=(*ABILITIES, "exam_all"), tau=tau)
    result = fit_transfer(table(truth), FEW)
    (mirror,) = result.mirrors
    assert mirror.target == "exam_all"
    assert mirror.slope.low > 0.3
    assert mirror.rank_correlation.low > 0.3
    assert "out-of-domain scores change by" in result.reading[-1]


def test_few_recipes_are_no_mirror() -> None:
    runs = plan(ABILITIES, designs=(), all_volumes=(4, 16))
    result = fit_transfer(table(with_exam(np.eye(4)), runs=runs), FEW)
    assert result.mirrors[0].slope is None
    assert "too few" in result.mirrors[0].reason


def test_macro_means_know_that_a_run_s_luck_is_shared() -> None:
    estimates = []
    for seed in range(6):
        data = table(world(), seed=seed, m=2000, run_stddev=0.3, shared_luck=1.0)
        mean = macro_mean(draw_table(data, FEW), data.recipes())
        estimates.append(mean.run_stddev)
    # Independent luck would leave 0.3 / sqrt(4).
    assert np.mean(estimates) == pytest.approx(0.3, abs=0.04)


def test_replicates_hold_the_run_noise_that_was_estimated() -> None:
    data = table(world(), m=400, run_stddev=0.4)
    ratios = []
    for draws in draw_table(data, FitSettings(n_replicates=4000)):
        for index, one in enumerate(data.runs):
            p = draws.score[index]
            if one.is_base or not 0.3 < p < 0.7:
                continue
            added = (draws.replicates[index] - draws.items_only[index]).std()
            mean = np.mean([draws.score[i] for i in _same_recipe(data, index)])
            ratios.append(added / (draws.run_stddev * mean * (1 - mean)))
    assert min(ratios) > 0.97
    assert np.mean(ratios) < 1.05


def _same_recipe(data: RunTable, index: int) -> tuple[int, ...]:
    (members,) = [m for m in data.recipes() if index in m]
    return members


def test_equal_input_gives_equal_output_and_the_document_is_plain() -> None:
    data = table(world())
    first, second = fit_transfer(data, FEW), fit_transfer(data, FEW)
    assert first == second
    document = transfer_document([first], [])
    entry = document["matrix"][0]
    assert set(entry["effect"]) == {"estimate", "low", "high", "level", "kind"}
    assert {"source_ability", "target_ability", "beyond_format", "p_value", "q_value"} <= set(entry)


def test_a_cell_given_twice_is_refused() -> None:
    runs = [run("same", "base", None, {}, volume=0, seed=None)] * 2
    with pytest.raises(InputError, match="given twice"):
        simulate_table(world(), runs, np.random.default_rng(0))


def test_simulated_null_worlds_keep_the_level_and_intervals_cover() -> None:
    truth = world(format_gain=1.0)
    rejected, covered = [], []
    for seed in range(25):
        result = fit_transfer(table(truth, seed=seed), FEW)
        cross = [c for c in result.cells if not c.own and c.design is TransferDesign.SINGLE_ABILITY]
        rejected += [c.beyond_format_p_value < 0.05 for c in cross]
        covered += [c.beyond_format.low <= 0 <= c.beyond_format.high for c in cross]
    # 600 correlated tests: their standard error is about 0.012.
    assert np.mean(rejected) < 0.05 + 3 * 0.012
    assert np.mean(covered) > 0.95 - 3 * 0.012
