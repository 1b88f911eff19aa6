"""What downloads have begun: the partial files in a cache folder, looked at without claiming them."""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.layout import INCOMING_FOLDER, folders_in
from qwen3ft_jupyter.disk import read_regular
from qwen3ft_jupyter.transfer.journal import MAX_JOURNAL_BYTES, Journal, parse_journal

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""


def incoming_folders(root: Path) -> list[Path]:
    """Return the folders of begun downloads in the cache `root`."""
    incoming = root / INCOMING_FOLDER
    return [] if incoming.is_symlink() else folders_in(incoming)


def begun_bytes(incoming: Path) -> dict[str, int]:
    """Return how many bytes of each object, by its key, the best partial in an incoming folder has."""
    found: dict[str, int] = {}
    for path in sorted(incoming.glob("*.journal")):
        journal = read_journal(path)
        if journal is not None and _is_backed(incoming / journal.data_name, journal.size):
            found[journal.key] = max(found.get(journal.key, 0), journal.done().total)
    return found


def allocated_bytes(root: Path) -> int:
    """Return what all begun downloads take on the disk; a partial file is sparse, so that is less than its length."""
    total = 0
    for folder in incoming_folders(root):
        for path in folder.glob("*.part"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                blocks = getattr(status, "st_blocks", None)  # Windows has none
                total += status.st_size if blocks is None else min(status.st_size, blocks * _BLOCK_BYTES)
    return total


def read_journal(path: Path) -> Journal | None:
    """Return the journal in a file, or None if it is none of ours."""
    try:
        return parse_journal(read_regular(path, MAX_JOURNAL_BYTES))
    except OSError:
        return None


def _is_backed(data: Path, size: int) -> bool:
    try:
        status = data.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size == size
