"""Measures how fast sources are, for a forecast: reads for a moment over several connections and keeps nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Qwen3ftError, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.source import Source

PROBE_S: Final = 1.0
"""Long enough for connections to come up to speed on most links, short enough to be waited for."""
PROBE_BYTES: Final = 16 << 20
"""On a link that fills this sooner, the forecast is seconds anyway."""
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
    counts = [0] * connections
    is_over = threading.Event()
    began = time.monotonic()

    def read(number: int) -> None:
        start = file.size // connections * number
        with contextlib.suppress(Qwen3ftError):  # one that fails gives nothing, which is what it would give
            end = min(file.size, start + share)
            with having[number % len(having)].open(file, start, end, stop=is_over) as stream:
                while not is_over.is_set() and (data := stream.read(_READ_BYTES)):
                    counts[number] += len(data)

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(connections)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and time.monotonic() - began < seconds and not stop.is_set():
        stop.wait(0.02)
    elapsed, total = time.monotonic() - began, sum(counts)
    is_over.set()
    for thread in threads:
        thread.join(1.0)
    if stop.is_set():
        raise Stopped("The measurement was stopped.")
    return total / elapsed if total else None
