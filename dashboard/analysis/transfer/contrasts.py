"""Which runs tell what one ability's data does to a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.run_table import Run, RunTable
from dashboard.analysis.transfer.results import TransferDesign


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The runs with one source ability's data, and the runs without.

    For `single_ability`, `with_source` is trained on it alone and `without` is the base model; for
    `leave_one_out`, `with_source` is trained on all abilities and `without` on all but it.
    """

    source_ability: str
    with_source: tuple[int, ...]
    without: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ArmSet:
    """All arms of one design, data source, volume and training length."""

    design: TransferDesign
    data_source: str
    volume: float | None
    volume_per: str | None
    length_rule: str
    arms: tuple[Arm, ...]


class _Place(NamedTuple):
    """What arms of one comparison share."""

    data_source: str
    volume: float | None
    volume_per: str | None
    length_rule: str


def find_arms(table: RunTable) -> tuple[ArmSet, ...]:
    """Collect the comparisons that a table allows, single abilities first, then by volume.

    All-abilities runs of the same volume and the same way of fixing steps are the other side of
    leave-one-out runs; where there are none, those of another training length are taken, and the
    result says that steps differ.
    """
    base = tuple(i for i, run in enumerate(table.runs) if run.is_base)
    alone: dict[_Place, dict[str, list[int]]] = {}
    left_out: dict[_Place, dict[str, list[int]]] = {}
    everything: dict[_Place, list[int]] = {}
    for index, run in enumerate(table.runs):
        place = _Place(run.data_source or "", run.volume, run.volume_per, run.length_rule)
        if run.design == "all_abilities":
            everything.setdefault(place, []).append(index)
        elif run.design_target is not None and run.design in tuple(TransferDesign):
            kind = alone if run.design == TransferDesign.SINGLE_ABILITY else left_out
            kind.setdefault(place, {}).setdefault(run.design_target, []).append(index)
    sets = [
        _arm_set(
            TransferDesign.SINGLE_ABILITY,
            place,
            [
                Arm(source_ability=source, with_source=tuple(runs), without=base)
                for source, runs in sorted(members.items())
                if base
            ],
        )
        for place, members in alone.items()
    ]
    for place, members in left_out.items():
        whole = tuple(everything.get(place) or _same_volume(everything, place))
        arms = [
            Arm(source_ability=source, with_source=whole, without=tuple(runs))
            for source, runs in sorted(members.items())
            if whole
        ]
        sets.append(_arm_set(TransferDesign.LEAVE_ONE_OUT, place, arms))
    return tuple(sorted((one for one in sets if one.arms), key=_order))


def effect_weights(n_runs: int, arm: Arm) -> FloatArray:
    """Return weights, shape (n_runs,), whose product with scores is the arm's raw effect."""
    weights = np.zeros(n_runs)
    weights[list(arm.with_source)] += 1 / len(arm.with_source)
    weights[list(arm.without)] -= 1 / len(arm.without)
    return weights


def others_of(arms: tuple[Arm, ...], arm: Arm, target: str) -> tuple[Arm, ...]:
    """Return the arms whose mean stands for what any data does: not this one, not the target's."""
    return tuple(
        other for other in arms if other.source_ability not in (arm.source_ability, target)
    )


def steps_of(runs: tuple[Run, ...], members: tuple[int, ...]) -> float | None:
    """Return mean optimizer steps; None if any is unknown."""
    steps = [runs[index].n_steps for index in members]
    known = [step for step in steps if step is not None]
    return float(np.mean(known)) if known and len(known) == len(steps) else None


def steps_match(
    runs: tuple[Run, ...], design: TransferDesign, arms: tuple[Arm, ...]
) -> bool | None:
    """Say whether all trained runs of some arms took the same steps; None if unknown.

    The base model took none and stands outside: what fine-tuning as such does is taken off by the
    other sources.
    """
    members = {index for arm in arms for index in arm.with_source}
    if design is TransferDesign.LEAVE_ONE_OUT:
        members |= {index for arm in arms for index in arm.without}
    steps = {runs[index].n_steps for index in members}
    return None if None in steps else len(steps) == 1


def _arm_set(design: TransferDesign, place: _Place, arms: list[Arm]) -> ArmSet:
    return ArmSet(design=design, arms=tuple(arms), **place._asdict())


def _same_volume(everything: dict[_Place, list[int]], place: _Place) -> list[int]:
    """Return all-abilities runs of another training length."""
    for other, members in everything.items():
        if other[:-1] == place[:-1]:
            return members
    return []


def _order(one: ArmSet) -> tuple[bool, str, float, str]:
    """Single abilities first; length rules backwards, so that stated steps precede epochs."""
    single = one.design is TransferDesign.SINGLE_ABILITY
    return (
        not single,
        one.data_source,
        one.volume or 0.0,
        "" if one.length_rule == "steps" else "~",
    )
