"""The process in which a job's work is done: it finds the kind, watches for a request to stop, records the end."""

from __future__ import annotations

import _thread
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import JobError, Qwen3ftError, Stopped, WrongJobState, unexpected
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.folder import newest_attempt, read_controls, read_spec
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.jobs.reporter import JobReporter
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.processes import start_thread, stop_signals
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from qwen3ft_jupyter.jobs.folder import JobSpec
    from qwen3ft_jupyter.jobs.kinds import Kinds

SUCCEEDED, FAILED, STOPPED = 0, 1, 130
"""Exit codes of a job's process."""
_PULSE_S = 0.25


def main(folder: str, kinds: Kinds) -> int:
    """Run the job in `folder` and return the exit code; what cannot be run is named on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        return run(Path(folder), kinds)
    except Qwen3ftError as error:
        sys.stderr.write(f"qwen3ft: {error.code}: {error}\n")
        return FAILED


def run(folder: Path, kinds: Kinds) -> int:
    """Run the job in `folder` as one of its kind and return the exit code.

    Raises:
        JobNotFound: there is no job in the folder.
        WrongJobState: it is at work already, or over.
        OSError: the end cannot be written; the supervisor then says so in its own way.
    """
    spec = read_spec(folder)
    newest = newest_attempt(folder)
    attempt = int(os.environ.get(supervisor.ATTEMPT_VARIABLE, newest))
    status = supervisor.read_status(folder)
    if (status.get("attempt"), status.get("state")) != (attempt, "queued") or attempt != newest:
        # for example, this process was held up for so long that the job has been resumed meanwhile
        raise WrongJobState(
            "The job {id} is not waiting to be run.",
            hint="Go on with it: {command}",
            id=spec.id,
            command=Command("jobs resume", spec.id),
        )
    reporter = JobReporter(folder, attempt)
    context = JobContext(folder, attempt, Work(reporter))
    if supervisor.stop_requested(folder, attempt):
        reporter.end("stopped")
        return STOPPED
    refresh(context, reporter)
    with stop_on_signals(context.work.stop), pulse(context, reporter, partial(_insist, spec, os.getppid())):
        end = _work(spec, kinds, context)
    supervisor.copy_log(folder)  # who sees the job over sees why
    reporter.end(end.state, error=end.error, result=end.result)
    return {"succeeded": SUCCEEDED, "stopped": STOPPED}.get(end.state, FAILED)


@contextlib.contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP set `stop`, in place of ending the process, while the block runs."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # Event.set takes a lock that the interrupted code may be holding, so it must not be called from here.
        try:
            _thread.start_new_thread(stop.set, ())
        except RuntimeError:  # the system has no thread left
            raise Stopped("The work was stopped.") from None

    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class _End:
    state: str
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


def _work(spec: JobSpec, kinds: Kinds, context: JobContext) -> _End:
    try:
        result = _run_kind(spec, kinds, context)
    except Stopped:
        return _End("stopped")
    except Qwen3ftError as error:
        traceback.print_exc()  # to the job's log, which stderr is here; not the details, for browsers read it
        return _End("failed", error=error.to_json())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the border of the process: its log and status get it all
        traceback.print_exc()
        return _End("failed", error=unexpected(error).to_json())
    return _End("succeeded", result=result)


def _run_kind(spec: JobSpec, kinds: Kinds, context: JobContext) -> dict[str, Any]:
    if spec.kind not in kinds:
        raise JobError(
            "This version of qwen3ft_jupyter knows no job of the kind {kind}.",
            hint="It was started by another version; use that one.",
            kind=spec.kind,
        )
    kind = kinds[spec.kind]
    result: dict[str, Any] = kind.run(kind.params.from_dict(spec.params), context).to_dict()
    json.dumps(result, allow_nan=False)
    return result


@contextlib.contextmanager
def pulse(context: JobContext, reporter: JobReporter, insist: Callable[[float], None]) -> Iterator[None]:
    """While the block runs, look for what people ask for and write the status, four times a second.

    `insist` is told how many seconds ago the work was asked to stop.
    """
    is_over = threading.Event()

    def beat() -> None:
        asked_at: float | None = None
        while not is_over.wait(_PULSE_S):
            if supervisor.stop_requested(context.folder, context.attempt):
                context.work.stop.set()
            refresh(context, reporter)
            if context.work.stop.is_set():
                if asked_at is None:
                    asked_at = time.monotonic()
                    reporter.stopping()
                insist(time.monotonic() - asked_at)
            reporter.flush()

    thread = threading.Thread(target=beat, name="qwen3ft-pulse", daemon=True)
    is_beating = start_thread(thread)  # else nobody sees the progress, nor can stop the job but by a signal
    try:
        yield
    finally:
        is_over.set()
        if is_beating:
            thread.join()


def refresh(context: JobContext, reporter: JobReporter) -> None:
    """Take over what people want changed; where that cannot be read, all stays as it was."""
    wanted, controls = read_controls(context.folder), context.work.controls
    if wanted is None or (wanted.is_paused, wanted.max_speed) == (controls.is_paused, controls.max_speed):
        return
    controls.is_paused, controls.max_speed = wanted.is_paused, wanted.max_speed
    reporter.controls(controls)


def _insist(spec: JobSpec, parent: int, waited_s: float) -> None:
    """End this process if its work does not stop in its time of grace and the supervisor, whose task it is, is dead."""
    if os.name == "nt" or supervisor.urgency(waited_s, spec.grace_s) != "kill":
        return
    if os.getppid() != parent and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
