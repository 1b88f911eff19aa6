"""Starting, finding, following, stopping, pausing, resuming and forgetting jobs."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadInput, JobError, JobNotFound, WrongJobState, error_from_json
from qwen3ft_jupyter.jobs import folder as files
from qwen3ft_jupyter.jobs import launch, supervisor
from qwen3ft_jupyter.jobs.kinds import Plain
from qwen3ft_jupyter.jobs.listing import Listing
from qwen3ft_jupyter.jobs.state import RESUMABLE, STATE_WORDS, JobSnapshot
from qwen3ft_jupyter.messages import Command, Message
from qwen3ft_jupyter.paths import current_folder, is_file, reason_of
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.work import Controls

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.jobs.folder import JobSpec, LogChunk
    from qwen3ft_jupyter.jobs.kinds import JobKind, Kinds, Params, Stored
    from qwen3ft_jupyter.jobs.listing import Listed
    from qwen3ft_jupyter.jobs.state import JobJson, JobStatus

GRACE_S = 60.0
"""A job asked to stop has this long to save a checkpoint before it is ended."""
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z][a-z0-9_]{0,31}-[0-9a-f]{4}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LIST = Message("See `{command}` for those there are.")
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5


class JobStore:
    """The jobs of one state folder. Any number of processes may use the same one at once.

    Args:
        state_dir: the jobs are kept in its `jobs` folder, which is made when the first job starts.
        kinds: how params are read, by the name of their kind; those of others are `Plain`.
        worker: the command that runs a job, without the job's folder; the package's own if left out.
        environ: what job processes find in their environment besides ours. The way for secrets: it is never written.
    """

    def __init__(
        self,
        state_dir: Path,
        kinds: Kinds | None = None,
        *,
        worker: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._jobs_dir = Path(state_dir) / "jobs"
        self._kinds = kinds or {}
        self._worker = None if worker is None else list(worker)
        self._environ = dict(environ or {})
        self._is_here = False
        self._listing = Listing(self._jobs_dir, self.get)

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Have this process do the work of the jobs that the block starts: see `jobs.here.run_here`."""
        self._is_here = True
        try:
            yield
        finally:
            self._is_here = False

    def start(
        self,
        kind: JobKind[Params, Any],
        params: Params,
        *,
        max_speed: int | None = None,
        cwd: Path | None = None,
        grace_s: float = GRACE_S,
    ) -> Job:
        """Start a job and return at once; it outlives this process.

        Args:
            kind: what runs it, with the interpreter at work here.
            params: what that gets.
            max_speed: at most so many bytes a second, if it is of a kind that can be paused; `Job.limit` changes it.
            cwd: the folder it runs in; the current one if left out.
            grace_s: how long it may take to stop by itself when asked to.

        Raises:
            JobError: the state folder cannot be written, or no process can be started.
            ValueError, TypeError: the name of `kind` is malformed, or `params` are not plain JSON.
        """
        if not _KIND.fullmatch(kind.name):
            raise ValueError(f"not a job kind: {kind.name!r}")
        values = params.to_dict()
        json.dumps(values, allow_nan=False)
        try:
            folder = self._make_folder(kind.name)
            spec = files.JobSpec(
                id=folder.name,
                kind=kind.name,
                title=kind.title(params),
                params=values,
                created=time.time(),
                python=sys.executable,
                cwd=str(cwd or current_folder() or self._jobs_dir),
                grace_s=grace_s,
            )
            if kind.can_pause:
                files.write_controls(folder, Controls(max_speed=max_speed))
            files.write_spec(folder, spec)
            files.begin_attempt(folder, 1)
            if self._is_here:
                status = {
                    "attempt": 1,
                    "state": "queued",
                    "updated": time.time(),
                    "worker": ProcessIdentity.current().to_dict(),
                }
                supervisor.write_status(folder, status)
        except OSError as error:
            raise JobError(
                "The job cannot be written down: {reason}.",
                hint="Set QWEN3FT_STATE_DIR to a folder on a disk that can be written and has room.",
                details={"folder": str(self._jobs_dir)},
                reason=reason_of(error),
            ) from error
        job = self._open(spec)
        if not self._is_here:
            job._launch(1)  # noqa: SLF001 - one class in two halves
        return job

    def get(self, job_id: str) -> Job:
        """Return the job with this id. Raises JobNotFound, or JobError if it cannot be read."""
        if not _ID.fullmatch(job_id):  # never joined to a path
            raise JobNotFound("There is no such job.", hint=_LIST, command=Command("jobs"))
        return self._open(files.read_spec(self._folder(job_id)))

    def list(self) -> builtins.list[Job]:
        """Return every job, newest first. Raises JobError if nobody can tell which there are."""
        return self._listing.jobs()

    def read_all(self) -> builtins.list[Listed]:
        """Return every job with how it stands, newest first; the next call reads only what has changed since."""
        return self._listing.read()

    @property
    def fault(self) -> JobError | None:
        """Return the error that `list` raises now, if it does."""
        return files.fault(self._jobs_dir)

    def _folder(self, job_id: str) -> Path:
        """Return the folder of a job. The place for following a pointer to a mount that several hosts share."""
        return self._jobs_dir / job_id

    def _make_folder(self, kind: str) -> Path:
        self._jobs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            folder = self._folder(f"{moment}-{kind}-{secrets.token_hex(2)}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                return folder

    def _open(self, spec: JobSpec) -> Job:
        kind = self._kinds.get(spec.kind)
        params = Plain(spec.params) if kind is None else kind.read_params(spec.params)
        worker = launch.worker_command(spec.python) if self._worker is None else self._worker
        return Job(spec=spec, params=params, folder=self._folder(spec.id), worker=worker, environ=self._environ)


@dataclass(frozen=True, slots=True)
class Job:
    """One job. It holds no state of its own: every question is answered from the folder."""

    spec: JobSpec
    params: Stored
    """What it was started with; `Plain` if it is of a kind or a version that is not known here."""
    folder: Path
    worker: Sequence[str]
    """The command that runs it, without the folder."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What its processes find in their environment besides ours."""

    @property
    def id(self) -> str:
        """Return the id; ids sort by time and are safe in paths and URLs."""
        return self.spec.id

    @property
    def kind(self) -> str:
        """Return which function runs it."""
        return self.spec.kind

    @property
    def title(self) -> str:
        """Return what people see."""
        return self.spec.title

    @property
    def created(self) -> float:
        """Return when it was started first, in unix seconds."""
        return self.spec.created

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.title}>"

    def status(self) -> JobStatus:
        """Return where it stands. Raises JobNotFound if it has been forgotten."""
        self._require()
        return files.read_state(self.folder)

    def stop(self) -> None:
        """Ask it to stop and return at once. It keeps what it has; it is ended if its time of grace passes.

        Stopping twice, or a job that is over, does nothing. Raises JobNotFound.
        """
        status = self.status()
        if status.is_active and not supervisor.stop_requested(self.folder, status.attempt):
            with files.telling(self.id):
                files.request_stop(self.folder, status.attempt)

    def pause(self) -> None:
        """Let it rest within a second, keeping what it has and no connection; `resume` lets it go on.

        Pausing twice is pausing once.

        Raises:
            WrongJobState: it is over or stopping, or it is of a kind that cannot rest.
            JobError: the state folder cannot be written.
            JobNotFound: it has been forgotten.
        """

        def change(controls: Controls) -> None:
            controls.is_paused = True

        hint = Message("Stop it instead; resuming it goes on from what it has kept.")
        self._change(change, Message("be paused"), hint=hint)

    def limit(self, max_speed: int | None) -> None:
        """Let it move at most `max_speed` bytes a second from now on, felt within a second; None for no limit.

        Raises:
            BadInput: it is not a number of 1 or more.
            WrongJobState: it is over or stopping, or it is of a kind that has no speed.
            JobError: the state folder cannot be written.
            JobNotFound: it has been forgotten.
        """
        if max_speed is not None and (isinstance(max_speed, bool) or max_speed < 1):
            raise BadInput(
                "max_speed: {max_speed!r} is no number of bytes a second.",
                hint="Give 1 or more, or None.",
                max_speed=max_speed,
            )

        def change(controls: Controls) -> None:
            controls.max_speed = max_speed

        self._change(change, Message("be slowed down"), hint=Message("Downloads and checks can."))

    def resume(self) -> Job:
        """Let it go on: if it is paused, where it rests; if it has ended early, as the next attempt from what is there.

        Raises:
            WrongJobState: it is at work or has succeeded, or someone else has just resumed it.
            JobNotFound: it has been forgotten.
        """
        status = self.status()
        if status.state in ("queued", "running") and self._unpause():
            return self
        if status.state not in RESUMABLE:
            raise WrongJobState(
                "The job {id} is {state} and cannot be resumed.",
                hint="Stop it first." if status.is_active else "Start a new one.",
                id=self.id,
                state=STATE_WORDS[status.state],
            )
        attempt = status.attempt + 1
        self._begin(attempt)
        with files.telling(self.id):
            files.withdraw_stop(self.folder)
        self._unpause()  # what was stopped while it rested goes on
        self._launch(attempt, previous=supervisor.read_status(self.folder).get("worker"))
        return self

    def forget(self) -> None:
        """Delete its files, log included. What it made elsewhere stays, and what somebody put into its folder.

        Raises:
            WrongJobState: it is active, or what it has submitted elsewhere is.
            JobNotFound: it has been forgotten already.
        """
        status = self.status()
        if not status.is_active and files.goes_on_elsewhere(self.folder):
            raise WrongJobState(
                "What the job {id} has submitted may still run elsewhere, and cost.",
                hint="Resume it, which finds that again; then stop it, or wait for its end.",
                id=self.id,
            )
        if status.is_active:
            raise WrongJobState(
                "The job {id} is {state} and cannot be forgotten.",
                hint="Stop it first.",
                id=self.id,
                state=STATE_WORDS[status.state],
            )
        self._begin(status.attempt + 1)  # from here on nobody can resume it
        with files.telling(self.id):
            (self.folder / "job.json").unlink(missing_ok=True)
        files.delete(self.folder)

    def wait(self, timeout_s: float | None = None) -> JobStatus:
        """Wait until it is over, or until the time is up, and return where it stands then. Raises JobNotFound."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while True:
            status = self.status()
            left_s = float("inf") if deadline is None else deadline - time.monotonic()
            if not status.is_active or left_s <= 0:
                return status
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    def log(self, offset: int = 0, limit: int = 65536) -> LogChunk:
        """Return up to `limit` bytes of the log from byte `offset` on; a negative offset counts from the end."""
        self._require()
        return files.read_log(self.folder, offset, limit)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what happened after event number `after`: dicts with `n`, `t` (unix seconds), `type` and more."""
        self._require()
        return files.read_events(self.folder, after)

    def to_dict(self) -> JobJson:
        """Return the job as ``GET /qwen3ft/jobs/{id}`` answers it. Raises JobNotFound if it has been forgotten."""
        return self.snapshot().to_dict()

    def snapshot(self) -> JobSnapshot:
        """Return all that is known of it now. Raises JobNotFound if it has been forgotten."""
        status, controls, about = self.status(), files.read_controls(self.folder), self.spec
        return JobSnapshot(about.id, about.kind, about.title, about.created, about.params, status, controls)

    def _change(self, change: Callable[[Controls], None], what: str, *, hint: str) -> None:
        status = self.status()
        if status.state not in ("queued", "running"):
            raise WrongJobState(
                "The job {id} is {state} and cannot {what}.", id=self.id, state=STATE_WORDS[status.state], what=what
            )
        if not self._write_change(change):
            raise WrongJobState("A job of the kind {kind} cannot {what}.", hint=hint, kind=self.kind, what=what)

    def _write_change(self, change: Callable[[Controls], None]) -> bool:
        with files.telling(self.id):
            return files.change_controls(self.folder, change)

    def _unpause(self) -> bool:
        """Let it go on if it rests; say whether it did."""
        was_paused = False

        def change(controls: Controls) -> None:
            nonlocal was_paused
            was_paused, controls.is_paused = controls.is_paused, False

        self._write_change(change)
        return was_paused

    def _require(self) -> None:
        if not is_file(self.folder / "job.json"):
            fault = files.fault(self.folder)
            if fault is not None:
                raise fault
            raise JobNotFound("There is no job {id}.", hint=_LIST, command=Command("jobs"), id=self.id)

    def _begin(self, attempt: int) -> None:
        with files.telling(self.id):
            is_ours = files.begin_attempt(self.folder, attempt)
        if not is_ours:
            raise WrongJobState(
                "The job {id} has just been resumed by someone else.", hint="Follow that one.", id=self.id
            )

    def _launch(self, attempt: int, *, previous: dict[str, Any] | None = None) -> None:
        status = {"attempt": attempt, "state": "queued", "updated": time.time(), "previous": previous}
        try:
            supervisor.write_status(self.folder, status)
            launch.start_supervisor(self.folder, attempt, self.worker, environ=self.environ)
        except OSError as error:
            end = supervisor.could_not_start(error)
            with contextlib.suppress(OSError):  # then it is found interrupted a little later
                supervisor.write_status(self.folder, {**status, **end, "ended": time.time()})
            failed = error_from_json(end["error"])
            raise JobError(failed.message, hint=failed.hint) from error
