"""Keeps stamps, so that no file is read twice.

Those of models in shared caches that cannot be written lie in our own cache folder. Those of files whose hard links
come and go are renewed: the number of links is part of what `stat` calls a change of a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.own.layout import STAMPS_FOLDER, folders_in
from qwen3ft_jupyter.cache.own.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
    Stamp,
    file_state,
    read_manifest,
    update_manifest,
)
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

_VERSION: Final = 1
_SECOND_NS: Final = 1_000_000_000


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


def with_local_stamps(root: Path, folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest with the stamps that were kept for this folder and these digests."""
    try:
        data = json.loads(read_regular(_path(root, folder), MAX_MANIFEST_BYTES))
        kept = data["stamps"] if data["version"] == _VERSION else {}
        found = {file.path: kept[key] for file in manifest.files if (key := f"{file.sha256} {file.path}") in kept}
        return manifest.with_stamps({path: _stamp(value) for path, value in found.items()})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return manifest


def with_copies_trusted(folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest with the present stamps of files that look like copies of those it was written for.

    That is their size, their time of change to the second, and another inode: the layers of an image keep no more. A
    file that kept its inode was changed in place.
    """
    return manifest.with_stamps({file.path: _of_copy(folder, file) for file in manifest.files})


def _of_copy(folder: Path, file: ManifestFile) -> Stamp | None:
    old = file.stamp
    try:
        status = os.lstat(folder / file.path)
    except OSError:
        return old
    if old is None or not stat.S_ISREG(status.st_mode) or status.st_ino == old.inode:
        return old
    is_alike = (status.st_size, status.st_mtime_ns // _SECOND_NS) == (old.size, old.mtime_ns // _SECOND_NS)
    return Stamp.of(status) if is_alike else old


@contextlib.contextmanager
def stamps_kept(root: Path, inodes: Collection[int], *, but: Path | None = None, disk: Disk = LOCAL) -> Iterator[None]:
    """Let the block link, unlink or rename files of our own models in `root` without costing their other names a read.

    Models that hold one of the `inodes`, `but` one, have the stamps of those files renewed after the block, if they
    were right before it and nothing but the links changed. Never raises: a stamp that could not be renewed costs a
    read.
    """
    siblings = [(folder, files) for folder in folders_in(root) if folder != but and (files := _held(folder, inodes))]
    try:
        yield
    finally:
        for folder, files in siblings:
            with contextlib.suppress(OSError):
                update_manifest(folder, partial(_relinked, folder, files), disk=disk)


def untrust(root: Path, inodes: Collection[int]) -> None:
    """Have every file of our own models that has one of the `inodes` read before it is trusted again. Never raises.

    For files whose bytes are wrong under a right stamp: their other names are as wrong.
    """
    for folder in folders_in(root):
        paths = _held(folder, inodes)
        with contextlib.suppress(OSError):
            if paths:
                update_manifest(folder, partial(Manifest.with_stamps, stamps=dict.fromkeys(paths)))


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
    return root / STAMPS_FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}.json"


def _held(folder: Path, inodes: Collection[int]) -> dict[str, ManifestFile]:
    """Return the files of a model that have one of the inodes, and their stamp."""
    manifest = read_manifest(folder) if inodes else None
    files = manifest.files if manifest is not None else ()
    held = [file for file in files if file.stamp is not None and file.stamp.inode in inodes]
    return {file.path: file for file in held if file_state(folder, file) == "same"}


def _relinked(folder: Path, files: dict[str, ManifestFile], manifest: Manifest) -> Manifest:
    unchanged = [file for file in manifest.files if file.path in files and file.stamp == files[file.path].stamp]
    return manifest.with_stamps({file.path: _with_links(folder, file) for file in unchanged})


def _with_links(folder: Path, file: ManifestFile) -> Stamp | None:
    """Return the stamp as it is now if nothing but the time of change moved on, else the old one."""
    try:
        status = os.lstat(folder / file.path)
    except OSError:
        return file.stamp
    now = Stamp.of(status)
    old = file.stamp
    is_same = old is not None and (old.size, old.mtime_ns, old.inode) == (now.size, now.mtime_ns, now.inode)
    return now if is_same and stat.S_ISREG(status.st_mode) else old
