"""Statistics of judge votes: arrays in, frozen results out (see docs/judge_statistics.md).

`dashboard.analysis.judge.summary.summarise_votes` does all of it; scipy and statsmodels are loaded
by that module, not by this one.
"""

from __future__ import annotations

from dashboard.analysis.judge.votes import Votes

__all__ = ["Votes"]
