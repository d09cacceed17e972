"""Votes from CSV: verdicts in their several spellings, repeats, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.judgments import read_judgments
from warehouse.importers.landed import land
from warehouse.workspace import Workspace

HEADER = "item_id,model_a,model_b"


def write(folder: Path, *lines: str, name: str = "votes.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def votes(imported: Imported) -> list[dict[str, Any]]:
    assert imported.votes is not None
    rows: list[dict[str, Any]] = imported.votes.to_pylist()
    return rows


def read(folder: Path, *lines: str) -> list[dict[str, Any]]:
    (imported,) = read_judgments([write(folder, *lines)])
    return votes(imported)


def test_every_column_reaches_its_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{HEADER},preference,order,len_a,len_b,judge,annotator,instruction_difficulty,ability,"
        "study,note",
        "问题 1,GPT-4 (June),llama/2,1.25,ba,120,80,claude,Ann,-0.75,writing,arena,x",
    )
    (imported,) = read_judgments([path])
    (vote,) = votes(imported)
    assert {name: value for name, value in vote.items() if value is not None} == {
        "vote_id": vote["vote_id"],
        "study": "arena",
        "protocol": "pairwise",
        "item_id": "问题 1",
        "ability": "writing",
        "model_a": "GPT-4 (June)",
        "model_b": "llama/2",
        "shown_first": "b",
        "judge": "claude",
        "annotator": "Ann",
        "preference": 1.25,
        "len_a": 120,
        "len_b": 80,
        "instruction_difficulty": -0.75,
    }
    assert imported.study == "arena" and imported.importer == "judgments"
    assert [part.what for part in imported.ignored] == ["column note"]


@pytest.mark.parametrize(
    ("winner", "preference"),
    [
        ("x", 1.0),
        ("a", 2.0),
        ("A", 1.0),
        ("model_b", 2.0),
        ("B", 2.0),
        ("tie", 1.5),
        ("Tie (bothbad)", 1.5),
    ],
)
def test_a_winner_is_a_preference(tmp_path: Path, winner: str, preference: float) -> None:
    # The second model is called a: its name comes before the letter.
    (vote,) = read(tmp_path, f"{HEADER},winner", f"q,x,a,{winner}")
    assert vote["preference"] == preference


@pytest.mark.parametrize(
    ("order", "shown_first"), [("", None), ("ab", "a"), ("y", "b"), ("model_a", "a"), ("2", "b")]
)
def test_the_order_says_which_answer_was_shown_first(
    tmp_path: Path, order: str, shown_first: str | None
) -> None:
    (vote,) = read(tmp_path, f"{HEADER},winner,order", f"q,x,y,tie,{order}")
    assert vote["shown_first"] == shown_first


def test_a_failed_vote_is_kept_with_its_reason(tmp_path: Path) -> None:
    (vote,) = read(tmp_path, f"{HEADER},preference,failed_reason", "q,x,y,,no answer")
    assert (vote["preference"], vote["failed_reason"]) == (None, "no answer")


def test_the_study_is_the_option_or_the_column_or_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path, f"{HEADER},winner,study", "q,x,y,x,s", "q,x,y,x,", name="_my votes 2024.csv"
    )
    assert [part.study for part in read_judgments([path])] == ["s", "my-votes-2024"]
    assert [part.study for part in read_judgments([path], study="t")] == ["t"]


def test_repeats_within_a_file_are_votes_of_their_own(tmp_path: Path, workspace: Workspace) -> None:
    rows = ["q,x,y,1", "q,x,y,1", "q,x,y,2"]
    found = read(tmp_path, f"{HEADER},preference", *rows)
    assert len({vote["vote_id"] for vote in found}) == 3
    # Appended rows leave the ids of the earlier ones as they were.
    grown = read(tmp_path, f"{HEADER},preference", *rows, "q,y,x,1", "q,x,y,2")
    assert [vote["vote_id"] for vote in grown][:3] == [vote["vote_id"] for vote in found]
    path = tmp_path / "votes.csv"
    assert land(workspace, read_judgments([path])[0]).n_new_rows == 5
    write(tmp_path, *path.read_text().split(), "q2,x,y,1")
    assert land(workspace, read_judgments([path])[0]).n_new_rows == 1


def test_a_vote_in_two_files_of_a_call_counts_once(tmp_path: Path) -> None:
    one = write(tmp_path, f"{HEADER},winner", "q,x,y,x", name="1.csv")
    same = write(tmp_path, f"{HEADER},winner", "q,x,y,a", "q,x,y,b", name="2.csv")
    (imported,) = read_judgments([one, same], study="s")
    assert [vote["preference"] for vote in votes(imported)] == [1.0, 2.0]
    assert [(part.file, part.what) for part in imported.ignored] == [("2.csv", "1 votes")]
    other = write(tmp_path, f"{HEADER},winner", "q,x,y,y", name="3.csv")
    with pytest.raises(RejectedImportError, match=r"1\.csv line 2 holds the same vote"):
        read_judgments([one, other], study="s")
    assert len(read_judgments([one, other])) == 2


@pytest.mark.parametrize(
    ("columns", "row", "value", "reason"),
    [
        ("preference", "q,x,y,0", "0", "outside [1, 2]"),
        ("preference", "q,x,y,2.5", "2.5", "outside [1, 2]"),
        ("preference", "q,x,y,better", "better", "not a finite number"),
        ("preference", "q,x,y,", "", "there is no verdict"),
        ("preference", "q,x,x,1", "x", "the same"),
        ("preference", ",x,y,1", "", "item_id is empty"),
        ("preference", "q,x,,1", "", "model_b is empty"),
        ("preference", f"{'q' * 201},x,y,1", "q" * 119 + "…", "longer than 200"),
        ("preference", "q\x00,x,y,1", r"q\x00", "control characters"),
        ("winner", "q,x,y,z", "z", "neither of the two"),
        ("winner,preference", "q,x,y,x,2", "x", "contradicts preference 2"),
        ("winner,order", "q,x,y,x,left", "left", "neither a nor b"),
        ("winner,len_a", "q,x,y,x,-4", "-4", "below 0"),
        ("winner,ability", "q,x,y,x,../up", "../up", "not a name"),
        ("winner,failed_reason", "q,x,y,x,lost", "lost", "has no verdict"),
    ],
)
def test_a_bad_vote_is_named_with_line_value_and_reason(
    tmp_path: Path, columns: str, row: str, value: str, reason: str
) -> None:
    path = write(tmp_path, f"{HEADER},{columns}", row)
    with pytest.raises(RejectedImportError) as caught:
        read_judgments([path])
    (found,) = caught.value.rejected
    assert (found.line, found.value) == (2, value)
    assert reason in found.reason


def test_votes_need_a_verdict_column(tmp_path: Path) -> None:
    with pytest.raises(RejectedImportError, match="or a column winner"):
        read_judgments([write(tmp_path, HEADER, "q,x,y")])
