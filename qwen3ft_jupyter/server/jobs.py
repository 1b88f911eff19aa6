"""Jobs: list, follow, read the log, stop, pause, resume, slow down, forget."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from tornado import web

from qwen3ft_jupyter.errors import JobNotFound, WrongJobState
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.curves import read_metrics
from qwen3ft_jupyter.server.fields import Field, check_job_id, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.messages import Speaker

T = TypeVar("T")

AUTH_RESOURCE = "qwen3ft_jupyter:jobs"
LOG_BYTES = 1 << 16
"""Of a piece of a log."""
MOST_LOG_BYTES = 1 << 23
"""Of the end of a log: some 80,000 lines; a longer one is read as the file that it is."""


class JobsHandler(Qwen3FTHandler):
    """All jobs, or some."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (Field("ids", "list"),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every job, newest first, or with those of `ids` that there are."""
        ids, speaker = self.given().texts("ids"), self.speaker
        if ids:
            self.answer(await self.read(lambda manager: _say_some(manager, ids, speaker)))
        else:
            kept = self.services.answers.jobs
            self.finish(await self.read(lambda manager: kept.to_json(manager.job_snapshots(), speaker)))

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self) -> None:
        """Forget every job that has ended, and answer with their ids."""
        self.given()
        self.answer({"forgotten": await self.act(_forget_ended)})


class OneJobHandler(Qwen3FTHandler):
    """Base of the handlers that are about one job."""

    auth_resource = AUTH_RESOURCE

    async def read_job(self, job_id: str, call: Callable[[Job], T]) -> T:
        """Run `call`, which changes nothing, on the job, off the event loop. Raises JobNotFound."""
        wanted = check_job_id(job_id)
        return await self.read(lambda manager: call(manager.job(wanted)))

    async def act_on_job(self, job_id: str, call: Callable[[Job], T]) -> T:
        """Run `call` on the job, off the event loop. Raises JobNotFound."""
        wanted = check_job_id(job_id)
        return await self.act(lambda manager: call(manager.job(wanted)))

    def answer_change(self, job: JobSnapshot) -> None:
        """Finish with a job that has been told something."""
        self.answer(say.answer(job, self.speaker))


class JobHandler(OneJobHandler):
    """One job."""

    accepts: ClassVar = {"GET": (Field("metrics", "flag"),), "DELETE": fields_of("jobs forget")}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with the job and, unless `metrics` is false, its training curve."""
        curves = self.services.curves if self.given().flag("metrics", default=True) else None
        job, metrics = await self.read_job(
            job_id, lambda job: (job.snapshot(), curves.read(job)[0] if curves else None)
        )
        shown = say.answer(job, self.speaker)
        self.answer(shown if metrics is None else {**shown, "metrics": metrics})

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self, job_id: str) -> None:
        """Forget a job that has ended: its folder goes, its results stay."""
        wanted, is_there = check_job_id(job_id), self.given().flag("there")
        await self.act(lambda manager: _forget(manager, wanted, is_there=is_there))
        self.set_status(204)
        self.finish()


class JobMetricsHandler(OneJobHandler):
    """The training metrics of one job."""

    accepts: ClassVar = {"GET": (Field("after", "count"),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with what came after an event, or with the whole curve, and with the number to go on after."""
        after, curves = self.given().count("after"), self.services.curves
        metrics, next_after = await self.read_job(
            job_id, lambda job: read_metrics(job, after) if after else curves.read(job)
        )
        self.answer({"metrics": metrics, "next_after": next_after})


class JobLogHandler(OneJobHandler):
    """The log of one job."""

    accepts: ClassVar = {"GET": (Field("offset", "count"), Field("end", "count"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with a piece of the log and the offset of the next; with `end` with that many of its last bytes."""
        given = self.given()
        size = min(given.count("end"), MOST_LOG_BYTES)
        offset, limit = (-size, size) if size else (given.count("offset"), LOG_BYTES)
        chunk = await self.read_job(job_id, lambda job: job.log(offset, limit))
        self.answer({"text": chunk.text, "next_offset": chunk.next_offset})


class JobStopHandler(OneJobHandler):
    """Stops one job."""

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Ask the job to stop and answer with it; it ends by itself a moment later."""
        self.given()
        self.answer_change(await self.act_on_job(job_id, lambda job: _tell(job, job.stop)))


class JobPauseHandler(OneJobHandler):
    """Pauses one job."""

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Let the job rest and answer with it."""
        self.given()
        self.answer_change(await self.act_on_job(job_id, lambda job: _tell(job, job.pause)))


class JobLimitHandler(OneJobHandler):
    """Limits the speed of one job."""

    accepts: ClassVar = {"POST": (Field("max_speed", "count", is_required=True),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Change the most bytes a second that the job may move and answer with it."""
        max_speed = self.given().count("max_speed") or None
        self.answer_change(await self.act_on_job(job_id, lambda job: _tell(job, partial(job.limit, max_speed))))


class JobResumeHandler(OneJobHandler):
    """Resumes one job."""

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Let a paused job go on; start the next attempt of one that has ended, which goes on where that one did."""
        self.given()
        self.answer_job(await self.act_on_job(job_id, lambda job: job.resume().snapshot()))


def _say_some(manager: ModelManager, ids: Sequence[str], speaker: Speaker) -> Mapping[str, object]:
    jobs = []
    for job_id in ids:
        with contextlib.suppress(JobNotFound):  # whoever asks sees that it is gone
            jobs.append(say.answer(manager.job(check_job_id(job_id)).snapshot(), speaker))
    return {"jobs": jobs}


def _forget(manager: ModelManager, job_id: str, *, is_there: bool) -> None:
    job = manager.job(job_id)
    if is_there:
        manager.delete_there(job)
    job.forget()


def _forget_ended(manager: ModelManager) -> list[str]:
    forgotten = []
    for job in manager.job_snapshots():
        if not job.status.is_active:
            with contextlib.suppress(JobNotFound, WrongJobState):  # forgotten or resumed meanwhile
                manager.job(job.id).forget()
                forgotten.append(job.id)
    return forgotten


def _tell(job: Job, tell: Callable[[], None]) -> JobSnapshot:
    """Tell a job something and return how it stands then."""
    tell()
    return job.snapshot()


ROUTES = (
    ("/jobs", JobsHandler),
    ("/jobs/{id}", JobHandler),
    ("/jobs/{id}/metrics", JobMetricsHandler),
    ("/jobs/{id}/log", JobLogHandler),
    ("/jobs/{id}/stop", JobStopHandler),
    ("/jobs/{id}/pause", JobPauseHandler),
    ("/jobs/{id}/resume", JobResumeHandler),
    ("/jobs/{id}/limit", JobLimitHandler),
)
