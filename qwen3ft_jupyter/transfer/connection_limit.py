"""How many connections a source gets: as many as it bears and as make it faster, and no more. Pure."""

from __future__ import annotations

from typing import Final

EPOCH_S: Final = 2.0
"""How long a number of connections is measured."""

FIRST_REST_S: Final = 10.0
LAST_REST_S: Final = 160.0
"""Pause between two tries; every try that was in vain doubles it, so that trying costs next to nothing."""

STEP: Final = 0.75
"""A try has so many times the connections, or as many fewer."""

NOISE: Final = 0.04
"""A difference of rates that says nothing."""

FIRST_CONNECTIONS: Final = 8
"""Connections to a source that has not answered yet; every answer allows one more."""

FIRST_HOLD_S: Final = 1.0
LAST_HOLD_S: Final = 60.0
"""After a refusal, one more connection is tried after a second, then after two, and so on up to a minute."""


class ConnectionLimit:
    """How many connections one source gets: more with every answer, fewer with every refusal, then as many as pay."""

    __slots__ = ("_concurrency", "_hold_s", "_hold_until", "_is_growing", "has_answered", "limit", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = min(FIRST_CONNECTIONS, most)
        self.has_answered = False
        self._concurrency = AdaptiveConcurrency()
        self._is_growing = True
        self._hold_s = FIRST_HOLD_S
        self._hold_until = float("-inf")

    def answered(self, connections: int, now: float) -> None:
        """Note that a connection brings bytes; `connections` are open."""
        self.has_answered = True
        is_free = self._hold_until == float("-inf") or (now >= self._hold_until and connections >= self.limit)
        if self._is_growing and is_free:
            self.limit = min(self.most, self.limit + 1)
            self._is_growing = self.limit < self.most

    def refused(self, connections: int, now: float, wait_s: float = 0.0) -> None:
        """Note that one of `connections` was refused, or left without an answer; no more for at least `wait_s`."""
        self.limit = max(1, min(self.limit, connections - 1))
        self._is_growing = True
        if now >= self._hold_until:
            self._hold_until = now + self._hold_s
            self._hold_s = min(LAST_HOLD_S, 2 * self._hold_s)
        self._hold_until = max(self._hold_until, now + wait_s)

    def look(self, brought_bytes: int, connections: int, now: float) -> None:
        """See whether another number would do better; to be called a few times a second."""
        limit = self._concurrency.look(
            brought_bytes, connections=connections, limit=self.limit, most=self.most, now=now
        )
        if limit != self.limit:
            self.limit = limit
            self._is_growing = False


class AdaptiveConcurrency:
    """Watches one source at its limit of connections, and says when to change it.

    First fewer are tried. If the rate stays, it stays at fewer; if not, it goes back. Later more are tried, which stay
    only if the rate grows.
    """

    __slots__ = ("_base", "_bytes", "_from", "_is_down", "_limit", "_next", "_rest_s", "_since")

    def __init__(self) -> None:
        self._since: float | None = None
        self._bytes = 0
        self._limit = 0
        self._base = 0.0
        self._from: int | None = None
        """The limit before the try under way."""
        self._is_down = True
        """Whether the next try is one with fewer."""
        self._rest_s = FIRST_REST_S
        self._next: float | None = None

    def look(self, brought_bytes: int, *, connections: int, limit: int, most: int, now: float) -> int:
        """Return the limit from now on.

        Args:
            brought_bytes: What the source has brought since the beginning.
            connections: How many are open.
            limit: How many are allowed; may have been changed by others since the last look.
            most: How many the user allows.
            now: Seconds; looks are to come a few times a second.
        """
        if self._since is None or limit != self._limit:
            if self._from is not None:  # the source has refused what was tried
                self._give_up(now)
            return self._begin(brought_bytes, limit, now)
        measured_s = now - self._since
        if measured_s < EPOCH_S:
            return limit
        if measured_s > 2 * EPOCH_S:  # nobody has looked: a pause, or a prescribed speed
            return self._begin(brought_bytes, limit, now)
        rate = (brought_bytes - self._bytes) / measured_s
        if self._from is None:
            limit = self._try(rate, connections, limit, most, now)
        elif connections <= limit:  # else pieces from before the try are still under way
            limit = self._judge(rate, limit, now)
        return self._begin(brought_bytes, limit, now)

    def _begin(self, brought_bytes: int, limit: int, now: float) -> int:
        self._since, self._bytes, self._limit = now, brought_bytes, limit
        if self._next is None:
            self._next = now + self._rest_s
        return limit

    def _try(self, rate: float, connections: int, limit: int, most: int, now: float) -> int:
        if now < (self._next or 0.0) or connections < limit - 1:
            return limit
        other = max(1, int(limit * STEP)) if self._is_down else min(most, -int(-limit // STEP))
        if other == limit:
            self._is_down = not self._is_down
            return limit
        self._from, self._base = limit, rate
        return other

    def _judge(self, rate: float, limit: int, now: float) -> int:
        """Return the limit that was tried, or the one before."""
        before = self._from or limit
        is_better = rate >= self._base * (1 - NOISE) if limit < before else rate > self._base * (1 + NOISE)
        if is_better:
            self._from = None
            self._rest_s = FIRST_REST_S
            self._next = now
            return limit
        self._give_up(now)
        return before

    def _give_up(self, now: float) -> None:
        """Note that the try under way was in vain: the next one is in the other direction, and later."""
        self._from = None
        self._is_down = not self._is_down
        self._next = now + self._rest_s
        self._rest_s = min(LAST_REST_S, 2 * self._rest_s)
