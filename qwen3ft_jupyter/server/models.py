"""The models there are, and the request to download one or to say what that would take."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tornado import web

from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.server.base import Services

AUTH_RESOURCE = "qwen3ft_jupyter:models"
_DOWNLOAD = (
    Field("model_name", "text", is_required=True),
    Field("force", "flag"),
    Field("revision", "text"),
    Field("update", "flag"),
    Field("sources", "list"),
    Field("in_place", "flag"),
    Field("max_speed", "count"),
    Field("dry_run", "flag"),
)


class ModelsHandler(Qwen3FTHandler):
    """The catalogue joined with the cache and the running downloads."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every model."""
        self.fields()
        self.answer({"models": await self.read(lambda manager: manager.models())})


class DownloadHandler(Qwen3FTHandler):
    """Starts downloads, or says what one would take."""

    auth_resource = AUTH_RESOURCE

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
        given = self.fields(_DOWNLOAD)
        if given.pop("dry_run", False):
            self.answer(await self.ask(lambda manager: _plan(manager, given, self._has_left)))
            return
        is_cached, found = await self.act(lambda manager: _start(manager, given))
        if is_cached:
            self.answer({"status": "cached", **found})
        else:
            self.answer_job(found)


def _plan(manager: ModelManager, given: Mapping[str, Any], stop: threading.Event) -> dict[str, Any]:
    options = {name: value for name, value in given.items() if name != "model_name"}
    options["max_speed"] = given.get("max_speed") or None
    plan: dict[str, Any] = manager.plan(given["model_name"], **options, stop=stop).to_dict()
    return plan


def _start(manager: ModelManager, given: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    name, revision = given["model_name"], given.get("revision")
    if not (given.get("force") or given.get("update")):
        for model in manager.list_cached_models():
            # An unverified folder goes through the job, which checks it and fetches what is missing.
            # A branch or tag may have moved on, which the job asks; a commit never does.
            if model["model_name"] == name and model["verified"] and revision in (None, model["commit"]):
                return True, model
    options = {name: value for name, value in given.items() if name != "model_name"}
    options["max_speed"] = given.get("max_speed") or None
    return False, manager.download(name, **options).to_dict()


ROUTES = (("/models", ModelsHandler), ("/models/download", DownloadHandler))
