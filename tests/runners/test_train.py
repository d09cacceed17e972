import json
import math
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from runners.batches import collate, global_batches
from runners.doit_format import Item
from runners.ds_config import deepspeed_config, micro_batch_size
from runners.grid_spec import TrainingSpec
from runners.template import IGNORE_INDEX, TEMPLATES, EncodedExample, Turn
from runners.train import _encode
from runners.train_steps import (
    Step,
    TrainingError,
    TrainingLoop,
    TrainResult,
    learning_rate_at,
    summed_loss,
)


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


def test_deepspeed_config_follows_the_cell_and_its_ranks():
    training = TrainingSpec(
        epochs=1, batch_size=16, micro_batch_size=4, dtype="bf16", zero_stage=3, offload="none"
    )
    assert micro_batch_size(training, 2) == 4
    assert micro_batch_size(training, 8) == 2
    config = deepspeed_config(training, 2, n_params=1000)
    assert config["train_batch_size"] == 8
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["reduce_bucket_size"] == 1000
    assert "offload_optimizer" not in config["zero_optimization"]
    assert config["bf16"] == {"enabled": True}
    assert config["optimizer"]["params"]["torch_adam"] and config["optimizer"]["params"]["fused"]


def test_deepspeed_config_offloads_as_asked():
    training = TrainingSpec(epochs=1, dtype="fp16", zero_stage=3, offload="parameters")
    config = deepspeed_config(training, 8, n_params=10**10)
    assert config["zero_optimization"]["offload_optimizer"] == {"device": "cpu"}
    assert config["zero_optimization"]["offload_param"] == {"device": "cpu"}
    assert config["zero_optimization"]["reduce_bucket_size"] == 500_000_000
    assert config["fp16"]["hysteresis"] == 1


class OverflowingOptimizer:
    """An fp16 engine's outside: the first `n_overflows` steps of a batch are dropped."""

    def __init__(self, n_overflows):
        self.skipped_steps = 0
        self.optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}])
        self.n_steps = 0
        self._left = n_overflows

    def step(self):
        if self._left:
            self._left -= 1
            self.skipped_steps += 1
        else:
            self.n_steps += 1

    def get_global_grad_norm(self):
        return 2.0


def overflowing_loop(n_overflows, monkeypatch, dtype="fp16"):
    loop = TrainingLoop.__new__(TrainingLoop)
    loop.training = TrainingSpec(epochs=1, dtype=dtype)
    loop.n_steps = 10
    loop.result = TrainResult()
    loop.engine = OverflowingOptimizer(n_overflows)
    monkeypatch.setattr(loop, "accumulate", lambda batch, step: 1.5)
    return loop


def test_an_fp16_overflow_repeats_the_step_and_is_counted(monkeypatch):
    loop = overflowing_loop(3, monkeypatch)
    logged = loop.optimizer_step([], 1)
    assert logged["loss"] == 1.5 and logged["grad_norm"] == 2.0
    assert loop.result.n_overflows == 3
    assert loop.engine.n_steps == 1


def test_gradients_that_overflow_at_every_scale_end_the_training(monkeypatch):
    with pytest.raises(TrainingError, match="step 4 overflow at every loss scale"):
        overflowing_loop(10**6, monkeypatch).optimizer_step([], 4)


def test_gradients_without_a_scale_that_are_no_numbers_end_the_training(monkeypatch):
    with pytest.raises(TrainingError, match=r"gradients of step 2 are not finite; lower training"):
        overflowing_loop(1, monkeypatch, "bf16").optimizer_step([], 2)


def test_without_zero_the_gradients_are_measured_and_checked_here(monkeypatch):
    loop = overflowing_loop(0, monkeypatch)
    loop.training = TrainingSpec(epochs=1, dtype="fp32", zero_stage=0)
    loop.engine.module = torch.nn.Linear(2, 1, bias=False)
    (weights,) = loop.engine.module.parameters()
    weights.grad = torch.tensor([[3.0, -4.0]])
    assert loop.optimizer_step([], 1)["grad_norm"] == 5.0
    weights.grad[0, 0] = math.nan
    with pytest.raises(TrainingError, match="gradients of step 2 are not finite"):
        loop.optimizer_step([], 2)
    assert loop.engine.n_steps == 1, "the weights are left as they were"


def test_examples_cut_before_their_end_token_are_refused(tiny):
    _, tokenizer = tiny
    turns = (Turn(role="user", content="w1"), Turn(role="assistant", content="red blue green"))
    item = Item(turns=turns, ability="code", question_format=0)
    encode = partial(_encode, TEMPLATES["doit"], tokenizer, [item])
    assert len(encode(TrainingSpec(epochs=1, max_length=8))) == 1
    with pytest.raises(TrainingError, match="would not learn to stop"):
        encode(TrainingSpec(epochs=1, max_length=6))
    with pytest.raises(TrainingError, match="keeps a target token"):
        encode(TrainingSpec(epochs=1, max_length=3))


def test_padding_is_counted_and_a_result_survives_its_file():
    result = TrainResult(n_tokens=60, n_tokens_computed=80, settings={"ranks": 2})
    result.steps.append(
        Step(step=1, epoch=0.5, loss=1, learning_rate=1, grad_norm=None, n_tokens=6, seconds=1)
    )
    assert result.padding_share == 0.25 and TrainResult().padding_share is None
    assert TrainResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.describe()["ranks"] == 2 and result.describe()["padding_share"] == 0.25


def test_packing_that_lets_examples_attend_to_each_other_is_refused(monkeypatch):
    loop = TrainingLoop.__new__(TrainingLoop)
    loop.training = TrainingSpec(epochs=1, dtype="fp32", packing=True)
    loop.ranks = 1
    losses = {False: 2.0, True: 2.001}
    monkeypatch.setattr(loop, "mean_loss", lambda examples, packed=False: losses[packed])
    with pytest.raises(TrainingError, match=r"set training\.packing"):
        loop.check_packing([example([1, 2, 3], 1)])
    losses[True] = 2.0 + 1e-6
    loop.check_packing([example([1, 2, 3], 1)])


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
        ("zero-2", {"zero_stage": 2, "micro_batch_size": 3}),
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
