"""How the command line shows things: a line of progress, a table, an interrupt that stops within a second."""

from __future__ import annotations

import _thread
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.reporting import Progress, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType, TracebackType
    from typing import TextIO

    from typing_extensions import Self

_REDRAW_S = 0.1
_PATIENCE_S = 0.9
"""Work promises to stop within a second; a name lookup or a module's start may not let it."""


class ProgressLine(Reporter):
    """Shows progress on one line of stderr, if that is a terminal, and notices in any case."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._drawn_at = 0.0
        self._phase = ""
        self._metrics = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._lock:
            self._draw("")

    def progress(self, progress: Progress) -> None:
        """Draw the line anew, ten times a second at most; a new phase at once."""
        with self._lock:
            now = time.monotonic()
            if progress.phase == self._phase and now - self._drawn_at < _REDRAW_S:
                return
            self._phase, self._drawn_at = progress.phase, now
            self._draw(" ".join(part for part in (describe(progress), self._metrics) if part))

    def notice(self, message: str) -> None:
        """Print the message above the line."""
        with self._lock:
            self._draw("")
            self._stream.write(f"{message}\n")
            self._stream.flush()

    def metrics(self, values: Mapping[str, float]) -> None:
        """Add the loss to the line."""
        loss = values.get("loss")
        if loss is not None:
            self._metrics = f" loss {loss:.4f}"

    def _draw(self, text: str) -> None:
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{text[:width]}")
            self._stream.flush()


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets; work that does not heed it is left behind with exit code 130.

    That is safe: whatever this package writes survives being broken off at any point.
    """
    stop, is_over = threading.Event(), threading.Event()

    def leave() -> None:
        stop.set()
        if not is_over.wait(_PATIENCE_S):
            os.write(2, b"\nstopped\n")
            os._exit(130)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # Event.set takes a lock that the interrupted code may be holding, so it must not be called from here.
        _thread.start_new_thread(leave, ())

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        is_over.set()
        signal.signal(signal.SIGINT, before)


def describe(progress: Progress) -> str:
    """Return the progress in a line, for example "transferring  45%  1.2 GB of 2.6 GB  85.3 MB/s  0:16 left"."""
    show = size if progress.unit == "bytes" else "{:,}".format
    parts = [progress.phase]
    if progress.fraction is not None and progress.total:
        parts += [f"{100 * progress.fraction:.0f}%", f"{show(progress.done)} of {show(progress.total)}"]
    elif progress.done:
        parts.append(show(progress.done))
    if progress.unit != "bytes" and len(parts) > 1:
        parts[-1] += f" {progress.unit}"
    if progress.rate:
        parts.append(f"{size(progress.rate)}/s" if progress.unit == "bytes" else f"{progress.rate:.1f}/s")
    if progress.eta_s is not None:
        parts.append(f"{duration(progress.eta_s)} left")
    return "  ".join([*parts, progress.detail] if progress.detail else parts)


def size(size_bytes: float) -> str:
    """Return bytes as people read them, in powers of 1000 as the hubs show them.

    >>> size(999), size(1_503_300_328)
    ('999 B', '1.5 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 999.95:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """Return seconds as a clock shows them.

    >>> duration(16.4), duration(3725)
    ('0:16', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in lines)
