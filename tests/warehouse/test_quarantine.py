"""Bad landing files are moved aside with a reason; the rest is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import loading, open_latest
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.records import TABLES, RecordKind

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

Spoil = Callable[["Landing", str], Path]


def land_good(landing: Landing) -> None:
    """Land one good cell of two planned."""
    landing.plan("demo", [landing.cell("good"), landing.cell("waiting")])
    landing.finished_cell("good", {"math": [1.0, 0.0]})


def expect_quarantined(landing: Landing, path: Path, reason: str) -> None:
    """Ingest and assert that this file alone was refused for this reason."""
    workspace = landing.workspace
    report = ingest(workspace)
    target = workspace.quarantine / path.parent.name / path.name
    assert [item.file for item in report.quarantined] == [target]
    assert reason in report.quarantined[0].reason
    with open_latest(workspace) as conn:
        rows = conn.execute("SELECT cell_id, score FROM mart_ability_score").fetchall()
    assert rows == [("good", 0.5)]


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Write a Parquet file again by hand, past the contract's own checks and without a digest."""
    table = pq.read_table(path)
    metadata = {key: text for key, text in table.schema.metadata.items() if b"_data_" not in key}
    pq.write_table(change(table.replace_schema_metadata(metadata)), path)
    return path


def rewrite_json(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def scores(landing: Landing, cell_id: str, **changes: Any) -> Path:
    row = landing.score_row(cell_id, "math", 0, 1.0) | changes
    return landing.scores(cell_id, [row])


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


def damage_column(landing: Landing, cell_id: str, column: str, *, digest: bool = False) -> Path:
    """Overwrite the data of one column, the footer left whole."""
    rows = [landing.score_row(cell_id, "math", n, 1.0, response=f"{n:x}" * 9) for n in range(2000)]
    path = landing.scores(cell_id, rows)
    if not digest:
        rewrite(path, lambda table: table)
    group = pq.read_metadata(path).row_group(0)
    chunks = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    start = chunks[column].dictionary_page_offset or chunks[column].data_page_offset
    content = bytearray(path.read_bytes())
    content[start + 20 : start + 60] = b"\xff" * 40
    path.write_bytes(content)
    return path


def rot(landing: Landing, cell_id: str) -> Path:
    """Flip one bit that a Parquet reader takes for another value without complaint."""
    rows = [landing.score_row(cell_id, "math", n, n / 997) for n in range(500)]
    path = landing.scores(cell_id, rows)
    content, original = path.read_bytes(), pq.read_table(path)
    for place in range(4, len(content) // 2):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            if not pq.read_table(path).equals(original):
                return path
        except (OSError, pa.ArrowException):
            continue
    raise AssertionError("every flipped bit was noticed")


def write_text(landing: Landing, kind: RecordKind, name: str, text: str) -> Path:
    path = landing.workspace.landing / kind.value / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def link_outside(landing: Landing, name: str) -> Path:
    path = landing.workspace.landing / "run" / f"{name}.json"
    path.symlink_to("/etc/hostname")
    return path


def write_null_cell(landing: Landing, name: str) -> Path:
    path = scores(landing, name)
    nullable = pa.schema([field.with_nullable(True) for field in TABLES[RecordKind.ITEM_SCORE]])
    schema = nullable.with_metadata(pq.read_schema(path).metadata)
    rows = [row | {"cell_id": None} for row in pq.read_table(path).to_pylist()]
    return rewrite(path, lambda _: pa.Table.from_pylist(rows, schema=schema))


def write_integer_score(landing: Landing, name: str) -> Path:
    integers = pa.array([1], pa.int64())
    return rewrite(scores(landing, name), lambda t: t.set_column(9, "score", integers))


RUN, SCORE = RecordKind.RUN, RecordKind.ITEM_SCORE
NAN, INFINITY = float("nan"), float("inf")
# In UTC this is before the first year that there is.
FIRST_DAY = "0001-01-01T00:00:00+10:00"

# Name of the cell and file, what spoils it, part of the reason.
BAD: list[tuple[str, Spoil, str]] = [
    # Documents
    ("half", lambda z, n: write_text(z, RUN, f"{n}.json", "{"), "Invalid JSON"),
    ("empty", lambda z, n: write_text(z, RUN, f"{n}.json", ""), "Invalid JSON"),
    ("cut", lambda z, n: truncate(z.run(n)), "Invalid JSON"),
    ("version", lambda z, n: rewrite_json(z.run(n), schema_version=99), "version 99 is not 1"),
    ("infinite", lambda z, n: rewrite_json(z.run(n), train_loss=INFINITY), "train_loss"),
    ("extra", lambda z, n: rewrite_json(z.run(n), surprise=1), "surprise"),
    ("why", lambda z, n: rewrite_json(z.run(n), status="failed"), "a failed run must say why"),
    ("date", lambda z, n: rewrite_json(z.run(n), started_at=FIRST_DAY), "out of range"),
    ("tokens", lambda z, n: rewrite_json(z.run(n), n_tokens=10**30), "n_tokens"),
    ("attempt", lambda z, n: rewrite_json(z.run(n), attempt=2**31), "attempt"),
    ("path", lambda z, n: rewrite_json(z.plan(n, [z.cell("c")]), study="../x"), "study"),
    ("twice", lambda z, n: z.plan(n, [z.cell("c"), z.cell("c")]), "c appears 2 times"),
    # Names
    ("glob", lambda z, n: write_text(z, SCORE, f"{n}*[1].parquet", "{}"), "is not a name"),
    ("notes", lambda z, n: write_text(z, RUN, f"{n}.txt", "hello"), "is not a name"),
    ("json", lambda z, n: write_text(z, SCORE, f"{n}.json", "{}"), "is not a name"),
    ("link", link_outside, "not a plain file"),
    # Tables
    ("cut-table", lambda z, n: truncate(scores(z, n)), "not a readable Parquet file"),
    ("blank", lambda z, n: write_text(z, SCORE, f"{n}.parquet", ""), "not a readable"),
    ("rowless", lambda z, n: rewrite(scores(z, n), lambda t: t.slice(0, 0)), "no rows"),
    ("damaged-id", lambda z, n: damage_column(z, n, "item_id"), "can't be read"),
    ("damaged-text", lambda z, n: damage_column(z, n, "response"), "can't be read"),
    ("rotten", lambda z, n: rot(z, n), "doesn't match its digest"),
    (
        "gigantic",
        lambda z, n: scores(z, n, response="x" * 10_000_001),
        "response of 10000001 bytes",
    ),
    ("long-id", lambda z, n: scores(z, n, item_id="i" * 2_000), "over 1,000 bytes"),
    (
        "unversioned",
        lambda z, n: rewrite(scores(z, n), lambda t: t.replace_schema_metadata({})),
        "schema version none",
    ),
    (
        "columnless",
        lambda z, n: rewrite(scores(z, n), lambda t: t.drop_columns("metric")),
        "metric is missing",
    ),
    ("integer", write_integer_score, "column score is int64"),
    ("null-cell", write_null_cell, "column cell_id has missing values"),
    ("nan", lambda z, n: scores(z, n, score=NAN), "score nan is not finite"),
    ("inf", lambda z, n: scores(z, n, score=INFINITY), "score inf is not finite"),
    ("huge", lambda z, n: scores(z, n, metric="loss", score=1e200), "beyond 1e100"),
    ("above", lambda z, n: scores(z, n, score=1.5), "accuracy 1.5 is outside [0, 1]"),
    ("below", lambda z, n: scores(z, n, score=-0.5), "accuracy -0.5 is outside [0, 1]"),
    ("reasonless", lambda z, n: scores(z, n, score=None), "neither a score nor a missing_reason"),
    ("chance", lambda z, n: scores(z, n, chance_level=NAN), "no finite chance level"),
    ("chance-2", lambda z, n: scores(z, n, chance_level=1.25), "chance level 1.25 is outside"),
    (
        "bad-cell",
        lambda z, n: z.scores(n, [z.score_row("../../etc", "math", 0, 1.0)]),
        "cell_id ../../etc is not an id",
    ),
    ("sql", lambda z, n: scores(z, n, ability="x'; DROP TABLE raw_run; --"), "is not a name"),
    ("itemless", lambda z, n: scores(z, n, item_id=""), "a row without item_id"),
    ("metricless", lambda z, n: scores(z, n, metric=""), "a row without task, metric"),
    (
        "likelihood",
        lambda z, n: scores(z, n, choice_log_likelihoods=[NAN]),
        "log-likelihood is NaN",
    ),
    (
        "doubled",
        lambda z, n: z.scores(n, z.score_rows(n, {"math": [1.0]}) * 2),
        "appears twice for cell doubled",
    ),
    (
        "zz-copy",
        lambda z, n: z.scores(n, z.score_rows("good", {"math": [1.0]})),
        "cell good task task-math is already in good.parquet",
    ),
    ("log", lambda z, n: z.training_log(n, step=7), "attempt 1 step 7 appears twice"),
    ("log-0", lambda z, n: z.training_log(n, attempt=0), "attempt 0 step 1 is not positive"),
    (
        "mark",
        lambda z, n: z.vote(n, preference=None, model_b=None, rating=10.5),
        "rating 10.5 is outside [1, 10]",
    ),
    ("items", lambda z, n: z.items(n, {"math": 1}, item_id=""), "a row without item_id"),
    ("items-2", lambda z, n: z.items(n, {"math": 1}, ability="a b"), "ability a b is not a name"),
]


def test_bad_files_are_quarantined_with_their_reason_and_the_rest_is_loaded(
    landing: Landing,
) -> None:
    land_good(landing)
    workspace = landing.workspace
    paths = {name: spoil(landing, name) for name, spoil, _ in BAD}
    report = ingest(workspace)
    found = {item.file: item.reason for item in report.quarantined}
    assert {path.name for path in found} == {path.name for path in paths.values()}
    assert len(found) == len(BAD)
    for name, _, expected in BAD:
        path = paths[name]
        moved = workspace.quarantine / path.parent.name / path.name
        assert expected in found[moved], name
        note = moved.with_name(f"{moved.name}.reason.txt")
        assert note.read_text() == f"{found[moved]}\n", name
        assert not path.exists() and (moved.is_file() or moved.is_symlink()), name
    with open_latest(workspace) as conn:
        rows = conn.execute("SELECT cell_id, score FROM mart_ability_score").fetchall()
    assert rows == [("good", 0.5)]
    assert ingest(workspace).quarantined == ()


def test_scores_of_a_loaded_cell_are_refused_later_too(landing: Landing) -> None:
    land_good(landing)
    ingest(landing.workspace)
    again = landing.scores("good", landing.score_rows("good", {"math": [1.0]}), stem="a-copy")
    expect_quarantined(landing, again, "cell good task task-math is already in good.parquet")


def test_a_repeated_training_log_is_refused(landing: Landing) -> None:
    land_good(landing)
    path = landing.training_log("good", attempt=1)
    copy = path.with_name("zz-copy.parquet")
    copy.write_bytes(path.read_bytes())
    expect_quarantined(landing, copy, "cell good attempt 1 is already in good-1.parquet")


def test_many_damaged_files_are_told_from_good_ones(landing: Landing) -> None:
    land_good(landing)
    for number in range(5):
        name = f"cell-{number}"
        landing.scores(name, landing.score_rows(name, {"math": [1.0] * 50}))
    expect_quarantined(landing, damage_column(landing, "bad", "response"), "can't be read")
    with open_latest(landing.workspace) as conn:
        query = "SELECT count(DISTINCT cell_id) FROM stg_item_score"
        assert conn.execute(query).fetchone() == (6,)


def test_a_name_refused_twice_keeps_both(landing: Landing) -> None:
    land_good(landing)
    for text in ("{", "["):
        write_text(landing, RecordKind.RUN, "x-1.json", text)
        ingest(landing.workspace)
    folder = landing.workspace.quarantine / "run"
    kept = sorted(path.read_text() for path in folder.glob("*x-1.json"))
    assert kept == ["[", "{"]
    assert len(list(folder.glob("*.reason.txt"))) == 2


def test_sql_in_text_is_only_text(landing: Landing) -> None:
    evil = "'); DROP TABLE raw_run; --"
    landing.plan("demo", [landing.cell("a", label=evil, template=evil)], notice=evil)
    landing.scores("a", [landing.score_row("a", "math", 0, 1.0, response=evil)])
    landing.run("a", git_commit=evil)
    report = ingest(landing.workspace)
    assert report.quarantined == ()
    with open_latest(landing.workspace) as conn:
        query = "SELECT label, git_commit FROM mart_cell"
        assert conn.execute(query).fetchall() == [(evil, evil)]


def test_a_unit_of_an_earlier_batch_is_not_loaded_twice(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_BATCH_ROWS", 1)
    land_good(landing)
    copy = landing.scores("zz-copy", landing.score_rows("good", {"math": [1.0]}))
    expect_quarantined(landing, copy, "cell good task task-math is already in good.parquet")


def test_a_repeat_is_found_in_every_file_that_has_it(landing: Landing) -> None:
    land_good(landing)
    cells = [landing.cell(f"cell-{number}") for number in range(4)]
    landing.plan("more", cells)
    for number, cell in enumerate(cells):
        rows = landing.score_rows(cell.cell_id, {"math": [1.0, 0.0, 1.0]})
        landing.scores(cell.cell_id, rows + rows[:1] if number % 2 else rows)
    report = ingest(landing.workspace)
    assert [item.file.name for item in report.quarantined] == ["cell-1.parquet", "cell-3.parquet"]
    assert all("item math-item-0 appears twice" in item.reason for item in report.quarantined)


def test_a_fault_of_the_program_refuses_no_file(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_good(landing)
    real = loading.load_statement

    def misspelt(folder: str, name: str) -> str:
        text = real(folder, name)
        return text.replace("scoring_rule", "scoring_rul") if name.startswith("reject_") else text

    monkeypatch.setattr(loading, "load_statement", misspelt)
    with pytest.raises(WorkError, match="scoring_rul"):
        ingest(landing.workspace)
    assert not list(landing.workspace.quarantine.rglob("*"))
