"""What a merge and an export give, and how a merged model is known for one."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.finetune.own import MADE_BY
from qwen3ft_jupyter.paths import is_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORD: Final = "merge.json"
"""Our record in a merged folder: from what it was made, and what was written. The first file that is there."""
LAST: Final = "config.json"
"""The last file: without it the folder is no model."""
GENERATION: Final = "generation_config.json"


BaseWeights = Literal["original", "dequantized"]
"""What an adapter is merged into: the base's own weights, or those of 4 bits that a QLoRA was trained on."""
BASE_WEIGHTS: Final[tuple[BaseWeights, ...]] = get_args(BaseWeights)


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge came to."""

    output_dir: str
    base_model: str
    base_commit: str | None
    dtype: str
    size: int
    """Bytes of all files."""
    changed: int
    """Tensors that are not the base's."""
    self_test: Mapping[str, Any]
    """See `selftest.SelfTest`."""
    seconds: float
    base: BaseWeights = "original"
    """The weights that were merged into."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MergeResult:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored. Raises TypeError if any is missing."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export gives."""

    output_dir: str
    """The folder of the model, or that of the file which was made from it."""
    to: str
    model_dir: str
    commands: tuple[str, ...]
    """What to type, line by line, to have it served."""
    was_merged: bool = False
    """Whether the adapter was merged for it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "commands": list(self.commands)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportResult:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored. Raises TypeError if any is missing."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**{**known, "commands": tuple(known.get("commands", ()))})


def read_merge_record(folder: Path) -> dict[str, Any] | None:
    """Return our record in a folder that a merge wrote to; None: it is no such folder."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        record = read_json(folder / RECORD)
        if isinstance(record, dict) and record.get("made_by") == MADE_BY and isinstance(record.get("files"), dict):
            return record
    return None


def is_merged(folder: Path) -> bool:
    """Return whether `folder` holds a model that was merged here, in whole."""
    return read_merge_record(folder) is not None and is_file(folder / LAST)
