import pytest
import torch

from runners.grid_spec import TrainingSpec
from runners.hardware import Hardware
from runners.memory import (
    ModelShape,
    choose_sharding,
    forecast_memory,
    read_shape,
    resume_bytes,
    shape_of,
)

from .families import FAMILIES, tiny_model

GB = 10**9


def llama(n_params, hidden, intermediate, layers, heads):
    return ModelShape(
        family="llama",
        n_params=n_params,
        hidden_size=hidden,
        intermediate_size=intermediate,
        n_layers=layers,
        n_heads=heads,
        kv_width=hidden,
        vocab_size=32000,
    )


SMALL = llama(135 * 10**6, 576, 1536, 30, 9)
LLAMA_7B = llama(6_738_415_616, 4096, 11008, 32, 32)
LLAMA_13B = llama(13_015_864_320, 5120, 13824, 40, 40)
LLAMA_33B = llama(32_528_943_616, 6656, 17920, 60, 52)


def gpus(n=8, memory=80 * GB, host=2000 * GB):
    return Hardware(cores=(0,), n_gpus=n, gpu_memory_bytes=memory, host_memory_bytes=host)


def spec(**changes):
    return TrainingSpec(**{"epochs": 1, "batch_size": 64, "dtype": "bf16"} | changes)


def choose(shape, training=None, hardware=None, ranks=8):
    return choose_sharding(shape, training or spec(), hardware or gpus(), ranks)


def states(**changes):
    settings = {"dtype": "bf16", "ranks": 8, "zero_stage": 2, "n_rows": 1, "row_tokens": 1}
    return forecast_memory(LLAMA_7B, **settings | changes)


