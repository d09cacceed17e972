"""Curves from CSV and Parquet: what is read, what is refused and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from warehouse.errors import InputError
from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.curves import CurveOptions, read_curves
from warehouse.records import Design

HEADER = "study,ability,base_model,data_source,n_examples,score"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a CSV of these lines."""

    def write_lines(*lines: str, name: str = "curves.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes((end.join(lines) + end).encode())
        return path

    return write_lines


def read(*paths: Path, **options: Any) -> Imported:
    (imported,) = read_curves(paths, CurveOptions(**options))
    return imported


def scores(imported: Imported) -> list[dict[str, Any]]:
    assert imported.scores is not None
    rows: list[dict[str, Any]] = imported.scores.to_pylist()
    return rows


def refuse(*paths: Path, **options: Any) -> RejectedImportError:
    with pytest.raises(RejectedImportError) as caught:
        read_curves(paths, CurveOptions(**options))
    return caught.value


# --- What is read -----------------------------------------------------------------------------


def test_every_column_reaches_its_field(write: Write) -> None:
    path = write(
        "study,ability,base_model,data_source,n_examples,score,n_params,seed,metric,stderr,n_items,"
        "chance_level,higher_is_better,family,steps,n_tokens,note",
        "s:1,math,opt-1.3b,human,16,0.375,1300000,7,exact_match,0.0625,250,0.125,yes,OPT,30,4096,x",
    )
    imported = read(path)
    (row,) = scores(imported)
    (cell,) = imported.cells
    (run,) = imported.runs
    assert row == {
        "import_id": "",
        "cell_id": cell.cell_id,
        "task": "math",
        "ability": "math",
        "metric": "exact_match",
        "higher_is_better": True,
        "score": 0.375,
        "missing_reason": None,
        "stderr": 0.0625,
        "n_items": 250,
        "parse_rate": None,
        "chance_level": 0.125,
    }
    assert (imported.study, imported.n_rows, imported.importer) == ("s:1", 1, "curves")
    assert (cell.base_model, cell.data_source, cell.n_params) == ("opt-1.3b", "human", 1_300_000)
    assert (cell.seed, cell.model_family, cell.design) == (7, "OPT", Design.IMPORTED)
    assert (cell.volume_setting, cell.volume_per) == (16, "total")
    assert cell.cell_id.startswith("imp-") and cell.training == {"steps": 30, "n_tokens": 4096}
    (part,) = cell.composition
    assert (part.data_source, part.ability, part.n_examples) == ("human", "unlabelled", 16)
    assert (run.cell_id, run.n_optimizer_steps, run.n_tokens) == (cell.cell_id, 30, 4096)
    assert [(part.file, part.what) for part in imported.ignored] == [("curves.csv", "column note")]
    assert imported.files[0].name == "curves.csv" and len(imported.files[0].sha256) == 64


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_spreadsheet_exports_are_read(write: Write, delimiter: str, end: str) -> None:
    header = delimiter.join(["Study", '"Ability"', "Base Model", *HEADER.split(",")[3:]])
    row = delimiter.join(["s", '"math"', "m", "human", "1e1", " 0.5 "])
    path = write("\ufeff", header, "", row, delimiter * 5, row.replace("1e1", "20.0"), end=end)
    assert [(row["ability"], row["score"]) for row in scores(read(path))] == [("math", 0.5)] * 2
    assert [cell.volume_setting for cell in read(path).cells] == [10, 20]


def test_parquet_is_read_like_csv(write: Write, tmp_path: Path) -> None:
    path = write(HEADER + ",seed,n_params", "s,math,m,human,4,0.25,,12", "s,math,m,human,8,0.1,3,")
    table = pd.read_csv(path)
    table.to_parquet(tmp_path / "curves.parquet")
    table.astype({"study": "category"}).to_parquet(tmp_path / "category.parquet")
    expected = read(path)
    for name in ("curves.parquet", "category.parquet"):
        found = read(tmp_path / name)
        assert found.cells == expected.cells and scores(found) == scores(expected)
    assert [cell.seed for cell in expected.cells] == [None, 3]
    # What one row says of a base model holds for all of its rows.
    assert [cell.n_params for cell in expected.cells] == [12, 12]


def test_options_stand_for_columns_that_are_absent_or_empty(write: Write) -> None:
    path = write("ability,n_examples,score,metric", "math,4,1.5,loss", "math,4,1.75,")
    imported = read(path, study="mine", base_model="m", data_source="human", metric="test_loss")
    assert [(row["metric"], row["higher_is_better"]) for row in scores(imported)] == [
        ("loss", False),
        ("test_loss", False),
    ]
    assert imported.study == "mine" and imported.arguments["metric"] == "test_loss"
    other = write(HEADER, "theirs,math,m,human,4,0.5", name="other.csv")
    assert read(other, study="mine").study == "mine"


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("loss", False), ("word_perplexity", False), ("error_rate", False), ("bleu", True)],
)
def test_the_direction_follows_the_metric_unless_told(
    write: Write, metric: str, higher: bool
) -> None:
    path = write(HEADER, "s,math,m,human,4,3.5")
    assert scores(read(path, metric=metric))[0]["higher_is_better"] is higher
    told = read(path, metric=metric, higher_is_better=not higher)
    assert scores(told)[0]["higher_is_better"] is not higher


