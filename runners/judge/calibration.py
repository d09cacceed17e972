"""Compares judges with people: asks them about pairs on which people have voted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.data.formats import Row
from runners.data.rows import read_file
from runners.judge.ballots import Ballot
from runners.judge.prompts import ask_pairwise, choose_criteria, prompt_version
from runners.judge_spec import JudgeSpec
from warehouse.errors import InputError

REQUIRED = ("instruction", "output_a", "output_b")
_WINNERS = {"a": 1.0, "b": 2.0, "tie": 1.5}


@dataclass(frozen=True, kw_only=True)
class HumanPair:
    """Two replies to one instruction, and which of them a person prefers (1 = a, 2 = b)."""

    instruction: str
    output_a: str
    output_b: str
    preference: float
    item_id: str
    model_a: str
    model_b: str
    annotator: str
    ability: str | None


def read_pairs(path: Path) -> list[HumanPair]:
    """Read a CSV or JSON file of pairs.

    Columns: instruction, output_a, output_b, and preference (1 to 2) or winner (a, b, tie);
    optionally item_id, model_a, model_b, annotator and ability.

    Raises
    ------
    InputError
        If the file can't be read, or a row lacks a field or holds a wrong one (line named).
    """
    pairs = []
    for where, row in read_file(path):
        if isinstance(row, InputError):
            raise row
        pairs.append(_read_pair(row, where))
    if not pairs:
        raise InputError(f"{path} holds no pairs.")
    return pairs


def _read_pair(row: Row, where: str) -> HumanPair:
    values = {name: str(value).strip() for name, value in row.items() if value not in (None, "")}
    for name in REQUIRED:
        if not values.get(name):
            raise InputError(f"{where}: {name} is missing.")
    winner = values.get("winner", "").lower()
    try:
        preference = float(values["preference"]) if "preference" in values else _WINNERS[winner]
    except (KeyError, ValueError):
        preference = 0.0
    if not 1 <= preference <= 2:
        raise InputError(
            f"{where}: give a preference from 1 (a is better) to 2 (b), or a winner: a, b or tie."
        )
    model_a, model_b = values.get("model_a", "a"), values.get("model_b", "b")
    if model_a == model_b:
        raise InputError(f"{where}: model_a and model_b are the same; a vote needs two models.")
    texts = [values[name] for name in REQUIRED]
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    return HumanPair(
        instruction=texts[0],
        output_a=texts[1],
        output_b=texts[2],
        preference=preference,
        item_id=values.get("item_id", digest[:16]),
        model_a=model_a,
        model_b=model_b,
        annotator=values.get("annotator", "person"),
        ability=values.get("ability"),
    )


def make_pair_ballots(pairs: Sequence[HumanPair], spec: JudgeSpec) -> Iterator[Ballot]:
    """Yield both orders of every pair, each pair once however many people voted on it."""
    seen = set()
    for pair in pairs:
        key = (pair.item_id, pair.model_a, pair.model_b)
        if key in seen:
            continue
        seen.add(key)
        criteria = choose_criteria(pair.ability or "default", spec.criteria)
        for first, shown in (
            ("a", (pair.output_a, pair.output_b)),
            ("b", (pair.output_b, pair.output_a)),
        ):
            yield Ballot(
                protocol="pairwise",
                item_id=pair.item_id,
                ability=pair.ability,
                model_a=pair.model_a,
                model_b=pair.model_b,
                shown_first=first,
                messages=ask_pairwise(pair.instruction, *shown, criteria),
                len_a=len(pair.output_a),
                len_b=len(pair.output_b),
                prompt_version=prompt_version("pairwise", criteria),
            )


def human_votes(study: str, pairs: Sequence[HumanPair]) -> list[dict[str, Any]]:
    """Return people's votes as rows of JUDGE_VOTE; a person's repeated votes count each."""
    rows = []
    for number, pair in enumerate(pairs):
        identity = [study, "person", pair.item_id, pair.model_a, pair.model_b, pair.annotator]
        digest = hashlib.sha256(json.dumps([*identity, number]).encode()).hexdigest()
        rows.append(
            {
                "vote_id": digest[:32],
                "study": study,
                "protocol": "pairwise",
                "item_id": pair.item_id,
                "ability": pair.ability,
                "model_a": pair.model_a,
                "model_b": pair.model_b,
                "annotator": pair.annotator,
                "preference": pair.preference,
                "len_a": len(pair.output_a),
                "len_b": len(pair.output_b),
            }
        )
    return rows
