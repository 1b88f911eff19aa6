"""The sources of a download and the ranges under way from them, as they turn out to be."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.hubs.retry import RetryPolicy, RetryState
from qwen3ft_jupyter.transfer.pieces import SILENT_S
from qwen3ft_jupyter.transfer.rates import STALLED_S, Speed

if TYPE_CHECKING:
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.transfer.connection_limit import ConnectionLimit
    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.pieces import Piece
    from qwen3ft_jupyter.transfer.source import Source

WINDOW_S: Final = 8.0
"""Seconds of connection time over which a source's speed is measured."""

GAP_KEPT: Final = 0.95
"""With every read, a long gap counts so much less."""

STARVED: Final = 1 / 8
"""After `STALLED_S`, a connection that is so much slower than its neighbours is not worth keeping: another route, or
another server behind the same name, may do better."""

UNUSUAL: Final = 4
"""A wait that is so many times the usual one is a silence."""

FIRST_ANSWER_S: Final = 0.5
"""What is taken for usual until the first answer of a source."""


@dataclass(slots=True)
class SourceState:
    """A source and what is known of it. Changed only under the scheduler's lock."""

    source: Source
    policy: RetryPolicy
    connection_limit: ConnectionLimit
    connections: int = 0
    brought_bytes: int = 0
    latency_s: float = 0.0
    """From the question to the answer, smoothed."""
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
        """Return what is known of its failures over one file."""
        return self.retry_state.setdefault(file_id, RetryState(self.policy))

    def is_exhausted(self, file_id: int) -> bool:
        """Return whether it is counted on no more for a file: it is about that file, or it brings nothing at all."""
        return self.trouble.is_exhausted or self.retry_state_for(file_id).is_exhausted

    def ready_at(self, file_id: int) -> float:
        """Return from when on it may be asked for a file."""
        return max(self.trouble.not_before, self.retry_state_for(file_id).not_before)

    def read(self, count: int, seconds: float) -> None:
        """Note that one connection took `seconds` for `count` bytes."""
        self.rate.add(count, seconds)
        self.gap_s = max(seconds, GAP_KEPT * self.gap_s)

    def answered_after(self, seconds: float) -> None:
        """Note how long it took to answer."""
        self.latency_s = 0.7 * self.latency_s + 0.3 * seconds if self.latency_s else seconds

    def fetch(self, download: FileDownload, piece: Piece, now: float) -> RangeFetch:
        """Return a range fetch of a piece from here that begins now."""
        return RangeFetch(download, piece, self, now, self.retry_state_for(id(download)), last=now)


@dataclass(slots=True, eq=False)
class RangeFetch:
    """A piece of a file that one connection fetches from one source."""

    download: FileDownload
    piece: Piece
    source_state: SourceState
    began: float
    """The engine's clock."""
    retry_state: RetryState
    last: float
    """When it last brought bytes, or when it was last allowed to read on: from then on it is waiting."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when its bytes are wanted no more; the source breaks off the read."""
    error: Qwen3ftError | None = None
    """What is wrong with it, if it was stopped for that."""
    rival: RangeFetch | None = None
    """The other one of a race for the same bytes."""
    brought_bytes: int = 0
    is_served: bool = False
    """Whether the source has said yes; its bytes may be yet to come."""
    has_answered: bool = False
    """Whether the first bytes have come."""
    is_held: bool = False
    """Whether it waits for the permission to read on: then the source keeps nobody waiting."""
    rate: Speed = field(default_factory=lambda: Speed(WINDOW_S / 4))

    @property
    def source(self) -> Source:
        """Return where the bytes come from."""
        return self.source_state.source

    @property
    def speed(self) -> float | None:
        """Return the bytes a second it brings, or those of its source while nobody can tell; None if nobody knows."""
        return self.rate.per_s() or self.source_state.speed

    def leave_race(self) -> RangeFetch | None:
        """End the race it takes part in, if any; return the other one."""
        rival, self.rival = self.rival, None
        if rival is not None:
            rival.rival = None
        return rival

    def waited_s(self, now: float) -> float:
        """Return the seconds for which the source has kept it waiting."""
        return 0.0 if self.is_held else now - self.last

    def is_silent(self, now: float) -> bool:
        """Return whether it has brought nothing for so long that one should not count on it."""
        if self.has_answered:
            usual_s = self.source_state.gap_s
        else:
            usual_s = self.source_state.latency_s if self.source_state.connection_limit.has_answered else FIRST_ANSWER_S
        return self.waited_s(now) > max(SILENT_S, UNUSUAL * usual_s)

    def ends_in(self, now: float) -> float:
        """Return the seconds until it will have brought all, as far as can be told."""
        silent_s = self.waited_s(now) if self.is_silent(now) else 0.0
        return silent_s + (self.piece.end - self.piece.claimed) / (self.speed or 1.0)

    def is_starving(self, now: float) -> bool:
        """Return whether it is much slower than the other connections to the same source."""
        speed = self.source_state.speed
        if not self.has_answered or speed is None or self.source_state.connections < 2 or now - self.began < STALLED_S:
            return False
        return (self.rate.per_s(self.waited_s(now)) or 0.0) < STARVED * speed
