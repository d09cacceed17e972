"""Items over training volumes: who is learnt, lost, or answered differently from run to run."""

from __future__ import annotations

import json
from enum import StrEnum

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.axes import say_tick
from dashboard.charts.style import GREY, Frame, apply_frame, shorten
from dashboard.charts.wording import name_ability, say_count

_ROW_HEIGHT = 34
_MAX_ITEMS = 1_500
"""Columns of the picture; more would be narrower than a pixel."""
_EXCERPT = 160
# From what every run got wrong to what every run got right; the same in grey.
_SCALE = [[0.0, "#F3E3D3"], [0.5, "#8FB8D6"], [1.0, "#0B3C5D"]]


class Kind(StrEnum):
    """Which items to list."""

    ALL = "all"
    LEARNT = "learnt: wrong at first, right with most examples"
    LOST = "lost: right once, wrong with most examples"
    FLIPS = "flips: changes twice or more"
    SEEDS_DIFFER = "seeds differ at a volume"
    NEVER = "never right"
    ALWAYS = "always right"
    DISPUTED = "judges differ"


def items_table(
    volume: np.ndarray, scores: np.ndarray, texts: pd.DataFrame, disputed: frozenset[str]
) -> pd.DataFrame:
    """Describe every item over the volumes.

    Parameters
    ----------
    volume : ndarray, shape (n_runs,)
        In order.
    scores : ndarray, shape (n_runs, n_items)
    texts : DataFrame, n_items rows
        item_id, prompt (JSON messages), target.
    disputed : frozenset of str
        Items on which judges differ.

    Returns
    -------
    DataFrame
        item_id, prompt (its last turn), target, one column a volume (mean score over the seeds),
        and a column of truth values for every `Kind` but ALL. An item is right at a volume if its
        mean score there is 1/2 or more. The order is the picture's: hardest first.
    """
    volumes = np.unique(volume)
    means = np.stack([_mean(scores[volume == v]) for v in volumes])
    differ = np.array(
        [np.nanmax(s, axis=0) > np.nanmin(s, axis=0) for s in _repeated(volume, scores, volumes)]
        or np.zeros((1, scores.shape[1])),
        dtype=bool,
    ).any(axis=0)
    right = means >= 0.5
    table = pd.DataFrame(
        {
            "item_id": texts["item_id"],
            "prompt": [_last_turn(prompt) for prompt in texts["prompt"]],
            "target": texts["target"],
        }
    )
    for v, row in zip(volumes, means, strict=True):
        table[say_tick(float(v))] = row
    table[Kind.LEARNT] = ~right[0] & right[-1]
    table[Kind.LOST] = right[:-1].any(axis=0) & ~right[-1]
    table[Kind.FLIPS] = (right[1:] != right[:-1]).sum(axis=0) >= 2
    table[Kind.SEEDS_DIFFER] = differ
    table[Kind.NEVER] = ~right.any(axis=0)
    table[Kind.ALWAYS] = right.all(axis=0)
    table[Kind.DISPUTED] = table["item_id"].isin(disputed)
    order = np.lexsort((table["item_id"], means[-1], _mean(means)))
    return table.iloc[order].reset_index(drop=True)


