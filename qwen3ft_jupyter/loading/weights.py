"""Reads what safetensors files say of themselves: names, shapes and types, without touching the weights."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.weights import INDEX_NAME, MAX_INDEX_BYTES, indexed_files
from qwen3ft_jupyter.errors import CacheDamaged, LoadError, UnsafeModel
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from pathlib import Path

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit; a longer header is refused before anything parses it."""

REPAIR = Message("Verify the model: what is wrong is fetched again.")
"""What helps against damaged files."""

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
"""Weight files that are not safetensors."""

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


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder.

    Raises:
        UnsafeModel: The weights are pickles only, or the index names files outside the folder.
        CacheDamaged: A file that the index names is missing.
        LoadError: There are no weights at all, or the index is no index.
    """
    index = folder / INDEX_NAME
    if index.is_file():
        return _indexed_files(folder, index)
    found = sorted(path for path in folder.glob("*.safetensors") if path.name != "adapter_model.safetensors")
    if found:
        return found
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise UnsafeModel(
            "{name}: the weights are not safetensors; loading such a file can run code hidden in it.",
            hint="Use a repo that publishes model.safetensors, as Qwen's own do.",
            name=pickles[0],
        )
    raise LoadError("The folder holds no weights (*.safetensors).", hint="Download the model again.")


def _indexed_files(folder: Path, index: Path) -> list[Path]:
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise UnsafeModel("{name} is larger than {limit} bytes.", name=index.name, limit=MAX_INDEX_BYTES)
    try:
        names = indexed_files(index.read_bytes())
    except ValueError as error:
        raise LoadError(
            "{name} is not an index of weights.", hint="Download the model again.", name=index.name
        ) from error
    for name in names:
        if not is_plain_name(name) or not name.endswith(".safetensors"):
            raise UnsafeModel(
                "{name} names {file!r}, which is not a safetensors file of this folder.",
                name=index.name,
                file=name[:80],
            )
    for name in sorted(names):
        if not (folder / name).is_file():
            raise CacheDamaged(
                "{name} is missing.", hint="Verify the model: what is missing is fetched again.", name=name
            )
    return [folder / name for name in sorted(names)]


def is_plain_name(name: object) -> bool:
    """Return whether `name` is the name of a file directly in a folder, on every platform."""
    if not isinstance(name, str) or not name or name != PurePath(name).name:
        return False
    return not any(character in "/\\:" or ord(character) < 32 for character in name) and not name.startswith(".")


def read_tensors(path: Path) -> list[Tensor]:
    """Return the tensors a safetensors file declares. Raises UnsafeModel, CacheDamaged or LoadError."""
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if length > MAX_HEADER_BYTES:
            raise UnsafeModel(
                "{name}: its header claims {length} bytes, the limit is {limit}.",
                name=path.name,
                length=length,
                limit=MAX_HEADER_BYTES,
            )
        header = file.read(length)
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        if path.stat().st_size != 8 + length + max(ends, default=0):
            raise CacheDamaged("{name} is cut short or has bytes too many.", hint=REPAIR, name=path.name)
        return [
            Tensor(name, str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
            for name, entry in entries.items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError("{name} is not a safetensors file.", hint=REPAIR, name=path.name) from error


def model_tensors(folder: Path, *, tied: bool) -> list[Tensor]:
    """Return all tensors that loading creates; a tied model's second copy of the output layer is left out."""
    tensors = [tensor for path in weight_files(folder) for tensor in read_tensors(path)]
    has_embedding = any(tensor.name.endswith("embed_tokens.weight") for tensor in tensors)
    if tied and has_embedding:
        return [tensor for tensor in tensors if tensor.name != "lm_head.weight"]
    return tensors
