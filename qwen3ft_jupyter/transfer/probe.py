"""Measures how fast sources are, for a forecast: reads for a moment over several connections and keeps nothing."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Qwen3ftError, Stopped
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.source import Source

PROBE_S: Final = 1.0
"""Long enough for connections to come up to speed on most links, short enough to be waited for."""
PROBE_BYTES: Final = 16 << 20
"""On a link that fills this sooner, the forecast is seconds anyway."""
JOIN_S: Final = 1.0
"""How long connections have to end."""
_READ_BYTES: Final = 64 << 10


def measure_rate(
    file: RemoteFile,
    sources: Sequence[Source],
    *,
    connections: int,
    stop: threading.Event,
    seconds: float = PROBE_S,
) -> float | None:
    """Return the bytes a second that `sources` give of `file` together, or None if none came.

    Args:
        file: What is read; a large file tells more.
        sources: Those that have it are asked, in turns.
        connections: At most so many at once.
        stop: Ends the measurement when set.
        seconds: How long it takes at most, but for the last read.

    Raises:
        Stopped: `stop` was set.
    """
    having = [source for source in sources if source.has(file)]
    share = min(file.size, PROBE_BYTES) // max(1, connections)
    if not having or not share:
        return None
    is_over = threading.Event()
    began = time.monotonic()
    until = began + seconds
    starts = [file.size // connections * number for number in range(connections)]
    readers = [
        _Connection(having[number % len(having)], file, range(start, start + share), is_over, until)
        for number, start in enumerate(starts)
    ]
    started = [*itertools.takewhile(start_thread, readers)]
    if not started:
        readers[0].run()  # on this thread, as the system has no other
    _wait(started, until, stop)
    elapsed, total = time.monotonic() - began, sum(reader.bytes_read for reader in readers)
    is_over.set()
    _wait(started, time.monotonic() + JOIN_S)
    if stop.is_set():
        raise Stopped("The measurement was stopped.")
    return total / elapsed if total else None


def _wait(threads: Sequence[threading.Thread], until: float, stop: threading.Event | None = None) -> None:
    for thread in threads:
        while thread.is_alive() and time.monotonic() < until and not (stop and stop.is_set()):
            thread.join(0.02)


class _Connection(threading.Thread):
    """Reads a range until told otherwise, and counts its bytes."""

    def __init__(self, source: Source, file: RemoteFile, part: range, is_over: threading.Event, until: float) -> None:
        super().__init__(daemon=True)
        self.bytes_read = 0
        self._open = partial(source.open, file, part.start, min(file.size, part.stop), stop=is_over)
        self._is_over = is_over
        self._until = until

    def run(self) -> None:
        """Read."""
        with contextlib.suppress(Qwen3ftError), self._open() as stream:  # one that fails gives nothing
            view = memoryview(bytearray(_READ_BYTES))
            while not self._is_over.is_set() and time.monotonic() < self._until and (count := stream.read_into(view)):
                self.bytes_read += count
