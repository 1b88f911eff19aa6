"""Lines that are added while others read them, also where no file can be added to: see `mounts`.

In place of ``NAME`` they go to segments, files in the folder ``NAME.parts``: each is written at once, closed, and never
changed. One follows another after a few seconds, and when there are many they are put together into one, so that even
a long run has few. A segment is called by the number of its last line, by who wrote it, and ``all`` if it holds all
before it. Nothing is ever written over: a kill costs the lines of the last seconds, and tears the last segment at most.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import LOCAL, make_own_folder, write_atomic
from qwen3ft_jupyter.paths import is_link, names_in
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from pathlib import Path

EVERY_S: Final = 5.0
"""The first line of a segment waits that long for others: an object store charges for each file."""
MOST: Final = 64
"""Segments; then they are put together."""
_NAME: Final = re.compile(r"(\d{10})-[0-9a-f]{8}(-all)?\.jsonl")
_TRIES: Final = 5


def folder_of(path: Path) -> Path:
    """Return where the segments of a file are."""
    return path.with_name(f"{path.name}.parts")


def parts_of(path: Path) -> list[Path]:
    """Return the segments of a file in the order in which they are read: what holds all before it comes first."""
    folder = folder_of(path)
    found = [] if is_link(folder) else [match for name in names_in(folder) if (match := _NAME.fullmatch(name))]
    found.sort(key=lambda match: (not match[2], -int(match[1]) if match[2] else int(match[1])))
    return [folder / match[0] for match in found]


def number_of(part: Path) -> int:
    """Return the number of the last line of a segment."""
    return int(part.name[:10])


def read_parts(path: Path, after: int = -1) -> list[bytes]:
    """Return the lines of each segment that goes on behind line number `after`.

    To be called before the file itself is read: what goes from here meanwhile is there then. Raises OSError.
    """
    read: list[bytes] = []
    for _ in range(_TRIES):
        parts = [part for part in parts_of(path) if number_of(part) > after]
        pieces = [read_part(part) for part in parts]
        read = [piece for piece in pieces if piece is not None]
        if len(read) == len(parts):  # else some have just been put together: what holds them is called otherwise
            break
    return read


def read_part(part: Path) -> bytes | None:
    """Return the lines of a segment, none if it is being written or torn; None if it is gone. Raises OSError."""
    try:
        data = part.read_bytes()
    except FileNotFoundError:
        return None
    return data if data.endswith(b"\n") else b""


def read_lines(path: Path) -> bytes:
    """Return the lines of a file and of its segments; those of one that another holds come once. Raises OSError."""
    pieces = read_parts(path)
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        if not pieces:
            raise
        whole = b""
    for piece in pieces:
        if piece not in whole:
            whole = whole[: whole.rfind(b"\n") + 1] + piece
    return whole


def clear(path: Path) -> None:
    """Delete the segments of a file. Raises OSError."""
    _delete(parts_of(path))
    with contextlib.suppress(OSError):  # there is none, or it holds something else
        folder_of(path).rmdir()


def put_together(path: Path) -> None:
    """Write the lines of a file and of its segments to the file, and delete these. Raises OSError."""
    if parts_of(path):
        write_atomic(path, read_lines(path))
        clear(path)


class Segments:
    """Adds lines to the segments of a file. Any thread may."""

    def __init__(self, path: Path, *, number: int = 0) -> None:
        """Go on behind the segments that there are, and behind the line of this number."""
        self._path = path
        self._lock = threading.RLock()
        self._nonce = secrets.token_hex(4)
        self._pending: list[bytes] = []
        self._number = max(number, *map(number_of, parts_of(path)), 0)
        self._is_open = True
        self._timer: threading.Timer | None = None
        self._error: OSError | None = None

    def begin(self, lines: bytes, number: int) -> None:
        """Let there be no lines but these, the last of which has this number, in the file or in segments.

        Until they are written all others stay. Raises OSError.
        """
        with self._lock:
            others = parts_of(self._path)
            self._number = max(number, self._number + 1)
            self._write(lines, is_all=True)
            with contextlib.suppress(FileNotFoundError):
                LOCAL.unlink(self._path)
            _delete(others)

    def write(self, line: bytes) -> int:
        """Take a line, which is written within a few seconds, and return its length as files do.

        Raises OSError if those before could not be written, which is tried again; ValueError after `close`.
        """
        with self._lock:
            if not self._is_open:
                raise ValueError("closed")
            self._number += 1
            self._pending.append(line)
            if self._timer is None:
                self._begin_to_wait()
            error, self._error = self._error, None
            if error is not None:
                raise error
            return len(line)

    def close(self) -> None:
        """Write what has not been written yet; the segments stay. Raises OSError."""
        with self._lock:
            self._is_open = False
            self.flush()

    def flush(self) -> None:
        """Write what has not been written yet. Raises OSError."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._pending:
                return
            self._write(b"".join(self._pending))
            self._pending.clear()
            parts = parts_of(self._path)
            if len(parts) >= MOST:
                self._write(b"".join(_without_contained(read_parts(self._path))), is_all=True)
                _delete(parts)

    def _begin_to_wait(self) -> None:
        timer = threading.Timer(EVERY_S, self._on_time)
        timer.daemon = True
        if start_thread(timer):
            self._timer = timer
        else:
            self.flush()

    def _on_time(self) -> None:
        with self._lock:
            try:
                self.flush()
            except OSError as error:
                self._error = error

    def _write(self, lines: bytes, *, is_all: bool = False) -> None:
        make_own_folder(folder_of(self._path))
        part = folder_of(self._path) / f"{self._number:010d}-{self._nonce}{'-all' if is_all else ''}.jsonl"
        descriptor = LOCAL.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                LOCAL.append(descriptor, lines)
                LOCAL.fsync(descriptor)
            finally:
                LOCAL.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                LOCAL.unlink(part)
            raise


def _without_contained(pieces: list[bytes]) -> list[bytes]:
    r"""Return the segments without those that an earlier one holds.

    >>> _without_contained([b"1\n2\n", b"2\n", b"3\n"])
    [b'1\n2\n', b'3\n']
    """
    return [piece for place, piece in enumerate(pieces) if not any(piece in other for other in pieces[:place])]


def _delete(parts: list[Path]) -> None:
    for part in parts:
        with contextlib.suppress(FileNotFoundError):
            LOCAL.unlink(part)
