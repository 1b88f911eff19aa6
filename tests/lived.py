"""Seconds as this process lives them, and as it spends them: for claims that something is felt at once, or is cheap."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Self

TICK_S: Final = 0.05


class Lived:
    """Counts the seconds of a `with` block in naps of a thread.

    A machine that is busy or stands still for a while lets this thread sleep as long as those that are measured, so
    the pause counts for one nap. What waits on purpose is seen: the naps go on meanwhile.
    """

    def __init__(self) -> None:
        self._naps = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._nap, daemon=True)

    @property
    def seconds(self) -> float:
        """Return how many have been lived so far."""
        return self._naps * TICK_S

    def _nap(self) -> None:
        while not self._is_over.wait(TICK_S):
            self._naps += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


class CpuTime:
    """Measures what a `with` block costs the processor in this thread, for claims that something is cheap.

    Others who use the processor are not counted, nor is the garbage of tests that ran before.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        self._collects = False

    def __enter__(self) -> Self:
        self._collects = gc.isenabled()
        gc.disable()
        self._began = time.thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.thread_time() - self._began
        if self._collects:
            gc.enable()
