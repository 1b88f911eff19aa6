"""Where output goes: a cell that can be updated, a line of a terminal, or nowhere."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from qwen3ft_jupyter.errors import Qwen3ftError, Stopped
from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces.format import plain
from qwen3ft_jupyter.faces.losses import Losses
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.jobs.state import STATE_WORDS
from qwen3ft_jupyter.messages import moment, tr
from qwen3ft_jupyter.notebook.markup import bar, curve, element, verbatim
from qwen3ft_jupyter.work import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell
    from markupsafe import Markup

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.work import Progress

SHORTEST_S = 0.25
"""Between two updates of one output: four a second are smooth, and a slow link is not flooded."""

Bundle = dict[str, Any]
"""One output in several forms, by MIME type."""


class Screen(Protocol):
    """Shows one thing, again and again."""

    def show(self, bundle: Bundle) -> None:
        """Show the newest form of it."""


class CellScreen:
    """An output of a cell. Everything shown under one id changes together, in older cells too.

    May be called from any thread: an update finds its output by the id, not by which cell happens to run. Nothing is
    ever printed: what a thread prints lands in whichever cell runs.
    """

    def __init__(self, display_id: str) -> None:
        self._display_id = display_id
        self._is_shown = False

    def show(self, bundle: Bundle) -> None:
        """Show the bundle, the first time as a new output."""
        if self._is_shown:
            ipython_display().update_display(bundle, display_id=self._display_id, raw=True)
        else:
            ipython_display().display(bundle, display_id=self._display_id, raw=True)
            self._is_shown = True


def ipython_display() -> Any:  # IPython's functions have no types
    """Return IPython's module of this name; importing it takes longer than all of this package."""
    import IPython.display

    return IPython.display


def current_shell() -> InteractiveShell | None:
    """Return the IPython at work here; never imports it where it is not."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell: InteractiveShell | None = get_ipython()
    return shell


def is_notebook() -> bool:
    """Say whether output goes to a front end that can update it."""
    return getattr(current_shell(), "kernel", None) is not None


class CellReporter(Reporter):
    """Shows the progress of work that the cell itself does: one bar, the notices, and a curve for the loss."""

    def __init__(self, screen: Screen | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen or CellScreen(f"qwen3ft-{secrets.token_hex(8)}")
        self._clock = clock
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._notices: list[str] = []
        self._losses = Losses()
        self._shown_at: float | None = None
        self._shown: Bundle = {}
        self._end = ""

    def progress(self, progress: Progress) -> None:
        """Show it, if it is a new phase or the end of one, or if a quarter of a second has passed."""
        with self._lock:
            is_turn = self._progress is None or progress.phase != self._progress.phase or progress.fraction == 1
            self._progress, self._end = progress, ""
            self._show(is_urgent=is_turn)

    def notice(self, message: str) -> None:
        """Show it below the bar, for good."""
        with self._lock:
            self._notices.append(speaker_of("magic").say(message))
            self._show(is_urgent=True)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Add the loss to the curve."""
        with self._lock:
            if "loss" in values:
                self._losses.add(values["loss"])
                self._show(is_urgent=False)

    def finished(self, error: BaseException | None) -> None:
        """Show how far it came instead of a bar, and why not to the end; nothing if nothing has been shown."""
        with self._lock:
            if self._shown_at is not None and not self._end:
                self._end = _end_words(error)
                self._show(is_urgent=True)

    def _show(self, *, is_urgent: bool) -> None:
        now = self._clock()
        if not is_urgent and self._shown_at is not None and now - self._shown_at < SHORTEST_S:
            return
        self._shown_at = now
        bundle = {"text/html": verbatim(self._html()), "text/plain": self._text()}
        if bundle != self._shown:  # work may wait for long
            self._shown = bundle
            self._screen.show(bundle)

    def _html(self) -> Markup:
        parts = []
        if self._progress is not None:
            shown = self._end or bar(self._progress.fraction)
            parts.append(element("div", shown, " ", " · ".join(self._words(self._progress))))
        if self._losses:
            parts += [curve(self._losses.points(), self._losses.words()), element("div", self._losses.words())]
        return element("div", *parts, *(element("div", f"ℹ {notice}") for notice in self._notices))

    def _text(self) -> str:
        shown = []
        if self._progress is not None:
            shown.append(f"{self._end} {' · '.join(self._words(self._progress))}".strip())
        return "\n".join(plain(part) for part in [*self._notices, *shown])

    def _words(self, progress: Progress) -> list[str]:
        """Return where the work is, and when that was: this is what is saved if the kernel goes before it ends."""
        parts = fmt.progress_parts(progress, is_over=bool(self._end))
        return parts if self._end else [*parts, tr("as of {time}", time=moment(time.time()))]


def _end_words(error: BaseException | None) -> str:
    """Return how the work of a cell ended: a sign, and for a failure its name, which the cell's error explains."""
    if error is None:
        return "✓"
    if isinstance(error, KeyboardInterrupt | Stopped):
        return f"■ {tr(STATE_WORDS['interrupted'])} ·"
    return (
        f"✗ {tr(STATE_WORDS['failed'])} ({error.code if isinstance(error, Qwen3ftError) else type(error).__name__}) ·"
    )


def default_reporter() -> Reporter:
    """Return the reporter for where this code runs: a cell, a terminal, or a script that nobody watches."""
    if is_notebook():
        return CellReporter()
    if sys.stderr is not None and sys.stderr.isatty():
        return ProgressLine(face="magic")
    return SILENT


def get_model_manager(
    use_modelscope: bool | None = None,  # noqa: FBT001 - users know it as get_model_manager(True)
    cache_dir: str | Path | None = None,
    **overrides: Any,
) -> ModelManager:
    """Return a manager that shows its progress where this code runs; see `qwen3ft_jupyter.manager.get_model_manager`.

    Raises:
        BadSetting: a setting has a value that is not accepted.
    """
    from qwen3ft_jupyter import manager

    shell = current_shell()
    if shell is not None and shell.display_formatter is not None:
        # Not a method of Job: what runs jobs knows nothing of notebooks.
        shell.display_formatter.ipython_display_formatter.for_type_by_name(
            "qwen3ft_jupyter.jobs.store", "Job", _show_job
        )
    return manager.get_model_manager(use_modelscope, cache_dir, **{"reporter": default_reporter, **overrides})


def _show_job(job: Job) -> None:
    """Show a job that stands at the end of a cell in its live form."""
    from qwen3ft_jupyter.notebook.job_view import JobView

    JobView(job).show()
