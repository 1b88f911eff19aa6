"""Disks that lack something, fail or lie, for tests; each is a `Disk` that passes on to the real one what it allows."""
# ruff: noqa: ARG002 - what is refused is refused whatever the arguments are

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import LOCAL, LocalDisk

if TYPE_CHECKING:
    from pathlib import Path


def refusal(code: int, path: Path | None = None) -> OSError:
    return OSError(code, os.strerror(code), str(path)) if path else OSError(code, os.strerror(code))


class PlayedDisk:
    """Passes everything on. Those below override what they lack."""

    def free_bytes(self, folder: Path) -> int | None:
        return LOCAL.free_bytes(folder)

    def can_hold(self, folder: Path, size: int) -> bool:
        return LOCAL.can_hold(folder, size)

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        return LOCAL.open(path, flags, mode)

    def close(self, descriptor: int) -> None:
        LOCAL.close(descriptor)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        LOCAL.write_at(descriptor, data, offset)

    def append(self, descriptor: int, data: bytes) -> None:
        LOCAL.append(descriptor, data)

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        return LOCAL.read_at(descriptor, length, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        LOCAL.truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        LOCAL.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        LOCAL.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        LOCAL.link(source, target)

    def unlink(self, path: Path) -> None:
        LOCAL.unlink(path)

    def make_folder(self, path: Path) -> None:
        LOCAL.make_folder(path)

    def remove_folder(self, path: Path) -> None:
        LOCAL.remove_folder(path)

    def chmod(self, path: Path, mode: int) -> None:
        LOCAL.chmod(path, mode)

    def fsync_folder(self, folder: Path) -> None:
        LOCAL.fsync_folder(folder)


# What some volumes lack


class BareDisk(PlayedDisk):
    """An object store behind FUSE: no hard links, no renaming of folders, no permissions."""

    def link(self, source: Path, target: Path) -> None:
        raise refusal(errno.ENOTSUP, source)

    def replace(self, source: Path, target: Path) -> None:
        if source.is_dir() and not source.is_symlink():
            raise refusal(errno.ENOTSUP, source)
        super().replace(source, target)

    def chmod(self, path: Path, mode: int) -> None:
        raise refusal(errno.EPERM, path)


class CopyingDisk(BareDisk):
    """Renames by copying and deleting, so that several who rename one file all succeed."""

    def replace(self, source: Path, target: Path) -> None:
        if not source.is_file():
            raise refusal(errno.ENOENT, source)
        half = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.copy")
        shutil.copyfile(source, half)
        half.replace(target)
        source.unlink(missing_ok=True)


class LyingDisk(CopyingDisk):
    """Exclusive creation, which locks rest on, always succeeds."""

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        return super().open(path, flags & ~os.O_EXCL, mode)

    def make_folder(self, path: Path) -> None:
        path.mkdir(exist_ok=True, parents=False)


class ForgetfulDisk(LocalDisk):
    """NFS whose answers get lost: the system repeats a rename that was done, and finds nothing; every other time."""

    def __init__(self) -> None:
        super().__init__()
        self.renames = 0

    def _rename(self, source: Path, target: Path) -> None:
        super()._rename(source, target)
        self.renames += 1
        if self.renames % 2 == 0:
            raise refusal(errno.ENOENT, source)


class PartedDisk(LocalDisk):
    """Each folder is a volume of its own: nothing is renamed or linked from one to another."""

    def link(self, source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise refusal(errno.EXDEV, source)
        super().link(source, target)

    def _rename(self, source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise refusal(errno.EXDEV, source)
        super()._rename(source, target)


class SilentDisk(PlayedDisk):
    """Does not tell how much is free."""

    def free_bytes(self, folder: Path) -> int | None:
        return None


class SmallFilesDisk(PlayedDisk):
    """Holds no file of more than so many bytes, as FAT32 does, only fewer."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def can_hold(self, folder: Path, size: int) -> bool:
        return size <= self.limit

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        if offset + len(data) > self.limit:
            raise refusal(errno.EFBIG)
        super().write_at(descriptor, data, offset)


class SequentialDisk(PlayedDisk):
    """A mount of an object store that takes a file from front to back only."""

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        if offset != os.fstat(descriptor).st_size:
            raise refusal(errno.ENOTSUP)
        super().write_at(descriptor, data, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        raise refusal(errno.ENOTSUP)


# What fails


class ReadOnlyDisk(PlayedDisk):
    """Can only be read."""

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise refusal(errno.EROFS, path)
        return super().open(path, flags, mode)

    def replace(self, source: Path, target: Path) -> None:
        raise refusal(errno.EROFS, source)

    def link(self, source: Path, target: Path) -> None:
        raise refusal(errno.EROFS, source)

    def unlink(self, path: Path) -> None:
        raise refusal(errno.EROFS, path)

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            raise refusal(errno.EROFS, path)
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        raise refusal(errno.EROFS, path)

    def chmod(self, path: Path, mode: int) -> None:
        raise refusal(errno.EROFS, path)


class FullDisk(PlayedDisk):
    """Takes so many bytes and no more, and says that there is room, as a volume does whose quota nobody can ask for."""

    def __init__(self, room: int, code: int = errno.ENOSPC, *, block: int = 1) -> None:
        """Args: bytes, what is said then, and of how many bytes a block is, which no two files share."""
        self.room = room
        self.code = code
        self.block = block
        self._lock = threading.Lock()

    def free_bytes(self, folder: Path) -> int:
        return 1 << 40

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        taken = self._take(len(data))
        super().write_at(descriptor, data[:taken], offset)
        if taken < len(data):
            raise refusal(self.code)

    def append(self, descriptor: int, data: bytes) -> None:
        there = -os.fstat(descriptor).st_size % self.block
        blocks = -(-max(0, len(data) - there) // self.block)
        taken = min(len(data), there + self._take(blocks * self.block) // self.block * self.block)
        super().append(descriptor, data[:taken])
        if taken < len(data):
            raise refusal(self.code)

    def _take(self, count: int) -> int:
        with self._lock:
            taken = min(count, self.room)
            self.room -= taken
            return taken


class FailingDisk(PlayedDisk):
    """Fails one kind of operation from its nth time on, or only then."""

    def __init__(self, operation: str, nth: int = 1, code: int = errno.EIO, *, is_once: bool = False) -> None:
        self.operation = operation
        self.nth = nth
        self.code = code
        self.is_once = is_once
        self.count = 0
        self._lock = threading.Lock()

    def _may_fail(self, operation: str, path: Path | None = None) -> None:
        if operation != self.operation:
            return
        with self._lock:
            self.count += 1
            fails = self.count == self.nth or (self.count > self.nth and not self.is_once)
        if fails:
            raise refusal(self.code, path)

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        self._may_fail("open", path)
        if flags & os.O_CREAT and not path.exists():
            self._may_fail("create", path)
        return super().open(path, flags, mode)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        self._may_fail("write_at")
        super().write_at(descriptor, data, offset)

    def append(self, descriptor: int, data: bytes) -> None:
        self._may_fail("append")
        super().append(descriptor, data)

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        self._may_fail("read_at")
        return super().read_at(descriptor, length, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self._may_fail("truncate")
        super().truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        self._may_fail("fsync")
        super().fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._may_fail("replace", source)
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._may_fail("unlink", path)
        super().unlink(path)

    def make_folder(self, path: Path) -> None:
        self._may_fail("make_folder", path)
        super().make_folder(path)

    def chmod(self, path: Path, mode: int) -> None:
        self._may_fail("chmod", path)
        super().chmod(path, mode)

    def fsync_folder(self, folder: Path) -> None:
        self._may_fail("fsync_folder", folder)
        super().fsync_folder(folder)


class KillingDisk(FailingDisk):
    """Kills the process at the nth operation of a kind ("" for any) on a file or folder whose name holds `name`."""

    def __init__(self, nth: int, operation: str = "", name: str = "") -> None:
        super().__init__(operation, nth)
        self.name = name

    def _may_fail(self, operation: str, path: Path | None = None) -> None:
        if self.operation not in {"", operation} or self.name not in (path.name if path else ""):
            return
        with self._lock:
            self.count += 1
            if self.count == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)


class ByteKillingDisk(PlayedDisk):
    """Kills the process when more than so many bytes are to be written into files, however large the writes are."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        with self._lock:
            self._left -= len(data)
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        super().write_at(descriptor, data, offset)


class RecordingDisk(PlayedDisk):
    """Notes what is done, in order, as `(operation, path)`."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Path]] = []
        self._paths: dict[int, Path] = {}

    def _note(self, operation: str, path: Path) -> None:
        self.done.append((operation, path))

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        descriptor = super().open(path, flags, mode)
        self._paths[descriptor] = path
        return descriptor

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        super().write_at(descriptor, data, offset)
        self._note("write", self._paths[descriptor])

    def fsync(self, descriptor: int) -> None:
        super().fsync(descriptor)
        self._note("fsync", self._paths[descriptor])

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self._note("replace", target)
        for descriptor, path in self._paths.items():
            if path == source:
                self._paths[descriptor] = target

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._note("unlink", path)

    def chmod(self, path: Path, mode: int) -> None:
        super().chmod(path, mode)
        self._note("chmod", path)

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._note("make_folder", path)

    def fsync_folder(self, folder: Path) -> None:
        super().fsync_folder(folder)
        self._note("fsync_folder", folder)
