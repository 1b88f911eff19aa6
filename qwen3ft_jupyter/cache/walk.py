"""Walks the folder of a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, REPLACED_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and symlinks in a model folder, sorted, our own record left out."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:  # deleted meanwhile
            continue
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif path != RECORD_FOLDER:
                pending.append(f"{path}/")


def walk_all(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and symlinks in a model folder, those included that our record keeps for others."""
    yield from (path for path in walk_files(folder) if path != RECORD_FOLDER)
    replaced = f"{RECORD_FOLDER}/{REPLACED_FOLDER}"
    is_link = (folder / RECORD_FOLDER).is_symlink() or (folder / replaced).is_symlink()
    if not is_link and (folder / replaced).is_dir():
        yield from (f"{replaced}/{path}" for path in walk_files(folder / replaced))