def test_scores_within_0_and_1_are_accuracies_unless_named(write: Write) -> None:
    path = write(HEADER, "s,math,m,human,4,0.0", "s,math,m,human,8,1")
    assert {row["metric"] for row in scores(read(path))} == {"accuracy"}


def test_each_study_is_an_import_of_its_own(write: Write) -> None:
    first = write(HEADER, "b,math,m,human,4,0.5", "a,math,m,human,4,0.25", name="1.csv")
    second = write(HEADER, "b,math,m,human,8,0.75", name="2.csv")
    found = read_curves([first, second])
    assert [(part.study, part.n_rows, len(part.files)) for part in found] == [
        ("b", 2, 2),
        ("a", 1, 1),
    ]
    assert found[0].cells[0].cell_id != found[1].cells[0].cell_id
    assert list(found[0].score_origins) == [("1.csv", 2), ("2.csv", 2)]


def test_cells_are_known_by_what_can_not_be_corrected_later(write: Write) -> None:
    plain = read(write(HEADER, "s,math,m,human,4,0.5"))
    more = read(write(HEADER + ",n_params,family", "s,math,m,human,4,0.5,12,F"))
    assert plain.cells[0].cell_id == more.cells[0].cell_id
    seeded = read(write(HEADER + ",seed", "s,math,m,human,4,0.5,0"))
    assert plain.cells[0].cell_id != seeded.cells[0].cell_id


def test_a_hub_name_is_written_without_slash_and_that_is_said(write: Write) -> None:
    imported = read(write(HEADER, "s,math,facebook/opt-1.3b,human,4,0.5"))
    assert imported.cells[0].base_model == "facebook__opt-1.3b"
    assert imported.ignored[0].what == "the / in base_model"


def test_exact_repeats_are_dropped_and_listed(write: Write) -> None:
    row = "s,math,m,human,4,0.5"
    imported = read(write(HEADER, row, "s,math,m,human,8,0.5", row, row))
    assert len(scores(imported)) == 2 and imported.n_rows == 4
    assert [(part.what, part.reason) for part in imported.ignored] == [
        ("2 rows (lines 4, 5)", "repeat earlier rows")
    ]


# --- The untouched base model -----------------------------------------------------------------


def test_equal_scores_of_the_base_model_are_one_base_cell(write: Write) -> None:
    path = write(
        HEADER + ",seed",
        "s,math,m,human,0,0.25,1",
        "s,math,m,synthetic,0,0.25,2",
        "s,code,m,,0,0.5,",
        "s,math,m,human,4,0.5,1",
    )
    imported = read(path)
    base, trained = imported.cells
    assert (base.design, base.data_source, base.seed, base.composition) == (
        Design.BASE,
        None,
        None,
        (),
    )
    assert (base.volume_setting, base.volume_per, base.label) == (0, None, "m base")
    assert trained.design is Design.IMPORTED
    assert [(row["cell_id"], row["ability"]) for row in scores(imported)] == [
        (base.cell_id, "math"),
        (base.cell_id, "code"),
        (trained.cell_id, "math"),
    ]
    assert "untouched base model" in imported.ignored[0].reason


