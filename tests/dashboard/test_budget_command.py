"""`recommend`, `suggest-next` and `design-power` on a made study."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import duckdb
import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from dashboard import budget_evidence
from dashboard.analysis import FitSettings
from dashboard.analysis.budget.recommend import Option, recommend
from dashboard.bench.run_worlds import World, plan, simulate_table
from dashboard.commands import budget
from runners.grid_spec import load_grid, parse_grid
from tests.dashboard.analysis.budget_worlds import hill, make_problem, make_surface
from tests.dashboard.made_study import make_workspace, small_shape
from warehouse.errors import InputError
from warehouse.workspace import Workspace

app = typer.Typer()
app.command("recommend")(budget.recommend)
app.command("suggest-next")(budget.suggest_next)
app.command("design-power")(budget.design_power)

SMALL = ("--replicates", "60")
ONE_MODEL = ("--base-model", "ladder-l")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("made") / "workspace", small_shape())


def run(command: str, workspace: Workspace | None, *arguments: str) -> Any:
    place = () if workspace is None else ("--workspace", str(workspace.root))
    return CliRunner().invoke(app, (command, *place, *arguments))


def run_json(command: str, workspace: Workspace | None, *arguments: str) -> dict[str, Any]:
    result = run(command, workspace, *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


# ------------------------------------------------------------------------------------- recommend


def test_recommend_prints_one_document_with_the_fields_that_scripts_rely_on(workspace) -> None:
    found = run_json("recommend", workspace, *SMALL, *ONE_MODEL, "--budget", "200")
    assert found["base_model"] == "ladder-l"
    assert found["study"] == ["quickstart"]
    for cell in found["allocation"]:
        assert {"ability", "data_source", "n_examples", "cost"} <= set(cell)
        assert isinstance(cell["n_examples"], int)
        assert cell["n_examples"] <= 256
    assert sum(cell["n_examples"] for cell in found["allocation"]) == found["spent"] <= 200
    assert {row["ability"] for row in found["expected"]} == {"code", "reasoning", "role_play"}
    for row in found["expected"]:
        score = row["score"]
        assert 0 <= score["low"] <= score["estimate"] <= score["high"] <= 1
        assert score["level"] == 0.95
    assert 0 < found["p_better_than_uniform"] < 1
    assert found["p_better_than_own_plan"] is None
    assert [point["budget"] for point in found["frontier"]] == [50, 100, 200, 400, 800]
    assert {item["ability"] for item in found["excluded"]} == {"ceval_physician_fshot"}
    assert "uniform" in found["reading"]
    assert found["targets"] == []


def test_an_answer_is_kept_and_only_for_the_same_question(workspace, monkeypatch) -> None:
    options = (*SMALL, *ONE_MODEL, "--ability", "code", "--ability", "role_play")
    first = run_json("recommend", workspace, *options, "--budget", "90")
    following = run_json("suggest-next", workspace, *options)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("dashboard.commands.budget_answers.plan_curves", refuse)
    assert run_json("recommend", workspace, *options, "--budget", "90") == first
    assert run_json("suggest-next", workspace, *options) == following
    assert "Expected scores" in run("recommend", workspace, *options, "--budget", "90").stdout
    other = run("recommend", workspace, *options, "--budget", "91")
    assert isinstance(other.exception, AssertionError)


def test_a_budget_of_money_pays_prices_training_and_minima(workspace, tmp_path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "budget_cost: 50\ncost: {human: 1.0, synthetic: 0.1}\nminimum: {code: 12}\n"
        "training_cost: {ladder-s: 5, ladder-l: 10}\nown_plan: {'human:code': 20}\n"
    )
    found = run_json("recommend", workspace, *SMALL, "--plan", str(file), "--cost", "human=2")
    assert found["spent"] <= 50
    price = {"human": 2.0, "synthetic": 0.1}
    for cell in found["allocation"]:
        assert cell["cost"] == pytest.approx(cell["n_examples"] * price[cell["data_source"]])
    code = sum(c["n_examples"] for c in found["allocation"] if c["ability"] == "code")
    assert code >= 12
    paid = {"ladder-s": 5.0, "ladder-l": 10.0}
    assert {c["base_model"]: c["training_cost"] for c in found["base_models"]} == paid
    assert found["training_cost"] == paid[found["base_model"]]
    assert found["p_better_than_own_plan"] is not None


def test_a_model_that_the_budget_can_not_train_is_listed_with_the_reason(workspace) -> None:
    options = ("--budget-cost", "20", "--cost", "human=1", "--cost", "synthetic=1")
    found = run_json("recommend", workspace, *SMALL, *options, "--training-cost", "ladder-l=30")
    assert found["base_model"] == "ladder-s"
    (refused,) = [c for c in found["base_models"] if c["base_model"] == "ladder-l"]
    assert refused["score"] is None
    assert "alone costs 30" in refused["reason"]


def test_a_target_needs_no_budget(workspace) -> None:
    found = run_json("recommend", workspace, *SMALL, *ONE_MODEL, "--target-score", "0.6")
    assert found["allocation"] is None
    assert found["reason"] == "no budget was given"
    by_cell = {(t["ability"], t["data_source"]): t for t in found["targets"]}
    assert len(by_cell) == 6
    role_play = by_cell["role_play", "human"]
    assert role_play["status"] in ("reached", "already_reached")
    assert by_cell["reasoning", "human"]["n_examples"] is None
    assert by_cell["reasoning", "human"]["p_reachable"] < 0.1


def test_volumes_beyond_what_was_observed_need_permission_and_are_flagged(workspace) -> None:
    options = (*SMALL, *ONE_MODEL, "--ability", "code", "--data-source", "human")
    kept = run_json("recommend", workspace, *options, "--budget", "600")
    (cell,) = kept["allocation"]
    assert cell["n_examples"] == 256
    assert cell["stopped_by"] == "supported"
    further = run_json("recommend", workspace, *options, "--budget", "600", "--allow-unsupported")
    (cell,) = further["allocation"]
    assert cell["n_examples"] > 256
    assert cell["unsupported"]
    assert any("extrapolated" in text for text in further["warnings"])


def test_the_tables_name_the_plan_the_scores_and_what_was_left_out(workspace) -> None:
    result = run(
        "recommend", workspace, *SMALL, *ONE_MODEL, "--budget", "200", "--target-score", "0.5"
    )
    assert result.exit_code == 0, result.exception
    for text in (
        "role_play",
        "Expected scores",
        "A budget of 400 brings",
        "Examples for a score of 0.5",
        "Left out, since an exam has no training data",
        "No transfer between abilities",
    ):
        assert text in result.stdout
    assert "First answer for ladder-l" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--target-score", "50"),
        ("--budget", "9", "--weight", "cooking=1"),
        ("--budget", "9", "--available", "web=1"),
        ("--budget", "9", "--min", "human:cooking=1"),
        ("--budget-cost", "9", "--cost", "human=1", "--training-cost", "gpt=1"),
    ],
)
def test_names_and_targets_are_checked_before_anything_is_fitted(
    workspace, monkeypatch, arguments
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted")

    monkeypatch.setattr("dashboard.commands.budget_answers.plan_curves", refuse)
    result = run("recommend", workspace, *SMALL, *ONE_MODEL, *arguments)
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give a budget"),
        (("--target-score", "0.5", "--cost", "human=1"), "These options plan a budget"),
        (("--budget", "5", "--budget-cost", "5"), "Give one budget"),
        (("--budget-cost", "5"), "no price for human code"),
        (
            ("--budget", "50", "--min", "code=90"),
            "minima alone cost 90, more than the budget of 50",
        ),
        (("--budget", "50", "--min", "human:code=9000"), "more than the 256 that are available"),
        (("--budget", "50", "--floor", "reasoning=0.95"), "the best it can do is 0"),
        (("--budget", "50", "--available", "web=3"), "--available names 'web'"),
        (("--budget", "50", "--plan", "nowhere.yaml"), "nowhere.yaml can't be read"),
        (("--budget", "50", "--ability", "cooking"), "--ability 'cooking' is not in"),
        (("--budget", "50", "--ability", "ceval_physician_fshot"), "no growth curve over an"),
        (("--budget", "50", "--training-cost", "gpt=3"), "--training-cost"),
        (("--budget", "50", "--weight", "cooking=3"), "--weight names 'cooking'"),
        (("--target-score", "50"), "accuracies lie between 0 and 1, so give 0.5 for 50%"),
        (("--budget", "50", "--grid-out", "out.yaml"), "a study that a grid file planned"),
        (("--budget", "50", "--grid-out", "no/such/out.yaml"), "can't be written"),
    ],
)
def test_a_request_that_can_not_be_is_one_clear_sentence(workspace, arguments, said) -> None:
    result = run("recommend", workspace, *SMALL, *ONE_MODEL, *arguments)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert result.stdout == ""


def test_the_plan_becomes_a_grid_that_the_runners_accept() -> None:
    surface = make_surface(
        [[hill(0.2, 0.5, 20), hill(0.2, 0.2, 10)]] * 2,
        abilities=("code", "math"),
        base_model="ladder-m",
    )
    found = recommend([Option(surface=surface, problem=make_problem(surface, 100))])
    _, quickstart = load_grid("quickstart")
    conn = duckdb.connect()
    conn.execute(
        "CREATE TABLE stg_plan AS SELECT 'quickstart' AS study, true AS is_latest, "
        "?::JSON AS grid_settings",
        [json.dumps(quickstart.model_dump(mode="json"))],
    )
    document = budget_evidence.recommended_grid(conn, "quickstart", found)
    grid = parse_grid(yaml.safe_load(yaml.safe_dump(document)), "grid")
    assert grid.study == "quickstart-plan"
    assert [model.name for model in grid.base_models] == ["ladder-m"]
    assert grid.training == quickstart.training
    (design,) = grid.designs
    assert design.kind == "mixture"
    bought = {(c.data_source, c.ability): c.n_examples for c in found.allocation if c.n_examples}
    assert {(p.data_source, p.ability): p.n_examples for p in design.parts} == bought


# ----------------------------------------------------------------------------------- suggest-next


@pytest.mark.parametrize("goal", ["gain", "prediction", "plateau"])
def test_next_runs_are_ranked_by_what_they_teach_per_second(workspace, goal) -> None:
    found = run_json("suggest-next", workspace, *SMALL, *ONE_MODEL, "--goal", goal)
    assert found["goal"] == goal
    assert found["cost_unit"] == "seconds"
    rates = [cell["reduction_per_cost"] for cell in found["cells"]]
    assert rates == sorted(rates, reverse=True)
    for cell in found["cells"]:
        assert {"base_model", "data_source", "n_examples", "seed"} <= set(cell)
        assert 0 <= cell["share"] <= 1
        assert cell["cost"] > 0
    assert {cell["n_examples"] for cell in found["cells"]} == {4, 8, 16, 32, 64, 128, 256, 512}
    assert found["reading"].startswith("Next, train ladder-l")


def test_next_runs_for_a_budget_and_at_a_price(workspace) -> None:
    options = ("--goal", "budget", "--budget", "100", "--price-per-hour", "36", "--cost", "human=1")
    found = run_json("suggest-next", workspace, *SMALL, *ONE_MODEL, *options)
    assert found["cost_unit"] == "price"
    costs = {(c["data_source"], c["n_examples"]): c["cost"] for c in found["cells"]}
    assert costs["human", 64] > costs["synthetic", 64] + 64
    table = run("suggest-next", workspace, *SMALL, *ONE_MODEL)
    assert "Next runs for gain" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--goal", "fame"), "--goal 'fame' is none of gain"),
        (("--goal", "budget"), "--goal budget needs the budget"),
        (("--goal", "budget", "--budget", "9"), "plans for one base model"),
        (("--at", "9"), "--at is the volume of --goal prediction"),
        (("--cost", "human=1"), "give --price-per-hour too"),
    ],
)
def test_goals_that_can_not_be_are_refused(workspace, arguments, said) -> None:
    result = run("suggest-next", workspace, *SMALL, *arguments)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)


# ----------------------------------------------------------------------------------- design-power


def test_power_needs_no_workspace() -> None:
    found = run_json("design-power", None, "--effect", "0.1", "--seeds", "3", "--items", "500")
    (point,) = found["table"]
    assert point["n_items"] == 500
    assert 0 < point["power"] < 1
    assert found["noise"] == "given or default"
    assert found["design"]["effect"] == 0.1
    table = run("design-power", None, "--volume", "8", "--volume", "64")
    assert "smallest detectable" in table.stdout


def test_power_measures_noise_on_the_study_asked_for(workspace) -> None:
    found = run_json("design-power", workspace, "--study", "quickstart", "--run-stddev", "0.11")
    assert found["noise"].startswith("measured on 12 growth curves")
    assert found["design"]["run_stddev"] == 0.11
    assert found["design"]["seed_correlation"] != 0.4


def test_questions_that_power_can_not_answer_are_refused() -> None:
    result = run("design-power", None, "--question", "why")
    assert "--question 'why' is none of gain, difference" in str(result.exception)
    result = run("design-power", None, "--seeds", "1")
    assert "give at least 2" in str(result.exception)


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from dashboard.commands import budget\n"
        "heavy = {'numpy', 'pandas', 'duckdb', 'scipy', 'rich.table', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_solver_says_goes_to_stderr() -> None:
    code = (
        "import ctypes\n"
        "from dashboard.commands.budget_answers import solver_chatter_to_stderr\n"
        "with solver_chatter_to_stderr():\n"
        "    ctypes.CDLL(None).puts(b'chatter')\n"
        "print('document')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "document\n"
    assert "chatter" in done.stderr


# --------------------------------------------------------------------------------------- transfer


def make_transfer_table() -> Any:
    """Runs of single abilities and of all but one: a's examples count half for b."""
    world = World(abilities=("a", "b", "c"), tau=np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]]))
    return simulate_table(world, plan(world.abilities), np.random.default_rng(3), m=400,
                          run_stddev=0.1)  # fmt: skip


