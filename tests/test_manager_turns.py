"""Three clicks on Download are no forty-eight connections: two downloads are at it, the third says that it waits.

So does the second fine-tune or evaluation on one GPU.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog.memory import GIB
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.jobs.listing import Listed
from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
from qwen3ft_jupyter.loading import machine
from qwen3ft_jupyter.loading.machine import Gpu, machine_without_torch
from qwen3ft_jupyter.manager import get_model_manager, turns
from qwen3ft_jupyter.manager.jobs import ModelJobs
from qwen3ft_jupyter.manager.kinds import EVALUATE, FINETUNE
from qwen3ft_jupyter.manager.params import EvaluateParams, FineTuneParams
from qwen3ft_jupyter.manager.turns import AT_ONCE, DOWNLOADS, turns_on
from qwen3ft_jupyter.practice import PRACTICE_FINETUNE, PRACTICE_REPO_ID, data_files
from qwen3ft_jupyter.work import Controls, Progress, Reporter, Work
from tests.jobs.following import LIMIT_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager

WORKING, DONE = JobStatus("running", 1, progress=Progress("transferring")), JobStatus("succeeded", 1)
QUEUED = JobStatus("running", 1, progress=Progress("queued"))
NEW = JobStatus("queued", 1)
WAITING = JobStatus("running", 1, progress=Progress("waiting"))
TRAINING = JobStatus("running", 1, progress=Progress("training"))
LEAST = {"model": "a/b", "data": "train.jsonl"}


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
    assert DOWNLOADS.count_before([*others, listed(5, NEW)], "job-5") == count


def test_of_many_begun_at_one_moment_the_first_two_go() -> None:
    jobs = [listed(number, NEW) for number in range(6)]

    assert [DOWNLOADS.count_before(jobs, f"job-{number}") < AT_ONCE for number in range(6)] == [True, True] + [
        False
    ] * 4


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
        DOWNLOADS.wait(self, self.context(stop))  # type: ignore[arg-type]

    def context(self, stop: threading.Event) -> JobContext:
        return JobContext(Path("job-5"), 1, Work(self, stop))


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


@pytest.fixture
def hub_that_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Takes connections and never answers."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as hub:
        yield f"http://127.0.0.1:{hub.getsockname()[1]}"


def phases(jobs: list[Job]) -> list[str]:
    progresses = [job.status().progress for job in jobs]
    return [progress.phase if progress else "" for progress in progresses]


def end(jobs: list[Job]) -> None:
    for job in jobs:
        job.stop()
        job.wait(LIMIT_S)


def test_of_three_real_downloads_the_third_waits_until_one_is_stopped(tmp_path: Path, hub_that_hangs: str) -> None:
    folders: dict[str, Any] = {"cache_dir": tmp_path / "cache", "state_dir": tmp_path / "state"}
    manager = get_model_manager(**folders, modelscope_endpoint=hub_that_hangs, hf_endpoint=hub_that_hangs)
    jobs = [manager.download(f"someone/model-{number}") for number in range(AT_ONCE + 1)]

    wait_until(lambda: phases(jobs) == ["resolving"] * AT_ONCE + ["queued"])
    jobs[0].stop()
    wait_until(lambda: phases(jobs)[-1] == "resolving")
    end(jobs)


def on_gpu(number: int, status: JobStatus = WORKING, gpu: str = "cuda:0") -> Listed:
    return listed(number, status, kind="finetune", params={"gpu": gpu})


def gpu_of(job: JobSnapshot) -> str:
    return str(job.params.get("gpu", ""))


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([on_gpu(1, TRAINING)], 1),
        ([on_gpu(9, TRAINING)], 1),
        ([on_gpu(1, QUEUED)], 1),
        ([on_gpu(9, QUEUED)], 0),
        ([on_gpu(1, WORKING), on_gpu(2, WAITING)], 0),  # still downloading: they will wait for their turn
        ([on_gpu(1, TRAINING, gpu="cuda:1"), on_gpu(2, TRAINING, gpu=""), listed(3)], 0),
        ([on_gpu(1, DONE)], 0),
        ([on_gpu(1, TRAINING, gpu="cuda:0,cuda:1"), on_gpu(2, TRAINING, gpu="cuda:1,cuda:2")], 1),
    ],
)
def test_which_fine_tunes_on_a_gpu_go_first(others: list[Listed], count: int) -> None:
    assert turns_on("cuda:0", gpu_of).count_before([*others, on_gpu(5, QUEUED)], "job-5") == count


def test_a_fine_tune_on_several_gpus_waits_for_what_is_on_any_of_them() -> None:
    both = on_gpu(5, QUEUED, gpu="cuda:0,cuda:1")
    others = [on_gpu(1, TRAINING), on_gpu(2, TRAINING, gpu="cuda:1"), on_gpu(3, TRAINING, gpu="cuda:2")]

    assert turns_on("cuda:0,cuda:1", gpu_of).count_before([*others, both], "job-5") == 2


def test_a_fine_tune_is_given_the_gpu_that_fewest_want_unless_it_is_to_begin_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = replace(machine_without_torch(), gpus=(Gpu("T4", (7, 5), GIB, GIB),) * 2)
    monkeypatch.setattr(machine, "machine_without_torch", lambda: two)
    manager = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    started: list[FineTuneParams] = []
    monkeypatch.setattr(manager.job_store, "start", lambda _kind, params: started.append(params))
    monkeypatch.setattr(ModelJobs, "active", lambda _self: [(None, params) for params in started])

    for options in ({}, {}, {"device": "cuda:1"}, {"device": "cpu"}, {}):
        manager._model_jobs.fine_tune(FineTuneConfig.from_dict({**LEAST, **options}), at_once=False)
    manager._model_jobs.fine_tune(FineTuneConfig.from_dict(LEAST), at_once=True)

    assert [params.gpu for params in started] == ["cuda:0", "cuda:1", "cuda:1", "", "cuda:0", ""]


def test_an_evaluation_is_given_a_gpu_as_a_fine_tune_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = replace(machine_without_torch(), gpus=(Gpu("T4", (7, 5), GIB, GIB),) * 2)
    monkeypatch.setattr(machine, "machine_without_torch", lambda: two)
    manager = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    started: list[FineTuneParams | EvaluateParams] = []
    monkeypatch.setattr(manager.job_store, "start", lambda _kind, params, **_: started.append(params))
    monkeypatch.setattr(ModelJobs, "active", lambda _self: [(None, params) for params in started])
    jobs = manager._model_jobs

    jobs.fine_tune(FineTuneConfig.from_dict(LEAST), at_once=False)
    for options, at_once in (
        ({}, False),
        ({"device": "cuda:1"}, False),
        ({}, False),
        ({"device": "cpu"}, False),
        ({}, True),
    ):
        config = FineTuneConfig.from_dict({**LEAST, **options}).to_dict()
        jobs.evaluate(EvaluateParams(jobs.starter(), "runs/first", "a/b", config), at_once=at_once)

    assert [params.gpu for params in started] == ["cuda:0", "cuda:1", "cuda:1", "cuda:0", "", ""]
    assert EvaluateParams.from_dict(started[1].to_dict()) == started[1]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ModelManager]:
    """A manager none of whose jobs outlives the test: they would train for hours."""
    found = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    yield found
    end(found.job_store.list())


@pytest.mark.train
def test_of_two_real_fine_tunes_in_one_place_the_second_waits_until_the_first_is_stopped(
    tmp_path: Path, manager: ModelManager
) -> None:
    """Here the place is the CPU; GPUs differ in nothing but their name."""
    steps = {
        "model": PRACTICE_REPO_ID,
        "data": [str(path) for path in data_files()],
        "epochs": 1000,
        "device": "cpu",
    }

    def start(name: str) -> Job:
        config = FineTuneConfig.from_dict({**PRACTICE_FINETUNE, **steps, "output_dir": str(tmp_path / name)})
        params = FineTuneParams(manager._model_jobs.starter(), config.to_dict(), "cpu")
        return manager.job_store.start(FINETUNE, params)

    first = start("first")
    wait_until(lambda: phases([first]) == ["training"])
    second = start("second")
    wait_until(lambda: phases([second]) == ["queued"])
    assert "that go first: 1" in str(second.status().progress)
    first.stop()
    wait_until(lambda: phases([second]) == ["training"])
    end([first, second])
    assert first.status().state == "stopped"


@pytest.mark.train
def test_a_real_evaluation_waits_for_the_fine_tune_in_its_place_unless_it_is_to_begin_at_once(
    tmp_path: Path, manager: ModelManager
) -> None:
    steps = {"model": PRACTICE_REPO_ID, "data": [str(data_files()[0])], "device": "cpu", "epochs": 1000}
    config = FineTuneConfig.from_dict({**PRACTICE_FINETUNE, **steps, "output_dir": str(tmp_path / "first")})
    jobs = manager._model_jobs
    first = manager.job_store.start(FINETUNE, FineTuneParams(jobs.starter(), config.to_dict(), "cpu"))
    wait_until(lambda: phases([first]) == ["training"])

    asked = EvaluateParams(jobs.starter(), PRACTICE_REPO_ID, PRACTICE_REPO_ID, config.to_dict())
    second = manager.job_store.start(EVALUATE, replace(asked, gpu="cpu"))
    wait_until(lambda: phases([second]) == ["queued"])
    assert "that go first: 1" in str(second.status().progress)
    at_once = manager.evaluate(PRACTICE_REPO_ID, data_files()[1], at_once=True, device="cpu", max_length=200)
    assert at_once.wait(LIMIT_S).state == "succeeded"
    assert phases([second]) == ["queued"]
    first.stop()
    wait_until(lambda: phases([second]) not in (["queued"], [""]))
    end([first, second])
    assert [job.status().state for job in (first, second)] == ["stopped", "stopped"]
