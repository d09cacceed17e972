"""Replies of a checkpoint in its own words, for judges to read.

Scoring asks for log-likelihoods or for short answers; what a judge reads is generated here:
greedily, in batches of like length, up to the template's end token.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runners.doit_format import Item
from runners.failures import is_out_of_memory
from runners.grid import short_hash
from runners.job import ReplySettings
from runners.lm_eval_tasks import encode_prompt
from runners.template import Template
from warehouse.records import GENERATION

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def select_items(items: Sequence[Item], settings: ReplySettings) -> list[Item]:
    """Return the items that judges ask for: of each ability the first ones, each once."""
    chosen: dict[str, dict[str, Item]] = {ability: {} for ability in settings.abilities}
    limit = settings.max_items_per_ability
    for item in items:
        group = chosen.get(item.ability)
        if group is not None and (limit is None or len(group) < limit):
            group[item.item_id] = item
    return [item for group in chosen.values() for item in group.values()]


def reply_stem(cell_id: str, settings: ReplySettings) -> str:
    """Return the name of a cell's landing file of replies; other settings make another file."""
    return f"{cell_id}-{short_hash(settings.model_dump(mode='json'), 8)}"


def generate_replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    items: Sequence[Item],
    *,
    cell_id: str,
    max_new_tokens: int,
    batch_size: int,
) -> pa.Table:
    """Have a model reply to items.

    Parameters
    ----------
    items : sequence of Item
        Each once; the replies come back in this order.
    batch_size : int, at least 1
        Prompts at once; halved when memory does not suffice.

    Returns
    -------
    pyarrow.Table
        One row per item with the columns of GENERATION. A prompt that leaves no room for a reply
        has a row without reply and with the reason.
    """
    prompts = [encode_prompt(tokenizer, template, item) for item in items]
    room = getattr(model.config, "max_position_embeddings", None)
    rows: list[dict[str, Any]] = []
    for item, prompt in zip(items, prompts, strict=True):
        text = template.prompt(item.prompt_turns)
        rows.append(
            {
                "cell_id": cell_id,
                "item_id": item.item_id,
                "ability": item.ability,
                "prompt_hash": hashlib.sha256(text.encode()).hexdigest(),
                "max_new_tokens": max_new_tokens,
                "missing_reason": None
                if room is None or len(prompt) + max_new_tokens <= room
                else f"the prompt's {len(prompt)} tokens and {max_new_tokens} of reply exceed the "
                f"model's {room}",
            }
        )
    fit = [place for place, row in enumerate(rows) if row["missing_reason"] is None]
    fit.sort(key=lambda place: len(prompts[place]), reverse=True)
    start = 0
    while start < len(fit):
        places = fit[start : start + batch_size]
        try:
            replies = _generate(
                model, tokenizer, template, [prompts[p] for p in places], max_new_tokens
            )
        except (RuntimeError, MemoryError) as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
            batch_size = max(1, batch_size // 2)
            logger.warning("out of memory; replies are generated %d at once now", batch_size)
            continue
        for place, reply in zip(places, replies, strict=True):
            rows[place] |= reply
        start += len(places)
    return pa.Table.from_pylist(rows, schema=GENERATION)


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
) -> list[dict[str, Any]]:
    """Reply to one batch."""
    import torch
    from transformers import GenerationConfig

    end_id = tokenizer.convert_tokens_to_ids(template.end)
    width = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            # Whatever settings the checkpoint carries.
            generation_config=GenerationConfig(
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=end_id,
                pad_token_id=pad,
            ),
        )
    replies = []
    for tokens in output[:, width:].tolist():
        ended = end_id in tokens
        kept = tokens[: tokens.index(end_id) + 1] if ended else tokens
        replies.append(
            {
                # Special tokens in a reply are text that a judge should see.
                "reply": tokenizer.decode(kept[:-1] if ended else kept),
                "n_tokens": len(kept),
                "finish_reason": "stop" if ended else "length",
            }
        )
    return replies
