"""Stamps of models in layers that cannot be written, kept in our own cache folder so that each is read only once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.layout import STAMPS_FOLDER
from qwen3ft_jupyter.cache.manifest import Manifest, Stamp
from qwen3ft_jupyter.disk import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

_VERSION: Final = 1


def save(root: Path, folder: Path, manifest: Manifest) -> None:
    """Keep the stamps of the model in `folder` under our own `root`. Raises OSError."""
    path = _path(root, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = {
        f"{file.sha256} {file.path}": [s.size, s.mtime_ns, s.ctime_ns, s.inode] if (s := file.stamp) else None
        for file in manifest.files
    }
    write_json(path, {"version": _VERSION, "folder": str(folder), "stamps": stamps})


def forget(root: Path, folder: Path) -> None:
    """Drop what was kept for `folder`: its own manifest has the stamps now. Raises OSError."""
    _path(root, folder).unlink(missing_ok=True)


def overlaid(root: Path, folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest with the stamps that were kept for this folder and these digests."""
    try:
        data = read_json(_path(root, folder))
        kept = data["stamps"] if data["version"] == _VERSION else {}
        found = {file.path: kept[key] for file in manifest.files if (key := f"{file.sha256} {file.path}") in kept}
        return manifest.with_stamps({path: _stamp(value) for path, value in found.items()})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return manifest


def _stamp(value: object) -> Stamp | None:
    if isinstance(value, list) and len(value) == 4 and all(type(number) is int for number in value):
        return Stamp(*value)
    return None


def _path(root: Path, folder: Path) -> Path:
    return root / STAMPS_FOLDER / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
