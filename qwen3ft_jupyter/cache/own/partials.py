"""The partial files in a cache folder, looked at without claiming them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.layout import incoming_folders
from qwen3ft_jupyter.paths import matching
from qwen3ft_jupyter.transfer.journal import is_backed, read_journal
from qwen3ft_jupyter.transfer.pieces import spans_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.transfer.pieces import SpanSet

_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""


def partial_spans(incoming: Path) -> dict[str, SpanSet]:
    """Return which bytes of each object, by its key, the best partial in an incoming folder has."""
    found: dict[str, SpanSet] = {}
    for path in matching(incoming, "*.journal"):
        journal = read_journal(path)
        if journal is not None and is_backed(incoming / journal.data_name, journal.size):
            done = spans_of(journal.records)
            if journal.key not in found or done.total >= found[journal.key].total:
                found[journal.key] = done
    return found


def allocated_bytes(root: Path) -> int:
    """Return what all partial files take on the disk; they are sparse, so that is less than its length."""
    total = 0
    for folder in incoming_folders(root):
        for path in matching(folder, "*.part"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                blocks = getattr(status, "st_blocks", None)  # Windows has none
                total += status.st_size if blocks is None else min(status.st_size, blocks * _BLOCK_BYTES)
    return total
