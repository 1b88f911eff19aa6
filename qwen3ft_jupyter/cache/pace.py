"""Holds reading back: to a speed, or altogether while it is paused; both may change while it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Stopped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from qwen3ft_jupyter.work import Controls

LOOK_S: Final = 0.1
"""How often a wait looks at the controls and the stop signal."""


class Pace:
    """Makes the thread that reads wait. Not shared between threads."""

    def __init__(
        self, controls: Controls, *, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._controls = controls
        self._stop = stop
        self._clock = clock
        self._owed = 0.0
        """Bytes read ahead of what the speed allows."""
        self._paid_at = clock()

    def spend(self, count: int, *, on_pause: Callable[[], None]) -> None:
        """Wait until `count` bytes that were just read are within the speed, and for the end of a pause.

        Args:
            count: Bytes.
            on_pause: Called once when a pause begins.

        Raises:
            Stopped: The stop signal was set.
        """
        self._pay()
        self._owed += count
        is_paused = False
        while (delay_s := self._delay_s()) > 0:
            if self._controls.is_paused and not is_paused:
                on_pause()
            is_paused = self._controls.is_paused
            if self._stop.wait(min(LOOK_S, delay_s)):
                raise Stopped("Checking was stopped.", hint="Nothing was changed.")
            self._pay()

    def _delay_s(self) -> float:
        if self._controls.is_paused:
            return LOOK_S
        speed = self._controls.max_speed
        return self._owed / speed if speed and self._owed >= 1 else 0.0  # a fraction is owed until the next time

    def _pay(self) -> None:
        now = self._clock()
        speed = self._controls.max_speed
        if not speed:
            self._owed = 0.0
        elif not self._controls.is_paused:
            self._owed = max(0.0, self._owed - speed * (now - self._paid_at))
        self._paid_at = now
