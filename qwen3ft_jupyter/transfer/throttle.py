"""Holds all connections of a download together under one speed, which may change at any time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.work import Controls

LOOK_S: Final = 0.1
"""Seconds between two looks at the speed while waiting: a change is felt well within one."""

BURST_S: Final = 0.1
"""What was not used within this time is lost: a pause is not made up for."""

READS_PER_S: Final = 50
"""Under a limit all connections together read so often: in small portions, so that a low limit is even, too."""

LEAST_READ_BYTES: Final = 512
"""Smaller reads cost more than they even out."""


class TokenBucket:
    """Says when how many bytes may be read. Pure: is told the time.

    >>> bucket = TokenBucket()
    >>> bucket.take(10, rate=100.0, now=0.0)
    0.0
    >>> bucket.take(10, rate=100.0, now=0.0)
    0.1
    """

    __slots__ = ("_last", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0.0
        self._last: float | None = None

    def take(self, count: int, *, rate: float, now: float) -> float:
        """Take `count` bytes and return 0, or take nothing and return the seconds after which to ask again."""
        full = max(rate * BURST_S, count)
        if self._last is None:
            self._tokens = full
        else:
            self._tokens = min(full, self._tokens + rate * max(0.0, now - self._last))
        self._last = now
        if self._tokens >= count:
            self._tokens -= count
            return 0.0
        return (count - self._tokens) / rate

    def put_back(self, count: int) -> None:
        """Return bytes that were taken and not read."""
        self._tokens += count


class Throttle:
    """Lets connections read no faster, together, than `controls.max_speed`."""

    def __init__(self, controls: Controls, clock: Callable[[], float]) -> None:
        self._controls = controls
        self._clock = clock
        self._bucket = TokenBucket()
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        """Return whether there is a limit at present."""
        return self._controls.max_speed is not None

    def wait(self, limit: int, stop: threading.Event) -> int:
        """Return how many bytes, at most `limit`, may be read now, waiting until it is at least one; 0 if stopped."""
        while not stop.is_set():
            rate = self._controls.max_speed
            if rate is None:
                return limit
            rate = max(1.0, rate)
            count = min(limit, max(LEAST_READ_BYTES, int(rate / READS_PER_S)))
            with self._lock:
                wait_s = self._bucket.take(count, rate=rate, now=self._clock())
            if not wait_s:
                return count
            stop.wait(min(LOOK_S, wait_s))
        return 0

    def put_back(self, count: int) -> None:
        """Return bytes that were allowed and did not come."""
        if count and self._controls.max_speed is not None:
            with self._lock:
                self._bucket.put_back(count)
