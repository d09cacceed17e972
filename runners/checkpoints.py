"""A trained cell's checkpoint: put in place whole, and checked before it is taken up again."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from runners.template import TEMPLATE_FILE, Template
from runners.train_steps import TrainResult
from warehouse.landing import write_atomically

RESULT_FILE = "growthpace_training.json"


def finish_checkpoint(
    partial: Path, checkpoint: Path, result: TrainResult, template: Template
) -> None:
    """Complete a folder of weights, its training result last, and move it to its place."""
    (partial / TEMPLATE_FILE).write_text(template.to_json(), "utf-8")
    text = json.dumps(result.to_dict() | {"files": digests(partial)})
    write_atomically(partial / RESULT_FILE, lambda path: path.write_text(text, "utf-8"))
    shutil.rmtree(checkpoint, ignore_errors=True)
    partial.replace(checkpoint)


def read_result(checkpoint: Path) -> TrainResult:
    """Return the training result that lies with a checkpoint."""
    document = json.loads((checkpoint / RESULT_FILE).read_text("utf-8"))
    del document["files"]
    return TrainResult.from_dict(document)


def digests(checkpoint: Path) -> dict[str, str]:
    """Return the SHA-256 of a checkpoint's files by name."""
    found = {}
    for path in sorted(path for path in checkpoint.iterdir() if path.is_file()):
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def find_damage(checkpoint: Path) -> str | None:
    """Return the name of a checkpoint's file that is not as it was written; None if all are."""
    try:
        expected = json.loads((checkpoint / RESULT_FILE).read_text("utf-8"))["files"]
        found = digests(checkpoint)
    except (OSError, ValueError, KeyError):
        return RESULT_FILE
    return next((name for name in expected if found.get(name) != expected[name]), None)
