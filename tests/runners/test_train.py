import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from runners.ds_config import deepspeed_config, micro_batch_size
from runners.grid_spec import TrainingSpec
from runners.template import IGNORE_INDEX, TEMPLATES, EncodedExample, Turn
from runners.train import collate, global_batches, learning_rate_at, summed_loss


def example(ids, n_targets):
    labels = [IGNORE_INDEX] * (len(ids) - n_targets) + ids[-n_targets:]
    return EncodedExample(input_ids=ids, labels=labels, truncated=False)


@pytest.fixture(scope="module")
def tiny(tiny_model_folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(tiny_model_folder)


def test_the_loss_covers_the_answer_and_its_end_token_only(tiny):
    _, tokenizer = tiny
    turns = [Turn(role="user", content="w1 w2"), Turn(role="assistant", content="red")]
    encoded = TEMPLATES["doit"].encode(tokenizer, turns, 100)
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids) == [
        "<user>", "w1", "w2", "<eot>", "<assistant>", "red", "<eot>",
    ]  # fmt: skip
    targets = [label for label in encoded.labels if label != IGNORE_INDEX]
    assert tokenizer.convert_ids_to_tokens(targets) == ["red", "<eot>"]


def test_truncation_is_counted(tiny):
    turns = [Turn(role="user", content="w1 " * 50), Turn(role="assistant", content="red")]
    encoded = TEMPLATES["doit"].encode(tiny[1], turns, 20)
    assert encoded.truncated and len(encoded.input_ids) == 20


def test_scoring_and_training_cut_the_text_alike(tiny):
    _, tokenizer = tiny
    template = TEMPLATES["doit"]
    turns = [Turn(role="user", content="w1 w2"), Turn(role="assistant", content="red")]
    text = template.prompt(turns[:1]) + template.continuation("red")
    assert (
        tokenizer.encode(text, add_special_tokens=False)
        == template.encode(tokenizer, turns, 100).input_ids
    )


def test_summed_loss_equals_the_plain_one_whatever_the_padding(tiny):
    model, _ = tiny
    examples = [example([5, 6, 7, 8, 9, 10], 2), example([11, 12, 13], 1)]
    expected = 0.0
    for one in examples:
        logits = model(torch.tensor([one.input_ids])).logits[0, :-1]
        labels = torch.tensor(one.labels[1:])
        expected += torch.nn.functional.cross_entropy(
            logits, labels, ignore_index=IGNORE_INDEX, reduction="sum"
        ).item()
    assert summed_loss(model, collate(examples, 0)).item() == pytest.approx(expected, rel=1e-5)


def test_every_epoch_sees_every_example_once_and_ends_with_a_smaller_batch():
    batches = list(global_batches(10, 4, 6, seed=0))
    assert [len(indices) for _, indices in batches] == [4, 4, 2, 4, 4, 2]
    first = np.concatenate([indices for epoch, indices in batches if epoch == 0])
    second = np.concatenate([indices for epoch, indices in batches if epoch == 1])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_learning_rate_warms_up_and_decays():
    training = TrainingSpec(
        epochs=1, learning_rate=1.0, final_learning_rate=0.1, warmup_steps=1, schedule="linear"
    )
    rates = [learning_rate_at(training, step, 11) for step in range(11)]
    assert rates[0] == 0.5 and rates[1] == 1.0
    assert rates[6] == pytest.approx(0.55)
    assert min(rates[1:]) == rates[-1] > 0.1


def test_deepspeed_config_follows_the_cell():
    training = TrainingSpec(
        epochs=1, batch_size=16, micro_batch_size=4, ranks=2, dtype="bf16", zero_stage=3
    )
    config = deepspeed_config(training)
    assert micro_batch_size(training) == 4
    assert config["train_batch_size"] == 8
    assert config["zero_optimization"]["stage"] == 3
    assert config["bf16"] == {"enabled": True}
    assert config["optimizer"]["params"]["torch_adam"] is True


def run_variant(tiny_study, tmp_path, name, training):
    """Run the two largest cells of the tiny study with other training settings."""
    document = yaml.safe_load(tiny_study.grid.read_text("utf-8"))
    document["dataset"] = {"folder": str(tiny_study.data)}
    document["volumes"] = {"values": [16]}
    document["seeds"] = [0]
    document["keep_checkpoints"] = True
    document["training"] |= training
    grid = tmp_path / f"{name}.yaml"
    grid.write_text(yaml.safe_dump(document), "utf-8")
    workspace = tmp_path / name
    command = [sys.executable, "cli.py", "run-grid", str(grid), "--workspace", str(workspace)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"]["new"] == 1
    (log,) = (workspace / "landing" / "training_log").glob("*.parquet")
    (scores,) = (workspace / "landing" / "item_score").glob("*.parquet")
    return pq.read_table(log).to_pandas(), pq.read_table(scores).to_pandas()


@pytest.mark.slow
def test_ranks_zero_stage_and_micro_batches_do_not_change_the_training(tiny_study, tmp_path):
    log, scores = run_variant(tiny_study, tmp_path, "one", {})
    for name, training in (
        ("two-ranks", {"ranks": 2}),
        ("micro-batches", {"micro_batch_size": 3}),
        ("zero-3-two-ranks", {"zero_stage": 3, "ranks": 2, "micro_batch_size": 2}),
    ):
        other, other_scores = run_variant(tiny_study, tmp_path, name, training)
        np.testing.assert_allclose(other["loss"], log["loss"], rtol=2e-3, err_msg=name)
        np.testing.assert_allclose(other["grad_norm"], log["grad_norm"], rtol=2e-2, err_msg=name)
        assert list(other["n_tokens"]) == list(log["n_tokens"])
        agree = (other_scores["score"] == scores["score"]).mean()
        assert agree > 0.95, name


@pytest.mark.slow
def test_best_validation_keeps_the_epoch_with_the_lowest_loss(tiny_study, tmp_path):
    run_variant(
        tiny_study,
        tmp_path,
        "best",
        {"checkpoint_rule": "best_validation", "learning_rate": 0.05, "epochs": 8},
    )
    (record,) = (tmp_path / "best" / "landing" / "run").glob("*.json")
    run = json.loads(record.read_text("utf-8"))
    assert run["validation_loss"] is not None
    assert run["checkpoint_step"] % 4 == 0 and run["checkpoint_step"] <= 32
