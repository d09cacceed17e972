"""A zip with a report and everything that makes it again: landing files, grid, tables, figures."""

from __future__ import annotations

import json
import shlex
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dashboard.charts.tables import to_csv
from dashboard.export.figure_set import FigureSet
from dashboard.export.provenance import Provenance
from dashboard.export.study_records import StudyRecords
from warehouse.archive import export_landing
from warehouse.landing import write_atomically
from warehouse.workspace import Workspace

LANDING = "landing.tar.zst"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Equal contents give equal bytes."""


def write_bundle(
    out: Path,
    workspace: Workspace,
    *,
    report: str,
    records: StudyRecords,
    figures: FigureSet,
    tables: Mapping[str, str],
    provenance: Provenance,
    options: Sequence[str],
) -> int:
    """Write the zip, in one step.

    Parameters
    ----------
    report : str
        The report's HTML.
    tables : mapping
        Text of each table's file by name (`dashboard.export.tables_write.table_files`).
    options : sequence of str
        What the export was asked for besides workspace and outputs, so that the commands in
        README.md give the same numbers.

    Returns
    -------
    int
        Bytes of the zip.

    Raises
    ------
    WorkError
        If nothing can be written there, or a landing file went away meanwhile.
    """
    texts = {
        "README.md": _readme(records, provenance, options),
        "report.html": report,
        "provenance.json": json.dumps(provenance.document(), indent=1, ensure_ascii=False) + "\n",
        **{f"tables/{name}": text for name, text in tables.items()},
        **{f"figures/{one.name}.csv": to_csv(one.table()) for one in figures.figures},
        **{f"figures/{one.name}.txt": f"{one.caption}\n" for one in figures.figures},
    }
    if records.grid is not None:
        texts["grid.yaml"] = grid_yaml(records.grid)

    def write(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w") as packed:
            for name, text in texts.items():
                member = zipfile.ZipInfo(name, _FIXED_TIME)
                member.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(member, text)
            landing = Path(folder) / LANDING
            export_landing(workspace, landing, study=provenance.study)
            # It is compressed already.
            packed.write(landing, LANDING, zipfile.ZIP_STORED)

    write_atomically(out, write)
    return out.stat().st_size


def grid_yaml(grid: Mapping[str, Any]) -> str:
    """Return a grid as the YAML that `run-grid` reads."""
    return yaml.safe_dump(dict(grid), sort_keys=False, allow_unicode=True)


def _readme(records: StudyRecords, provenance: Provenance, options: Sequence[str]) -> str:
    """Return what the zip holds and the command that gives the same numbers again."""
    asked, outputs = shlex.join(options), "--out rebuilt.html --bundle rebuilt.zip"
    version = provenance.versions.get("growthpace", "unknown")
    commit = f", commit {provenance.git_commit}" if provenance.git_commit else ""
    grid = (
        "\nThe runs themselves, on a machine that can train them (`grid.yaml`):\n\n"
        "```\npython cli.py run-grid grid.yaml --workspace again\n```\n"
        if records.grid is not None
        else ""
    )
    return f"""# {provenance.study}

`report.html` opens in any browser, without a network. The numbers in it come from the files here:

- `{LANDING}`: every result of the study, as it landed.
- `tables/`: the report's tables as LaTeX, Markdown and CSV.
- `figures/`: the data and the caption of each figure.
- `provenance.json`: snapshot, settings and versions.

The same numbers again, from this folder, with growthpace {version}{commit}, analysis version
{provenance.analysis_version}:

```
python cli.py export report {asked} --landing {LANDING} --workspace rebuilt {outputs}
```

The CSV files in `tables/` of both zips are equal then. Provenance differs: it names the snapshot,
which holds the time at which it was published.
{grid}
{provenance.line()}
"""
