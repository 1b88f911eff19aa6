"""The data sets in the cache, and the requests to delete, protect, check and repair them, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tornado import web

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.faces.actions import Notices
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.server.base import AskingHandler, Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.cache import AUTH_RESOURCE
from qwen3ft_jupyter.server.fields import Field, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.cache.datasets import CachedDataset
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.messages import Speaker
    from qwen3ft_jupyter.server.fields import Given

_NAME = Field("name", "text", is_required=True)


class DatasetListHandler(Qwen3FTHandler):
    """The data sets in the cache."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every data set in the cache."""
        self.given()
        found = await self.read(lambda manager: manager.cached_datasets())
        self.answer({"datasets": [_say(one, self.speaker) for one in found]})


class DatasetFindHandler(AskingHandler):
    """Which hub has a data set."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (_NAME,)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Ask the hubs, and answer with the name that downloads it, and its size."""
        name, has_left = self.given().text("name"), self.has_left
        found = await self.ask(lambda manager: manager.find_dataset(name, stop=has_left))
        self.answer({"name": found.name, "size": found.size})


class DatasetHandler(Qwen3FTHandler):
    """One data set."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"DELETE": (_NAME, Field("everything", "flag"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self) -> None:
        """Delete it and answer with what was freed, and what else stays in its folder."""
        given, told = self.given(), Notices()
        name, everything = _name(given), given.flag("everything")
        freed = await self.act(lambda manager: manager.evict_model(name, everything=everything, reporter=told))
        self.answer({"evicted": [name], "freed": freed, "kept": [self.speaker.say(one) for one in told.said]})


class DatasetPinHandler(Qwen3FTHandler):
    """Protects one data set."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_NAME,), "DELETE": (_NAME,)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Protect it from being deleted to make room."""
        name = _name(self.given())
        self.answer(await self.act(lambda manager: _pin(manager, name, is_pinned=True)))

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self) -> None:
        """Protect it no longer."""
        name = _name(self.given())
        self.answer(await self.act(lambda manager: _pin(manager, name, is_pinned=False)))


class DatasetVerifyHandler(Qwen3FTHandler):
    """Checks one data set."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_NAME, *fields_of("verify"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job that reads every byte again, and answer with that."""
        given = self.given()
        name, speed = _name(given), given.count("max_speed") or None
        self.answer_job(await self.act(lambda manager: manager.start_verify(name, max_speed=speed).snapshot()))


class DatasetRepairHandler(Qwen3FTHandler):
    """Repairs one data set."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (_NAME, *fields_of("repair"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job that reads every byte again and fetches what is wrong, and answer with that."""
        given = self.given()
        name, speed = _name(given), given.count("max_speed") or None
        self.answer_job(await self.act(lambda manager: manager.start_repair(name, max_speed=speed).snapshot()))


def _say(dataset: CachedDataset, speaker: Speaker) -> dict[str, object]:
    said: dict[str, object] = {**speaker.say_within(dataset.to_dict())}
    return said


def _name(given: Given) -> str:
    """Return the name of a data set, which is never that of a model. Raises BadInput."""
    dataset = as_dataset(given.text("name"))
    if dataset is None:
        raise BadInput("name: that is no data set.", hint="Give it as the list does, for example ms:owner/name.")
    return str(dataset)


def _pin(manager: ModelManager, name: str, *, is_pinned: bool) -> Mapping[str, object]:
    manager.pin(name, is_pinned)
    return {"name": name, "pinned": is_pinned}


ROUTES = (
    ("/datasets", DatasetHandler),
    ("/datasets/list", DatasetListHandler),
    ("/datasets/find", DatasetFindHandler),
    ("/datasets/pin", DatasetPinHandler),
    ("/datasets/verify", DatasetVerifyHandler),
    ("/datasets/repair", DatasetRepairHandler),
)
