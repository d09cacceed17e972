"""Which votes a study needs: every judged reply, under every protocol, in every order.

Pure: landed records in, ballots out; a vote's id follows from all that could change it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runners.judge.chat import ChatRequest, Endpoint
from runners.judge.prompts import (
    Messages,
    ask_pairwise,
    ask_rating,
    choose_criteria,
    describe_question,
    prompt_version,
)
from runners.judge.spending import Prices
from runners.judge.verdicts import VerdictError, read_verdict, verdict_schema
from runners.judge_spec import JudgeModelSpec, JudgeSpec
from warehouse.errors import InputError
from warehouse.records import CellRecord, Design

GOLD = "gold"
"""Stands for the item's right answer where a reply is compared with it."""


@dataclass(frozen=True, kw_only=True)
class JudgedItem:
    """An item as judges see it; `answer` is the right answer, None where there is none."""

    item_id: str
    ability: str
    question: str
    answer: str | None

    @classmethod
    def from_landing(cls, item_id: str, ability: str, prompt: str, target: str) -> JudgedItem:
        """Build it from a row of the landed items."""
        return cls(
            item_id=item_id,
            ability=ability,
            question=describe_question(prompt),
            answer=target.strip() or None,
        )


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """One vote to be cast.

    `model_a` is the cell that is judged and `model_b` its opponent, whichever is shown first.
    """

    protocol: str
    item_id: str
    ability: str | None
    model_a: str
    model_b: str | None
    shown_first: str | None
    messages: Messages
    len_a: int
    len_b: int | None
    prompt_version: str

    @property
    def request_hash(self) -> str:
        """Hash of the judge's prompt."""
        return ChatRequest(messages=self.messages, max_tokens=1).prompt_hash


@dataclass(frozen=True, kw_only=True)
class Opponents:
    """Whom each cell's replies are compared with; `missing` has the cells without one."""

    of: Mapping[str, str]
    missing: tuple[str, ...]


def find_opponents(cells: Sequence[CellRecord], against: str) -> Opponents:
    """Return the opponent of each cell as `judge.against` asks.

    Raises
    ------
    InputError
        If `against` is neither a rule nor one cell's id or label, or no cell has an opponent.
    """
    bases = {cell.base_model: cell.cell_id for cell in cells if cell.design is Design.BASE}
    if against == GOLD:
        return Opponents(of={cell.cell_id: GOLD for cell in cells}, missing=())
    if against == "base":
        found = {cell.cell_id: bases.get(cell.base_model) for cell in cells}
    elif against == "previous":
        found = _previous_volumes(cells, bases)
    else:
        named = [cell.cell_id for cell in cells if against in (cell.cell_id, cell.label)]
        if len(named) != 1:
            raise InputError(
                f"judge.against: {len(named)} cells of the study are called {against!r}; give "
                "base, previous, gold, or one cell's id or label (python cli.py run-grid GRID "
                "--dry-run lists them)."
            )
        found = {cell.cell_id: named[0] for cell in cells}
    of = {cell: other for cell, other in found.items() if other is not None and other != cell}
    if not of:
        raise InputError(
            f"judge.against: no cell has an opponent by the rule {against!r}; put 0 among the "
            "volumes, so that base models are run, or choose gold."
        )
    missing = [
        cell for cell, other in found.items() if other is None and cell not in bases.values()
    ]
    return Opponents(of=of, missing=tuple(missing))


def _previous_volumes(
    cells: Sequence[CellRecord], bases: Mapping[str, str]
) -> dict[str, str | None]:
    """Return the next smaller cell of the same kind and seed; below the smallest, the base."""
    kinds: dict[tuple[Any, ...], list[CellRecord]] = {}
    for cell in cells:
        if cell.design is not Design.BASE and cell.volume_setting is not None:
            kind = (
                cell.base_model,
                cell.data_source,
                cell.design,
                cell.design_target,
                cell.volume_per,
                cell.seed,
                json.dumps(cell.training, sort_keys=True),
            )
            kinds.setdefault(kind, []).append(cell)
    found: dict[str, str | None] = {}
    for group in kinds.values():
        group.sort(key=lambda cell: cell.volume_setting or 0)
        below = bases.get(group[0].base_model)
        for cell in group:
            found[cell.cell_id] = below
            below = cell.cell_id
    return found


