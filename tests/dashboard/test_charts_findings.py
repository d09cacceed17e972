from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from dashboard.analysis import IntervalKind, Label, ResponseKind
from dashboard.analysis.compare.results import PairStatus, SourceDifference
from dashboard.charts.findings import (
    exam_sentence,
    finding_rows,
    fit_warnings,
    gains_title,
    growth_note,
    growth_title,
    headline,
    interval_note,
    label_rule,
    sentences,
)
from dashboard.charts.findings_beyond import scale_sentence, source_sentences
from dashboard.charts.gains import gains_figure, sort_by_gain
from dashboard.charts.runs import cells_table, say_duration
from dashboard.charts.tables import (
    families_table,
    gains_table,
    points_table,
    to_csv,
    trend_tests_table,
)
from dashboard.charts.training import has_loss, training_figure
from dashboard.charts.wording import (
    count_params,
    say_examples,
    say_gain,
    say_interval,
    say_list,
    say_pace,
)
from tests.dashboard.fakes import interval, make_curve, make_failed_curve, make_study

ACCURACY = ResponseKind.ACCURACY


def test_headline_counts_growing_and_names_flat() -> None:
    assert headline(make_study()) == (
        "8 of 10 abilities of ladder-l grow with human data; reasoning stays flat."
    )


def test_headline_says_when_nothing_is_known() -> None:
    assert "can be labelled yet" in headline([make_failed_curve()])
    assert headline([]) == "There is no ability to report on."


def test_without_a_smallest_gain_the_headline_tells_the_gains() -> None:
    loss = make_curve(
        "flan", label=None, delta=None, response=ResponseKind.LOSS, gain=interval(0.321, 0.01)
    )
    assert headline([loss]) == (
        "Flan of ladder-l on human data: the loss falls by 0.321 [0.311, 0.331] from 0 to 256 "
        "examples per ability."
    )
    assert gains_title([loss]) == "The loss in flan falls by 0.321"
    unsure = make_curve("code", label=None, delta=None, gain=interval(0.01, 0.03))
    sure = make_curve("math", label=None, delta=None, gain=interval(0.1, 0.03))
    assert headline([sure]).startswith("Math of ladder-l on human data improves by 10.0 points [")
    assert headline([sure, unsure]) == (
        "1 of 2 abilities of ladder-l on human data improves beyond its interval."
    )


def test_exams_are_marked_once() -> None:
    rows = finding_rows(
        [make_curve("exam_bursar", out_of_domain=True), make_curve("ceval", out_of_domain=True)]
    )
    assert [row["Ability"] for row in rows] == ["exam bursar", "ceval (exam)"]


def test_headline_names_declining_ones() -> None:
    curves = [make_curve("code"), make_curve("math", label=Label.DECLINING)]
    assert headline(curves).endswith("; math declines.")


def test_sentences_carry_intervals() -> None:
    said = {one.topic: one.text for one in sentences(make_study())}
    assert said["Largest gain"] == (
        "creative writing, +49.0 points [44.5, 53.5] from 0 to 256 examples per ability."
    )
    assert said["Pace"].startswith("role play has half of its gain by 5 [3.3, 6.7] examples")
    assert said["Flat"] == (
        "reasoning +1.0 points [−3.5, 5.5]; the one-sided 95% upper bound lies below 5 points."
    )
    assert said["Undecided"].startswith("understanding;")


def test_exams_are_counted_apart() -> None:
    said = exam_sentence(make_study())
    assert said is not None
    assert said.text == ("0 of 3 exams grow along; most: ceval planner, +14.0 points [9.5, 18.5].")
    assert exam_sentence([make_curve()]) is None


def pair(ability: str, ahead: float, **changes: object) -> SourceDifference:
    """A paired test of human against synthetic data."""
    fields = {
        "study": "demo",
        "ability": ability,
        "base_model": "ladder-l",
        "n_params": 900_000,
        "data_source": "synthetic",
        "reference": "human",
        "metric": "accuracy",
        "higher_is_better": True,
        "x_kind": "own",
        "out_of_domain": False,
        "n_examples": 256.0,
        "n_runs_reference": 2,
        "n_runs": 2,
        "score_reference": 0.6,
        "score": 0.6 - ahead,
        "difference": interval(ahead, 0.03),
        "stderr": 0.015,
        "p_value": 0.001,
        "q_value": 0.002,
        "n_tests": 12,
        "better": "human" if ahead > 0 else "synthetic",
        "significant": abs(ahead) > 0.03,
        "status": PairStatus.OK,
        "reason": None,
    }
    return SourceDifference(**(fields | changes))


