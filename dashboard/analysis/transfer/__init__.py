"""Transfer: what one ability's training data does to another ability, and to exams."""

from dashboard.analysis.transfer.matrix import fit_transfer
from dashboard.analysis.transfer.results import (
    Mirror,
    TransferCell,
    TransferDesign,
    TransferResult,
    Verdict,
)

__all__ = ["Mirror", "TransferCell", "TransferDesign", "TransferResult", "Verdict", "fit_transfer"]
