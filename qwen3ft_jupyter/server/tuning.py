"""The fields of a fine-tune, what it would be, and its data as the model will see it. Nothing is started or written."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from tornado import web

from qwen3ft_jupyter.paths import at_home
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager.ahead import Look
    from qwen3ft_jupyter.messages import Language
    from qwen3ft_jupyter.server.base import Services

AUTH_RESOURCE = "qwen3ft_jupyter:finetune"
_CONFIG = Field("config", "config", is_required=True)


class SchemaHandler(Qwen3FTHandler):
    """Says which fields a fine-tune has."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the JSON Schema of the config, its texts in the language of the page."""
        language = self.speaker.language
        self.answer(await self.read(lambda _: _schema(language)))


def _schema(language: Language) -> dict[str, Any]:
    from qwen3ft_jupyter.finetune.config import FineTuneConfig  # which imports pydantic

    return FineTuneConfig.json_schema(language)


class LookingHandler(Qwen3FTHandler):
    """Base of the handlers that look ahead."""

    auth_resource = AUTH_RESOURCE

    def initialize(self, services: Services) -> None:
        """Receive what the routes work with."""
        super().initialize(services)
        self._has_left = threading.Event()

    def on_connection_close(self) -> None:
        """Stop reading data for someone who has left."""
        super().on_connection_close()
        self._has_left.set()

    async def look(self, look: Look) -> None:
        """Answer with what a look ahead shows; relative paths of the config begin at the server's folder."""
        given: dict[str, Any] = dict(self.given().values)
        root = at_home(self.settings["server_root_dir"])
        told = await self.ask(lambda manager: manager.look_ahead(look, given, folder=root, stop=self._has_left))
        self.answer(self.speaker.say_within(told))


class PlanHandler(LookingHandler):
    """Says what a fine-tune would be."""

    accepts: ClassVar = {"POST": (_CONFIG,)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the plan."""
        await self.look("plan")


class PreviewHandler(LookingHandler):
    """Shows the data of a fine-tune."""

    accepts: ClassVar = {"POST": (_CONFIG, Field("count", "count"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the data as the model will see it."""
        await self.look("preview")


ROUTES = (
    ("/finetune/schema", SchemaHandler),
    ("/finetune/plan", PlanHandler),
    ("/finetune/preview", PreviewHandler),
)
