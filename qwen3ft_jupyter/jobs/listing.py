"""All jobs at once: of hundreds that have ended, only those are read whose folder has changed since.

Whatever changes a job that has ended (a new attempt, its status, its controls, its being forgotten) makes, replaces or
removes a name in its folder, and so gives the folder another time of change. Its log and its events do not; nothing of
them is in a listing.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from qwen3ft_jupyter.errors import JobError
from qwen3ft_jupyter.jobs.folder import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.jobs.state import JobSnapshot, JobState
    from qwen3ft_jupyter.jobs.store import Job

SETTLE_S = 3.0
"""A folder has to look the same for so long: a file system may give two changes in quick succession one time."""
SETTLED: frozenset[JobState] = frozenset({"succeeded", "failed", "stopped"})
"""States that only a change in the folder ends. *Interrupted* is not among them: another host may only be silent."""


class Listed(NamedTuple):
    """A job and how it stands."""

    job: Job
    snapshot: JobSnapshot


@dataclass(slots=True)
class _Known:
    changed_ns: int
    """The folder's time of change, and since when it was seen like that."""
    since: float
    job: Job
    listed: Listed | None = None
    """What was read once the folder had settled."""


class Listing:
    """Reads the jobs in one folder again and again. Safe to use from several threads.

    Args:
        jobs_dir: where their folders are.
        open_job: returns the job with an id; raises JobNotFound.
        clock: seconds that only grow.
    """

    def __init__(
        self, jobs_dir: Path, open_job: Callable[[str], Job], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._jobs_dir = jobs_dir
        self._open = open_job
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def jobs(self) -> list[Job]:
        """Return every job, newest first. Raises JobError if their folder cannot be looked into."""
        return sorted((known.job for known in self._look()), key=_age, reverse=True)

    def read(self) -> list[Listed]:
        """Return every job with how it stands, newest first; one that is forgotten meanwhile is left out."""
        found = []
        for known in self._look():
            with contextlib.suppress(JobError):
                found.append(self._read(known))
        return sorted(found, key=lambda listed: _age(listed.job), reverse=True)

    def _read(self, known: _Known) -> Listed:
        if known.listed is not None:
            return known.listed
        was_settled = self._clock() - known.since >= SETTLE_S
        listed = Listed(known.job, known.job.snapshot())
        if was_settled and listed.snapshot.status.state in SETTLED:
            known.listed = listed
        return listed

    def _look(self) -> Iterable[_Known]:
        """Return the jobs there are, opening those that are new or changed."""
        found: dict[str, _Known] = {}
        for name, changed_ns in self._folders():
            known = self._known.get(name)
            if known is None or known.changed_ns != changed_ns:
                try:
                    known = _Known(changed_ns, self._clock(), self._open(name))
                except JobError:  # not a job's folder, or one just being made or forgotten
                    continue
            found[name] = known
        self._known = found
        return found.values()

    def _folders(self) -> Iterator[tuple[str, int]]:
        unseen = fault(self._jobs_dir)
        if unseen is not None:
            raise unseen
        with contextlib.suppress(FileNotFoundError), os.scandir(self._jobs_dir) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    yield entry.name, entry.stat().st_mtime_ns


def _age(job: Job) -> tuple[float, str]:
    return job.created, job.id
