"""`recommend`, `suggest-next` and `design-power`: what data to get, what to run, what to plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.errors import InputError
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis.budget.spec import PlanSpec

Pairs = list[str] | None
BudgetOption = Annotated[float | None, typer.Option(help="Budget in examples.")]
BudgetCostOption = Annotated[float | None, typer.Option(help="Budget in money; needs --cost.")]
CostOption = Annotated[
    Pairs, typer.Option(help="SOURCE=PRICE or SOURCE:ABILITY=PRICE of one example; repeatable.")
]
AvailableOption = Annotated[
    Pairs, typer.Option(help="SOURCE=COUNT or SOURCE:ABILITY=COUNT that can be had; repeatable.")
]
WeightOption = Annotated[Pairs, typer.Option(help="ABILITY=WEIGHT, 1 by default; repeatable.")]
PlanOption = Annotated[
    Path | None, typer.Option(help="YAML file with all of these (docs/budget.md).")
]
LevelOption = Annotated[float, typer.Option(help="Level of the intervals.")]
ReplicatesOption = Annotated[int, typer.Option(help="Bootstrap replicates.")]


def recommend(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    budget: BudgetOption = None,
    budget_cost: BudgetCostOption = None,
    cost: CostOption = None,
    available: AvailableOption = None,
    weight: WeightOption = None,
    minimum: Annotated[
        Pairs,
        typer.Option("--min", help="ABILITY=COUNT or SOURCE:ABILITY=COUNT at least; repeatable."),
    ] = None,
    floor: Annotated[
        Pairs, typer.Option(help="ABILITY=SCORE to reach with --floor-probability; repeatable.")
    ] = None,
    floor_probability: Annotated[
        float | None, typer.Option(help="Probability with which floors are reached (0.8).")
    ] = None,
    training_cost: Annotated[
        Pairs, typer.Option(help="BASE_MODEL=COST of a training run; repeatable.")
    ] = None,
    plan: PlanOption = None,
    own_plan: Annotated[
        Path | None, typer.Option(help="YAML file SOURCE:ABILITY: COUNT, to compare with.")
    ] = None,
    target_score: Annotated[
        float | None, typer.Option(help="Also say how much data this score takes.")
    ] = None,
    allow_unsupported: Annotated[
        bool, typer.Option("--allow-unsupported", help="Up to 4 times the largest observed volume.")
    ] = False,
    spend_all: Annotated[
        bool, typer.Option("--spend-all", help="Spend also where no gain is expected.")
    ] = False,
    grid_out: Annotated[
        Path | None, typer.Option(help="Write the plan as a grid file for run-grid.")
    ] = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Recommend how many examples of each ability and source to get for a budget.

    Example: python cli.py recommend --base-model ladder-l --budget 1000 --target-score 0.6
    """
    import json
    from dataclasses import replace

    from dashboard.commands import budget_answers as answers

    spec = _spec(
        plan,
        {"budget": budget, "budget_cost": budget_cost, "floor_probability": floor_probability},
        {
            "--cost": cost,
            "--available": available,
            "--weight": weight,
            "--min": minimum,
            "--floor": floor,
            "--training-cost": training_cost,
        },
        own_plan,
    )
    if spend_all:
        spec = replace(spec, spend_all=True)
    if spec.budget is None and spec.budget_cost is None:
        if target_score is None:
            raise InputError(
                "Give a budget (--budget in examples or --budget-cost in money) or --target-score."
            )
        if spec != type(spec)() or grid_out is not None:
            raise InputError("These options plan a budget; give --budget or --budget-cost.")
    filters = _filters(study, ability, base_model, data_source, metric)
    with answers.solver_chatter_to_stderr():
        document, found = answers.recommend(
            workspace,
            filters,
            spec,
            target_score=target_score,
            allow_unsupported=allow_unsupported,
            grid_out=grid_out,
            level=level,
            replicates=replicates,
        )
    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        from dashboard.commands import budget_tables as tables

        tables.print_recommendation(found, document)


