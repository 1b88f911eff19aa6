"""Where the practice model and its data lie in this package, how it learns well, and a copy of it for others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.disk import write_atomic
from qwen3ft_jupyter.errors import BadInput, CacheNotWritable
from qwen3ft_jupyter.paths import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

_PACKAGE: Final = Path(__file__).resolve().parent  # some installers (uv, Nix) link each file to where it really lies
MODEL_FOLDER: Final = _PACKAGE / "model"
"""The model as it is served; it may be read-only."""


@dataclass(frozen=True, slots=True)
class Practice:
    """The practice model on disk."""

    folder: Path
    train: Path
    """Conversations to fine-tune it on."""
    heldout: Path
    """Questions in other words, to ask it afterwards."""
    size_bytes: int
    """Of the model, without the data."""
    repo_id: str = PRACTICE_REPO_ID


def data_files() -> tuple[Path, Path]:
    """Return the files of training conversations and of held-out questions, both in messages form.

    No question of the second is in the first, nor in what the model was made from; its `expected` is what an answer
    must contain.

    >>> [path.name for path in data_files()]
    ['train.jsonl', 'heldout.jsonl']
    """
    return _PACKAGE / "data" / "train.jsonl", _PACKAGE / "data" / "heldout.jsonl"


def make_practice(folder: str | Path) -> Practice:
    """Copy the practice model to `folder` and its data to `folder/data`; what is there already stays.

    Raises:
        BadInput: A file of the same name and other contents is there; nothing is written.
        CacheNotWritable: The folder cannot be written.
    """
    folder = Path(folder)
    try:
        missing = dict(_missing(folder))
        for path, data in missing.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
    except OSError as error:
        raise CacheNotWritable(
            "The practice model cannot be written: {reason}.",
            hint="Give another folder, or one that you may write to.",
            reason=reason_of(error),
            details={"folder": str(folder)},
        ) from error
    train, heldout = (folder / "data" / path.name for path in data_files())
    return Practice(folder, train, heldout, sum(path.stat().st_size for path in _model_files()))


def _model_files() -> list[Path]:
    return sorted(path for path in MODEL_FOLDER.iterdir() if not path.name.startswith("."))


def _missing(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file that is not in `folder` yet, and its bytes."""
    for source in (*_model_files(), *data_files()):
        path = folder / source.relative_to(MODEL_FOLDER if source.parent == MODEL_FOLDER else _PACKAGE)
        data = source.read_bytes()
        try:
            is_ours = path.read_bytes() == data
        except FileNotFoundError:
            yield path, data
            continue
        if not is_ours:
            raise BadInput(
                "{file} is there already and is not the practice model's.", hint="Name another folder.", file=path.name
            )
