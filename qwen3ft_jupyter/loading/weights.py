"""Reads what safetensors files say of themselves: names, shapes and types, without touching the weights."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.catalog.usable import WEIGHTS_NAME, ModelFiles, problems_of, words_of
from qwen3ft_jupyter.catalog.weights import INDEX_NAME, MAX_HEADER_BYTES, indexed_files
from qwen3ft_jupyter.errors import CacheDamaged, LoadError, Qwen3ftError, UnsafeModel
from qwen3ft_jupyter.messages import Command, Message, Texts, size
from qwen3ft_jupyter.paths import is_file, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPAIR = Message("Verify the model: what is wrong is fetched again.")
"""What helps against damaged files."""

ONE_BYTE_DTYPES = frozenset({"F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"})
"""Types of one byte, by the names safetensors gives them."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as its file declares it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    @property
    def is_linear(self) -> bool:
        """Return whether it is the weight of a linear layer inside the network, which quantization shrinks."""
        return len(self.shape) == 2 and self.name.endswith("_proj.weight")


def check_usable(folder: Path) -> None:
    """Make sure that a folder holds a model, or an adapter, that can be loaded.

    Raises:
        UnsafeModel: Its weights are no safetensors, or the index names files outside the folder.
        CacheDamaged: Files are missing or not what they were.
        LoadError: Files are nothing that is loaded here.
    """
    record = _record(folder)
    problems = problems_of(ModelFiles.at(str(folder), _left_out(record)))
    if problems:
        kind = "unsafe" if any(problem.kind == "unsafe" for problem in problems) else problems[0].kind
        raise _ERRORS.get(kind, CacheDamaged)(
            "{name} cannot be loaded: {problems}.",
            hint=_cure(kind, record, {problem.name for problem in problems}),
            name=record.get("repo_id") or folder.name,
            problems=Texts(words_of(problems)[:MOST_PROBLEMS]),
            command=Command("repair", str(record.get("repo_id"))),
        )


_ERRORS: Final[dict[str, type[Qwen3ftError]]] = {"unsafe": UnsafeModel, "format": LoadError}
MOST_PROBLEMS: Final = 5
"""What an error names; a model without its shards lacks a hundred files."""


def _cure(kind: str, record: Mapping[str, Any], names: set[str]) -> str:
    """Return what helps, as a hint with the place of a command."""
    if kind == "unsafe":
        return Message("Use a repo that publishes model.safetensors, as Qwen's own do.")
    if not record:
        return Message(
            "Get these files again from where the folder came from (in a git clone: git lfs pull), or download the"
            " model by its name."
        )
    recorded = {entry.get("path") for entry in record.get("files", ()) if isinstance(entry, dict)}
    if names.isdisjoint(recorded):
        return Message("So it is on the hub: use another revision or another repo.")
    return Message("What is wrong is fetched again by: {command}")


def _record(folder: Path) -> dict[str, Any]:
    """Return our record of the model in a folder; nothing if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        record = json.loads((folder / ".qwen3ft" / "manifest.json").read_bytes())
        return record if isinstance(record, dict) else {}
    return {}


def _left_out(record: Mapping[str, Any]) -> tuple[str, ...]:
    with contextlib.suppress(ValueError, TypeError):
        return tuple(f"{path} ({size(bytes_)})" for path, bytes_ in record.get("left_out", ()))
    return ()


def unreadable(path: Path, error: OSError) -> LoadError:
    """Return the error for a file or folder that the disk does not give."""
    return LoadError(
        "{name} cannot be read: {reason}.",
        hint="Make it readable, or load the model from another place.",
        details={"path": str(path)},
        name=path.name,
        reason=reason_of(error),
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files from which a model is loaded; `check_usable` has found them. Raises LoadError."""
    index = folder / INDEX_NAME
    try:
        names = indexed_files(index.read_bytes()) if is_file(index) else {WEIGHTS_NAME}
    except OSError as error:
        raise unreadable(index, error) from error
    return [folder / name for name in sorted(names)]


def read_tensors(path: Path) -> list[Tensor]:
    """Return the tensors a safetensors file declares. Raises UnsafeModel, CacheDamaged or LoadError."""
    try:
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
            header = file.read(min(length, MAX_HEADER_BYTES))
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        if path.stat().st_size != 8 + length + max(ends, default=0):
            raise CacheDamaged("{name} is cut short or has bytes too many.", hint=REPAIR, name=path.name)
        return [
            Tensor(name, str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
            for name, entry in entries.items()
            if name != "__metadata__"
        ]
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError("{name} is not a safetensors file.", hint=REPAIR, name=path.name) from error


def model_tensors(folder: Path, *, tied: bool) -> list[Tensor]:
    """Return all tensors that loading creates; a tied model's second copy of the output layer is left out."""
    tensors = [tensor for path in weight_files(folder) for tensor in read_tensors(path)]
    has_embedding = any(tensor.name.endswith("embed_tokens.weight") for tensor in tensors)
    if tied and has_embedding:
        return [tensor for tensor in tensors if tensor.name != "lm_head.weight"]
    return tensors
