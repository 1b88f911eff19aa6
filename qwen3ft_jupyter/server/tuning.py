"""The fields of a fine-tune, what it would be, its data as the model will see it, and the request to start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tornado import web

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.paths import at_home
from qwen3ft_jupyter.server.base import AskingHandler, Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.manager.ahead import Look
    from qwen3ft_jupyter.manager.manager import ModelManager
    from qwen3ft_jupyter.messages import Language

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


class CheckHandler(Qwen3FTHandler):
    """Says what is wrong with the fields of a form, and writes them as YAML."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_CONFIG, Field("folder", "text"), Field("base", "text"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with every problem by its field, what holds where nothing is said, and the YAML."""
        given, root = self.given(), at_home(self.settings["server_root_dir"])
        folder, base = (_below(name, given.text(name)) for name in ("folder", "base"))
        config = given.values["config"]
        told = await self.read(lambda manager: _check(manager, config, root=root, folder=folder, base=base))
        self.answer(self.speaker.say_within(told))


def _check(
    manager: ModelManager,
    config: Any,  # as a request says it
    *,
    root: Path,
    folder: str,
    base: str,
) -> dict[str, Any]:
    from qwen3ft_jupyter.finetune.form import check_form  # which imports pydantic

    return check_form(config, root=root, folder=folder, base=base, absent_name=manager.absent_dataset).to_dict()


def _below(name: str, folder: str) -> str:
    """Return a folder as Jupyter names it, below the server's. Raises BadInput if it leads out of it."""
    if ".." in folder.split("/"):
        raise BadInput("{name} leads out of the server's folder.", name=name)
    return folder.strip("/")


class LookingHandler(AskingHandler):
    """Base of the handlers that look ahead."""

    auth_resource = AUTH_RESOURCE

    async def look(self, look: Look) -> dict[str, Any]:
        """Return what a look ahead shows; relative paths of the config begin at the server's folder."""
        given: dict[str, Any] = dict(self.given().values)
        root = at_home(self.settings["server_root_dir"])
        run = self.act if look == "start" else self.ask  # so that nobody's plan keeps a start waiting
        return await run(lambda manager: manager.look_ahead(look, given, folder=root, stop=self.has_left))


class PlanHandler(LookingHandler):
    """Says what a fine-tune would be."""

    accepts: ClassVar = {"POST": (_CONFIG, Field("rough", "flag"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the plan."""
        self.answer(self.speaker.say_within(await self.look("plan")))


class PreviewHandler(LookingHandler):
    """Shows the data of a fine-tune."""

    accepts: ClassVar = {"POST": (_CONFIG, Field("count", "count"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the data as the model will see it."""
        self.answer(self.speaker.say_within(await self.look("preview")))


class StartHandler(LookingHandler):
    """Starts fine-tunes."""

    accepts: ClassVar = {"POST": (_CONFIG,)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job with the Python of this server and answer with it."""
        started = await self.look("start")
        self.services.watcher.poke()
        self.answer_job(await self.read(lambda manager: manager.job(started["id"]).snapshot()))


ROUTES = (
    ("/finetune", StartHandler),
    ("/finetune/check", CheckHandler),
    ("/finetune/schema", SchemaHandler),
    ("/finetune/plan", PlanHandler),
    ("/finetune/preview", PreviewHandler),
)
