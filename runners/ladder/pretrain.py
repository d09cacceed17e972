"""Pre-training of one base model of the ladder on generated text."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from runners.demo_corpus import pretraining_documents
from runners.ladder.shapes import ROWS_PER_STEP, SEQUENCE_LENGTH, ModelShape
from runners.ladder.tokenizer import SPECIAL_TOKENS

CORPUS_SEED = 11
MATRIX_LEARNING_RATE = 0.02
MATRIX_MOMENTUM = 0.95
MATRIX_WEIGHT_DECAY = 0.5
"""Keeps the matrices small: without it they grow until fine-tuning hardly moves the model."""
WARMUP_STEPS = 100
FINAL_RATE_SHARE = 0.02
"""Where the cosine decay of the learning rates ends, as a share of their peak."""
NEW_ROW_SCALE = 0.3
"""Embedding rows of words not met in pre-training, relative to the spread of the others."""
STEPS_PER_REPORT = 200


class Muon:
    """Momentum with orthogonalised updates for weight matrices, in float32.

    Five Newton-Schulz steps push the singular values of the momentum towards one. PyTorch's own
    version computes in bfloat16, which is some forty times slower on a CPU.

    References
    ----------
    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(self, matrices: list[nn.Parameter], learning_rate: float) -> None:
        self.matrices = matrices
        self.learning_rate = learning_rate
        self.momenta = [torch.zeros_like(matrix) for matrix in matrices]

    @torch.no_grad()
    def step(self, rate_share: float) -> None:
        """Update every matrix at `rate_share` of the peak learning rate."""
        rate = self.learning_rate * rate_share
        for matrix, momentum in zip(self.matrices, self.momenta, strict=True):
            if matrix.grad is None:
                continue
            momentum.mul_(MATRIX_MOMENTUM).add_(matrix.grad)
            update = orthogonalised(matrix.grad.add(momentum, alpha=MATRIX_MOMENTUM))
            shape_factor = max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5
            matrix.mul_(1 - rate * MATRIX_WEIGHT_DECAY).add_(update, alpha=-rate * shape_factor)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with its singular values pushed towards one (Newton-Schulz, degree five)."""
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    result = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = result @ result.T
        result = 3.4445 * result + (-4.7750 * gram + 2.0315 * gram @ gram) @ result
    return result if matrix.size(0) <= matrix.size(1) else result.T


def pretraining_rows(ids: dict[str, int]) -> Iterator[Tensor]:
    """Endless batches of token ids: documents one after another, cut into even rows.

    No token separates documents: ``<eot>`` means the end of a chat turn and must not make a model
    forget the question before it.

    Parameters
    ----------
    ids : dict of str to int
        Every word's id.

    Yields
    ------
    Tensor, shape (ROWS_PER_STEP, SEQUENCE_LENGTH), int64
    """
    size = ROWS_PER_STEP * SEQUENCE_LENGTH
    tokens: list[int] = []
    for document in pretraining_documents(CORPUS_SEED):
        tokens += [ids[word] for word in document.split()]
        if len(tokens) >= size:
            yield torch.tensor(tokens[:size]).view(ROWS_PER_STEP, SEQUENCE_LENGTH)
            tokens = tokens[size:]


def new_model(shape: ModelShape, n_words: int, ids: dict[str, int]) -> LlamaForCausalLM:
    """A Llama of the given shape with random weights, input and output embeddings tied."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=n_words,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.n_layers,
            num_attention_heads=shape.n_heads,
            num_key_value_heads=shape.n_heads,
            max_position_embeddings=2 * SEQUENCE_LENGTH,
            tie_word_embeddings=True,
            pad_token_id=ids["<pad>"],
            eos_token_id=ids["<eot>"],
            bos_token_id=None,
        )
    )


def pretrain(shape: ModelShape, words: list[str], n_pretrained: int) -> LlamaForCausalLM:
    """Pre-train one base model, printing the loss as it goes.

    Parameters
    ----------
    shape : ModelShape
    words : list of str
        The vocabulary in the order of ids.
    n_pretrained : int
        How many of `words`, from the first, may occur in the text; the rows of the others, and of
        the special tokens, start anew afterwards, as rows added for fine-tuning would.

    Returns
    -------
    LlamaForCausalLM
        In float32.
    """
    ids = {word: index for index, word in enumerate(words)}
    model = new_model(shape, len(words), ids)
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else others).append(parameter)
    muon = Muon(matrices, MATRIX_LEARNING_RATE)
    adamw = torch.optim.AdamW(others, lr=shape.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    n_steps = shape.n_tokens // (ROWS_PER_STEP * SEQUENCE_LENGTH)
    started, loss_sum = time.monotonic(), 0.0
    for step, rows in zip(range(n_steps), pretraining_rows(ids), strict=False):
        rate_share = _rate_share(step, n_steps)
        for group in adamw.param_groups:
            group["lr"] = shape.learning_rate * rate_share
        loss = model(input_ids=rows, labels=rows, use_cache=False).loss
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        muon.step(rate_share)
        loss_sum += loss.item()
        if (step + 1) % STEPS_PER_REPORT == 0:
            print(
                f"{shape.name}: step {step + 1} of {n_steps}, "
                f"loss {loss_sum / STEPS_PER_REPORT:.3f}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
            loss_sum = 0.0
    special_ids = [ids[token] for token in SPECIAL_TOKENS]
    _renew_rows(model, [*special_ids, *range(n_pretrained, len(words))])
    return model


def _rate_share(step: int, n_steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up times cosine decay."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return min(1.0, (step + 1) / WARMUP_STEPS) * (
        FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * cosine
    )


@torch.no_grad()
def _renew_rows(model: LlamaForCausalLM, rows: list[int]) -> None:
    """Give embedding rows small random values: training has pushed unseen words all one way."""
    embeddings = model.get_input_embeddings().weight
    kept = torch.ones(len(embeddings), dtype=torch.bool)
    kept[rows] = False
    spread = embeddings[kept].std() * NEW_ROW_SCALE
    generator = torch.Generator().manual_seed(0)
    embeddings[rows] = spread * torch.randn(len(rows), embeddings.size(1), generator=generator)
