"""Training with real DeepSpeed engines, in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runners.worker_group import free_port

from .families import FAMILIES

SCRIPT = Path(__file__).parent / "deepspeed_script.py"
pytestmark = pytest.mark.slow


def start(arguments, ranks=1):
    """Run the script on `ranks` processes; return their exit codes and errors."""
    port = str(free_port())
    processes = []
    for rank in range(ranks):
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), *map(str, arguments)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    ends = []
    for process in processes:
        _, errors = process.communicate(timeout=240)
        ends.append((process.returncode, errors[-2000:]))
    return ends


def training(folder, name, settings, model, *rest, ranks=1, code=0):
    """Train in the script, once for each of `settings`; return results and weights."""
    output = folder / f"{name}.pt"
    ends = start(["train", output, json.dumps(settings), model, *rest], ranks)
    assert ends[0][0] == code, ends
    return torch.load(output, weights_only=True) if code == 0 else None


def test_gradients_are_equal_however_a_global_batch_is_cut(tmp_path):
    # Accumulation of 1 x 8 and 8 x 1, ZeRO 1 to 3, packed rows, checkpointed activations.
    output = tmp_path / "gradients.pt"
    ((code, errors),) = start(["gradients", output])
    assert code == 0, errors
    families = torch.load(output, weights_only=True)
    assert set(families) == set(FAMILIES)
    for family, found in families.items():
        whole = found.pop("1x8")
        assert float(whole["gradient"].norm()) > 0.1
        assert len(found) == 6
        for name, other in found.items():
            assert other["loss"] == pytest.approx(whole["loss"], rel=1e-5), (family, name)
            difference = (other["gradient"] - whole["gradient"]).norm()
            assert float(difference / whole["gradient"].norm()) < 1e-5, (family, name)


def largest_difference(one, other):
    return max(
        float((one["weights"][name] - other["weights"][name]).abs().max())
        for name in one["weights"]
    )


def check_equal(resumed, straight, step):
    result, expected = resumed["result"], straight["result"]
    assert result["resumed_from_step"] == step and expected["resumed_from_step"] is None
    assert [s["loss"] for s in result["steps"]] == [s["loss"] for s in expected["steps"]]
    assert largest_difference(resumed, straight) == 0
    for same in ("n_tokens", "n_tokens_computed", "checkpoint_step", "validation_loss"):
        assert result[same] == expected[same], same


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_killed_training_goes_on_bit_for_bit_unless_its_checkpoint_is_damaged(
    tiny_model_folder, tmp_path
):
    # The best epoch is an early one, so its weights have to survive, too.
    settings = {"checkpoint_rule": "best_validation", "learning_rate": 0.05}
    settings |= {"attention_dropout": 0.1}
    resume, copy = tmp_path / "resume", tmp_path / "copy"
    (straight,) = training(tmp_path, "straight", [settings], tiny_model_folder)
    assert straight["result"]["checkpoint_step"] == 12
    killed = ("killed", [settings], tiny_model_folder, resume, 15)
    training(tmp_path, *killed, code=-signal.SIGKILL)
    assert sorted(path.name.split("-")[0] for path in resume.iterdir()) == [
        "best", "resume.json", "step",
    ]  # fmt: skip
    shutil.copytree(resume, copy)
    (resumed,) = training(tmp_path, "resumed", [settings], tiny_model_folder, resume)
    check_equal(resumed, straight, 14)

    (states,) = copy.glob("step-*/*optim_states.pt")
    flip_a_bit(states)
    (again,) = training(tmp_path, "again", [settings], tiny_model_folder, copy)
    assert again["result"]["restarted_reason"] == "the resume checkpoint is damaged"
    assert largest_difference(again, straight) == 0


def test_two_ranks_go_on_too_and_one_rank_starts_again_saying_so(tiny_model_folder, tmp_path):
    settings = {"attention_dropout": 0.1}
    resume, copy = tmp_path / "resume", tmp_path / "copy"
    (straight,) = training(tmp_path, "straight", [settings], tiny_model_folder, ranks=2)
    killed = ("killed", [settings], tiny_model_folder, resume, 9)
    training(tmp_path, *killed, ranks=2, code=-signal.SIGKILL)
    shutil.copytree(resume, copy)
    (resumed,) = training(tmp_path, "resumed", [settings], tiny_model_folder, resume, ranks=2)
    check_equal(resumed, straight, 8)

    (alone,) = training(tmp_path, "alone", [settings], tiny_model_folder, copy)
    assert "ranks 2 before, 1 now" in alone["result"]["restarted_reason"]
    assert alone["result"]["resumed_from_step"] is None
    assert len(alone["result"]["steps"]) == 16


def test_packing_trains_the_same_model_on_one_rank_and_on_two(tiny_model_folder, tmp_path):
    packing = {"packing": True, "max_length": 64}
    plain, packed = training(tmp_path, "one", [{}, packing], tiny_model_folder)
    (two,) = training(tmp_path, "two", [packing], tiny_model_folder, ranks=2)
    for other in (packed, two):
        for step, expected in zip(other["result"]["steps"], plain["result"]["steps"], strict=True):
            assert step["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert other["result"]["n_tokens"] == plain["result"]["n_tokens"]
        assert other["result"]["n_tokens_computed"] < plain["result"]["n_tokens_computed"]
        assert other["result"]["settings"]["packed_row_tokens"] == 64
