"""The models there are, and the request to download one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado import web

from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager import ModelManager

AUTH_RESOURCE = "qwen3ft_jupyter:models"
_DOWNLOAD = (Field("model_name", "text", is_required=True), Field("force", "flag"), Field("revision", "text"))


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
    """Starts downloads."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the model if it is cached already, else start a job and answer with that."""
        given = self.fields(_DOWNLOAD)
        force = bool(given.get("force", False))
        is_cached, found = await self.act(
            lambda manager: _start(manager, given["model_name"], force=force, revision=given.get("revision"))
        )
        if is_cached:
            self.answer({"status": "cached", **found})
        else:
            self.answer_job(found)


def _start(manager: ModelManager, name: str, *, force: bool, revision: str | None) -> tuple[bool, dict[str, Any]]:
    if not force:
        for model in manager.list_cached_models():
            # An unverified folder goes through the job, which checks it and fetches what is missing.
            if model["model_name"] == name and model["verified"] and revision in (None, model["revision"]):
                return True, model
    return False, manager.download(name, force=force, revision=revision).to_dict()


ROUTES = (("/models", ModelsHandler), ("/models/download", DownloadHandler))
