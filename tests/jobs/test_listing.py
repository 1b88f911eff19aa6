"""Hundreds of jobs are listed again and again; what has not changed is not read again, and what has always is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import JobNotFound
from qwen3ft_jupyter.jobs import folder as files
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.listing import SETTLE_S, Listing
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.work import Controls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A listing of a folder of jobs, and how often it opened one and how it stands now."""

    def __init__(self, state_dir: Path) -> None:
        self.store = JobStore(state_dir)
        self.jobs_dir = state_dir / "jobs"
        self.clock = Clock()
        self.opened: list[str] = []
        self.listing = Listing(self.jobs_dir, self._open, clock=self.clock)

    def _open(self, job_id: str) -> Job:
        self.opened.append(job_id)
        return self.store.get(job_id)

    def read(self) -> list[JobSnapshot]:
        return [listed.snapshot for listed in self.listing.read()]

    def settle(self) -> list[JobSnapshot]:
        """Look twice with the time between in which a folder settles; return what was seen."""
        self.read()
        self.clock.now += SETTLE_S
        return self.read()

    def change_time(self, job_id: str) -> None:
        """Have the folder have changed: in a test, within one tick of the file system's clock it does not show."""
        folder = self.jobs_dir / job_id
        stamp = folder.stat().st_mtime_ns + 1_000_000
        os.utime(folder, ns=(stamp, stamp))


def write_job(jobs_dir: Path, number: int, state: str = "succeeded") -> str:
    folder = jobs_dir / f"20260102-0304{number:02}-download-{number:04x}"
    folder.mkdir(parents=True)
    spec = files.JobSpec(folder.name, "download", "a title", {}, float(number), "python", str(folder), 60.0)
    files.write_spec(folder, spec)
    files.begin_attempt(folder, 1)
    supervisor.write_status(folder, {"attempt": 1, "state": state, "ended": 5.0, "updated": 5.0})
    return folder.name


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_jobs_are_listed_newest_first(watched: Watched) -> None:
    ids = [write_job(watched.jobs_dir, number) for number in range(3)]

    assert [job.id for job in watched.read()] == ids[::-1]
    assert [job.id for job in watched.listing.jobs()] == ids[::-1]


def test_no_folder_is_no_jobs_and_what_is_no_job_is_left_out(watched: Watched) -> None:
    assert watched.read() == []
    (watched.jobs_dir / "notes").mkdir(parents=True)
    (watched.jobs_dir / "a file").touch()

    assert watched.read() == []


def test_a_job_that_has_ended_and_not_changed_since_is_not_read_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job(watched.jobs_dir, 1)
    before = watched.settle()
    watched.opened.clear()
    monkeypatch.setattr(files, "read_state", lambda _: pytest.fail("it was read"))

    after = watched.read()

    assert watched.opened == []
    assert after[0] is before[0]  # the same object: whoever keeps something of it knows that nothing has changed


def test_what_was_read_before_the_folder_had_settled_is_not_believed(watched: Watched) -> None:
    """Two changes within one tick of the file system's clock leave the same time."""
    job_id = write_job(watched.jobs_dir, 1)
    folder = watched.jobs_dir / job_id
    stamp = folder.stat().st_mtime_ns
    watched.read()
    supervisor.write_status(folder, {"attempt": 1, "state": "failed", "updated": 6.0})
    os.utime(folder, ns=(stamp, stamp))

    assert [job.status.state for job in watched.read()] == ["failed"]


@pytest.mark.parametrize("state", ["queued", "running", "interrupted"])
def test_a_job_that_may_change_without_its_folder_is_read_each_time(watched: Watched, state: str) -> None:
    """Whether a process is alive stands in no folder."""
    write_job(watched.jobs_dir, 1, state)
    before = watched.settle()

    assert watched.read()[0] is not before[0]


def test_a_new_attempt_a_changed_limit_and_a_new_end_are_seen(watched: Watched) -> None:
    job_id = write_job(watched.jobs_dir, 1)
    folder = watched.jobs_dir / job_id
    watched.settle()

    files.begin_attempt(folder, 2)
    watched.change_time(job_id)
    assert watched.read()[0].status.attempt == 2

    supervisor.write_status(folder, {"attempt": 2, "state": "stopped", "updated": 7.0})
    watched.change_time(job_id)
    assert watched.settle()[0].status.state == "stopped"

    files.write_controls(folder, Controls(max_speed=7))
    watched.change_time(job_id)
    controls = watched.read()[0].controls
    assert controls is not None
    assert controls.max_speed == 7


def test_a_forgotten_job_is_gone_and_a_new_one_is_there(watched: Watched) -> None:
    first = write_job(watched.jobs_dir, 1)
    watched.settle()
    watched.store.get(first).forget()
    second = write_job(watched.jobs_dir, 2)

    assert [job.id for job in watched.read()] == [second]
    with pytest.raises(JobNotFound):
        watched.store.get(first)


def test_what_can_change_a_job_that_has_ended_changes_its_folder(tmp_path: Path) -> None:
    """The listing relies on it: each of these makes, replaces or removes a name in there."""
    watched = Watched(tmp_path)
    job_id = write_job(watched.jobs_dir, 1)
    folder = watched.jobs_dir / job_id
    changes: list[Callable[[], object]] = [
        lambda: supervisor.write_status(folder, {"attempt": 1, "state": "failed"}),
        lambda: files.write_controls(folder, Controls(is_paused=True)),
        lambda: files.begin_attempt(folder, 2),
        lambda: files.request_stop(folder, 2),
        (folder / "job.json").unlink,
    ]

    for change in changes:
        os.utime(folder, ns=(1, 1))
        change()
        assert folder.stat().st_mtime_ns != 1
