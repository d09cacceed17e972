"""Random models of each family, small enough to train in a second."""

from __future__ import annotations

import random

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from runners.template import IGNORE_INDEX, EncodedExample

VOCABULARY = 97
_FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8}),
    # Layers with a window of 5 tokens and full ones: examples are longer than the window.
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {
            "head_dim": 8,
            "sliding_window": 5,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        },
    ),
}
FAMILIES = tuple(_FAMILIES)


def tiny_model(family: str, **changes: int) -> PreTrainedModel:
    """Return a random three-layer model in fp32."""
    config, model, extra = _FAMILIES[family]
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        # The library's 0.02 makes so small a model's logits all but equal.
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    return model(config(**{**sizes, **extra, **changes}))


def examples(n: int = 8, seed: int = 0) -> list[EncodedExample]:
    """Return examples of 7 to 19 tokens, 1 to 4 of them targets."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        ids = [rng.randrange(5, VOCABULARY) for _ in range(rng.randint(7, 19))]
        n_targets = rng.randint(1, 4)
        labels = [IGNORE_INDEX] * (len(ids) - n_targets) + ids[-n_targets:]
        made.append(EncodedExample(input_ids=ids, labels=labels, truncated=False))
    return made