def test_transfer_is_planned_with_where_the_runs_identify_it(monkeypatch) -> None:
    table = make_transfer_table()
    monkeypatch.setattr(budget_evidence, "load_run_tables", lambda *_, **__: [table])
    settings = FitSettings(n_replicates=100)
    found = budget_evidence.load_transfer_surfaces(
        None, {}, [table.base_model], table.study, settings, allow_unsupported=False
    )
    surface = found[table.base_model]
    assert surface.abilities == ("a", "b", "c")
    np.testing.assert_array_equal(surface.supported, 256)
    assert surface.limits == (0.0, 1.0)
    only_a = surface.scores(np.array([[64.0], [0.0], [0.0]]))
    nothing = surface.scores(np.zeros((3, 1)))
    assert only_a[1] - nothing[1] > 0.1
    assert only_a[2] - nothing[2] < 0.1
    two = budget_evidence.load_transfer_surfaces(
        None, {"ability": ["a", "b"]}, [table.base_model], table.study, settings,
        allow_unsupported=True,
    )[table.base_model]  # fmt: skip
    assert two.abilities == ("a", "b")
    np.testing.assert_array_equal(two.supported, 1024)
    np.testing.assert_allclose(two.model.tau, surface.model.tau[:2, :2])


def test_runs_of_one_composition_identify_no_transfer(monkeypatch) -> None:
    world = World(abilities=("a", "b"), tau=np.eye(2))
    runs = plan(world.abilities, designs=())
    table = simulate_table(world, runs, np.random.default_rng(3))
    monkeypatch.setattr(budget_evidence, "load_run_tables", lambda *_, **__: [table])
    found = budget_evidence.load_transfer_surfaces(
        None, {}, [table.base_model], table.study, FitSettings(), allow_unsupported=False
    )
    assert found == {}
