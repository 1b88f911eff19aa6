"""The few calls that touch the disk under a download, behind a Protocol: a test can play a full or failing one."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.errors import CacheNotWritable, NoSpace, Qwen3ftError, TransferError

if TYPE_CHECKING:
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What a full volume or a used-up quota answers."""

REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What a read-only or foreign folder answers."""


class Disk(Protocol):
    """What a download asks of the volume it writes to. Every method raises OSError as the system does."""

    def free_bytes(self, folder: Path) -> int:
        """Return how many bytes this user may still write on the volume of `folder`."""

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset`."""

    def fsync(self, descriptor: int) -> None:
        """Make what was written survive a power cut."""


class LocalDisk:
    """The disk as the operating system gives it."""

    def __init__(self) -> None:
        self._seek = threading.Lock()

    def free_bytes(self, folder: Path) -> int:
        """Return how many bytes this user may still write on the volume of `folder`."""
        return shutil.disk_usage(folder).free

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; never relies on the file's own position, which threads share."""
        while data:
            written = self._write_some(descriptor, data, offset)
            data = data[written:]
            offset += written

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        if hasattr(os, "pread"):
            return os.pread(descriptor, length, offset)
        with self._seek:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)

    def fsync(self, descriptor: int) -> None:
        """Make what was written survive a power cut."""
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:  # some FUSE mounts have no fsync
                raise

    def _write_some(self, descriptor: int, data: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(descriptor, data, offset)
        with self._seek:  # Windows has no pwrite
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)


def disk_error(error: OSError, name: str) -> Qwen3ftError:
    """Return the error of ours that says what `error`, met while writing `name`, means for the user."""
    details = {"path": str(error.filename or "")}
    if error.errno in FULL:
        return NoSpace(
            f"{name}: the volume is full or the quota is used up.",
            hint="Free some room and start again: what has arrived is kept.",
            details=details,
        )
    if error.errno in REFUSED:
        return CacheNotWritable(
            f"{name}: the cache folder cannot be written ({error.strerror}).",
            hint="Set MODEL_CACHE_DIR to a folder you may write to.",
            details=details,
        )
    return TransferError(
        f"{name}: the disk failed ({error.strerror or type(error).__name__}).",
        hint="Start again: what has arrived is kept. If it happens again, check the volume.",
        details=details,
    )
