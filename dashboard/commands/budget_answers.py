"""What the budget commands compute, and keep in the workspace; loaded when one runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dashboard import budget_evidence as evidence
from dashboard.analysis import FitSettings
from dashboard.analysis.budget import recommend as planner
from dashboard.analysis.budget.allocate import neighbours
from dashboard.analysis.budget.build import (
    LeftOut,
    PlannedCurve,
    plan_curves,
    source_surfaces,
)
from dashboard.analysis.budget.measured import measure_noise
from dashboard.analysis.budget.next_run import (
    Goal,
    plan_candidates,
    rank_by_regret,
    rank_by_variance,
)
from dashboard.analysis.budget.power import PowerDesign, PowerPlan, PowerQuestion, plan_power
from dashboard.analysis.budget.results import (
    FirstAnswer,
    ModelChoice,
    NextRuns,
    Recommendation,
    TargetVolume,
)
from dashboard.analysis.budget.solve import resolve, solve
from dashboard.analysis.budget.spec import PlanSpec, build_problem, own_plan
from dashboard.analysis.budget.target import target_volume, without_curve
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.serialise import from_plain, to_plain
from dashboard.grid_paths import move_grid
from dashboard.result_store import load_or_compute, result_key
from warehouse.connection import latest_snapshot, open_latest
from warehouse.errors import InputError
from warehouse.workspace import Workspace, open_workspace

CurveFitter = Callable[..., tuple[list[PlannedCurve], list[LeftOut]]]


@contextlib.contextmanager
def solver_chatter_to_stderr() -> Iterator[None]:
    """Send what the linear-programming library prints by itself to stderr.

    It writes to the process's standard output now and then, where `--json` promises one document.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


def recommend(
    workspace: Path,
    filters: evidence.Filters,
    spec: PlanSpec,
    *,
    target_score: float | None,
    allow_unsupported: bool,
    grid_out: Path | None,
    level: float,
    replicates: int,
) -> tuple[dict[str, Any], Recommendation | None]:
    """Return the document of `recommend`, and the plan if a budget was given."""
    settings = FitSettings(level=level, n_replicates=replicates)
    if grid_out is not None and not grid_out.absolute().parent.is_dir():
        raise InputError(f"--grid-out: {grid_out} can't be written; there is no such folder.")
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        document = recommend_from(
            conn,
            place,
            snapshot.id,
            filters,
            spec,
            settings,
            target_score=target_score,
            allow_unsupported=allow_unsupported,
        )
        found = None
        if document["allocation"] is not None:
            found = from_plain(Recommendation, document)
        if grid_out is not None and found is not None:
            study = document["study"][0]
            grid = evidence.recommended_grid(conn, study, found)
            grid, doubt = move_grid(grid, grid_out.absolute().parent, place, study)
            text = "# A recommended mixture, from `recommend --grid-out`.\n"
            grid_out.write_text(text + yaml.safe_dump(grid, sort_keys=False), "utf-8")
            print(f"Wrote {grid_out}; check it: run-grid {grid_out} --dry-run.", file=sys.stderr)
            if doubt is not None:
                print(f"In {grid_out}, {doubt}.", file=sys.stderr)
    return document, found


def recommend_from(
    conn: Any,
    place: Workspace,
    snapshot_id: str,
    filters: evidence.Filters,
    spec: PlanSpec,
    settings: FitSettings,
    *,
    target_score: float | None = None,
    allow_unsupported: bool = False,
    fit: CurveFitter | None = None,
    tell: Callable[[FirstAnswer], None] | None = None,
) -> dict[str, Any]:
    """Return the document of `recommend` on an open snapshot, from the store where it is known.

    Parameters
    ----------
    fit : callable, optional
        Fits the curves to plan with; the app keeps them between two budgets.
    tell : callable, optional
        Gets the quick answer while the rest is computed; it goes to stderr by default.
    """
    curves = evidence.load_planning_curves(conn, filters)
    evidence.check_request(curves.wanted, spec, target_score)
    asked = {
        "snapshot": snapshot_id,
        "wanted": [curve.key for curve in curves.wanted],
        "spec": to_plain(spec),
        "target_score": target_score,
        "allow_unsupported": allow_unsupported,
    }
    return load_or_compute(
        place,
        "recommend",
        result_key("recommend", curves.every, settings, asked),
        lambda: {
            "snapshot": snapshot_id,
            **_recommend(
                conn,
                filters,
                curves,
                spec,
                settings,
                target_score=target_score,
                allow_unsupported=allow_unsupported,
                fit=fit or plan_curves,
                tell=tell or _print_first,
            ),
        },
    )


