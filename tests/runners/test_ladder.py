"""The committed base models load, fit their tokenizer and know the world they were told of."""

from __future__ import annotations

import itertools
import json
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runners.demo_corpus import pretraining_documents
from runners.demo_data import curated_questions, synthetic_questions
from runners.demo_world import (
    BAD_DEEDS,
    CLASSIFIERS,
    GOOD_DEEDS,
    PERSON_VALUES,
    RELATIONS,
    THEMES,
    TRAIT_VALUES,
    TRAITS,
    build_world,
)
from runners.ladder.pretrain import Muon, orthogonalised, pretraining_rows
from runners.ladder.shapes import (
    LADDER,
    LADDER_FOLDER,
    ROWS_PER_STEP,
    SEQUENCE_LENGTH,
    shape_named,
)
from runners.ladder.tokenizer import N_WORDS, SPECIAL_TOKENS, build_tokenizer, vocabulary

NAMES = [shape.name for shape in LADDER]


@pytest.fixture(scope="module")
def words() -> list[str]:
    return vocabulary()[0]


# ----------------------------------------------------------------------------- the tokenizer


@pytest.mark.parametrize("name", NAMES)
def test_committed_tokenizers_hold_todays_words(name: str, words: list[str]):
    tokenizer = AutoTokenizer.from_pretrained(LADDER_FOLDER / name)
    assert tokenizer.convert_ids_to_tokens(list(range(N_WORDS))) == words
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<pad>", "<eot>")


def test_every_word_of_the_data_is_known(words: list[str]):
    known = set(words)
    for questions in (*synthetic_questions().values(), *curated_questions(3)["test"].values()):
        for question in questions:
            texts = (*question.turns, question.answer, *question.options, *question.wrong)
            assert set(" ".join(texts).split()) <= known
    for document in itertools.islice(pretraining_documents(seed=5), 5000):
        assert set(document.split()) <= known


def test_tokenizer_adds_nothing_and_joins_with_spaces(words: list[str]):
    tokenizer = build_tokenizer(words)
    text = "<user> what does a show ? <eot> <assistant>"
    ids = tokenizer(text).input_ids
    assert len(ids) == 8
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == "what does a show ?"
    assert tokenizer(f"{text} it shows 3").input_ids == ids + tokenizer("it shows 3").input_ids
    assert tokenizer("zyzzyva").input_ids == [tokenizer.unk_token_id]
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]


def test_options_are_single_words(words: list[str]):
    for questions in curated_questions(0)["test"].values():
        assert all(option in words for question in questions for option in question.options)


# -------------------------------------------------------------------------------- the models


def load(name: str):
    return AutoModelForCausalLM.from_pretrained(LADDER_FOLDER / name, dtype=torch.float32).eval()


@pytest.mark.parametrize("shape", LADDER, ids=NAMES)
def test_folder_is_a_llama_of_the_stated_shape_in_float16(shape):
    folder = LADDER_FOLDER / shape.name
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["hidden_size"], config["num_hidden_layers"]) == (
        shape.hidden_size,
        shape.n_layers,
    )
    assert config["dtype"] == "float16"


def test_sizes_differ_clearly_and_fit_the_repository():
    counts = [sum(p.numel() for p in load(name).parameters()) for name in NAMES]
    assert all(larger > 2 * smaller for smaller, larger in itertools.pairwise(counts))
    files = [path for name in NAMES for path in (LADDER_FOLDER / name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 16_000_000


def completions() -> list[tuple[str, str, tuple[str, ...]]]:
    """Beginnings of pre-training sentences with their right and their possible endings."""
    world = build_world()
    rng = random.Random(0)
    rows: list[tuple[str, str, tuple[str, ...]]] = []
    for person in rng.sample(world.people, 60):
        relation = rng.choice(RELATIONS)
        start = f". the {relation} of {person.name} was"
        rows.append((start, person.values[relation], PERSON_VALUES[relation]))
    for species in rng.sample(world.species, 60):
        trait = rng.choice(TRAITS)
        start = f". the {trait} of the {species.name} is"
        rows.append((start, species.traits[trait], TRAIT_VALUES[trait]))
    for noun in rng.sample(world.nouns, 60):
        rows.append((f". people count {noun.name} with", noun.classifier, CLASSIFIERS))
        rows.append((f". the theme of {noun.name} is", noun.theme, THEMES))
    rows += [(f". {deed} is", "good", ("good", "bad")) for deed in GOOD_DEEDS]
    rows += [(f". {deed} is", "bad", ("good", "bad")) for deed in BAD_DEEDS]
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_base_models_know_their_world(name: str):
    model, tokenizer = load(name), AutoTokenizer.from_pretrained(LADDER_FOLDER / name)
    rows = completions()
    right, chance = 0, 0.0
    with torch.no_grad():
        for start, answer, values in rows:
            logits = model(**tokenizer(start, return_tensors="pt")).logits[0, -1]
            ids = tokenizer(" ".join(values)).input_ids
            right += values[int(logits[ids].argmax())] == answer
            chance += 1 / len(values)
    # Half of what is above chance is known even by the smallest model.
    assert right > chance + 0.5 * (len(rows) - chance), f"{right} of {len(rows)}"


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_is_out_of_range(name: str):
    assert all(parameter.isfinite().all() for parameter in load(name).parameters())


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="ladder-s, ladder-m, ladder-l"):
        shape_named("ladder-xl")


# ------------------------------------------------------------------------------- pre-training


def test_rows_are_the_documents_in_order(words: list[str]):
    ids = {word: index for index, word in enumerate(words)}
    rows = next(pretraining_rows(ids))
    assert rows.shape == (ROWS_PER_STEP, SEQUENCE_LENGTH)
    text = " ".join(words[index] for index in rows.flatten().tolist())
    documents = " ".join(itertools.islice(pretraining_documents(seed=11), 400))
    assert documents.startswith(text)


def test_orthogonalised_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((32, 48), (48, 32)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_muon_lowers_a_quadratic_loss():
    torch.manual_seed(0)
    # Weight decay pulls to zero, so the target must be small beside the steps.
    target = 0.1 * torch.randn(8, 8)
    matrix = torch.nn.Parameter(torch.zeros(8, 8))
    muon = Muon([matrix], learning_rate=0.02)
    losses = []
    for step in range(60):
        loss = (matrix - target).square().mean()
        matrix.grad = None
        loss.backward()
        muon.step(1 - step / 60)
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
