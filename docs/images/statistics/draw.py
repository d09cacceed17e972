"""Draw the pictures of docs/statistics_in_pictures.md anew, from the archived runs in docs/.

`python docs/images/statistics/draw.py`, from the repository's root; needs Chromium. Everything is
computed here, by the same analysis that `fit`, `compare` and `transfer` call.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import plotly.graph_objects as go
from parts import SLOT, add_curves, add_line, curve_at, finish, item_means, pick, say, start
from PIL import Image

from dashboard.analysis import CurveData, CurveFit, FitSettings, fit_study
from dashboard.analysis.compare.sources import compare_sources
from dashboard.analysis.new_run import new_run_band
from dashboard.charts import transfer as transfer_charts
from dashboard.charts.focus import focus_figure
from dashboard.charts.growth import growth_figure
from dashboard.charts.panels import add_points
from dashboard.charts.style import (
    COLOURS,
    DASHES,
    GREY,
    SUBTITLE_SIZE,
    Frame,
    apply_frame,
    fade,
    plan_series,
)
from dashboard.charts.transfer_figures import BEYOND, transfer_figure
from dashboard.evidence import load_curves
from dashboard.export.render import FigureFormat, render_figure
from dashboard.transfer_evidence import load_run_tables
from dashboard.transfer_store import fit_transfer_or_load
from warehouse.archive import import_landing
from warehouse.connection import open_latest
from warehouse.importers.landed import land_all
from warehouse.importers.reference import read_reference
from warehouse.ingest import ingest
from warehouse.workspace import Workspace, open_workspace

OUT = Path(__file__).resolve().parent
ROOT = OUT.parents[2]
ARCHIVES = ("docs/guide/landing.tar.zst", "docs/studies/transfer/landing.tar.zst")
BEYOND_MODEL = "opt-1.3b"
FAMILIES_SHOWN = ("log_linear", "power_law", "exponential", "weibull", "logistic")
WIDTH = 1040
PIXELS = 1100
GUIDE_NOTE = (
    "The guide's study (docs/guide.md): generated data, two seeds, 150 questions an ability."
)

_Z95 = 1.959964


# --- What is drawn ------------------------------------------------------------------------------


def draw_all(workspace: Workspace) -> Iterator[tuple[str, go.Figure]]:
    """Yield every picture with its name."""
    with contextlib.closing(open_latest(workspace.root)) as conn:
        curves = load_curves(conn, studies=["my-study"])
        published = load_curves(conn, studies=["lin2024-flan"])
        (table,) = load_run_tables(conn, studies=["transfer"])
    fit = fit_study(curves, FitSettings())
    people = pick(fit, "people", "curated")
    yield "curve", draw_bands(people)
    yield "families", draw_families(curves, pick(fit, "species", "curated"))
    yield "half-gain", draw_half_gain(people)
    labelled = [pick(fit, name, "curated") for name in ("species", "people", "directions")]
    yield (
        "labels",
        growth_figure(
            labelled,
            title="Three labels: saturating, responsive, resistant",
            note=GUIDE_NOTE,
            n_columns=3,
        ),
    )
    yield "exchange", draw_exchange(curves, people, pick(fit, "people", "cheap"))
    yield "paired", draw_paired(curves)
    two_volumes = fit_study(curves, FitSettings(max_examples=8))
    yield (
        "no-curve",
        growth_figure(
            [pick(two_volumes, curve.ability, "curated") for curve in labelled],
            title="Two volumes give no curve, and none is drawn",
            note=f"{GUIDE_NOTE} Runs on more than 8 examples (hollow) are left out of the fit.",
            n_columns=3,
        ),
    )
    yield "beyond", draw_beyond(published)
    result, _ = fit_transfer_or_load(workspace, table, FitSettings(), None)
    comparison = transfer_charts.list_comparisons(result)[0]
    yield (
        "transfer",
        transfer_figure(
            comparison,
            mode=BEYOND,
            title=transfer_charts.matrix_title(comparison, BEYOND),
            note=f"{transfer_charts.MATRIX_NOTE}\nStudy transfer: generated data, two seeds.",
        ),
    )


def draw_bands(curve: CurveFit) -> go.Figure:
    """Show where the curve may lie, and where one more run may fall."""
    figure, axis = start([curve], (0.0, 1.0))
    colour = COLOURS[0]
    band = new_run_band(curve)
    if band is None:
        raise ValueError(f"{curve.key}: runs are not known well enough for a prediction band")
    x = axis.position(band.n_examples)
    outline = go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([band.high, band.low[::-1]]),
        mode="lines",
        line={"color": colour, "width": 1, "dash": "dot"},
        fill="toself",
        fillcolor=fade(colour, 0.06),
        showlegend=False,
    )
    figure.add_trace(outline)
    add_curves(figure, [curve], axis)
    assert curve.band is not None
    say(figure, axis, 128, band.high[-1], "prediction band:<br>one more run", -60, -14)
    say(figure, axis, 64, curve_at(curve, 64), "interval:<br>the curve itself", -70, -60)
    mean = float(curve.points.score[curve.points.n_examples == 32].mean())
    say(figure, axis, 32, mean, "mean of two runs", 70, 70)
    say(figure, axis, 2, curve.chance_level or 0.0, "guessing", 40, 30)
    return finish(
        figure,
        "Two bands, two questions",
        "People on curated data: score against examples of the ability, 95%",
        GUIDE_NOTE,
    )


def draw_families(curves: Sequence[CurveData], average: CurveFit) -> go.Figure:
    """Show several growth families fitted to the same runs."""
    figure, axis = start([average], (0.0, 1.05))
    weights = {family.name: family.weight for family in average.families}
    for name, colour, dash in zip(FAMILIES_SHOWN, COLOURS[1:], DASHES, strict=False):
        one = pick(fit_study(curves, FitSettings(families=(name,))), *average.key[1:4:2])
        if one.band is None:
            continue
        figure.add_trace(
            go.Scatter(
                x=axis.position(one.band.n_examples),
                y=one.band.estimate,
                mode="lines",
                line={"color": colour, "width": 2, "dash": dash},
                name=f"{name.replace('_', ' ')}, weight {weights[name]:.2f}",
            )
        )
    add_points(
        figure, average, axis, SLOT, next(iter(plan_series([average]).values())), (0.0, 1.05)
    )
    return finish(
        figure,
        "Several shapes fit; they are averaged by weight",
        "Species on curated data: each family alone, and its weight in the averaged curve",
        GUIDE_NOTE,
        legend=True,
    )


def draw_half_gain(curve: CurveFit) -> go.Figure:
    """Show the gain, and the volume at which half of it is reached."""
    figure, axis = start([curve], (0.0, 1.0))
    add_curves(figure, [curve], axis)
    first, last, half = curve.score_first, curve.score_last, curve.half_gain_examples
    assert first is not None and last is not None and half is not None
    middle = (first.estimate + last.estimate) / 2
    left, at = axis.limits[0], float(axis.position(half.estimate))
    for level in (first.estimate, middle, last.estimate):
        add_line(figure, (left, float(axis.limits[1])), (level, level), "dot")
    add_line(figure, (at, at), (0.0, middle), "solid")
    low, high = axis.position([half.low, half.high])
    add_line(figure, (float(low), float(high)), (0.03, 0.03), "solid", width=6)
    say(
        figure,
        axis,
        half.estimate,
        0.03,
        f"{half.estimate:.0f} [{half.low:.0f}, {half.high:.0f}]",
        90,
        -20,
    )
    say(figure, axis, 1, last.estimate, f"score at the end, {last.estimate:.0%}", 0, -16)
    say(figure, axis, 1, middle, "half of the gain", 0, -14)
    say(figure, axis, 1, first.estimate, f"score without data, {first.estimate:.0%}", 0, 18)
    return finish(
        figure,
        f"Half of the gain takes {half.estimate:.0f} examples: the pace",
        "People on curated data; thick line: 95% interval of the pace",
        GUIDE_NOTE,
    )


def draw_exchange(curves: Sequence[CurveData], good: CurveFit, poor: CurveFit) -> go.Figure:
    """Show how an exchange rate is read off two curves."""
    figure, axis = start([good, poor], (0.0, 1.0))
    add_curves(figure, [good, poor], axis)
    rates = compare_sources(curves, FitSettings(), "curated").exchange_rates
    (rate,) = (r.rate for r in rates if r.ability == "people" and r.n_examples == 32)
    assert rate is not None and rate.estimate is not None
    score, needed = curve_at(good, 32), 32 * rate.estimate
    start_x, end_x = axis.position([32, needed])
    add_line(figure, (float(start_x), float(start_x)), (0.0, score), "dot")
    add_line(figure, (float(start_x), float(end_x)), (score, score), "solid")
    add_line(figure, (float(end_x), float(end_x)), (0.0, score), "dot")
    say(figure, axis, 32, 0.06, "32 curated", -60, 0)
    say(figure, axis, needed, 0.06, f"{needed:.0f} cheap", 60, 0)
    high = "no limit" if rate.high is None else f"{rate.high:.1f}"
    return finish(
        figure,
        f"One curated example is worth {rate.estimate:.1f} cheap ones, at 32",
        f"People: the same score on both curves; 95% interval of the rate {rate.low:.1f} to {high}",
        GUIDE_NOTE,
        legend=True,
    )


def draw_paired(curves: Sequence[CurveData]) -> go.Figure:
    """Show what pairing by item does to the error of a difference."""
    good, poor = (item_means(curves, "people", source, 128) for source in ("curated", "cheap"))
    n = len(good)
    difference = float((good - poor).mean())
    errors = {
        "same questions, paired": float((good - poor).std(ddof=1)) / n**0.5,
        "as if each had its own": float((good.var(ddof=1) + poor.var(ddof=1)) / n) ** 0.5,
    }
    figure = go.Figure(
        go.Scatter(
            x=[difference] * 2,
            y=list(errors),
            mode="markers",
            marker={"size": 11, "color": COLOURS[:2], "symbol": ["circle", "square"]},
            error_x={"array": [_Z95 * e for e in errors.values()], "thickness": 2, "width": 6},
        )
    )
    figure.update_layout(
        xaxis={
            "tickformat": "+.0%",
            "range": [-0.05, 0.3],
            "zeroline": True,
            "zerolinecolor": GREY,
        },
        yaxis={"range": [-0.6, 1.6], "tickfont": {"size": SUBTITLE_SIZE}},
    )
    both, neither = int(((good == 1) & (poor == 1)).sum()), int(((good == 0) & (poor == 0)).sum())
    frame = Frame(
        title="The same questions make a difference easier to see",
        subtitle=(
            f"People at 128 examples, curated minus cheap: {both} of {n} questions are right in "
            f"all four runs, {neither} in none"
        ),
        note=f"Bars: 95%, questions only. {GUIDE_NOTE}",
        left=200,
    )
    return apply_frame(figure, frame, 130)


def draw_beyond(published: Sequence[CurveData]) -> go.Figure:
    """Show predictions beyond the data, and what came."""
    settings = FitSettings(max_examples=102_400, predict=(409_600, 1_638_400), n_replicates=200)
    fit = fit_study(published, settings)
    (curve,) = (curve for curve in fit.curves if curve.base_model == BEYOND_MODEL)
    figure = focus_figure([curve], source_note="Losses: Lin et al. 2024. Hollow: not fitted.")
    apply_title = {
        "text": f"<b>{BEYOND_MODEL} from 102,400 examples on: predicted, and observed</b>"
    }
    figure.update_annotations(apply_title, selector={"name": "title"})
    return figure


def save(name: str, figure: go.Figure) -> None:
    """Write a picture."""
    image = Image.open(io.BytesIO(render_figure(figure, FigureFormat.PNG, width=WIDTH)))
    size = (PIXELS, round(image.height * PIXELS / image.width))
    image.convert("RGB").resize(size).save(OUT / f"{name}.png", optimize=True)


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = open_workspace(Path(folder), create=True)
        for archive in ARCHIVES:
            import_landing(workspace, ROOT / archive)
        land_all(workspace, read_reference("lin2024-flan"))
        ingest(workspace)
        for name, figure in draw_all(workspace):
            save(name, figure)
            print(f"{name}.png")


if __name__ == "__main__":
    main()
