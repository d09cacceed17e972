"""How messages become text, tokens and a loss mask; one object for training and scoring alike.

A template that differs between training and evaluation makes a model look broken (it never stops,
or scores at chance), so the template is named in the grid, is part of `cell_id`, and is saved
with every checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
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
        "doit" (the paper's special tokens), "chatml" (models tuned for chat such as SmolLM2),
        "gemma" (Gemma 2 and 3) or "model" (the tokenizer's own chat template, see
        `model_template`).
    user_prefix, user_suffix, assistant_prefix : str
        Text that is never a target.
    end : str
        The token that ends the assistant's turn; it is a target, so that the model learns to stop.
    assistant_suffix : str
        Text after `end` that is no target (ChatML's newline).
    start : str
        Text before the first turn, no target either (a chat template's system prompt).
    """

    name: str
    user_prefix: str
    user_suffix: str
    assistant_prefix: str
    end: str
    assistant_suffix: str = ""
    start: str = ""

    def segments(self, turns: Sequence[Turn]) -> list[tuple[str, bool]]:
        """Return (text, is_target) pieces of a conversation."""
        pieces: list[tuple[str, bool]] = [(self.start, False)] if self.start else []
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
        # The module's own count: a weight that ZeRO 3 has sharded shows no rows.
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
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
        # Tokens that Gemma's vocabulary has for turns; its models were trained with <bos> first.
        Template(
            name="gemma",
            user_prefix="<start_of_turn>user\n",
            user_suffix="<end_of_turn>\n",
            assistant_prefix="<start_of_turn>model\n",
            end="<end_of_turn>",
            assistant_suffix="\n",
            start="<bos>",
        ),
    )
}


def load_template(name: str, model_folder: Path) -> Template:
    """Return a template by its name in a grid; "model" reads the model's tokenizer.

    Raises
    ------
    InputError
        As `model_template` does.
    """
    return _read_model_template(model_folder) if name == "model" else TEMPLATES[name]


@lru_cache(maxsize=4)
def _read_model_template(model_folder: Path) -> Template:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"template model: the tokenizer in {model_folder} can't be read "
            f"({str(error).strip().splitlines()[0]}); complete the model folder or use another "
            "template."
        ) from error
    return model_template(tokenizer)


_QUESTIONS, _ANSWERS = ("What comes first?", "And then?"), ("This.", "That.")


def model_template(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Take a tokenizer's own chat template apart into the pieces of a `Template`.

    Conversations of known content are rendered by `apply_chat_template`; what one has beyond the
    other's end is what a turn adds. The pieces must put a conversation of four turns together
    exactly as the chat template does.

    Raises
    ------
    InputError
        If there is no chat template, it ends replies by no special token, or it writes a turn
        differently depending on others (so that no such pieces exist).
    """
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise InputError(
            "template model: this model's tokenizer carries no chat template; use template doit, "
            "or chatml if the model knows its tokens."
        )
    messages: list[dict[str, str]] = []
    for question, answer in zip(_QUESTIONS, _ANSWERS, strict=True):
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})

    refusal = InputError(
        "template model: this model's chat template can't be used for training, since what it "
        "writes for a turn depends on other turns; use template doit or chatml."
    )

    def render(n_turns: int, *, reply: bool = False) -> str:
        try:
            return str(
                tokenizer.apply_chat_template(
                    messages[:n_turns], tokenize=False, add_generation_prompt=reply
                )
            )
        except TemplateError as error:
            raise refusal from error

    asked, prompted, answered, again = render(1), render(1, reply=True), render(2), render(3)
    if not (
        prompted.startswith(asked)
        and answered.startswith(prompted + _ANSWERS[0])
        and again.startswith(answered)
        and asked.count(_QUESTIONS[0]) == again[len(answered) :].count(_QUESTIONS[1]) == 1
    ):
        raise refusal
    user_prefix, user_suffix = again[len(answered) :].split(_QUESTIONS[1])
    closing = answered[len(prompted) + len(_ANSWERS[0]) :]
    end = _first_special(tokenizer, closing)
    template = Template(
        name="model",
        user_prefix=user_prefix,
        user_suffix=user_suffix,
        assistant_prefix=prompted[len(asked) :],
        end=end,
        assistant_suffix=closing.removeprefix(end),
        start=asked.split(_QUESTIONS[0])[0].removesuffix(user_prefix),
    )
    turns = [Turn(role=m["role"], content=m["content"]) for m in messages]
    whole = "".join(text for text, _ in template.segments(turns))
    if whole != render(4) or template.prompt(turns[:3]) != render(3, reply=True):
        raise refusal
    return template


def _first_special(tokenizer: PreTrainedTokenizerBase, closing: str) -> str:
    """Return the special token that a reply's closing text begins with."""
    ids = tokenizer.encode(closing, add_special_tokens=False)
    first = tokenizer.convert_ids_to_tokens(ids[0]) if ids else ""
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    if first not in added or not closing.startswith(first):
        raise InputError(
            f"template model: this model's chat template ends a reply with {closing!r}, which "
            "begins with no special token, so the model would not learn to stop; use template "
            "doit."
        )
    return first
