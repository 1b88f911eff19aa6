"""The one way in which files on this disk are read, hashed or not: shown, held back, and broken off when asked to."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32

from qwen3ft_jupyter.disk import READ_FLAGS, read_blocks
from qwen3ft_jupyter.hubs.names import Sha256
from qwen3ft_jupyter.transfer.meter import Meter
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.cache.own.piece_sums import PieceSum
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.work import Work

PIECE_BYTES: Final = 4 << 20
"""The ranges of which a CRC is kept, when asked for: as long as those that a download notes."""
_NO_END: Final = 1 << 62
"""A file may grow while it is read."""


class Reading:
    """One phase in which files are read or copied. It keeps to the speed, the pauses and the stop signal of the work.

    Args:
        work: On whose behalf.
        phase: What to call it in front of a person.
        total: How many bytes it will be.
    """

    def __init__(self, work: Work, phase: str, total: int) -> None:
        self.done = 0
        self.name = ""
        """The file that is read, for a person."""
        self._work = work
        self._total = total
        self._meter = Meter(work.reporter, phase, total, clock=time.monotonic)

    def advance(self, count: int, *, done: int | None = None) -> None:
        """Note that `count` bytes were read; wait as long as the work has to. Raises Stopped.

        Args:
            count: Bytes.
            done: How far the phase is now, where that is not `count` bytes further.
        """
        self.reach(self.done + count if done is None else done)
        self._work.pace(count, paused=Progress("paused", self.done, self._total))

    def reach(self, done: int) -> None:
        """Show that `done` bytes of the phase are over."""
        self.done = done
        self._meter.update(done, detail=self.name)

    def finish(self) -> None:
        """Show the last state of the phase."""
        self._meter.update(self.done, now=True)


@dataclass(frozen=True, slots=True)
class Digest:
    """The identity of a file's bytes, and what the system said of it when they were read."""

    size: int
    sha256: Sha256
    git_sha1: str
    """Empty unless it was asked for."""
    status: os.stat_result
    pieces: tuple[PieceSum, ...] = ()
    """The CRC-32 of each `PIECE_BYTES`; none unless asked for."""

    def is_of(self, file: RemoteFile) -> bool:
        """Return whether these are the bytes that a hub lists."""
        if self.size != file.size:
            return False
        return self.sha256 == file.sha256 if file.sha256 else self.git_sha1 == file.git_sha1


def digest_file(
    path: Path, *, with_git: bool, on_bytes: Callable[[int], None], with_pieces: bool = False
) -> Digest | None:
    """Return what the bytes of the file are, or None if it is no regular file or changed while it was read.

    Args:
        path: The file; a symlink is not followed.
        with_git: Whether git's digest is needed, too.
        on_bytes: Called with the number of bytes just read; may raise to end the reading.
        with_pieces: Whether the CRC of each piece is wanted, to locate damage later.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, READ_FLAGS)
    try:
        return digest_open(descriptor, with_git=with_git, on_bytes=on_bytes, with_pieces=with_pieces)
    finally:
        os.close(descriptor)


def digest_open(
    descriptor: int, *, with_git: bool, on_bytes: Callable[[int], None], with_pieces: bool = False
) -> Digest | None:
    """Like `digest_file`, for a file that was opened already."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return None
    sha256, pieces = hashlib.sha256(), _PieceSums()
    git = hashlib.sha1(b"blob %d\0" % before.st_size, usedforsecurity=False)
    wanted = [sha256.update, *([git.update] if with_git else []), *([pieces.update] if with_pieces else [])]
    for data in read_blocks(descriptor, 0, _NO_END, on_bytes):
        for update in wanted:
            update(data)
    status = os.fstat(descriptor)
    if _unchanging(status) != _unchanging(before):
        return None
    git_sha1 = git.hexdigest() if with_git else ""
    return Digest(status.st_size, Sha256(sha256.hexdigest()), git_sha1, status, pieces.finished())


def _unchanging(status: os.stat_result) -> tuple[int, ...]:
    """Return what only another content changes; another name or mode changes the time of change, too."""
    return status.st_size, status.st_mtime_ns, status.st_ino


class _PieceSums:
    """The CRC of each piece of a file that is read from its front."""

    def __init__(self) -> None:
        self._pieces: list[PieceSum] = []
        self._start = self._end = self._crc = 0

    def update(self, data: bytes) -> None:
        self._end, self._crc = self._end + len(data), crc32(data, self._crc)
        if self._end - self._start >= PIECE_BYTES:
            self._finish_piece()

    def finished(self) -> tuple[PieceSum, ...]:
        if self._end > self._start:
            self._finish_piece()
        return tuple(self._pieces)

    def _finish_piece(self) -> None:
        self._pieces.append((self._start, self._end, self._crc))
        self._start, self._crc = self._end, 0
