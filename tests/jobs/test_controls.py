"""A job is paused, slowed down and let go on while it runs, by whoever can write into its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, JobError, JobNotFound, WrongJobState
from qwen3ft_jupyter.jobs import supervisor, worker
from qwen3ft_jupyter.jobs.folder import read_controls
from tests.jobs.following import WORKER, done, kill, owner, start, wait_until

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.store import Job, JobStore

REPO = Path(__file__).parents[2]
FELT_S = 1.0
"""How long a change may take to be felt by the worker, on a machine that has time for it."""


@pytest.fixture
def number(tmp_path: Path) -> Path:
    return tmp_path / "number"


@pytest.fixture
def obeying(store: JobStore, number: Path) -> Job:
    """A job at work that obeys."""
    job = start(store, "obey", {"keep": str(number)}, title="Obey", max_speed=None)
    wait_until(lambda: len(orders(job)) == 1)
    return job


def orders(job: Job) -> list[dict[str, Any]]:
    """Return what the worker was told, each change once."""
    return [event["values"] for event in job.events() if event["type"] == "metrics"]


def phase(job: Job) -> str:
    progress = job.status().progress
    return progress.phase if progress else ""


def wait_until_felt(job: Job, order: dict[str, Any]) -> None:
    """Wait until the worker has been told."""
    wait_until(lambda: orders(job)[-1] == order)


# Pause and go on


def test_whatever_is_asked_is_felt_within_a_second() -> None:
    """The worker looks for changes and stops, the supervisor for stops."""
    assert max(worker._PULSE_S, supervisor.TICK_S) <= FELT_S / 4


def test_pause_is_felt_and_going_on_too(obeying: Job, number: Path) -> None:
    obeying.pause()
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 0.0})
    assert obeying.to_dict()["controls"] == {"paused": True, "max_speed": None}
    wait_until(lambda: phase(obeying) == "paused")
    assert obeying.status().state == "running"
    rested = number.read_text()

    assert obeying.resume() is obeying
    wait_until_felt(obeying, {"paused": 0.0, "max_speed": 0.0})
    wait_until(lambda: int(number.read_text() or 0) > int(rested))
    assert obeying.status().attempt == 1
    assert obeying.to_dict()["controls"] == {"paused": False, "max_speed": None}


def test_a_paused_job_does_nothing(obeying: Job, number: Path) -> None:
    obeying.pause()
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 0.0})
    rested = number.read_text()
    obeying.limit(5)
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 5.0})  # its process is alive
    assert number.read_text() == rested


def test_who_watches_the_status_learns_of_every_change(obeying: Job) -> None:
    obeying.pause()
    wait_until(lambda: phase(obeying) == "paused")
    updated = obeying.status().updated
    obeying.limit(5)  # which makes the work itself say nothing
    wait_until(lambda: obeying.status().updated != updated)
    obeying.resume()
    wait_until_felt(obeying, {"paused": 0.0, "max_speed": 5.0})
    told = [(event["paused"], event["max_speed"]) for event in obeying.events() if event["type"] == "controls"]
    assert told == [(True, None), (True, 5), (False, 5)]


def test_pausing_twice_is_pausing_once(obeying: Job) -> None:
    obeying.pause()
    obeying.pause()
    obeying.resume()
    assert obeying.to_dict()["controls"] == {"paused": False, "max_speed": None}


def test_paused_job_stops_by_itself(obeying: Job) -> None:
    obeying.pause()
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 0.0})
    obeying.stop()
    status = done(obeying)
    assert (status["state"], status["notices"]) == ("stopped", [])


def test_what_was_stopped_while_it_rested_goes_on_when_it_is_resumed(obeying: Job) -> None:
    obeying.limit(5)
    obeying.pause()
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 5.0})
    obeying.stop()
    done(obeying)
    assert obeying.to_dict()["controls"] == {"paused": False, "max_speed": 5}  # what is over does not rest

    obeying.resume()
    wait_until(lambda: orders(obeying)[-1] == {"paused": 0.0, "max_speed": 5.0})
    assert obeying.status().attempt == 2


def test_job_that_died_while_it_rested_goes_on_when_it_is_resumed(obeying: Job) -> None:
    obeying.pause()
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 0.0})
    kill(owner(obeying, "supervisor"), owner(obeying, "worker"))
    assert obeying.to_dict()["controls"] == {"paused": False, "max_speed": None}
    assert obeying.resume().status().attempt == 2
    wait_until(lambda: orders(obeying)[-1] == {"paused": 0.0, "max_speed": 0.0})


def test_job_paused_before_its_worker_has_come_up_does_not_begin(store: JobStore, number: Path) -> None:
    job = start(store, "obey", {"keep": str(number)}, title="Obey", max_speed=None)
    job.pause()
    wait_until(lambda: phase(job) == "paused" or number.exists())
    if len(orders(job)) == 1:  # else the worker was faster than we
        assert orders(job) == [{"paused": 1.0, "max_speed": 0.0}]
        assert not number.exists()


@pytest.mark.parametrize("death", ["exit", "SIGKILL"])
def test_controls_work_when_the_process_that_started_the_job_has_gone(
    tmp_path: Path, store: JobStore, number: Path, death: str
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from qwen3ft_jupyter.jobs.store import JobStore; from tests.jobs.following import start\n"
        "state, keep, *worker = sys.argv[1:]\n"
        "job = start(JobStore(Path(state), worker=worker), 'obey', {'keep': keep}, title='Obey', max_speed=None)\n"
        "job.pause(); print(job.id, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state"), str(number), *WORKER]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(REPO)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as kernel:  # fmt: skip
        assert kernel.stdout is not None
        job = store.get(kernel.stdout.readline().strip())
        if death != "exit":
            os.killpg(kernel.pid, getattr(signal, death))
    wait_until(lambda: phase(job) == "paused")
    assert job.to_dict()["controls"] == {"paused": True, "max_speed": None}
    job.resume()
    job.limit(7)
    wait_until(lambda: orders(job)[-1] == {"paused": 0.0, "max_speed": 7.0})
    job.stop()
    assert done(job)["state"] == "stopped"


# Speed


def test_limit_changes_while_the_job_runs(obeying: Job) -> None:
    for speed, told in ((20_000_000, 2e7), (1, 1.0), (None, 0.0)):
        obeying.limit(speed)
        wait_until_felt(obeying, {"paused": 0.0, "max_speed": told})
        assert obeying.to_dict()["controls"] == {"paused": False, "max_speed": speed}


def test_job_begins_with_the_limit_it_was_given(store: JobStore, number: Path) -> None:
    job = start(store, "obey", {"keep": str(number)}, title="Obey", max_speed=9)
    wait_until(lambda: orders(job) != [])
    assert orders(job)[0] == {"paused": 0.0, "max_speed": 9.0}


def test_limit_and_pause_at_once_do_not_undo_each_other(obeying: Job) -> None:
    for speed in range(1, 40):
        obeying.resume() if speed > 1 else None
        with ThreadPoolExecutor(2) as pool:
            for told in (pool.submit(obeying.pause), pool.submit(obeying.limit, speed)):
                told.result()
        assert obeying.to_dict()["controls"] == {"paused": True, "max_speed": speed}


@pytest.mark.parametrize("speed", [0, -1, True])
def test_speed_that_is_none_is_refused_by_name(obeying: Job, speed: int) -> None:
    with pytest.raises(BadInput, match="max_speed"):
        obeying.limit(speed)


# Refusals


def test_job_that_takes_no_changes_says_so(counting: Job) -> None:
    assert counting.to_dict()["controls"] is None
    with pytest.raises(WrongJobState, match="kind count cannot be paused"):
        counting.pause()
    with pytest.raises(WrongJobState, match="kind count cannot be slowed down"):
        counting.limit(5)
    assert not (counting.folder / "controls.json").exists()


def test_job_that_is_stopping_or_over_is_neither_paused_nor_slowed_down(obeying: Job) -> None:
    obeying.stop()
    with pytest.raises(WrongJobState, match=r"is (stopping|stopped) and cannot be paused"):
        obeying.pause()
    done(obeying)
    with pytest.raises(WrongJobState, match="is stopped and cannot be slowed down"):
        obeying.limit(5)
    obeying.forget()
    with pytest.raises(JobNotFound):
        obeying.pause()


def test_job_that_works_is_not_resumed(obeying: Job) -> None:
    with pytest.raises(WrongJobState, match="running"):
        obeying.resume()


def test_folder_that_cannot_be_written_is_an_error_with_a_cure(obeying: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("qwen3ft_jupyter.jobs.folder.os.open", full)
        with pytest.raises(JobError, match="No space left") as caught:
            obeying.pause()
    assert "QWEN3FT_STATE_DIR" in caught.value.hint
    assert list(obeying.folder.glob(".controls*")) == []


# What is written


@pytest.mark.parametrize(
    ("written", "speed", "is_paused"),
    [
        ("", None, False),
        ("[1]", None, False),
        ('{"paused": 1, "max_speed": "9"}', None, False),
        ('{"paused": true, "max_speed": true}', None, True),
        ('{"max_speed": -4}', None, False),
        ('{"max_speed": 8, "of a later version": 1}', 8, False),
    ],
)
def test_garbled_controls_are_none(tmp_path: Path, written: str, speed: int | None, *, is_paused: bool) -> None:
    (tmp_path / "controls.json").write_text(written)
    found = read_controls(tmp_path)
    assert found is not None
    assert (found.is_paused, found.max_speed) == (is_paused, speed)


def test_controls_that_vanish_leave_the_worker_as_it_was(obeying: Job, number: Path) -> None:
    obeying.limit(5)
    wait_until_felt(obeying, {"paused": 0.0, "max_speed": 5.0})
    (obeying.folder / "controls.json").unlink()
    reached = int(number.read_text() or 0)
    wait_until(lambda: int(number.read_text() or 0) > reached + 50)  # a second's worth of work
    assert orders(obeying)[-1] == {"paused": 0.0, "max_speed": 5.0}


def test_another_process_needs_only_the_folder(obeying: Job) -> None:
    (obeying.folder / "controls.json").write_text(json.dumps({"paused": True, "max_speed": 3}))
    wait_until_felt(obeying, {"paused": 1.0, "max_speed": 3.0})


def test_stop_and_controls_are_private(obeying: Job) -> None:
    obeying.stop()
    assert [(obeying.folder / name).stat().st_mode & 0o777 for name in ("stop", "controls.json")] == [0o600, 0o600]
