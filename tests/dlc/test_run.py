"""A job whose launcher is pai-dlc submits once and follows what it submitted, by the real client over loopback."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from qwen3ft_jupyter.dlc.command import LACKS_WORDS
from qwen3ft_jupyter.dlc.follow import Follower, Pace
from qwen3ft_jupyter.dlc.record import read_record
from qwen3ft_jupyter.dlc.run import delete_there, run
from qwen3ft_jupyter.dlc.service import Service
from qwen3ft_jupyter.errors import BadConfig, BadData, JobFailed, Stopped
from qwen3ft_jupyter.jobs.folder import goes_on_elsewhere
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.work import Progress, Reporter, Work
from tests.dlc.conftest import SECRET
from tests.dlc.inner import InnerJob
from tests.dlc.service import DROPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.results import Outcome
    from tests.dlc.service import PlayedDlc

PACE = Pace(first_s=0.02, most_s=0.05, look_s=0.01, ask_s=30.0, end_s=5.0)
WAITS_S = (0.01, 0.01, 0.01)


class Ear(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[Progress] = []
        self.notices: list[str] = []
        self.rows: list[dict[str, float]] = []

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress)

    def notice(self, message: str) -> None:
        self.notices.append(str(message))

    def metrics(self, values: Mapping[str, float]) -> None:
        self.rows.append(dict(values))


@dataclass
class Stage:
    """A job here, the service, and the mount that both have."""

    dlc: PlayedDlc
    config: FineTuneConfig
    mount: Path
    model_folder: Path
    context: JobContext

    @property
    def ear(self) -> Ear:
        return ear_of(self.context)

    def follow(self, context: JobContext | None = None) -> Outcome:
        return run(self.config, self.model_folder, context or self.context, pace=PACE, waits_s=WAITS_S)

    def inner(self, number: int = 1) -> InnerJob:
        """Begin the job of the containers of a submission."""
        return InnerJob(self.mount / "run" / "dlc" / f"{self.context.folder.name}-{number}", number)

    def trains(self) -> None:
        """Let what is submitted train two steps and succeed."""
        begun: list[InnerJob] = []

        def on_get(job: dict[str, Any], _number: int) -> None:
            if job["Status"] == "Running":
                begun.append(self.inner())
                begun[0].step(1)
            elif job["Status"] == "Succeeded":
                begun[0].step(2)
                begun[0].succeed("/elsewhere/run")

        self.dlc.on_get = on_get

    def trains_again(self) -> None:
        """Let the second submission succeed at once."""

        def on_get(job: dict[str, Any], _number: int) -> None:
            if job["Status"] == "Running":
                self.inner(2).succeed("run")

        self.dlc.on_get, self.dlc.states = on_get, ["Running", "Succeeded"]


def ear_of(context: JobContext) -> Ear:
    assert isinstance(context.work.reporter, Ear)
    return context.work.reporter


@pytest.fixture
def stage(dlc: PlayedDlc, config: FineTuneConfig, mount: Path, model_folder: Path, tmp_path: Path) -> Stage:
    folder = tmp_path / "state" / "20260101-120000-finetune-0a1b"
    folder.mkdir(parents=True)
    return Stage(dlc, config, mount, model_folder, JobContext(folder, 1, Work(Ear())))


def run_killed(stage: Stage, patch: pytest.MonkeyPatch, cls: type, name: str, die: Callable[..., object]) -> None:
    """Run a job whose process is killed in a method."""
    with patch.context() as inner:
        inner.setattr(cls, name, die)
        with pytest.raises(Killed):
            stage.follow()


def test_a_job_is_submitted_followed_and_its_result_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.trains()

    outcome = stage.follow()

    assert outcome.steps == 2
    told = stage.ear
    assert [row["step"] for row in told.rows] == [1, 2]
    assert [str(each.detail) for each in told.phases if each.phase == "queued"][1:] == [
        "PAI-DLC: Creating",
        "PAI-DLC: Queuing",
    ]
    assert Progress("training", 1, 2, "steps") in told.phases
    page = "https://pai.console.aliyun.com/?regionId=cn-hangzhou&workspaceId=1234#/dlc/jobs/dlc1/overview"
    assert told.notices == [f"Submitted to PAI-DLC as dlc1: {page}"]
    log = capsys.readouterr().out
    assert log.count("PAI-DLC: Pulled the image") == 1
    assert log.count("dlc1-worker-0: training") == 1
    job = stage.dlc.jobs["dlc1"]
    assert job["JobType"] == "PyTorchJob"
    assert {name: value for name, value in job["JobSpecs"][0].items() if value} == {
        "Type": "Worker",
        "PodCount": 1,
        "Image": "registry.example/pai/torch:2.10",
        "EcsSpec": "ecs.gn7i-c8g1.2xlarge",
    }
    assert job["DataSources"] == [{"DataSourceId": "d-abc", "MountPath": str(stage.mount)}]
    assert len(json.dumps(job)) < 4096
    sent = yaml.safe_load((stage.mount / "run/dlc" / f"{stage.context.folder.name}-1" / "config.yaml").read_text())
    assert not {"launcher", "dlc"} & sent.keys()
    assert (read_record(stage.context.folder) or pytest.fail("no record")).is_over


def test_no_secret_is_written_anywhere(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even if the service repeats it."""
    stage.trains()
    stage.dlc.log_lines = [f"someone prints LTAI5tTestTestTest and {SECRET}"]

    stage.follow()

    files = [path for path in stage.mount.parent.rglob("*") if path.is_file()]
    written = "".join(path.read_text(errors="replace") for path in files) + json.dumps(stage.dlc.jobs)
    written += capsys.readouterr().out + str(stage.ear.notices)
    assert "someone prints *** and ***" in written
    assert SECRET not in written
    assert "LTAI5tTestTestTest" not in written


