r"""Growth families: score as a function of training volume.

One small class a family. Each is written in *working* parameters u, in which the fit is well
behaved (values at n = 0 and at the ceiling, logs of scales and exponents), and reports the
*natural* parameters of docs/statistics.md. Arrays put the batch last: u has shape (k, B), values
(U, B) and gradients (k, U, B) for U volumes and B curves.

References
----------
.. [1] Lin et al., "Selecting Large Language Models to Fine-tune via Rectified Scaling Law",
   ICML 2024, arXiv 2402.02314, equation 4 (rectified).
.. [2] Mohr et al., "LCDB 1.0", ECML-PKDD 2022, table 1 (power law, exponential, Weibull,
   Morgan-Mercer-Flodin).
"""

from __future__ import annotations

from dashboard.analysis.families.base import Family
from dashboard.analysis.families.ceilings import (
    Exponential,
    Logistic,
    PowerLaw,
    Rectified,
    Weibull,
)
from dashboard.analysis.families.lines import Constant, LogLinear

__all__ = [
    "FAMILIES",
    "Constant",
    "Exponential",
    "Family",
    "LogLinear",
    "Logistic",
    "PowerLaw",
    "Rectified",
    "Weibull",
]

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (Constant, LogLinear, PowerLaw, Exponential, Weibull, Logistic, Rectified)
}
"""Every family that is fitted inside the observed range, by name."""
