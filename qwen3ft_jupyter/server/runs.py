"""What a fine-tune has left: what it came to, and the requests to merge it, to have it served, and to publish it."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, ClassVar

from tornado import web

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.curves import MOST_POINTS, POINTS, Part
from qwen3ft_jupyter.hubs.datasets import parse_dataset
from qwen3ft_jupyter.paths import is_there
from qwen3ft_jupyter.server.base import AskingHandler, Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field, fields_of

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.foreseen import Foreseen
    from qwen3ft_jupyter.server.fields import Given

AUTH_RESOURCE = "qwen3ft_jupyter:runs"
_RUN = Field("run", "text", is_required=True)
_REPO_ID = Field("repo_id", "text", is_required=True)
_HUB = Field("hub", "text")
_DRY_RUN = Field("dry_run", "flag")
_CURVE = tuple(Field(name, "count") for name in ("first", "last", "points", "after"))
REPO = re.compile(r"[\w-][\w.-]*/[\w.@-]+", re.ASCII)
"""What may be the id of a repo, also with a revision; else it is a folder or the id of a job."""


class ReportHandler(Qwen3FTHandler):
    """Tells of a fine-tune: its record, result and report card."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (_RUN,)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with what is known of it."""
        name = _name(self.given())
        self.answer(await self.read(lambda manager: manager.run(name).to_dict()))


class CurvesHandler(Qwen3FTHandler):
    """Draws the curves of fine-tunes, finished or not."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (_RUN, *_CURVE)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the part of them that is asked for, in few points."""
        given, curves = self.given(), self.services.run_curves
        name, part = _name(given), _part(given)
        self.answer(await self.read(lambda manager: curves.draw(manager.run_folder(name), part)))


class CompareHandler(Qwen3FTHandler):
    """Sets fine-tunes beside each other."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (Field("runs", "list", is_required=True),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with where they differ, and what each came to."""
        names = [_checked(name) for name in self.given().texts("runs")]
        self.answer(await self.read(lambda manager: manager.compare(names).to_dict()))


class EvaluateHandler(AskingHandler):
    """Starts evaluations."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_RUN, Field("data", "text"), *fields_of("evaluate"), _DRY_RUN)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job and answer with it; answer to a dry run with what it would be."""
        given = self.given()
        if given.flag("dry_run"):
            self.answer((await self.read(lambda manager: _foresee_evaluate(manager, given))).to_dict())
        else:
            self.answer_job(await self.act(lambda manager: _evaluate(manager, given, self.has_left)))


class MergeHandler(Qwen3FTHandler):
    """Starts merges."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_RUN, *fields_of("merge"), _DRY_RUN)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job and answer with it; answer to a dry run with what it would be."""
        given = self.given()
        if given.flag("dry_run"):
            self.answer((await self.read(lambda manager: _foresee_merge(manager, given))).to_dict())
        else:
            self.answer_job(await self.act(lambda manager: _merge(manager, given)))


class ExportHandler(Qwen3FTHandler):
    """Starts exports."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_RUN, *fields_of("export"), _DRY_RUN)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job and answer with it; answer to a dry run with what it would be."""
        given = self.given()
        if given.flag("dry_run"):
            self.answer((await self.read(lambda manager: _foresee_export(manager, given))).to_dict())
        else:
            self.answer_job(await self.act(lambda manager: _export(manager, given)))


def _part(given: Given) -> Part:
    last, points = given.count("last"), given.count("points")
    return Part(given.count("first"), last or math.inf, min(points or POINTS, MOST_POINTS), given.count("after"))


def _evaluate(manager: ModelManager, given: Given, stop: threading.Event) -> JobSnapshot:
    data, fields = _measured(given)
    asked = {"name": _name(given), "data": data, "at_once": given.flag("at_once"), **fields}
    return manager.job(manager.look_ahead("evaluate", asked, folder=None, stop=stop)["id"]).snapshot()


def _foresee_evaluate(manager: ModelManager, given: Given) -> Foreseen:
    data, fields = _measured(given)
    return manager.foresee_evaluation(_name(given), data, **fields)


def _measured(given: Given) -> tuple[str | None, dict[str, Any]]:
    """Return the data, None for that which was held out, and other fields of an evaluation."""
    data, length = given.text("data"), given.count("max_length")
    if data and (parse_dataset(data.partition("#")[0]) is None or is_there(data)):
        _check_whole("data", data)
    return data or None, {"max_length": length} if length else {}


class PushHandler(Qwen3FTHandler):
    """Says what a push would be; starts pushes."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_RUN, _REPO_ID, _HUB, *fields_of("push"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the plan; where it is confirmed, start a job and answer with that."""
        given = self.given()
        hub, is_private = given.text("hub"), not given.flag("public")
        run, repo_id = _name(given), given.text("repo_id")

        def start(manager: ModelManager) -> JobSnapshot:
            return manager.push(run, repo_id, hub=hub, private=is_private, confirm=True).snapshot()

        if given.flag("confirm"):
            self.answer_job(await self.act(start))
            return
        plan = await self.ask(lambda manager: manager.push(run, repo_id, hub=hub, private=is_private))
        self.answer(self.speaker.say_within(plan.to_dict()))


def _merge(manager: ModelManager, given: Given) -> JobSnapshot:
    base = given.text("base") or "original"
    job = manager.merge(_name(given), _output_dir(given), base=base, overwrite=given.flag("overwrite"))
    return job.snapshot()


def _foresee_merge(manager: ModelManager, given: Given) -> Foreseen:
    base = given.text("base") or "original"
    return manager.foresee_merge(_name(given), _output_dir(given), base=base, overwrite=given.flag("overwrite"))


def _foresee_export(manager: ModelManager, given: Given) -> Foreseen:
    to = given.text("to") or "safetensors"
    return manager.foresee_export(_name(given), to, _output_dir(given), overwrite=given.flag("overwrite"))


def _export(manager: ModelManager, given: Given) -> JobSnapshot:
    to = given.text("to") or "safetensors"
    job = manager.export(_name(given), to, _output_dir(given), overwrite=given.flag("overwrite"))
    return job.snapshot()


def _name(given: Given) -> str:
    """Return the id, repo or folder. Raises BadInput for a folder that depends on where the server runs."""
    return _checked(given.text("run"))


def _checked(name: str) -> str:
    is_repo = REPO.fullmatch(name) is not None and not is_there(name)
    if ("/" in name or "\\" in name or name.startswith(".")) and not is_repo:
        _check_whole("run", name)
    return name


def _output_dir(given: Given) -> str | None:
    folder = given.text("output_dir")
    if folder:
        _check_whole("output_dir", folder)
    return folder or None


def _check_whole(field: str, path: str) -> None:
    if not os.path.isabs(os.path.expanduser(path)):  # noqa: PTH111, PTH117 - Path's raises for a ~ of nobody
        raise BadInput("{field} must be a whole path.", hint="Begin it with / or ~.", field=field)


ROUTES = (
    ("/runs/report", ReportHandler),
    ("/runs/curves", CurvesHandler),
    ("/runs/compare", CompareHandler),
    ("/runs/evaluate", EvaluateHandler),
    ("/runs/merge", MergeHandler),
    ("/runs/export", ExportHandler),
    ("/runs/push", PushHandler),
)
