"""Three clicks on Download are no forty-eight connections: two downloads are at it, the third says that it waits."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.jobs.listing import Listed
from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
from qwen3ft_jupyter.manager import get_model_manager, turns
from qwen3ft_jupyter.manager.turns import AT_ONCE, count_before, wait_for_turn
from qwen3ft_jupyter.work import Controls, Progress, Reporter, Work
from tests.jobs.following import LIMIT_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

WORKING, DONE = JobStatus("running", 1, progress=Progress("transferring")), JobStatus("succeeded", 1)
QUEUED = JobStatus("running", 1, progress=Progress("queued"))
NEW = JobStatus("queued", 1)
WAITING = JobStatus("running", 1, progress=Progress("waiting"))


def listed(number: int, status: JobStatus = WORKING, **about: Any) -> Listed:
    job = JobSnapshot(f"job-{number}", "download", "", float(number), {}, status, Controls())
    return Listed(None, replace(job, **about))  # type: ignore[arg-type] # the job itself is asked for nothing


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([], 0),
        ([listed(1), listed(2)], 2),
        ([listed(8), listed(9)], 2),  # begun later, resumed earlier: at work all the same
        ([listed(1, NEW), listed(2, QUEUED)], 2),  # they were here first
        ([listed(8, NEW), listed(9, QUEUED)], 0),
        ([listed(1, DONE), listed(2, replace(DONE, state="interrupted"))], 0),
        ([listed(1, kind="finetune"), listed(2, kind="verify")], 0),
        ([listed(1, controls=Controls(is_paused=True))], 0),
        ([listed(1, WAITING)], 0),
    ],
)
def test_who_goes_first(others: list[Listed], count: int) -> None:
    assert count_before([*others, listed(5, NEW)], "job-5") == count


def test_of_many_begun_at_one_moment_the_first_two_go() -> None:
    jobs = [listed(number, NEW) for number in range(6)]

    assert [count_before(jobs, f"job-{number}") < AT_ONCE for number in range(6)] == [True, True] + [False] * 4


class Played(Reporter):
    """Jobs that change each time they are looked at, and what the one that waits says."""

    def __init__(self, *looks: list[Listed]) -> None:
        self.looks = list(looks)
        self.told: list[Progress] = []
        self.on_progress: Callable[[], object] = lambda: None

    def read_all(self) -> list[Listed]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)
        self.on_progress()

    def wait(self, stop: threading.Event) -> None:
        context = JobContext(Path("job-5"), 1, Work(self, stop))
        wait_for_turn(self, context)  # type: ignore[arg-type]


def test_a_download_says_that_it_waits_and_begins_when_one_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LOOK_S", 0.0)
    own = listed(5, NEW)
    played = Played([listed(1), listed(2), own], [listed(1), listed(2), own], [listed(1, DONE), listed(2), own])

    played.wait(threading.Event())

    assert [(progress.phase, str(progress.detail)) for progress in played.told] == [
        ("queued", "2 other downloads go first")
    ] * 2


def test_a_download_that_waits_is_stopped_at_once() -> None:
    stop = threading.Event()
    played = Played([listed(1), listed(2), listed(5, NEW)])
    played.on_progress = stop.set

    with pytest.raises(Stopped):
        played.wait(stop)


def test_of_three_real_downloads_the_third_waits_until_one_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their hub takes connections and never answers."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as hub:
        url = f"http://127.0.0.1:{hub.getsockname()[1]}"
        manager = get_model_manager(
            cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", modelscope_endpoint=url, hf_endpoint=url
        )
        jobs = [manager.download(f"someone/model-{number}") for number in range(AT_ONCE + 1)]

        def phases() -> list[str]:
            progresses = [job.status().progress for job in jobs]
            return [progress.phase if progress else "" for progress in progresses]

        wait_until(lambda: phases() == ["resolving"] * AT_ONCE + ["queued"])
        jobs[0].stop()
        wait_until(lambda: phases()[-1] == "resolving")
        for job in jobs:
            job.stop()
            job.wait(LIMIT_S)