def test_what_took_effect_without_an_answer_is_not_submitted_twice(stage: Stage) -> None:
    stage.trains()
    stage.dlc.fail("CreateJob", DROPPED, is_done=True)

    stage.follow()

    assert list(stage.dlc.jobs) == ["dlc1"]
    assert (stage.dlc.count("CreateJob"), stage.dlc.count("ListJobs")) == (1, 1)


@pytest.mark.parametrize("is_done", [True, False], ids=["it took effect", "it was lost"])
def test_what_may_have_taken_effect_is_found_again_after_a_look_for_it_was_refused(
    stage: Stage, *, is_done: bool
) -> None:
    """A second paid job in the same folder must not come of it."""
    stage.trains()
    stage.dlc.fail("CreateJob", DROPPED, is_done=is_done)
    stage.dlc.fail("ListJobs", 403, "Forbidden.RAM", "no")

    with pytest.raises(JobFailed, match="may not call ListJobs"):
        stage.follow()
    assert goes_on_elsewhere(stage.context.folder)
    stage.follow(replace(stage.context, attempt=2))

    assert list(stage.dlc.jobs) == ["dlc1"]
    assert stage.dlc.count("CreateJob") == (1 if is_done else 2)


def test_a_job_that_used_up_the_quota_before_it_was_listed_is_found_when_the_next_try_is_refused(stage: Stage) -> None:
    stage.trains()
    stage.dlc.fail("CreateJob", DROPPED)
    stage.dlc.fail("CreateJob", 400, "QuotaExceeded", "8 of 8 GPUs", is_done=True)

    stage.follow()

    assert list(stage.dlc.jobs) == ["dlc1"]


