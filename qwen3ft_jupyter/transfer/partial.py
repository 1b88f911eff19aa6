"""A file on its way: one data file written in place at offsets, and the journal that says which ranges are there.

Both lie in the incoming folder of their model::

    <key>.<nonce>.part       the bytes; as long as the finished file from the start, with holes
    <key>.<nonce>.journal    names the object, its data file and its owner; see `journal`

The journal is the handle: whoever renames it to a nonce of his own owns the pair, so two writers never share a file,
and no lock is needed. Bytes are written before the journal tells of them, so a kill loses only what no line names yet.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import stat
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import WrongBytes
from qwen3ft_jupyter.transfer.journal import (
    MAX_JOURNAL_BYTES,
    Journal,
    Record,
    forget_line,
    header_line,
    owner_line,
    parse_journal,
    record_line,
    released_line,
)
from qwen3ft_jupyter.transfer.owner import Owner
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import Sha256
    from qwen3ft_jupyter.transfer.volume import Disk

logger = logging.getLogger(__name__)

QUIET_OWNER_S = 120.0
"""After this long without a line, the owner on another machine, whose life nobody here can ask for, counts as gone."""

ORPHAN_S = 3600.0
"""A data file that no journal names is garbage once it is this old; a younger one may belong to a claim under way."""

CHECK_BYTES: Final = 1 << 20
"""How much is read at a time when ranges are compared with their CRC."""

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Partial:
    """The partial of one object, owned by this process. Opened at the first write; safe to use from several threads."""

    def __init__(self, folder: Path, journal_path: Path, journal: Journal, disk: Disk, name: str) -> None:
        self.key = journal.key
        self.size = journal.size
        self.name = name
        """What to call the file in front of a person."""
        self.path = folder / journal.data_name
        self.journal_path = journal_path
        self._journal = journal
        self._disk = disk
        self._descriptor = -1
        self._journal_descriptor = -1
        self._lock = threading.Lock()
        self._users = 0
        self._is_closed = False
        self._is_to_be_released = False

    @property
    def records(self) -> Sequence[Record]:
        """Return the ranges the journal tells of, oldest first."""
        return tuple(self._journal.records)

    @property
    def done_bytes(self) -> int:
        """Return how many bytes the journal tells of."""
        return self._journal.done().total

    def open(self) -> None:
        """Open both files and preallocate. Raises NoSpace, CacheNotWritable or TransferError.

        Preallocation is a sparse `ftruncate`: `posix_fallocate` would reserve the room, but where the file system
        cannot, the C library writes to each block instead, which takes minutes on a network mount.
        """
        with self._lock, self._translated():
            if self._is_closed:
                raise OSError(errno.EBADF, "the partial was closed")
            if self._descriptor >= 0:
                return
            self._journal_descriptor = os.open(self.journal_path, os.O_RDWR | os.O_APPEND | _FLAGS)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
            if os.fstat(self._descriptor).st_size != self.size:
                os.ftruncate(self._descriptor, self.size)

    def close(self, *, release: bool) -> None:
        """Close both files; with `release`, say in the journal that anyone may go on. Never raises, never waits.

        While other threads have calls under way, on a disk that hangs, the last of them does it: the number of a
        closed descriptor is soon another file's, and whoever goes on must be the only one who writes.
        """
        with self._lock:
            self._is_closed = True
            self._is_to_be_released |= release
            if not self._users:
                self._finish()

    def _finish(self) -> None:
        descriptors = (self._journal_descriptor, self._descriptor)
        self._descriptor = self._journal_descriptor = -1
        if self._is_to_be_released:
            self._is_to_be_released = False
            with contextlib.suppress(OSError):  # then it is free when this process ends
                _append(self.journal_path, released_line())
        for descriptor in descriptors:
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def write(self, data: memoryview, offset: int) -> None:
        """Write `data` at `offset`. Raises NoSpace, CacheNotWritable or TransferError."""
        with self._data() as descriptor:
            self._disk.write_at(descriptor, data, offset)

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`. Raises TransferError."""
        with self._data() as descriptor:
            return self._disk.read_at(descriptor, length, offset)

    def record(self, start: int, end: int, crc: int) -> None:
        """Note that the bytes from `start` to `end` were written. Raises like `write`."""
        record = Record(start, end, crc)
        with self._lock, self._translated():
            self._journal.records.append(record)
            os.write(self._journal_descriptor, record_line(record))

    def forget(self, start: int, end: int) -> None:
        """Note that the bytes from `start` to `end` have to be fetched again. Raises like `write`."""
        with self._lock, self._translated():
            self._journal.records = [r for r in self._journal.records if r.end <= start or r.start >= end]
            os.write(self._journal_descriptor, forget_line(start, end))

    def wrong_records(self) -> Iterator[Record]:
        """Re-read every range from the disk and yield those that no longer have the CRC they arrived with."""
        for record in self.records:
            crc = 0
            for offset in range(record.start, record.end, CHECK_BYTES):
                crc = zlib.crc32(self.read(min(CHECK_BYTES, record.end - offset), offset), crc)
            if crc != record.crc:
                yield record

    def sync(self) -> None:
        """Make the data survive a power cut. Raises like `write`."""
        with self._data() as descriptor:
            self._disk.fsync(descriptor)

    def discard(self) -> None:
        """Close and delete both files. Never raises: what cannot be deleted is found as an orphan later."""
        self.close(release=False)
        for path in (self.path, self.journal_path):  # data first: a journal without data is a fresh start
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def _data(self) -> Iterator[int]:
        """Lend the data file's descriptor, which stays open until it is given back."""
        with self._lock:
            descriptor = -1 if self._is_closed else self._descriptor
            self._users += 1
        try:
            with self._translated():
                if descriptor < 0:
                    raise OSError(errno.EBADF, "the partial was closed")
                yield descriptor
        finally:
            with self._lock:
                self._users -= 1
                if self._is_closed and not self._users:
                    self._finish()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_error(error, self.name) from error


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A whole file with the right digest, not yet at its place."""

    file: RemoteFile
    sha256: Sha256
    partial: Partial
    bytes_fetched: int
    """What travelled for it this time; the rest was there."""

    @property
    def path(self) -> Path:
        """Return where the verified bytes lie."""
        return self.partial.path

    def move_to(self, target: Path) -> None:
        """Rename the file to `target`, on the same volume, and make it read-only. The caller syncs the folder.

        Raises:
            WrongBytes: The file was cut or replaced since it was verified.
            NoSpace, CacheNotWritable, TransferError: The disk refused.
        """
        try:
            status = self.path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.file.size:
                raise WrongBytes(f"{self.file.path}: changed on this disk before it came to its place.")
            if os.name == "nt" and target.exists():
                target.chmod(stat.S_IWRITE)  # Windows replaces no read-only file
            os.replace(self.path, target)
            target.chmod(stat.S_IMODE(status.st_mode) & ~0o222)
        except OSError as error:
            raise disk_error(error, self.file.path) from error
        with contextlib.suppress(OSError):
            self.partial.journal_path.unlink()

    def release(self) -> None:
        """Leave the file for a later attempt, by any process."""
        self.partial.close(release=True)


def claim(folder: Path, key: str, size: int, *, disk: Disk, name: str) -> Partial:
    """Return a partial of the object `key` that belongs to this process alone.

    The fullest one left behind by a process that ended is taken over; others of the same key are deleted; one whose
    owner lives is left alone, and a new one is begun. Journals that are not of this key and size are discarded.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The folder cannot be written.
    """
    best: tuple[Path, Journal] | None = None
    for path in sorted(folder.glob(f"{key}.*.journal")):
        found = _take_over(path, key, size)
        if found is None:
            continue
        if best is None or found[1].done().total > best[1].done().total:
            best, found = found, best
        if found is not None:
            _delete(folder, *found)
    if best is None:
        best = _begin(folder, key, size, name)
    return Partial(folder, best[0], best[1], disk, name)


def clear_orphans(folder: Path) -> None:
    """Delete data files in `folder` that no journal names, if they are old enough not to be part of a claim."""
    parts = list(folder.glob("*.part"))
    named = {journal.data_name for path in folder.glob("*.journal") if (journal := _read(path)) is not None}
    for path in parts:
        with contextlib.suppress(OSError):
            if path.name not in named and time.time() - path.lstat().st_mtime > ORPHAN_S:
                logger.info("deleting the orphaned partial %s", path.name)
                path.unlink()


def clear_partials(folder: Path) -> int:
    """Delete every partial in `folder` that no living process owns; return the bytes they took."""
    freed = 0
    for path in sorted(folder.glob("*.journal")):
        journal = _read(path)
        with contextlib.suppress(OSError):
            if journal is not None and _has_living_owner(journal, path):
                continue
            own = path.with_name(f"{secrets.token_hex(8)}.journal")
            path.rename(own)  # one process wins
            if journal is not None:
                freed += min(journal.done().total, journal.size)
                (folder / journal.data_name).unlink(missing_ok=True)
            own.unlink()
    clear_orphans(folder)
    return freed


def _begin(folder: Path, key: str, size: int, name: str) -> tuple[Path, Journal]:
    stem = f"{key}.{secrets.token_hex(8)}"
    journal = Journal(key, size, f"{stem}.part", owner=Owner.current())
    path = folder / f"{stem}.journal"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
        try:
            os.write(descriptor, header_line(key, size, journal.data_name) + owner_line(Owner.current()))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise disk_error(error, name) from error
    return path, journal


def _take_over(path: Path, key: str, size: int) -> tuple[Path, Journal] | None:
    """Return the journal at `path` under a name of our own, or None if it is someone's or no use."""
    journal = _read(path)
    try:
        if journal is not None and _has_living_owner(journal, path):
            return None
        own = path.with_name(f"{key}.{secrets.token_hex(8)}.journal")
        path.rename(own)  # one process wins; the others find nothing there
        journal = _read(own)
        if journal is None or not _is_about(journal, key, size):
            logger.info("discarding %s: it is not about this object", path.name)
            own.unlink()
            return None
        _append(own, b"\n" + owner_line(Owner.current()))  # a torn last line ends here
        _drop_unbacked(journal, own.parent)
    except OSError:
        return None
    return own, journal


def _is_about(journal: Journal, key: str, size: int) -> bool:
    return (journal.key, journal.size) == (key, size) and journal.data_name.startswith(f"{key}.")


def _has_living_owner(journal: Journal, path: Path) -> bool:
    owner = journal.owner
    if journal.is_released or owner is None or owner.is_surely_dead:
        return False
    return owner.is_surely_alive or time.time() - path.stat().st_mtime < QUIET_OWNER_S


def _drop_unbacked(journal: Journal, folder: Path) -> None:
    """Forget all ranges unless the data file is there, a regular file, and as long as the finished one."""
    data = folder / journal.data_name
    with contextlib.suppress(FileNotFoundError):
        status = data.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size == journal.size:
            return
        data.unlink()  # planted, or cut: never written through
    journal.records = []


def _delete(folder: Path, path: Path, journal: Journal) -> None:
    for leftover in (folder / journal.data_name, path):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _FLAGS)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Journal | None:
    try:
        with path.open("rb") as file:
            return parse_journal(file.read(MAX_JOURNAL_BYTES))
    except OSError:
        return None
