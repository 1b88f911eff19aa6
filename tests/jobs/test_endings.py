from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import JobNotFound, WrongJobState
from qwen3ft_jupyter.processes import start_mark
from tests.jobs.following import AT_ONCE_S, WORKER, done, kill, owner, pids, start, wait_until

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.store import Job, JobStore

REPO = Path(__file__).parents[2]


# Stop


def test_cooperative_job_stops_by_itself(counting: Job) -> None:
    counting.stop()
    status = done(counting)
    assert (status["state"], status["notices"]) == ("stopped", [])


def test_stopping_shows_at_once_and_stopping_twice_is_stopping_once(counting: Job) -> None:
    counting.stop()
    stamp = (counting.folder / "stop").stat().st_mtime_ns
    counting.stop()
    assert (counting.folder / "stop").stat().st_mtime_ns == stamp
    done(counting)
    counting.stop()
    assert counting.status().state == "stopped"


@pytest.mark.parametrize("content", [b"", b"please\xff\n"])
def test_stop_from_another_process_needs_only_the_folder(counting: Job, content: bytes) -> None:
    (counting.folder / "stop").write_bytes(content)
    assert done(counting)["state"] == "stopped"


def test_job_is_stopped_before_its_worker_has_come_up(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "count", {"keep": str(tmp_path / "number")}, title="Count")
    job.stop()
    assert done(job)["state"] == "stopped"


@pytest.mark.parametrize("name", ["worker", "supervisor"])
def test_termination_by_the_system_is_passed_on_and_obeyed(counting: Job, name: str) -> None:
    os.kill(owner(counting, name), signal.SIGTERM)
    assert done(counting)["state"] == "stopped"


def test_job_that_does_not_obey_is_ended_with_all_its_children(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "deaf", {"tell": str(tmp_path / "child")}, title="Deaf", grace_s=AT_ONCE_S)
    child = read_pid(tmp_path / "child")
    job.stop()
    status = done(job)
    assert status["state"] == "stopped"
    assert "did not stop by itself" in status["notices"][-1]
    wait_until(lambda: start_mark(child) is None)


def test_deaf_worker_without_supervisor_ends_itself(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "deaf", {"tell": str(tmp_path / "child")}, title="Deaf", grace_s=AT_ONCE_S)
    child = read_pid(tmp_path / "child")
    kill(owner(job, "supervisor"))
    job.stop()
    assert done(job)["state"] == "interrupted"
    wait_until(lambda: start_mark(child) is None)


def test_what_a_job_leaves_running_is_ended(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "orphan", {"tell": str(tmp_path / "child")}, title="Orphan")
    assert done(job)["state"] == "succeeded"
    wait_until(lambda: start_mark(read_pid(tmp_path / "child")) is None)


# Deaths


def test_death_of_worker_and_supervisor_interrupts_and_resume_goes_on(counting: Job) -> None:
    kill(owner(counting, "supervisor"), owner(counting, "worker"))
    assert counting.status().state == "interrupted"
    events, log = counting.events(), counting.log()

    resumed = counting.resume()
    wait_until(lambda: any(event["type"] == "metrics" for event in resumed.events(after=events[-1]["n"])))
    resumed.stop()
    assert done(resumed)["attempt"] == 2

    later = resumed.events()
    assert later[: len(events)] == events
    assert [event["n"] for event in later] == list(range(1, len(later) + 1))
    metrics = [event["values"]["step"] for event in later if event["type"] == "metrics"]
    assert metrics == sorted(metrics)
    assert resumed.log().text.startswith(log.text)
    assert "attempt 2" in resumed.log(log.next_offset).text


def test_worker_goes_on_without_its_supervisor(counting: Job) -> None:
    kill(owner(counting, "supervisor"))
    last = counting.events()[-1]["n"]
    wait_until(lambda: bool(counting.events(after=last)))
    assert counting.status().state == "running"
    counting.stop()
    assert done(counting)["state"] == "stopped"


def test_job_whose_supervisor_never_comes_up_is_interrupted(counting: Job) -> None:
    counting.stop()
    done(counting)
    claim = counting.folder / "attempt-2"
    claim.touch()  # whoever wanted to resume died right then
    assert counting.status().state == "queued"
    os.utime(claim, (1.0, 1.0))
    assert counting.status().state == "interrupted"
    assert counting.resume().status().attempt == 3


