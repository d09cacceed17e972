"""How messages become text, tokens and a loss mask; one object for training and scoring alike.

A template that differs between training and evaluation makes a model look broken (it never stops,
or scores at chance), so the template is named in the grid, is part of `cell_id`, and is saved
with every checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORE_INDEX = -100
"""Label of a token that carries no loss (PyTorch's cross-entropy default)."""

DOIT_TOKENS = ("<user>", "<assistant>", "<eot>")
TEMPLATE_FILE = "growthpace_template.json"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message: `role` is "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class EncodedExample:
    """Tokens of one training example.

    `labels` equals `input_ids` on target tokens and IGNORE_INDEX elsewhere; `truncated` tells
    whether tokens beyond the maximum length were cut.
    """

    input_ids: list[int]
    labels: list[int]
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Template:
    """Text around each role's content.

    Attributes
    ----------
    name : str
        "doit" (the paper's special tokens) or "chatml" (models tuned for chat such as SmolLM2).
    user_prefix, user_suffix, assistant_prefix : str
        Text that is never a target.
    end : str
        The token that ends the assistant's turn; it is a target, so that the model learns to stop.
    assistant_suffix : str
        Text after `end` that is no target (ChatML's newline).
    """

    name: str
    user_prefix: str
    user_suffix: str
    assistant_prefix: str
    end: str
    assistant_suffix: str = ""

    def segments(self, turns: Sequence[Turn]) -> list[tuple[str, bool]]:
        """Return (text, is_target) pieces of a conversation."""
        pieces: list[tuple[str, bool]] = []
        for turn in turns:
            content = turn.content.strip()
            if turn.role == "user":
                pieces.append((self.user_prefix + content + self.user_suffix, False))
            else:
                pieces.append((self.assistant_prefix, False))
                pieces.append((content + self.end, True))
                if self.assistant_suffix:
                    pieces.append((self.assistant_suffix, False))
        return pieces

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Return the text that the model continues with the assistant's next reply."""
        return "".join(text for text, _ in self.segments(turns)) + self.assistant_prefix

    def continuation(self, reply: str) -> str:
        """Return `reply` as the model should write it after `prompt`, end token included."""
        return reply.strip() + self.end

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], max_length: int
    ) -> EncodedExample:
        """Tokenise a conversation with its loss mask.

        Parameters
        ----------
        max_length : int
            Longest example in tokens; the rest is cut from the end, as in the paper's code.
        """
        input_ids: list[int] = []
        labels: list[int] = []
        for text, is_target in self.segments(turns):
            ids = tokenizer.encode(text, add_special_tokens=False)
            input_ids += ids
            labels += ids if is_target else [IGNORE_INDEX] * len(ids)
        return EncodedExample(
            input_ids=input_ids[:max_length],
            labels=labels[:max_length],
            truncated=len(input_ids) > max_length,
        )

    def prepare(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        """Give tokenizer and model the template's tokens and a padding token, in place.

        Raises
        ------
        InputError
            If the end token is not one token of the tokenizer, which would make it unlearnable
            as a stop sign.
        """
        special: dict[str, Any] = {}
        if self.name == "doit":
            known = tokenizer.get_vocab()
            missing = [token for token in DOIT_TOKENS if token not in known]
            if missing:
                special["additional_special_tokens"] = missing
        if tokenizer.pad_token_id is None:
            special["pad_token"] = "<pad>"
        if special:
            tokenizer.add_special_tokens(special)
        if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(len(tokenizer))
        end_ids = tokenizer.encode(self.end, add_special_tokens=False)
        if len(end_ids) != 1:
            raise InputError(
                f"template {self.name}: the end token {self.end!r} is {len(end_ids)} tokens of "
                "this model's tokenizer; use a template whose end token the model knows."
            )
        tokenizer.eos_token = self.end
        model.config.eos_token_id = end_ids[0]
        model.config.pad_token_id = tokenizer.pad_token_id
        if model.generation_config is not None:
            model.generation_config.eos_token_id = end_ids[0]
            model.generation_config.pad_token_id = tokenizer.pad_token_id

    def to_json(self) -> str:
        """Return the document that is saved with a checkpoint."""
        return json.dumps(self.__dict__, indent=1)


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            name="doit",
            user_prefix="<user>",
            user_suffix="<eot>",
            assistant_prefix="<assistant>",
            end="<eot>",
        ),
        Template(
            name="chatml",
            user_prefix="<|im_start|>user\n",
            user_suffix="<|im_end|>\n",
            assistant_prefix="<|im_start|>assistant\n",
            end="<|im_end|>",
            assistant_suffix="\n",
        ),
    )
}
