"""Work shown on a terminal: results, a line of progress, a job that is followed, an interrupt that stops at once."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter import format as fmt
from qwen3ft_jupyter.words import tr
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType, TracebackType
    from typing import TextIO

    from typing_extensions import Self

    from qwen3ft_jupyter.jobs import Job, JobStatus
    from qwen3ft_jupyter.work import Progress

_REDRAW_S = 0.1
_LOG_S = 10.0
"""Between two lines where stderr is a file or a pipe: enough to see that it lives, few enough to read."""
_FOLLOW_S = 0.25
_PATIENCE_S = 0.9
"""Work promises to stop within a second; a name lookup or a module's start may not let it."""


def show(text: str) -> None:
    """Print a result to stdout."""
    print(text, flush=True)  # noqa: T201 - a command line prints


def show_json(value: object) -> None:
    """Print a result for programs to stdout."""
    show(json.dumps(value, ensure_ascii=False, indent=1))


def say(text: str) -> None:
    """Print what is for people alone to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command line prints


class ProgressLine(Reporter):
    """Shows progress on one line of stderr, and notices above it.

    The line is cleared when a phase is complete and at the end of a ``with`` block, so nothing is written behind it.
    Where stderr is no terminal, a long phase gets a line of its own every ten seconds instead.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._redraw_s = _REDRAW_S if self._is_terminal else _LOG_S
        self._lock = threading.Lock()
        self._drawn_at = 0.0 if self._is_terminal else time.monotonic()
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
            now, is_complete = time.monotonic(), progress.fraction == 1
            is_turn = self._is_terminal and (progress.phase != self._phase or is_complete)
            if not is_turn and now - self._drawn_at < self._redraw_s:
                return
            self._phase, self._drawn_at = progress.phase, now
            self._draw("" if is_complete else in_a_line(progress) + self._metrics)

    def notice(self, message: str) -> None:
        """Print the message above the line."""
        with self._lock:
            self._draw("")
            with contextlib.suppress(ValueError):  # a stream that has been closed
                self._stream.write(f"{fmt.plain(message)}\n")
                self._stream.flush()

    def metrics(self, values: Mapping[str, float]) -> None:
        """Add the loss to the line."""
        loss = values.get("loss")
        if loss is not None:
            self._metrics = f" · {tr('loss')} {fmt.loss(loss)}"

    def _draw(self, text: str) -> None:
        with contextlib.suppress(ValueError):  # a stream that has been closed
            if self._is_terminal:
                shown = fmt.cut(fmt.plain(text), shutil.get_terminal_size().columns - 1)
                self._stream.write(f"\r\x1b[K{shown}")
            elif text:
                self._stream.write(f"{fmt.plain(text)}\n")
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


def follow(job: Job, line: ProgressLine) -> JobStatus:
    """Show a job on `line` until it has ended, and return how. Raises JobNotFound if it is forgotten."""
    status, last = job.wait(0), 0
    while True:
        for event in job.events(last):
            last = event["n"]
            if event["type"] == "notice":
                line.notice(event["message"])
            elif event["type"] == "metrics":
                line.metrics(event["values"])
        if not status.is_active:
            return status
        if status.progress:
            line.progress(status.progress)
        status = job.wait(_FOLLOW_S)


def in_a_line(progress: Progress) -> str:
    """Return the progress, for example "transferring · 46% · 1.2 GB of 2.6 GB · 85.3 MB/s · 16 s left"."""
    parts = fmt.progress_parts(progress)
    if progress.fraction is not None:
        parts.insert(1, f"{100 * progress.fraction:.0f}%")
    return " · ".join(parts)
