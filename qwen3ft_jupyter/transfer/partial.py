"""A file on its way: one data file written in place at offsets, and the journal that says which ranges are there.

Both lie in the incoming folder of their model::

    <key>.<nonce>.part       the bytes; as long as the finished file from the start, with holes
    <key>.<nonce>.journal    names the object, its data file and its owner; see `journal`

Two writers never share a file, and no lock is needed: whoever goes on with what another left begins a journal of his
own and renames the data to the name that it gives. Of several who try, the rename succeeds for one; on a volume that
copies instead of renaming, each has a copy of his own. Bytes are written before the journal tells of them, so a kill
loses only what no line names yet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32

from qwen3ft_jupyter.disk import LOCAL, append, make_folders
from qwen3ft_jupyter.errors import Qwen3ftError, TransferError, WrongBytes
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import matching
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.transfer.journal import (
    Journal,
    Record,
    clear_orphans,
    delete,
    forget_line,
    has_living_owner,
    header_line,
    held,
    is_backed,
    journals_by_key,
    left_behind,
    owner_line,
    read_journal,
    record_line,
    released_line,
)
from qwen3ft_jupyter.transfer.pieces import spans_of
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import Sha256

CHECK_BYTES: Final = 1 << 20
"""How much is read at a time when ranges are compared with their CRC."""


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
        self._syncing = threading.Lock()
        self._sync_error: OSError | None = None
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
        return spans_of(self.records).total

    @property
    def is_closed(self) -> bool:
        """Return whether nothing more is to be written to it."""
        return self._is_closed

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
            if self._journal_descriptor < 0:
                self._journal_descriptor = self._disk.open(self.journal_path, os.O_RDWR | os.O_APPEND)
            descriptor = self._disk.open(self.path, os.O_RDWR | os.O_CREAT)
            try:
                if os.fstat(descriptor).st_size != self.size:
                    self._disk.truncate(descriptor, self.size)
            except BaseException:
                self._disk.close(descriptor)
                raise
            self._descriptor = descriptor

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
        try:
            if self._is_to_be_released:
                self._is_to_be_released = False
                with contextlib.suppress(OSError):  # then it is free when this process ends, and for this one at once
                    append(self.journal_path, b"\n" + released_line(), disk=self._disk)  # a torn last line ends here
        finally:  # also when a signal interrupts it
            held.discard(str(self.journal_path))
            for descriptor in descriptors:
                if descriptor >= 0:
                    with contextlib.suppress(OSError):
                        self._disk.close(descriptor)

    def write(self, data: memoryview, offset: int) -> None:
        """Write `data` at `offset`. Raises NoSpace, CacheNotWritable or TransferError."""
        with self._data() as descriptor:
            self._disk.write_at(descriptor, data, offset)

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`. Raises TransferError."""
        with self._data() as descriptor:
            return self._disk.read_at(descriptor, length, offset)

    def record(self, start: int, end: int, crc: int, source: str = "") -> None:
        """Note that the bytes from `start` to `end` were written, and whom they came from. Raises like `write`."""
        record = Record(start, end, crc, source)
        with self._lock, self._translated():
            self._journal.records.append(record)
            self._note(record_line(record))

    def forget(self, start: int, end: int) -> None:
        """Note that the bytes from `start` to `end` have to be fetched again. Raises like `write`."""
        with self._lock, self._translated():
            self._journal.forget(start, end)
            self._note(forget_line(start, end))

    def wrong_records(self) -> Iterator[Record]:
        """Re-read every range from the disk and yield those that no longer have the CRC they arrived with."""
        for record in self.records:
            crc = 0
            for offset in range(record.start, record.end, CHECK_BYTES):
                crc = crc32(self.read(min(CHECK_BYTES, record.end - offset), offset), crc)
            if crc != record.crc:
                yield record

    def sync(self) -> None:
        """Make the data survive a power cut. Raises like `write`. May be called while bytes still arrive.

        A system that could not write takes what it has in memory for written all the same: read again it looks right,
        and the next `fsync` succeeds. So all of it has to be fetched and written again.
        """
        with self._syncing, self._data() as descriptor:
            try:
                if self._sync_error is not None:
                    raise self._sync_error
                self._disk.fsync(descriptor)
            except OSError as error:
                self._sync_error = error
                with contextlib.suppress(Qwen3ftError):
                    self.forget(0, self.size)
                raise

    def discard(self) -> None:
        """Close and delete both files. Never raises: what cannot be deleted is found as an orphan later."""
        self.close(release=False)
        delete(self.path, self.journal_path, disk=self._disk)

    def _note(self, line: bytes) -> None:
        if self._journal_descriptor < 0:
            raise OSError(errno.EBADF, "the partial was closed")
        self._disk.append(self._journal_descriptor, line)

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
    shares: Mapping[str, int] = field(default_factory=dict)
    """How many of those bytes came from whom."""
    adopted_from: str = ""
    """What to call the place on this disk that the bytes were copied from."""

    @property
    def path(self) -> Path:
        """Return where the verified bytes lie."""
        return self.partial.path

    def move_to(self, target: Path, *, disk: Disk = LOCAL) -> None:
        """Rename the file to `target`, on the same volume, and make it read-only where the volume can.

        The caller syncs the folder, then calls `forget`.

        Raises:
            WrongBytes: The file was cut or replaced since it was verified.
            NoSpace, CacheNotWritable, TransferError: The disk refused, or another process took the file over.
        """
        try:
            status = self.path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.file.size:
                raise WrongBytes("{path}: changed on this disk before it came to its place.", path=self.file.path)
            disk.replace(self.path, target)
        except FileNotFoundError as error:
            raise TransferError(
                "{path}: another process has taken it, or it was deleted before it came to its place.",
                hint="Start again: what has arrived is kept.",
                path=self.file.path,
            ) from error
        except OSError as error:
            raise disk_error(error, self.file.path) from error
        with contextlib.suppress(OSError):  # a volume without permissions; they protect from accidents only
            disk.chmod(target, stat.S_IMODE(status.st_mode) & ~0o222)

    def forget(self, *, disk: Disk = LOCAL) -> None:
        """Delete the journal of a file that has come to its place for good. Never raises."""
        with contextlib.suppress(OSError):
            disk.unlink(self.partial.journal_path)

    def release(self) -> None:
        """Leave the file for a later attempt, by any process."""
        self.partial.close(release=True)


