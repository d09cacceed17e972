"""Commands: what they print, where, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from warehouse import commands
from warehouse.errors import GrowthpaceError, InputError, WorkError
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

APP = typer.Typer()
commands.register(APP)


def call(workspace: Workspace, *arguments: str) -> Result:
    """Run a command that must succeed."""
    result = CliRunner().invoke(APP, [*arguments, "--workspace", str(workspace.root)])
    assert result.exit_code == 0, result.output
    return result


def refuse(workspace: Workspace, *arguments: str) -> GrowthpaceError:
    """Run a command that must fail with an error of ours."""
    result = CliRunner().invoke(APP, [*arguments, "--workspace", str(workspace.root)])
    assert isinstance(result.exception, GrowthpaceError), result.output
    assert result.stdout == ""
    return result.exception


def test_ingest_prints_what_it_did(demo: Workspace, landing: Landing) -> None:
    bad = landing.run("waiting")
    bad.write_text("{")
    first = call(demo, "ingest", "--json")
    document = json.loads(first.stdout)
    assert (document["files"], document["rows"], document["published"]) == (10, 27, True)
    assert Path(document["snapshot"]).is_file()
    assert [Path(row["file"]).name for row in document["quarantined"]] == [bad.name]
    assert "Quarantined" in first.stderr and "Invalid JSON" in first.stderr
    assert "is up to date" in call(demo, "ingest").stdout
    (demo.landing / "run" / "broken-1.json").unlink()
    assert "1 loaded landing files are gone" in call(demo, "ingest").stderr
    assert "Loaded 9 files" in call(demo, "ingest", "--rebuild").stdout


def test_ingest_of_nothing_says_so(workspace: Workspace) -> None:
    assert "Nothing has landed" in call(workspace, "ingest").stdout
    document = json.loads(call(workspace, "ingest", "--json").stdout)
    assert document["snapshot"] is None


def test_status_for_people_and_scripts(demo: Workspace, landing: Landing) -> None:
    document = json.loads(call(demo, "status", "--json").stdout)
    assert document["cells"] == {"total": 4, "done": 2, "failed": 1, "running": 0, "pending": 1}
    assert document["studies"][0]["study"] == "demo"
    assert document["failures"][0]["reason"] == "out of memory"
    assert document["runs"] == []
    text = call(demo, "status").stdout
    assert "4 cells: 2 done, 1 failed, 0 running, 1 pending." in text
    assert "Failed: label of broken (broken), train: out of memory" in text
    names = [f"cell-{number}" for number in range(12)]
    landing.plan("many", [landing.cell(name) for name in names])
    for name in names:
        landing.failure(name)
    assert "... and 3 more" in call(demo, "status").stdout


def test_status_shows_runs(demo: Workspace) -> None:
    from datetime import UTC, datetime

    moment = datetime.now(UTC).isoformat()
    worker = {"worker": 1, "cell_id": "waiting", "label": "the cell", "stage": "train"}
    worker |= {"step": 3, "n_steps": 9, "updated_at": moment}
    base = {"host": "here", "pid": 7, "n_total": 4, "n_done": 2, "n_failed": 1}
    running = base | {"run_id": "r1", "study": "demo", "started_at": moment, "updated_at": moment}
    running |= {"eta_seconds": 240, "workers": [worker]}
    lost = base | {"run_id": "r2", "study": "gone", "started_at": "2026-01-01T00:00:00Z"}
    lost |= {"updated_at": "2026-01-01T00:00:09Z"}
    demo.heartbeats.mkdir()
    for beat in (running, lost):
        (demo.heartbeats / f"{beat['run_id']}.json").write_text(json.dumps(beat))
    text = call(demo, "status").stdout
    assert "Running: demo on here (PID 7), about 4 min left" in text
    assert "worker 1: train the cell, step 3 of 9" in text
    assert "Lost: gone on here (PID 7) last beat at 2026-01-01 00:00:09 UTC" in text
    runs = json.loads(call(demo, "status", "--json").stdout)["runs"]
    assert [(run["state"], run["run_id"]) for run in runs] == [("running", "r1"), ("lost", "r2")]


def test_commands_need_a_workspace(tmp_path: Path) -> None:
    nowhere = Workspace(root=tmp_path / "nowhere")
    for arguments in (
        ["ingest"],
        ["status"],
        ["sql", "SELECT 1"],
        ["snapshot", "list"],
        ["snapshot", "pin", "latest"],
        ["snapshot", "diff", "latest", "latest"],
        ["exclude", "tuned", "--reason", "bad disk"],
        ["export", "warehouse", "--out", str(tmp_path / "out")],
        ["export", "landing", "--out", str(tmp_path / "out.zip")],
    ):
        assert refuse(nowhere, *arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


# --- sql --------------------------------------------------------------------------------------


QUERY = (
    "SELECT cell_id, score, seed, out_of_domain, [1, 2] AS l FROM mart_ability_score "
    "WHERE ability = 'exam' ORDER BY cell_id"
)


def test_sql_formats(results: Workspace, tmp_path: Path) -> None:
    rows = [
        {"cell_id": "base", "score": 0.5, "seed": None, "out_of_domain": True, "l": [1, 2]},
        {"cell_id": "tuned", "score": 0.5, "seed": 3, "out_of_domain": True, "l": [1, 2]},
    ]
    assert json.loads(call(results, "sql", QUERY, "--json").stdout) == rows
    assert json.loads(call(results, "sql", QUERY, "--format", "json").stdout) == rows
    csv = 'cell_id,score,seed,out_of_domain,l\nbase,0.5,,true,"[1, 2]"\ntuned,0.5,3,true,"[1, 2]"\n'
    assert call(results, "sql", QUERY, "--format", "csv").stdout == csv
    assert call(results, "sql", QUERY).stdout == (
        "cell_id  score  seed  out_of_domain  l\n"
        "-------  -----  ----  -------------  ------\n"
        "base       0.5  NULL           true  [1, 2]\n"
        "tuned      0.5     3           true  [1, 2]\n"
        "(2 rows)\n"
    )
    target = tmp_path / "out.csv"
    printed = call(results, "sql", QUERY, "--format", "csv", "--output", str(target)).stdout
    assert (printed, target.read_text()) == ("", csv)


def test_sql_refuses_with_one_sentence(results: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    error = refuse(results, "sql", f"COPY mart_study TO '{target}'", "--json")
    assert isinstance(error, InputError) and "COPY is refused" in str(error)
    assert "\n" not in str(error) and not target.exists()


def test_sql_writes_typed_parquet(results: Workspace, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    target = tmp_path / "out.parquet"
    call(results, "sql", QUERY, "--format", "parquet", "--output", str(target))
    table = pq.read_table(target)
    assert {field.name: str(field.type) for field in table.schema} == {
        "cell_id": "string",
        "score": "double",
        "seed": "int64",
        "out_of_domain": "bool",
        "l": "list<element: int32>",
    }
    assert table["seed"].to_pylist() == [None, 3]
    # A query that fails leaves the file as it was, and nothing else.
    error = refuse(
        results, "sql", "SELECT 'a'::INTEGER", "--format", "parquet", "--output", str(target)
    )
    assert error.exit_code == 1
    assert pq.read_table(target).equals(table) and list(tmp_path.iterdir()) == [target]
    assert "needs --output" in str(refuse(results, "sql", QUERY, "--format", "parquet"))


def test_sql_sees_no_environment_and_writes_no_file(
    results: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from warehouse import console

    monkeypatch.setenv("API_KEY", "secret")
    program = (
        "import json, os, pathlib, sys\n"
        "import warehouse.ad_hoc as ad_hoc\n"
        "from warehouse.ad_hoc import SelectResult\n"
        "def probe(conn, query, **limits):\n"
        "    try:\n"
        f"        pathlib.Path({str(tmp_path / 'written')!r}).write_text('x')\n"
        "        wrote = True\n"
        "    except OSError:\n"
        "        wrote = False\n"
        "    rows = ((os.environ.get('API_KEY'), wrote),)\n"
        "    return SelectResult(columns=('key', 'wrote'), rows=rows, truncated=False)\n"
        "ad_hoc.run_select = probe\n"
        "ad_hoc.main()\n"
    )
    run = console.subprocess.run

    def run_probe(command: list[str], **options: Any) -> Any:
        return run([command[0], "-c", program], **options)

    monkeypatch.setattr(console.subprocess, "run", run_probe)
    answer = console.ask(
        results, "SELECT 1", table_format="json", row_limit=1, time_limit_seconds=5
    )
    assert json.loads(answer.content) == [{"key": None, "wrote": False}]


def test_sql_runs_and_lists_examples(results: Workspace) -> None:
    listed = call(results, "sql", "--list-examples").stdout
    assert "09_failed_or_pending        Which cells failed" in listed
    rows = json.loads(call(results, "sql", "--example", "failed_or_pending", "--json").stdout)
    assert [row["cell_id"] for row in rows] == ["broken", "waiting"]


def test_sql_takes_one_question_a_call(results: Workspace) -> None:
    for arguments in (
        [],
        ["SELECT 1", "--example", "composition"],
        ["SELECT 1", "--list-examples"],
    ):
        assert "Give one of" in str(refuse(results, "sql", *arguments))


def test_sql_limits_rows(results: Workspace) -> None:
    result = call(results, "sql", "FROM range(50)", "--limit", "3", "--format", "csv")
    assert result.stdout == "range\n0\n1\n2\n"
    assert "These are only the first 3 rows" in result.stderr
    exact = call(results, "sql", "FROM range(3)", "--limit", "3", "--format", "csv")
    assert exact.stderr == ""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b",
            "longer than 0.2 s",
        ),
        # While it is planned, where no interrupt is heard and no memory limit of DuckDB's counts.
        ("SELECT sum(length(repeat(x, 1_000_000_000))) FROM (VALUES ('x')) t(x)", ""),
        ("SELECT range(2_000_000_000)", "Out of Memory"),
        # Doubles its rows at each step.
        (
            "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x FROM a, range(2)) "
            "SELECT count(*) FROM a",
            "",
        ),
        (
            "SELECT sum(regexp_extract_all(repeat('a', 1000000), '(a|aa)+?b|a').len()) "
            "FROM range(1000)",
            "",
        ),
        ("SELECT sleep_ms(100_000)", "longer than 0.2 s"),
        ("SELECT 'a'::INTEGER", "Could not convert"),
    ],
)
def test_sql_limits_time_and_memory(results: Workspace, query: str, message: str) -> None:
    error = refuse(results, "sql", query, "--time-limit", "0.2")
    assert isinstance(error, WorkError) and error.exit_code == 1 and message in str(error)


def test_sql_that_never_ends_gives_its_first_rows(results: Workspace) -> None:
    endless = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT i FROM a"
    result = call(results, "sql", endless, "--limit", "2", "--format", "csv")
    assert result.stdout == "i\n1\n2\n"


def test_sql_output_needs_its_folder(results: Workspace, tmp_path: Path) -> None:
    error = refuse(results, "sql", "SELECT 1", "--output", str(tmp_path / "no" / "x.csv"))
    assert error.exit_code == 2 and "there is no folder" in str(error)


def test_importing_the_commands_is_light(run_python: Any) -> None:
    program = (
        "import sys, warehouse.commands\n"
        "heavy = {'duckdb', 'pandas', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = run_python(program)
    assert result.returncode == 0, result.stderr