def _recommend(
    conn: Any,
    filters: evidence.Filters,
    curves: evidence.PlanningCurves,
    spec: PlanSpec,
    settings: FitSettings,
    *,
    target_score: float | None,
    allow_unsupported: bool,
    fit: CurveFitter,
    tell: Callable[[FirstAnswer], None],
) -> dict[str, Any]:
    """Fit, plan and describe."""
    print(f"Fitting growth curves ({len(curves.wanted)}) ...", file=sys.stderr)
    planned, left_out = fit(curves.every, curves.wanted, settings)
    excluded = [LeftOut(data=data, reason=reason) for data, reason in curves.left_out]
    found = None
    if spec.budget is not None or spec.budget_cost is not None:
        _check_some(planned, left_out)
        options, more, not_possible = _options(
            conn, filters, planned, spec, settings, allow_unsupported=allow_unsupported
        )
        excluded += more
        tell(planner.first_answer(options))
        own = own_plan(spec, options[0].surface)
        found = planner.recommend(options, own_plan=own, level=settings.level)
        found = replace(found, base_models=(*found.base_models, *not_possible))
    return {
        "study": sorted({curve.data.study for curve in planned}),
        "metric": sorted({curve.data.metric for curve in planned}),
        **_plan_document(found),
        "targets": to_plain(_targets(planned, left_out, target_score, settings.level)),
        "excluded": [
            {
                "study": item.data.study,
                "ability": item.data.ability,
                "base_model": item.data.base_model,
                "data_source": item.data.data_source,
                "reason": item.reason,
            }
            for item in (*excluded, *left_out)
        ],
    }


def _targets(
    planned: list[PlannedCurve], left_out: list[LeftOut], score: float | None, level: float
) -> tuple[TargetVolume, ...]:
    """Return the examples that a target score takes, curve by curve."""
    if score is None:
        return ()
    return (
        *(target_volume(curve, score, level) for curve in planned),
        *(without_curve(item, score, level) for item in left_out),
    )


def _check_some(planned: list[PlannedCurve], left_out: list[LeftOut]) -> None:
    """Refuse to plan on nothing."""
    if not planned:
        why = left_out[0].reason.rstrip(".") if left_out else "there is none"
        raise InputError(f"No growth curve could be fitted ({why}); run more volumes or seeds.")


def _options(
    conn: Any,
    filters: evidence.Filters,
    planned: list[PlannedCurve],
    spec: PlanSpec,
    settings: FitSettings,
    *,
    allow_unsupported: bool,
) -> tuple[list[planner.Option], list[LeftOut], list[ModelChoice]]:
    """Return one option per base model that the budget can pay, and the others with the reason."""
    surfaces: list[GrowthSurface]
    sourced, observed, left_out = source_surfaces(planned, allow_unsupported=allow_unsupported)
    surfaces = list(sourced)
    names = [surface.base_model for surface in surfaces]
    found = evidence.load_transfer_surfaces(
        conn, filters, names, planned[0].data.study, settings, allow_unsupported=allow_unsupported
    )
    if set(found) == set(names) and len({found[name].abilities for name in names}) == 1:
        surfaces = [found[name] for name in names]
        reach = [surface.supported for surface in surfaces]
        observed = [r / 4 if allow_unsupported else r for r in reach]
    options, refused, last_error = [], [], None
    for surface, seen in zip(surfaces, observed, strict=True):
        paid = spec.training_cost.get(surface.base_model, 0.0)
        try:
            problem = build_problem(spec, surface, paid)
        except InputError as error:
            last_error = error
            refused.append(
                ModelChoice(
                    base_model=surface.base_model,
                    training_cost=paid,
                    score=None,
                    p_best=None,
                    reason=str(error),
                )
            )
            continue
        options.append(
            planner.Option(surface=surface, problem=problem, training_cost=paid, supported=seen)
        )
    if last_error is not None and not options:
        raise last_error
    return options, left_out, refused


def _print_first(first: FirstAnswer) -> None:
    """Tell the quick answer while the rest is computed."""
    cells = sorted((c for c in first.allocation if c.n_examples), key=lambda c: -c.n_examples)
    named = ", ".join(f"{c.n_examples:,} {c.data_source} {c.ability}" for c in cells[:5])
    more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
    print(
        f"First answer for {first.base_model}, from the curves alone: {named or 'nothing'}{more} "
        f"(mean score {first.score:.3f}, uniform {first.uniform:.3f}). Checking it ...",
        file=sys.stderr,
    )


def _plan_document(found: Recommendation | None) -> dict[str, Any]:
    """Return the plan's part of the document."""
    if found is None:
        names = ("allocation", "expected", "p_better_than_uniform", "frontier", "reading")
        return {**dict.fromkeys(names), "reason": "no budget was given"}
    document: dict[str, Any] = to_plain(found)
    chances = {item.against: item.p_better for item in found.versus}
    return {
        **document,
        "p_better_than_uniform": chances["uniform"],
        "p_better_than_own_plan": chances.get("own plan"),
    }


