"""Stamps of models in layers that cannot be written, kept in our own cache folder so that each is read only once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.layout import STAMPS_FOLDER
from qwen3ft_jupyter.cache.manifest import MAX_MANIFEST_BYTES, Manifest, Stamp, read_manifest, update_manifest
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

_VERSION: Final = 1


def keep(root: Path, folder: Path, manifest: Manifest, *, is_writable: bool, disk: Disk = LOCAL) -> bool:
    """Keep the stamps of `manifest` in the model's folder, or under our own `root` if that is not writable.

    Check sums that the record lacks are kept with them. Never raises: what is not kept is read again. Returns False,
    and keeps nothing, if the model in `folder` is not the one any more that `manifest` was read from.
    """
    now = read_manifest(folder)
    if now is None or now.with_stamps_of(manifest) is None:
        return False
    if is_writable:
        with contextlib.suppress(OSError):
            update_manifest(folder, partial(_renewed, manifest), disk=disk)
            forget(root, folder)
            return True
    with contextlib.suppress(OSError):
        save(root, folder, manifest, disk=disk)
    return True


def save(root: Path, folder: Path, manifest: Manifest, *, disk: Disk = LOCAL) -> None:
    """Keep the stamps of the model in `folder` under our own `root`. Raises OSError."""
    path = _path(root, folder)
    make_own_folder(path.parent, disk=disk)
    stamps = {
        f"{file.sha256} {file.path}": [s.size, s.mtime_ns, s.ctime_ns, s.inode] if (s := file.stamp) else None
        for file in manifest.files
    }
    write_json(path, {"version": _VERSION, "folder": str(folder), "stamps": stamps}, disk=disk)


def forget(root: Path, folder: Path) -> None:
    """Drop what was kept for `folder`: its own manifest has the stamps now. Raises OSError."""
    _path(root, folder).unlink(missing_ok=True)


def overlaid(root: Path, folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest with the stamps that were kept for this folder and these digests."""
    try:
        data = json.loads(read_regular(_path(root, folder), MAX_MANIFEST_BYTES))
        kept = data["stamps"] if data["version"] == _VERSION else {}
        found = {file.path: kept[key] for file in manifest.files if (key := f"{file.sha256} {file.path}") in kept}
        return manifest.with_stamps({path: _stamp(value) for path, value in found.items()})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return manifest


def _renewed(read: Manifest, now: Manifest) -> Manifest | None:
    """Return the manifest as it is now with the stamps of the one read, and its check sums where there were none."""
    stamped = now.with_stamps_of(read)
    if stamped is None:
        return None
    sums = {file.path: file.pieces for file in read.files}
    return replace(
        stamped, files=tuple(replace(file, pieces=file.pieces or sums.get(file.path)) for file in stamped.files)
    )


def _stamp(value: object) -> Stamp | None:
    if isinstance(value, list) and len(value) == 4 and all(type(number) is int for number in value):
        return Stamp(*value)
    return None


def _path(root: Path, folder: Path) -> Path:
    return root / STAMPS_FOLDER / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
