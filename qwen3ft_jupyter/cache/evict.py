"""Deletes models: the record first, so that no moment shows half a model as a whole one; never through a symlink."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.layout import mark_incomplete
from qwen3ft_jupyter.cache.manifest import manifest_path
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.transfer.partial import clear_partials
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.hubs.names import RepoId


def remove_model(root: Path, folder: Path, repo_id: RepoId) -> int:
    """Delete the model folder `folder` of the cache `root`; return the bytes freed.

    Raises:
        CacheError: The folder is not directly in the cache, or is a symlink.
        CacheNotWritable, TransferError: It cannot be deleted.
    """
    if folder.parent != root or folder.name.startswith(".") or folder.is_symlink():
        raise CacheError(f"{repo_id}: its folder is not one of this cache, so it is not deleted.")
    try:
        freed = _prepare(folder)
        mark_incomplete(folder, repo_id)
        manifest_path(folder).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise disk_error(error, f"{repo_id} cannot be deleted") from error
    return freed


def remove_incoming(folder: Path) -> int:
    """Delete what was begun in an incoming folder and nobody works on; return the bytes freed. Never raises."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    freed = clear_partials(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
    return freed


def _prepare(folder: Path) -> int:
    """Make everything below deletable and return its size; symlinks are left as they are and count nothing."""
    size = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        os.chmod(parent, stat.S_IRWXU)  # noqa: PTH101 - a read-only folder keeps its files
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - os.walk speaks in strings
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                continue
            size += status.st_size
            if os.name == "nt":
                os.chmod(path, stat.S_IWRITE)  # noqa: PTH101 - Windows deletes no read-only file
    return size
