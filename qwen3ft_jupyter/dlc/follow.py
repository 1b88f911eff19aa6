"""Follows a job at PAI-DLC: its state as the service tells it, its progress as the job folder on the mount has it."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.dlc.command import LACKS_WORDS
from qwen3ft_jupyter.dlc.service import NoAnswer, masked
from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError, Stopped, error_from_json
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.folder import newest_attempt, request_stop
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.dlc.options import Options
    from qwen3ft_jupyter.dlc.record import Record
    from qwen3ft_jupyter.dlc.service import DlcJob, Pod, Service
    from qwen3ft_jupyter.jobs.kinds import JobContext
    from qwen3ft_jupyter.jobs.store import Job

SUCCEEDED: Final = frozenset({"Succeeded", "SucceededReserving"})
FAILED: Final = frozenset({"Failed", "FailedReserving"})
ENDED: Final = SUCCEEDED | FAILED | {"Stopped"}
WAITING: Final = frozenset({"Creating", "Queuing", "Bidding", "EnvPreparing", "SanityChecking", "Restarting"})
AT_WORK: Final = frozenset({"Running", "Stopping"})
TAIL_BYTES: Final = 16_384
OVERLAP_S: Final = 120.0
"""Logs are asked for from so long before the last time on: clocks differ, and lines come late."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is asked, and how long is waited, in seconds."""

    first_s: float = 5.0
    most_s: float = 30.0
    """Between two questions to the service, in the end."""
    growth: float = 1.3
    look_s: float = 1.0
    """Between two looks at the mount, and at whether to stop."""
    ask_s: float = 240.0
    """What runs there may take that long to save a checkpoint and end, before it is ended."""
    end_s: float = 60.0
    """The service may take that long to end a job, and the mount to show its result."""


PACE: Final = Pace()
GRACE_S: Final = PACE.ask_s + 2 * PACE.end_s
"""How long a job here may take to stop."""


