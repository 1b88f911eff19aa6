from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.jobs.store import JobStore
from tests.jobs.following import WORKER, pids, start, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.jobs.store import Job


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "state", worker=WORKER)
    yield store
    for job in store.list():  # none outlives its test, whatever went wrong there
        if job.status().state == "queued":  # its process is not known yet
            job.stop()
            job.wait(120)
        for pid in pids(job):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def counting(store: JobStore, tmp_path: Path) -> Job:
    """A job that is known to be at work."""
    job = start(store, "count", {"keep": str(tmp_path / "number")}, title="Count")
    wait_until(lambda: any(event["type"] == "metrics" for event in job.events()))
    return job
