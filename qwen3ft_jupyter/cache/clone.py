"""Doubles a file as cheaply as its volume can: by sharing blocks, by a second name where that is safe, by copying."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final, Literal

from qwen3ft_jupyter.disk import LOCAL, READ_FLAGS, LocalDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

CloneMethod = Literal["reflink", "link", "copy"]

COPY_BYTES: Final = 8 << 20
"""What is copied between two looks at the stop signal: a slow network mount moves it in less than a second."""

FICLONE: Final = 0x40049409
"""Linux: let a file share all blocks of another one. Btrfs, XFS, bcachefs and some network mounts can."""

_CANNOT: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO})
"""What a kernel answers that cannot copy between two files; on EIO, reading and writing tells which of them it was."""


def clone(
    source: Path,
    target: Path,
    *,
    may_link: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
    disk: Disk = LOCAL,
) -> CloneMethod:
    """Give `target`, which must not exist, the bytes of `source`; say how. The caller syncs the folder.

    Args:
        source: A regular file; a symlink is not followed.
        target: What to make; nothing is left of it after an error.
        may_link: Whether a second name of a read-only file will do: then both must belong to one cache, which never
            writes to a committed file. Never with a file of another tool, which may write to it later.
        on_bytes: Called with the number of bytes just copied; may raise to end the copying.
        disk: What `target` lies on.

    Raises:
        OSError: `source` cannot be read or is no regular file, or `target` cannot be written.
    """
    descriptor = os.open(source, READ_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(source))
        if not may_link or status.st_mode & 0o222:
            return clone_open(descriptor, target, on_bytes=on_bytes, disk=disk)
        if _shares_blocks(descriptor, target, disk):
            on_bytes(status.st_size)
            return "reflink"
        try:
            disk.link(source, target)
        except OSError:  # no hard links here, or too many of this file, or the name is taken, which copying tells
            return clone_open(descriptor, target, on_bytes=on_bytes, disk=disk)
        on_bytes(status.st_size)
        return "link"
    finally:
        os.close(descriptor)


def clone_open(
    descriptor: int,
    target: Path,
    *,
    on_bytes: Callable[[int], None] = lambda _: None,
    disk: Disk = LOCAL,
) -> CloneMethod:
    """Like `clone`, for a file that was opened already, as those of other tools are; never a second name."""
    size = os.fstat(descriptor).st_size
    if _shares_blocks(descriptor, target, disk):
        on_bytes(size)
        return "reflink"
    made = disk.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with _deleted_on_error(target, disk):
        try:
            _copy(descriptor, made, size, on_bytes=on_bytes, disk=disk)
            disk.fsync(made)
        finally:
            disk.close(made)
    return "copy"


def _shares_blocks(source: int, target: Path, disk: Disk) -> bool:
    """Return whether `target` was made of the blocks of `source`; if not, it is not there."""
    if os.name == "nt" or not _is_the_system_s(disk):
        return False
    import fcntl

    made = disk.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with contextlib.suppress(OSError), _deleted_on_error(target, disk):  # most file systems cannot, nor can macOS
        try:
            fcntl.ioctl(made, FICLONE, source)
            disk.fsync(made)
        finally:
            disk.close(made)
        return True
    return False


def _is_the_system_s(disk: Disk) -> bool:
    """Return whether the system may write past `disk`; one that is played has to see every byte."""
    return type(disk) is LocalDisk


@contextlib.contextmanager
def _deleted_on_error(target: Path, disk: Disk) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(target)
        raise


def _copy(source: int, target: int, size: int, *, on_bytes: Callable[[int], None], disk: Disk) -> None:
    is_kernel_able = _is_the_system_s(disk) and hasattr(os, "copy_file_range")
    offset = 0
    while offset < size:
        count = _copied_by_kernel(source, target, offset, min(COPY_BYTES, size - offset)) if is_kernel_able else 0
        if not count:
            is_kernel_able = False
            data = LOCAL.read_at(source, min(COPY_BYTES, size - offset), offset)
            if not data:
                raise OSError(errno.EIO, "cut while it was copied")
            disk.write_at(target, memoryview(data), offset)
            count = len(data)
        offset += count
        on_bytes(count)


def _copied_by_kernel(source: int, target: int, offset: int, count: int) -> int:
    """Return how much the kernel, or the server of a network mount, has copied; 0 if it cannot."""
    try:
        return os.copy_file_range(source, target, count, offset, offset)
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise
