"""What a mount can do. Those of object stores are no disks: a file is there once it is closed, and is never added to.

The standard library alone: a job's supervisor asks, too, and starts without packages.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_OBJECT_STORES: Final = re.compile(r"ossfs|jindo|s3|gcsfuse|goofys|geesefs|rclone|blobfuse|cosfs|obsfs|tosfs")
"""In the type of a FUSE mount, or in its source where the type does not say.

Some of them add to a file by writing all of it anew when it is closed.
"""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What a full volume or a used-up quota answers; also one that has room and no inodes left."""


def can_append(folder: Path) -> bool:
    """Return whether a file in `folder`, which is there, can be added to, and others see that while it is open.

    It is tried, but for mounts that are known: what others see cannot be tried from here.
    """
    return not is_object_store(folder) and _appends(folder)


def is_like_a_disk(folder: Path) -> bool:
    """Return whether libraries can write to `folder`, which is there: at any place of a file, and then rename it."""
    first, second = (folder / f".{os.urandom(8).hex()}.tmp" for _ in range(2))
    try:
        descriptor = os.open(first, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(descriptor, 2)
            os.lseek(descriptor, 1, os.SEEK_SET)
            os.write(descriptor, b"2")
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, b"1")
        finally:
            os.close(descriptor)
        first.replace(second)
        return second.read_bytes() == b"12"
    except OSError as error:
        return error.errno in FULL
    finally:
        for path in (first, second):
            with contextlib.suppress(OSError):
                path.unlink()


def is_object_store(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether `folder` lies on a mount that is known to be of an object store; False where nobody can tell."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:  # only Linux has it
        return False
    kind, source = mount_of(os.path.realpath(folder), lines)
    told = source if kind == "fuse" else kind  # a source may be any name that its owner has chosen
    return kind.startswith("fuse") and bool(_OBJECT_STORES.search(told.lower()))


def mount_of(path: str, lines: list[bytes]) -> tuple[str, str]:
    r"""Return type and source of the mount that an absolute path lies on, by the lines of ``mountinfo``.

    >>> root, oss = b"1 0 8:1 / / rw - ext4 /dev/sda rw", rb"2 1 0:9 / /mnt/my\040oss rw - fuse.ossfs ossfs rw"
    >>> mount_of("/mnt/my oss/run", [root, oss]), mount_of("/mnt/my ossify", [root, oss])
    (('fuse.ossfs', 'ossfs'), ('ext4', '/dev/sda'))
    """
    found, deepest = ("", ""), -1
    for line in lines:
        before, _, behind = line.partition(b" - ")
        words, told = before.split(b" "), behind.split(b" ")
        if len(words) < 5 or len(told) < 2:
            continue
        point = os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), words[4]))
        is_on_it = path == point or path.startswith(point.rstrip("/") + "/")
        if is_on_it and len(point) >= deepest:  # of several at one place the last hides the others
            found, deepest = (os.fsdecode(told[0]), os.fsdecode(told[1])), len(point)
    return found


def is_allowed(size: int) -> bool:
    """Return whether this process may write a file of that size (``ulimit -f``)."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return True
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return limit == resource.RLIM_INFINITY or size <= limit


def can_seek(folder: Path, size: int) -> bool:
    """Return whether a volume knows places that far behind in a file; nothing is written to tell."""
    probe = folder / f".{os.urandom(8).hex()}.tmp"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:  # what is wrong, writing will tell
        return True
    try:
        os.lseek(descriptor, size, os.SEEK_SET)
    except OSError as error:
        return error.errno not in {errno.EINVAL, errno.EFBIG, errno.EOVERFLOW}
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            probe.unlink()
    return True


def _appends(folder: Path) -> bool:
    """Try to add to a file that is closed. Where not even one can be written, what is wrong is found out elsewhere."""
    trial = folder / f".{os.urandom(8).hex()}.tmp"
    try:
        _add(trial, b"1")
    except OSError:
        return True
    try:
        _add(trial, b"2")
        return trial.read_bytes() == b"12"
    except OSError as error:
        return error.errno in FULL
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()


def _add(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
