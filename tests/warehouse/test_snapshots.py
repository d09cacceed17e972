"""Snapshots: listed, pinned against any clean-up, and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from warehouse.commands import snapshots as snapshot_commands
from warehouse.errors import BusyError, InputError, WorkError
from warehouse.ingest import ingest
from warehouse.landing import write_document
from warehouse.publish import N_SNAPSHOTS_KEPT
from warehouse.records import ExclusionRecord, RecordKind
from warehouse.snapshots import (
    PINNED,
    SnapshotDiff,
    diff_snapshots,
    list_snapshots,
    load_kept_ids,
    pin_snapshot,
    pins_lock,
    resolve_snapshot,
    unpin_snapshot,
)
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing


def publish_again(landing: Landing, number: int) -> str:
    """Change something and publish; return the new snapshot's id."""
    landing.failure("broken", attempt=number)
    report = ingest(landing.workspace)
    assert report.published
    return resolve_snapshot(landing.workspace, "latest").id


@pytest.fixture
def published(demo: Workspace) -> Workspace:
    ingest(demo)
    return demo


def test_listing_tells_what_each_is(published: Workspace, landing: Landing) -> None:
    first = resolve_snapshot(published, "latest").id
    second = publish_again(landing, 2)
    pin_snapshot(published, first)
    pin_snapshot(published, second, cited_by="exports/my report")
    newest, oldest = list_snapshots(published)
    assert (newest.id, newest.is_latest, newest.is_pinned) == (second, True, False)
    assert newest.cited_by == ("exports/my report",)
    assert (oldest.id, oldest.is_latest, oldest.is_pinned) == (first, False, True)
    assert oldest.cited_by == () and oldest.published_at < newest.published_at
    assert abs((datetime.now(UTC) - newest.published_at).total_seconds()) < 600
    assert newest.size_bytes == newest.path.stat().st_size


def test_nothing_published_is_an_empty_list(workspace: Workspace) -> None:
    assert list_snapshots(workspace) == ()
    for call in (resolve_snapshot, pin_snapshot, unpin_snapshot):
        with pytest.raises((InputError, WorkError)):
            call(workspace, "latest")


def test_names_are_matched_and_never_made_into_paths(
    published: Workspace, landing: Landing
) -> None:
    first = resolve_snapshot(published, "latest").id
    second = publish_again(landing, 2)
    assert resolve_snapshot(published, first).id == first
    assert resolve_snapshot(published, f"results-{first}.duckdb").id == first
    length = next(
        index for index, pair in enumerate(zip(first, second, strict=True)) if len({*pair}) > 1
    )
    shared = first[:length]
    assert resolve_snapshot(published, second[: length + 1]).id == second
    with pytest.raises(InputError, match="start of 2 snapshots"):
        resolve_snapshot(published, shared)
    (published.snapshots / "secret.duckdb").touch()
    for name in ("", "2", "nope", "../snapshots", "secret", "secret.duckdb", f"{first}'; --"):
        with pytest.raises(InputError, match="no snapshot"):
            resolve_snapshot(published, name)


def test_pinned_and_cited_snapshots_outlive_every_publish(
    published: Workspace, landing: Landing
) -> None:
    pinned = pin_snapshot(published, "latest").id
    cited = publish_again(landing, 2)
    pin_snapshot(published, cited, cited_by="exports/report")
    plain = publish_again(landing, 3)
    for number in range(4, 5 + N_SNAPSHOTS_KEPT):
        publish_again(landing, number)
    kept = {info.id for info in list_snapshots(published)}
    assert {pinned, cited} <= kept and plain not in kept
    assert unpin_snapshot(published, pinned) == (pinned, ())
    assert unpin_snapshot(published, cited[:30]) == (cited, ("exports/report",))
    with pytest.raises(InputError, match="is not pinned"):
        unpin_snapshot(published, "latest")
    publish_again(landing, 20)
    assert not {pinned, cited} & {info.id for info in list_snapshots(published)}


def test_names_that_people_wrote_into_the_file_count(published: Workspace) -> None:
    snapshot = resolve_snapshot(published, "latest")
    (published.snapshots / PINNED).write_text(f"{snapshot.path.name}\n\ngone-1\n")
    assert load_kept_ids(published) == {snapshot.id, "gone-1"}
    assert list_snapshots(published)[0].is_pinned
    # What is pinned without a file can still be taken out.
    assert unpin_snapshot(published, "gone-1") == ("gone-1", ())
    assert load_kept_ids(published) == {snapshot.id}


