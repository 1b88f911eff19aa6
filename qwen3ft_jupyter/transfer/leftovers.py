"""What processes that ended have left in an incoming folder: to go on with, or to delete."""

from __future__ import annotations

import contextlib
import logging
import stat
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import LOCAL, age_s, read_regular
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.transfer.journal import MAX_JOURNAL_BYTES, Journal, parse_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

logger = logging.getLogger(__name__)

QUIET_OWNER_S = 120.0
"""After this long without a line, the owner on another machine, whose life nobody here can ask for, counts as gone."""

ORPHAN_S = 3600.0
"""A data file that no journal names is garbage once it is this old; a younger one may belong to a claim under way."""

_LEFTOVERS: Final = ("*.part", "*.tmp", "*.now", "*.stale")
"""Data files, and what is in the incoming folder for a moment only."""

held: set[str] = set()
"""The journals that partials of this process own now; one that is signed by it but not here was given up."""


def left_behind(folder: Path, key: str, size: int, disk: Disk) -> Iterator[tuple[Path, Journal]]:
    """Yield the journals of `key` that nobody works on; delete those that are no use."""
    for path in sorted(folder.glob(f"{key}.*.journal")):
        journal = read_journal(path)
        if journal is None or not _is_about(journal, key, size):
            logger.info("discarding %s: it is not about this object", path.name)
            delete(path, disk=disk)
        elif not _has_living_owner(journal, path, disk):
            yield path, journal


def clear_orphans(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Delete what kills left in `folder` and no journal names, if it is old enough not to be part of a claim."""
    parts = [path for pattern in _LEFTOVERS for path in folder.glob(pattern)]
    named = {journal.data_name for path in folder.glob("*.journal") if (journal := read_journal(path)) is not None}
    for path in parts:
        with contextlib.suppress(OSError):
            if path.name not in named and age_s(path, disk=disk) > ORPHAN_S:
                logger.info("deleting the orphan %s", path.name)
                disk.unlink(path)


def clear_partials(folder: Path, *, disk: Disk = LOCAL) -> int:
    """Delete every partial in `folder` that no living process owns; return the bytes they took."""
    freed = 0
    for path in sorted(folder.glob("*.journal")):
        journal = read_journal(path)
        if journal is None:
            delete(path, disk=disk)
        elif not _has_living_owner(journal, path, disk):
            freed += min(journal.done().total, journal.size)
            delete(folder / journal.data_name, path, disk=disk)
    clear_orphans(folder, disk=disk)
    return freed


def delete(*paths: Path, disk: Disk) -> None:
    """Delete a data file and its journal, in this order: a journal without data is a fresh start."""
    for path in paths:
        with contextlib.suppress(OSError):
            disk.unlink(path)


def is_backed(data: Path, size: int) -> bool:
    """Return whether a data file is what a journal may speak of: a regular file as long as the finished one.

    What was planted, or cut, or has a second name, is never written through.
    """
    try:
        status = data.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size == size


def _is_about(journal: Journal, key: str, size: int) -> bool:
    return (journal.key, journal.size) == (key, size) and journal.data_name.startswith(f"{key}.")


def _has_living_owner(journal: Journal, path: Path, disk: Disk) -> bool:
    owner = journal.owner
    if journal.is_released or owner is None or owner.is_surely_dead:
        return False
    if owner == ProcessIdentity.current():
        return str(path) in held
    if owner.is_surely_alive:
        return True
    try:
        return age_s(path, disk=disk) < QUIET_OWNER_S
    except OSError:  # gone this moment
        return True


def read_journal(path: Path) -> Journal | None:
    """Return the journal in a file, or None if it cannot be read or is none of ours."""
    with contextlib.suppress(OSError):
        return parse_journal(read_regular(path, MAX_JOURNAL_BYTES))
    return None
