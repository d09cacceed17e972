"""Batch sizes that memory sufficed for, kept between scorers of the same base model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from warehouse.landing import write_atomically


def read_batch_sizes(path: Path) -> dict[str, int]:
    """Return the batch sizes by task that `write_batch_sizes` kept; none if there are none."""
    try:
        return {str(name): int(size) for name, size in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def write_batch_sizes(path: Path, sizes: Mapping[str, int]) -> None:
    """Keep batch sizes for later scorers of the same model, the smaller one of two."""
    known = read_batch_sizes(path)
    merged = known | {name: min(size, known.get(name, size)) for name, size in sizes.items()}
    if merged != known:
        write_atomically(path, lambda target: target.write_text(json.dumps(merged), "utf-8"))
