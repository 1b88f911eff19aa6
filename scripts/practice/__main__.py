"""Makes the practice model: `python -m scripts.practice [DIR]`, by default where the package ships it from.

It takes half a minute on a CPU. On one machine with one set of packages the same bytes come out every time; on others
the model answers alike. README.md (the model card) and LICENSE in the package are kept by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from scripts.practice.pretrain import pretrain
from scripts.practice.tokens import END_OF_TEXT, TURN_END, make_tokenizer, tokenizer_config

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARD_BYTES: Final = 700_000
"""Small enough for two files of weights: downloads and loads of several are practised too."""
VOCABULARY_SIZE: Final = 2048
"""The embedding has more rows than there are tokens, as Qwen3's has."""
ARCHITECTURE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 32,
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": 4096,
        "max_window_layers": 2,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_cache": True,
        "use_sliding_window": False,
    }
)
"""As in a published Qwen3's config.json, but small."""


def main() -> int:
    """Make the model and write its files; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=MODEL_FOLDER, metavar="DIR")
    folder: Path = parser.parse_args().folder
    from transformers import Qwen3Config

    tokenizer = make_tokenizer()
    config = _config(tokenizer)
    model = pretrain(Qwen3Config(**config), tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**_text_files(config, tokenizer), **_weight_files(model)}.items():
        (folder / name).write_bytes(data)
    print(f"{model.num_parameters():,} parameters in {folder}")
    return 0


def _config(tokenizer: Any) -> dict[str, Any]:
    """Return config.json in the published models' form."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        **ARCHITECTURE,
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
        "config.json": _json(dict(config)),
        "configuration.json": _json({"framework": "pytorch", "task": "text-generation"}),  # ModelScope's own
        "generation_config.json": _json(generation),
        "tokenizer.json": tokenizer.to_str(pretty=False).encode(),
        "tokenizer_config.json": _json(tokenizer_config(tokenizer, ARCHITECTURE["max_position_embeddings"])),
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


if __name__ == "__main__":
    sys.exit(main())