def test_replicated_evaluations_of_a_base_model_stay_apart_and_it_is_said(write: Write) -> None:
    path = write(
        HEADER + ",seed",
        "s,math,m,human,0,0.25,1",
        "s,math,m,human,0,0.375,2",
        "s,code,m,human,0,0.5,1",
        "s,math,other,human,0,0.125,1",
    )
    imported = read(path)
    assert [(cell.base_model, cell.design, cell.seed) for cell in imported.cells] == [
        ("m", Design.IMPORTED, 1),
        ("m", Design.IMPORTED, 2),
        ("other", Design.BASE, None),
    ]
    assert {cell.composition for cell in imported.cells} == {()}
    (note,) = imported.ignored
    assert note.what == "one base cell for m"
    alone = read(write(HEADER + ",seed", "s,math,m,human,0,0.25,1"))
    assert alone.cells[0].cell_id in note.reason


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "value", "reason"),
    [
        ("s,math,m,human,4,nan", "nan", "not a finite number"),
        ("s,math,m,human,4,inf", "inf", "not a finite number"),
        ("s,math,m,human,4,", "", "score is empty"),
        ("s,math,m,human,4,n/a", "n/a", "not a finite number"),
        ("s,math,m,human,4,0x1", "0x1", "not a finite number"),
        ("s,math,m,human,4,1_0", "1_0", "not a finite number"),
        ('s,math,m,human,4,"0,5"', "0,5", "decimal point"),
        ("s,math,m,human,4,1e400", "1e400", "beyond"),
        ("s,math,m,human,4,72.5", "72.5", "percentage"),
        ("s,math,m,human,4,-0.1", "-0.1", "outside [0, 1]"),
        ("s,math,m,human,-1,0.5", "-1", "below 0"),
        ("s,math,m,human,1.5,0.5", "1.5", "not a whole number"),
        ("s,math,m,human,,0.5", "", "n_examples is empty"),
        ("s,math,m,human,1e18,0.5", "1e18", "beyond"),
        ("s,math,m,,4,0.5", "", "data_source is empty"),
        ("s,,m,human,4,0.5", "", "ability is empty"),
        ("../s,math,m,human,4,0.5", "../s", "not a name"),
        ("s,math,../../m,human,4,0.5", "../../m", "not a name"),
        ("s,math,/etc/passwd,human,4,0.5", "/etc/passwd", "not a name"),
        ("s,math,m,a b,4,0.5", "a b", "not a name"),
        ("s,ma\x1bth,m,human,4,0.5", r"ma\x1bth", "not a name"),
        ("s,'; DROP TABLE x;--,m,human,4,0.5", "'; DROP TABLE x;--", "not a name"),
        (f"s,{'x' * 121},m,human,4,0.5", "x" * 119 + "…", "not a name"),
        ("s,math,m,human,4", "s | math | m | human | 4", "5 fields where the header has 6"),
        ("s,math,m,human,4,0.5,1", "s | math | m | human | 4 | 0.5 | 1", "7 fields"),
    ],
)
def test_a_bad_row_is_named_with_line_value_and_reason(
    write: Write, row: str, value: str, reason: str
) -> None:
    error = refuse(write(HEADER, "s,math,m,human,2,0.5", "", row))
    (found,) = error.rejected
    assert (found.file, found.line, found.value) == ("curves.csv", 4, value)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("stderr", "-0.1", "below 0"),
        ("n_items", "0", "below 1"),
        ("n_items", "2.5", "not a whole number"),
        ("chance_level", "1", "outside [0, 1)"),
        ("chance_level", "-0.25", "outside [0, 1)"),
        ("seed", "1.5", "not a whole number"),
        ("steps", "-1", "below 0"),
        ("n_params", "0", "below 1"),
        ("metric", "top 1", "not a name"),
        ("metric", "loss", "above 0"),
        ("higher_is_better", "maybe", "neither true nor false"),
        ("higher_is_better", "false", "lower is called better"),
    ],
)
def test_a_bad_optional_field_is_refused_and_an_unknown_one_is_not(
    write: Write, column: str, value: str, reason: str
) -> None:
    path = write(f"{HEADER},{column}", f"s,math,m,human,4,0,{value}")
    (found,) = refuse(path).rejected
    assert reason in found.reason and found.line == 2
    text = column == "metric"
    for unknown in ("",) if text or "better" in column else ("", "NA", "NaN"):
        read(write(f"{HEADER},{column}", f"s,math,m,human,4,0,{unknown}"))


