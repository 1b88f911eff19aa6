"""The sources of a download as they turn out to be: how fast, how many connections they bear, and which one to ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import HubBusy
from qwen3ft_jupyter.hubs.retry import RetryPolicy, RetryState
from qwen3ft_jupyter.transfer.adaptive_concurrency import AdaptiveConcurrency
from qwen3ft_jupyter.transfer.rates import WINDOW_S, Speed, least_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.transfer.source import Source

FIRST_CONNECTIONS: Final = 8
"""Connections to a source that has not answered yet; every answer allows one more."""

PROBES: Final = 2
"""The same, while others are known to work."""

FIRST_HOLD_S: Final = 1.0
LAST_HOLD_S: Final = 60.0
"""After a refusal, one more connection is tried after a second, then after two, and so on up to a minute."""


GAP_KEPT: Final = 0.95
"""With every read, a long gap counts so much less."""

ALIKE: Final = 0.75
"""Sources whose speeds differ by less share the connections evenly."""


class ConnectionLimit:
    """How many connections one source gets: more with every answer, fewer with every refusal, then as `Climb` says."""

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


@dataclass(slots=True)
class SourceState:
    """A source and what is known of it. Changed only under the scheduler's lock."""

    source: Source
    policy: RetryPolicy
    connection_limit: ConnectionLimit
    connections: int = 0
    brought_bytes: int = 0
    latency_s: float = 0.0
    """From the question to the first byte, smoothed."""
    gap_s: float = 0.0
    """The longest of the latest waits between two reads of one connection: long where many share a slow link."""
    verified_bytes: int = 0
    """What it brought of files that turned out right."""
    is_bad: bool = False
    """Whether it brought wrong bytes: then it is asked only for what nobody else has."""
    is_aside: bool = False
    """Whether people were told that others are asked in its place, and it has brought nothing since."""
    rate: Speed = field(default_factory=lambda: Speed(WINDOW_S))
    trouble: RetryState = field(init=False)
    """What it does whatever the file is, for example not answer at all."""
    retry_state: dict[int, RetryState] = field(default_factory=dict)
    """By the id of the `FileDownload`."""
    speed: float | None = None
    """Bytes a second of one connection at the last look, with the waiting ones counted; None before the first byte."""

    def __post_init__(self) -> None:
        self.trouble = RetryState(self.policy)

    @property
    def name(self) -> str:
        """What to call it in front of a person."""
        return self.source.name

    def retry_state_for(self, file_id: int) -> RetryState:
        """Return what is left of the patience with it over one file."""
        return self.retry_state.setdefault(file_id, RetryState(self.policy))

    def ready_at(self, file_id: int) -> float:
        """Return from when on it may be asked for a file."""
        return max(self.trouble.not_before, self.retry_state_for(file_id).not_before)

    def read(self, count: int, seconds: float) -> None:
        """Note that one connection took `seconds` for `count` bytes."""
        self.rate.add(count, seconds)
        self.gap_s = max(seconds, GAP_KEPT * self.gap_s)

    def answered_after(self, seconds: float) -> None:
        """Note how long it took to the first byte."""
        self.latency_s = seconds if not self.connection_limit.has_answered else 0.7 * self.latency_s + 0.3 * seconds


def is_refusal(error: Qwen3ftError) -> bool:
    """Return whether `error` means that the source bears no more connections, rather than that one was unlucky."""
    if isinstance(error, HubBusy):
        return error.details.get("status") in {"429", "503"}
    return error.details.get("cause") in {"refused", "silent"}


def total_speed(source_states: Sequence[SourceState]) -> float:
    """Return the bytes a second that all open connections bring together."""
    return sum((source_state.speed or 0.0) * source_state.connections for source_state in source_states)


def choose(ready: Sequence[SourceState], *, untaken_bytes: int, total: float) -> SourceState | None:
    """Return the source that the next connection should go to, or None if it had better wait.

    One that nobody knows yet comes first, on a few connections, so that all are measured; then one without any
    connection; then the fastest per connection. So a source with a limit per server gets connections until they slow
    each other down, and one with a limit per connection gets as many as there are. One that could not bring its
    smallest piece before the rest has arrived from others is left alone.

    Args:
        ready: The sources that may be asked now.
        untaken_bytes: What nobody has asked for yet, of all files.
        total: Bytes a second that all connections bring together.
    """
    is_proven = any(source_state.connection_limit.has_answered for source_state in ready)
    free = [s for s in ready if s.connections < _limit(s, is_proven=is_proven)]
    unproven = [s for s in free if not s.connection_limit.has_answered]
    if unproven:
        return min(unproven, key=lambda s: s.connections)
    useful = [s for s in free if not is_too_slow(s, untaken_bytes, total)]
    idle = [s for s in useful if not s.connections]
    if idle or not useful:
        return idle[0] if idle else None
    best = max(s.speed or 0.0 for s in useful)
    return min((s for s in useful if s.speed is None or s.speed >= ALIKE * best), key=lambda s: s.connections)


def is_too_slow(source_state: SourceState, untaken_bytes: int, total: float) -> bool:
    """Return whether the rest will have come from others before this one can bring its smallest piece."""
    own = (source_state.speed or 0.0) * source_state.connections
    others = total - own
    if source_state.speed is None or others <= own:
        return False
    least_s = (
        least_piece(source_state.speed, source_state.latency_s) / max(source_state.speed, 1e-6) + source_state.latency_s
    )
    return least_s > untaken_bytes / others


def _limit(source_state: SourceState, *, is_proven: bool) -> int:
    limit = source_state.connection_limit.limit
    return min(PROBES, limit) if is_proven and not source_state.connection_limit.has_answered else limit
