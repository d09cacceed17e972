"""Agreement and biases: figures by hand and by statsmodels; tests find what is there only."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from dashboard.analysis.judge.agreement import Weighting, measure_agreement
from dashboard.analysis.judge.between_voters import double_verdicts
from dashboard.analysis.judge.bias import Bias, BiasKind, bias_table
from dashboard.analysis.judge.pairs import combine_orders
from tests.dashboard.analysis.judge_votes import make_votes


def table_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    values = np.unique(np.concatenate([first, second]))
    return np.array([[np.sum((first == x) & (second == y)) for y in values] for x in values])


@pytest.mark.parametrize(
    ("weighting", "wt"),
    [(Weighting.NONE, None), (Weighting.LINEAR, "linear"), (Weighting.QUADRATIC, "quadratic")],
)
def test_kappa_and_its_error_are_those_of_statsmodels(weighting: Weighting, wt: str | None) -> None:
    rng = np.random.default_rng(5)
    first = rng.choice([0, 0.5, 1], size=200, p=[0.3, 0.2, 0.5])
    second = np.where(rng.random(200) < 0.6, first, rng.choice([0, 0.5, 1], size=200))
    oracle = cohens_kappa(table_of(first, second), wt=wt)
    found = measure_agreement(first, second, np.arange(200), weighting=weighting)
    assert found is not None
    assert found.kappa is not None
    assert found.kappa.estimate == pytest.approx(oracle.kappa, abs=1e-12)
    half = (found.kappa.high - found.kappa.low) / 2
    assert half == pytest.approx(1.972 * oracle.std_kappa, rel=0.01)
    assert found.agreement.estimate == pytest.approx(np.mean(first == second))


def test_agreement_by_hand_over_what_both_judged() -> None:
    # Judge and person agree on i1 (win) and i2 (tie), differ on i3; i4 only the judge saw.
    votes = make_votes(
        ("i1", "x", "y", 1.0, "a", "judge"), ("i1", "x", "y", 1.2, "a", None, "ann"),
        ("i2", "x", "y", 1.5, "a", "judge"), ("i2", "x", "y", 1.5, "a", None, "ann"),
        ("i3", "x", "y", 2.0, "a", "judge"), ("i3", "y", "x", 2.0, "a", None, "ann"),
        ("i4", "x", "y", 2.0, "a", "judge"),
    )  # fmt: skip
    both = double_verdicts(combine_orders(votes))
    assert [votes.voters[code] for code in (both.voter_a[0], both.voter_b[0])] == ["judge", "ann"]
    found = measure_agreement(both.verdict_a, both.verdict_b, both.item)
    assert found is not None
    assert (found.n, found.n_items) == (3, 3)
    assert found.agreement.estimate == pytest.approx(2 / 3)
    assert found.agreement_decided is not None
    assert (found.agreement_decided.estimate, found.agreement_decided.n) == (0.5, 2)
    # Judge: 1, .5, 0; person: 1, .5, 1. Chance 1/3 x 2/3 + 1/3 x 1/3 = 1/3.
    assert found.kappa is not None
    assert found.kappa.estimate == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_verdicts_that_never_differ_leave_kappa_undefined() -> None:
    found = measure_agreement(np.ones(9), np.ones(9), np.arange(9))
    assert found is not None
    assert found.kappa is None
    assert found.kappa_reason is not None
    assert found.agreement.estimate == 1
    assert found.agreement.interval.low < 0.85


def test_nothing_in_common_is_no_agreement() -> None:
    assert measure_agreement(np.empty(0), np.empty(0), np.empty(0, dtype=int)) is None


def bias_of(rows: tuple[Bias, ...], voter: str, kind: BiasKind) -> Bias:
    (row,) = [row for row in rows if row.voter == voter and row.kind is kind]
    return row


def rows_of(votes: object) -> tuple[Bias, ...]:
    return bias_table(combine_orders(votes), votes)  # type: ignore[arg-type]


def test_position_bias_is_the_share_of_the_answer_shown_first() -> None:
    # Of 20 pairs in both orders, 8 go to whatever is first, 2 to whatever is second.
    pairs = [(1, 1)] * 10 + [(1, 2)] * 8 + [(2, 1)] * 2
    votes = make_votes(
        *[
            (f"i{k}", "x", "y", p, f)
            for k, pair in enumerate(pairs)
            for p, f in zip(pair, "ab", strict=True)
        ]
    )
    row = bias_of(rows_of(votes), "unknown", BiasKind.POSITION)
    assert row.estimate is not None
    assert row.estimate.estimate == pytest.approx((10 * 0.5 + 8) / 20)
    assert row.estimate.low < 0.65 < row.estimate.high
    assert row.p_value is not None
    assert 0.01 < row.p_value < 0.1
    assert (row.n, row.n_items, row.unbiased) == (20, 20, 0.5)


def test_a_judge_that_never_flips_is_not_certain_to_be_unbiased() -> None:
    votes = make_votes(*[(f"i{k}", "x", "y", 1 + k % 2, f) for k in range(12) for f in "ab"])
    row = bias_of(rows_of(votes), "unknown", BiasKind.POSITION)
    assert row.p_value == 1
    assert row.estimate is not None
    assert row.estimate.high - row.estimate.low > 0.2


def test_a_judge_that_always_follows_the_order_is_surely_biased() -> None:
    votes = make_votes(
        *[(f"i{k}", "x", "y", p, f) for k in range(12) for p, f in ((1, "a"), (2, "b"))]
    )
    row = bias_of(rows_of(votes), "unknown", BiasKind.POSITION)
    assert row.estimate is not None
    assert row.estimate.estimate == 1
    assert 0.7 < row.estimate.low < 1
    assert row.p_value == pytest.approx(2**-11)


def test_length_bias_is_found_within_pairs_and_not_between_them() -> None:
    rng = np.random.default_rng(2)
    rows, len_a, len_b = [], [], []
    # `long` is better than `short` and wordier, but within pairs length does not matter.
    for k in range(150):
        rows.append((f"i{k}", "long", "short", 1 + float(rng.random() < 0.2), "a", "fair"))
        rows.append((f"i{k}", "long", "other", 1 + float(rng.random() < 0.5), "a", "fair"))
        len_a += list(rng.integers(150, 250, 2))
        len_b += list(rng.integers(50, 150, 1)) + list(rng.integers(150, 250, 1))
    fair = bias_of(rows_of(make_votes(*rows, len_a=len_a, len_b=len_b)), "fair", BiasKind.LENGTH)
    assert fair.p_value is not None
    assert fair.p_value > 0.05
    longer = np.array(len_a) > np.array(len_b)
    wordy = [
        (*row[:3], 1.0 if b else 2.0, "a", "wordy") for row, b in zip(rows, longer, strict=True)
    ]
    row = bias_of(rows_of(make_votes(*wordy, len_a=len_a, len_b=len_b)), "wordy", BiasKind.LENGTH)
    assert row.estimate is not None
    assert row.estimate.low > 0.1


def test_self_preference_compares_a_judge_with_the_others_on_its_own_answers() -> None:
    rows = []
    for k in range(40):
        rows += [
            (f"i{k}", "gpt", "llama", 1.0, "a", "gpt"),
            (f"i{k}", "gpt", "llama", 1.0 + (k % 2), "a", "claude"),
            (f"i{k}", "gpt", "llama", 1.0 + (k % 4 > 0), "a", None, "ann"),
        ]
    rows_found = rows_of(make_votes(*rows))
    row = bias_of(rows_found, "gpt", BiasKind.SELF_PREFERENCE)
    assert row.estimate is not None
    # Others give gpt 1/2 and 1/4, so 3/8 on average.
    assert row.estimate.estimate == pytest.approx(1 - 3 / 8)
    assert row.q_value is not None
    assert row.q_value < 0.001
    absent = bias_of(rows_found, "claude", BiasKind.SELF_PREFERENCE)
    assert absent.estimate is None
    assert absent.reason == "the judge is none of the models compared"


def test_the_table_says_how_many_tests_it_corrects_for() -> None:
    votes = make_votes(
        *[(f"i{k}", "x", "y", 1 + k % 2, f, j) for k in range(9) for f in "ab" for j in "pq"]
    )
    tested = [row for row in rows_of(votes) if row.p_value is not None]
    assert len(tested) == 2
    assert all(row.n_tests == 2 for row in tested)
    untested = bias_of(rows_of(votes), "p", BiasKind.LENGTH)
    assert (untested.n_tests, untested.reason) == (0, "the votes hold no answer lengths")
