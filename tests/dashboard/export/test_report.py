"""The report: self-contained, harmless whatever its texts say, and rebuilt from its bundle."""

from __future__ import annotations

import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from cli import app
from dashboard.export import report as report_module
from dashboard.export.render import find_browser
from dashboard.export.report_methods import REFERENCES
from runners.grid_spec import parse_grid
from tests.dashboard.export.lm_eval_runs import write_lm_eval_runs
from tests.dashboard.made_study import StudyShape, land_study, make_workspace, small_shape
from warehouse.errors import GrowthpaceError, InputError
from warehouse.workspace import Workspace, open_workspace

REPLICATES = ("--replicates", "60")
NOTICE = '<script>alert(1)</script> & "q" {{ 7 * 7 }} </style><img src=x onerror=alert(2)>'
PIXEL = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


class Page(HTMLParser):
    """What a page holds: elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def call_json(*arguments: str | Path) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def small_study() -> StudyShape:
    shape = small_shape(abilities=("code", "role_play"), exams=(), volumes=(4, 16, 64), n_items=40)
    return StudyShape(**{**vars(shape), "notice": NOTICE, "study": "made"})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("reported") / "workspace", small_study())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Draw a dot in the place of every figure: their drawing is tested elsewhere."""
    formats: list[str] = []

    def draw(figure: object, file_format: str, **options: object) -> bytes:
        formats.append(str(file_format))
        return PIXEL

    monkeypatch.setattr(report_module, "render_figure", draw)
    monkeypatch.setattr(report_module, "find_browser", lambda: "chromium")
    return formats


def report(workspace: Workspace, folder: Path, *arguments: str | Path) -> tuple[Page, str]:
    out = folder / "report.html"
    call_json("export", "report", "--workspace", workspace.root, "--out", out, *REPLICATES,
              *arguments)  # fmt: skip
    text = out.read_text("utf-8")
    return Page(text), text


# ----------------------------------------------------------------------------------- what it holds


@pytest.mark.slow
def test_a_report_answers_in_sentences_and_says_how_to_get_it_again(
    workspace: Workspace, tmp_path: Path, drawn: list[str]
) -> None:
    page, _ = report(workspace, tmp_path)
    text = page.text
    assert "of 2 abilities of ladder-l grow" in text
    assert NOTICE in text.partition("Findings")[0], "what the study says of itself comes first"
    for heading in ("Findings", "Figures", "Tables", "Methods", "References", "Limits",
                    "Run it again"):  # fmt: skip
        assert heading in text
    assert REFERENCES["song"] in text and REFERENCES["benjamini"] in text
    # Nothing of the study was judged, so no one is cited for it.
    assert REFERENCES["bradley"] not in text
    assert "python cli.py fit --study made --replicates 60 --json" in text
    assert "Provenance: study made; snapshot" in text
    assert len(page.all("figure")) == len(drawn) >= 10
    captions = [row for row in page.words if row.startswith("Table ")]
    assert len(captions) == len(page.all("table")) >= 8
    assert "all runs train the abilities together" in text


