"""Pack a workspace's landing files without replies and log-likelihoods, so that git can hold them.

`python docs/studies/transfer/pack.py WORKSPACE ARCHIVE.tar.zst`, from the repository's root. Scores
of every item stay; what they were made from is left null, which the landing contract allows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.archive import export_landing
from warehouse.records import RecordKind
from warehouse.workspace import open_workspace

LEFT_OUT = ("response", "choice_log_likelihoods", "choice_tokens")


def pack(workspace: Path, archive: Path) -> int:
    """Write the archive; return its size in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        slim = open_workspace(Path(folder), create=True)
        for path in sorted(open_workspace(workspace).landing.glob("*/*")):
            target = slim.landing / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix != ".parquet":
                shutil.copy(path, target)
                continue
            table = pq.read_table(path)
            if path.parent.name == RecordKind.ITEM_SCORE.value:
                for name in LEFT_OUT:
                    index = table.schema.get_field_index(name)
                    field = table.schema.field(index)
                    table = table.set_column(index, field, pa.nulls(len(table), field.type))
            pq.write_table(table, target, compression="zstd", compression_level=19)
        export_landing(slim, archive)
    return archive.stat().st_size


if __name__ == "__main__":
    print(f"{pack(Path(sys.argv[1]), Path(sys.argv[2])) / 1e6:.2f} MB")