def suggest_next(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    goal: Annotated[
        str, typer.Option(help="gain, prediction, plateau or budget: what to know better.")
    ] = "gain",
    at: Annotated[
        float | None, typer.Option(help="Volume of --goal prediction (twice the largest).")
    ] = None,
    budget: BudgetOption = None,
    budget_cost: BudgetCostOption = None,
    weight: WeightOption = None,
    plan: PlanOption = None,
    cost: Annotated[
        Pairs, typer.Option(help="SOURCE=PRICE of one example; needs --price-per-hour; repeatable.")
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(help="Price of machine time; without it, costs are seconds.")
    ] = None,
    replicates: ReplicatesOption = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Rank the training runs that could come next by what they would teach, per cost.

    Example: python cli.py suggest-next --goal gain --base-model ladder-l
    """
    import json

    from dashboard.analysis.budget.spec import parse_pairs
    from dashboard.commands import budget_answers as answers

    prices = {"--cost": cost} if budget_cost is not None else {}
    spec = _spec(
        plan, {"budget": budget, "budget_cost": budget_cost}, {"--weight": weight, **prices}, None
    )
    with answers.solver_chatter_to_stderr():
        document, found = answers.suggest_next(
            workspace,
            _filters(study, ability, base_model, data_source, metric),
            spec,
            goal=goal,
            at=at,
            prices=parse_pairs(cost, "--cost"),
            price_per_hour=price_per_hour,
            replicates=replicates,
        )
    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        from dashboard.commands import budget_tables as tables

        tables.print_next(found)


def design_power(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    question: Annotated[
        str, typer.Option(help="gain (base model to largest volume) or difference (two settings).")
    ] = "gain",
    effect: Annotated[float, typer.Option(help="What to detect: 0.05 is five points.")] = 0.05,
    score: Annotated[float, typer.Option(help="Score without the effect.")] = 0.5,
    volume: Annotated[
        list[float] | None, typer.Option(help="Training volume; repeatable (4, 16, 64, 256).")
    ] = None,
    items: Annotated[list[int] | None, typer.Option(help="Test items to try; repeatable.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="Seeds to try; repeatable.")] = None,
    abilities: Annotated[int, typer.Option(help="Abilities tested together.")] = 10,
    settings: Annotated[
        int, typer.Option(help="Base models x sources whose runs tell run noise.")
    ] = 2,
    run_stddev: Annotated[
        float | None, typer.Option(help="Standard deviation between runs, logit scale (0.3).")
    ] = None,
    seed_correlation: Annotated[
        float | None, typer.Option(help="Of item results between two seeds (0.4).")
    ] = None,
    setting_correlation: Annotated[
        float | None, typer.Option(help="Of item results between two settings (0.2).")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Level of the two-sided test.")] = 0.05,
    power: Annotated[float, typer.Option(help="Power wanted.")] = 0.8,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Say how many items, seeds and volumes a difference or gain takes, before any run.

    With a filter such as --study, noise is measured on those runs of the workspace.

    Example: python cli.py design-power --effect 0.05 --seeds 3 --seeds 5 --items 1000
    """
    import json

    from dashboard.commands import budget_answers as answers

    filters = _filters(study, ability, base_model, data_source, metric)
    document, found = answers.design_power(
        workspace,
        filters if any(filters.values()) else None,
        question=question,
        items=items,
        seeds=seeds,
        noise={
            "run_stddev": run_stddev,
            "seed_correlation": seed_correlation,
            "setting_correlation": setting_correlation,
        },
        design={
            "effect": effect,
            "score": score,
            "n_abilities": abilities,
            "n_settings": settings,
            "alpha": alpha,
            "power": power,
            **({"volumes": tuple(volume)} if volume else {}),
        },
    )
    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        from dashboard.commands import budget_tables as tables

        tables.print_power(found, document)


def _filters(*values: list[str] | None) -> dict[str, list[str] | None]:
    """Return the common filters by column."""
    names = ("study", "ability", "base_model", "data_source", "metric")
    return dict(zip(names, values, strict=True))


def _spec(
    plan: Path | None,
    numbers: dict[str, float | None],
    tables: dict[str, Pairs],
    own_plan: Path | None,
) -> PlanSpec:
    """Return the request of a file, with what the options say on top of it."""
    from dataclasses import replace

    from dashboard.analysis.budget.spec import PlanSpec, parse_pairs, parse_plan, parse_table

    spec = PlanSpec() if plan is None else parse_plan(_read_yaml(plan, "--plan"), str(plan))
    given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    if "budget" in given or "budget_cost" in given:
        # An option's budget replaces the file's, of whichever kind.
        spec = replace(spec, budget=None, budget_cost=None)
    for option, pairs in tables.items():
        name = {"--min": "minimum"}.get(option, option[2:].replace("-", "_"))
        if pairs:
            given[name] = getattr(spec, name) | parse_pairs(pairs, option)
    if own_plan is not None:
        table = _read_yaml(own_plan, "--own-plan")
        given["own_plan"] = parse_table(table, str(own_plan))
    return replace(spec, **given)


def _read_yaml(path: Path, option: str) -> object:
    """Return what a YAML file holds."""
    import yaml

    try:
        document: object = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{option}: {path} can't be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{option}: {path} is not valid YAML.") from error
    return document
