"""The documentation names what exists, and what exists is documented."""

import re
from pathlib import Path

import pytest
import typer
import yaml

import cli
from runners.grid_spec import SHIPPED_GRIDS, GridSpec, TrainingSpec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)


def commands() -> list[str]:
    group = typer.main.get_command(cli.app)
    found = []
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found += [f"{name} {sub}" for sub in inner] if inner else [name]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command):
    assert f"cli.py {command}" in TEXT


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_with_an_example(command):
    current = typer.main.get_command(cli.app)
    for part in command.split():
        current = current.commands[part]
    assert "Example: python cli.py" in current.help


def test_documented_commands_exist():
    known = {command.split()[0] for command in commands()}
    for name in re.findall(r"python cli\.py ([a-z][a-z-]*)", TEXT):
        assert name in known, name


def test_every_shipped_grid_is_documented():
    for grid in SHIPPED_GRIDS.glob("*.yaml"):
        assert f"`{grid.stem}`" in (ROOT / "docs" / "grids.md").read_text("utf-8")


def test_every_training_setting_is_documented():
    text = (ROOT / "docs" / "grids.md").read_text("utf-8")
    for field in TrainingSpec.model_fields:
        assert f"`{field}`" in text, field


def test_the_documented_grid_is_valid():
    text = (ROOT / "docs" / "grids.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert GridSpec.model_validate(yaml.safe_load(block)).study == "my-study"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
