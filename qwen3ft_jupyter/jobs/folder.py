"""A job's folder: which files it holds, and how they are read while others write them.

job.json       what the job is: written once, readable by its owner alone, never with a secret in it
attempt-N      begun by whoever could create it; so of two who resume at once, one does
status.json    where it stands; replaced as a whole, by one process at a time (see `supervisor`)
events.jsonl   what happened, one numbered line each, across all attempts; events.jsonl.parts: see `segments`
log.txt        what the processes wrote to stdout and stderr, across all attempts; see `logs`
stop           asks the attempt it names to stop
controls.json  what may be changed while it runs; only a job that can be paused and slowed down has it
remote.json    what it has submitted elsewhere; its `is_over` says whether that has ended
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import segments
from qwen3ft_jupyter.disk import read_json, write_json
from qwen3ft_jupyter.errors import JobError, JobNotFound
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.state import JobStatus, Signs, read_out
from qwen3ft_jupyter.messages import from_json, to_json
from qwen3ft_jupyter.paths import fault_of, is_there, names_in, reason_of
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.work import Controls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

FRESH_S = 4 * supervisor.HEARTBEAT_S
"""A job on another host is taken for alive as long as its status was touched this recently."""
_VERSION = 1
EVENTS = "events.jsonl"
REMOTE = "remote.json"
_OURS = re.compile(r"(?:job|status|controls|remote)\.json|events\.jsonl|log\.txt|stop|attempt-\d+|\..+\.tmp")
"""What the files of a job are called."""
_LONGEST_CHARACTER = 4  # bytes of UTF-8
_changing_controls = threading.Lock()
"""So that of two threads of a server that pause and slow down one job, neither undoes what the other did."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What `job.json` holds: all that a new attempt needs."""

    id: str
    kind: str
    title: str
    params: dict[str, Any]
    created: float
    """Unix seconds."""
    python: str
    """The interpreter that runs it."""
    cwd: str
    """The folder it runs in."""
    grace_s: float
    """How long it may take to stop by itself when asked to."""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a log and the byte offset at which the next one begins."""

    text: str
    next_offset: int


def delete(folder: Path) -> None:
    """Delete the files of a job, and the folder unless something else lies in it. Never raises.

    What a reader on Windows holds open stays, as no job any more.
    """
    with contextlib.suppress(OSError):
        segments.clear(folder / EVENTS)
    for name in names_in(folder):
        if _OURS.fullmatch(name):
            with contextlib.suppress(OSError):
                (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_spec(folder: Path, spec: JobSpec) -> None:
    """Write `job.json`. Raises OSError; TypeError if the params are not plain JSON."""
    values = {name: getattr(spec, name) for name in spec.__slots__} | {"title": to_json(spec.title)}
    write_json(folder / "job.json", {"version": _VERSION, **values}, mode=0o600)


def read_spec(folder: Path) -> JobSpec:
    """Return what `job.json` holds. Raises JobNotFound if that is missing or not ours, JobError if it is unseen."""
    try:
        values = read_json(folder / "job.json")
        spec = JobSpec(**{name: values[name] for name in JobSpec.__slots__} | {"title": from_json(values["title"])})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError) as error:
        raise JobNotFound("There is no job {id}.", id=folder.name) from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not isinstance(spec.params, dict) or spec.id != folder.name:
        raise JobNotFound("There is no job {id}.", id=folder.name)
    return spec


def fault(folder: Path) -> JobError | None:
    """Return what to say if a job's folder, or that of all jobs, cannot be looked into; a missing one is none."""
    error = fault_of(folder)
    return _unreadable(folder, error) if error is not None else None


def _unreadable(folder: Path, error: OSError) -> JobError:
    return JobError(
        "The folder of jobs, QWEN3FT_STATE_DIR, cannot be looked into: {reason}.",
        hint="Check its permissions and the drive it lies on, or set QWEN3FT_STATE_DIR to another folder.",
        details={"folder": str(folder)},
        reason=reason_of(error),
    )


@contextlib.contextmanager
def telling(job_id: str) -> Iterator[None]:
    """Let the block write what a job is to know. Raises JobNotFound if it is gone, JobError if that fails."""
    try:
        yield
    except FileNotFoundError as error:
        raise JobNotFound("There is no job {id}.", id=job_id) from error
    except OSError as error:
        raise JobError(
            "The job {id} cannot be told: {reason}.",
            hint="Make room where QWEN3FT_STATE_DIR lies, and see that you may write there.",
            id=job_id,
            reason=reason_of(error),
        ) from error


