"""Jobs take turns: downloads, each of which may open as many connections as a link bears; on one GPU what computes.

Those begun earlier go first. One that is paused, or waits itself for something else, keeps nobody. The order is in the
jobs' folders alone, so it outlives whoever started them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qwen3ft_jupyter.jobs.kinds import JobContext
    from qwen3ft_jupyter.jobs.listing import Listed
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import JobStore

AT_ONCE: Final = 2
"""Downloads. One alone would keep the others waiting for a hub that is slow today; with more, all are slow."""
LOOK_S: Final = 1.0

FETCHING: Final = frozenset(
    {"resolving", "waiting", "checking", "probing", "adopting", "transferring", "verifying", "committing"}
)
"""Phases of a job whose model is not here yet: it needs no GPU, and will wait for its turn when it does."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What some jobs take turns at."""

    takes_part: Callable[[JobSnapshot], bool]
    at_once: int
    say: Callable[[int], str]
    """Says what is waited for, given how many go first."""
    idle: frozenset[str] = frozenset({"waiting"})
    """Phases in which a job that has had its turn keeps nobody waiting."""

    def wait(self, store: JobStore, context: JobContext) -> None:
        """Wait until a job may begin; once begun it waits no more. Raises Stopped."""
        work = context.work
        while (count := self.count_before(store.read_all(), context.folder.name)) >= self.at_once:
            work.progress(Progress("queued", unit="files", detail=self.say(count)))
            work.stop.wait(LOOK_S)
            work.check()

    def count_before(self, jobs: Iterable[Listed], job_id: str) -> int:
        """Return how many jobs are at work, or wait and were begun before this one."""
        rivals = [snapshot for _, snapshot in jobs if self.takes_part(snapshot)]
        own = next((job for job in rivals if job.id == job_id), None)
        if own is None:  # forgotten by hand: nothing that could be in order
            return 0
        others = [job for job in rivals if job is not own and job.status.is_active and not job.is_paused]
        before = [job for job in others if _phase(job) not in {"", "queued"} | self.idle]  # at work, whatever their age
        before += [job for job in others if _phase(job) in {"", "queued"} and _age(job) < _age(own)]
        return len(before)


DOWNLOADS: Final = Turns(
    lambda job: job.kind == "download",
    AT_ONCE,
    lambda count: Message("{count} other downloads go first", count=count),
)


def turns_on(gpus: str, gpus_of: Callable[[JobSnapshot], str]) -> Turns:
    """Return the turns of fine-tunes and evaluations on GPUs, such as "cuda:0,cuda:1"; `gpus_of` returns a job's.

    A job on several waits until all are free. The older goes first on each, so that no two wait for each other.
    """
    wanted = gpu_names(gpus)
    return Turns(
        lambda job: bool(wanted & gpu_names(gpus_of(job))),
        1,
        lambda count: Message("jobs on {gpu} that go first: {count}", gpu=gpus, count=count),
        FETCHING,
    )


def gpu_names(gpus: str) -> frozenset[str]:
    """Return the GPUs that are written with commas; none for "".

    >>> sorted(gpu_names("cuda:0,cuda:1")), gpu_names("")
    (['cuda:0', 'cuda:1'], frozenset())
    """
    return frozenset(filter(None, gpus.split(",")))


def _phase(job: JobSnapshot) -> str:
    return job.status.progress.phase if job.status.progress else ""


def _age(job: JobSnapshot) -> tuple[float, str]:
    return job.created, job.id
