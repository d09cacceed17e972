"""Bad input to the command line: one clear sentence and the right exit code."""

import subprocess
import sys

import pytest

from warehouse.workspace import DEFAULT_WORKSPACE


def cli(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "cli.py", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


def assert_refused(done, code, *fragments):
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    message = done.stderr.strip().splitlines()
    assert len(message) == 1, done.stderr
    for fragment in fragments:
        assert fragment in message[0]


def grid_file(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text, "utf-8")
    return path


GRID = """
study: s
base_models: [{{name: tiny, path: {model}}}]
dataset: {{folder: {data}}}
data_sources: [{{name: human, path: curated/full}}]
volumes: {{values: [0, 4]}}
training: {{epochs: 1, batch_size: 4}}
"""


def test_help_lists_the_commands():
    done = cli("--help")
    assert done.returncode == 0
    for command in ("run-grid", "ingest", "status", "sql", "fit", "dashboard", "bench"):
        assert command in done.stdout


def test_unknown_grid(tmp_path):
    assert_refused(
        cli("run-grid", "nope", "--workspace", tmp_path / "w"), 2, "no grid 'nope'", "quickstart"
    )


def test_malformed_yaml_names_the_line(tmp_path):
    path = grid_file(tmp_path, "study: [1\nx: }\n")
    assert_refused(cli("run-grid", path, "--workspace", tmp_path / "w"), 2, "line 2", "YAML")


def test_a_wrong_field_is_named(tmp_path, tiny_study):
    text = GRID.format(model=tiny_study.model, data=tiny_study.data).replace("epochs", "epoch")
    path = grid_file(tmp_path, text)
    assert_refused(cli("run-grid", path, "--workspace", tmp_path / "w"), 2, "training.epoch")


def test_a_missing_data_folder_is_named(tmp_path, tiny_study):
    path = grid_file(tmp_path, GRID.format(model=tiny_study.model, data="/no/such/folder"))
    assert_refused(cli("run-grid", path, "--workspace", tmp_path / "w"), 2, "/no/such/folder")


def test_a_missing_base_model_is_named(tmp_path, tiny_study):
    path = grid_file(tmp_path, GRID.format(model="/no/model", data=tiny_study.data))
    assert_refused(cli("run-grid", path, "--workspace", tmp_path / "w"), 2, "/no/model")


def test_a_bad_line_names_file_and_line(tmp_path, tiny_study):
    folder = tmp_path / "data" / "curated"
    for split in ("full", "test"):
        (folder / split).mkdir(parents=True)
        good = (tiny_study.data / "curated" / split / "code_x.json").read_text("utf-8")
        (folder / split / "code_x.json").write_text(good, "utf-8")
    with (folder / "full" / "code_x.json").open("a", encoding="utf-8") as handle:
        handle.write('{"messages": []}\n')
    path = grid_file(tmp_path, GRID.format(model=tiny_study.model, data=tmp_path / "data"))
    done = cli("run-grid", path, "--workspace", tmp_path / "w")
    assert_refused(done, 2, "code_x.json, line 41", "messages")


def test_a_workspace_that_is_a_file_is_refused(tmp_path, tiny_study):
    (tmp_path / "w").write_text("", "utf-8")
    done = cli("run-grid", tiny_study.grid, "--workspace", tmp_path / "w")
    assert_refused(done, 2, "is a file")


def test_an_unwritable_workspace_is_refused(tiny_study):
    # /proc can't be written to by anyone, root included.
    done = cli("run-grid", tiny_study.grid, "--workspace", "/proc/growthpace")
    assert_refused(done, 2, "can't be created")


@pytest.mark.parametrize("command", ["ingest", "status", "fit"])
def test_a_missing_workspace_says_what_to_do(tmp_path, command):
    done = cli(command, "--workspace", tmp_path / "none")
    assert_refused(done, 2, "run-grid quickstart")


def test_the_default_workspace_is_in_the_current_folder():
    assert str(DEFAULT_WORKSPACE) == "workspace"
