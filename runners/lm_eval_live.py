"""lm-eval's task and model objects, made to serve many checkpoints in one process.

lm-eval stays in charge of requests, batching, log-likelihoods, generation and metrics. These
subclasses remember what is the same for every checkpoint (documents, requests, tokens) and leave
out logits that nobody reads.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from runners.lm_eval_tasks import EvaluationTask


class LiveTask(ConfigurableTask):
    """An lm-eval task whose documents and requests are built once for many checkpoints."""

    _instances = None
    _documents: list[dict[str, Any]] | None = None

    def __init__(self, config: dict[str, Any]) -> None:
        """Build the task from its YAML's content."""
        super().__init__(config={key: config[key] for key in config if key != "class"})
        self._documents = list(self.task_docs)

    @property
    def eval_docs(self) -> datasets.Dataset | list[dict[str, Any]]:
        """The documents, decoded once."""
        return super().eval_docs if self._documents is None else self._documents

    def build_all_requests(self, **kwargs: Any) -> None:
        """Build the requests at the first call, and forget their answers at later ones."""
        if self._instances is None:
            # lm-eval's progress bar at this place can't be turned off.
            with contextlib.redirect_stderr(io.StringIO()):
                super().build_all_requests(**kwargs)
        instances: list[Any] = self._instances or []
        for instance in instances:
            instance.resps = []
            instance.filtered_resps = {}


def load_tasks(folder: Path, tasks: Sequence[EvaluationTask]) -> dict[str, LiveTask]:
    """Return lm-eval's task objects for the files in a folder."""
    datasets.disable_progress_bars()
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return manager.load([task.name for task in tasks])["tasks"]


Pairs = dict[tuple[str, str], tuple[list[int], list[int]]]
"""Tokens of contexts and continuations by their texts."""


class LiveModel(HFLM):
    """lm-eval's Hugging Face model, which tokenises the same requests once for many checkpoints.

    Parameters
    ----------
    pairs : dict
        What is known of the tokens of log-likelihood requests; filled on the way.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int,
        pairs: Pairs | None = None,
    ) -> None:
        with _quiet("lm_eval.models.huggingface"):
            super().__init__(
                pretrained=model,
                tokenizer=tokenizer,
                backend="causal",
                batch_size=batch_size,
                # Looked up in the configuration at every use unless it is given.
                max_length=getattr(model.config, "max_position_embeddings", None),
            )
        self._pairs = {} if pairs is None else pairs
        self._n_scored = 0
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
        """Answer without a progress bar by default."""
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> Any:
        """Answer without a progress bar by default."""
        return super().generate_until(requests, disable_tqdm=disable_tqdm)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Tokenise prompt and continuation as lm-eval does, once."""
        key = (context, continuation)
        if key not in self._pairs:
            self._pairs[key] = super()._encode_pair(context, continuation)
        return self._pairs[key]

    def count_tokens(self, context: str, continuation: str) -> int:
        """Return how many tokens the log-likelihood of a continuation runs over."""
        return len(self._encode_pair(context, continuation)[1])

    def _loglikelihood_tokens(
        self, requests: Any, disable_tqdm: bool = True, override_bs: int | None = None
    ) -> Any:
        """Run one-token continuations apart from longer ones, which need more logits."""
        answers: dict[int, tuple[float, bool]] = {}
        for is_short in (True, False):
            indices = [
                i for i, request in enumerate(requests) if (len(request[2]) == 1) is is_short
            ]
            if indices:
                self._n_scored = max(len(requests[i][2]) for i in indices)
                part = super()._loglikelihood_tokens(
                    [requests[i] for i in indices], disable_tqdm, override_bs
                )
                answers.update(zip(indices, part, strict=True))
        return [answers[i] for i in range(len(requests))]

    def _model_call(
        self,
        inps: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits of the last positions only, all that lm-eval reads.

        lm-eval counts positions from the end of each row's tokens, so leading logits may be
        missing. Rows are padded on the right with zeros; a text that itself ends in token 0
        only makes the kept part longer.
        """
        if not self._keeps_logits:
            return super()._model_call(inps, attn_mask, labels)
        n_padding = int((inps.flip(1).cumsum(1) == 0).sum(1).max())
        with torch.inference_mode():
            return self.model(
                inps,
                use_cache=False,
                logits_to_keep=min(self._n_scored + n_padding, inps.shape[1]),
            ).logits


class PreparedModel(LiveModel):
    """lm-eval's Hugging Face model, with texts tokenised beforehand.

    Parameters
    ----------
    tokens : dict of str to list of int
        Tokens of every prompt and continuation that will be asked for. They are those of
        training, where special tokens and contents are encoded piece by piece; lm-eval would
        encode the joined text, which some tokenizers cut differently.
    end : str
        Token at which replies end.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        tokens: Mapping[str, list[int]],
        end: str,
        batch_size: int,
    ) -> None:
        super().__init__(model, tokenizer, batch_size=batch_size)
        self._tokens = tokens
        self._end_id = tokenizer.convert_tokens_to_ids(end)

    def tok_encode(self, string: str, *args: Any, **kwargs: Any) -> list[int]:
        """Look the tokens up."""
        return self._tokens[string]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Look the tokens of prompt and continuation up."""
        return self._tokens[context], self._tokens[continuation]

    def tok_batch_encode(
        self, strings: Sequence[str], padding_side: str = "left", **options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Look the tokens of prompts up and pad them on the left."""
        limit = options.get("left_truncate_len")
        rows = [self._tokens[string][-limit if limit else 0 :] for string in strings]
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        ids = [[pad] * (width - len(row)) + row for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids), torch.tensor(mask)

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any
    ) -> torch.Tensor:
        """Generate greedily up to the end token, whatever the checkpoint's own settings are."""
        config = GenerationConfig(
            max_length=max_length,
            do_sample=False,
            eos_token_id=self._end_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return self.model.generate(
            input_ids=context, attention_mask=kwargs["attention_mask"], generation_config=config
        )


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Mute a logger's warnings for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