@pytest.mark.parametrize(
    ("extra", "rows", "reason"),
    [
        ("", ("4,0.5", "4,0.75"), "line 2 gives the same run"),
        ("stderr", ("4,0.5,0.1", "4,0.5,0.2"), "stderr 0.1 there, 0.2 here"),
        ("stderr,n_items", ("4,0.5,,9", "4,0.5,,8"), "n_items 9 there, 8 here"),
        ("", ("0,0.5", "0,0.75"), "the same run"),
        ("n_params", ("4,0.5,10", "8,0.5,11"), "n_params of m is 10"),
        ("family", ("4,0.5,A", "8,0.5,B"), "family of m is A"),
        ("metric,higher_is_better", ("4,3,bleu,1", "8,3,bleu,0"), "has one direction"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    write: Write, extra: str, rows: tuple[str, str], reason: str
) -> None:
    header = ",".join(filter(None, [HEADER, extra]))
    (found,) = refuse(write(header, *(f"s,math,m,human,{row}" for row in rows))).rejected
    assert found.line == 3 and reason in found.reason


def test_differing_base_scores_need_a_source(write: Write) -> None:
    rows = ("s,math,m,,0,0.5,1", "s,math,m,,0,0.75,2")
    assert refuse(write(f"{HEADER},seed", *rows)).n_rejected == 2


def test_an_unnamed_metric_outside_0_and_1_names_the_option(write: Write) -> None:
    path = write(HEADER, "s,math,m,human,4,2.5")
    (found,) = refuse(path).rejected
    assert "--metric" in found.reason and "percentage" not in found.reason
    assert scores(read(path, metric="loss"))[0]["score"] == 2.5


def test_all_bad_rows_are_counted_and_the_first_twenty_shown_in_order(write: Write) -> None:
    rows = [f"s,math,m,human,{n},{'x' if n % 2 else 0.5}" for n in range(1, 101)]
    rows[1] = "s,math,,human,2,0.5"
    error = refuse(write(HEADER, *rows))
    assert error.n_rejected == 51
    assert [row.line for row in error.rejected][:3] == [2, 3, 4]
    assert len(error.rejected) == 20


def test_one_bad_file_keeps_the_good_ones_of_the_call_out(write: Write) -> None:
    good = write(HEADER, "s,math,m,human,4,0.5", name="good.csv")
    bad = write(HEADER, "s,math,m,human,8,x", name="bad.csv")
    (found,) = refuse(good, bad).rejected
    assert found.file == "bad.csv"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", None, "the file is empty"),
        (b"\n\n", None, "the file is empty"),
        (HEADER.encode(), None, "no rows"),
        (b"study,score\ns,1\n", None, "the header lacks ability, base_model"),
        (f"{HEADER},score\ns,m,m,h,4,1,1\n".encode(), 1, "score appears twice"),
        (f"{HEADER}\ns,caf\xe9,m,h,4,1\n".encode("latin-1"), 2, "not UTF-8"),
        (f'{HEADER}\ns,m,m,h,4,1\ns,"m,m,h,4,1\n'.encode(), 3, "check its quotes"),
        (b"PAR1 and no more", None, "not a readable Parquet file"),
    ],
    ids=str,
)
def test_a_file_that_is_no_table_of_curves_is_refused(
    tmp_path: Path, content: bytes, line: int | None, reason: str
) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    (found,) = refuse(path).rejected
    assert found.line == line and reason in found.reason


def test_a_parquet_column_of_lists_is_refused(tmp_path: Path) -> None:
    row = dict(zip(HEADER.split(","), ["s", "math", "m", "human", 4, [0.5]], strict=True))
    pd.DataFrame([row]).to_parquet(tmp_path / "x.parquet")
    (found,) = refuse(tmp_path / "x.parquet").rejected
    assert "score holds neither text nor numbers" in found.reason


def test_a_file_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_curves([tmp_path / "nowhere.csv"])


def test_lines_are_counted_as_an_editor_does(write: Write) -> None:
    path = write(HEADER + ",note", 's,math,m,human,4,0.5,"two\nlines"', "", "s,math,m,human,8,x,")
    (found,) = refuse(path).rejected
    assert found.line == 5


def test_many_rows_are_read_in_seconds(tmp_path: Path) -> None:
    rows = [f"s,ability-{ability},m,human,{n},0.5" for n in range(1, 2001) for ability in range(20)]
    path = tmp_path / "many.csv"
    path.write_text("\n".join([HEADER, *rows]))
    begin = time.process_time()
    assert read(path).n_rows == 40_000
    assert time.process_time() - begin < 5