def saved_bytes(model, rows, tokens):
    """Bytes that the decoder saves for the backward pass, besides its weights."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    ids = torch.randint(5, 90, (rows, tokens))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.model(ids, use_cache=False)
    return sum(size for size, _ in saved.values())


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_activations_are_forecast_as_pytorch_saves_them(family, dtype):
    sizes = {"hidden_size": 128, "intermediate_size": 320, "num_attention_heads": 8}
    model = tiny_model(family, **sizes).to({"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    model.train()
    shape = shape_of(model.config.to_dict(), model.num_parameters())

    def forecast(*, gradient_checkpointing):
        return forecast_memory(
            shape,
            dtype=dtype,
            ranks=1,
            zero_stage=2,
            n_rows=4,
            row_tokens=64,
            gradient_checkpointing=gradient_checkpointing,
        ).activations

    whole = forecast(gradient_checkpointing=False)
    assert whole == pytest.approx(saved_bytes(model, 4, 64), rel=0.15)
    model.activation_checkpointing_enable()
    # The layer that is recomputed comes on top, while the backward pass goes through it.
    checkpointed = forecast(gradient_checkpointing=True)
    assert saved_bytes(model, 4, 64) < checkpointed < 0.75 * whole


def test_states_shrink_by_stage_and_ranks_as_the_zero_paper_says():
    p = LLAMA_7B.n_params
    bucket = 2 * 500_000_000
    one, two, three = (states(zero_stage=stage) for stage in (1, 2, 3))
    assert one.weights == two.weights == 2 * p
    assert three.weights == pytest.approx(2 * p / 8 + 2e9)
    assert one.gradients == 2 * p + bucket
    assert two.gradients == three.gradients == pytest.approx(2 * p / 8 + bucket, abs=1)
    assert one.optimizer == two.optimizer == three.optimizer == 2 * p
    assert states(zero_stage=2, ranks=1).optimizer == 16 * p


def test_offload_moves_states_to_the_host_and_loses_none():
    here, away = states(), states(offload="optimizer")
    assert away.optimizer == 0 and away.host == pytest.approx(
        here.optimizer + here.gradients - 10**9, abs=2
    )
    assert states(zero_stage=3, offload="parameters").weights == 2 * 10**9
    assert resume_bytes(10, "bf16") == 140


def test_the_fastest_sharding_that_fits_is_chosen():
    assert (choose(SMALL).zero_stage, choose(SMALL).offload) == (2, "none")
    assert choose(SMALL).fits
    middle = choose(LLAMA_13B, spec(gradient_checkpointing=True))
    assert (middle.zero_stage, middle.offload, middle.fits) == (2, "none", True)
    assert choose(LLAMA_13B, spec(gradient_checkpointing=True), gpus(memory=48 * GB)) != middle
    tight = choose(LLAMA_13B, spec(gradient_checkpointing=True), gpus(memory=48 * GB))
    assert (tight.zero_stage, tight.offload) == (3, "none")
    large = choose(LLAMA_33B, spec(gradient_checkpointing=True))
    assert (large.zero_stage, large.offload, large.fits) == (2, "optimizer", True)
    large = choose(LLAMA_33B, spec(gradient_checkpointing=True), gpus(memory=60 * GB))
    assert (large.zero_stage, large.offload, large.fits) == (3, "optimizer", True)
    assert large.forecast.host * 8 > 500 * GB
    alone = choose(LLAMA_7B, spec(batch_size=8), gpus(n=1), ranks=1)
    assert (alone.zero_stage, alone.offload) == (2, "optimizer")


def test_micro_batches_are_halved_before_anything_is_offloaded():
    chosen = choose(LLAMA_7B)
    assert chosen.zero_stage == 2 and chosen.offload == "none"
    assert chosen.micro_batch_size in (1, 2, 4)
    twice = forecast_memory(
        LLAMA_7B,
        dtype="bf16",
        ranks=8,
        zero_stage=2,
        n_rows=2 * chosen.micro_batch_size,
        row_tokens=2048,
    )
    assert chosen.forecast.total <= 0.95 * 80 * GB < twice.total


def test_what_fits_nowhere_is_said_and_needs_least():
    chosen = choose(LLAMA_33B, hardware=gpus(n=1, memory=8 * GB, host=16 * GB), ranks=1)
    assert chosen.fits is False
    assert (chosen.offload, chosen.micro_batch_size) == ("parameters", 1)


def test_what_the_grid_says_is_kept():
    chosen = choose(SMALL, spec(zero_stage=3, offload="parameters", micro_batch_size=2))
    assert (chosen.zero_stage, chosen.offload, chosen.micro_batch_size) == (3, "parameters", 2)
    assert choose(SMALL, spec(zero_stage=1)).zero_stage == 1
    assert choose(SMALL, spec(zero_stage=0, dtype="fp32")).zero_stage == 0
    # DeepSpeed's stage 0 steps differently in bf16 (measured), so ZeRO 1 takes its place.
    assert choose(SMALL, spec(zero_stage=0)).zero_stage == 1
    settled = chosen.apply_to(spec())
    assert (settled.zero_stage, settled.offload, settled.micro_batch_size) == (3, "parameters", 2)


def test_without_a_gpu_nothing_is_offloaded_and_batches_stay_whole():
    host = Hardware(cores=(0, 1), n_gpus=0, host_memory_bytes=24 * GB)
    chosen = choose(SMALL, spec(dtype="fp32", batch_size=16, max_length=256), host, ranks=1)
    assert (chosen.zero_stage, chosen.offload, chosen.micro_batch_size) == (0, "none", 16)
    assert chosen.forecast.overhead == 0


def test_an_unknown_shape_or_memory_leaves_the_defaults():
    unknown = choose(None)
    assert (unknown.zero_stage, unknown.offload, unknown.fits) == (2, "none", None)
    blind = choose(SMALL, hardware=Hardware(cores=(0,), n_gpus=1), ranks=1)
    assert blind.forecast is None and blind.micro_batch_size == 64


def test_shapes_are_read_from_configurations(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 8}', "utf-8")
    assert read_shape(tmp_path, 10) is None
    assert read_shape(tmp_path / "none", 10) is None
    shape = shape_of(tiny_model("gemma3").config.to_dict(), 5)
    assert (shape.family, shape.kv_width, shape.n_layers) == ("gemma3_text", 16, 3)
    assert shape_of({"text_config": tiny_model("qwen3").config.to_dict()}, 5).family == "qwen3"
