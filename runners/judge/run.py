"""Asks a study's judges for the votes that it still lacks, and lands them.

Every verdict is in the cache the moment it is there, and lands with others in files that never
change: a run that is killed goes on where it stopped, and pays for nothing twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from runners.judge.ballots import (
    Ballot,
    Opponents,
    find_opponents,
    make_ballots,
    make_endpoint,
    make_request,
    vote_id,
    vote_parameters,
)
from runners.judge.cache import ReplyCache
from runners.judge.chat import ChatReply, ChatRequest
from runners.judge.client import ChatClient
from runners.judge.landed import (
    JudgedStudy,
    Replies,
    load_replies,
    load_vote_rows,
    load_votes,
)
from runners.judge.spending import Budget, CostEstimate
from runners.judge.verdicts import PairVerdict, read_verdict
from runners.judge_spec import JudgeModelSpec, JudgeSpec
from warehouse.errors import WorkError
from warehouse.landing import write_table
from warehouse.records import JUDGE_VOTE, RecordKind
from warehouse.workspace import Workspace

CLI = Path(__file__).resolve().parents[2] / "cli.py"
_LAND_VOTES = 500
_LAND_SECONDS = 20.0
_PREFERENCE = {"tie": 1.5}


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One vote to ask for."""

    judge: JudgeModelSpec
    ballot: Ballot
    request: ChatRequest
    vote_id: str
    parameters: str


@dataclass(kw_only=True)
class Outcome:
    """What a run did; `stopped` says why it ended early."""

    n_asked: int = 0
    n_cached: int = 0
    n_decided: int = 0
    cost: float | None = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    @property
    def n_failed(self) -> int:
        """Votes without a verdict."""
        return sum(self.failures.values())


