"""Everything that writes to a disk, behind a Protocol; and the one way in which small files are written.

A cache lies on whatever people mount: NFS, Lustre, object stores behind FUSE. Some of them have no hard links, no
symlinks, no `chmod`, no `fsync`, or locks that lie. So the code asks for as little as it can, and a test can play a
disk that lacks or fails something (`tests/played_disks.py`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from qwen3ft_jupyter.mounts import can_seek, is_allowed
from qwen3ft_jupyter.paths import is_folder, is_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""What a file system answers that lacks a call."""

NO_RENAME: Final = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system answers that renames no file, as mounts of some object stores do."""

_OPEN_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
READ_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _OPEN_FLAGS
"""To read what others may have put there: a symlink is refused, and a pipe does not block."""


SMALLEST_LIMIT: Final = 1 << 31
"""No volume that anyone uses limits files to less: FAT32, the last, to one byte less than 4 GiB."""


class Disk(Protocol):
    """What the cache asks of the volume it writes to. Every method raises OSError as the system does."""

    def free_bytes(self, folder: Path) -> int | None:
        """Return how many bytes this user may still write on the volume of `folder`; None if it does not tell."""

    def can_hold(self, folder: Path, size: int) -> bool:
        """Return whether a file of `size` bytes can lie in `folder`, room aside; True where nobody can tell."""

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        """Return a descriptor of `path`, opened with the `flags` of `os.open`; a symlink is not followed."""

    def close(self, descriptor: int) -> None:
        """Close what `open` returned."""

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of a file that was opened with ``O_APPEND``."""

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset`."""

    def truncate(self, descriptor: int, size: int) -> None:
        """Make the file `size` bytes long; what is added reads as zeros."""

    def fsync(self, descriptor: int) -> None:
        """Make what was written survive a power cut, where the volume can."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file, replacing one that has the name already, also a read-only one."""

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""

    def unlink(self, path: Path) -> None:
        """Delete a file, also a read-only one. Raises FileNotFoundError if there is none."""

    def make_folder(self, path: Path) -> None:
        """Make one folder. Raises FileExistsError if there is something of that name."""

    def remove_folder(self, path: Path) -> None:
        """Delete an empty folder."""

    def chmod(self, path: Path, mode: int) -> None:
        """Set the permissions of a file or folder."""

    def fsync_folder(self, folder: Path) -> None:
        """Make what was named, renamed and deleted in `folder` survive a power cut, where the platform can."""


class LocalDisk:
    """The disk as the operating system gives it."""

    def __init__(self) -> None:
        self._seek = threading.Lock()
        self._rename_nothing: set[int] = set()
        """Volumes that were found to."""

    def free_bytes(self, folder: Path) -> int | None:
        """Return how many bytes this user may still write on the volume of `folder`; None if it does not tell."""
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # some FUSE mounts cannot say
            return None
        return usage.free if usage.total else None  # and some say that they have no blocks at all

    def can_hold(self, folder: Path, size: int) -> bool:
        """Return whether a file of `size` bytes can lie in `folder`, room aside; True where nobody can tell."""
        return is_allowed(size) and (size < SMALLEST_LIMIT or can_seek(folder, size))

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        """Return a descriptor of `path`; a symlink is not followed."""
        return os.open(path, flags | _OPEN_FLAGS, mode)

    def close(self, descriptor: int) -> None:
        """Close what `open` returned."""
        os.close(descriptor)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; never relies on the file's own position, which threads share."""
        while data:
            written = self._write_some(descriptor, data, offset)
            data = data[written:]
            offset += written

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of a file that was opened with ``O_APPEND``."""
        while data:
            data = data[os.write(descriptor, data) :]

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        if hasattr(os, "pread"):
            return os.pread(descriptor, length, offset)
        with self._seek:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)

    def truncate(self, descriptor: int, size: int) -> None:
        """Make the file `size` bytes long; what is added reads as zeros."""
        os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        """Make what was written survive a power cut, where the volume can."""
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in UNSUPPORTED:  # some FUSE mounts have no fsync
                raise

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file, replacing one that has the name already, also a read-only one.

        A network file system whose server's answer got lost asks again, and is told that there is no such file: then
        the rename was done. Where no file can be renamed, it is written over: see `_write_over`.
        """
        _make_writable_on_windows(target)
        before = source.lstat()
        try:
            self._rename(source, target)
        except FileNotFoundError:
            if not _is_file_at(target, before):
                raise
        except OSError as error:
            if error.errno not in {errno.EXDEV, *NO_RENAME} or not stat.S_ISREG(before.st_mode):
                raise
            volume = target.parent.stat().st_dev
            if error.errno in NO_RENAME:
                self._rename_nothing.add(volume)
            if volume in self._rename_nothing:
                self._write_over(source, target)
            else:
                self._carry_over(source, target, before.st_mode)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Delete a file, also a read-only one."""
        _make_writable_on_windows(path)
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir()

    def remove_folder(self, path: Path) -> None:
        """Delete an empty folder."""
        path.rmdir()

    def chmod(self, path: Path, mode: int) -> None:
        """Set the permissions of a file or folder."""
        path.chmod(mode)

    def fsync_folder(self, folder: Path) -> None:
        """Make what was named, renamed and deleted in `folder` survive a power cut, where the platform can."""
        if os.name == "nt":  # Windows cannot open a folder
            return
        with contextlib.suppress(OSError):  # some FUSE mounts refuse fsync on folders; the rename has happened
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _carry_over(self, source: Path, target: Path, mode: int) -> None:
        """Bring a file to its name on another volume, where half of it never has that name."""
        half = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            shutil.copyfile(source, half, follow_symlinks=False)
            self._keep_rights(half, mode)
            with half.open("rb") as file:
                self.fsync(file.fileno())
            self.replace(half, target)
        except BaseException:
            with contextlib.suppress(OSError):
                half.unlink()
            raise
        self.unlink(source)

    def _keep_rights(self, path: Path, mode: int) -> None:
        try:
            path.chmod(stat.S_IMODE(mode))
        except OSError as error:
            if error.errno not in {*UNSUPPORTED, errno.EPERM}:  # a mount without permissions
                raise

    def _write_over(self, source: Path, target: Path) -> None:
        """Give a file its name by copying it, where no file can be renamed.

        Object stores show the new bytes when the file is closed, and the old ones until then; a kill meanwhile may tear
        it. What has to survive that is named anew instead (see `segments`), or is told whole by what is written last.
        """
        if is_link(target):
            self.unlink(target)
        with source.open("rb") as file:
            descriptor = self.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                while block := file.read(READ_BYTES):
                    self.append(descriptor, block)
                self.fsync(descriptor)
            finally:
                self.close(descriptor)
        self.unlink(source)

    def _rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def _write_some(self, descriptor: int, data: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(descriptor, data, offset)
        with self._seek:  # Windows has no pwrite
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)


LOCAL: Final[Disk] = LocalDisk()
"""The disk that is meant when nobody names one."""


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, disk: Disk = LOCAL) -> None:
    """Replace `path` by `data` so that a reader, a crash or a power cut sees the old bytes or the new, never a mixture.

    Raises OSError; the temporary file is gone then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            disk.write_at(descriptor, memoryview(data), 0)
            disk.fsync(descriptor)
        finally:
            disk.close(descriptor)
        disk.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    disk.fsync_folder(path.parent)


def write_json(path: Path, value: object, *, mode: int = 0o644, disk: Disk = LOCAL) -> None:
    """Write `value` as JSON with `write_atomic`; a path in it that is not UTF-8 comes back as it was."""
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    write_atomic(path, text.encode(errors="backslashreplace"), mode=mode, disk=disk)


def read_json(path: Path) -> Any:
    """Return the JSON in `path`, which the caller validates. Raises OSError, or ValueError if it is not JSON."""
    return json.loads(path.read_bytes())


def read_regular(path: Path | str, limit_bytes: int) -> bytes:
    """Return the bytes of a file in a folder that others can write to; a planted symlink, pipe or device is refused.

    Raises OSError, also for a file of more than `limit_bytes`.
    """
    descriptor = os.open(path, READ_FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


def append(path: Path, data: bytes, *, disk: Disk = LOCAL) -> None:
    """Write `data` at the end of a file that is there. Raises OSError."""
    descriptor = disk.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        disk.append(descriptor, data)
    finally:
        disk.close(descriptor)


def age_s(path: Path, *, disk: Disk = LOCAL) -> float:
    """Return how long ago a file was written, by the clock of its volume: a server's may differ from ours.

    Raises OSError, also where no file can be made beside it.
    """
    written = path.lstat().st_mtime
    probe = path.with_name(f"{secrets.token_hex(8)}.now")
    disk.close(disk.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        return probe.lstat().st_mtime - written
    finally:
        disk.unlink(probe)


def make_folders(path: Path, *, disk: Disk = LOCAL) -> None:
    """Make a folder and those above it that are missing, so that they survive a power cut. Raises OSError."""
    try:
        disk.make_folder(path)
    except FileExistsError:
        if not is_folder(path):
            raise
        return
    except FileNotFoundError:
        if path.parent == path:
            raise
        make_folders(path.parent, disk=disk)
        with contextlib.suppress(FileExistsError):  # another process was faster
            disk.make_folder(path)
    disk.fsync_folder(path.parent)


def make_own_folder(path: Path, *, disk: Disk = LOCAL) -> None:
    """Make a folder that is ours alone unless it is there; a symlink planted in its place goes. Raises OSError."""
    if is_link(path):
        disk.unlink(path)
    make_folders(path, disk=disk)


def fsync_folder(folder: Path) -> None:
    """Make what was renamed in `folder` survive a power cut, where the platform can."""
    LOCAL.fsync_folder(folder)


def _is_file_at(path: Path, status: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        found = path.lstat()
        return (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
    return False


def _make_writable_on_windows(path: Path) -> None:
    if os.name == "nt":  # which replaces and deletes no read-only file
        with contextlib.suppress(OSError):
            path.chmod(stat.S_IWRITE)


READ_BYTES: Final = 1 << 20


def read_blocks(descriptor: int, start: int, end: int, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the bytes of an open file from `start` to `end`, or to its end if that comes first.

    Args:
        descriptor: The file.
        start: Where to begin.
        end: Where to end; may lie behind the end of the file.
        on_bytes: Is told of each block after it was used, and may raise to end the reading.

    Raises:
        OSError: The file cannot be read.
    """
    while start < end and (data := LOCAL.read_at(descriptor, min(READ_BYTES, end - start), start)):
        start += len(data)
        yield data
        on_bytes(len(data))
