"""Copies the weights of a base model, shard by shard, with an adapter merged into them."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import CacheDamaged, LoadError
from qwen3ft_jupyter.loading.weights import REPAIR, weight_files
from qwen3ft_jupyter.messages import Command, Names
from qwen3ft_jupyter.paths import reason_of
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch
    from typing_extensions import Self

    from qwen3ft_jupyter.finetune.adapter import Change
    from qwen3ft_jupyter.finetune.dequantized import Dequantized
    from qwen3ft_jupyter.finetune.merge import Base, MergePlan
    from qwen3ft_jupyter.finetune.target import Folder
    from qwen3ft_jupyter.work import Work

TORCH_TYPES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Number types of safetensors that can be merged into; the others are quantized."""
SHOW_S: Final = 0.25
"""Between two words on how far it is."""
_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2}
_BLOCK_BYTES: Final = 32 << 20
"""How much of a tensor is computed at once."""


def write_weights(plan: MergePlan, written: Folder, work: Work, dequantized: Dequantized | None) -> None:
    """Write every shard of the merged model; `dequantized` has weights that stand for the base's own.

    Raises LoadError, CacheDamaged, Stopped, OSError.
    """
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(plan.adapter.weights).items()}
    wrong = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if wrong:
        raise LoadError(
            "The adapter holds numbers that are not finite: {names}.",
            hint="Its training diverged: train again with a lower learning_rate.",
            names=Names(wrong),
        )
    files = weight_files(plan.base.folder)
    copying = _Copying(work, sum(path.stat().st_size for path in files))
    source = _Source(plan, tensors, dequantized)
    for path in files:
        _write_shard(source, path, written, copying)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the merged weights are made of."""

    plan: MergePlan
    tensors: Mapping[str, torch.Tensor]
    """The adapter's, in float32, by name."""
    dequantized: Dequantized | None

    def weight(self, name: str) -> torch.Tensor | None:
        """Return what stands for a tensor of the base before it is changed, in float32; None: it does itself."""
        return self.dequantized.weight(name) if self.dequantized else None


@dataclass(slots=True)
class _Copying:
    """How far the copying is; keeps to pauses, speed and stop."""

    work: Work
    total: int
    done: int = 0
    shown: float = -SHOW_S
    started: float = field(default_factory=time.monotonic)

    def advance(self, count: int, name: str) -> None:
        """Note that `count` bytes more are written. Raises Stopped."""
        self.done += count
        now = time.monotonic()
        if now - self.shown >= SHOW_S or self.done == self.total:
            self.shown, rate = now, self.done / max(1e-3, now - self.started)
            eta_s = (self.total - self.done) / rate
            self.work.progress(Progress("merging", self.done, self.total, rate=rate, eta_s=eta_s, detail=name))
        self.work.pace(count, paused=Progress("paused", self.done, self.total))


