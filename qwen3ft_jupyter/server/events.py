"""Tells browsers that something changed: a job moved on, or a model came into or left the cache.

An event carries an id and a state, no more: it says what to ask for again. Nothing is replayed, so a browser that was
away asks for everything. The watcher looks at files because jobs and caches are changed by other processes, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qwen3ft_jupyter.errors import JobNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.server.access import ManagerAccess

logger = logging.getLogger(__name__)

SCHEMA_ID = "https://schema.jupyter.org/qwen3ft_jupyter/change/v1"
SCHEMA_FILE = Path(__file__).parent / "change.yaml"

BUSY_S = 1.0
"""Between looks while a job is active, and between two events of one job that only moved on."""
IDLE_S = 3.0
"""Between looks while no job is active; such a look is one stat of a local folder."""
FULL_S = 10.0
"""Between looks at everything: the cache may be on a network drive."""
STOP_S = 1.0
"""How long the server's end waits for the watcher; what it looks at may hang for ever."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event."""

    subject: Literal["job", "cache"]
    id: str
    state: str

    def to_dict(self) -> dict[str, str]:
        """Return the event as its schema describes it."""
        return {"subject": self.subject, "id": self.id, "state": self.state}


@dataclass(frozen=True, slots=True)
class JobMark:
    """What tells one moment of a job from another."""

    state: str
    attempt: int
    updated: float | None
    is_active: bool
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the watcher saw at one moment."""

    jobs: Mapping[str, JobMark] = field(default_factory=dict)
    cache: Mapping[str, int] = field(default_factory=dict)
    folder_stamp: int = 0

    @property
    def is_busy(self) -> bool:
        """Is a job active?"""
        return any(mark.is_active for mark in self.jobs.values())

    @property
    def is_working(self) -> bool:
        """Does a job do something? One that is paused waits for a person, however long that takes."""
        return any(mark.is_active and not mark.is_paused for mark in self.jobs.values())


def look(manager: ModelManager, before: Snapshot, *, is_full: bool) -> Snapshot:
    """Return what there is now. Blocks; unless `is_full`, only active jobs are read again.

    A job that another process starts or forgets changes the time stamp of the jobs' folder, which is seen at once; one
    that it resumes is seen by the next full look.
    """
    folder_stamp = stamp_of(manager.settings.state_dir / "jobs")
    if is_full or folder_stamp != before.folder_stamp:
        jobs = {job.id: _mark(job) for job in manager.job_snapshots()}
    else:
        active = [job_id for job_id, mark in before.jobs.items() if mark.is_active]
        jobs = {**before.jobs, **_read_marks(manager, active)}
    # A job that ends may have put a model into the cache.
    has_ended = any(mark.is_active and not _is_active(jobs.get(job_id)) for job_id, mark in before.jobs.items())
    cache = cache_stamps(manager.settings.cache_dir) if is_full or has_ended else before.cache
    return Snapshot(jobs, cache, folder_stamp)


def cache_changes(before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """Return what happened to the cache between two looks.

    >>> [change.state for change in cache_changes({"a": 1, "b": 1}, {"b": 2, "c": 1})]
    ['removed', 'changed', 'added']
    """
    gone = [Change("cache", slug, "removed") for slug in before if slug not in after]
    there = [
        Change("cache", slug, "changed" if slug in before else "added")
        for slug, stamp in after.items()
        if before.get(slug) != stamp
    ]
    return gone + there


class JobNews:
    """Decides which changes of jobs are told now: a new state at once, mere progress at most once per `BUSY_S`."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[JobMark, float]] = {}

    def settle(self, jobs: Mapping[str, JobMark], now: float) -> None:
        """Take `jobs` as known, without telling."""
        self._told = {job_id: (mark, now) for job_id, mark in jobs.items()}

    def changes(self, jobs: Mapping[str, JobMark], now: float) -> list[Change]:
        """Return what is to be told at `now`, in seconds of any steady clock."""
        news = [Change("job", job_id, "forgotten") for job_id in self._told if job_id not in jobs]
        for change in news:
            del self._told[change.id]
        for job_id, mark in jobs.items():
            known, told_at = self._told.get(job_id, (None, 0.0))
            if known == mark:
                continue
            is_same_state = known is not None and (known.state, known.attempt) == (mark.state, mark.attempt)
            if is_same_state and now - told_at < BUSY_S:
                continue
            self._told[job_id] = (mark, now)
            news.append(Change("job", job_id, mark.state))
        return news


