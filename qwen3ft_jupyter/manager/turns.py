"""Downloads take turns: each may open as many connections as a link and a hub bear, so few are at it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.jobs.kinds import JobContext
    from qwen3ft_jupyter.jobs.listing import Listed
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import JobStore

AT_ONCE: Final = 2
"""One alone would keep the others waiting for a hub that is slow today; with more, all are slow."""
LOOK_S: Final = 1.0


def wait_for_turn(store: JobStore, context: JobContext) -> None:
    """Wait until a download may begin; once begun it waits no more. Raises Stopped.

    Those begun earlier go first. One that is paused, or waits itself for something else, keeps nobody.
    """
    work = context.work
    while (count := count_before(store.read_all(), context.folder.name)) >= AT_ONCE:
        work.progress(Progress("queued", unit="files", detail=Message("{count} other downloads go first", count=count)))
        work.stop.wait(LOOK_S)
        work.check()


def count_before(jobs: Iterable[Listed], job_id: str) -> int:
    """Return how many downloads are at work, or wait and were begun before the job."""
    downloads = [snapshot for _, snapshot in jobs if snapshot.kind == "download"]
    own = next((job for job in downloads if job.id == job_id), None)
    if own is None:  # forgotten by hand: nothing that could be in order
        return 0
    others = [job for job in downloads if job is not own and job.status.is_active and not job.is_paused]
    before = [job for job in others if _phase(job) not in {"", "queued", "waiting"}]  # at work, whatever their age
    before += [job for job in others if _phase(job) in {"", "queued"} and _age(job) < _age(own)]
    return len(before)


def _phase(job: JobSnapshot) -> str:
    return job.status.progress.phase if job.status.progress else ""


def _age(job: JobSnapshot) -> tuple[float, str]:
    return job.created, job.id
