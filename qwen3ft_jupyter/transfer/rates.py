"""How fast bytes come. Pure."""

from __future__ import annotations

import math
from typing import Final

LEAST_MEASURE_S: Final = 0.05
"""A speed is not trusted before connections took so long."""

STALLED_S: Final = 10.0
"""A connection that brings nothing for so long, while others do all the time, is not waited for any longer."""


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
