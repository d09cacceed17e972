"""Tables of tests: what is printed of rates that were not observed, and of hundreds of effects."""

from __future__ import annotations

from dataclasses import replace

from dashboard.analysis import Interval, IntervalKind, ResponseKind
from dashboard.analysis.compare.inversion import RatioStatus, VolumeRatio
from dashboard.analysis.compare.results import (
    ExchangeRate,
    PairStatus,
    SourceComparison,
    SourceDifference,
)
from dashboard.analysis.transfer.results import (
    TransferCell,
    TransferDesign,
    TransferResult,
    Verdict,
)
from dashboard.export.tables import Missing, PaperTable
from dashboard.export.tables_tests import source_table, transfer_table

KIND = IntervalKind.ITEMS_AND_RUNS


def interval(estimate: float, half: float = 0.02) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - half, high=estimate + half, level=0.95, kind=KIND
    )


def make_difference(n_examples: float, q_value: float) -> SourceDifference:
    return SourceDifference(
        study="s", ability="role_play", base_model="pond", n_params=10, data_source="synthetic",
        reference="human", metric="accuracy", higher_is_better=True, x_kind="own",
        out_of_domain=False, n_examples=n_examples, n_runs_reference=2, n_runs=2,
        score_reference=0.6, score=0.5, difference=interval(0.1), stderr=0.01, p_value=0.01,
        q_value=q_value, n_tests=7, better="human", significant=True, status=PairStatus.OK,
        reason=None,
    )  # fmt: skip


def make_rate(status: RatioStatus, estimate: float | None) -> ExchangeRate:
    return ExchangeRate(
        study="s", ability="role_play", base_model="pond", data_source="synthetic",
        reference="human", metric="accuracy", n_examples=64,
        rate=VolumeRatio(estimate=estimate, low=1.25, high=None, level=0.95, kind=KIND),
        p_beyond_observed=0.5, p_never_under_family=0.1, largest_observed_rate=4.0, status=status,
        reason="the fitted curve never reaches the score",
    )  # fmt: skip


def make_sources(rate: ExchangeRate) -> PaperTable:
    table = source_table(
        SourceComparison(
            pairs=(make_difference(16, 0.5), make_difference(64, 0.0004)),
            exchange_rates=(rate,),
            still_growing=(),
            shared_curves=(),
            readings=(),
        )
    )
    assert table is not None
    return table


def test_sources_print_the_largest_volume_and_keep_all_in_the_csv() -> None:
    table = make_sources(make_rate(RatioStatus.OK, 2.0))
    assert table.rows == (
        ("role play", "64", "+10.0 [8.0, 12.0]", "<0.001", "2 [1.25, no limit]", "not tested"),
    )
    assert table.data["n_examples"].tolist() == [16, 64]
    assert table.data["difference_low"].tolist() == [0.08, 0.08]
    assert table.data["rate"].tolist()[1] == 2.0
    assert "Benjamini-Hochberg over all 7 differences" in table.caption
    assert table.caption.endswith(
        "All rows: base model pond, data source synthetic, metric accuracy."
    )


def test_a_rate_that_nobody_observed_says_so_and_is_no_huge_number() -> None:
    beyond = make_sources(make_rate(RatioStatus.BEYOND_OBSERVED, 3.4e8)).rows[0][4]
    assert beyond == ">1,000 [1.25, no limit] beyond observed"
    never = make_sources(make_rate(RatioStatus.NEVER_UNDER_FAMILY, None)).rows[0][4]
    assert never == Missing(reason="the fitted curve never reaches the score")


def make_cell(target: str, q_value: float, verdict: Verdict) -> TransferCell:
    return TransferCell(
        design=TransferDesign.SINGLE_ABILITY, base_model="pond", data_source="human",
        metric="accuracy", volume=64, volume_per="ability", length_rule="steps",
        source_ability="code", target_ability=target, own=target == "code", out_of_domain=False,
        response=ResponseKind.ACCURACY, effect=interval(0.05), beyond_format=interval(0.04),
        p_value=0.01, q_value=0.02, beyond_format_p_value=q_value, beyond_format_q_value=q_value,
        verdict=verdict, n_tests=30, n_others=4, parse_rate_change=None, given_parsed_change=None,
        n_steps=10, n_steps_reference=10, steps_matched=True, n_runs=4, reason=None,
    )  # fmt: skip


def test_transfer_prints_what_is_established_else_the_smallest_q() -> None:
    cells = [make_cell(f"t{i:02}", 0.9 - i / 100, Verdict.NOT_SHOWN) for i in range(20)]
    own = make_cell("code", 0.001, Verdict.HELPS)
    result = TransferResult(
        study="s", base_model="pond", cells=(own, *cells), mirrors=(), status="ok", reason=None,
        reading=(),
    )  # fmt: skip
    none = transfer_table([result])
    assert none is not None
    assert "none is established; the 12 smallest q of 20" in none.caption
    assert [row[1] for row in none.rows][:2] == ["t19", "t18"]
    assert len(none.data) == 21
    helped = transfer_table(
        [replace(result, cells=(*cells, make_cell("t99", 0.01, Verdict.HELPS)))]
    )
    assert helped is not None
    assert [row[1] for row in helped.rows] == ["t99"]
    assert helped.rows[0][2:] == ("+5.0 [3.0, 7.0]", "+4.0 [2.0, 6.0]", "0.010", "helps")
    assert "(30 tests)" in helped.caption