class JudgeRun:
    """One run over some ballots: planned when made, carried out by `run`.

    Parameters
    ----------
    study : str
        What the votes belong to.
    ballots : sequence of Ballot
        What every judge is to be asked.
    notes : sequence of str
        What is left out, and what to do about it.
    offline : bool
        Only plan: no key is needed.
    on_progress : callable, optional
        Called with (votes so far, votes to ask for).

    Attributes
    ----------
    pending : list of Pending
        Votes without a verdict, failed ones among them.
    n_landed : int
        Votes that have one.
    estimates : dict of judge to CostEstimate

    Raises
    ------
    InputError
        If a key is not set.
    """

    def __init__(
        self,
        workspace: Workspace,
        study: str,
        spec: JudgeSpec,
        ballots: Sequence[Ballot],
        *,
        notes: Sequence[str] = (),
        offline: bool = False,
        on_progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.workspace = workspace
        self.study = study
        self.spec = spec
        self.notes = notes
        self.on_progress = on_progress
        landed = load_votes(workspace, study)
        cache = ReplyCache(workspace.judge_cache)
        budget = Budget(spec.max_cost, spent=landed.cost)
        self._clients = {
            judge.name: ChatClient(
                make_endpoint(judge), cache=cache, budget=budget, offline=offline
            )
            for judge in spec.judges
        }
        wanted = self._wanted(ballots)
        # Votes that an earlier run asked for in this way, before another way took their place.
        self._superseded = {
            (vote.ballot.protocol, vote.judge.name, vote.ballot.ability): vote.vote_id
            for vote in wanted
            if vote.vote_id in landed.decided
            and landed.latest.get((vote.ballot.protocol, vote.judge.name, vote.ballot.ability))
            != vote.parameters
        }
        self.pending = [vote for vote in wanted if vote.vote_id not in landed.decided]
        self.n_landed = len(wanted) - len(self.pending)
        self.estimates: dict[str, CostEstimate] = {
            name: client.estimate([p.request for p in self.pending if p.judge.name == name])
            for name, client in self._clients.items()
        }

    def _wanted(self, ballots: Sequence[Ballot]) -> list[Pending]:
        """Return every vote that there should be."""
        wanted = []
        for judge in self.spec.judges:
            client = self._clients[judge.name]
            for ballot in ballots:
                request = make_request(ballot, self.spec)
                parameters = vote_parameters(
                    ballot, judge, self.spec, client.endpoint.parameters_for(request)
                )
                wanted.append(
                    Pending(
                        judge=judge,
                        ballot=ballot,
                        request=request,
                        vote_id=vote_id(self.study, judge.name, ballot, parameters),
                        parameters=parameters,
                    )
                )
        return wanted

    def run(self) -> Outcome:
        """Ask for every pending vote; land the votes, those that failed with their reason."""
        outcome = Outcome()
        writer = VoteWriter(self.workspace, self.study)
        # One vote of each kind, landed again, makes its way of asking the current one.
        for row in load_vote_rows(self.workspace, set(self._superseded.values())):
            writer.add(row | {"created_at": datetime.now(UTC).replace(tzinfo=None)})
        try:
            for name, client in self._clients.items():
                mine = [vote for vote in self.pending if vote.judge.name == name]
                for place, reply in client.ask_many([vote.request for vote in mine]):
                    _count(outcome, reply)
                    writer.add(_vote_row(self.study, mine[place], reply))
                    self.on_progress(outcome.n_asked, len(self.pending))
        except WorkError as error:
            outcome.stopped = str(error)
        finally:
            writer.land()
        return outcome


def judge_study(
    workspace: Workspace,
    study: JudgedStudy,
    *,
    offline: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> JudgeRun:
    """Return the run over all replies of a study.

    Raises
    ------
    InputError
        If a key is not set, or no cell has an opponent to be compared with.
    """
    replies = load_replies(workspace, study)
    opponents = Opponents(of={}, missing=())
    if "pairwise" in study.spec.protocols:
        opponents = find_opponents(study.cells, study.spec.against)
    return JudgeRun(
        workspace,
        study.name,
        study.spec,
        list(make_ballots(study.spec, replies.items, replies.by_cell, opponents)),
        notes=_notes(study, replies, opponents),
        offline=offline,
        on_progress=on_progress,
    )


def _notes(study: JudgedStudy, replies: Replies, opponents: Opponents) -> tuple[str, ...]:
    """Say what is not judged and what would help."""
    notes = []
    labels = {cell.cell_id: cell.label for cell in study.cells}
    if study.n_pending:
        notes.append(f"{study.n_pending} cells are not done yet; run-grid does them.")
    if replies.without:
        notes.append(
            f"{len(replies.without)} of {len(study.cells)} cells lack replies of up to "
            f"{study.spec.max_new_tokens} tokens (first {replies.without[0].label}): they were "
            "done before the judge block asked for these; python cli.py judge replies makes them "
            "where the model is still there."
        )
    if replies.n_missing:
        notes.append(f"{replies.n_missing} replies are missing, with a reason in fact_generation.")
    lonely = [labels[cell_id] for cell_id in opponents.missing]
    if lonely:
        notes.append(
            f"{len(lonely)} cells have nobody to be compared with (first {lonely[0]}): the base "
            "model that they start from is not among the cells; put 0 among the volumes."
        )
    return tuple(notes)


def _count(outcome: Outcome, reply: ChatReply) -> None:
    outcome.n_asked += 1
    outcome.n_cached += reply.cached
    if reply.failure is None:
        outcome.n_decided += 1
    else:
        outcome.failures[reply.failure] += 1
    if not reply.cached and outcome.cost is not None:
        unknown = reply.cost is None and reply.failure is None
        outcome.cost = None if unknown else outcome.cost + (reply.cost or 0.0)


def _vote_row(study: str, pending: Pending, reply: ChatReply) -> dict[str, Any]:
    """Return a vote as a row of JUDGE_VOTE."""
    ballot = pending.ballot
    preference = rating = None
    if reply.text is not None:
        verdict = read_verdict(reply.text, ballot.protocol)
        if isinstance(verdict, PairVerdict):
            # A is the answer shown first; the vote counts from model_a's side.
            is_a = (verdict.verdict == "A") == (ballot.shown_first == "a")
            preference = _PREFERENCE.get(verdict.verdict, 1.0 if is_a else 2.0)
        else:
            rating = float(verdict.rating)
    counted = reply.n_prompt_tokens is not None and reply.n_completion_tokens is not None
    created_at = datetime.fromisoformat(reply.created_at) if reply.created_at else datetime.now(UTC)
    return {
        "vote_id": pending.vote_id,
        "study": study,
        "protocol": ballot.protocol,
        "item_id": ballot.item_id,
        "ability": ballot.ability,
        "model_a": ballot.model_a,
        "model_b": ballot.model_b,
        "shown_first": ballot.shown_first,
        "judge": pending.judge.name,
        "preference": preference,
        "rating": rating,
        "failed_reason": reply.failure,
        "len_a": ballot.len_a,
        "len_b": ballot.len_b,
        "prompt_hash": ballot.request_hash,
        "parameters": pending.parameters,
        "raw_text": reply.text if reply.text is not None else reply.partial,
        "n_tokens": (reply.n_prompt_tokens or 0) + (reply.n_completion_tokens or 0)
        if counted
        else None,
        "latency_seconds": reply.latency_seconds,
        "cost": reply.cost,
        "created_at": created_at.astimezone(UTC).replace(tzinfo=None),
    }


class VoteWriter:
    """Lands votes in files of a few hundred, and at least every twenty seconds."""

    def __init__(self, workspace: Workspace, study: str) -> None:
        self._workspace = workspace
        self._stem = f"judge-{study.replace(':', '_').replace('+', '_')}-{time.time_ns():x}"
        self._rows: list[dict[str, Any]] = []
        self._n_files = 0
        self._landed_at = time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        """Keep a vote, and land what has gathered."""
        self._rows.append(row)
        waited = time.monotonic() - self._landed_at
        if len(self._rows) >= _LAND_VOTES or waited >= _LAND_SECONDS:
            self.land()

    def land(self) -> None:
        """Write what has gathered to a file of its own."""
        if self._rows:
            self._n_files += 1
            rows = [{name: row.get(name) for name in JUDGE_VOTE.names} for row in self._rows]
            table = pa.Table.from_pylist(rows, schema=JUDGE_VOTE)
            stem = f"{self._stem}-{self._n_files:04d}"
            write_table(self._workspace, RecordKind.JUDGE_VOTE, stem, table)
        self._rows = []
        self._landed_at = time.monotonic()
