"""From examples to tensors: global batches, length-grouped micro-batches, padded or packed rows.

What a step computes is fixed by its global batch, whose examples are drawn by epoch and seed. How
it is cut into rows and micro-batches and dealt to ranks is a matter of speed and memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from runners.template import IGNORE_INDEX, EncodedExample

Row = list[EncodedExample]
"""Examples that share one row of a batch; a single one unless they are packed."""


def global_batches(
    n_examples: int, batch_size: int, n_steps: int, seed: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (epoch, example indices) of each optimizer step; every epoch is shuffled anew.

    The last batch of an epoch holds what is left, so every example is seen once an epoch.
    """
    taken = epoch = 0
    while taken < n_steps:
        order = np.random.default_rng((seed, epoch)).permutation(n_examples)
        for start in range(0, n_examples, batch_size):
            if taken == n_steps:
                return
            yield epoch, order[start : start + batch_size]
            taken += 1
        epoch += 1


def count_targets(examples: Sequence[EncodedExample]) -> int:
    """Count the tokens that carry loss.

    The first token of a sequence is never predicted, so it can't be a target.
    """
    return sum(sum(label != IGNORE_INDEX for label in e.labels[1:]) for e in examples)


def row_length(row: Row) -> int:
    """Return a row's tokens, without padding."""
    return sum(len(example.input_ids) for example in row)


def pack_rows(examples: Sequence[EncodedExample], row_tokens: int) -> list[Row]:
    """Share examples out among as few rows of at most `row_tokens` as first-fit decreasing finds.

    Rows are then made as equally long as they get, since a batch is padded to its longest.

    References
    ----------
    Johnson et al. 1974, SIAM J. Comput. 3(4): first-fit decreasing takes at most 11/9 of the
    fewest rows (and 4 more). Graham 1969, SIAM J. Appl. Math. 17(2): longest first, to the
    shortest row.
    """
    ordered = sorted(examples, key=lambda example: -len(example.input_ids))
    rows: list[Row] = []
    lengths: list[int] = []
    for example in ordered:
        length = len(example.input_ids)
        for index, taken in enumerate(lengths):
            if taken + length <= row_tokens:
                rows[index].append(example)
                lengths[index] += length
                break
        else:
            rows.append([example])
            lengths.append(length)
    level: list[Row] = [[] for _ in rows]
    level_lengths = [0] * len(rows)
    for example in ordered:
        index = level_lengths.index(min(level_lengths))
        level[index].append(example)
        level_lengths[index] += len(example.input_ids)
    return level if max(level_lengths) <= row_tokens else rows


def micro_batches(rows: Sequence[Row], micro: int, rank: int, ranks: int) -> list[list[Row]]:
    """Cut a global batch into this rank's micro-batches, grouped by length.

    Every rank gets the same number of them, since backward passes communicate; a rank that runs
    out of rows repeats the shortest one with no targets.
    """
    ordered = sorted(rows, key=row_length)
    mine = ordered[rank::ranks]
    n_micro = math.ceil(math.ceil(len(ordered) / ranks) / micro)
    batches = [mine[start : start + micro] for start in range(0, len(mine), micro)]
    filler = ordered[0][0]
    empty = EncodedExample(
        input_ids=filler.input_ids,
        labels=[IGNORE_INDEX] * len(filler.input_ids),
        truncated=filler.truncated,
    )
    return batches + [[[empty]]] * (n_micro - len(batches))


def collate(
    examples: Sequence[EncodedExample], pad_token_id: int, multiple: int = 8
) -> dict[str, torch.Tensor]:
    """Pad on the left, so that targets stand at the end of every row.

    Returns
    -------
    dict of tensors, shape (n_examples, length)
        `input_ids`, `attention_mask`, `position_ids`, `labels`.
    """
    longest = max(len(example.input_ids) for example in examples)
    length = math.ceil(longest / multiple) * multiple
    input_ids = torch.full((len(examples), length), pad_token_id, dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORE_INDEX, dtype=torch.long)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    for row, example in enumerate(examples):
        start = length - len(example.input_ids)
        input_ids[row, start:] = torch.tensor(example.input_ids)
        labels[row, start:] = torch.tensor(example.labels)
        mask[row, start:] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {
        "input_ids": input_ids,
        "attention_mask": mask,
        "position_ids": positions,
        "labels": labels,
    }


def collate_packed(
    rows: Sequence[Row], pad_token_id: int, multiple: int = 8
) -> dict[str, torch.Tensor]:
    """Put each row's examples one after another; positions restart at 0 with each of them.

    There is no attention mask: transformers then reads the sequences off the positions and lets
    no token see another sequence (a block-diagonal mask, also inside sliding windows; sequence
    lengths for flash attention, if there is one row only). Padding at the end counts as a
    sequence of its own. An example's first token is no target, as in a row of its own.

    Returns
    -------
    dict of tensors, shape (n_rows, length)
        `input_ids`, `position_ids`, `labels`.

    References
    ----------
    transformers 5.23, `masking_utils.find_packed_sequence_indices`.
    """
    length = math.ceil(max(row_length(row) for row in rows) / multiple) * multiple
    input_ids = torch.full((len(rows), length), pad_token_id, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORE_INDEX, dtype=torch.long)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    for index, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.input_ids)
            input_ids[index, start:end] = torch.tensor(example.input_ids)
            labels[index, start + 1 : end] = torch.tensor(example.labels[1:])
            positions[index, start:end] = torch.arange(end - start)
            start = end
        positions[index, start:] = torch.arange(length - start)
    return {"input_ids": input_ids, "position_ids": positions, "labels": labels}
