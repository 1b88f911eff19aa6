"""The one way in which files on this disk are read: in blocks, shown, held back, and broken off when asked to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.transfer.meter import Meter
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.work import Work


class Reading:
    """One phase in which files are read or copied. It keeps to the speed, the pauses and the stop signal of the work.

    Args:
        work: On whose behalf.
        phase: What to call it in front of a person.
        total: How many bytes it will be.
    """

    def __init__(self, work: Work, phase: str, total: int) -> None:
        self.done = 0
        self.name = ""
        """The file that is read, for a person."""
        self._work = work
        self._total = total
        self._meter = Meter(work.reporter, phase, total, clock=time.monotonic)

    def advance(self, count: int, *, done: int | None = None) -> None:
        """Note that `count` bytes were read; wait as long as the work has to. Raises Stopped.

        Args:
            count: Bytes.
            done: How far the phase is now, where that is not `count` bytes further.
        """
        self.reach(self.done + count if done is None else done)
        self._work.pace(count, paused=Progress("paused", self.done, self._total))

    def reach(self, done: int) -> None:
        """Show that `done` bytes of the phase are over."""
        self.done = done
        self._meter.update(done, detail=self.name)

    def finish(self) -> None:
        """Show the last state of the phase."""
        self._meter.update(self.done, now=True)
