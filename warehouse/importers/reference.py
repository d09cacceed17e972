"""Imports published curves that come with the package (figures and sources in `data/`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import InputError
from warehouse.importers.contract import Imported, printable
from warehouse.importers.curves import read_curves

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Published figures: a file in `data/` with the columns of `import curves`."""

    file: str
    what: str
    citation: str


REFERENCES = {
    "lin2024-flan": Reference(
        file="lin2024_flan.csv",
        what="test losses of 30 base models fine-tuned on up to 1,638,400 FLAN examples",
        citation=(
            'Lin et al., "Selecting Large Language Models to Fine-tune via Rectified Scaling '
            'Law", ICML 2024 (arXiv 2402.02314)'
        ),
    ),
}


def read_reference(name: str) -> list[Imported]:
    """Read a reference by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    reference = REFERENCES.get(name)
    if reference is None:
        known = "; ".join(f"{known} ({found.what})" for known, found in REFERENCES.items())
        raise InputError(f"There is no reference {printable(name)!r}; known: {known}.")
    return read_curves(
        [_DATA / reference.file],
        importer="reference",
        citation=reference.citation,
        notice=f"Published figures, not measured here: {reference.citation}",
    )
