"""The open connections: how many may be, and who has to make room."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

FRESH_S: Final = 0.2
"""Who came less than this ago has its first request on its way. Between requests, clients expect to be closed."""
POLL_S: Final = 0.05
"""After this it is looked again who is idle for long enough."""
TURNED_AWAY_S: Final = 5.0
"""Whoever was turned away comes back within this, or has given up."""


@dataclass(slots=True)
class _Open:
    """One open connection."""

    host: str
    idle_since: float | None = None
    """Since when it waits for a request; None while one is answered."""
    is_new: bool = True
    """Whether none has been answered yet."""


class Connections:
    """The open connections, and since when each waits for a request. Thread-safe."""

    def __init__(self, limit: int) -> None:
        """Args: how many may be open at once."""
        self._limit = limit
        self._changed = threading.Condition()
        self._open: dict[socket.socket, _Open] = {}
        self._owed = 0
        self._owed_until = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def opens(self, connection: socket.socket, host: str) -> bool:
        """Take in a connection, for which an idle one may be closed; return False if all are at work.

        One that has just come is waited for: closed now, its first request would find nobody.
        """
        with self._changed:
            deadline = time.monotonic() + FRESH_S
            while len(self._open) >= self._limit and not self._drop_idle(FRESH_S):
                left = deadline - time.monotonic()
                if left > 0 and any(entry.idle_since is not None for entry in self._open.values()):
                    self._changed.wait(min(left, POLL_S))
                    continue
                self._owed = min(self._limit, self._owed + 1)
                self._owed_until = time.monotonic() + TURNED_AWAY_S
                return False
            self._open[connection] = _Open(host)
            return True

    def drop_idle(self, *, after_s: float = FRESH_S) -> bool:
        """Close the connection idle longest; return False if none is idle, or only new ones for less than `after_s`."""
        with self._changed:
            return self._drop_idle(after_s)

    def makes_room(self, connection: socket.socket) -> bool:
        """Return whether a connection has to close after this answer: others wait, and its machine has its share.

        Without this, clients that ask again at once would keep the others out for as long as they download.
        """
        with self._changed:
            entry = self._open.get(connection)
            if not self._owed or entry is None or time.monotonic() > self._owed_until:
                return False
            hosts = Counter(one.host for one in self._open.values())
            if hosts[entry.host] < self._limit // len(hosts):
                return False
            self._owed -= 1
            return True

    def rests(self, connection: socket.socket) -> None:
        """Note that the connection waits for a request."""
        self._note(connection, time.monotonic())

    def works(self, connection: socket.socket) -> None:
        """Note that a request is being answered."""
        self._note(connection, None)

    def closes(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def hang_up(self, *, only_idle: bool) -> None:
        """Shut connections down, which ends the threads that wait on them."""
        with self._changed:
            for connection, entry in self._open.items():
                if entry.idle_since is not None or not only_idle:
                    _hang_up(connection)

    def wait_empty(self, timeout_s: float) -> bool:
        """Return whether all connections were closed within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    def _note(self, connection: socket.socket, idle_since: float | None) -> None:
        with self._changed:
            entry = self._open.get(connection)
            if entry is not None:
                entry.idle_since = idle_since
                entry.is_new &= idle_since is not None
                self._changed.notify_all()

    def _drop_idle(self, after_s: float) -> bool:
        latest = time.monotonic() - after_s
        idle = [
            (entry.idle_since, one)
            for one, entry in self._open.items()
            if entry.idle_since is not None and (entry.idle_since <= latest or not entry.is_new)
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda pair: pair[0])[1]
        self._open.pop(oldest)
        _hang_up(oldest)
        return True


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have gone already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TLS, the state is its thread's
