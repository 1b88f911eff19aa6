"""Reads files of a model folder and says what their bytes are."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.manifest import Stamp
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.names import Sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.hubs.listing import RemoteFile

READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """The identity of a file's bytes, and the stamp under which they were read."""

    size: int
    sha256: Sha256
    git_sha1: str
    """Empty unless it was asked for."""
    stamp: Stamp

    def is_of(self, file: RemoteFile) -> bool:
        """Return whether these are the bytes that a hub lists."""
        if self.size != file.size:
            return False
        return self.sha256 == file.sha256 if file.sha256 else self.git_sha1 == file.git_sha1


def digest_file(path: Path, *, with_git: bool, on_bytes: Callable[[int], None], stop: threading.Event) -> Digest | None:
    """Return what the bytes of the file are, or None if it is no regular file or changed while it was read.

    Args:
        path: The file; a symlink is not followed.
        with_git: Whether git's digest is needed, too.
        on_bytes: Called with the number of bytes just read.
        stop: Ends the reading when set.

    Raises:
        OSError: It cannot be read.
        Stopped: `stop` was set.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        sha256 = hashlib.sha256()
        git = hashlib.sha1(b"blob %d\0" % before.st_size, usedforsecurity=False) if with_git else None
        while data := file.read(READ_BYTES):
            if stop.is_set():
                raise Stopped("Checking was stopped.", hint="Nothing was changed.")
            sha256.update(data)
            if git is not None:
                git.update(data)
            on_bytes(len(data))
        stamp = Stamp.of(before)
        if stamp != Stamp.of(os.fstat(descriptor)):
            return None
    return Digest(stamp.size, Sha256(sha256.hexdigest()), git.hexdigest() if git is not None else "", stamp)
