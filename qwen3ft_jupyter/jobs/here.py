"""A job whose work is done by the very process that began it, as the command line does: no other has to come up.

It is a job like any other: seen, paused, limited and stopped through its folder. It has no supervisor; if the process
is killed, the job is found interrupted, and resuming it starts one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Qwen3ftError, Stopped, unexpected
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.kinds import JobContext, Result
from qwen3ft_jupyter.jobs.reporter import JobReporter
from qwen3ft_jupyter.jobs.worker import STOPPED, pulse, refresh
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.processes import ProcessIdentity, start_thread
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.work import Progress, RanksJson

PATIENCE_S = 5.0
"""Work stops within a second, unless it hangs in a name lookup or on a drive; whatever it writes survives its end."""

LEAVE_S = 0.3
"""How long the end may take to be written."""
_at_work: dict[str, JobReporter] = {}
"""What this process writes of the jobs whose work it does, by their ids."""


def is_waiting_here(job: Job) -> bool:
    """Say whether this process has written the job down and has yet to run it."""
    status = supervisor.read_status(job.folder)
    return status.get("state") == "queued" and status.get("worker") == ProcessIdentity.current().to_dict()


def run_here(job: Job, do: Callable[[Work], Result], *, reporter: Reporter, stop: threading.Event) -> Result:
    """Do a job's work and return its result; its end is written down whatever it is.

    Args:
        job: one that `is_waiting_here`.
        do: the work.
        reporter: is told of it beside those who read the job's folder.
        stop: ends the work when set; stopping the job sets it.

    Raises:
        Stopped: it was stopped.
        Qwen3ftError: it failed.
    """
    try:
        record = JobReporter(job.folder, 1)
    except OSError as error:  # no room for the record since the job was started: no reason not to do the work
        reporter.notice(Message("The job {id} cannot be kept up to date: {reason}.", id=job.id, reason=error.strerror))
        return do(Work(reporter, stop))
    context = JobContext(job.folder, 1, Work(Both(reporter, record), stop))
    _at_work[job.id] = record
    refresh(context, record)
    try:
        with pulse(context, record, partial(_leave, job)):
            result = do(context.work)
            values = result.to_dict()
            json.dumps(values, allow_nan=False)
    except (Stopped, KeyboardInterrupt):
        _end(record, "stopped")
        raise
    except Exception as error:
        _log(job, error)
        named = error if isinstance(error, Qwen3ftError) else unexpected(error)
        _end(record, "failed", error=named.to_json())
        raise
    _end(record, "succeeded", result=values)
    return result


def leave_word(job: Job) -> None:
    """Write down that a job was stopped, for this process is about to end without its work having heeded that.

    A disk that hangs is not waited for: then the job is found interrupted.
    """
    record = _at_work.get(job.id)
    if record is not None:
        writing = threading.Thread(target=_end, args=(record, "stopped"), daemon=True)
        if start_thread(writing):
            writing.join(LEAVE_S)


def _leave(job: Job, waited_s: float) -> None:
    """End this process, which no supervisor ends, if its work does not stop in time."""
    if waited_s > PATIENCE_S:
        leave_word(job)
        os._exit(STOPPED)


def _end(record: JobReporter, state: str, **about: Any) -> None:
    with contextlib.suppress(OSError, ValueError):  # the work has ended as it has; the job is found interrupted
        record.end(state, **about)


class Both(Reporter):
    """Tells two reporters the same."""

    def __init__(self, first: Reporter, second: Reporter) -> None:
        self._both = (first, second)

    def progress(self, progress: Progress) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.progress(progress)

    def notice(self, message: str) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.notice(message)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Pass them on."""
        for reporter in self._both:
            reporter.metrics(values)

    def ranks(self, told: RanksJson) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.ranks(told)


def _log(job: Job, error: Exception) -> None:
    with contextlib.suppress(OSError), (job.folder / "log.txt").open("a", encoding="utf-8") as log:
        traceback.print_exception(error, file=log)
