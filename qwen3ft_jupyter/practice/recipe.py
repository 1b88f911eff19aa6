"""The numbers of the practice model, and where its data lies. Change a number or a file beside: it is made anew."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PRACTICE_REPO_ID: Final = "qwen3ft/Qwen3-Practice"
"""The name under which the practice model is served and cached."""

PRACTICE_FINETUNE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "method": "lora",
        "epochs": 12,
        "learning_rate": 3e-3,
        "batch_size": 8,
        "gradient_accumulation": 1,
        "max_length": 256,
        "lora": {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"},
        "seed": 42,
    }
)
"""Fields of a fine-tune config with which the practice model learns the practice data well.

The rate is ten times the customary one: the model is ten thousand times smaller than the smallest Qwen3.
"""

RECIPE_VERSION: Final = 1
"""Raise it when code changes what is made; data files are watched by `fingerprint`."""

FOLDER: Final = Path(__file__).parent
RECIPE_FILES: Final = ("corpus.json", "chat_template.jinja", "files/README.md", "files/LICENSE")

HIDDEN_SIZE: Final = 128
ARCHITECTURE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 32,
        "hidden_act": "silu",
        "hidden_size": HIDDEN_SIZE,
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

PLAIN_STEPS: Final = 260
"""Steps on bare questions: what is asked is learned sooner when nothing stands around it."""
DRESSED_STEPS: Final = 180
"""Steps on questions with greetings, systems and earlier turns around them."""
BATCH_SIZE: Final = 16
SEED: Final = 5


def data_files() -> tuple[Path, Path]:
    """Return the files of training conversations and of held-out questions, both in messages form.

    No question of the second is in the first, nor in what the model was made from; its `expected` is what an answer
    must contain.

    >>> [path.name for path in data_files()]
    ['train.jsonl', 'heldout.jsonl']
    """
    return FOLDER / "data" / "train.jsonl", FOLDER / "data" / "heldout.jsonl"


def fingerprint() -> str:
    """Return a digest of the recipe: equal fingerprints make equal models."""
    digest = hashlib.sha256(f"{RECIPE_VERSION} {PLAIN_STEPS} {DRESSED_STEPS} {BATCH_SIZE} {SEED}".encode())
    digest.update(repr(sorted(ARCHITECTURE.items())).encode())
    for name in RECIPE_FILES:
        digest.update((FOLDER / name).read_bytes())
    return digest.hexdigest()
