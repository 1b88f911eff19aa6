from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.folder import read_events
from qwen3ft_jupyter.jobs.supervisor import EventLog, Supervision, count_oom_kills, describe_end, urgency
from qwen3ft_jupyter.messages import from_json
from qwen3ft_jupyter.processes import ProcessIdentity


def end(returncode: int, *, oom: bool = False, asked: str = "", sent: str = "") -> dict[str, Any]:
    return in_words(describe_end(returncode, is_out_of_memory=oom, asked=asked, sent=sent))


def in_words(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status as a reader of the file has it."""
    error = {name: from_json(text) for name, text in status.get("error", {}).items()}
    return {**status, "error": error, "notices": [from_json(notice) for notice in status.get("notices", [])]}


def test_kill_by_the_out_of_memory_killer_is_told_from_any_other_kill() -> None:
    assert "memory ran out" in end(-9, oom=True)["error"]["message"]
    assert end(-9)["error"]["message"] == "The job was killed (SIGKILL)."


def test_out_of_memory_kill_of_another_process_is_not_blamed() -> None:
    assert "memory" not in end(1, oom=True)["error"]["message"]


@pytest.mark.parametrize(("returncode", "words"), [(-11, "SIGSEGV"), (-60, "signal 60"), (3, "code 3"), (0, "without")])
def test_silent_end_is_named(returncode: int, words: str) -> None:
    found = end(returncode)
    assert found["state"] == "failed"
    assert words in found["error"]["message"]
    assert found["error"]["code"] == "job-failed"


def test_job_that_is_killed_for_not_stopping_has_stopped() -> None:
    found = end(-9, asked="stop", sent="kill")
    assert found["state"] == "stopped"
    assert "did not stop by itself" in found["notices"][0]


def test_shutdown_of_the_machine_interrupts() -> None:
    assert end(-15, asked="SIGTERM")["state"] == "interrupted"


def test_pressure_grows_with_time() -> None:
    assert [urgency(waited_s, 60.0) for waited_s in (0.0, 59.9, 60.0, 64.9, 65.0)] == [
        "",
        "",
        "terminate",
        "terminate",
        "kill",
    ]


def test_out_of_memory_kills_are_counted_in_every_form_of_the_file(tmp_path: Path) -> None:
    v2 = tmp_path / "memory.events"
    v2.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    v1 = tmp_path / "memory.oom_control"
    v1.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert count_oom_kills([v2, v1, tmp_path / "missing"]) == 3


def test_control_group_files_are_found_for_both_versions(tmp_path: Path) -> None:
    text = "12:cpu,memory:/docker/abc\n3:pids:/docker/abc\n0::/user.slice/x.scope\n"
    files = [str(file.relative_to(tmp_path)) for file in supervisor.memory_event_files(text, tmp_path)[1:]]
    assert files == [
        "memory.events",
        "memory/memory.oom_control",
        "memory/docker/abc/memory.oom_control",
        "user.slice/x.scope/memory.events",
    ]


def test_kill_is_blamed_on_memory_when_the_counter_rises_meanwhile(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("oom_kill 4\n")
    folder = job_folder(tmp_path)
    code = f"import os; open({str(events)!r}, 'w').write('oom_kill 5\\n'); os.kill(os.getpid(), 9)"
    Supervision(folder, 1, memory_files=[events]).run([sys.executable, "-c", code, str(folder)])
    status = in_words(supervisor.read_status(folder))
    assert status["state"] == "failed"
    assert "memory ran out" in status["error"]["message"]


def test_supervisor_of_a_past_attempt_leaves_everything_alone(tmp_path: Path) -> None:
    folder = job_folder(tmp_path)
    supervisor.write_status(folder, {"attempt": 2, "state": "running"})
    Supervision(folder, 1).run([sys.executable, "-c", "open('ran', 'w')"])
    assert supervisor.read_status(folder) == {"attempt": 2, "state": "running"}
    assert not (tmp_path / "ran").exists()


def test_supervisor_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        supervisor.__file__,
        str(job_folder(tmp_path)),
        "1",
        sys.executable,
        "-c",
        "1",
    ]
    subprocess.run(command, check=True, timeout=120)
    status = in_words(supervisor.read_status(tmp_path / "job"))
    assert status["error"]["message"] == "The job ended without a result."


def test_events_are_numbered_on_across_writers(tmp_path: Path) -> None:
    for _ in range(2):
        log = EventLog(tmp_path / "events.jsonl")
        log.append("notice", message="x" * 5000)
        log.append("notice", message="模")
        log.close()
    assert [json.loads(line)["n"] for line in (tmp_path / "events.jsonl").read_bytes().splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize(("torn", "number"), [(b'{"n": 3, "ty', 3), (b"\x00\xff", 3), (b'{"n": 3}', 4)])
def test_torn_last_event_neither_stops_nor_renumbers_the_next(tmp_path: Path, torn: bytes, number: int) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n' + torn)
    log = EventLog(path)
    log.append("notice", message="on")
    log.close()
    lines = path.read_bytes().splitlines()
    assert lines[2] == torn
    assert json.loads(lines[3])["n"] == number


def test_event_that_a_full_disk_cuts_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("notice", message="fits")
    file, log._file = log._file, FullDisk()
    with pytest.raises(OSError, match="space"):
        log.append("notice", message="does not fit")
    file.write(FullDisk.fragment)
    log._file = file
    log.append("notice", message="fits again")
    log.close()
    assert [event["message"] for event in read_events(tmp_path, 0)] == ["fits", "fits again"]


class FullDisk(io.BytesIO):
    fragment = b'{"n": 2, "t'

    def write(self, _data: object) -> int:
        return len(self.fragment)


def test_next_attempt_waits_until_the_last_process_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may still hold the GPU's memory."""
    folder, started, answers = job_folder(tmp_path), tmp_path / "started", [True, True, False]
    last = ProcessIdentity.current()._replace(pid=7)

    def is_running(identity: ProcessIdentity) -> bool:
        assert identity == last
        assert not started.exists()
        return answers.pop(0)

    monkeypatch.setattr(ProcessIdentity, "is_alive", is_running)
    supervisor.write_status(folder, {"attempt": 1, "state": "queued", "previous": last.to_dict()})
    Supervision(folder, 1).run([sys.executable, "-c", f"open({str(started)!r}, 'w')", str(folder)])
    assert answers == []
    assert started.exists()


def test_it_starts_without_packages() -> None:
    code = f"import runpy, sys; runpy.run_path({supervisor.__file__!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert packages - sys.stdlib_module_names <= {"qwen3ft_jupyter", "__main__", "__mp_main__"}
    assert "dataclasses" not in packages, "it costs a third of the start"


def test_worker_that_hangs_after_its_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LINGER_S", 0.0)
    monkeypatch.setattr(supervisor, "HEARTBEAT_S", 0.0)
    folder = job_folder(tmp_path)
    ended = {"attempt": 1, "state": "succeeded"}
    (folder / "ended.json").write_text(json.dumps(ended))
    code = "import os, time; os.replace('job/ended.json', 'job/status.json'); time.sleep(600)"
    Supervision(folder, 1).run([sys.executable, "-c", code, str(folder)])
    assert supervisor.read_status(folder) == ended


def test_status_is_never_seen_half_written(tmp_path: Path) -> None:
    writer = (
        "import sys; sys.path.insert(0, sys.argv[1]); import supervisor; from pathlib import Path\n"
        "for n in range(400): supervisor.write_status(Path(sys.argv[2]), {'n': n, 'filling': 'x' * 20000})"
    )
    supervisor.write_status(tmp_path, {"n": -1})
    room = str(Path(supervisor.__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", writer, room, str(tmp_path)])
    seen = set()
    while process.poll() is None:
        seen.add(supervisor.read_status(tmp_path).get("n"))
    assert process.returncode == 0
    assert None not in seen
    assert supervisor.read_status(tmp_path)["n"] == 399


def job_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"cwd": str(tmp_path), "grace_s": 60.0}))
    supervisor.write_status(folder, {"attempt": 1, "state": "queued"})
    return folder
