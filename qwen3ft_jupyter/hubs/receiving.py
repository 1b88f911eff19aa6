"""Receives bodies in large reads: the store of a hub sends 64 KiB at a time, or 16 under TLS, and each read costs us.

To wake for each of them, to take the interpreter's lock, count, write and note, cost as much again as receiving,
writing and hashing the bytes. So a read waits until more is there, but only for a moment: on a slow link reads are
small, and progress, stalls and stops are seen as early as before.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from io import BufferedReader

GATHER_S: Final = 0.04
"""The longest that bytes which are there wait for more.

It is less than what a speed is measured over, lest the beginning of a silence be taken for a slow connection.
"""

MOST_BYTES: Final = 1 << 20
"""No read waits for more than this."""

FIRST_BYTES: Final = 64 << 10
"""What the first read of a connection waits for; while reads come quickly, each next one waits for twice as much."""

READ_AHEAD_BYTES: Final = 1 << 20
"""More than the library reads ahead with the head of an answer, in any version of Python."""


class _Head:
    """The lines of an answer's head as they are read; remembers the last."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def close(self) -> None:
        self.file.close()


class Pace:
    """How much the reads of one connection wait for: what one body has shown is true of the next."""

    __slots__ = ("least",)

    def __init__(self) -> None:
        self.least = FIRST_BYTES

    def took(self, seconds: float, count: int) -> None:
        """Note that a read brought `count` bytes after `seconds`."""
        if seconds < GATHER_S / 2:
            self.least = min(MOST_BYTES, 2 * self.least)
        elif seconds >= GATHER_S:
            self.least = max(1, count // 2)


class WholeResponse(http.client.HTTPResponse):
    """An answer whose head came to its end: the standard library takes one that was cut off for a short one.

    Its body may be read from the socket itself.
    """

    def __init__(self, sock: socket.socket, *args: Any, pace: Pace | None = None, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._socket = sock
        self._is_drained = False
        self._pace = pace or Pace()
        self._waits_for = (1, 0.0)

    def begin(self) -> None:
        """Read the head. Raises RemoteDisconnected if it was cut off, or what the standard library raises."""
        self.fp: Any
        head = self.fp = _Head(self.fp)
        try:
            super().begin()
        finally:
            self.fp = head.file if self.fp is head else self.fp
        if head.last not in {b"\r\n", b"\n"}:
            self.close()
            raise http.client.RemoteDisconnected("the head of the answer was cut off")
        # urllib3 would log what it cannot parse, and with it the address, which may hold a signature
        self.headers.defects.clear()
        self.headers.set_payload("")

    def read1(self, n: int = -1) -> bytes:
        """Return what one read brings; see the standard library."""
        data = super().read1(n)
        # it gives what came with the head before it asks the socket, and then asks for no more than it gives
        self._is_drained = len(data) < n or n >= READ_AHEAD_BYTES
        return data

    @property
    def is_bare(self) -> bool:
        """Whether the rest of the body is the next that the socket itself gives."""
        return self._is_drained and not self.chunked and bool(self.length) and isinstance(self._socket, socket.socket)

    def receive_into(self, view: memoryview, *, idle_s: float) -> int:
        """Put what comes soon into `view`, at least one byte, and return how many; only if the body `is_bare`.

        Raises:
            TimeoutError: Nothing came for `idle_s`.
            OSError: The connection broke.
        """
        left = self.length or 0
        least = self._pace.least if 2 * self._pace.least < left else left  # rather all at once than a rest
        began = time.monotonic()
        count = self._gather(view[:left], min(least, len(view)), idle_s)
        if not count:
            raise ConnectionResetError("the body ended before its announced length")
        if count < left:  # else it had no more to bring
            self._pace.took(time.monotonic() - began, count)
        else:
            self._wait_for(1, idle_s)
        self.length = left - count
        return count

    def _gather(self, view: memoryview, least: int, idle_s: float) -> int:
        self._wait_for(least, GATHER_S if least > 1 else idle_s)
        try:
            count = self._socket.recv_into(view)
        except TimeoutError:
            if least == 1:
                raise
            self._wait_for(1, idle_s)
            return self._socket.recv_into(view)
        until = time.monotonic() + GATHER_S
        # under TLS, and where a system cannot be told to wait for more, reads are small
        while 0 < count < least // 2 and time.monotonic() < until:
            try:
                got = self._socket.recv_into(view[count:])
            except TimeoutError:
                break
            if not got:
                break
            count += got
        return count

    def _wait_for(self, least: int, seconds: float) -> None:
        """Have a read wait for so many bytes or so long; that many are there at once when the connection ends."""
        if (least, seconds) != self._waits_for:
            self._waits_for = least, seconds
            self._socket.settimeout(seconds)
            with contextlib.suppress(OSError):  # where it cannot, the first byte ends the wait
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
