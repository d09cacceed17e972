"""A study small enough to train for real in seconds: a random model and made-up questions."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

WORDS = [f"w{index}" for index in range(60)]
COLOURS = ["red", "blue", "green", "black"]


@dataclass(frozen=True)
class TinyStudy:
    """A grid file over a two-layer model and two abilities."""

    grid: Path
    model: Path
    data: Path


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a word-level tokenizer, as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<pad>", "<unk>", "<user>", "<assistant>", "<eot>"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS, *COLOURS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<eot>",
        additional_special_tokens=["<user>", "<assistant>"],
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _question(rng: random.Random, ability: str) -> dict:
    colour = rng.choice(COLOURS)
    words = rng.choices(WORDS, k=rng.randint(3, 8))
    words.insert(rng.randrange(len(words)), colour)
    return {
        "messages": [
            {"role": "user", "content": " ".join(words)},
            {"role": "assistant", "content": colour},
        ],
        "type": ability,
        "question_format": 0,
        "options": COLOURS,
    }


def _write(path: Path, rng: random.Random, ability: str, n_items: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_question(rng, ability)) for _ in range(n_items)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> TinyStudy:
    """Two abilities, one source, volumes 0, 4 and 16, two seeds: five cells."""
    folder = tmp_path_factory.mktemp("study")
    rng = random.Random(0)
    for ability in ("code", "math"):
        _write(folder / f"data/curated/full/{ability}_x.json", rng, ability, 40)
        _write(folder / f"data/curated/valid/{ability}_x.json", rng, ability, 10)
        _write(folder / f"data/curated/test/{ability}_x.json", rng, ability, 30)
    grid = folder / "tiny.yaml"
    grid.write_text(
        f"""
study: tiny
base_models:
  - {{name: tiny, path: {tiny_model_folder}}}
dataset: {{folder: data}}
data_sources:
  - {{name: human, path: curated/full}}
volumes: {{values: [0, 4, 16], per: ability}}
seeds: [0, 1]
training: {{epochs: 4, batch_size: 8, learning_rate: 0.003, final_learning_rate: 0.0}}
scoring: {{batch_size: 32}}
""",
        "utf-8",
    )
    return TinyStudy(grid=grid, model=tiny_model_folder, data=folder / "data")
