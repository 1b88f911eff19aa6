"""What the refusals of a disk mean for the user."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import UNSUPPORTED, Disk, LocalDisk
from qwen3ft_jupyter.errors import CacheDamaged, CacheNotWritable, NoSpace, TransferError

if TYPE_CHECKING:
    from qwen3ft_jupyter.errors import Qwen3ftError

__all__ = ["FULL", "REFUSED", "Disk", "LocalDisk", "disk_error"]

FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What a full volume or a used-up quota answers; also one that has room and no inodes left."""

REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What a read-only or foreign folder answers."""

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""What the system answers when a process, or all of them, have too many files open."""

IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})
"""What a symlink, file or folder answers that lies where something of ours should be."""


def disk_error(error: OSError, name: str) -> Qwen3ftError:
    """Return the error of ours that says what `error`, met while writing `name`, means for the user."""
    details = {"path": str(error.filename or "")}
    reason = error.strerror or type(error).__name__
    if error.errno in FULL:
        return NoSpace(
            "{name}: the volume is full or the quota is used up.",
            hint="Free some room and start again: what has arrived is kept.",
            details=details,
            name=name,
        )
    if error.errno in REFUSED:
        return CacheNotWritable(
            "{name}: the cache folder cannot be written ({reason}).",
            hint="Set MODEL_CACHE_DIR to a folder you may write to.",
            details=details,
            name=name,
            reason=reason,
        )
    if error.errno in UNSUPPORTED:
        return CacheNotWritable(
            "{name}: this kind of volume cannot do what a download needs ({reason}).",
            hint="Set MODEL_CACHE_DIR to a folder on another volume.",
            details=details,
            name=name,
            reason=reason,
        )
    if error.errno in EXHAUSTED:
        return TransferError(
            "{name}: too many files are open ({reason}).",
            hint="Raise the limit (`ulimit -n`) or set QWEN3FT_MAX_CONNECTIONS lower, and start again:"
            " what has arrived is kept.",
            details=details,
            name=name,
            reason=reason,
        )
    if error.errno in IN_THE_WAY:
        return CacheDamaged(
            "{name}: something that is not ours is in the way in the cache ({reason}).",
            hint="Look for a symlink, file or folder that does not belong there and move it away.",
            details=details,
            name=name,
            reason=reason,
        )
    return TransferError(
        "{name}: the disk failed ({reason}).",
        hint="Start again: what has arrived is kept. If it happens again, check the volume.",
        details=details,
        name=name,
        reason=reason,
    )
