"""What a job says is stored as template and values, so that each reader gets it in a language of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import NotCached, error_from_json
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.folder import JobSpec, read_events, read_spec, read_state, write_spec
from qwen3ft_jupyter.jobs.reporter import JobReporter
from qwen3ft_jupyter.messages import Message, Speaker, render
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from pathlib import Path

LEFT_OUT = Message("{count} other downloads go first", count=3)
CHINESE = "前面还有 3 个下载"


def folder_of(tmp_path: Path, title: str = "Add") -> Path:
    folder = tmp_path / "20260102-030405-add-0000"
    folder.mkdir()
    write_spec(folder, JobSpec(folder.name, "add", title, {}, 1.0, "python", str(tmp_path), 60.0))
    supervisor.write_status(folder, {"attempt": 1, "state": "queued"})
    return folder


def test_notices_and_details_are_stored_as_template_and_values(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    reporter = JobReporter(folder, 1)

    reporter.notice(LEFT_OUT)
    reporter.progress(Progress("preparing", detail=LEFT_OUT))
    reporter.end("stopped")

    written = json.loads((folder / "status.json").read_text("utf-8"))
    stored = {"template": "{count} other downloads go first", "values": {"count": 3}}
    assert written["notices"] == [stored]
    assert written["progress"]["detail"] == stored
    lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line).get("message") for line in lines if '"notice"' in line] == [stored]


def test_what_is_read_is_english_and_can_be_said_in_chinese(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    reporter = JobReporter(folder, 1)
    reporter.notice(LEFT_OUT)
    reporter.progress(Progress("preparing", detail=LEFT_OUT))
    reporter.end("failed", error=NotCached("{name} is not in the cache.", name="a/b").to_json())

    status, events = read_state(folder), read_events(folder, 0)

    assert status.progress is not None
    assert status.error is not None
    assert error_from_json(status.error).to_dict("zh")["message"] == "a/b 不在缓存中。"
    told = [status.notices[0], status.progress.detail, *(event["message"] for event in events if "message" in event)]
    assert told == [str(LEFT_OUT)] * 3
    assert {render(text, "zh") for text in told} == {CHINESE}


def test_a_title_is_stored_as_template_and_values(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Message("Download {name}", name="a/b"))

    assert read_spec(folder).title == "Download a/b"
    assert render(read_spec(folder).title, "zh") == "下载 a/b"


def test_a_result_keeps_its_messages(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    source = Message("mirror {host}", host="10.0.0.5:8900")
    JobReporter(folder, 1).end("succeeded", result={"sources": [{"name": source, "bytes": 5}], "folder": "resume"})

    result = read_state(folder).result

    assert result == {"sources": [{"name": "mirror 10.0.0.5:8900", "bytes": 5}], "folder": "resume"}
    assert Speaker("zh").say_within(result) == {
        "sources": [{"name": "镜像 10.0.0.5:8900", "bytes": 5}],
        "folder": "resume",
    }


def test_what_an_older_version_wrote_is_read_as_it_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    progress = {"phase": "resolving", "detail": "a detail"}
    error = {"code": "no-space", "message": "No room.", "hint": "Free 1 GB."}
    old = {
        "attempt": 1,
        "state": "failed",
        "notices": ["a notice"],
        "progress": progress,
        "error": error,
        "result": {"a": "b"},
    }
    supervisor.write_status(folder, old)

    status = read_state(folder)

    assert status.progress is not None
    assert (status.notices, status.progress.detail, status.error) == (("a notice",), "a detail", error)
    assert status.result == {"a": "b"}


def test_what_the_supervisor_says_is_in_the_readers_language(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    supervisor.write_status(folder, {"attempt": 1, **supervisor.could_not_start(OSError(2, "No such file"))})

    error = read_state(folder).error

    assert error is not None
    assert error["message"] == "The job's process could not be started: No such file."
    assert render(error["message"], "zh") == "无法启动任务进程：No such file。"
