"""Proposes instructions, leaves out what is no example, and has the teacher answer the rest."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runners.data.flags import question_tokens
from runners.data.similar import SimilarTexts
from runners.doit_format import Item
from runners.grid import short_hash
from runners.leak_check import find_leaks
from runners.synthesize.log import ReplyLog
from runners.synthesize.prompts import instruction_prompt, read_instruction
from runners.synthesize.spec import Mode, SynthesisSpec
from runners.synthesize.teachers import Reply, Request, Teacher
from runners.template import Turn
from warehouse.errors import WorkError

LEFT_OUT = ("unreadable", "near_duplicate", "leak", "empty", "cut_off")
"""Why a proposal is no example."""


_PENDING = "?"


@dataclass(kw_only=True)
class AbilityReport:
    """How one ability went.

    Attributes
    ----------
    n_asked, n_accepted, n_proposed, n_possible : int
        Examples asked for, examples made, proposals looked at, and proposals that may be.
    left_out : Counter
        Proposals that are no example, by reason (`LEFT_OUT`).
    """

    n_asked: int
    n_accepted: int = 0
    n_proposed: int = 0
    n_possible: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class Maker:
    """One pass over all abilities.

    Attributes
    ----------
    reports : dict of ability to AbilityReport
    n_tokens : int or None
        Tokens of all replies; None where a server doesn't say.
    cost_is_known : bool
        Whether every reply has a price.
    """

    def __init__(
        self,
        spec: SynthesisSpec,
        teacher: Teacher,
        log: ReplyLog,
        evaluation: list[Item],
        on_progress: Callable[[str, AbilityReport], None] | None,
    ) -> None:
        self.spec = spec
        self.teacher = teacher
        self.log = log
        self.reports: dict[str, AbilityReport] = {}
        self.n_tokens: int | None = 0
        self.cost_is_known = True
        self._on_progress = on_progress or (lambda ability, report: None)
        self._teacher_hash = short_hash(teacher.identity)
        self._evaluation = evaluation
        self._exam = SimilarTexts(spec.max_similarity)
        for item in evaluation:
            self._exam.add(question_tokens(item))
        self._earlier = SimilarTexts(spec.max_similarity)

    def make(self, ability: str, seeds: Sequence[Item]) -> list[Item]:
        """Return the examples of one ability."""
        spec = self.spec
        if spec.mode is Mode.INSTRUCTIONS:
            # A new instruction must differ from its seeds as well.
            for item in seeds:
                self._earlier.add(question_tokens(item))
            wanted = spec.n_per_ability or 0
            limit = spec.tries * wanted
        else:
            seeds = self._drawn(ability, seeds)
            wanted = len(seeds) if spec.n_per_ability is None else spec.n_per_ability
            limit = len(seeds)
        report = self.reports[ability] = AbilityReport(n_asked=wanted, n_possible=limit)
        made: list[Item] = []
        while len(made) < wanted and report.n_proposed < limit:
            first = report.n_proposed
            numbers = range(first, min(first + wanted - len(made), limit))
            report.n_proposed = numbers.stop
            if spec.mode is Mode.INSTRUCTIONS:
                proposed = self._invent(ability, seeds, numbers)
            else:
                proposed = [seeds[number] for number in numbers]
            made += self._answered(self._fresh(proposed, report), report)
            report.n_accepted = len(made)
            self._on_progress(ability, report)
        return made

    def _drawn(self, ability: str, seeds: Sequence[Item]) -> list[Item]:
        """Return seeds in the order in which they are answered: drawn, or all as they are."""
        drawn = list(seeds)
        if self.spec.n_per_ability is not None:
            random.Random(f"{self.spec.seed} {ability}").shuffle(drawn)
        return drawn

    def _invent(
        self, ability: str, seeds: Sequence[Item], numbers: Sequence[int]
    ) -> list[Item | None]:
        """Have the teacher write instructions; None where a reply holds none."""
        requests = []
        for number in numbers:
            rng = random.Random(f"{self.spec.seed} {ability} {number}")
            shots = rng.sample(list(seeds), min(self.spec.n_shots, len(seeds)))
            text = instruction_prompt(ability, [item.prompt_turns[-1].content for item in shots])
            requests.append(
                Request(
                    turns=(Turn(role="user", content=text),),
                    temperature=self.spec.instruction_temperature,
                    max_new_tokens=self.spec.max_new_tokens,
                    seed=_request_seed(self.spec.seed, ability, number),
                )
            )
        texts = [
            None if reply.cut_off else read_instruction(reply.text) for reply in self._ask(requests)
        ]
        return [None if text is None else _item(ability, (text, _PENDING)) for text in texts]

    def _fresh(self, proposed: Sequence[Item | None], report: AbilityReport) -> list[Item]:
        """Return the proposals that are new and give no evaluation question away."""
        given_away = {
            leak.training_item_id
            for leak in find_leaks(
                (_unanswered(item) for item in proposed if item), self._evaluation
            )
        }
        fresh = []
        for item in proposed:
            if item is None:
                report.left_out["unreadable"] += 1
                continue
            tokens = question_tokens(item)
            if _unanswered(item).item_id in given_away or self._exam.find(tokens):
                report.left_out["leak"] += 1
            elif self._earlier.find(tokens):
                report.left_out["near_duplicate"] += 1
            else:
                self._earlier.add(tokens)
                fresh.append(item)
        return fresh

    def _answered(self, items: Sequence[Item], report: AbilityReport) -> list[Item]:
        """Have the teacher answer; its reply takes the place of the seed's answer."""
        requests = [
            Request(
                turns=item.prompt_turns,
                options=item.options,
                temperature=self.spec.temperature,
                max_new_tokens=self.spec.max_new_tokens,
                seed=_request_seed(self.spec.seed, item.ability, item.item_id),
            )
            for item in items
        ]
        made = []
        for item, reply in zip(items, self._ask(requests), strict=True):
            if not reply.text.strip():
                report.left_out["empty"] += 1
            elif reply.cut_off and not self.spec.keep_cut_off:
                report.left_out["cut_off"] += 1
            else:
                turns = (*item.prompt_turns, Turn(role="assistant", content=reply.text.strip()))
                made.append(
                    Item(turns=turns, ability=item.ability, question_format=item.question_format)
                )
        return made

    def _ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Return the replies to requests, from the log where they are known.

        Raises
        ------
        WorkError
            If a request failed.
        """
        keys = [short_hash([self._teacher_hash, _document(one)], 24) for one in requests]
        places = range(len(requests))
        failures: list[str] = []
        chunks: list[Sequence[int]]
        if self.teacher.batch_size is None:
            missing = [place for place in places if keys[place] not in self.log]
            chunks = [missing] if missing else []
        else:
            size = self.teacher.batch_size
            batches = [places[start : start + size] for start in range(0, len(places), size)]
            chunks = [b for b in batches if any(keys[place] not in self.log for place in b)]
        for chunk in chunks:
            for number, reply in self.teacher.ask([requests[place] for place in chunk]):
                self.log.add({keys[chunk[number]]: reply})
                if reply.failure is not None:
                    failures.append(reply.failure)
        if failures:
            raise WorkError(
                f"{len(failures)} of {len(requests)} requests failed, the first because "
                f"{failures[0]}; what was answered is kept, run the same command again."
            )
        replies = [self.log[key] for key in keys]
        for reply in replies:
            self.cost_is_known &= reply.cost is not None
            if self.n_tokens is not None:
                known = reply.n_tokens is not None
                self.n_tokens = self.n_tokens + (reply.n_tokens or 0) if known else None
        return replies


def _document(request: Request) -> dict[str, object]:
    """A request as its key hashes it."""
    return {
        "turns": [[turn.role, turn.content] for turn in request.turns],
        "options": list(request.options),
        "temperature": request.temperature,
        "max_new_tokens": request.max_new_tokens,
        "seed": request.seed,
    }


def _request_seed(seed: int, ability: str, number: int | str) -> int:
    """Return a request's own seed, which servers want small."""
    return int(short_hash([seed, ability, number], 7), 16)


def _item(ability: str, texts: tuple[str, str]) -> Item:
    """An item of one question and answer."""
    question, answer = texts
    turns = (Turn(role="user", content=question), Turn(role="assistant", content=answer))
    return Item(turns=turns, ability=ability)


def _unanswered(item: Item) -> Item:
    """The item as it is compared before it is answered."""
    return Item(
        turns=(*item.prompt_turns, Turn(role="assistant", content=_PENDING)), ability=item.ability
    )
