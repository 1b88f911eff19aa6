"""The parent of a job's process: it sees the job's end, whatever kind of end that is, and writes it down.

It is started as a file (``python -I -S supervisor.py FOLDER ATTEMPT COMMAND …``), without the packages of its
environment. So it imports the standard library and modules of ours that need no more alone, and what this room's other
modules share with it lives here.

Only one process writes `status.json` at a time: whoever starts the job, then the supervisor, then the worker, and
again the supervisor, if the worker went without having written its own end.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

if not __package__:  # started as a file
    sys.path.append(str(Path(__file__).resolve().parents[2]))
from qwen3ft_jupyter.mounts import can_append
from qwen3ft_jupyter.processes import ProcessIdentity, start_detached, start_thread, stop_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Sequence
    from typing import Any, BinaryIO

    from qwen3ft_jupyter.segments import Segments

ENDED = frozenset({"succeeded", "failed", "stopped", "interrupted"})
TICK_S = 0.1
"""How often the supervisor looks for a stop request."""
TERMINATE_S = 5.0
"""Between SIGTERM and SIGKILL."""
LINGER_S = 30.0
"""A worker that has written its end may take this long to leave; data loaders are known to hang there."""
LEFTOVER_S = 1.0
"""What a worker leaves running in its process group may take this long to notice and end by itself."""
HEARTBEAT_S = 5.0
"""How often `status.json` is touched, for readers who cannot see this process."""
ATTEMPT_VARIABLE = "QWEN3FT_JOB_ATTEMPT"


def main(arguments: Sequence[str]) -> int:
    """Run the job in `arguments`: its folder, the attempt, and the worker's command, to which the folder is added."""
    folder, attempt, command = Path(arguments[0]), int(arguments[1]), list(arguments[2:])
    supervision = Supervision(folder, attempt)
    for number in stop_signals():
        signal.signal(number, supervision.on_signal)
    try:
        supervision.run([*command, str(folder)])
    finally:
        copy_log(folder, is_last=True)
    return 0


