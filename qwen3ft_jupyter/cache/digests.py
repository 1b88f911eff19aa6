"""Reads files of a model folder and says what their bytes are."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.manifest import Stamp
from qwen3ft_jupyter.disk import READ_FLAGS, read_blocks
from qwen3ft_jupyter.hubs.names import Sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.cache.manifest import PieceSum
    from qwen3ft_jupyter.hubs.listing import RemoteFile

PIECE_BYTES: Final = 4 << 20
"""The ranges of which a CRC is kept, when asked for: as long as those that a download notes."""

_NO_END: Final = 1 << 62
"""A file may grow while it is read."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The identity of a file's bytes, and the stamp it had when they were read."""

    size: int
    sha256: Sha256
    git_sha1: str
    """Empty unless it was asked for."""
    stamp: Stamp
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
    sha256 = hashlib.sha256()
    git = hashlib.sha1(b"blob %d\0" % before.st_size, usedforsecurity=False) if with_git else None
    pieces: list[PieceSum] = []
    done = start = crc = 0
    for data in read_blocks(descriptor, 0, _NO_END, on_bytes):
        sha256.update(data)
        if git is not None:
            git.update(data)
        done += len(data)
        if with_pieces:
            crc = zlib.crc32(data, crc)
            if done - start >= PIECE_BYTES:
                pieces.append((start, done, crc))
                start, crc = done, 0
    if with_pieces and done > start:
        pieces.append((start, done, crc))
    stamp = Stamp.of(os.fstat(descriptor))
    if stamp != replace(Stamp.of(before), ctime_ns=stamp.ctime_ns):  # which another name or mode changes, too
        return None
    return Digest(stamp.size, Sha256(sha256.hexdigest()), git.hexdigest() if git else "", stamp, tuple(pieces))
