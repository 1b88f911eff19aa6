"""A piece of a file on its way from one source over one connection."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.transfer.rates import SILENT_S, WINDOW_S, Speed

if TYPE_CHECKING:
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.retry import RetryState
    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.pieces import Piece
    from qwen3ft_jupyter.transfer.source import Source
    from qwen3ft_jupyter.transfer.source_states import SourceState


STALLED_S: Final = 10.0
"""A connection that brings nothing for so long, while others do all the time, is not waited for any longer."""

STARVED: Final = 1 / 8
"""After the same time, a connection that is so much slower than its neighbours is not worth keeping: another route, or
another server behind the same name, may do better."""

UNUSUAL: Final = 4
"""A wait that is so many times the usual one is a silence."""

FIRST_ANSWER_S: Final = 0.5
"""What is taken for usual until the first answer of a source."""


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
    has_answered: bool = False
    """Whether the first bytes have come."""
    is_held: bool = False
    """Whether it waits for the permission to read on: then the source keeps nobody waiting."""
    held_s: float = 0.0
    """How long it did so."""
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
