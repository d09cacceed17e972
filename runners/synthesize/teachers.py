"""Who writes: a local checkpoint, or a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runners.base_models import BaseModel
from runners.grid import short_hash
from runners.judge.spending import BYTES_PER_TOKEN, CostEstimate
from runners.template import TEMPLATE_FILE, TEMPLATES, Template, Turn
from warehouse.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from runners.judge.chat import ChatRequest
    from runners.judge.client import ChatClient


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing to be written.

    Attributes
    ----------
    options : tuple of str
        What may be answered; a local teacher takes the likeliest if each is one token.
    seed : int
        Draws the reply where `temperature` is above 0.
    """

    turns: tuple[Turn, ...]
    options: tuple[str, ...] = ()
    temperature: float
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back; `failure` says why a request was not answered, so that it is asked again.

    `cut_off` tells whether the reply reached the limit; `cost` is None where prices are unknown.
    """

    text: str = ""
    cut_off: bool = False
    n_tokens: int | None = None
    cost: float | None = None
    failure: str | None = None


class Teacher(Protocol):
    """Answers requests."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells its replies apart from another teacher's; part of the provenance."""
        ...

    @property
    def batch_size(self) -> int | None:
        """Requests that influence each other's replies, asked together; None: none do."""
        ...

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (place of the request, reply) as replies come in."""
        ...

    def estimate(self, requests: Sequence[Request]) -> CostEstimate:
        """Forecast what asking costs; asks nobody."""
        ...


class LocalTeacher:
    """A Hugging Face checkpoint on this machine.

    Parameters
    ----------
    batch_size : int
        Requests at once. Replies are drawn per batch, so it is part of the identity.
    template : str, optional
        A template's name; default: the one saved with a checkpoint of growthpace, else the model's
        own chat template, else the paper's tokens where the model knows them.

    Raises
    ------
    InputError
        If the model has no template that is known, or does not load (weights: once it is asked).
    MissingDependencyError
        If torch or transformers isn't installed.
    """

    def __init__(
        self, model: BaseModel, *, batch_size: int = 8, template: str | None = None
    ) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingDependencyError(
                "A local teacher needs the extra train: pip install -e '.[train]'."
            ) from error
        logging.disable_progress_bar()
        self.batch_size = batch_size
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self._device == "cuda" else torch.float32
        self._tokenizer = _load(AutoTokenizer, model.folder, padding_side="left")
        self._load_model = partial(_load, AutoModelForCausalLM, model.folder, dtype=dtype)
        self._template = _find_template(model.folder, self._tokenizer, template)
        self._set_special_tokens()
        self.identity = {
            "kind": "checkpoint",
            "model": model.folder.name,
            "revision": model.revision,
            "template": self._template.name if self._template else "chat_template",
            "batch_size": batch_size,
            "dtype": str(dtype).removeprefix("torch."),
            "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        }

    @cached_property
    def _model(self) -> Any:
        """The model, loaded when it is first asked: forecasts and complete folders need none."""
        return self._load_model().to(self._device).eval()

    def _set_special_tokens(self) -> None:
        """Find the token that ends a reply, and those that must not stand in one."""
        tokenizer = self._tokenizer
        end = self._template.end if self._template else tokenizer.eos_token
        self._end_id = tokenizer.convert_tokens_to_ids(end)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token_id = self._end_id
        banned = {*tokenizer.all_special_ids, *_ids_of(tokenizer, ("<user>", "<assistant>"))}
        unknown = {tokenizer.unk_token_id, None}
        self._banned = [[token] for token in sorted(banned - unknown - {self._end_id})]

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the replies of a batch."""
        import torch

        choosing = {
            place: ids
            for place, request in enumerate(requests)
            if (ids := self._option_ids(request)) is not None
        }
        writing = [place for place in range(len(requests)) if place not in choosing]
        with torch.inference_mode():
            for place, ids in choosing.items():
                yield place, self._choose(requests[place], ids)
            if writing:
                replies = self._write([requests[place] for place in writing])
                yield from zip(writing, replies, strict=True)

    def estimate(self, requests: Sequence[Request]) -> CostEstimate:
        """Forecast tokens; nobody is paid."""
        texts = ["".join(turn.content for turn in request.turns) for request in requests]
        return CostEstimate(
            n_calls=len(requests),
            n_cached=0,
            n_prompt_tokens=sum(len(text.encode()) // BYTES_PER_TOKEN + 1 for text in texts),
            n_completion_tokens_at_most=sum(
                request.max_new_tokens if self._option_ids(request) is None else 1
                for request in requests
            ),
            cost=0.0,
            cost_at_most=0.0,
        )

    def _option_ids(self, request: Request) -> list[int] | None:
        """Return the tokens of a request's options; None unless each is one token of its own."""
        ids = [
            self._tokenizer(text, add_special_tokens=False).input_ids for text in request.options
        ]
        firsts = [found[0] for found in ids if len(found) == 1]
        return firsts if ids and len(set(firsts)) == len(ids) else None

    def _choose(self, request: Request, ids: list[int]) -> Reply:
        """Take the likeliest option."""
        logits = self._model(**self._encode([request])).logits[0, -1, ids]
        return Reply(text=request.options[int(logits.argmax())], n_tokens=1, cost=0.0)

    def _write(self, requests: Sequence[Request]) -> list[Reply]:
        """Let the model write; all requests have one temperature and limit."""
        import torch

        encoded = self._encode(requests)
        width = encoded["input_ids"].shape[1]
        first = requests[0]
        sampling: dict[str, Any] = {"do_sample": False}
        if first.temperature > 0:
            # One state for the batch: its replies are the same however often it is asked.
            torch.manual_seed(int(short_hash([request.seed for request in requests]), 16) % 2**31)
            sampling = {"do_sample": True, "temperature": first.temperature, "top_k": 0}
        written = self._model.generate(
            **encoded,
            **sampling,
            min_new_tokens=1,
            max_new_tokens=first.max_new_tokens,
            eos_token_id=self._end_id,
            pad_token_id=self._tokenizer.pad_token_id,
            bad_words_ids=self._banned or None,
        )
        replies = []
        for row in written[:, width:].tolist():
            cut_off = self._end_id not in row
            ids = row if cut_off else row[: row.index(self._end_id)]
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
            replies.append(Reply(text=text, cut_off=cut_off, n_tokens=len(ids), cost=0.0))
        return replies

    def _encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Tokenise prompts, padded on the left."""
        prompts = [self._prompt(request.turns) for request in requests]
        encoded = self._tokenizer(
            prompts, add_special_tokens=False, padding=True, return_tensors="pt"
        ).to(self._device)
        return {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}

    def _prompt(self, turns: Sequence[Turn]) -> str:
        """Return the text that the model continues."""
        if self._template is not None:
            return self._template.prompt(turns)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )


def _load(kind: Any, folder: Path, **options: Any) -> Any:
    """Load a tokenizer or a model."""
    try:
        return kind.from_pretrained(folder, **options)
    except Exception as error:  # the libraries raise many kinds for a damaged folder
        first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise InputError(
            f"The teacher in {folder} does not load ({type(error).__name__}: {first}); check its "
            "files, or name another with --teacher."
        ) from error


def _find_template(folder: Path, tokenizer: Any, name: str | None) -> Template | None:
    """Return the template to use, None for the model's own."""
    if name is not None:
        if name not in TEMPLATES:
            raise InputError(f"--template {name!r:.60} is unknown; use {', '.join(TEMPLATES)}.")
        return TEMPLATES[name]
    if (folder / TEMPLATE_FILE).is_file():
        return Template(**json.loads((folder / TEMPLATE_FILE).read_text("utf-8")))
    if tokenizer.chat_template:
        return None
    if len(_ids_of(tokenizer, ("<user>", "<assistant>", "<eot>"))) == 3:
        return TEMPLATES["doit"]
    raise InputError(
        f"The teacher {folder.name} has no chat template; name one with --template "
        f"({', '.join(TEMPLATES)}), or fine-tune it first: a base model answers nothing."
    )


def _ids_of(tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """Return the ids of those tokens that the tokenizer knows."""
    known = tokenizer.get_vocab()
    return [known[token] for token in tokens if token in known]


class EndpointTeacher:
    """A model behind an OpenAI-compatible endpoint (see `runners.judge.client`)."""

    batch_size = None

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        endpoint = client.endpoint
        self.identity = {
            "kind": "endpoint",
            "endpoint": endpoint.base_url,
            "model": endpoint.model,
            "revision": endpoint.revision,
            "parameters": dict(endpoint.parameters),
        }

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they come in; one that is cut off or empty is a reply, paid for."""
        for place, found in self._client.ask_many([_chat_request(one) for one in requests]):
            n_tokens = found.n_completion_tokens
            if found.text is None and found.finish_reason is None:
                yield place, Reply(failure=found.failure or "no reply", cost=found.cost)
                continue
            yield (
                place,
                Reply(
                    text=found.text if found.text is not None else found.partial or "",
                    cut_off=found.finish_reason == "length",
                    n_tokens=n_tokens,
                    cost=found.cost,
                ),
            )

    def estimate(self, requests: Sequence[Request]) -> CostEstimate:
        """Forecast tokens and, with prices, cost."""
        return self._client.estimate([_chat_request(one) for one in requests])


def _chat_request(request: Request) -> ChatRequest:
    from runners.judge.chat import ChatRequest

    return ChatRequest(
        messages=tuple({"role": turn.role, "content": turn.content} for turn in request.turns),
        max_tokens=request.max_new_tokens,
        temperature=request.temperature,
        seed=request.seed,
    )