def _write_shard(source: _Source, path: Path, written: Folder, copying: _Copying) -> None:
    """Copy a shard with the adapter merged into it; both are digested on the way. Raises CacheDamaged."""
    before, after = hashlib.sha256(), hashlib.sha256()
    disk, position = written.disk, 0
    target = disk.open(written.folder / path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        for old, new in _merged_blocks(source, path):
            before.update(old)
            after.update(new)
            disk.write_at(target, memoryview(new), position)
            position += len(new)
            copying.advance(len(new), path.name)
        disk.fsync(target)
    finally:
        disk.close(target)
    check_digest(source.plan.base, path.name, before.hexdigest())
    written.files[path.name] = {"size": position, "sha256": after.hexdigest()}


def _merged_blocks(source: _Source, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the bytes of a shard, a block at a time, as they are and as they are to be."""
    with _Reader(source.plan.base, path.name) as reader:
        yield from _merge_each(source, reader)


def _merge_each(source: _Source, reader: _Reader) -> Iterator[tuple[bytes, bytes]]:
    length = struct.unpack("<Q", reader.read(8, 0))[0]
    header = reader.read(8 + length, 0)
    yield header, header
    entries = {name: entry for name, entry in json.loads(header[8:]).items() if name != "__metadata__"}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        if start != end:  # the format allows no gaps
            raise LoadError("The weights of {name} are no safetensors.", name=source.plan.base.repo_id)
        end = stop
        change, weight = source.plan.change_of(name), source.weight(name)
        is_same = change is None and weight is None
        row = 1 if is_same else entry["shape"][1] * _BYTES[entry["dtype"]]
        step = max(1, _BLOCK_BYTES // row) * row
        for at in range(start, stop, step):
            old = reader.read(min(step, stop - at), 8 + length + at)
            first, dtype = (at - start) // row, entry["dtype"]
            if is_same:
                new = old
            elif weight is None:
                new = _merge_rows(change, source.tensors, _rows(old, entry), dtype, first)
            else:
                new = _merge_rows(change, source.tensors, weight[first : first + len(old) // row], dtype, first)
            yield old, new


def _rows(data: bytes, entry: Mapping[str, Any]) -> torch.Tensor:
    """Return rows of a tensor in float32."""
    import torch

    dtype = getattr(torch, TORCH_TYPES[entry["dtype"]])
    return torch.frombuffer(bytearray(data), dtype=dtype).view(-1, entry["shape"][1]).to(torch.float32, copy=True)


def _merge_rows(
    change: Change | None, tensors: Mapping[str, torch.Tensor], weight: torch.Tensor, stored: str, first: int
) -> bytes:
    import torch

    dtype = getattr(torch, TORCH_TYPES[stored])
    merged = (weight if change is None else apply(change, tensors, weight, first)).to(dtype).contiguous()
    if not merged.isfinite().all():
        raise LoadError(
            "The merged weights do not fit into {dtype}.",
            hint="The adapter's numbers are too large: train again with a lower learning_rate.",
            dtype=TORCH_TYPES[stored],
        )
    return bytes(merged.view(torch.uint8).numpy().tobytes())


class _Reader:
    """A file of the base, which in another tool's cache may be a symlink; a context manager. Raises LoadError."""

    def __init__(self, base: Base, name: str) -> None:
        self._base, self._name = base, name
        try:
            self._file = (base.folder / name).open("rb", buffering=0)
        except OSError as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, length: int, offset: int) -> bytes:
        """Return so many bytes; a system call gives at most 2 GB."""
        parts = bytearray()
        try:
            self._file.seek(offset)
            while len(parts) < length and (part := self._file.read(length - len(parts))):
                parts += part
        except OSError as error:
            raise self._unreadable(error) from error
        if len(parts) < length:
            raise LoadError("{name} is cut short or has bytes too many.", hint=REPAIR, name=self._name)
        return bytes(parts)

    def _unreadable(self, error: OSError) -> LoadError:
        return LoadError(
            "{name} of {repo_id} cannot be read: {reason}.",
            hint=REPAIR,
            name=self._name,
            repo_id=self._base.repo_id,
            reason=reason_of(error),
        )


def read_file(base: Base, name: str) -> bytes:
    """Return a small file of the base. Raises LoadError, or CacheDamaged if it has changed."""
    with _Reader(base, name) as reader:
        data = reader.read((base.folder / name).stat().st_size, 0)
    check_digest(base, name, hashlib.sha256(data).hexdigest())
    return data


def check_digest(base: Base, name: str, sha256: str) -> None:
    """Raise CacheDamaged if a file of the base has another digest than the hub's, where that is known."""
    if base.digests.get(name, sha256) != sha256:
        raise CacheDamaged(
            "{name} of {repo_id} has changed since it was downloaded.",
            hint="Fetch it again: {command}",
            name=name,
            repo_id=base.repo_id,
            command=Command("repair", base.repo_id),
        )


def apply(change: Change, tensors: Mapping[str, torch.Tensor], weight: torch.Tensor, start: int) -> torch.Tensor:
    """Return rows of a base's tensor with the adapter in them, in float32.

    Args:
        change: What is changed.
        tensors: The adapter's, in float32, by name.
        weight: The rows, in float32, of shape (rows, columns).
        start: The number of the first of them.
    """
    end = start + weight.shape[0]
    if change.up:
        weight = weight + change.scale * (tensors[change.up][start:end] @ tensors[change.down])
    if change.magnitude:
        lengths = weight.norm(dim=1, keepdim=True)
        weight = weight / lengths * tensors[change.magnitude][start:end, None]
    for index, row in enumerate(change.row_ids):
        if start <= row < end:
            weight[row - start] = tensors[change.rows][index]
    return weight
