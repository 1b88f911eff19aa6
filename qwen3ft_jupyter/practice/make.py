"""Makes the folder of the practice model, or finds it made."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.disk import read_json, write_atomic, write_json
from qwen3ft_jupyter.errors import CacheNotWritable, MissingPackage
from qwen3ft_jupyter.practice import recipe
from qwen3ft_jupyter.practice.pretrain import pretrain
from qwen3ft_jupyter.practice.tokens import END_OF_TEXT, TURN_END, make_tokenizer, tokenizer_config
from qwen3ft_jupyter.work import SILENT, Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.work import Reporter

RECORD_NAME: Final = ".practice.json"
"""Written last: a folder without it is not a finished practice model."""
NEEDED_PACKAGES: Final = ("torch", "transformers", "tokenizers", "safetensors")
SHARD_BYTES: Final = 700_000
"""Small enough for two files of weights: downloads and loads of several are practised too."""
VOCABULARY_SIZE: Final = 2048
"""The embedding has more rows than there are tokens, as Qwen3's has."""


@dataclass(frozen=True, slots=True)
class Practice:
    """The practice model on disk."""

    folder: Path
    train: Path
    """Conversations to fine-tune it on."""
    heldout: Path
    """Questions in other words, to ask it afterwards."""
    size_bytes: int
    parameters: int
    seconds: float
    """How long making it took, now or when it was made."""
    was_made: bool
    """False if it was there already."""
    repo_id: str = recipe.PRACTICE_REPO_ID


def make_practice(folder: Path, *, reporter: Reporter = SILENT, stop: threading.Event | None = None) -> Practice:
    """Make the practice model in `folder`, or return at once if it is there, made by the same recipe.

    The same bytes come out on one machine with one set of packages, however often it is made.

    Raises:
        MissingPackage: torch, transformers, tokenizers or safetensors is not installed.
        Stopped: `stop` was set.
        CacheNotWritable: The folder cannot be written.
    """
    ready = _find(folder)
    if ready is not None:
        return ready
    _require_packages()
    started = time.monotonic()
    reporter.progress(Progress("preparing", detail="practice model"))
    tokenizer = make_tokenizer()
    config = _config(tokenizer)
    from transformers import Qwen3Config

    model = pretrain(Qwen3Config(**config), tokenizer, reporter=reporter, stop=stop)
    reporter.progress(Progress("saving", detail="practice model"))
    files = {**_text_files(config, tokenizer), **_weight_files(model)}
    record = {
        "recipe": recipe.fingerprint(),
        "parameters": model.num_parameters(),
        "seconds": round(time.monotonic() - started, 1),
        "sizes": {name: len(data) for name, data in files.items()},
    }
    try:
        _write(folder, files, record)
    except OSError as error:
        raise CacheNotWritable(
            f"The practice model cannot be written: {error.strerror}.", details={"folder": str(folder)}
        ) from error
    return _practice(folder, record, was_made=True)


def _find(folder: Path) -> Practice | None:
    try:
        record = read_json(folder / RECORD_NAME)
        is_whole = all((folder / name).stat().st_size == size for name, size in record["sizes"].items())
        if record["recipe"] == recipe.fingerprint() and is_whole:
            return _practice(folder, record, was_made=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no record, or not one of ours
    return None


def _practice(folder: Path, record: Mapping[str, Any], *, was_made: bool) -> Practice:
    train, heldout = recipe.data_files()
    size_bytes = sum(record["sizes"].values())
    return Practice(folder, train, heldout, size_bytes, record["parameters"], record["seconds"], was_made)


def _require_packages() -> None:
    missing = [name for name in NEEDED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"Making the practice model needs {', '.join(missing)}.", hint="pip install 'qwen3ft-jupyter[train]'"
        )


def _write(folder: Path, files: Mapping[str, bytes], record: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD_NAME).unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(folder / name, data)
    write_json(folder / RECORD_NAME, dict(record))


def _config(tokenizer: Any) -> dict[str, Any]:
    """Return config.json in the published models' form."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        **recipe.ARCHITECTURE,
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "eos_token_id": tokenizer.token_to_id(TURN_END),
        "model_type": "qwen3",
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY_SIZE,
    }


def _text_files(config: Mapping[str, Any], tokenizer: Any) -> dict[str, bytes]:
    end_of_text, turn_end = tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(TURN_END)
    generation = {
        "bos_token_id": end_of_text,
        "do_sample": False,
        "eos_token_id": [turn_end, end_of_text],
        "max_new_tokens": 128,
        "pad_token_id": end_of_text,
    }
    return {
        "README.md": (recipe.FOLDER / "files" / "README.md").read_bytes(),
        "LICENSE": (recipe.FOLDER / "files" / "LICENSE").read_bytes(),
        "config.json": _json(dict(config)),
        "configuration.json": _json({"framework": "pytorch", "task": "text-generation"}),  # ModelScope's own
        "generation_config.json": _json(generation),
        "tokenizer.json": tokenizer.to_str(pretty=False).encode(),
        "tokenizer_config.json": _json(tokenizer_config(tokenizer)),
    }


def _weight_files(model: Any) -> dict[str, bytes]:
    """Return the shards in bfloat16 and their index; a tied lm_head is stored once."""
    import torch
    from safetensors.torch import save

    weights = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    shards: list[dict[str, Any]] = [{}]
    filled = 0
    for name, tensor in weights.items():
        if shards[-1] and filled + tensor.nbytes > SHARD_BYTES:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.nbytes
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in weights.values())},
        "weight_map": {key: name for name, shard in zip(names, shards, strict=True) for key in shard},
    }
    files = {name: save(shard, metadata={"format": "pt"}) for name, shard in zip(names, shards, strict=True)}
    return {**files, "model.safetensors.index.json": _json(index)}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
