from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import JobError, JobNotFound
from qwen3ft_jupyter.jobs.store import Job, JobStore
from tests.jobs.following import done, owner, start, wait_until
from tests.lived import CpuTime

if TYPE_CHECKING:
    from pathlib import Path

# Start, follow, finish


def test_job_runs_in_its_own_process_and_returns_its_result(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "add", {"numbers": [1, 2]}, title="Add", cwd=tmp_path)
    status = done(job)
    assert (status["state"], status["error"]) == ("succeeded", None)
    assert status["result"] == {"sum": 3, "attempt": 1, "cwd": str(tmp_path)}
    assert job.created <= status["started"] <= status["ended"]


def test_everything_reported_is_kept(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    status = done(job)
    assert status["progress"]["phase"] == "checking"
    assert status["notices"] == ["one thing you should know"]
    told = [{name: value for name, value in event.items() if name != "t"} for event in job.events()]
    assert told == [
        {"n": 1, "type": "state", "state": "running", "attempt": 1},
        {"n": 2, "type": "phase", "phase": "checking", "detail": ""},
        {"n": 3, "type": "notice", "message": "one thing you should know"},
        {"n": 4, "type": "metrics", "values": {"step": 1, "loss": 0.5}},
        {"n": 5, "type": "metrics", "values": {"step": 2, "loss": None}},
        {"n": 6, "type": "state", "state": "succeeded", "attempt": 1},
    ]
    assert status["averages"] == {"loss": {"first": 0.5, "last": 0.5, "over": 1}}
    assert "adding []" in job.log().text


def test_job_as_the_server_answers_it(store: JobStore) -> None:
    job = start(store, "add", {"numbers": [1]}, title="Add")
    done(job)
    assert store.get(job.id).to_dict() == job.to_dict()
    about = {"id", "kind", "title", "params", "created", "controls"}
    status = {"state", "attempt", "progress", "notices", "error", "result", "averages", "ranks"}
    times = {"started", "updated", "ended"}
    assert set(job.to_dict()) == about | status | times


def test_starting_does_not_wait_for_the_job(store: JobStore, tmp_path: Path) -> None:
    job = start(store, "count", {"keep": str(tmp_path / "number")}, title="Count")  # which never ends by itself
    assert job.status().state in ("queued", "running")


def test_supervisor_has_a_session_of_its_own(counting: Job) -> None:
    assert os.getsid(owner(counting, "supervisor")) == owner(counting, "supervisor")
    counting.stop()
    done(counting)


def test_job_has_a_session_of_its_own_and_no_terminal(store: JobStore) -> None:
    result = done(start(store, "tell_environment", {}, title="Tell"))["result"]
    assert result["session"] == result["pid"] != os.getsid(0)
    assert result["stdin"] == os.devnull


def test_log_takes_chinese_whatever_the_locale(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    job = start(store, "tell_environment", {}, title="Tell")
    done(job)
    assert "模型 ✓" in job.log().text


def test_folder_is_private(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    assert stat.S_IMODE((job.folder / "job.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700


# Failures


def test_error_raised_on_purpose_is_told_without_its_folders(store: JobStore) -> None:
    job = start(store, "refuse", {}, title="Refuse")
    status = done(job)
    assert status["state"] == "failed"
    assert status["error"] == {"code": "no-space", "message": "12 bytes are missing.", "hint": "Make room."}
    assert "folder: /some/where" not in job.log().text


def test_text_of_an_unexpected_error_stays_in_the_log(store: JobStore) -> None:
    job = start(store, "crash", {"text": "hf_secret"}, title="Crash")
    error = done(job)["error"]
    assert error["code"] == "job-failed"
    assert "ValueError" in error["message"]
    assert "hf_secret" not in str(error)
    assert "ValueError: hf_secret" in job.log().text


def test_reports_that_cannot_be_written_do_not_make_the_work_fail(store: JobStore) -> None:
    job = start(store, "report_badly", {}, title="Report")
    wait_until(lambda: any(event.get("state") == "succeeded" for event in job.events()))
    assert done(job)["state"] == "succeeded"
    assert "cannot be written" in job.log().text


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("leave", {"code": 3}, "exit code 3"),
        ("leave", {"code": 0}, "without a result"),
        ("call_exit", {}, "SystemExit"),
        ("signal_self", {"signal": "SIGKILL"}, "SIGKILL"),
        ("signal_self", {"signal": "SIGSEGV"}, "SIGSEGV"),
        ("not_json", {}, "TypeError"),
        ("dance", {}, "no job of the kind dance"),
    ],
)
def test_every_way_of_going_wrong_is_named(store: JobStore, kind: str, params: dict[str, Any], words: str) -> None:
    status = done(start(store, kind, params, title=kind))
    assert status["state"] == "failed"
    assert words in status["error"]["message"]


def test_interpreter_that_is_gone_is_named(tmp_path: Path) -> None:
    job = start(JobStore(tmp_path, worker=["/no/such/python"]), "add", {}, title="Add")
    status = done(job)
    assert status["state"] == "failed"
    assert "could not be started" in status["error"]["message"]
    assert "/no/such/python" in job.log().text


def test_state_folder_that_cannot_be_made_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="QWEN3FT_STATE_DIR"):
        start(JobStore(tmp_path / "file"), "add", {}, title="Add")


@pytest.mark.parametrize("params", [{"token": object()}, {"number": float("nan")}])
def test_params_are_plain_json(store: JobStore, tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        start(store, "add", params, title="Add")
    assert list(tmp_path.rglob("jobs/*")) == []


# Finding


@pytest.mark.parametrize(
    "job_id",
    ["", ".", "..", "../jobs", "/etc/passwd", "20261123-061500-download-3f2a/../x", "20261123-061500-download-3f2a\n",
     "20261123-061500-../..-3f2a", "20261123-061500-download-3F2A", "C:\\x", "x" * 500,
     "20261123-061500-download-3f2a"],
)  # fmt: skip
def test_id_that_is_none_is_not_found(store: JobStore, job_id: str) -> None:
    with pytest.raises(JobNotFound):
        store.get(job_id)


def test_id_is_never_a_way_round(store: JobStore) -> None:
    job = start(store, "add", {"numbers": []}, title="Add")
    done(job)
    for job_id in (f"{job.id}/../{job.id}", f"./{job.id}", str(job.folder), f"{job.id}/"):
        with pytest.raises(JobNotFound):
            store.get(job_id)


@pytest.mark.parametrize("kind", ["", "../x", "Down", "a b", "a-b"])
def test_kind_that_would_not_be_safe_in_a_path_is_refused(store: JobStore, kind: str) -> None:
    with pytest.raises(ValueError, match="kind"):
        start(store, kind, {}, title="x")


def test_jobs_are_listed_newest_first_and_strange_folders_are_passed_over(store: JobStore, tmp_path: Path) -> None:
    ids = [start(store, "add", {"numbers": []}, title=str(number)).id for number in range(3)]
    jobs_dir = tmp_path / "state" / "jobs"
    (jobs_dir / "lost+found").mkdir()
    (jobs_dir / "20261123-061500-download-3f2a").mkdir()
    (jobs_dir / "20261123-061500-download-3f2b").mkdir()
    (jobs_dir / "20261123-061500-download-3f2b" / "job.json").write_text("{")
    assert [job.id for job in store.list()] == ids[::-1]
    for job in store.list():
        done(job)


def test_two_hundred_jobs_are_listed_quickly(store: JobStore, tmp_path: Path) -> None:
    first = start(store, "add", {"numbers": []}, title="Add")
    done(first)
    for number in range(200):
        copy = first.folder.with_name(f"20260101-000000-add-{number:04x}")
        copy.mkdir()
        for name in ("status.json", "attempt-1"):
            (copy / name).write_bytes((first.folder / name).read_bytes())
        (copy / "job.json").write_text((first.folder / "job.json").read_text().replace(first.id, copy.name))
    with CpuTime() as spent:
        listed = [job.to_dict() for job in store.list()]
    assert spent.seconds < 0.3  # 15 ms on an idle machine
    assert len(listed) == 201