@pytest.mark.parametrize("death", ["exit", "SIGKILL", "SIGINT"])
def test_job_outlives_the_process_that_started_it(tmp_path: Path, store: JobStore, death: str) -> None:
    code = (
        "import sys; from pathlib import Path; from qwen3ft_jupyter.jobs.store import JobStore\n"
        "from tests.jobs.following import start\n"
        "state, keep, *worker = sys.argv[1:]\n"
        "print(start(JobStore(Path(state), worker=worker), 'count', {'keep': keep}, title='Count').id, flush=True)\n"
        "input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state"), str(tmp_path / "number"), *WORKER]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    ) as kernel:  # fmt: skip
        assert kernel.stdout is not None
        job = store.get(kernel.stdout.readline().strip())
        wait_until(lambda: any(event["type"] == "metrics" for event in job.events()))
        if death != "exit":
            os.killpg(kernel.pid, getattr(signal, death))
    last = job.events()[-1]["n"]
    wait_until(lambda: len(job.events(after=last)) > 50)  # a second's worth
    assert job.status().state == "running"
    job.stop()
    assert done(job)["state"] == "stopped"


# Resume and forget


def test_resumed_job_goes_on_from_what_it_kept(store: JobStore, tmp_path: Path) -> None:
    keep = tmp_path / "number"
    job = start(store, "count", {"keep": str(keep), "enough": 10**9}, title="Count")
    wait_until(keep.exists)
    job.stop()
    done(job)
    reached = int(keep.read_text())
    assert done(stopped_again(job.resume()))["state"] == "stopped"
    assert f"from {reached}" in job.log().text


def test_of_many_who_resume_at_once_one_does(counting: Job) -> None:
    counting.stop()
    done(counting)
    start = threading.Barrier(8)

    def resume(_: int) -> str:
        start.wait()
        try:
            return f"attempt {counting.resume().status().attempt}"
        except WrongJobState:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(resume, range(8)))
    assert outcomes == ["attempt 2", *["refused"] * 7]
    wait_until(lambda: counting.status().state == "running")
    counting.stop()
    done(counting)
    assert counting.log().text.count("--- attempt") == 2


def test_stop_and_resume_at_once_end_in_one_of_both(counting: Job) -> None:
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            pool.submit(counting.stop)
            pool.submit(try_resume, counting)
        wait_until(lambda: counting.status().state in ("running", "stopped"))
        assert len(pids(counting)) <= 2
        counting.stop()
        assert done(counting)["state"] == "stopped"
        counting.resume()
        wait_until(lambda: counting.status().state == "running")


def test_stop_of_the_last_attempt_does_not_stop_the_next(counting: Job) -> None:
    (counting.folder / "stop").touch()
    done(counting)
    counting.resume()
    wait_until(lambda: counting.status().state == "running")
    last = counting.events()[-1]["n"]
    wait_until(lambda: counting.events(after=last + 3) != [])
    assert counting.status().state == "running"


def test_running_job_is_neither_resumed_nor_forgotten(counting: Job) -> None:
    with pytest.raises(WrongJobState, match="running"):
        counting.resume()
    with pytest.raises(WrongJobState, match="Stop it first"):
        counting.forget()


def test_job_that_succeeded_is_not_resumed(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    done(job)
    with pytest.raises(WrongJobState, match="succeeded"):
        job.resume()


def test_forgotten_job_is_gone(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    done(job)
    job.forget()
    assert not job.folder.exists()
    assert store.list() == []
    for question in (job.status, job.stop, job.resume, job.forget, job.wait, job.log, job.events, job.to_dict):
        with pytest.raises(JobNotFound):
            question()


def test_what_somebody_put_into_the_folder_of_a_forgotten_job_stays(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    done(job)
    (job.folder / "notes.txt").write_text("mine")
    (job.folder / "kept").mkdir()
    (job.folder / "kept" / "log.txt").write_text("mine")

    job.forget()

    assert sorted(path.name for path in job.folder.rglob("*")) == ["kept", "log.txt", "notes.txt"]
    assert store.list() == []


def try_resume(job: Job) -> None:
    with contextlib.suppress(WrongJobState):
        job.resume()


def stopped_again(job: Job) -> Job:
    wait_until(lambda: job.log().text.count("from ") == 2)
    job.stop()
    return job


def read_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())