def begin_attempt(folder: Path, attempt: int) -> bool:
    """Claim this attempt; False if another process was first. Raises OSError."""
    try:
        descriptor = os.open(folder / f"attempt-{attempt}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    os.close(descriptor)
    return True


def newest_attempt(folder: Path, at_least: int = 1) -> int:
    """Return the number of the attempt begun last, `at_least` or a later one."""
    attempt = max(1, at_least)
    while is_there(folder / f"attempt-{attempt + 1}"):
        attempt += 1
    return attempt


def read_state(folder: Path) -> JobStatus:
    """Return where the job stands, judging by what is written and by which of its processes are alive."""
    status = supervisor.read_status(folder)
    recorded = status.get("attempt")
    attempt = newest_attempt(folder, recorded if isinstance(recorded, int) else 1)
    processes = [status[name] for name in ("worker", "supervisor") if isinstance(status.get(name), dict)]
    if recorded != attempt:
        processes = []
    is_ended = status.get("state") in supervisor.ENDED
    age_s = _age_s(folder / "status.json")
    signs = Signs(
        attempt=attempt,
        age_s=_age_s(folder / f"attempt-{attempt}"),
        is_owned=bool(processes),
        is_alive=not is_ended and any(is_alive(process, status_age_s=age_s) for process in processes),
        is_asked_to_stop=not is_ended and supervisor.stop_requested(folder, attempt),
    )
    return read_out(status, signs)


def is_alive(process: object, *, status_age_s: float) -> bool:
    """Say whether the process that a status names is alive.

    `status_age_s` is how long ago the status was touched; it decides where the process cannot be seen from here, that
    is, on another host or in another container.
    """
    try:
        is_seen_alive = ProcessIdentity.from_dict(process).is_alive()
    except ValueError:
        return False
    return status_age_s < FRESH_S if is_seen_alive is None else is_seen_alive


def goes_on_elsewhere(folder: Path) -> bool:
    """Return whether the job has submitted what may still run elsewhere."""
    with contextlib.suppress(OSError, ValueError):
        told = read_json(folder / REMOTE)
        return isinstance(told, dict) and told.get("is_over") is not True
    return False


def request_stop(folder: Path, attempt: int) -> None:
    """Ask this attempt to stop; asking twice is asking once."""
    _tell(folder / "stop", f"{attempt}\n")


def withdraw_stop(folder: Path) -> None:
    """Remove a `stop` made by hand, which would stop later attempts, too; one that names its attempt is history."""
    with contextlib.suppress(OSError, ValueError):
        int((folder / "stop").read_text(encoding="utf-8"))
        return
    (folder / "stop").unlink(missing_ok=True)


def read_controls(folder: Path) -> Controls | None:
    """Return what may be changed about the job while it runs; None if nothing may, or it cannot be read just now."""
    try:
        values = read_json(folder / "controls.json")
    except OSError:
        return None
    except ValueError:  # cut off by a power cut
        values = None
    if not isinstance(values, dict):
        values = {}
    speed = values.get("max_speed")
    is_speed = isinstance(speed, int) and not isinstance(speed, bool) and speed > 0
    return Controls(is_paused=values.get("paused") is True, max_speed=speed if is_speed else None)


def write_controls(folder: Path, controls: Controls) -> None:
    """Write what the job's process is to follow. Raises OSError."""
    _tell(folder / "controls.json", json.dumps({"paused": controls.is_paused, "max_speed": controls.max_speed}))


def change_controls(folder: Path, change: Callable[[Controls], None]) -> bool:
    """Let `change` alter what the job's process follows; False if the job takes no changes. Raises OSError."""
    with _changing_controls:
        controls = read_controls(folder)
        if controls is None:
            return False
        change(controls)
        write_controls(folder, controls)
        return True


def _tell(path: Path, text: str) -> None:
    """Write a file that the job's process looks at, as a whole but without syncing it to disk.

    It has to be there at once, which behind gigabytes of a download in flight it would not be; and it may be lost in a
    power cut, for so is the process.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        supervisor.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_log(folder: Path, offset: int, limit: int) -> LogChunk:
    """Return up to `limit` bytes of the log from byte `offset` on; a negative one counts from the end.

    A character that is not written to its end yet is left for the next call.
    """
    try:
        with (folder / "log.txt").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size + offset) if offset < 0 else offset
            if start > size:  # far beyond its end a file system refuses to go
                return LogChunk("", start)
            file.seek(start)
            data = file.read(max(limit, _LONGEST_CHARACTER))
    except FileNotFoundError:
        return LogChunk("", max(0, offset))
    except OSError as error:
        raise _unreadable(folder, error) from error
    if offset < 0:  # we chose this place, so it may be within a character
        whole = data.lstrip(bytes(range(0x80, 0xC0))) if start else data
        start += len(data) - len(whole)
        data = whole
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return LogChunk(text, start + len(data) - len(decoder.getstate()[0]))


def read_events(folder: Path, after: int) -> list[dict[str, Any]]:
    """Return the events numbered above `after`. Lines that are not whole, left by a crash, are passed over."""
    try:
        parts = segments.read_parts(folder / EVENTS, after)
        lines = [*_lines_in(folder / EVENTS, after), *(line for part in parts for line in part.split(b"\n"))]
    except OSError as error:
        raise _unreadable(folder, error) from error
    found = (supervisor.parse_event(line) for line in lines)
    events = {event["n"]: event for event in found if event is not None and event["n"] > after}
    return [_with_messages(events[number]) for number in sorted(events)]


def _lines_in(path: Path, after: int) -> list[bytes]:
    """Return the whole lines of a file of events, few of them from before event `after`. Raises OSError."""
    try:
        with path.open("rb") as file:
            file.seek(_offset_of(file, after))
            return file.read().split(b"\n")[:-1]  # what follows the last line end is still being written
    except FileNotFoundError:
        return []


def _with_messages(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with what it says to people rebuilt."""
    return event | {name: from_json(event[name]) for name in ("message", "detail") if name in event}


def _offset_of(file: BinaryIO, after: int) -> int:
    """Return a place at or shortly before event `after` + 1, by bisection: a long training writes megabytes."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while after > 0 and high - low > 8192:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()  # the rest of a line
        event = supervisor.parse_event(file.readline())
        if event is None or event["n"] > after:  # an unreadable line: look further up, which is never too late
            high = middle
        else:
            low = middle
    file.seek(low)
    return low if low == 0 else low + len(file.readline())


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
