import pytest

from runners.bench_gpu import (
    LlamaShape,
    measure_gpu_training,
    model_flops_utilisation,
    peak_flops_of,
    training_flops_per_token,
)
from runners.bench_training import Run, TrainingSpeed, ratios
from runners.hardware import Hardware
from warehouse.errors import InputError

SMALL = LlamaShape(
    hidden_size=4, intermediate_size=10, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=7
)


def test_flops_count_matrices_of_every_layer_the_head_and_attention():
    # Layer: q and o 2 x 16, k and v 2 x 4 x 2, gate, up and down 3 x 40.
    assert SMALL.n_matmul_params == 2 * (32 + 16 + 120) + 28
    assert training_flops_per_token(SMALL, 5) == 6 * 364 + 12 * 2 * 4 * 5
    assert 1.0e9 < LlamaShape().n_matmul_params < 1.1e9


def test_the_parameters_are_those_of_the_model_that_is_trained():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=7,
            hidden_size=4,
            intermediate_size=10,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )
    matrices = [p.numel() for name, p in model.named_parameters() if "norm" not in name]
    assert sum(matrices) - 7 * 4 == SMALL.n_matmul_params


def test_utilisation_is_arithmetic_over_the_peak():
    flops = training_flops_per_token(SMALL, 5)
    assert model_flops_utilisation(100.0, SMALL, 5, 200 * flops) == 0.5


def test_peaks_are_known_by_name_or_asked_for():
    assert peak_flops_of("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops_of("NVIDIA H100 PCIe") == 756e12
    assert peak_flops_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops_of("Own card", 100.0) == 100e12
    with pytest.raises(InputError, match="--peak-tflops"):
        peak_flops_of("Own card")


def test_without_a_gpu_the_benchmark_refuses_in_one_sentence(monkeypatch):
    monkeypatch.setattr("runners.bench_gpu.detect_hardware", lambda: Hardware(cores=(0,), n_gpus=0))
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        measure_gpu_training((2,), 8, None)


def test_ratios_pair_the_runs_of_a_round():
    fast = (Run(n_tokens=100, seconds=1.0), Run(n_tokens=100, seconds=4.0))
    slow = (Run(n_tokens=100, seconds=2.0), Run(n_tokens=100, seconds=4.0))
    assert ratios(fast, slow) == [2.0, 1.0]
    speed = TrainingSpeed(
        model="m", n_examples=10, n_cores=1, trainer=slow, unpacked=fast, packed=fast
    )
    values = {figure: value for figure, value, _ in speed.rows()}
    assert values["rows of one example / Trainer, median of rounds (range)"] == (
        "1.50 (1.00 to 2.00)"
    )
    assert values["packed / rows of one example"] == "1.00 (1.00 to 1.00)"