class ChangeWatcher:
    """A task on the server's event loop that looks, in a thread, and tells, on the loop."""

    def __init__(
        self, access: ManagerAccess, tell: Callable[[Change], None], *, on_work: Callable[[], None] = lambda: None
    ) -> None:
        self._access = access
        self._tell = tell
        self._on_work = on_work
        """Called after each look that sees a job at work, which is at least every `BUSY_S`."""
        self.is_working = False
        """Whether the last look saw one."""
        self.is_settled = asyncio.Event()
        """Set once it knows what was there before; only what changes after that is told."""
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_ending = False
        self._is_full_wanted = True
        self._has_failed = False

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="qwen3ft watcher")

    def poke(self) -> None:
        """Look again soon, at everything: a request has just changed something."""
        self._is_full_wanted = True
        self._wake.set()

    async def stop(self) -> None:
        """End the watching; a look that hangs on a dead drive is left behind after `STOP_S`."""
        if self._task is None:
            return
        self._is_ending = True  # before Python 3.12, wait_for swallows a cancellation that comes with its result
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=STOP_S)
        self._task = None

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        news = JobNews()
        seen = await self._look(Snapshot())
        self._note(seen)
        news.settle(seen.jobs, clock())
        self.is_settled.set()
        full_at = clock()
        while not self._is_ending:
            await self._rest(BUSY_S if seen.is_busy else IDLE_S)
            if clock() - full_at >= FULL_S:
                self._is_full_wanted = True
            if self._is_full_wanted:
                full_at = clock()
            before, seen = seen, await self._look(seen)
            self._note(seen)
            for change in [*news.changes(seen.jobs, clock()), *cache_changes(before.cache, seen.cache)]:
                self._tell(change)

    def _note(self, seen: Snapshot) -> None:
        self.is_working = seen.is_working
        if self.is_working:
            self._on_work()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    async def _look(self, before: Snapshot) -> Snapshot:
        is_full, self._is_full_wanted = self._is_full_wanted, False
        try:
            seen = await self._access.watch(lambda manager: look(manager, before, is_full=is_full))
        except Exception:
            # A border: whatever a disk or a half-written job does, a watcher that died would leave panels stale.
            if not self._has_failed:  # once, not every few seconds
                logger.warning("could not look for changes; trying on", exc_info=True)
            self._has_failed = self._is_full_wanted = True
            return before
        self._has_failed = False
        return seen


def _read_marks(manager: ModelManager, ids: Sequence[str]) -> dict[str, JobMark]:
    marks = {}
    for job_id in ids:
        with contextlib.suppress(JobNotFound):  # forgotten a moment ago: the next look at the folder tells
            marks[job_id] = _mark(manager.job(job_id).snapshot())
    return marks


def _mark(job: JobSnapshot) -> JobMark:
    status = job.status
    return JobMark(status.state, status.attempt, status.updated, status.is_active, job.is_paused)


def _is_active(mark: JobMark | None) -> bool:
    return mark is not None and mark.is_active


def stamp_of(path: Path) -> int:
    """Return when a file or folder was changed; 0 if it cannot be seen."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def cache_stamps(cache_dir: Path) -> dict[str, int]:
    """Return what tells one moment of a cache folder from another: its models, and when each was written down."""
    try:
        with os.scandir(cache_dir) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return {}
    # A plain folder without our manifest is listed, too, with the stamp 0.
    return {name: stamp_of(cache_dir / name / ".qwen3ft" / "manifest.json") for name in sorted(names)}
