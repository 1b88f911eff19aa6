"""What the tests of jobs do with jobs: wait for something with a limit, find their processes, kill them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.processes import ProcessIdentity, start_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.jobs.store import Job, JobStore

WORKER = [sys.executable, str(Path(__file__).with_name("worker_fixture.py")), "run"]
LIMIT_S = 120.0
"""Of waits that end at once, unless the machine is busy or something hangs."""
AT_ONCE_S = -supervisor.TERMINATE_S
"""A time of grace that is over before it begins."""


def start(store: JobStore, name: str, params: dict[str, Any], *, title: str = "", **options: Any) -> Job:
    """Start a job of a kind that is made up; it can be paused if a speed is among the options."""
    can_pause = "max_speed" in options
    kind = JobKind(
        name, Plain, Plain.from_dict, title=lambda _: title, run=lambda params, _: params, can_pause=can_pause
    )
    return store.start(kind, Plain(params), **options)


def wait_until(is_so: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def owner(job: Job, name: str) -> int:
    """Return the pid of the job's "worker" or "supervisor"."""
    return int(supervisor.read_status(job.folder)[name]["pid"])


def pids(job: Job) -> list[int]:
    status = supervisor.read_status(job.folder)
    owners = [status.get(name) for name in ("supervisor", "worker")]
    return [owner["pid"] for owner in owners if owner and ProcessIdentity.from_dict(owner).is_alive()]


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(start_mark(pid) is None for pid in pids))


def done(job: Job, limit_s: float = LIMIT_S) -> Any:  # a `StatusJson`, of which tests know what is there
    """Wait for the job's end and return its status."""
    status = job.wait(limit_s)
    assert not status.is_active, job.log().text
    return status.to_dict()
