"""What the refusals of a disk mean for the user."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import UNSUPPORTED, Disk, LocalDisk
from qwen3ft_jupyter.errors import CacheDamaged, CacheNotWritable, NoSpace, Qwen3ftError, TransferError
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.mounts import FULL
from qwen3ft_jupyter.paths import nearest_folder, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile

__all__ = ["FULL", "REFUSED", "Disk", "LocalDisk", "disk_error"]

REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What a read-only or foreign folder answers."""

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""What the system answers when a process, or all of them, have too many files open."""

IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})
"""What a symlink, file or folder answers that lies where something of ours should be."""

TOO_LARGE: Final = frozenset({errno.EFBIG})
"""What FAT32 answers beyond 4 GB, and a process beyond its own limit."""

UNNAMEABLE: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})
"""What a volume answers that takes no such name."""

IN_USE: Final = frozenset({errno.EBUSY, errno.ETXTBSY})
"""What is answered about a file or folder that another program holds."""

GONE: Final = frozenset(
    getattr(errno, name)
    for name in ("ESTALE", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ETIMEDOUT", "ENODEV", "ENXIO", "ECONNABORTED")
    if hasattr(errno, name)
)
"""What a network drive answers whose server is gone, and any drive that was unplugged."""

_Meaning = tuple[type[Qwen3ftError], str, str]
_FAILED: Final[_Meaning] = (
    TransferError,
    Message("{name}: the disk failed ({reason})."),
    Message("Start again: what has arrived is kept. If it happens again, check the volume."),
)
_MEANINGS: Final[tuple[tuple[frozenset[int], type[Qwen3ftError], str, str], ...]] = (
    (
        FULL,
        NoSpace,
        Message("{name}: the volume is full or the quota is used up."),
        Message("Free some room and start again: what has arrived is kept."),
    ),
    (
        REFUSED,
        CacheNotWritable,
        Message("{name}: the cache folder cannot be written ({reason})."),
        Message("Set MODEL_CACHE_DIR to a folder you may write to."),
    ),
    (
        TOO_LARGE,
        CacheNotWritable,
        Message("{name}: this volume, or `ulimit -f`, allows no file that large ({reason})."),
        Message("Set MODEL_CACHE_DIR to a folder on another volume: FAT32 holds no file of 4 GB, exFAT does."),
    ),
    (
        UNNAMEABLE,
        CacheNotWritable,
        Message("{name}: this volume takes no such name ({reason})."),
        Message("Set MODEL_CACHE_DIR to a folder with a shorter path, or on another volume."),
    ),
    (
        UNSUPPORTED,
        CacheNotWritable,
        Message("{name}: this kind of volume cannot do what a download needs ({reason})."),
        Message("Set MODEL_CACHE_DIR to a folder on another volume."),
    ),
    (
        EXHAUSTED,
        TransferError,
        Message("{name}: too many files are open ({reason})."),
        Message(
            "Raise the limit (`ulimit -n`) or set QWEN3FT_MAX_CONNECTIONS lower, and start again:"
            " what has arrived is kept."
        ),
    ),
    (
        IN_THE_WAY,
        CacheDamaged,
        Message("{name}: something that is not ours is in the way in the cache ({reason})."),
        Message("Look for a symlink, file or folder that does not belong there and move it away."),
    ),
    (
        IN_USE,
        TransferError,
        Message("{name}: another program is using it ({reason})."),
        Message("Close that program and start again: what has arrived is kept."),
    ),
    (
        GONE,
        TransferError,
        Message("{name}: the drive has gone ({reason})."),
        Message("Connect or mount it again and start again: what has arrived is kept."),
    ),
    (
        frozenset({errno.ENOENT}),
        TransferError,
        Message("{name}: a folder has gone or cannot be made ({reason})."),
        Message("Start again: what has arrived is kept. If it happens again, set MODEL_CACHE_DIR to another folder."),
    ),
)
"""What the answers of the system mean, and what to do."""


def disk_error(error: OSError, name: str) -> Qwen3ftError:
    """Return the error of ours that says what `error`, met while writing `name`, means for the user."""
    kind, message, hint = next((one[1:] for one in _MEANINGS if error.errno in one[0]), _FAILED)
    details = {"path": str(error.filename or "")}
    return kind(message, hint=hint, details=details, name=name, reason=reason_of(error))


def refuse_too_large(folder: Path, files: Iterable[RemoteFile], disk: Disk) -> None:
    """Refuse a download of a file that the volume of `folder` cannot hold, before its first byte.

    Raises:
        CacheNotWritable: There is one.
    """
    largest = max(files, key=lambda file: file.size, default=None)
    if largest is not None and not disk.can_hold(nearest_folder(folder), largest.size):
        raise disk_error(OSError(errno.EFBIG, os.strerror(errno.EFBIG)), largest.path)