class Supervision:
    """One attempt at a job, from the worker's start to its end."""

    def __init__(self, folder: Path, attempt: int, *, memory_files: Sequence[Path] | None = None) -> None:
        self.folder = folder
        self.attempt = attempt
        self.memory_files = memory_event_files() if memory_files is None else memory_files
        self.spec: dict[str, Any] = json.loads((folder / "job.json").read_bytes())
        self.grace_s = float(self.spec.get("grace_s", 60.0))
        self.signalled = ""
        self.asked_at: float | None = None
        self.sent = ""

    def on_signal(self, number: int, _frame: object) -> None:
        """Note that someone wants this process, and so the job, to end."""
        self.signalled = signal.Signals(number).name

    def run(self, command: Sequence[str]) -> None:
        """Start the worker, see it through, and record its end unless it did so itself."""
        status = read_status(self.folder)
        if status.get("attempt") != self.attempt or status.get("state") in ENDED:
            return  # a leftover of an attempt that is history
        status["supervisor"] = ProcessIdentity.current().to_dict()
        write_status(self.folder, status)
        self._await_predecessor(status.get("previous"))
        if stop_requested(self.folder, self.attempt) or self.signalled:
            self._end({"state": "stopped"})
            return
        oom_kills = count_oom_kills(self.memory_files)
        try:
            worker = self._start(command)
        except OSError as error:
            sys.stderr.write(f"cannot start {command[0]} in {self.spec.get('cwd')}: {error}\n")
            sys.stderr.flush()
            self._end(could_not_start(error))
            return
        returncode = self._watch(worker)
        end_group(worker.pid)
        is_out_of_memory = count_oom_kills(self.memory_files) > oom_kills
        asked = "" if self.asked_at is None else self.signalled or "stop"
        self._end(describe_end(returncode, is_out_of_memory=is_out_of_memory, asked=asked, sent=self.sent))

    def _await_predecessor(self, previous: object) -> None:
        """Let the last attempt's process leave first: it may still hold the GPU's memory."""
        try:
            process = ProcessIdentity.from_dict(previous)
        except ValueError:
            return
        deadline = time.monotonic() + LINGER_S
        while process.is_alive() and time.monotonic() < deadline:
            if stop_requested(self.folder, self.attempt) or self.signalled:
                return
            time.sleep(TICK_S)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        environment[ATTEMPT_VARIABLE] = str(self.attempt)
        environment["PYTHONUNBUFFERED"] = "1"  # the log is read while it is written
        environment["PYTHONFAULTHANDLER"] = "1"  # a crash in native code leaves its Python stack in the log
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # hosts with LANG=C write Chinese, too
        began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        sys.stdout.write(f"--- attempt {self.attempt}, {began} ---\n")
        sys.stdout.flush()
        cwd = self.spec.get("cwd") or None
        return start_detached(command, cwd=cwd, environ=environment)

    def _watch(self, worker: subprocess.Popen[bytes]) -> int:
        gone = threading.Event()

        def collect() -> None:
            worker.wait()
            gone.set()

        is_collecting = start_thread(threading.Thread(target=collect, daemon=True))
        ended_at: float | None = None
        beat_at = time.monotonic()
        while not gone.wait(TICK_S):
            if not is_collecting and worker.poll() is not None:
                break
            now = time.monotonic()
            self._urge(worker, now)
            if now - beat_at < HEARTBEAT_S:
                continue
            beat_at = now
            copy_log(self.folder)
            with contextlib.suppress(OSError):
                os.utime(self.folder / "status.json")
            status = read_status(self.folder)
            if status.get("state") in ENDED or status.get("attempt") != self.attempt:
                ended_at = ended_at or now
                if now - ended_at >= LINGER_S:
                    send(worker.pid, "kill")
        return int(worker.returncode)

    def _urge(self, worker: subprocess.Popen[bytes], now: float) -> None:
        """Pass on a request to stop, and insist when it is not obeyed."""
        if self.asked_at is None:
            if self.signalled:
                send(worker.pid, "terminate", only_leader=True)
            elif not stop_requested(self.folder, self.attempt):
                return
            self.asked_at = now
        due = urgency(now - self.asked_at, self.grace_s)
        if due != self.sent:
            self.sent = due
            send(worker.pid, due)

    def _end(self, end: dict[str, Any]) -> None:
        status = read_status(self.folder)
        if status.get("attempt") != self.attempt or status.get("state") in ENDED:
            return
        now = time.time()
        status["notices"] = [*status.get("notices", []), *end.pop("notices", [])]
        status.update(end, updated=now, ended=now)
        with contextlib.suppress(OSError):  # the status tells the end as well
            log = EventLog(self.folder / "events.jsonl")
            log.append("state", state=status["state"], attempt=self.attempt)
            log.close()
        write_status(self.folder, status, is_final=True)


def urgency(waited_s: float, grace_s: float) -> str:
    """Return what a worker gets that has been asked to stop `waited_s` ago: "", "terminate" or "kill"."""
    if waited_s < grace_s:
        return ""
    return "terminate" if waited_s < grace_s + TERMINATE_S else "kill"


def describe_end(returncode: int, *, is_out_of_memory: bool, asked: str, sent: str) -> dict[str, Any]:
    """Return the state, error and notices of a job whose worker went without a word.

    `returncode` is negative for a signal; `asked` is "stop", the name of the signal this process got, or ""; `sent`
    is what `urgency` had come to.
    """
    name = signal_name(-returncode) if returncode < 0 else ""
    if asked == "stop":
        notice = message(
            "The job did not stop by itself in time and was ended." if sent else "The job ended while stopping."
        )
        return {"state": "stopped", "notices": [notice]}
    if asked:
        notice = message("The system asked the job to end ({signal}).", signal=asked)
        return {"state": "interrupted", "notices": [notice]}
    return failure(*_why_it_failed(returncode, name, is_out_of_memory=is_out_of_memory))