def test_keys_that_are_not_known_are_no_sign_that_a_job_is_gone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alibaba Cloud answers 404 to them, too."""
    stage.trains()
    stage.dlc.states = ["Running", "Succeeded"]

    def die(*_: object) -> None:
        raise Killed

    run_killed(stage, monkeypatch, Follower, "_rest", die)
    stage.dlc.fail("GetJob", 404, "InvalidAccessKeyId.NotFound", "no such key")
    with pytest.raises(JobFailed, match="does not take the credentials"):
        stage.follow(replace(stage.context, attempt=2))

    assert goes_on_elsewhere(stage.context.folder)
    assert stage.dlc.count("CreateJob") == 1


def test_what_is_busy_or_fails_is_asked_again(stage: Stage) -> None:
    stage.trains()
    stage.dlc.fail("CreateJob", 429, "Throttling.User", "slower")
    stage.dlc.fail("GetJob", 500, "InternalError", "oops")
    stage.dlc.fail("GetJob", 503, "ServiceUnavailable", "oops")
    stage.dlc.fail("GetPodLogs", 400, "InvalidParameter", "no pod yet")

    stage.follow()

    assert list(stage.dlc.jobs) == ["dlc1"]


def test_a_service_that_is_away_for_long_ends_no_job(stage: Stage) -> None:
    stage.trains()
    plain = stage.dlc.on_get

    def on_get(job: dict[str, Any], number: int) -> None:
        plain(job, number)
        for _ in range(2 * (len(WAITS_S) + 1) if number == 2 else 0):
            stage.dlc.fail("GetJob", DROPPED)

    stage.dlc.on_get = on_get

    outcome = stage.follow()

    assert outcome.steps == 2
    away = [notice for notice in stage.ear.notices if "cannot be reached" in notice]
    assert len(away) == 1
    assert stage.ear.notices.count("The job goes on there, and is asked for again and again.") == 1


class Killed(BaseException):
    """What ends a job's process."""


def test_a_job_here_that_died_finds_its_job_there_and_what_was_told_is_not_told_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.trains()
    stage.dlc.states = ["Running", "Succeeded"]

    def die(*_: object) -> None:
        raise Killed

    run_killed(stage, monkeypatch, Follower, "_rest", die)
    again = replace(stage.context, attempt=2, work=Work(Ear()))
    outcome = stage.follow(again)

    assert outcome.steps == 2
    assert list(stage.dlc.jobs) == ["dlc1"]
    assert [row["step"] for row in stage.ear.rows + ear_of(again).rows] == [1, 2]
    assert ear_of(again).notices == ["Found again at PAI-DLC: dlc1."]


def test_a_job_here_that_died_while_it_submitted_finds_what_it_submitted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.trains()

    def die(service: Service, spec: Mapping[str, Any]) -> str:
        create(service, spec)
        raise Killed

    create = Service.create
    run_killed(stage, monkeypatch, Service, "create", die)
    stage.follow(replace(stage.context, attempt=2))

    assert list(stage.dlc.jobs) == ["dlc1"]
    assert stage.dlc.count("CreateJob") == 1


def test_a_stop_is_asked_of_the_fine_tune_first_and_resuming_goes_on_with_another_job(stage: Stage) -> None:
    begun: list[InnerJob] = []

    def on_get(job: dict[str, Any], _number: int) -> None:
        if not begun:
            begun.append(stage.inner())
            begun[0].step(1)
        stage.context.work.stop.set()

    stage.dlc.on_get, stage.dlc.states = on_get, ["Running"]
    watch = threading.Thread(target=_end_when_asked, args=(begun, stage.dlc), daemon=True)
    watch.start()

    with pytest.raises(Stopped, match="the checkpoint is kept"):
        stage.follow()
    watch.join(60)

    assert stage.dlc.count("StopJob") == 0
    stage.trains_again()
    stage.follow(replace(stage.context, attempt=2, work=Work(Ear())))
    assert [job["DisplayName"][-2:] for job in stage.dlc.jobs.values()] == ["-1", "-2"]


def _end_when_asked(begun: list[InnerJob], dlc: PlayedDlc) -> None:
    while not begun or not begun[0].is_asked_to_stop:
        threading.Event().wait(0.01)
    dlc.jobs["dlc1"].update(Status="Failed", is_stopped=True)
    begun[0].end("stopped")


