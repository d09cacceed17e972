"""One self-contained HTML report of a study: no script where a browser can draw its figures.

Figures are SVG pictures, as data of the page: they print sharply and weigh a tenth of plotly.js.
Where no browser is found, plotly.js is put into the page once and draws them. Every text goes
through the template's escaping, and the page's policy allows nothing from the network and no style
or script but its own, which it knows by hash.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboard.export.figure_set import FigureSet, MissingFigure, PaperFigure
from dashboard.export.paper import Page, suit_paper
from dashboard.export.provenance import Provenance
from dashboard.export.render import FigureFormat, find_browser, render_figure
from dashboard.export.report_findings import list_readings, write_findings
from dashboard.export.report_methods import REFERENCES, cited, write_limits, write_methods
from dashboard.export.study_evidence import StudyEvidence, Unavailable
from dashboard.export.study_records import StudyRecords
from dashboard.export.tables import Missing, MissingTable, TableSet, note_lines

_TEMPLATES = Path(__file__).with_name("templates")
REPORT_PAGE = Page(width_inches=8.4)
"""Where figures stand in a report: 945 pixels, as wide as its text on a screen."""

_PANEL_PREFIX = "growth-ability-"
"""Figures of single abilities, which the figure of all of them shows already."""


_MOST_PRINTED = 100
"""Readings of one kind on paper; more of them fill pages that no one reads."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that makes the report, or a part of it, again."""

    purpose: str
    text: str


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """A figure as the template takes it: an SVG as a data URI, or Plotly's own description."""

    figure: PaperFigure
    source: str | None
    spec: str | None

    @property
    def caption(self) -> str:
        """The caption without the finding, which stands above the figure."""
        return self.figure.caption.removeprefix(f"{self.figure.title}. ")


def write_report(
    evidence: StudyEvidence,
    records: StudyRecords,
    figures: FigureSet,
    tables: TableSet,
    provenance: Provenance,
    commands: Sequence[Command],
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    commands : sequence of Command
        What makes the numbers again; shown in this order.

    Raises
    ------
    WorkError
        If a browser is there and fails to draw.
    """
    lead, said = write_findings(evidence)
    methods = write_methods(evidence)
    keys = cited(methods)
    works = [REFERENCES[key] for key in keys]
    works += dict.fromkeys(
        str(one["citation"]) for one in records.imports if isinstance(one["citation"], str)
    )
    pictures = _draw(figures)
    style = (_TEMPLATES / "report.css").read_text("utf-8")
    interactive = any(picture.spec is not None for picture in pictures)
    scripts = _scripts() if interactive else []
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        policy=_policy(style, scripts),
        style=style,
        scripts=scripts,
        study=evidence.study,
        notice=evidence.notice,
        published=_published(evidence.snapshot_id),
        snapshot=evidence.snapshot_id,
        lead=lead,
        said=said,
        pictures=pictures,
        missing_figures=_by_reason(figures.missing),
        tables=[(table, table.notes(), note_lines(table)) for table in tables.tables],
        missing_tables=_by_reason(tables.missing),
        is_missing=lambda cell: isinstance(cell, Missing),
        readings=list_readings(evidence),
        most_printed=_MOST_PRINTED,
        methods=[
            (part, [keys.index(key) + 1 for key in part.cites]) for part in methods
        ],
        works=works,
        limits=write_limits(evidence),
        commands=commands,
        provenance=provenance.line(),
    )  # fmt: skip


def _by_reason(missing: Sequence[MissingFigure] | Sequence[MissingTable]) -> dict[str, str]:
    """Return the names of what is missing by their reason."""
    names: dict[str, list[str]] = {}
    for one in missing:
        names.setdefault(one.reason, []).append(one.name)
    return {reason: ", ".join(members) for reason, members in names.items()}


def _draw(figures: FigureSet) -> list[_Picture]:
    """Draw the figures of a report: by a browser where there is one."""
    has_browser = find_browser() is not None
    pictures = []
    for figure in figures.figures:
        if figure.name.startswith(_PANEL_PREFIX):
            continue
        # Title and caption are written by the page.
        drawn = suit_paper(figure.draw(), REPORT_PAGE).figure
        source = spec = None
        if has_browser:
            svg = render_figure(drawn, FigureFormat.SVG, width=drawn.layout.width)
            source = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
        else:
            # Inside a script element, where no text may look like its end.
            spec = drawn.to_json().replace("<", "\\u003c")
        pictures.append(_Picture(figure=figure, source=source, spec=spec))
    return pictures


def _scripts() -> list[str]:
    """Return plotly.js and what calls it."""
    from plotly.offline import get_plotlyjs

    return [get_plotlyjs(), (_TEMPLATES / "draw.js").read_text("utf-8")]


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Return the page's content security policy."""
    if scripts:
        # Plotly writes styles of its own, so hashes can't name them.
        allowed = " ".join(_hash(script) for script in scripts)
        return (
            f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            "img-src data: blob:; base-uri 'none'; form-action 'none'"
        )
    return (
        f"default-src 'none'; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    """Return a policy's name of an inline script or style."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _published(snapshot_id: str) -> str:
    """Return when a snapshot was published, in words."""
    # Ids begin with the time (`warehouse.connection.SNAPSHOT_NAME`).
    moment = datetime.strptime(snapshot_id[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007
    return f"{moment:%d %B %Y, %H:%M} UTC".lstrip("0")


def list_commands(
    evidence: StudyEvidence,
    records: StudyRecords,
    provenance: Provenance,
    options: Sequence[str],
) -> list[Command]:
    """Return the commands that make every number of the report again from a workspace.

    Parameters
    ----------
    options : sequence of str
        What was asked for besides workspace and outputs.
    """
    asked = shlex.join(options)
    parts: list[tuple[str, Any, str]] = [
        ("Growth curves", True, "fit"),
        ("Data sources", evidence.sources, "compare sources"),
        ("Base models", evidence.scales, "compare scales"),
        ("Abilities", evidence.abilities, "compare abilities"),
        ("Transfer", evidence.transfer, "transfer"),
        ("Mixtures", evidence.mixtures, "compare mixtures"),
        ("Judges", evidence.judge, "judge summary"),
    ]
    commands = [Command(purpose="This report", text=provenance.command)]
    commands += [
        Command(purpose=purpose, text=f"python cli.py {command} {asked} --json")
        for purpose, part, command in parts
        if not isinstance(part, Unavailable)
    ]
    if records.grid is not None:
        commands.append(
            Command(
                purpose="The runs themselves, with the grid of the bundle",
                text="python cli.py run-grid grid.yaml",
            )
        )
    return commands