def test_a_snapshot_that_is_being_cleared_away_cannot_be_pinned(
    published: Workspace, landing: Landing
) -> None:
    first = resolve_snapshot(published, "latest")
    publish_again(landing, 2)
    errors: list[BaseException] = []

    def pin() -> None:
        try:
            pin_snapshot(published, first.id)
        except InputError as error:
            errors.append(error)

    with pins_lock(published):
        thread = threading.Thread(target=pin)
        thread.start()
        time.sleep(0.2)
        # Found, it now waits for the clean-up, which deletes it.
        first.path.unlink()
    thread.join(10)
    assert "was cleared away a moment ago" in str(errors[0])
    assert load_kept_ids(published) == set()


_PIN_MANY = """
import os, sys
from pathlib import Path
from warehouse.snapshots import pin_snapshot
from warehouse.workspace import Workspace
for name in sys.argv[2:]:
    pin_snapshot(Workspace(root=Path(sys.argv[1])), name, cited_by=f"export of {os.getpid()}")
"""


def test_pins_of_many_processes_are_all_kept(published: Workspace, landing: Landing) -> None:
    names = [resolve_snapshot(published, "latest").id, publish_again(landing, 2)]
    command = [sys.executable, "-c", _PIN_MANY, str(published.root), *names]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    workers = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert [len(info.cited_by) for info in list_snapshots(published)] == [3, 3]