def _why_it_failed(returncode: int, name: str, *, is_out_of_memory: bool) -> tuple[object, object]:
    """Return what happened to a worker and what to do about it; `name` is that of the signal, if it was one."""
    if is_out_of_memory and name == "SIGKILL":
        return (
            message("The system ended the job because memory ran out (SIGKILL by the out-of-memory killer)."),
            message("Close other notebooks, or ask for less: a smaller model, a smaller batch, shorter rows."),
        )
    if name == "SIGKILL":
        hint = message("If nobody did that, memory ran out: ask for less, or resume.")
        return message("The job was killed (SIGKILL)."), hint
    if name:
        return message("The job crashed ({signal}).", signal=name), message("The end of the job's log shows where.")
    if returncode:
        hint = message("The end of the job's log shows why.")
        return message("The job ended with exit code {code}.", code=returncode), hint
    return message("The job ended without a result."), message("The end of the job's log may show why.")


def could_not_start(error: OSError) -> dict[str, Any]:
    """Return the end of a job whose worker could not be started."""
    reason = error.strerror or type(error).__name__
    return failure(
        message("The job's process could not be started: {reason}.", reason=reason),
        message("The Python or the folder it was started with may be gone; start the job anew."),
    )


def failure(what: object, hint: object) -> dict[str, Any]:
    """Return the end of a job that failed."""
    return {"state": "failed", "error": {"code": "job-failed", "message": what, "hint": hint}}


def message(template: str, **values: object) -> dict[str, object]:
    """Return what `qwen3ft_jupyter.messages.to_json` writes."""
    return {"template": template, "values": values}


def signal_name(number: int) -> str:
    """Return for example SIGKILL for 9, or "signal 60" for one without a name."""
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def send(pid: int, what: str, *, only_leader: bool = False) -> None:
    """Send SIGTERM ("terminate") or SIGKILL ("kill") to the worker's process group; "" sends nothing."""
    if not what:
        return
    with contextlib.suppress(OSError):  # it has just gone
        if sys.platform == "win32" or only_leader:
            os.kill(pid, signal.SIGTERM)  # on Windows at once the end: it knows no gentler way to a detached process
        else:
            os.killpg(pid, signal.SIGTERM if what == "terminate" else signal.SIGKILL)


def end_group(pid: int) -> None:
    """End what the worker left behind in its process group, after a moment in which it may go by itself."""
    if sys.platform == "win32":
        return
    deadline = time.monotonic() + LEFTOVER_S
    with contextlib.suppress(OSError):  # the group is empty
        while time.monotonic() < deadline:
            os.killpg(pid, 0)
            time.sleep(TICK_S / 5)
        os.killpg(pid, signal.SIGKILL)


def copy_log(folder: Path, *, is_last: bool = False) -> None:
    """Bring the log to the job's folder where it is kept elsewhere; see `logs`, which few jobs need."""
    if os.environ.get("QWEN3FT_JOB_LOG"):
        from qwen3ft_jupyter.jobs import logs

        logs.copy_log(folder, is_last=is_last)