@pytest.mark.parametrize("refused", [False, True], ids=["told in time", "the service refuses to end what has ended"])
def test_a_stop_that_meets_the_end_tells_how_the_fine_tune_ended(stage: Stage, *, refused: bool) -> None:
    def on_get(job: dict[str, Any], number: int) -> None:
        if number == 1:
            stage.inner().succeed("run")
            stage.context.work.stop.set()
        elif refused and stage.dlc.count("StopJob"):
            job["Status"] = "Succeeded"

    stage.dlc.on_get = on_get
    stage.dlc.states = ["Running"] if refused else ["Running", "Succeeded"]
    stage.dlc.fail("StopJob", 400, "InvalidStatus", "it has ended")

    outcome = run(stage.config, stage.model_folder, stage.context, pace=replace(PACE, end_s=0.05), waits_s=WAITS_S)

    assert outcome.steps == 2
    assert stage.dlc.count("StopJob") == refused
    assert not goes_on_elsewhere(stage.context.folder)


def test_a_fine_tune_that_fails_as_it_is_stopped_tells_its_error_and_its_job_is_ended(stage: Stage) -> None:
    """Also if the service would start its container again."""

    def on_get(_job: dict[str, Any], number: int) -> None:
        if number == 1:
            stage.inner().end("failed", error=BadData("train.jsonl row 3 has no answer.").to_json())
            stage.context.work.stop.set()

    stage.dlc.on_get, stage.dlc.states = on_get, ["Running"]

    with pytest.raises(BadData, match=r"row 3 has no answer"):
        run(stage.config, stage.model_folder, stage.context, pace=replace(PACE, end_s=0.05), waits_s=WAITS_S)

    assert stage.dlc.jobs["dlc1"]["Status"] == "Stopped"


def test_a_job_that_ended_while_it_waited_is_not_told_as_stopped(stage: Stage) -> None:
    stage.dlc.states = ["Queuing", "Failed"]
    stage.dlc.on_create = lambda job: job.update(ReasonCode="Preempted", ReasonMessage="the image is gone")
    stage.dlc.on_get = lambda _job, _number: stage.context.work.stop.set()

    with pytest.raises(JobFailed, match="the image is gone"):
        stage.follow()

    assert stage.dlc.count("StopJob") == 0


def test_a_stop_before_the_containers_run_ends_the_job_there(stage: Stage) -> None:
    stage.dlc.states = ["Queuing"]
    stage.dlc.on_get = lambda _job, _number: stage.context.work.stop.set()

    with pytest.raises(Stopped):
        stage.follow()

    assert stage.dlc.count("StopJob") == 1
    assert stage.dlc.jobs["dlc1"]["Status"] == "Stopped"


def test_what_the_fine_tune_failed_with_is_told_as_if_it_had_run_here(stage: Stage) -> None:
    stage.dlc.states = ["Running", "Failed"]
    error = BadData("train.jsonl row 3 has no answer.").to_json()

    def on_get(job: dict[str, Any], _number: int) -> None:
        if job["Status"] == "Failed":
            stage.inner().end("failed", error=error)

    stage.dlc.on_get = on_get

    with pytest.raises(BadData, match=r"row 3 has no answer"):
        stage.follow()


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (["Traceback"], r"The job dlc1 failed at PAI-DLC: OOMKilled: memory"),
        ([LACKS_WORDS], r"The containers of PAI-DLC have no qwen3ft_jupyter.*dlc\.install"),
    ],
    ids=["another reason", "the package is missing"],
)
def test_a_container_that_fails_before_the_fine_tune_is_told_with_a_cure(
    stage: Stage, log: list[str], said: str
) -> None:
    stage.dlc.states, stage.dlc.log_lines = ["Running", "Failed"], log
    stage.dlc.on_create = lambda job: job.update(ReasonCode="OOMKilled", ReasonMessage="memory")

    with pytest.raises(JobFailed, match=said):
        stage.follow()


