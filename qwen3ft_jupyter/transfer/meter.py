"""Turns byte counts into the progress people see: smoothed, rare, never going backwards. Pure but for the clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qwen3ft_jupyter.work import Progress, seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.work import Reporter

INTERVAL_S = 0.2
"""Five events a second are as many as an eye follows."""

SMOOTHING_S = 3.0
"""A rate older than this counts for little: short enough to show a stall, long enough not to flicker."""

STALL_S = 5.0
"""When nothing has come for so long, no time left is said: it would be that of a speed which is no more."""


class Meter:
    """Reports one phase to a reporter."""

    def __init__(
        self,
        reporter: Reporter,
        phase: str,
        total: int,
        *,
        done: int = 0,
        clock: Callable[[], float],
    ) -> None:
        self._reporter = reporter
        self._phase = phase
        self._total = total
        self._clock = clock
        self._shown = done
        self._last_done = done
        self._last_time = clock()
        self._last_gain = self._last_time
        self._last_report = -math.inf
        self._rate: float | None = None

    def restart(self, done: int) -> None:
        """Measure anew from now, when `done` bytes are there: what went before, for example a pause, tells nothing."""
        self._last_done, self._last_time = done, self._clock()
        self._last_gain = self._last_time
        self._last_report = -math.inf
        self._rate = None

    def update(self, done: int, *, detail: str = "", now: bool = False) -> None:
        """Report that `done` bytes are there; dropped if the last report is too young, unless `now`."""
        time = self._clock()
        if time - self._last_report < INTERVAL_S and not now:
            return
        self._last_report = time
        self._measure(done, time)
        self._shown = min(self._total, max(self._shown, done))
        self._reporter.progress(
            Progress(self._phase, self._shown, self._total, "bytes", self._rate, self._eta_s(), detail)
        )

    def _measure(self, done: int, time: float) -> None:
        elapsed = time - self._last_time
        if elapsed <= 0:
            return
        latest = max(0, done - self._last_done) / elapsed
        weight = 1 - math.exp(-elapsed / SMOOTHING_S)
        self._rate = latest if self._rate is None else self._rate + weight * (latest - self._rate)
        if done > self._last_done:
            self._last_gain = time
        self._last_done, self._last_time = done, time

    def _eta_s(self) -> float | None:
        left = self._total - self._shown
        if left <= 0:
            return 0.0
        return seconds_left(left, self._rate) if self._last_time - self._last_gain < STALL_S else None
