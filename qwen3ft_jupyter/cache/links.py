"""Keeps stamps right while hard links come and go: their number is part of what `stat` calls a change of the file."""

from __future__ import annotations

import contextlib
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.layout import folders_in
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, Stamp, file_state, read_manifest, update_manifest
from qwen3ft_jupyter.disk import LOCAL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk


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
                update_manifest(folder, partial(_renewed, folder, files), disk=disk)


def _held(folder: Path, inodes: Collection[int]) -> dict[str, ManifestFile]:
    """Return the files of a model that have one of the inodes, and their stamp."""
    manifest = read_manifest(folder) if inodes else None
    files = manifest.files if manifest is not None else ()
    held = [file for file in files if file.stamp is not None and file.stamp.inode in inodes]
    return {file.path: file for file in held if file_state(folder, file) == "same"}


def _renewed(folder: Path, files: dict[str, ManifestFile], manifest: Manifest) -> Manifest:
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


def distrust(root: Path, inodes: Collection[int]) -> None:
    """Have every file of our own models that has one of the `inodes` read before it is trusted again. Never raises.

    For files whose bytes are wrong under a right stamp: their other names are as wrong.
    """
    for folder in folders_in(root):
        paths = _held(folder, inodes)
        with contextlib.suppress(OSError):
            if paths:
                update_manifest(folder, partial(_distrusted, dict.fromkeys(paths)))


def _distrusted(stamps: dict[str, Stamp | None], manifest: Manifest) -> Manifest:
    return manifest.with_stamps(stamps)
