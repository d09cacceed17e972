"""Runs what a page of the documentation shows.

A block marked `sh` is run, in the order of the page, in one folder; a block marked `text` right
after it is what it prints (stderr apart). Blocks marked otherwise are not run: `bash` is for what
needs a network, a browser or a reader. In a block marked `text trained` numbers come from a
training run on this machine, so they may differ a little; all else must be there word by word.

`python -m tests.doc_blocks docs/guide.md` runs a page and writes its outputs anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = "100"

_BLOCK = re.compile(
    r"^```sh\n(?P<commands>.*?)^```\n(?:\n*```text(?P<mark>[ a-z]*)\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_SNAPSHOT = re.compile(r"results-\w+-\w+\.duckdb")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?%?")
# Lines of tables are as long as their cells are wide.
_RULES = re.compile(r"[─━┏┓┗┛┡┩┢┪├┤└┘┳┻╇╈┴┬┼]+")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Commands and what they print; `output` is None where the page does not show it."""

    commands: str
    output: str | None
    trained: bool
    line: int


def read_blocks(page: Path) -> list[Block]:
    """Return a page's blocks that are run."""
    text = page.read_text("utf-8")
    return [
        Block(
            commands=match["commands"],
            output=match["output"],
            trained=(match["mark"] or "").strip() == "trained",
            line=text.count("\n", 0, match.start()) + 1,
        )
        for match in _BLOCK.finditer(text)
    ]


def prepare_folder(folder: Path) -> None:
    """Make a folder look like a checkout to the commands."""
    for name in ("cli.py", "docs", "runners"):
        (folder / name).symlink_to(ROOT / name)


def run_block(block: Block, folder: Path) -> str:
    """Run a block's commands; return what they print.

    Raises
    ------
    AssertionError
        If a command fails; says which block, and what it printed.
    """
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": COLUMNS,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", block.commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    said = f"{block.commands}{done.stdout}{done.stderr}"
    assert done.returncode == 0, f"line {block.line}: exit code {done.returncode}\n{said}"
    return _without_trailing_blanks(done.stdout)


def find_difference(shown: str, printed: str, *, trained: bool) -> str | None:
    """Return the first line in which the output differs from what the page shows; else None.

    Blanks and the lengths of rules don't count. Numbers must be the same to 1% or, with a decimal
    point or a percent sign, to one in the last digit (other processors round otherwise); with
    `trained`, to 10 or a quarter.
    """
    shown_lines, printed_lines = _content(shown), _content(printed)
    for old, new in zip(shown_lines, printed_lines, strict=False):
        if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
            return f"shown:   {old}\nprinted: {new}"
        pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
        if not all(_agree(a, b, trained=trained) for a, b in pairs):
            return f"shown:   {old}\nprinted: {new}"
    if len(shown_lines) != len(printed_lines):
        return f"{len(shown_lines)} lines are shown, {len(printed_lines)} printed"
    return None


def refresh(page: Path) -> None:
    """Run a page and write its outputs anew."""
    with tempfile.TemporaryDirectory() as name:
        prepare_folder(Path(name))
        outputs = []
        for block in read_blocks(page):
            began = time.monotonic()
            outputs.append(run_block(block, Path(name)))
            print(f"line {block.line}: {time.monotonic() - began:.1f} s")
    iterator = iter(outputs)

    def rewrite(match: re.Match[str]) -> str:
        printed = next(iterator)
        if match["output"] is None:
            return match[0]
        return f"```sh\n{match['commands']}```\n\n```text{match['mark']}\n{printed}```\n"

    page.write_text(_BLOCK.sub(rewrite, page.read_text("utf-8")), "utf-8")


def _content(text: str) -> list[str]:
    """Return the lines that say something, without rules and doubled blanks."""
    text = _RULES.sub("", _SNAPSHOT.sub("results-….duckdb", text))
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _agree(shown: str, printed: str, *, trained: bool) -> bool:
    a, b = (float(text.rstrip("%").replace(",", "").rstrip(".")) for text in (shown, printed))
    decimals = len(shown.rstrip("%").partition(".")[2])
    digit = 1.1 * 10.0**-decimals if decimals or "%" in shown else 0.0
    slack = max(10.0, 0.25 * abs(a)) if trained else max(0.01 * abs(a), digit)
    return abs(a - b) <= slack


def _without_trailing_blanks(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.rstrip().splitlines())


if __name__ == "__main__":
    refresh(Path(sys.argv[1]))