class Follower:
    """Passes on to a job here what becomes of the one there."""

    def __init__(
        self, service: Service, options: Options, context: JobContext, record: Record, *, mount: Path, pace: Pace
    ) -> None:
        """Take the folder on the mount in which what runs there has its job."""
        self._service, self._options, self._work = service, options, context.work
        self._here, self._record, self._pace = context.folder, record, pace
        self._store = JobStore(mount)
        self._log = _Log(service, record.id)
        self._inner: Job | None = None
        self._state = ""
        self._progress: Progress | None = None
        self._is_silent = False

    def follow(self, job: DlcJob) -> Outcome:
        """Return what the fine-tune came to. Raises JobFailed and what the fine-tune raised, Stopped."""
        pause_s = self._pace.first_s
        while True:
            if job.state != self._state:
                pause_s = self._pace.first_s
                self._tell_state(job)
            self._look()
            self._log.tell(job)
            if job.state in ENDED:
                return self._end(job)
            self._rest(pause_s)
            if self._work.stop.is_set():
                return self._stop(job)
            pause_s = min(self._pace.most_s, pause_s * self._pace.growth)
            job = self._ask(job)

    def _tell_state(self, job: DlcJob) -> None:
        self._state = job.state
        if job.state in WAITING:
            self._tell(Progress("queued", detail=Message("PAI-DLC: {state}", state=job.state)))
        elif job.state not in AT_WORK | ENDED:
            self._work.notice("PAI-DLC says that the job is {state}, which is not known here.", state=job.state)
        sys.stdout.write(f"PAI-DLC: {job.id} is {job.state}{f' ({job.reason})' if job.reason else ''}\n")

    def _tell(self, progress: Progress) -> None:
        if progress != self._progress:
            self._progress = progress
            self._work.progress(progress)

    def _rest(self, seconds: float) -> None:
        """Wait, with an eye on the mount; at most until it is to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._work.stop.wait(min(left, self._pace.look_s)):
            self._look()

    def _ask(self, before: DlcJob) -> DlcJob:
        """Return how the job stands; as before if nobody answers: it goes on all the same."""
        try:
            job = self._service.get(before.id)
        except NoAnswer as error:
            if not self._is_silent:
                self._work.reporter.notice(error.error.message)
                self._work.notice("The job goes on there, and is asked for again and again.")
            self._is_silent = True
            return before
        self._is_silent = False
        return job

    def _look(self) -> None:
        """Pass on what the job on the mount has told since the last look. A mount that does not answer is no error."""
        with contextlib.suppress(OSError, Qwen3ftError):
            inner = next((job for job in self._store.list() if job.kind == "finetune"), None)
            self._inner = inner or self._inner
            if self._inner is None:
                if self._state in AT_WORK:
                    self._tell(Progress("preparing", detail=Message("the containers of PAI-DLC start")))
                return
            told = self._record.told if self._record.inner == self._inner.id else 0
            for event in self._inner.events(told):
                told = self._pass_on(event)
            self._record = self._record.write(self._here, inner=self._inner.id, told=told)
            progress = supervisor.read_status(self._inner.folder).get("progress")
            if isinstance(progress, dict) and "phase" in progress and self._state in AT_WORK:
                self._tell(Progress.from_dict(progress))

    def _pass_on(self, event: dict[str, Any]) -> int:
        if event["type"] == "notice":
            self._work.reporter.notice(event["message"])
        elif event["type"] == "metrics":
            self._work.metrics({name: value for name, value in event["values"].items() if value is not None})
        return int(event["n"])

    def _inner_status(self, *, is_ended: bool = True) -> dict[str, Any]:
        """Return what the job on the mount has written of itself; waits a while for its end if it `is_ended` there."""
        until = time.monotonic() + (self._pace.end_s if is_ended else 0.0)
        while True:
            self._look()
            status = supervisor.read_status(self._inner.folder) if self._inner else {}
            if status.get("state") in supervisor.ENDED or self._inner is None or time.monotonic() >= until:
                return status
            time.sleep(min(self._pace.look_s, 0.5))

    def _end(self, job: DlcJob, ended_as: str = "") -> Outcome:
        """Return what it came to; `ended_as`: the state of the fine-tune before its job was ended, if it had one."""
        status = self._inner_status()
        self._log.tell(job, is_last=True)
        self._record = self._record.write(self._here, is_over=True)
        result = status.get("result")
        if isinstance(result, dict) and status.get("state") == "succeeded":
            outcome = {**result, "output_dir": self._options.paths.here(str(result.get("output_dir", "")))}
            return Outcome.from_dict(outcome)
        self._log.write_tail(self._inner)
        if ended_as != "failed" and "stopped" in {job.state.lower(), status.get("state")}:
            raise Stopped("It was stopped at PAI-DLC.", hint="Resume goes on from the last checkpoint.")
        if isinstance(status.get("error"), dict):
            raise error_from_json(status["error"])
        if self._log.lacks_package:
            raise JobFailed(
                "The containers of PAI-DLC have no qwen3ft_jupyter.",
                hint="Set dlc.install: qwen3ft-jupyter[train], or name a dlc.image or dlc.python that has it.",
            )
        raise JobFailed(
            "The job {id} failed at PAI-DLC: {reason}.",
            hint="The end of the log shows why, and so does {url}",
            id=job.id,
            reason=job.reason.rstrip(".") or job.state,
            url=self._record.url,
        )

    def _stop(self, job: DlcJob) -> Outcome:
        """Have the fine-tune save a checkpoint and end; else end the job.

        Returns what it came to if it ended before it was told to. Raises what it failed with, Stopped.
        """
        ended_as = self._ended_as(job)
        job = self._await_end(job) if ended_as else self._ask(job)
        if is_alive := job.state not in ENDED:
            job = self._end_there(job)
        if ended_as != "stopped" and (ended_as or not is_alive or job.state in SUCCEEDED):
            return self._end(job, ended_as)
        self._log.tell(job, is_last=True)
        self._record = self._record.write(self._here, is_over=job.state in ENDED)
        raise Stopped(
            "Stopped; the checkpoint is kept." if ended_as else "Stopped; what was saved before is kept.",
            hint="Resume goes on from the last checkpoint.",
        )

    def _end_there(self, job: DlcJob) -> DlcJob:
        """End the job at the service. Raises JobFailed if it refuses to, unless because the job has just ended."""
        try:
            self._service.stop(job.id)
        except JobFailed:
            if (job := self._ask(job)).state not in ENDED:
                raise
            return job
        return self._await_end(job)

    def _await_end(self, job: DlcJob) -> DlcJob:
        """Return how the job stands when it has ended, or when it was given long enough."""
        until = time.monotonic() + self._pace.end_s
        while (job := self._ask(job)).state not in ENDED and time.monotonic() < until:
            time.sleep(self._pace.first_s)
        return job

    def _ended_as(self, job: DlcJob) -> str:
        """Ask what runs there to stop, by a file on the mount; return the state in which it ended by itself, or ""."""
        self._look()
        if self._inner is None or job.state not in AT_WORK:
            return ""
        with contextlib.suppress(OSError):
            request_stop(self._inner.folder, newest_attempt(self._inner.folder))
        until = time.monotonic() + self._pace.ask_s
        while time.monotonic() < until:
            if (state := self._inner_status(is_ended=False).get("state")) in supervisor.ENDED:
                return str(state)
            time.sleep(self._pace.look_s)
        return ""


class _Log:
    """Writes what happens to a job, and what its first container says, to this job's log; once each."""

    def __init__(self, service: Service, job_id: str) -> None:
        self._service, self._id = service, job_id
        self._events: set[str] = set()
        self._lines: dict[str, list[str]] = {}
        self._asked: dict[str, float] = {}
        self.lacks_package = False

    def tell(self, job: DlcJob, *, is_last: bool = False) -> None:
        """Write what is new; in the end also what failed containers say. What cannot be had is left out."""
        with contextlib.suppress(NoAnswer, JobFailed):
            for line in self._service.events(self._id):
                if line not in self._events:
                    self._events.add(line)
                    sys.stdout.write(f"PAI-DLC: {line}\n")
        failed = [pod for pod in job.pods if is_last and pod.state == "Failed"]
        for pod in dict.fromkeys([*first_pod(job.pods), *failed]):
            with contextlib.suppress(NoAnswer, JobFailed):
                self._tell_of(pod)
        sys.stdout.flush()

    def write_tail(self, inner: Job | None) -> None:
        """Write the end of what the fine-tune there wrote to its own log, which is on the mount."""
        with contextlib.suppress(OSError, Qwen3ftError):
            if inner is not None:
                sys.stdout.write(masked(inner.log(-TAIL_BYTES).text))
                sys.stdout.flush()

    def _tell_of(self, pod: Pod) -> None:
        now = time.time()
        since = self._asked.get(pod.id)
        lines = self._service.log(self._id, pod, "" if since is None else utc(since - OVERLAP_S))
        self._asked[pod.id] = now
        seen = self._lines.setdefault(pod.id, [])
        for line in new_lines(seen, lines):
            self.lacks_package = self.lacks_package or LACKS_WORDS in line
            sys.stdout.write(f"{pod.id}: {line}\n")
        self._lines[pod.id] = lines or seen


def first_pod(pods: Sequence[Pod]) -> Sequence[Pod]:
    """Return the container that leads, in a list; none if there are none yet."""
    return sorted(pods, key=lambda pod: (pod.kind != "Master", pod.id))[:1]


def new_lines(seen: Sequence[str], lines: Sequence[str]) -> Sequence[str]:
    """Return the lines that follow those that were seen; they may begin anywhere among those.

    >>> new_lines(["a", "b", "c"], ["b", "c", "d"]), new_lines([], ["a"]), new_lines(["a"], ["x"])
    (['d'], ['a'], ['x'])
    """
    for count in range(min(len(seen), len(lines)), 0, -1):
        if list(seen[-count:]) == list(lines[:count]):
            return lines[count:]
    return lines


def utc(seconds: float) -> str:
    """Return a time as the service takes it.

    >>> utc(0)
    '1970-01-01T00:00:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
