"""Models to download, made quickly: a block of random bytes again and again, or little but zeros."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPO = "measured/Benchmark"
MB = 1_000_000
BLOCK_BYTES = 1 << 24
SMALL_FILES = {"README.md": 14_000, "config.json": 700, "generation_config.json": 240, "merges.txt": 1_670_000}
SMALL_FILES |= {"tokenizer.json": 11_400_000, "tokenizer_config.json": 9_700, "vocab.json": 2_780_000}


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder on this disk, and what a download of it has to bring."""

    folder: Path
    digests: Mapping[str, str]
    """sha256 by file name."""
    size: int
    """Bytes of all files."""

    @property
    def names(self) -> list[str]:
        return list(self.digests)


def make_model(folder: Path, size: int, *, is_sparse: bool = False) -> Model:
    """Make a model of two large files and seven small ones, `size` bytes in all; no two have the same bytes."""
    rest = max(MB, size - sum(SMALL_FILES.values()))
    last = rest // 5
    weights = {"model-00001-of-00002.safetensors": rest - last, "model-00002-of-00002.safetensors": last}
    return _make(folder, SMALL_FILES | weights, is_sparse=is_sparse)


def make_small_files(folder: Path, count: int) -> Model:
    """Make a model of `count` files of some kilobytes each."""
    return _make(folder, {f"part-{number:02}.json": 2_000 + 300 * number for number in range(count)}, is_sparse=False)


def missing_from(target: Path, model: Model) -> str:
    """Return what is wrong with a downloaded folder, "" for nothing. Programs may keep files of their own in it."""
    found = {path.name: path for path in target.rglob("*") if path.name in model.digests and path.is_file()}
    if lacking := model.digests.keys() - found.keys():
        return f"{len(lacking)} of {len(model.digests)} files are missing"
    wrong = [name for name, path in found.items() if _sha256(path) != model.digests[name]]
    return f"wrong bytes in {wrong[0]}" if wrong else ""


def _make(folder: Path, sizes: Mapping[str, int], *, is_sparse: bool) -> Model:
    folder.mkdir(parents=True)
    block = os.urandom(BLOCK_BYTES)
    for number, (name, length) in enumerate(sizes.items()):
        with (folder / name).open("wb") as file:
            if is_sparse:
                file.write(name.encode())
                file.truncate(length)
                continue
            turn = 4096 * number
            turned = block[turn:] + block[:turn]
            for start in range(0, length, BLOCK_BYTES):
                file.write(turned[: length - start])
    digests = {name: _sha256(folder / name) for name in sizes}
    return Model(folder, digests, sum(sizes.values()))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
