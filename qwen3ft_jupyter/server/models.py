"""The models there are, and the request to download one or to say what that would take."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from tornado import web

from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.cache import say_copy
from qwen3ft_jupyter.server.fields import Field, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.overview import ModelRow
    from qwen3ft_jupyter.messages import Speaker
    from qwen3ft_jupyter.server.base import Services
    from qwen3ft_jupyter.server.fields import Given

AUTH_RESOURCE = "qwen3ft_jupyter:models"
_DOWNLOAD = (Field("model_name", "text", is_required=True), *fields_of("download"))


class ModelsHandler(Qwen3FTHandler):
    """The catalogue joined with the cache and the running downloads."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every model."""
        self.given()
        speaker, kept = self.speaker, self.services.answers.models
        self.finish(
            await self.read(lambda manager: kept.to_json(manager.model_rows(), speaker, partial(_say_all, speaker)))
        )


class DownloadHandler(Qwen3FTHandler):
    """Starts downloads, or says what one would take."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": _DOWNLOAD}

    def initialize(self, services: Services) -> None:
        """Receive what the routes work with."""
        super().initialize(services)
        self._has_left = threading.Event()

    def on_connection_close(self) -> None:
        """Stop asking hubs for someone who has left."""
        super().on_connection_close()
        self._has_left.set()

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the model if it is cached already, else start a job and answer with that."""
        given = self.given()
        if given.flag("dry_run"):
            plan = await self.ask(lambda manager: _plan(manager, given, self._has_left))
            self.answer(self.speaker.say_within(plan))
            return
        cached = await self.act(lambda manager: _find_cached(manager, given))
        if cached is not None:
            self.answer({"status": "cached", **say_copy(cached, self.speaker)})
        else:
            self.answer_job(await self.act(lambda manager: _start(manager, given)))


def _say_all(speaker: Speaker, rows: Sequence[ModelRow]) -> Mapping[str, object]:
    return {"models": [say.model_answer(row, speaker) for row in rows]}


def _plan(manager: ModelManager, given: Given, stop: threading.Event) -> Mapping[str, object]:
    return manager.plan(given.text("model_name"), **_options(given), stop=stop).to_dict()


def _find_cached(manager: ModelManager, given: Given) -> CachedModel | None:
    """Return the model if it is here and nothing has to be asked or checked for it; a data set is left to the job.

    An unverified folder goes through the job, which checks it and fetches what is missing. A branch or tag may have
    moved on, which the job asks; a commit never does.
    """
    if given.flag("force") or given.flag("update") or as_dataset(given.text("model_name")) is not None:
        return None
    repo_id, revision = parse_model(given.text("model_name"), given.text("revision"))
    for model in manager.cached_models():
        if model.repo_id == repo_id and model.is_sound and revision in (None, model.commit):
            return model
    return None


def _start(manager: ModelManager, given: Given) -> JobSnapshot:
    return manager.download(given.text("model_name"), **_options(given)).snapshot()


def _options(given: Given) -> dict[str, Any]:
    """Return the arguments of `ModelManager.download` and `plan` beside the name; Any as their types differ."""
    options = {name: value for name, value in given.values.items() if name not in ("model_name", "dry_run")}
    return {**options, "max_speed": given.count("max_speed") or None}


ROUTES = (("/models", ModelsHandler), ("/models/download", DownloadHandler))