def claim(
    folder: Path, key: str, size: int, *, disk: Disk, name: str, journals: Sequence[Path] | None = None
) -> Partial:
    """Return a partial of the object `key` that belongs to this process alone.

    The fullest one left behind by a process that ended is taken over; others of the same key are deleted; one whose
    owner lives is left alone, and a new one is begun. Journals that are not of this key and size are discarded.

    Args:
        folder: Where partials are.
        key: The name of the object, by its digest.
        size: Its bytes.
        disk: What writes.
        name: What to call the file in front of a person.
        journals: Those of the key, for who claims many and has looked into the folder once.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The folder cannot be written.
    """
    try:
        journals = journals_by_key(folder).get(key, ()) if journals is None else journals
        left = sorted(left_behind(journals, key, size, disk), key=lambda found: spans_of(found[1].records).total)
        path, journal = _begin(folder, key, size, disk)
    except OSError as error:
        raise disk_error(error, name) from error
    partial = Partial(folder, path, journal, disk, name)
    try:
        while left:
            old_path, old = left.pop()
            if not journal.records:
                _take_over(path, journal, old, disk)
            delete(folder / old.data_name, old_path, disk=disk)
    except OSError as error:
        partial.close(release=True)
        raise disk_error(error, name) from error
    return partial


@contextlib.contextmanager
def claimed(incoming: Path, key: str, size: int, *, name: str, disk: Disk) -> Iterator[Partial]:
    """Own the partial of an object for the length of the block, then leave it to whoever goes on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The folder cannot be written.
    """
    try:
        make_folders(incoming, disk=disk)
    except OSError as error:
        raise disk_error(error, Message("The cache")) from error
    partial = claim(incoming, key, size, disk=disk, name=name)
    try:
        partial.open()
        yield partial
    finally:
        partial.close(release=True)


def clear_partials(folder: Path, *, disk: Disk = LOCAL) -> int:
    """Delete every partial in `folder` that no living process owns; return the bytes they took."""
    freed = 0
    for path in matching(folder, "*.journal"):
        journal = read_journal(path)
        if journal is None:
            delete(path, disk=disk)
        elif not has_living_owner(journal, path, disk):
            freed += min(spans_of(journal.records).total, journal.size)
            delete(folder / journal.data_name, path, disk=disk)
    clear_orphans(folder, disk=disk)
    return freed


def _begin(folder: Path, key: str, size: int, disk: Disk) -> tuple[Path, Journal]:
    """Begin a journal; it has its name only when it has its owner, for one without is garbage."""
    stem = f"{key}.{secrets.token_hex(8)}"
    journal = Journal(key, size, f"{stem}.part", owner=ProcessIdentity.current())
    path, nameless = folder / f"{stem}.journal", folder / f"{stem}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    try:
        descriptor = disk.open(nameless, flags)
    except FileNotFoundError:  # another process, which has just finished, removed the folder
        make_folders(folder, disk=disk)
        descriptor = disk.open(nameless, flags)
    try:
        disk.append(descriptor, header_line(key, size, journal.data_name) + owner_line(ProcessIdentity.current()))
    finally:
        disk.close(descriptor)
    held.add(str(path))
    disk.replace(nameless, path)
    return path, journal


def _take_over(path: Path, journal: Journal, old: Journal, disk: Disk) -> None:
    """Go on with what another left: its ranges go into our journal at `path`, then its data gets our name for it.

    A kill in between leaves the data with one journal that names it, and perhaps one that names nothing.
    """
    data = path.with_name(old.data_name)
    try:
        if not old.records or not is_backed(data, old.size):
            return
        append(path, b"".join(map(record_line, old.records)), disk=disk)
        disk.replace(data, path.with_name(journal.data_name))
    except FileNotFoundError:  # another was faster
        append(path, forget_line(0, old.size), disk=disk)
    else:
        journal.records = list(old.records)