@pytest.mark.slow
def test_a_report_takes_nothing_from_elsewhere_and_runs_no_text(
    workspace: Workspace, tmp_path: Path, drawn: list[str]
) -> None:
    page, text = report(workspace, tmp_path)
    assert page.all("script") == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "{{ 7 * 7 }}" in text
    sources = [picture["src"] or "" for picture in page.all("img")]
    assert sources and all(one.startswith("data:image/svg+xml;base64,") for one in sources)
    assert not [tag for tag in ("link", "iframe", "object", "base", "form") if page.all(tag)]
    assert all((link["href"] or "").startswith("#") for link in page.all("a"))
    handlers = [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    assert handlers == [] and not [a for _, a in page.elements if "style" in a]
    policy = next(a for a in page.all("meta") if a.get("http-equiv"))["content"] or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy


@pytest.mark.slow
def test_without_a_browser_plotly_is_put_in_once(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "find_browser", lambda: None)
    page, text = report(workspace, tmp_path)
    scripts = page.all("script")
    specs = [one for one in scripts if one.get("type") == "application/json"]
    assert len(scripts) == len(specs) + 2
    assert len(specs) == len(page.all("figure")) and not page.all("img")
    policy = next(a for a in page.all("meta") if a.get("http-equiv"))["content"] or ""
    assert len(re.findall("script-src 'sha256-[^']+' 'sha256-[^']+';", policy)) == 1
    assert text.count("<script>alert") == 0


# ------------------------------------------------------------------------------------- the bundle


@pytest.mark.slow
def test_a_bundle_rebuilds_identical_numbers(
    workspace: Workspace, tmp_path: Path, drawn: list[str]
) -> None:
    bundle = tmp_path / "report.zip"
    unrelated = small_shape(study="unrelated", abilities=("math",), waits=lambda cell: True)
    land_study(workspace, unrelated)
    report(workspace, tmp_path, "--bundle", bundle)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"README.md", "report.html", "landing.tar.zst", "provenance.json"} <= names
    assert {"tables/gains.tex", "tables/gains.csv", "figures/gains.csv"} <= names
    # A made study has no grid file behind it.
    assert "grid.yaml" not in names
    (command,) = re.findall(r"^python cli\.py (.*)$", (folder / "README.md").read_text(), re.M)
    words = [
        str(folder / word) if word in ("landing.tar.zst", "rebuilt") or "rebuilt." in word
        else word
        for word in command.split()
    ]  # fmt: skip
    result = call(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    again = tmp_path / "again"
    with zipfile.ZipFile(folder / "rebuilt.zip") as packed:
        packed.extractall(again)
    tables = sorted(folder.glob("*/*.csv"))
    assert len(tables) > 15
    for path in tables:
        other = again / path.relative_to(folder)
        assert other.read_text("utf-8") == path.read_text("utf-8"), path.name
    landed = [path.name for path in (folder / "rebuilt" / "landing").glob("*/*.*")]
    assert "made-plan.json" in landed and not [name for name in landed if "unrelated" in name]


def test_a_bundle_holds_a_grid_that_runs(tmp_path: Path) -> None:
    from dashboard.export.bundle import grid_yaml
    from runners.grid_spec import load_grid

    _, spec = load_grid("quickstart")
    text = grid_yaml(spec.model_dump(mode="json"))
    assert parse_grid(yaml.safe_load(text), "grid.yaml") == spec


# -------------------------------------------------------------------------------- other workspaces


@pytest.mark.slow
def test_lm_eval_results_become_a_report_in_two_commands(tmp_path: Path, drawn: list[str]) -> None:
    mapping = write_lm_eval_runs(tmp_path / "evals")
    root = tmp_path / "workspace"
    call_json("import", "lm-eval", tmp_path / "evals", "--mapping", mapping, "--study", "mine",
              "--workspace", root)  # fmt: skip
    page, _ = report(open_workspace(root), tmp_path)
    assert "2 of 3 abilities of pond-1b grow with human data" in page.text
    assert "The results were imported" in page.text
    assert "Imported results: tool, time (UTC), files, rows" in page.text
    assert "all runs of this study train on human data; import runs on another" in page.text
    assert "all runs of this study start from pond-1b; import runs of another model" in page.text
    # No grid planned them, so none can be added to.
    assert "its grid" not in page.text


@pytest.mark.slow
def test_results_without_volumes_still_have_their_scores_reported(
    tmp_path: Path, drawn: list[str]
) -> None:
    write_lm_eval_runs(tmp_path / "evals", volumes=(10,), seeds=(0,))
    root = tmp_path / "workspace"
    call_json("import", "lm-eval", tmp_path / "evals", "--workspace", root)
    page, _ = report(open_workspace(root), tmp_path)
    assert "The study holds scores of 2 base models and no training volume" in page.text
    assert "a mapping file states the volumes" in page.text
    assert "org/pond-1b-sft-human-10-seed0" in page.text
    assert drawn == []


def test_an_unscored_study_says_so(unscored_workspace: Workspace, tmp_path: Path) -> None:
    page, _ = report(unscored_workspace, tmp_path)
    assert "No run of this study is done yet, so there is nothing to report." in page.text
    assert "have not been run yet" in page.text


def test_an_empty_workspace_gives_one_sentence(tmp_path: Path) -> None:
    open_workspace(tmp_path / "empty", create=True)
    for command in (("report", "--out", tmp_path / "r.html"), ("tables", "--out", tmp_path / "t")):
        result = call("export", *command, "--workspace", tmp_path / "empty")
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith("No results yet")
        assert result.exception.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "r.pdf"), r"--out r.pdf: the file's name must end in .html"),
        (("--out", "nowhere/r.html"), "there is no folder"),
        (("--out", "r.html", "--bundle", "b.tar"), r"--bundle b.tar: .* must end in .zip"),
        (("--out", "r.html", "--study", "other"), "'other'"),
        (("--out", "r.html", "--level", "2"), "between 0 and 1"),
    ],
)
def test_wrong_calls_are_refused_before_anything_is_computed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = call("export", "report", "--workspace", workspace.root, *arguments)
    assert isinstance(result.exception, GrowthpaceError)
    assert re.search(said, str(result.exception))
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------- a browser


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_a_browser_shows_and_prints_the_report_without_a_network(
    workspace: Workspace, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    report(workspace, tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        shown = page.evaluate("[...document.images].map(one => one.naturalWidth)")
        fits = page.evaluate("document.documentElement.scrollWidth")
        printed = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert shown and min(shown) > 100
    assert fits == 390
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") > 3