def make_ballots(
    spec: JudgeSpec,
    items: Mapping[str, JudgedItem],
    replies: Mapping[str, Mapping[str, str]],
    opponents: Opponents,
) -> Iterator[Ballot]:
    """Yield all ballots of one judge.

    Parameters
    ----------
    items : mapping of item_id to JudgedItem
    replies : mapping of cell_id to mapping of item_id to reply
        What is missing there is not judged.
    opponents : Opponents
        Only for the pairwise protocol.
    """
    for protocol in spec.protocols:
        for cell_id, said in sorted(replies.items()):
            for item_id, reply in sorted(said.items()):
                item = items[item_id]
                criteria = choose_criteria(item.ability, spec.criteria)
                common: dict[str, Any] = {
                    "protocol": protocol,
                    "item_id": item_id,
                    "ability": item.ability,
                    "model_a": cell_id,
                    "len_a": len(reply),
                    "prompt_version": prompt_version(protocol, criteria),
                }
                if protocol != "pairwise":
                    answer = item.answer if protocol == "reference" else None
                    if protocol == "reference" and answer is None:
                        continue
                    yield Ballot(
                        **common,
                        model_b=None,
                        shown_first=None,
                        len_b=None,
                        messages=ask_rating(item.question, reply, criteria, answer),
                    )
                    continue
                opponent = opponents.of.get(cell_id)
                other = (
                    item.answer
                    if opponent == GOLD
                    else replies.get(opponent or "", {}).get(item_id)
                )
                if opponent is None or other is None:
                    continue
                for first, shown in (("a", (reply, other)), ("b", (other, reply))):
                    yield Ballot(
                        **common,
                        model_b=opponent,
                        shown_first=first,
                        len_b=len(other),
                        messages=ask_pairwise(item.question, *shown, criteria),
                    )


# --- Votes ------------------------------------------------------------------------------------


def make_endpoint(judge: JudgeModelSpec) -> Endpoint:
    """Return the endpoint of a judge."""
    prices = judge.prices
    return Endpoint(
        base_url=judge.endpoint,
        model=judge.model,
        key_variable=judge.key_variable,
        revision=judge.revision,
        prices=Prices(prompt=prices.prompt, completion=prices.completion) if prices else None,
        parameters=judge.parameters,
        concurrency=judge.concurrency,
        timeout_seconds=judge.timeout_seconds,
    )


def make_request(ballot: Ballot, spec: JudgeSpec) -> ChatRequest:
    """Return the question that a ballot asks a judge."""

    def reject(text: str) -> str | None:
        try:
            read_verdict(text, ballot.protocol)
        except VerdictError as error:
            return str(error)
        return None

    return ChatRequest(
        messages=ballot.messages,
        max_tokens=spec.max_tokens,
        temperature=spec.temperature,
        schema=verdict_schema(ballot.protocol),
        reject=reject,
    )


def vote_parameters(
    ballot: Ballot, judge: JudgeModelSpec, spec: JudgeSpec, sent: Mapping[str, Any]
) -> str:
    """Return how a judge was asked, as JSON: equal for all votes of one way of asking."""
    document = {
        "model": judge.model,
        "endpoint": judge.endpoint,
        "revision": judge.revision,
        "prompt": ballot.prompt_version,
        "reply_max_new_tokens": spec.max_new_tokens,
        **sent,
    }
    if ballot.protocol == "pairwise":
        document["against"] = spec.against
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def vote_id(study: str, judge: str, ballot: Ballot, parameters: str) -> str:
    """Hash what tells a vote apart from every other; the verdict does not."""
    identity = [
        study,
        ballot.protocol,
        ballot.item_id,
        ballot.model_a,
        ballot.model_b,
        ballot.shown_first,
        judge,
        ballot.request_hash,
        parameters,
    ]
    return hashlib.sha256(json.dumps(identity, ensure_ascii=False).encode()).hexdigest()[:32]
