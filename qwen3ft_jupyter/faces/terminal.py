"""Work shown on a terminal: a line of progress, and a job that is followed."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import TextIO

    from typing_extensions import Self

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.jobs.state import JobStatus
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.work import Progress

_REDRAW_S = 0.1
_LOG_S = 10.0
"""Between two lines where stderr is a file or a pipe: enough to see that it lives, few enough to read."""
_FOLLOW_S = 0.25


class ProgressLine(Reporter):
    """Shows progress on one line of stderr, and notices above it.

    The line is cleared when a phase is complete and at the end of a ``with`` block, so nothing is written behind it.
    Where stderr is no terminal, a long phase gets a line of its own every ten seconds instead.
    """

    def __init__(self, stream: TextIO | None = None, face: Face = "cli") -> None:
        self._speaker = speaker_of(face)
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
        self.clear()

    def clear(self) -> None:
        """Take the line away, for what is printed next."""
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
            with contextlib.suppress(ValueError, OSError):  # a stream that has been closed, a terminal that has gone
                self._stream.write(f"{fmt.plain(self._speaker.say(message))}\n")
                self._stream.flush()

    def metrics(self, values: Mapping[str, float]) -> None:
        """Add the loss to the line."""
        loss = values.get("loss")
        if loss is not None:
            self._metrics = f" · {tr('loss')} {fmt.loss(loss)}"

    def finished(self, error: BaseException | None) -> None:  # noqa: ARG002 - whoever called says what failed
        """Take the line away."""
        self.clear()

    def _draw(self, text: str) -> None:
        with contextlib.suppress(ValueError, OSError):  # a stream that has been closed, a terminal that has gone
            if self._is_terminal:
                shown = fmt.cut(fmt.plain(text), shutil.get_terminal_size().columns - 1)
                self._stream.write(f"\r\x1b[K{shown}")
            elif text:
                self._stream.write(f"{fmt.plain(text)}\n")
            self._stream.flush()


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