def volume_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of `items_table` that hold scores."""
    fixed = {"item_id", "prompt", "target", *map(str, Kind)}
    return [name for name in table.columns if name not in fixed]


def select_items(table: pd.DataFrame, kind: Kind, contains: str) -> pd.DataFrame:
    """Keep the items of a kind whose prompt, target or id holds a text, whatever its case."""
    if kind is not Kind.ALL:
        table = table[table[kind]]
    if contains:
        wanted = contains.casefold()
        texts = table["item_id"] + "\n" + table["prompt"] + "\n" + table["target"].fillna("")
        table = table[[wanted in text.casefold() for text in texts]]
    return table


def say_items(table: pd.DataFrame, ability: str) -> str:
    """Say in a sentence how many items are right first and last, and how many are lost."""
    columns = volume_columns(table)
    name = name_ability(ability).capitalize()
    n = len(table)
    first, last = ((table[name] >= 0.5).sum() for name in (columns[0], columns[-1]))
    if len(columns) == 1:
        return f"{name}: {last} of {n} items are right at {columns[-1]} examples"
    lost = int(table[Kind.LOST].sum())
    lost_said = "none" if not lost else f"{lost:,}"
    return (
        f"{name}: {first:,} of {n:,} items are right with {columns[0]} examples, {last:,} with "
        f"{columns[-1]}; {lost_said} that {'was' if lost < 2 else 'were'} right with fewer "
        f"{'is' if lost < 2 else 'are'} wrong there"
    )


def items_title(table: pd.DataFrame, ability: str) -> str:
    """Say how many items change, as the picture shows."""
    name = name_ability(ability)
    if len(volume_columns(table)) == 1:
        return f"Items of {name} from hardest to easiest"
    counts = {kind: int(table[kind].sum()) for kind in (Kind.LEARNT, Kind.LOST, Kind.FLIPS)}
    return (
        f"In {name}, {say_count(counts[Kind.LEARNT], 'item')} learnt, {counts[Kind.LOST]:,} lost; "
        f"{counts[Kind.FLIPS]:,} changed twice or more"
    )


def items_figure(table: pd.DataFrame, *, title: str, note: str, of: str = "the runs") -> go.Figure:
    """Draw every item's score at every volume, hardest items at the left; `of` names the runs."""
    columns = volume_columns(table)
    every = -(-len(table) // _MAX_ITEMS)
    shown = table.iloc[::every]
    figure = go.Figure(
        go.Heatmap(
            z=shown[columns].to_numpy(float).T,
            y=columns,
            x=np.arange(len(shown)) * every + 1,
            zmin=0,
            zmax=1,
            colorscale=_SCALE,
            customdata=np.tile(shown["item_id"].to_numpy(str), (len(columns), 1)),
            hovertemplate="item %{customdata}<br>%{y} examples: score %{z:.2f}<extra></extra>",
            colorbar={"title": {"text": "score"}, "thickness": 10, "len": 1, "tickvals": [0, 1]},
        )
    )
    figure.update_layout(
        xaxis={
            "title": {"text": "items, hardest first", "standoff": 6},
            "showgrid": False,
            "ticks": "outside",
            "tickcolor": GREY,
        },
        yaxis={"type": "category", "title": {"text": "examples"}, "showgrid": False},
    )
    subtitle = f"Mean score of {of} over the seeds, by item and training volume"
    if every > 1:
        subtitle += f"; every {every}th of {len(table):,} items"
    frame = Frame(title=title, subtitle=subtitle, note=note, left=78, right=70, axis_room=48)
    return apply_frame(figure, frame, max(120, _ROW_HEIGHT * len(columns)))


def read_messages(prompt: object) -> list[tuple[str, str]]:
    """Return (role, text) of a prompt's turns; a prompt that is no JSON is one turn."""
    if not isinstance(prompt, str):
        return []
    try:
        turns = json.loads(prompt)
        return [(str(turn["role"]), str(turn["content"])) for turn in turns]
    except (ValueError, TypeError, KeyError):
        return [("prompt", prompt)]


def _last_turn(prompt: object) -> str:
    turns = read_messages(prompt)
    return shorten(" ".join(turns[-1][1].split()), _EXCERPT) if turns else ""


def _mean(scores: np.ndarray) -> np.ndarray:
    """Return means over rows, NaN for a column without values."""
    known = np.isfinite(scores)
    total = np.where(known, scores, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _repeated(volume: np.ndarray, scores: np.ndarray, volumes: np.ndarray) -> list[np.ndarray]:
    """Return the scores of volumes at which every item was answered by two runs or more."""
    groups = [scores[volume == v] for v in volumes]
    return [np.where(np.isfinite(g), g, _mean(g)) for g in groups if len(g) > 1]
