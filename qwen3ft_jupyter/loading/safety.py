"""Refuses, before any library opens it, a model folder that would run code, unpickle data or lead out of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import LoadError, UnsafeModel
from qwen3ft_jupyter.loading.weights import check_usable, unreadable
from qwen3ft_jupyter.paths import fault_of, is_file, is_there, names_in, why_unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
)
"""Files whose keys become attributes of objects in our process."""

CODE_KEYS = frozenset(
    {
        "attn_implementation",
        "auto_map",
        "custom_generate",
        "custom_pipelines",
        "experts_implementation",
        "kernel_config",
        "trust_remote_code",
        "use_kernels",
    }
)
"""Keys that name Python code or a kernel to download; Qwen's own configs have none of them."""

KNOWN_PRIVATE_KEYS = frozenset({"_name_or_path", "_commit_hash", "_from_model_config", "_attn_implementation_autoset",
                                "_diffusers_version", "_valid_kwargs_names", "_load_in_4bit",
                                "_load_in_8bit"})  # fmt: skip
"""Underscore keys that versions of transformers write and that carry no behaviour. Any other is refused:
CVE-2026-4372 was `_attn_implementation_internal`."""

QUANTIZATION_METHODS = frozenset({"bitsandbytes", "fp8", "fbgemm_fp8", "awq", "gptq", "compressed-tensors"})
"""Stored quantizations that load without unpickling anything."""

MAX_CONFIG_BYTES = 20_000_000
"""tokenizer_config.json may hold thousands of added tokens; more than this is no config."""

ADAPTER_CODE_KEYS = (
    "auto_mapping",
    "megatron_config",
    "corda_config",
    "eva_config",
    "custom_modules",
    "runtime_config",
)
"""Keys of adapter_config.json that import modules or read other files."""

_NEEDED = (".json", ".safetensors", ".jinja", ".txt", ".model")
"""How the names of files end that a model or an adapter is loaded from."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What we need to know of a model's config.json."""

    model_type: str
    is_tied: bool
    """Whether the output layer is the embedding."""
    is_quantized: bool
    """Whether the weights are stored quantized."""
    is_4bit: bool = False
    """Whether they are stored in 4 bits as bitsandbytes has them, which adapters can be trained on."""


def check_model_folder(folder: Path) -> ModelConfig:
    """Return what the folder's config.json says, after making sure that loading it runs nothing and reads only this.

    Raises:
        UnsafeModel: A config names code, the weights are pickles, or a file name leads out of the folder.
        LoadError: The folder is not a model.
    """
    _check_seen(folder)
    if is_there(folder / "adapter_config.json"):
        raise LoadError("This folder holds an adapter, not a model.", hint="Load its base model with adapter=FOLDER.")
    if not any(name == "config.json" or name.endswith(".safetensors") for name in names_in(folder)):
        raise LoadError(
            "The folder {folder} holds no model: it has no config.json.",
            hint="Name a folder with the files of a model, or the output folder of a fine-tune.",
            folder=folder.name,
        )
    check_usable(folder)
    configs = {name: read_config(folder / name) for name in CONFIG_FILES if is_there(folder / name)}
    for name, config in configs.items():
        _check_keys(name, config)
    config = configs["config.json"]
    quantization = config.get("quantization_config")
    if quantization is not None:
        _check_quantization(quantization)
    _check_tokenizer_files(configs.get("tokenizer_config.json", {}))
    tied = bool(config.get("tie_word_embeddings"))
    return ModelConfig(
        str(config.get("model_type")),
        is_tied=tied,
        is_quantized=quantization is not None,
        is_4bit=isinstance(quantization, dict) and bool(quantization.get("load_in_4bit")),
    )


def check_adapter_folder(folder: Path) -> None:
    """Make sure that loading an adapter runs nothing.

    Raises:
        UnsafeModel: Its weights are pickles, or its config names code.
        LoadError: The folder is not a LoRA adapter.
    """
    _check_seen(folder)
    path = folder / "adapter_config.json"
    if not is_file(path):
        raise LoadError("The folder has no adapter_config.json: it is not an adapter.")
    config = read_config(path)
    if str(config.get("peft_type")).upper() != "LORA":
        raise LoadError(
            "The adapter is of type {kind!r}; LoRA adapters can be loaded.", kind=str(config.get("peft_type"))[:40]
        )
    for key in ADAPTER_CODE_KEYS:
        if config.get(key):
            raise UnsafeModel("adapter_config.json sets {key}, which can run code.", key=key)
    check_usable(folder)


def read_config(path: Path) -> dict[str, object]:
    """Return the JSON object in `path`. Raises LoadError."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise LoadError("{name} is larger than {limit} bytes.", name=path.name, limit=MAX_CONFIG_BYTES)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise LoadError(
            "{name} is not JSON.", hint="Verify the model: what is wrong is fetched again.", name=path.name
        ) from error
    if not isinstance(value, dict):
        raise LoadError(
            "{name} is not a JSON object.", hint="Verify the model: what is wrong is fetched again.", name=path.name
        )
    return value


def _check_seen(folder: Path) -> None:
    """Make sure that a folder and the files a model is made of can be read: none is missing for want of rights.

    Raises LoadError.
    """
    fault = fault_of(folder)
    if fault is not None:
        raise unreadable(folder, fault) from fault
    for path in (folder / name for name in names_in(folder) if name.endswith(_NEEDED)):
        fault = why_unread(path)
        if fault is not None:
            raise unreadable(path, fault) from fault


def _check_keys(name: str, config: object) -> None:
    for key, value in _walk(config):
        is_private = key.startswith("_") and key not in KNOWN_PRIVATE_KEYS
        # a token of the vocabulary may be called anything; only keys that reach an object's attributes count
        if value is not None and value is not False and (is_private or key in CODE_KEYS):
            raise UnsafeModel(
                "{name} sets {key!r}, which can make the libraries run code that came with the model.",
                hint="Use Qwen's own repo, or remove the key if you know what it does.",
                name=name,
                key=key[:60],
            )


def _walk(config: object) -> Iterator[tuple[str, object]]:
    """Yield every key at any depth, without recursion: nesting is under the file's control."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from ((str(key), inner) for key, inner in value.items())
            waiting.extend(inner for key, inner in value.items() if key != "added_tokens_decoder")
        elif isinstance(value, list):
            waiting.extend(value)


def _check_quantization(quantization: object) -> None:
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    if method not in QUANTIZATION_METHODS:
        raise UnsafeModel(
            "config.json asks for the quantization {method!r}, which is not known to be safe.",
            hint="Accepted: {names}.",
            method=str(method)[:40],
            names=", ".join(sorted(QUANTIZATION_METHODS)),
        )


def _check_tokenizer_files(config: Mapping[str, object]) -> None:
    for key, value in config.items():
        if key.endswith("_file") and isinstance(value, str) and value != PurePath(value).name:
            raise UnsafeModel("tokenizer_config.json: {key} leads out of the model's folder.", key=key)
