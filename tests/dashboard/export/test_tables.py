"""Tables: what their cells say, how text is escaped, and the files that are written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dashboard.export.latex import document_latex, escape_latex, table_latex
from dashboard.export.tables import Missing, MissingTable, PaperTable, TableSet, note_lines
from dashboard.export.tables_runs import compute_table, run_score_table, settings_table
from dashboard.export.tables_write import (
    TableFormat,
    escape_markdown,
    read_formats,
    table_files,
    table_markdown,
    write_tables,
)
from warehouse.errors import InputError

HOSTILE = r"50% & $x_1$ #2 {a} ~ ^ \input{/etc/passwd} <b>|`\write18{id}` [z] -- 中文 Überß −1 “q”"


def make_table(rows: int = 2, text: str = "math", name: str = "scores") -> PaperTable:
    return PaperTable(
        name=name,
        caption=f"Scores of {text}",
        headings=(f"Ability {text}", "Score", "Label"),
        rows=tuple(
            (f"{text} {i}", "61.2 [58.0, 64.1]" if i else Missing(reason=text), "flat")
            for i in range(rows)
        ),
        n_names=1,
        data=pd.DataFrame({"ability": [text] * rows, "score": [0.612] * rows}),
    )


def make_cells() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "base_model": ["pond"] * 3,
            "data_source": [None, "human", "human"],
            "design": ["base", "all_abilities", "all_abilities"],
            "status": ["done", "done", "failed"],
            "train_seconds": [None, 7200.0, None],
            "score_seconds": [1.0, 3.0, None],
            "n_optimizer_steps": [0, 40, None],
            "n_tokens": [None, None, None],
            "peak_memory_bytes": [2**30, 3 * 2**30, None],
            "energy_joules": [None] * 3,
            "cost": [None] * 3,
            "excluded_reason": [None] * 3,
            "template": ["doit"] * 3,
            "checkpoint_rule": [None, "last", None],
            "training": ["{}", '{"epochs": 4.0, "steps": null}', '{"epochs": 4.0}'],
            "scoring": ['{"batch_size": 64}'] * 3,
        }
    )


# ------------------------------------------------------------------------------------------ values


def test_a_missing_value_has_its_reason_as_a_note() -> None:
    table = make_table(text="x")
    assert note_lines(table) == [("a", "X.")]
    assert "–<sup>a</sup>" in table_markdown(table)
    assert r"\textendash\textsuperscript{a}" in table_latex(table, "p")


def test_numbers_are_set_flush_right_and_words_left() -> None:
    table = make_table()
    assert [table.is_number(column) for column in range(3)] == [False, True, False]
    assert "| :-- | --: | :-- |" in table_markdown(table)
    assert r"\begin{tabular}{@{}lrl@{}}" in table_latex(table, "p")


def test_compute_sums_what_was_recorded_and_names_what_was_not() -> None:
    table = compute_table(make_cells())
    assert table is not None
    assert table.headings == (
        "Base model", "Data", "Done", "Failed", "Pending", "Training h", "Scoring h", "Steps",
        "Peak GiB",
    )  # fmt: skip
    assert table.rows[1] == ("pond", "human", "1", "1", "0", "2", "0.000833", "40", "3.00")
    assert table.rows[0][5] == Missing(reason="no run of this row recorded it")
    assert "No run recorded: Tokens, Energy kWh and Cost." in table.caption
    assert table.data["train_seconds"].tolist()[1] == 7200.0


def test_settings_leave_out_what_no_run_states() -> None:
    table = settings_table(make_cells())
    assert table is not None
    assert set(table.rows) == {
        ("training", "epochs", "all", "4.0"),
        ("scoring", "batch size", "all", "64"),
        ("run", "template", "all", "doit"),
        ("run", "checkpoint rule", "all", "last"),
    }


def test_runs_without_a_volume_have_scores_with_wilson_intervals() -> None:
    scores = pd.DataFrame(
        {
            "ability": ["quiz", "quiz", "essay"],
            "cell_id": ["a", "b", "a"],
            "label": ["pond", "lake", "pond"],
            "base_model": ["pond", "lake", "pond"],
            "n_params": [1, 2, 1],
            "data_source": [None] * 3,
            "volume_setting": [0, 0, 0],
            "design": ["base"] * 3,
            "metric": ["accuracy", "accuracy", "bleu"],
            "out_of_domain": [False] * 3,
            "score": [0.0, 0.75, 3.5],
            "stderr": [0.0, 0.03, 0.5],
            "n_scored": [100, 200, 10],
            "item_hash": ["h", "h", None],
            "missing_reason": [None] * 3,
        }
    )
    table = run_score_table(scores)
    assert table is not None
    shown = {(row[0], row[1]): row[3:] for row in table.rows}
    # As statsmodels.stats.proportion.proportion_confint(0, 100, method="wilson") and (150, 200).
    assert shown["quiz", "pond"] == ("0.0", "[0.0, 3.7]", "100")
    assert shown["quiz", "lake"] == ("75.0", "[68.6, 80.5]", "200")
    assert shown["essay", "pond"] == ("3.500", "[2.520, 4.480]", "10")


# ---------------------------------------------------------------------------------------- escaping


def test_markdown_shows_text_as_it_is() -> None:
    # CommonMark takes a backslash before punctuation as that sign.
    assert escape_markdown("a|b <i> [x](y) `c`\n*d*") == (r"a\|b \<i\> \[x\](y) \`c\` \*d\*")


def test_latex_escapes_every_special_character() -> None:
    assert escape_latex(r"\a{b}_%&#$") == r"\textbackslash{}a\{b\}\_\%\&\#\$"
    assert escape_latex("[x] -- 中") == r"{[}x] -{}- \texttt{U+4E2D}"
    assert escape_latex("line\nbreak\x00") == "line break "


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-base)")
@pytest.mark.slow
def test_latex_of_hostile_text_and_of_long_tables_compiles(tmp_path: Path) -> None:
    tables = TableSet(
        tables=(make_table(text=HOSTILE), make_table(rows=90, text=HOSTILE, name="long")),
        missing=(),
    )
    files = table_files(tables, [TableFormat.LATEX], study=HOSTILE, provenance=HOSTILE)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error",
         "tables.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
    assert files["long.tex"].count(r"\caption") == 1
    assert r"\begin{longtable}" in files["long.tex"]
    assert r"\begin{longtable}" not in files["scores.tex"]


def test_the_document_inputs_every_table_and_needs_no_other_packages() -> None:
    text = document_latex("s", "p", ["scores.tex", "long.tex"])
    assert r"\input{scores.tex}" in text and r"\input{long.tex}" in text
    assert r"\usepackage{booktabs}" in text
    assert r"\toprule" in table_latex(make_table(), "p")


# ------------------------------------------------------------------------------------------- files


def test_csv_defuses_formulas_and_keeps_numbers() -> None:
    tables = TableSet(tables=(make_table(text="=cmd()"),), missing=())
    files = table_files(tables, [TableFormat.CSV], study="s", provenance="p")
    assert files == {"scores.csv": "ability,score\n'=cmd(),0.612\n'=cmd(),0.612\n"}


def test_missing_tables_are_listed_with_their_reason() -> None:
    tables = TableSet(tables=(), missing=(MissingTable(name="tests-scale", reason="one_model"),))
    page = table_files(tables, [TableFormat.MD], study="s", provenance="p")["tables.md"]
    assert r"- tests-scale: one\_model." in page


def test_formats_are_read_and_unknown_ones_refused() -> None:
    assert read_formats("CSV, latex,csv") == [TableFormat.CSV, TableFormat.LATEX]
    with pytest.raises(InputError, match="'pdf' is no format of tables; known: latex, md, csv"):
        read_formats("csv,pdf")
    with pytest.raises(InputError, match="is no format"):
        read_formats("")


def test_a_second_export_replaces_the_first_and_foreign_files_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "tables"
    write_tables(out, {"a.csv": "1", "b.csv": "2"}, {"files": ["a.csv", "b.csv"]})
    (out / "tables.pdf").write_text("what pdflatex left")
    write_tables(out, {"a.csv": "3"}, {"files": ["a.csv"]})
    assert {path.name for path in out.iterdir()} == {"a.csv", "tables.json", "tables.pdf"}
    assert (out / "a.csv").read_text() == "3"
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds files that no export of tables wrote \(thesis"):
        write_tables(out, {"a.csv": "4"}, {"files": ["a.csv"]})
    assert (out / "a.csv").read_text() == "3"
    with pytest.raises(InputError, match="is a file; name a folder"):
        write_tables(out / "a.csv", {}, {"files": []})