def test_a_lock_that_stays_held_or_cannot_be_taken_is_one_sentence(
    published: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.snapshots._LOCK_TIMEOUT_SECONDS", 0.1)
    with pins_lock(published), pytest.raises(BusyError, match=r"pins\.lock for more than 0\.1 s"):
        pin_snapshot(published, "latest")
    # A folder in its place: not even root can lock that.
    (published.snapshots / "pins.lock").unlink(missing_ok=True)
    (published.snapshots / "pins.lock").mkdir()
    with pytest.raises(WorkError, match="can't be locked"):
        pin_snapshot(published, "latest")


# --- What changed -----------------------------------------------------------------------------


def test_a_diff_says_what_changed(published: Workspace, landing: Landing) -> None:
    before = resolve_snapshot(published, "latest").id
    # `waiting` is done now, `broken` is done now with another score file, `tuned` is excluded.
    landing.finished_cell("waiting", {"math": [1.0, 0.0, 0.0, 0.0]})
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    record = ExclusionRecord(cell_id="tuned", reason="bad disk", created_at=moment)
    write_document(published, RecordKind.EXCLUSION, "tuned-1", record)
    landing.plan("other", [landing.cell("new")])
    ingest(published)
    diff = diff_snapshots(published, before, "latest")
    assert (diff.before, diff.after) == (before, resolve_snapshot(published, "latest").id)
    assert diff.studies == ({"study": "other", "change": "added"},)
    cells = {row["cell_id"]: row for row in diff.cells}
    assert {name: row["change"] for name, row in cells.items()} == {
        "waiting": "status",
        "tuned": "exclusion",
        "new": "added",
    }
    assert (cells["waiting"]["status_before"], cells["waiting"]["status_after"]) == (
        "pending",
        "done",
    )
    assert (cells["tuned"]["excluded_before"], cells["tuned"]["excluded_after"]) == (
        None,
        "bad disk",
    )
    (score,) = diff.scores
    assert (score["cell_id"], score["ability"], score["change"], score["score_after"]) == (
        "waiting",
        "math",
        "added",
        0.25,
    )
    assert diff.abilities == diff.columns == ()
    backwards = diff_snapshots(published, "latest", before)
    assert {row["change"] for row in backwards.scores} == {"removed"}
    assert diff_snapshots(published, before, before).cells == ()


def test_changed_scores_come_largest_first(published: Workspace, landing: Landing) -> None:
    before = resolve_snapshot(published, "latest").id
    rows = landing.score_rows("tuned", {"math": [0.0, 0.0, 0.0, None], "exam": [1.0, 1.0]})
    landing.scores("tuned", rows)
    landing.scores("base", landing.score_rows("base", {"exam": [1.0, 0.0], "code": [1.0]}))
    ingest(published, rebuild=True)
    diff = diff_snapshots(published, before, "latest")
    changed = [row for row in diff.scores if row["change"] == "changed"]
    assert [(row["ability"], round(row["difference"], 4)) for row in changed] == [
        ("math", -0.6667),
        ("exam", 0.5),
    ]
    assert [(row["ability"], row["change"]) for row in diff.abilities] == [("code", "added")]


def test_snapshots_of_earlier_schemas_compare(published: Workspace) -> None:
    latest = resolve_snapshot(published, "latest")
    old = published.snapshots / "results-20200101T000000000000Z-0123456789ab.duckdb"
    with duckdb.connect(str(old)) as conn:
        conn.execute("ATTACH ? AS new (READ_ONLY)", [str(latest.path)])
        conn.execute("CREATE TABLE mart_study AS FROM new.mart_study")
        for table in ("mart_cell", "mart_ability_score"):
            conn.table(f"new.{table}").project("* EXCLUDE (excluded_reason)").create(table)
        conn.execute("ALTER TABLE mart_cell ADD COLUMN old_name INTEGER")
    diff = diff_snapshots(published, "2020", latest.id)
    columns = {(row["table_name"], row["column_name"]): row["change"] for row in diff.columns}
    assert columns["mart_cell", "excluded_reason"] == "added"
    assert columns["mart_cell", "old_name"] == "removed"
    assert diff.cells == diff.scores == diff.studies == ()


def test_a_damaged_snapshot_is_one_sentence(published: Workspace) -> None:
    bad = published.snapshots / "results-20200101T000000000000Z-0123456789ab.duckdb"
    bad.write_bytes(b"not a database" * 1000)
    with pytest.raises(WorkError, match="can't be compared") as caught:
        diff_snapshots(published, "2020", "latest")
    assert "\n" not in str(caught.value)


def test_every_part_of_a_diff_is_worded() -> None:
    score = {"study": "s", "cell_id": "c", "ability": "math", "metric": "accuracy"}
    scores = [
        score | {"change": "changed", "score_before": number / 100, "score_after": None}
        for number in range(12)
    ]
    scores.append(score | {"change": "added", "score_before": None, "score_after": 1.0})
    cell = {"study": "s", "cell_id": "c", "label": "the cell", "change": "exclusion"}
    diff = SnapshotDiff(
        before="a",
        after="b",
        columns=({"table_name": "mart_cell", "column_name": "x", "change": "removed"},),
        studies=({"study": "s", "change": "added"},),
        abilities=({"study": "s", "ability": "code", "metric": "accuracy", "change": "removed"},),
        cells=(cell | {"excluded_before": None, "excluded_after": "bad disk"},),
        scores=tuple(scores),
    )
    assert snapshot_commands._diff_lines(diff)[:11] == [
        "From a to b:",
        "columns: 1 removed",
        "  mart_cell.x removed",
        "studies: 1 added",
        "  s added",
        "abilities: 1 removed",
        "  s: code (accuracy) removed",
        "cells: 1 with another exclusion",
        "  s: the cell (c), excluded: none -> bad disk",
        "scores: 1 added, 12 changed",
        "  s: c math (accuracy) 0.0000 -> none",
    ]
    assert snapshot_commands._diff_lines(diff)[-1] == "  ... and 2 more; see --json."


def test_a_diff_can_be_printed(published: Workspace, landing: Landing) -> None:
    import typer
    from typer.testing import CliRunner

    from warehouse import commands

    app = typer.Typer()
    commands.register(app)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--workspace", str(published.root)])
        assert result.exit_code == 0, result.output
        return result.stdout

    before = resolve_snapshot(published, "latest").id
    landing.scores("tuned", landing.score_rows("tuned", {"math": [1.0, 1.0, 1.0, 1.0]}))
    landing.run("waiting")
    ingest(published, rebuild=True)
    text = call("snapshot", "diff", before, "latest")
    assert "cells: 1 with another status" in text
    assert "demo: label of waiting (waiting), status: pending -> done" in text
    assert "demo: tuned math (accuracy) 0.6667 -> 1.0000" in text
    assert "No difference" in call("snapshot", "diff", "latest", "latest")
    document = json.loads(call("snapshot", "diff", before, "latest", "--json"))
    assert document["before"] == before
    assert {row["cell_id"] for row in document["scores"]} == {"tuned"}
    assert f"Pinned {before}" in call("snapshot", "pin", before)
    listed = json.loads(call("snapshot", "list", "--json"))["snapshots"]
    assert [row["pinned"] for row in listed] == [False, True]
    assert "latest" in call("snapshot", "list") and "pinned" in call("snapshot", "list")
    assert json.loads(call("snapshot", "pin", "latest", "--json"))["pinned"] is True
    assert "a later publish clears it away" in call("snapshot", "unpin", before)
    assert json.loads(call("snapshot", "unpin", "latest", "--json"))["pinned"] is False