def test_a_state_that_nobody_knows_is_told_once_and_followed(stage: Stage) -> None:
    stage.trains()
    stage.dlc.states = ["Pondering", "Pondering", "Running", "Succeeded"]

    stage.follow()

    assert sum("Pondering" in notice for notice in stage.ear.notices) == 1


@pytest.mark.parametrize(
    ("status", "code", "words", "said"),
    [
        (403, "Forbidden.RAM", "no", r"may not call CreateJob: .*paidlc:CreateJob"),
        (400, "InvalidParameter", "EcsSpec is unknown", r"does not take the job: .*EcsSpec is unknown.*group dlc"),
        (400, "ResourceQuotaExceeded", "only 8 GPUs", r"has no room for the job: .*only 8 GPUs.*Take fewer"),
        (
            403,
            "NoPermission",
            "quota1a2b is not yours",
            r"may not call CreateJob: .*quota1a2b.*a role in the workspace",
        ),
        (404, "ResourceQuotaNotFound", "no quota1a2b", r"does not know what was asked for .*quota1a2b.*dlc\.workspace"),
        (400, "InvalidParameter", "quota1a2b has no 9 GPUs", r"does not take the job: .*quota1a2b"),
        (400, "NotEnoughBalance", "top up", r"cannot pay for the job: .*top up"),
        (400, "QuotaExceeded", "8 of 8", r"has no room for the job: .*8 of 8"),
        (401, "", "quota1a2b", r"does not take the credentials"),
        (404, "InvalidAccessKeyId.NotFound", "LTAI5tTestTestTest", r"does not take the credentials.*RAM role"),
    ],
)
def test_a_refusal_says_what_to_do_and_leaves_a_job_that_may_be_forgotten(
    stage: Stage, status: int, code: str, words: str, said: str
) -> None:
    stage.dlc.fail("CreateJob", status, code, words)

    with pytest.raises(JobFailed, match=said) as caught:
        stage.follow()

    assert "LTAI" not in str(caught.value)
    assert stage.dlc.count("CreateJob") == 1
    assert not goes_on_elsewhere(stage.context.folder)


def test_what_may_still_run_elsewhere_keeps_its_job_from_being_forgotten(stage: Stage) -> None:
    stage.trains()
    stage.dlc.on_create = lambda _job: seen.append(goes_on_elsewhere(stage.context.folder))
    seen: list[bool] = []

    stage.follow()

    assert seen == [True]
    assert not goes_on_elsewhere(stage.context.folder)


def test_a_model_that_another_program_keeps_is_refused(stage: Stage) -> None:
    (stage.model_folder / ".qwen3ft" / "manifest.json").unlink()

    with pytest.raises(BadConfig, match=r"MODEL_CACHE_DIR: .*another program.*--force"):
        stage.follow()


def test_what_was_submitted_is_deleted_there_only_when_it_is_asked_for_and_over(stage: Stage) -> None:
    stage.trains()
    stage.dlc.on_create = lambda _job: delete_there(stage.config, stage.context.folder, waits_s=WAITS_S)

    stage.follow()
    before = list(stage.dlc.jobs)
    delete_there(stage.config, stage.context.folder, waits_s=WAITS_S)

    assert (before, stage.dlc.jobs) == (["dlc1"], {})


def test_what_an_earlier_job_left_in_the_folder_stays_and_is_not_followed(stage: Stage) -> None:
    earlier = InnerJob(stage.mount / "run" / "dlc" / "20250101-120000-finetune-ffff-1")
    earlier.step(9)
    earlier.end("failed", error=BadData("Of another job.").to_json())
    before = (earlier.folder / "events.jsonl").read_bytes()
    stage.trains()

    outcome = stage.follow()

    assert outcome.steps == 2
    assert [row["step"] for row in stage.ear.rows] == [1, 2]
    assert (earlier.folder / "events.jsonl").read_bytes() == before
