"""How fast bytes come, and what follows from it: how much to ask for, and when a second request pays. Pure."""

from __future__ import annotations

import math
from typing import Final

from qwen3ft_jupyter.transfer.pieces import MIN_PIECE_BYTES

MAX_PIECE_BYTES: Final = 64 << 20
"""Above this, a piece gains nothing, and the digest, which is computed from the front, would lag further behind."""

FIRST_PIECE_BYTES: Final = 16 << 20
"""The largest piece for a source whose speed nobody knows yet."""

LEAST_PIECE_BYTES: Final = 256 << 10
"""No piece is cut smaller to end the work evenly."""

PIECE_S: Final = 8.0
"""The longest a piece should take: a connection that turns slow is not left with much."""

EVEN_S: Final = 0.02
"""Connections may end this far apart; cutting pieces smaller costs more than it gains."""

SAVED_S: Final = 0.1
"""What a second request must save at least: it costs a connection, and the speeds it is reckoned from flicker."""

SLOW: Final = 1 / 4
"""A connection that is so much slower than another one is relieved of what it still has to bring, and be it little.

Where all are alike, they probably share a link, and more requests at the end only cost what is under way in each.
"""

LEAST_TAIL_BYTES: Final = 16 << 10
"""What a slow connection may be left with."""

SILENT_S: Final = 0.5
"""Silence on one connection that calls for a second one: longer than the gaps of a link that is merely slow."""


LEAST_MEASURE_S: Final = 0.05
"""A speed is not believed before connections took so long."""


class Speed:
    """Bytes a second of one connection, over the last `window_s` seconds that connections took.

    >>> speed = Speed(window_s=4.0)
    >>> speed.per_s() is None
    True
    >>> speed.add(500, 0.5)
    >>> speed.per_s()
    1000.0
    """

    __slots__ = ("_bytes", "_seconds", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._bytes = 0.0
        self._seconds = 0.0

    def add(self, count: int, seconds: float) -> None:
        """Note that a connection took `seconds` for `count` bytes; what is older counts less from now on."""
        kept = math.exp(-seconds / self._window_s)
        self._bytes = self._bytes * kept + count
        self._seconds = self._seconds * kept + seconds

    def per_s(self, waiting_s: float = 0.0) -> float | None:
        """Return the speed, None while nobody can tell; `waiting_s` passed since the last byte on open connections.

        What was in the buffers of the system comes at once and says nothing of the link.
        """
        seconds = self._seconds + waiting_s
        return self._bytes / seconds if self._bytes and seconds >= LEAST_MEASURE_S else None


class MinimumRate:
    """Tells when a connection is so slow that another one would do better."""

    __slots__ = ("_bytes", "_bytes_per_s", "_over_s", "_seconds")

    def __init__(self, bytes_per_s: float, over_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._over_s = over_s
        self._bytes = 0
        self._seconds = 0.0

    def is_missed(self, count: int, seconds: float) -> bool:
        """Note `count` bytes that took `seconds`; return whether a whole period ended below the rate."""
        self._bytes += count
        self._seconds += seconds
        if self._seconds < self._over_s:
            return False
        is_slow = self._bytes < self._bytes_per_s * self._seconds
        self._bytes, self._seconds = 0, 0.0
        return is_slow


def least_piece(speed: float | None, latency_s: float) -> int:
    """Return the smallest piece that is worth a request, given the bytes a second and the wait for the first one."""
    if speed is None:
        return MIN_PIECE_BYTES
    return int(max(LEAST_PIECE_BYTES, min(4 * MIN_PIECE_BYTES, speed * max(EVEN_S, 4 * latency_s))))


def piece_length(
    untaken_bytes: int, *, speed: float | None, total_speed: float, connections: int, latency_s: float = 0.0
) -> int:
    """Return how much a connection should ask for: half of its share of what is left.

    A connection that brings a tenth of all bytes gets a twentieth of the rest. So pieces shrink towards the end, all
    connections end together and no tail is waited for, while most bytes travel in few requests.

    Args:
        untaken_bytes: What nobody has asked for yet.
        speed: Bytes a second that the connection will bring; None if nobody knows.
        total_speed: Bytes a second that all connections bring together.
        connections: How many there may be in all.
        latency_s: How long the source takes to answer.

    >>> piece_length(512 << 20, speed=20e6, total_speed=320e6, connections=16) >> 20
    16
    >>> piece_length(512 << 20, speed=1e6, total_speed=320e6, connections=16) >> 10
    819
    """
    share = speed / max(speed, total_speed) if speed else 1 / connections
    longest = FIRST_PIECE_BYTES if speed is None else min(MAX_PIECE_BYTES, speed * PIECE_S)
    return int(max(least_piece(speed, latency_s), min(longest, untaken_bytes * share / 2)))


def tail_length(
    left_bytes: int,
    *,
    speed: float,
    silent_s: float,
    other_speed: float,
    other_latency_s: float,
) -> int:
    """Return how many bytes of the end of a piece a second connection should bring: 0 for none, all for a race.

    Both then end at the same time. One that has been silent is expected to stay so as long again: all of it is raced.

    Args:
        left_bytes: What the first connection has not brought yet.
        speed: Bytes a second that it brings.
        silent_s: How long it has brought nothing.
        other_speed: Bytes a second that the second connection will bring.
        other_latency_s: How long its source takes to answer.

    >>> tail_length(1_000_000, speed=100_000, silent_s=0, other_speed=100_000, other_latency_s=0)
    500000
    >>> tail_length(1_000_000, speed=100_000, silent_s=30, other_speed=100_000, other_latency_s=0)
    1000000
    """
    if silent_s <= max(SILENT_S, 4 * other_latency_s):
        silent_s = 0.0
    alone_s = silent_s + left_bytes / max(speed, 1e-6)
    even = other_speed * (alone_s - other_latency_s) / (1 + other_speed / max(speed, 1e-6))
    tail = left_bytes if silent_s else int(max(0.0, even))
    saved_s = alone_s - other_latency_s - tail / other_speed
    least = LEAST_TAIL_BYTES if speed < SLOW * other_speed else LEAST_PIECE_BYTES
    if saved_s < max(SAVED_S, 2 * other_latency_s) or tail < min(left_bytes, least):
        return 0
    return tail


WINDOW_S: Final = 8.0
"""Seconds of connection time over which a source's speed is measured."""
