"""What a job's function reports, written to the job's folder while it works."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.averages import Averages
from qwen3ft_jupyter.jobs.folder import EVENTS, read_events
from qwen3ft_jupyter.messages import map_texts, to_json
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.work import Controls, Progress, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.work import RanksJson

logger = logging.getLogger(__name__)
STORE_EVERY_S = 2.0
"""Between two times that the status is written to an object store, which takes a request or three each time."""
_MOST_NOTICES = 50
"""In the status, which is read again and again; the events keep them all."""


class JobReporter(Reporter):
    """Writes events as they come and the status when `flush` is called, which `worker` does a few times a second.

    Reporting never makes the work fail: what cannot be written is logged once and left out.
    """

    def __init__(self, folder: Path, attempt: int) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._phase = ""
        self._has_news = True
        self._has_complained = False
        self._beat_at = time.time()
        status = supervisor.read_status(folder)
        now = time.time()
        self._status: dict[str, Any] = {
            "attempt": attempt,
            "state": "running",
            "progress": None,
            "notices": [],
            "started": now,
            "updated": now,
            "supervisor": status.get("supervisor"),
            "worker": ProcessIdentity.current().to_dict(),
        }
        supervisor.write_status(folder, self._status)
        self._averages = Averages()
        for event in read_events(folder, 0) if attempt > 1 else ():
            self._averages.add(event.get("values") or {})  # of the attempts before
        self._events = supervisor.EventLog(folder / EVENTS)
        self._rests_s = STORE_EVERY_S if self._events.is_in_segments else 0.0
        self._written_at = time.monotonic()
        self._record("state", state="running", attempt=attempt)

    def progress(self, progress: Progress) -> None:
        """Keep the newest; a change of phase is an event."""
        with self._lock:
            self._status["progress"] = _finite(progress.to_json())
            self._has_news = True
            is_new_phase = progress.phase != self._phase
            self._phase = progress.phase
        if is_new_phase:
            self._record("phase", phase=progress.phase, detail=to_json(progress.detail))

    def notice(self, message: str) -> None:
        """Keep the message in the status and among the events."""
        with self._lock:
            self._status["notices"] = [*self._status["notices"], to_json(message)][-_MOST_NOTICES:]
            self._has_news = True
        self._record("notice", message=to_json(message))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Write the values as one event; infinity and NaN, which JSON does not know, become null."""
        with self._lock:
            self._averages.add(values)
            self._status["averages"] = self._averages.to_json()
            self._has_news = True
        self._record("metrics", values=_finite(values))

    def ranks(self, told: RanksJson) -> None:
        """Keep the newest."""
        with self._lock:
            self._status["ranks"] = {**told, "metrics": _finite(told["metrics"])}
            self._has_news = True

    def controls(self, controls: Controls) -> None:
        """Note what people want changed; who waits for a new status learns of it."""
        with self._lock:
            self._has_news = True
        self._record("controls", paused=controls.is_paused, max_speed=controls.max_speed)

    def stopping(self) -> None:
        """Note that the job has been asked to stop."""
        with self._lock:
            if "ended" in self._status:
                return
            self._status["state"] = "stopping"
            self._has_news = True
        self._record("state", state="stopping", attempt=self._status["attempt"])

    def flush(self) -> None:
        """Write the status if there is news; else touch it now and then, for readers who cannot see this process."""
        with self._lock:
            if not self._has_news:
                self._beat()
                return
            if (now := time.monotonic()) - self._written_at < self._rests_s:
                return
            self._has_news, self._written_at = False, now
            self._status["updated"] = time.time()
            try:
                supervisor.write_status(self._folder, self._status)
            except OSError as error:
                self._complain(error)

    def _beat(self) -> None:
        now = time.time()
        if now - self._beat_at >= supervisor.HEARTBEAT_S:
            self._beat_at = now
            if self._events.is_in_segments:  # such mounts keep no times but that of writing
                self._has_news = True
                return
            with contextlib.suppress(OSError):
                os.utime(self._folder / "status.json")

    def end(self, state: str, *, error: dict[str, Any] | None = None, result: dict[str, Any] | None = None) -> None:
        """Write the end, events first: who sees the job over sees all of them. Raises OSError."""
        self._record("state", state=state, attempt=self._status["attempt"])
        try:
            self._events.close()
        except OSError as fault:  # what was to be put together stays in segments
            self._complain(fault)
        with self._lock:
            now = time.time()
            written = map_texts(to_json, result)
            self._status.update(state=state, error=error, result=written, updated=now, ended=now)
            supervisor.write_status(self._folder, self._status, is_final=True)

    def _record(self, kind: str, **fields: Any) -> None:
        try:
            self._events.append(kind, **fields)
        except (OSError, TypeError, ValueError) as error:  # also of a thread that goes on after the job's end
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            logger.warning("The job's progress cannot be written: %s", error)


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
