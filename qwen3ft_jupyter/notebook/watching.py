"""Jobs that cells show and nobody follows: their saved forms are renewed once more, when the jobs have ended.

A front end without our extension, an export and a page of GitHub show what was saved, so that has to be true in the
end. While a job is at work, what is shown says of which moment it tells, and no message is sent.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.jobs.store import Job

_LOOK_S = 2.0
"""Between two looks at each job."""


class JobWatch:
    """Watches jobs until they have ended, from one thread, and after each cell.

    A program that runs a notebook takes what arrives during a cell, and nothing between cells.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[str, tuple[Job, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._shell: Any = None  # IPython's events have no types

    def add(self, job: Job, on_end: Callable[[], None], shell: Any) -> None:
        """Call `on_end` once when `job` has ended; `shell` is the IPython whose cells end."""
        with self._lock:
            self._watched[job.id] = (job, on_end)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="qwen3ft watch", daemon=True)
                self._thread = thread if start_thread(thread) else None  # else each cell looks
        if shell is not None and shell is not self._shell:
            self._shell = shell
            shell.events.register("post_run_cell", lambda _result: self.look())

    def discard(self, job: Job) -> None:
        """Watch a job no longer."""
        with self._lock:
            self._watched.pop(job.id, None)

    def look(self) -> bool:
        """Look at each job; say whether any is still at work."""
        with self._lock:
            watched = [*self._watched.values()]
        for job, on_end in watched:
            with contextlib.suppress(OSError):  # its folder may be out of reach for a while
                if _is_active(job):
                    continue
                self.discard(job)
                on_end()
        with self._lock:
            return bool(self._watched)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(_LOOK_S)
            if not self.look():
                with self._lock:
                    if not self._watched:
                        self._thread = None
                        return


def _is_active(job: Job) -> bool:
    """Say whether a job is at work; one that is forgotten is not."""
    try:
        return job.status().is_active
    except Qwen3ftError:
        return False


WATCH = JobWatch()
"""The one of this kernel."""
