"""Plain sentences about transfer, for the app, the CLI and reports."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.results import Interval
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.transfer.results import Mirror, TransferCell, TransferDesign, Verdict

_MOST_NAMED = 5


def read_transfer(
    table: RunTable,
    cells: Sequence[TransferCell],
    mirrors: Sequence[Mirror],
    fdr: float,
    reason: str | None,
) -> tuple[str, ...]:
    """Return what the matrix and the mirrors say, a sentence each.

    Parameters
    ----------
    fdr : float
        False discovery rate below which an effect is named.
    reason : str or None
        Why there is no matrix.
    """
    mirrored = [_read_mirror(mirror) for mirror in mirrors if mirror.reason is None]
    if reason is not None:
        return (f"Transfer of {table.base_model}: not identified; {reason}", *mirrored)
    groups: dict[tuple[TransferDesign, str, float | None, str, str], list[TransferCell]] = {}
    for cell in cells:
        key = (cell.design, cell.data_source, cell.volume, cell.length_rule, cell.metric)
        groups.setdefault(key, []).append(cell)
    return (*(_read_group(members, fdr) for members in groups.values()), *mirrored)


def _read_group(cells: Sequence[TransferCell], fdr: float) -> str:
    """Return the sentence of one design, source and volume."""
    first = cells[0]
    where = f"{first.base_model}, {_design(first)}"
    cross = [cell for cell in cells if not cell.own]
    if all(cell.verdict is None for cell in cross):
        why = next((cell.reason for cell in cross if cell.reason), "nothing could be tested")
        return f"{where}: {why}."
    found = [
        (cell, cell.beyond_format)
        for cell in cross
        if cell.beyond_format is not None and cell.verdict in (Verdict.HELPS, Verdict.HURTS)
    ]
    found.sort(key=lambda pair: -abs(pair[1].estimate))
    n_cross = len(cross)
    if not found:
        text = f"no effect of one ability's data on another stands out among {n_cross}"
    else:
        named = "; ".join(
            f"{cell.source_ability} on {cell.target_ability} {_amount(beyond, cell.response)}"
            for cell, beyond in found[:_MOST_NAMED]
        )
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        text = f"{len(found)} of {n_cross} effects of one ability's data on another are there and "
        text += f"go beyond what the other abilities' data do: {named}{more}"
    steps = {
        True: "all runs took the same steps",
        False: "runs took different steps, so amounts of training are mixed in",
        None: "steps are not known",
    }[_matched(cells)]
    return f"{where}: {text} (Benjamini-Hochberg over {first.n_tests} tests, q < {fdr:g}; {steps})."


def _design(cell: TransferCell) -> str:
    """Return what was compared, in words."""
    volume = "" if cell.volume is None else f" at {cell.volume:g} examples per {cell.volume_per}"
    if cell.design is TransferDesign.SINGLE_ABILITY:
        what = "one ability alone against the base model"
    else:
        what = "all abilities against all but one"
    rule = {"steps": ", fixed steps", "epochs": ", fixed epochs"}.get(cell.length_rule, "")
    return f"{what}, {cell.data_source} data{volume}{rule} ({cell.metric})"


def _matched(cells: Sequence[TransferCell]) -> bool | None:
    """Say whether steps match in all cells; None if unknown in any."""
    values = {cell.steps_matched for cell in cells}
    return None if None in values else False not in values


def _read_mirror(mirror: Mirror) -> str:
    """Return how an exam grows along."""
    assert mirror.slope is not None and mirror.rank_correlation is not None  # only told if known
    slope, rank = mirror.slope, mirror.rank_correlation
    return (
        f"{mirror.base_model}, {mirror.target} ({mirror.metric}): out-of-domain scores change by "
        f"{slope.estimate:.2f} for each point in domain ({_range(slope)}), rank correlation "
        f"{rank.estimate:.2f} ({_range(rank)}) over {mirror.n_recipes} recipes."
    )


def _amount(interval: Interval, response: ResponseKind) -> str:
    scale, digits, unit = (100, 1, " points") if response is ResponseKind.ACCURACY else (1, 3, "")
    low, high = scale * interval.low, scale * interval.high
    return f"{scale * interval.estimate:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _range(interval: Interval) -> str:
    return f"{100 * interval.level:g}% interval {interval.low:.2f} to {interval.high:.2f}"