def memory_event_files(cgroup: str | None = None, root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """Return the files that count out-of-memory kills: in our control group (v2, v1), and on the whole machine."""
    if cgroup is None:
        own = Path("/proc/self/cgroup")
        cgroup = own.read_text(encoding="utf-8") if own.exists() else ""
    files = [Path("/proc/vmstat"), root / "memory.events", root / "memory" / "memory.oom_control"]
    for line in cgroup.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            files.append(root / path.strip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            files.append(root / "memory" / path.strip("/") / "memory.oom_control")
    return list(dict.fromkeys(files))


def count_oom_kills(files: Iterable[Path]) -> int:
    """Return the sum of the `oom_kill` lines, which all three kinds of file have in the same form."""
    total = 0
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    total += int(line.split()[1])
    return total


def stop_requested(folder: Path, attempt: int) -> bool:
    """Say whether `stop` asks this attempt to stop. It names the attempt; one made by hand (`touch stop`) means any."""
    with contextlib.suppress(OSError):
        text = (folder / "stop").read_bytes().strip()
        return not text.isdigit() or int(text) == attempt
    return False


def read_status(folder: Path) -> dict[str, Any]:
    """Return what `status.json` holds; {} if it is missing or unreadable, as after a power cut."""
    with contextlib.suppress(OSError, ValueError):
        status = json.loads((folder / "status.json").read_bytes())
        return status if isinstance(status, dict) else {}
    return {}


def write_status(folder: Path, status: dict[str, Any], *, is_final: bool = False) -> None:
    """Replace `status.json` as a whole; the final one survives a power cut, too. Raises OSError.

    Progress is not synced to disk: behind gigabytes of a download in flight that can take seconds.
    """
    temporary = folder / f".status.{os.getpid()}.tmp"
    data = json.dumps(status, ensure_ascii=False).encode(errors="backslashreplace")  # a path may not be UTF-8
    with temporary.open("wb") as file:
        file.write(data)
        if is_final:
            file.flush()
            os.fsync(file.fileno())
    replace(temporary, folder / "status.json")


def replace(source: Path, target: Path) -> None:
    """Rename a file over another, also while someone reads that. Raises OSError."""
    for pause_s in (0.02, 0.1, 0.5):
        try:
            os.replace(source, target)
        except PermissionError:  # noqa: PERF203 - on Windows, while a reader has the old one open
            time.sleep(pause_s)
        except OSError:
            break
        else:
            return
    from qwen3ft_jupyter.disk import LOCAL  # which takes longer to load than most jobs need it

    LOCAL.replace(source, target)


class EventLog:
    """Appends numbered lines to `events.jsonl`, going on from the last number there. Any thread may append.

    Where that file cannot be added to, they go to segments beside it, a few seconds' events in each.
    """

    is_in_segments = False

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._file: BinaryIO | Segments
        if can_append(path.parent):
            self._file = path.open("ab+", buffering=0)
            self._number, self._is_torn = last_event(self._file)
        else:
            self._file = self._in_segments()

    def append(self, kind: str, **fields: Any) -> None:
        """Add one event. Raises OSError; TypeError if it is not plain JSON; ValueError after `close`."""
        with self._lock:
            event = {"n": self._number + 1, "t": round(time.time(), 3), "type": kind, **fields}
            line = json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
            if self._is_torn:  # this writer or the last one broke off within a line
                line = b"\n" + line
            self._number += 1
            self._is_torn = True
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._is_torn = False

    def close(self) -> None:
        """Close the file; segments are put together. Raises OSError."""
        self._file.close()
        if self.is_in_segments:
            from qwen3ft_jupyter.segments import put_together

            put_together(self._path)

    def _in_segments(self) -> Segments:
        from qwen3ft_jupyter.segments import Segments, read_lines  # which few jobs need

        lines = b""
        with contextlib.suppress(FileNotFoundError):
            lines = read_lines(self._path)
        self._number, self._is_torn = last_event(io.BytesIO(lines))[0], False
        self.is_in_segments = True
        return Segments(self._path, number=self._number)


def last_event(file: BinaryIO) -> tuple[int, bool]:
    """Return the number of the last whole event, 0 if there is none, and whether the last line lacks its end."""
    end = file.seek(0, os.SEEK_END)
    size = 4096
    while True:
        file.seek(max(0, end - size))
        lines = file.read(size).split(b"\n")
        is_torn = bool(lines[-1])
        is_whole = size >= end
        for line in reversed(lines if is_whole else lines[1:]):
            event = parse_event(line)
            if event is not None:
                return int(event["n"]), is_torn
        if is_whole:
            return 0, is_torn
        size *= 8


def parse_event(line: bytes) -> dict[str, Any] | None:
    """Return the event on this line; None if it is not a whole one."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        return event if isinstance(event, dict) and isinstance(event.get("n"), int) else None
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
