"""What is in the folders of other tools, remembered until a folder changes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

YOUNG_S: Final = 2.0
"""A folder changed less than this ago may change once more without its time of change telling."""
MAX_REMEMBERED: Final = 50_000
"""Folders whose content is remembered; more than that are no caches of models."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The names in a folder; symlinks to folders are none."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    """Regular files, and whatever else there is: opening tells."""


_NOTHING: Final = Entries((), ())
_remembered: dict[str, tuple[tuple[int, ...], Entries]] = {}


def entries_of(folder: Path | str) -> Entries:
    """Return what is in a folder, sorted; nothing if it cannot be read. Remembered until the folder changes."""
    path = str(folder)
    identity = folder_identity(path)
    if identity is None:
        return _NOTHING
    known = _remembered.get(path)
    if known is not None and known[0] == identity:
        return known[1]
    try:
        with os.scandir(path) as found:
            kinds = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except OSError:
        return _NOTHING
    entries = Entries(
        tuple(name for name, is_folder in kinds if is_folder), tuple(name for name, is_folder in kinds if not is_folder)
    )
    if is_settled(identity):
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[path] = identity, entries
    return entries


def folder_identity(path: str) -> tuple[int, ...] | None:
    """Return what changes when a name in the folder does, or None if it is no folder; a symlink is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    is_folder = (status.st_mode & 0o170000) == 0o040000
    return (status.st_mtime_ns, status.st_ino, status.st_dev) if is_folder else None


def is_settled(identity: tuple[int, ...]) -> bool:
    """Return whether another change of a folder would show in its identity: clocks tick in steps."""
    return not -YOUNG_S < time.time() - identity[0] / 1e9 < YOUNG_S
