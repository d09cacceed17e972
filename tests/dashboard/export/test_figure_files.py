"""A folder of figures: complete or not there, and one browser for all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import kaleido
import pytest
from typer.testing import CliRunner

import cli
from dashboard.export import figure_files
from dashboard.export.collect import build_figure_set
from dashboard.export.figure_files import check_folder, read_figure_options, write_figures
from dashboard.export.figure_set import FigureSet, MissingFigure, PaperFigure
from dashboard.export.paper import Preset
from dashboard.export.render import FigureFormat, find_browser, stop_browser
from dashboard.export.sheet import crop_pdf
from tests.dashboard.export.figure_evidence import SETTINGS, read_study, some_provenance
from warehouse.errors import InputError, WorkError
from warehouse.snapshots import list_snapshots
from warehouse.workspace import Workspace

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
HTML = read_figure_options("acl", "html", 300, titles=False)


@pytest.fixture(scope="module")
def three(full_workspace: Workspace) -> FigureSet:
    known = build_figure_set(read_study(full_workspace), Preset.ACL.page)
    chosen = [one for one in known.figures if one.name in ("growth-abilities", "gains", "plateau")]
    return FigureSet(
        figures=tuple(chosen), missing=(MissingFigure(name="transfer", reason="*no* such runs"),)
    )


def write(figures: FigureSet, out: Path, workspace: Workspace, options=HTML):
    return write_figures(figures, out, options, some_provenance(read_study(workspace)))


def test_the_folder_holds_every_figure_its_numbers_its_caption_and_an_index(
    three: FigureSet, full_workspace: Workspace, tmp_path: Path
) -> None:
    index = write(three, tmp_path / "out", full_workspace)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == set(index["files"])
    for figure in three.figures:
        assert {f"{figure.name}.{kind}" for kind in ("html", "csv", "txt")} <= names
        caption, line = (tmp_path / "out" / f"{figure.name}.txt").read_text("utf-8").split("\n\n")
        assert caption == figure.caption
        assert line.startswith("Provenance: study quickstart; snapshot ")
        assert "level 0.95, 60 replicates" in line and "commit abc" in line
    assert index == json.loads((tmp_path / "out" / "figures.json").read_text("utf-8"))
    page = (tmp_path / "out" / "figures.md").read_text("utf-8")
    assert "- transfer: \\*no\\* such runs." in page
    html = (tmp_path / "out" / "gains.html").read_text("utf-8")
    assert 'src="plotly.min.js"' in html and 'src="http' not in html
    assert three.figures[0].title not in html, "no title inside unless asked"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"], "nothing is left beside it"


def test_an_earlier_export_is_replaced_and_other_files_are_left_alone(
    three: FigureSet, full_workspace: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(three, out, full_workspace)
    fewer = FigureSet(figures=three.figures[:1], missing=())
    index = write(fewer, out, full_workspace)
    assert {path.name for path in out.iterdir()} == set(index["files"])
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"no export of figures wrote \(notes\.txt\)"):
        write(three, out, full_workspace)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failed_export_leaves_the_folder_as_it_was(
    three: FigureSet, full_workspace: Workspace, tmp_path: Path
) -> None:
    def fail():
        raise WorkError("The browser could not draw.")

    broken = PaperFigure(name="broken", title="t", caption="c", draw=fail, table=lambda: None)
    out = tmp_path / "out"
    with pytest.raises(WorkError):
        write(FigureSet(figures=(*three.figures, broken), missing=()), out, full_workspace)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("preset", "formats", "dpi", "said"),
    [
        ("a4", "pdf", 300, "--preset 'a4' is unknown; known: acl, acl-wide"),
        ("acl", "pdf,eps", 300, "--format 'eps' is unknown; known: png, svg, pdf, html"),
        ("acl", " , ", 300, "--format without a name"),
        ("acl", "png", 5, "--dpi is 5; give a number from 30 to 1200"),
    ],
)
def test_unknown_options_are_refused_in_a_sentence(
    preset: str, formats: str, dpi: float, said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        read_figure_options(preset, formats, dpi, titles=False)


def test_a_missing_browser_is_told_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figure_files, "find_browser", lambda: None)
    with pytest.raises(WorkError, match="apt-get install chromium"):
        check_folder(tmp_path, read_figure_options("acl", "pdf", 300, titles=False))
    check_folder(tmp_path, HTML)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; name a folder"):
        check_folder(tmp_path / "file", HTML)


def test_pages_of_the_browser_are_cropped_to_their_size() -> None:
    page = b"<< /MediaBox [0 0 218.87999 409.91998] >>"
    assert crop_pdf(page, 218.16, 409.6) == b"<< /MediaBox [0 0.32 218.16 409.92]   >>".replace(
        b"]   >>",
        b"]" + b" " * (len(page) - len(b"<< /MediaBox [0 0.32 218.16 409.92] >>")) + b" >>",
    )
    assert len(crop_pdf(page, 218.16, 409.6)) == len(page)
    assert crop_pdf(page, 100, 409.6) == page, "a page of another size is not the browser's"
    assert crop_pdf(page + page, 218.16, 409.6) == page + page


def test_the_command_writes_lists_and_cites_its_snapshot(
    full_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dashboard.export.study_evidence as study_evidence

    monkeypatch.setattr(study_evidence, "FitSettings", lambda: SETTINGS)
    words = ["export", "figures", "--study", "quickstart", "--format", "html", "--json"]
    words += ["--out", str(tmp_path / "out"), "--workspace", str(full_workspace.root)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["folder"] == str(tmp_path / "out")
    assert document["preset"] == "acl-wide" and document["width_inches"] == 6.3
    assert {one["name"] for one in document["figures"]} >= {"growth-abilities", "budget-frontier"}
    assert all(one["reason"] for one in document["missing"])
    (latest, *_) = list_snapshots(full_workspace)
    assert str(tmp_path / "out") in latest.cited_by


@needs_browser
@pytest.mark.slow
def test_one_browser_draws_everything_at_print_size_with_embedded_fonts(
    three: FigureSet,
    full_workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_browser()
    started = []
    opened = kaleido.Kaleido.open

    async def count(self) -> None:
        started.append(self)
        await opened(self)

    monkeypatch.setattr(kaleido.Kaleido, "open", count)
    options = read_figure_options("acl", "pdf,svg,png", 150, titles=True)
    assert FigureFormat.HTML not in options.formats
    index = write(three, tmp_path / "out", full_workspace, options)
    stop_browser()
    assert len(started) == 1
    for entry in index["figures"]:
        pdf = (tmp_path / "out" / f"{entry['name']}.pdf").read_bytes()
        (box,) = re.findall(rb"/MediaBox \[0 ([\d.]+) ([\d.]+) ([\d.]+)", pdf)
        bottom, width, top = map(float, box)
        assert width == pytest.approx(218.16, abs=0.01)
        assert top - bottom == pytest.approx(entry["height_points"], abs=0.02)
        fonts = set(re.findall(rb"/BaseFont /([\w+-]+)", pdf))
        assert fonts and all(re.match(rb"[A-Z]{6}\+", font) for font in fonts), "subsets, embedded"
        assert pdf.count(b"/FontFile2") == len(fonts) and b"/Type3" not in pdf
        png = (tmp_path / "out" / f"{entry['name']}.png").read_bytes()
        assert int.from_bytes(png[16:20]) == pytest.approx(3.03 * 150, abs=1)
        assert b"pHYs" in png[:80]
        svg = (tmp_path / "out" / f"{entry['name']}.svg").read_text("utf-8")
        width = float(re.search(r'width="([\d.]+)"', svg)[1])
        assert width == pytest.approx(3.03 * 96, abs=0.01)
        assert entry["title"].split()[0] in svg, "the title was asked for"
