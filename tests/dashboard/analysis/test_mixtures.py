"""Mixtures compared in pairs: paired differences, overall means, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import FitSettings
from dashboard.analysis.mixtures import IN_DOMAIN, OUT_OF_DOMAIN, compare_mixtures, find_mixtures
from dashboard.analysis.run_table import RunTable
from dashboard.bench.run_worlds import World, plan, run, simulate_table
from warehouse.errors import InputError

ABILITIES = ("art", "botany", "cooking", "dance")
FEW = FitSettings(n_replicates=300)


def mixture(name: str, counts: dict[str, float], **changes):
    return [
        run(f"{name}-{seed}{changes.get('steps', '')}", "mixture", name,
            {("human", a): n for a, n in counts.items()}, volume=None, seed=seed, **changes)
        for seed in (0, 1)
    ]  # fmt: skip


def table(seed: int = 0, *extra, **changes) -> RunTable:
    tau = np.eye(5)
    tau[1, 4] = 1.0
    runs = plan(ABILITIES, designs=())
    runs += mixture("art_first", {"art": 208, "botany": 16, "cooking": 16, "dance": 16})
    runs += mixture("botany_first", {"art": 16, "botany": 208, "cooking": 16, "dance": 16})
    runs += [one for some in extra for one in some]
    truth = World(abilities=(*ABILITIES, "exam_botany"), tau=tau)
    return simulate_table(truth, runs, np.random.default_rng(seed), **changes)


def pair(result, target: str, mixture: str, reference: str):
    (found,) = [
        p
        for p in result.pairs
        if (p.target, p.mixture, p.reference) == (target, mixture, reference)
    ]
    return found


def test_an_even_mix_of_the_same_size_stands_beside_the_mixtures() -> None:
    names = {one.name: one.n_examples for one in find_mixtures(table())}
    assert names == {"art_first": 256, "botany_first": 256, "even human 64": 256}


def test_differences_are_reference_minus_mixture() -> None:
    data = table()
    result = compare_mixtures(data, FEW)
    found = pair(result, "art", "art_first", "botany_first")
    score = dict(zip([r.cell_id for r in data.runs], data.targets[0].score, strict=True))
    expected = (
        score["botany_first-0"]
        + score["botany_first-1"]
        - score["art_first-0"]
        - score["art_first-1"]
    ) / 2
    assert found.difference.estimate == pytest.approx(expected)
    assert found.difference.high < 0 and found.q_value < 0.05
    assert found.steps_matched is True


def test_exams_are_apart_from_abilities() -> None:
    result = compare_mixtures(table(), FEW)
    inside = pair(result, IN_DOMAIN, "art_first", "botany_first")
    outside = pair(result, OUT_OF_DOMAIN, "art_first", "botany_first")
    assert inside.overall and not inside.out_of_domain
    assert outside.overall and outside.out_of_domain
    assert outside.difference.low > 0.05
    assert abs(inside.difference.estimate) < 0.1
    assert inside.n_tests == 6
    assert {p.n_tests for p in result.pairs if not p.overall} == {15}
    assert any("exam" not in line and "above" in line for line in result.reading)


def test_a_reference_is_compared_with_every_other() -> None:
    result = compare_mixtures(table(), FEW, reference="even human 64")
    assert {p.reference for p in result.pairs} == {"even human 64"}
    assert {p.mixture for p in result.pairs} == {"art_first", "botany_first"}


def test_an_unknown_reference_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="known: art_first, botany_first, even human 64"):
        compare_mixtures(table(), FEW, reference="maximum")


def test_a_mixture_trained_for_other_lengths_gets_two_names() -> None:
    counts = {"art": 208, "botany": 16, "cooking": 16, "dance": 16}
    result = compare_mixtures(table(0, mixture("art_first", counts, steps=40)), FEW)
    names = [one.name for one in result.mixtures]
    assert names[:2] == ["art_first (160 steps)", "art_first (40 steps)"]
    found = pair(result, "art", *names[:2])
    assert found.steps_matched is False


def test_fewer_than_two_mixtures_are_a_sentence() -> None:
    runs = plan(ABILITIES, designs=())
    truth = World(abilities=ABILITIES, tau=np.eye(4))
    result = compare_mixtures(simulate_table(truth, runs, np.random.default_rng(0)), FEW)
    assert result.pairs == ()
    assert "two mixtures are needed" in result.reason


def test_one_seed_is_not_tested() -> None:
    runs = [r for r in table().runs if r.seed in (None, 0)]
    truth = World(abilities=ABILITIES, tau=np.eye(4))
    result = compare_mixtures(simulate_table(truth, runs, np.random.default_rng(0)), FEW)
    assert all(p.p_value is None and "one seed" in p.reason for p in result.pairs)
    assert {p.difference.kind.value for p in result.pairs} == {"items_only"}
