"""What moving a cache would do, told before anything is touched."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.move import RECORD_FOLDERS, CacheMove, missing_room, not_writable
from qwen3ft_jupyter.cache.move_folder import FolderMove, MoveWork
from qwen3ft_jupyter.cache.own.evict import InUse, nobody_uses
from qwen3ft_jupyter.cache.own.layout import EVICTED_FOLDER, INCOMING_FOLDER
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.cache.reports import MovePlan
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.hubs.names import DATASETS_FOLDER
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_folder, is_taken, nearest_folder
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from qwen3ft_jupyter.disk import Disk

_OURS: Final = frozenset({EVICTED_FOLDER, INCOMING_FOLDER, DATASETS_FOLDER, *RECORD_FOLDERS})
"""What else moves, or goes, without being a model."""


def plan_move(
    source_root: Path,
    target_root: Path,
    *,
    trust_manifests: bool = True,
    is_used: InUse = nobody_uses,
    disk: Disk = LOCAL,
) -> MovePlan:
    """Return what `move_cache` with the same arguments would do.

    Raises:
        NotCached, CacheError, ModelInUse, CacheNotWritable, TransferError: As the move itself would, but for a lack of
            room, which the plan says.
    """
    target, work = Path(target_root), Work()
    move = CacheMove(Path(source_root), target, trust_manifests, is_used, work, disk)
    try:
        move.check()
        near = _writable_folder(target)
        is_one_volume = near.stat().st_dev == move.source.stat().st_dev
        shared = MoveWork(disk, work, Reading(work, "moving", 0))
        found = move.folders()
        moves = {folder: FolderMove(folder, move.goal(folder), repo_id, None, shared) for folder, repo_id in found}
        seen: set[tuple[int, int]] = set()
        to_copy = sum(
            one.missing_bytes(seen)
            for folder, one in moves.items()
            if not is_one_volume or move.is_strange(folder) or is_taken(one.target)
        )
        free = disk.free_bytes(near)
    except OSError as error:
        raise disk_error(error, Message("The cache")) from error
    names = tuple(move.name(folder) for folder in moves)
    return MovePlan(
        str(move.source),
        str(target),
        names,
        sum(one.size_bytes() for one in moves.values()),
        to_copy,
        free,
        missing_room(to_copy, free),
        tuple(name for name in move.names() if name not in _OURS and name not in names),
    )


def _writable_folder(target: Path) -> Path:
    """Return the folder in which the target is, or would be made. Raises CacheNotWritable, as the move would."""
    near = nearest_folder(target)
    if not is_folder(near) or any(is_taken(path) for path in (target, *target.parents) if near in path.parents):
        raise not_writable(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), target)
    if not os.access(near, os.W_OK | os.X_OK):
        raise not_writable(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), target)
    return near