def test_sources_are_told_by_their_paired_tests_at_the_largest_volume() -> None:
    pairs = [
        pair("code", 0.1),
        pair("math", -0.2),
        pair("ethics", 0.02),
        pair("code", 0.9, n_examples=64.0),
        pair("exam", 0.9, out_of_domain=True),
        pair("code", 0.9, base_model="ladder-s"),
    ]
    (said,) = source_sentences(pairs, make_curve())
    assert said.topic == "Human against synthetic"
    assert said.text == (
        "human is better in 1 and synthetic is better in 1 of 3 abilities at 256 examples per "
        "ability, most in math (synthetic ahead by 20.0 points [17.0, 23.0]); paired by test item, "
        "corrected over 12 tests."
    )


def test_sources_that_no_test_tells_apart() -> None:
    (said,) = source_sentences([pair("code", 0.01)], make_curve())
    assert said.text.startswith("neither is shown to be better in any of 1 ability")
    assert source_sentences([pair("code", 0.01, difference=None)], make_curve()) == []
    assert source_sentences([pair("code", 0.1)], make_curve(data_source="third")) == []


def test_bigger_models_are_listed_by_size() -> None:
    curves = [
        make_curve(base_model="big", n_params=2_000_000, last=0.7),
        make_curve(base_model="small", n_params=90_000, last=0.5),
    ]
    said = scale_sentence(curves, "human")
    assert said is not None
    assert said.text.startswith("small (90k) 50.0%, big (2M) 70.0% in code at 256 ")
    assert scale_sentence(curves[:1], "human") is None


def test_findings_table_has_text_for_failed_fits() -> None:
    (row,) = finding_rows([make_failed_curve()])
    assert row["Gain"] == "unknown"
    assert row["Examples to half the gain"] == "—"
    assert row["Label"] == "× no label"


def test_warnings_name_curves_without_a_fit() -> None:
    (said,) = fit_warnings([make_curve(), make_failed_curve("ethics")])
    assert said == "ethics of ladder-l on human data: no curve, no family converged."


def test_one_seed_is_never_called_a_95_percent_interval() -> None:
    curves = [make_curve(noise=IntervalKind.ITEMS_ONLY)]
    assert "one seed" in fit_warnings(curves)[0]
    assert "95%" not in interval_note(curves)
    assert interval_note([make_failed_curve(noise=None)]) == "No interval could be computed."


def test_rule_and_notes_name_the_smallest_gain_that_matters() -> None:
    assert "below 5 points" in label_rule([make_curve()])
    assert label_rule([make_curve(delta=None)]).startswith("No label")
    note = growth_note(make_study())
    assert "▲ responsive" in note
    assert "Hollow" not in note


def test_titles_state_the_finding() -> None:
    assert gains_title(make_study()) == (
        "From +1 point in reasoning to +49 points in creative writing"
    )
    assert gains_title([make_failed_curve()]) == "No gain could be estimated"
    several = [make_curve(), make_curve(data_source="synthetic", label=Label.RESISTANT)]
    assert growth_title(several) == (
        "Abilities that grow, of 1: ladder-l 1 on human and 0 on synthetic data"
    )


def test_titles_of_what_should_fall_say_that_it_falls() -> None:
    loss = {"metric": "loss", "response": ResponseKind.LOSS, "higher_is_better": False}
    growing = make_curve("code", **loss)
    flat = make_curve("math", label=Label.RESISTANT, **loss)
    assert growth_title([growing, flat]) == (
        "The loss falls in 1 of 2 abilities of ladder-l with human data; math stays flat"
    )
    assert growth_title([growing, make_curve("code", base_model="ladder-s", **loss)]) == (
        "Abilities whose loss falls, of 1: ladder-l 1 on human data; ladder-s 1 on human data"
    )
    unlabelled = loss | {"label": None, "delta": None}
    sure = make_curve("code", gain=interval(0.3, 0.1), **unlabelled)
    unsure = make_curve("code", base_model="ladder-s", gain=interval(0.1, 0.3), **unlabelled)
    assert growth_title([sure, unsure]) == (
        "Abilities whose loss falls beyond its interval, of 1: ladder-l 1 on human data; ladder-s "
        "0 on human data"
    )
    both = [sure, make_curve("math", gain=interval(0.1, 0.3), **unlabelled)]
    assert headline(both) == (
        "The loss falls beyond its interval in 1 of 2 abilities of ladder-l on human data."
    )


def test_gains_figure_has_a_row_an_ability_in_order_of_gain() -> None:
    curves = sort_by_gain([*make_study(), make_failed_curve("sewing")])
    figure = gains_figure(curves, title="t", note="n")
    gains = [trace for trace in figure.data if trace.name == "gain"]
    assert len(gains) == 13
    estimates = [trace.x[0] for trace in gains[:10]]
    assert estimates == sorted(estimates, reverse=True)
    assert gains[0].error_x.array == pytest.approx([4.5])
    texts = [a.text for a in figure.layout.annotations]
    assert "no curve: no family converged" in texts
    delta = next(trace for trace in figure.data if trace.name == "smallest gain that matters")
    assert delta.x == pytest.approx((5, 5))
    assert {trace.type for trace in figure.data} == {"scatter"}


