"""Which hub, which cache, which Python, and why; and what memory there is for a fine-tune."""

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


class MachineHandler(Qwen3FTHandler):
    """The memory that a fine-tune can have; apart from the settings, for a driver may take seconds to answer."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the largest GPU, else the host's memory."""
        self.given()
        self.answer((await self.read(lambda manager: manager.room())).to_dict())


ROUTES = (("/status", StatusHandler), ("/machine", MachineHandler))
