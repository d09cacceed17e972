"""What a synthesis will ask and cost, before the first call: the same pass with made-up replies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runners.doit_format import MANIFEST_FILE, Item
from runners.judge.spending import BYTES_PER_TOKEN, CostEstimate
from runners.synthesize.log import ReplyLog
from runners.synthesize.making import Maker
from runners.synthesize.prompts import MAX_CHARACTERS
from runners.synthesize.run import REPLIES_FILE, WORK_FOLDER, check_folder, find_provenance
from runners.synthesize.spec import SynthesisSpec
from runners.synthesize.teachers import Reply, Request, Teacher


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Calls to come if every reply can be used, and replies as long as they may be.

    Attributes
    ----------
    n_kept : int
        Replies of earlier runs into the folder.
    spent : float
        What those cost; 0 where prices are unknown.
    n_calls_at_most : int
        If replies that can't be used are made up for until seeds or tries are used up.
    estimate : CostEstimate
        Of the calls to come; written instructions count as long as they may be.
    """

    n_kept: int
    spent: float
    n_calls_at_most: int
    estimate: CostEstimate

    def document(self) -> dict[str, object]:
        """The forecast as `--json` shows it."""
        known = self.estimate.cost is not None
        return {
            "n_kept": self.n_kept,
            "spent": self.spent if known else None,
            **{name: value for name, value in asdict(self.estimate).items() if name != "n_cached"},
            "n_calls_at_most": self.n_calls_at_most,
            "cost_reason": None if known else "no prices were given",
        }


def forecast_synthesis(
    spec: SynthesisSpec,
    teacher: Teacher,
    seeds: Mapping[str, Sequence[Item]],
    folder: Path,
    *,
    evaluation: Sequence[Item] | None = None,
) -> Forecast:
    """Forecast what `run.synthesize` with the same arguments does; asks nobody, writes nothing.

    Raises
    ------
    InputError
        If the folder holds other data.
    """
    check_folder(folder, find_provenance(spec, teacher, seeds, evaluation))
    log = ReplyLog(folder / WORK_FOLDER / REPLIES_FILE, read_only=True)
    n_kept, spent = len(log), log.cost
    pretender = _Pretender(teacher)
    n_more = 0
    if not (folder / MANIFEST_FILE).is_file():
        maker = Maker(spec, pretender, log, list(evaluation or ()), None)
        for ability, items in seeds.items():
            maker.make(ability, items)
        n_more = sum(report.n_possible - report.n_proposed for report in maker.reports.values())
    return Forecast(
        n_kept=n_kept,
        spent=spent,
        n_calls_at_most=len(pretender.asked) + n_more * spec.calls_per_example,
        estimate=pretender.estimate(pretender.asked),
    )


class _Pretender:
    """Stands in for a teacher: replies at full length, each in words of its own."""

    def __init__(self, teacher: Teacher) -> None:
        self.identity: Mapping[str, Any] = teacher.identity
        self.batch_size = teacher.batch_size
        self.estimate = teacher.estimate
        self.asked: list[Request] = []

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield a reply to each request, and remember what was asked."""
        self.asked += requests
        for place, request in enumerate(requests):
            length = min(request.max_new_tokens * BYTES_PER_TOKEN, MAX_CHARACTERS)
            words = (f"{request.seed:07x}{number:x}" for number in range(length // 8 + 1))
            yield place, Reply(text=" ".join(words)[:length])
