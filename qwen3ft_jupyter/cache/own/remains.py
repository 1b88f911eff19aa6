"""Which folders hold nothing but what an eviction has left: somebody's own files, which go only if that is said.

A note on each lies in the cache's own ``.evicted/``, not in the folder: that is nobody's model any more.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.own.layout import EVICTED_FOLDER
from qwen3ft_jupyter.cache.own.manifest import RECORD_FOLDER
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json
from qwen3ft_jupyter.paths import is_folder, matching

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

MAX_NOTE_BYTES: Final = 1 << 16


def note_remains(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Note that what is in a folder now lay beside a model that was evicted. Never raises."""
    with suppress(OSError):
        make_own_folder(folder.parent / EVICTED_FOLDER, disk=disk)
        write_json(_path(folder), {"inode": os.lstat(folder).st_ino}, disk=disk)


def forget_remains(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Drop the note on a folder. Never raises."""
    with suppress(OSError):
        disk.unlink(_path(folder))
        disk.remove_folder(folder.parent / EVICTED_FOLDER)


def has_remains(folder: Path) -> bool:
    """Return whether a folder is what an eviction has left, and not one that somebody made since."""
    if is_folder(folder / RECORD_FOLDER):
        return True
    with suppress(OSError):
        return _noted_inode(folder) == os.lstat(folder).st_ino
    return False


def clear_notes(root: Path, *, disk: Disk = LOCAL) -> None:
    """Drop the notes on folders that are gone, or hold a model again; one that is empty by now goes. Never raises."""
    for path in matching(root / EVICTED_FOLDER, "*.json"):
        folder = root / path.stem
        if _noted_inode(folder) is None:  # no note of ours
            continue
        with suppress(OSError):  # it is not empty
            disk.remove_folder(folder)
        if is_folder(folder / RECORD_FOLDER) or not has_remains(folder):
            forget_remains(folder, disk=disk)


def _noted_inode(folder: Path) -> int | None:
    """Return which folder the note is about; None if there is none of ours."""
    try:
        inode = json.loads(read_regular(_path(folder), MAX_NOTE_BYTES))["inode"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return inode if isinstance(inode, int) else None


def _path(folder: Path) -> Path:
    return folder.parent / EVICTED_FOLDER / f"{folder.name}.json"
