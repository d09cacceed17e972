"""Files as lm-eval writes them, and what an import of them holds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from warehouse.importers.contract import Imported, RejectedImportError
from warehouse.importers.lm_eval import read_lm_eval
from warehouse.importers.mapping import Mapping

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lm_eval"
STAMP = "2026-05-04T03-02-01.000001"


def read(*folders: str | Path, mapping: Mapping | None = None) -> Imported:
    """Read fixtures by name, or other paths."""
    return read_lm_eval(
        [FIXTURES / folder for folder in folders], study="s", mapping=mapping or Mapping()
    )


def scores(imported: Imported) -> pd.DataFrame:
    """Return the scores without items by task and metric."""
    assert imported.scores is not None
    return imported.scores.to_pandas().set_index(["task", "metric"])


def items(imported: Imported) -> pd.DataFrame:
    """Return the item scores."""
    assert imported.item_scores is not None
    return imported.item_scores.to_pandas()


def ignored(imported: Imported) -> dict[str, str]:
    """Return what was ignored, with the reasons."""
    return {part.what: part.reason for part in imported.ignored}


def write_results(folder: Path, results: object, *, name: str = "", **parts: object) -> Path:
    """Write a results file of 0.4.13's shape."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "results": results,
        "versions": {},
        "config": {"model": "hf", "model_args": "pretrained=example/pond", "limit": None},
        **parts,
    }
    path = folder / (name or f"results_{STAMP}.json")
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


def sample(doc_id: int, **fields: object) -> dict[str, object]:
    """Return a sample of a generated reply."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"question {doc_id}"},
        "target": "yes",
        "arguments": {"gen_args_0": {"arg_0": f"question {doc_id}", "arg_1": {"until": ["."]}}},
        "resps": [["yes"]],
        "filtered_resps": ["yes"],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        **fields,
    }


def write_samples(folder: Path, task: str, rows: list[dict[str, object]]) -> Path:
    """Write a samples file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{STAMP}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def rejection(path: Path) -> RejectedImportError:
    """Return why an import is rejected."""
    with pytest.raises(RejectedImportError) as caught:
        read(path)
    return caught.value
