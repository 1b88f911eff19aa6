"""Which hub, which cache, which Python, and why."""

from __future__ import annotations

from tornado import web

from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized

AUTH_RESOURCE = "qwen3ft_jupyter:status"


class StatusHandler(Qwen3FTHandler):
    """The settings in force and where each came from."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the description of this server."""
        self.given()
        self.answer(say.status(await self.read(lambda manager: manager.describe()), self.speaker).to_dict())


ROUTES = (("/status", StatusHandler),)
