"""Jobs: list, follow, read the log, stop, pause, resume, slow down, forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado import web

from qwen3ft_jupyter.job_lists import job_rows
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.curves import read_metrics
from qwen3ft_jupyter.server.fields import Field, check_job_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.jobs import Job
    from qwen3ft_jupyter.server.curves import Curves

AUTH_RESOURCE = "qwen3ft_jupyter:jobs"


class JobsHandler(Qwen3FTHandler):
    """All jobs."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every job, newest first."""
        self.fields()
        self.answer({"jobs": await self.read(lambda manager: job_rows(manager.jobs()))})


class JobHandler(Qwen3FTHandler):
    """One job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with the job and, unless `metrics` is false, its training curve."""
        has_metrics = self.fields((Field("metrics", "flag"),)).get("metrics", True)
        wanted = check_job_id(job_id)
        curves = self.services.curves if has_metrics else None
        self.answer(await self.read(lambda manager: _shown(manager.job(wanted), curves)))

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self, job_id: str) -> None:
        """Forget a job that has ended: its folder goes, its results stay."""
        self.fields()
        wanted = check_job_id(job_id)
        await self.act(lambda manager: manager.job(wanted).forget())
        self.set_status(204)
        self.finish()


class JobMetricsHandler(Qwen3FTHandler):
    """The training metrics of one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with what came after an event, or with the whole curve, and with the number to go on after."""
        after = self.fields((Field("after", "count"),)).get("after", 0)
        wanted = check_job_id(job_id)
        metrics, next_after = await self.read(
            lambda manager: _read_metrics(manager.job(wanted), after, self.services.curves)
        )
        self.answer({"metrics": metrics, "next_after": next_after})


class JobLogHandler(Qwen3FTHandler):
    """The log of one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self, job_id: str) -> None:
        """Answer with a piece of the log and the offset of the next."""
        offset = self.fields((Field("offset", "count"),)).get("offset", 0)
        wanted = check_job_id(job_id)
        chunk = await self.read(lambda manager: manager.job(wanted).log(offset))
        self.answer({"text": chunk.text, "next_offset": chunk.next_offset})


class JobStopHandler(Qwen3FTHandler):
    """Stops one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Ask the job to stop and answer with it; it ends by itself a moment later."""
        self.fields()
        wanted = check_job_id(job_id)
        self.answer(await self.act(lambda manager: _told(manager.job(wanted), lambda job: job.stop())))


class JobPauseHandler(Qwen3FTHandler):
    """Pauses one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Let the job rest and answer with it."""
        self.fields()
        wanted = check_job_id(job_id)
        self.answer(await self.act(lambda manager: _told(manager.job(wanted), lambda job: job.pause())))


class JobLimitHandler(Qwen3FTHandler):
    """Limits the speed of one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Change the most bytes a second that the job may move and answer with it."""
        max_speed = self.fields((Field("max_speed", "count", is_required=True),))["max_speed"] or None
        wanted = check_job_id(job_id)
        self.answer(await self.act(lambda manager: _told(manager.job(wanted), lambda job: job.limit(max_speed))))


class JobResumeHandler(Qwen3FTHandler):
    """Resumes one job."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, job_id: str) -> None:
        """Let a paused job go on; start the next attempt of one that has ended, which goes on where that one did."""
        self.fields()
        wanted = check_job_id(job_id)
        self.answer_job(await self.act(lambda manager: manager.job(wanted).resume().to_dict()))


def _told(job: Job, tell: Callable[[Job], object]) -> dict[str, Any]:
    """Tell a job something and return how it stands then."""
    tell(job)
    return job.to_dict()


def _shown(job: Job, curves: Curves | None) -> dict[str, Any]:
    shown = job.to_dict()
    return shown if curves is None else {**shown, "metrics": curves.read(job)[0]}


def _read_metrics(job: Job, after: int, curves: Curves) -> tuple[list[Mapping[str, float]], int]:
    return read_metrics(job, after) if after else curves.read(job)


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