def test_gains_figure_of_failed_fits_alone() -> None:
    figure = gains_figure([make_failed_curve()], title="t", note="n")
    assert not [trace for trace in figure.data if trace.name == "gain"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (say_interval(interval(0.123, 0.04), ACCURACY, signed=True), "+12.3 points [8.3, 16.3]"),
        (say_interval(interval(-0.02, 0.03), ACCURACY), "−2.0% [−5.0, 1.0]"),
        (say_interval(interval(1.5, 0.25), ResponseKind.LOSS), "1.5 [1.25, 1.75]"),
        (say_interval(None, ACCURACY), "unknown"),
        (say_gain(0.01, ACCURACY), "+1 point"),
        (say_gain(-0.124, ACCURACY), "−12 points"),
        (say_gain(0.25, ResponseKind.LOSS), "+0.25"),
        (say_examples(4.55), "4.5"),
        (say_examples(2560.4), "2,560"),
        (say_pace(make_failed_curve()), "no curve"),
        (say_list(["a", "b", "c"]), "a, b and c"),
        (count_params(134_515_008), "135M"),
        (count_params(None), ""),
        (say_duration(200), "3 min"),
    ],
)
def test_wording(said: str, wanted: str) -> None:
    assert said == wanted


# --- Numbers behind figures -------------------------------------------------------------------


def test_points_table_holds_runs_and_curve() -> None:
    curve = make_curve()
    assert curve.band is not None
    table = points_table([curve, make_failed_curve("ethics")])
    runs = table[(table["kind"] == "run") & (table["ability"] == "code")]
    assert runs["score"].tolist() == pytest.approx(curve.points.score)
    assert runs["cell_id"].tolist() == list(curve.points.cell_id)
    drawn = table[table["kind"] == "curve"]
    assert set(drawn["ability"]) == {"code"}
    assert len(drawn) == len(curve.band.n_examples)


def test_gains_table_is_numbers() -> None:
    table = gains_table([make_curve(), make_failed_curve("ethics")])
    assert table["gain"].iloc[0] == pytest.approx(0.4)
    assert table["gain_low"].iloc[0] == pytest.approx(0.355)
    assert pd.isna(table["gain"].iloc[1])
    assert table["reason"].iloc[1] == "no family converged"


def test_tables_of_fits() -> None:
    assert families_table([make_curve()]).empty
    assert trend_tests_table([make_curve()])["q_value"].tolist() == [0.002]


def test_csv_defuses_formulas() -> None:
    frame = pd.DataFrame({"name": ["=1+1", "fine", None], "x": [-1.0, 2.0, 3.0]})
    assert to_csv(frame).splitlines() == ["name,x", "'=1+1,-1.0", "fine,2.0", ",3.0"]


# --- Runs -------------------------------------------------------------------------------------


def make_log(n_steps: int, *, attempt: int = 1, is_counted: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "attempt": attempt,
            "is_counted": is_counted,
            "step": range(1, n_steps + 1),
            "loss": [3.0 / step for step in range(1, n_steps + 1)],
        }
    )


def test_short_training_is_drawn_step_by_step() -> None:
    figure = training_figure(make_log(5), title="t", note="n")
    (line,) = figure.data
    assert list(line.x) == [1, 2, 3, 4, 5]
    assert line.y[0] == 3.0


def test_long_training_is_thinned_and_smoothed() -> None:
    figure = training_figure(make_log(10_000), title="t", note="n")
    steps, median = figure.data
    assert len(steps.x) <= 2000
    assert median.line.width > steps.line.width


def test_attempts_that_do_not_count_are_grey() -> None:
    log = pd.concat([make_log(5, is_counted=False), make_log(5, attempt=2)])
    first, second = training_figure(log, title="t", note="n").data
    assert "not counted" in first.name
    assert first.line.color != second.line.color


def test_log_without_losses_is_told() -> None:
    log = make_log(2).assign(loss=float("nan"))
    assert not has_loss(log)
    assert not has_loss(log.head(0))
    assert len(training_figure(log, title="t", note="n").data) == 0


def test_table_of_no_cells_is_empty() -> None:
    columns = (
        "cell_id label status failure_stage failure_reason n_attempts base_model data_source "
        "design volume_setting n_examples_total seed wall_seconds train_seconds score_seconds "
        "n_optimizer_steps n_tokens peak_memory_bytes cost train_loss git_commit data_hash "
        "excluded_reason"
    ).split()
    assert cells_table(pd.DataFrame(columns=columns), {}).empty


def test_label_of_curves_can_be_missing_with_a_gain() -> None:
    curve = dataclasses.replace(make_curve(), label=None, label_reason="no delta stated")
    assert finding_rows([curve])[0]["Label"] == "× no label"