def suggest_next(
    workspace: Path,
    filters: evidence.Filters,
    spec: PlanSpec,
    *,
    goal: str,
    at: float | None,
    prices: dict[str, float],
    price_per_hour: float | None,
    replicates: int,
) -> tuple[dict[str, Any], NextRuns]:
    """Return the document of `suggest-next`, and the ranking."""
    if goal not in set(Goal):
        raise InputError(f"--goal {goal!r} is none of {', '.join(Goal)}.")
    if at is not None and goal != Goal.PREDICTION:
        raise InputError("--at is the volume of --goal prediction; leave it out here.")
    if at is not None and not 0 <= at < float("inf"):
        raise InputError(f"--at {at:g}: a volume is a count of 0 or more.")
    settings = FitSettings(n_replicates=replicates)
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        return suggest_next_from(
            conn,
            place,
            snapshot.id,
            filters,
            spec,
            settings,
            goal=Goal(goal),
            at=at,
            prices=prices,
            price_per_hour=price_per_hour,
        )


def suggest_next_from(
    conn: Any,
    place: Workspace,
    snapshot_id: str,
    filters: evidence.Filters,
    spec: PlanSpec,
    settings: FitSettings,
    *,
    goal: Goal,
    at: float | None = None,
    prices: dict[str, float] | None = None,
    price_per_hour: float | None = None,
) -> tuple[dict[str, Any], NextRuns]:
    """Return the document of `suggest-next` on an open snapshot, and the ranking."""
    curves = evidence.load_planning_curves(conn, filters)
    evidence.check_request(curves.wanted, spec)
    for_runs = prices if price_per_hour is not None or spec.budget_cost is None else {}
    studies = sorted({curve.study for curve in curves.wanted})
    cost = evidence.load_run_cost(conn, studies, price_per_hour, for_runs or {})
    asked = {
        "snapshot": snapshot_id,
        "wanted": [curve.key for curve in curves.wanted],
        "spec": to_plain(spec),
        "goal": goal.value,
        "at": at,
        "prices": for_runs or {},
        "price_per_hour": price_per_hour,
    }

    def compute() -> dict[str, Any]:
        print(f"Fitting growth curves ({len(curves.wanted)}) ...", file=sys.stderr)
        planned, left_out = plan_curves(curves.every, curves.wanted, settings, items_fixed=True)
        _check_some(planned, left_out)
        candidates = plan_candidates(planned)
        if goal == Goal.BUDGET:
            found = _rank_by_regret(planned, candidates, cost, spec)
        else:
            found = rank_by_variance(planned, candidates, cost, goal=goal, at=at)
        document: dict[str, Any] = {"snapshot": snapshot_id, "study": studies, **to_plain(found)}
        return document

    key = result_key("suggest-next", curves.every, settings, asked)
    document = load_or_compute(place, "suggest-next", key, compute)
    return document, from_plain(NextRuns, document)


def _rank_by_regret(
    planned: list[PlannedCurve], candidates: Any, cost: Any, spec: PlanSpec
) -> NextRuns:
    """Rank runs for the choice of a plan."""
    if spec.budget is None and spec.budget_cost is None:
        raise InputError("--goal budget needs the budget: --budget or --budget-cost.")
    surfaces, _, _ = source_surfaces(planned)
    if len(surfaces) > 1:
        names = ", ".join(surface.base_model for surface in surfaces)
        raise InputError(
            f"--goal budget plans for one base model; choose by --base-model: {names}."
        )
    surface = surfaces[0]
    problem = build_problem(spec, surface)
    rows = np.arange(surface.n_replicates)
    plan, uniform = solve(surface, problem, rows), problem.uniform()
    resolved = resolve(surface, problem, [plan, uniform], rows, 30)
    # After a run one would move some of the budget, rarely to another plan altogether.
    near = [neighbours(problem, plan, problem.budget / parts) for parts in (32, 8)]
    plans: FloatArray = np.concatenate([[plan, uniform], resolved, *near])
    return rank_by_regret(surface, problem, plans, planned, candidates, cost)


def design_power(
    workspace: Path,
    filters: evidence.Filters | None,
    *,
    question: str,
    items: list[int] | None,
    seeds: list[int] | None,
    noise: dict[str, float | None],
    design: dict[str, Any],
) -> tuple[dict[str, Any], PowerPlan]:
    """Return the document of `design-power`, and the plan."""
    if question not in set(PowerQuestion):
        raise InputError(f"--question {question!r} is none of {', '.join(PowerQuestion)}.")
    given: dict[str, Any] = {name: v for name, v in noise.items() if v is not None}
    origin = "given or default"
    if filters is not None:
        snapshot = latest_snapshot(open_workspace(workspace))
        with contextlib.closing(open_latest(snapshot.path)) as conn:
            curves = evidence.load_planning_curves(conn, filters).wanted
        measured = measure_noise(curves)
        origin = f"measured on {len(curves)} growth curves"
        given = {name: getattr(measured, name) for name in noise} | given
    tried = {name: tuple(v) for name, v in (("n_items", items), ("n_seeds", seeds)) if v}
    found = plan_power(PowerDesign(question=PowerQuestion(question), **design, **given), **tried)
    return {"noise": origin, **to_plain(found)}, found
