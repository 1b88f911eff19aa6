"""The models there are, and the request to download one or to say what that would take."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tornado import web

from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.server.base import AskingHandler, Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.cache import say_copy
from qwen3ft_jupyter.server.fields import Field, fields_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.details import ModelDetails
    from qwen3ft_jupyter.manager.overview import ModelRow
    from qwen3ft_jupyter.manager.updates import ModelNews
    from qwen3ft_jupyter.messages import Speaker
    from qwen3ft_jupyter.server.fields import Given
    from qwen3ft_jupyter.server.shown import ShownFolder

Told = TypeVar("Told")
AUTH_RESOURCE = "qwen3ft_jupyter:models"
_ABOUT_ONE = (Field("model_name", "text", is_required=True), Field("revision", "text"), Field("ask", "flag"))
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


class DownloadHandler(AskingHandler):
    """Starts downloads, or says what one would take."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": _DOWNLOAD}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Answer with the model if it is cached already, else start a job and answer with that."""
        given = self.given()
        if given.flag("dry_run"):
            plan = await self.ask(lambda manager: _plan(manager, given, self.has_left))
            self.answer(self.speaker.say_within(plan))
            return
        speaker, shown = self.speaker, self.shown_folder
        cached = await self.act(lambda manager: _say_cached(manager, given, speaker, shown))
        if cached is not None:
            self.answer({"status": "cached", **cached})
        else:
            self.answer_job(await self.act(lambda manager: _start(manager, given)))


class NameHandler(Qwen3FTHandler):
    """What a person means by a name or an address."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": (Field("text", "text", is_required=True),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the model."""
        text = self.given().text("text")
        self.answer((await self.read(lambda manager: manager.read_name(text))).to_dict())


class AboutHandler(AskingHandler):
    """Base of handlers that tell of one model what is in the cache, or what a hub has if it may be asked."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"GET": _ABOUT_ONE}

    async def ask_about(self, about: Callable[[ModelManager], Callable[..., Told]]) -> Told:
        """Return what the manager's method returns of the model."""
        given, has_left = self.given(), self.has_left
        name, revision, ask = given.text("model_name"), given.text("revision") or None, given.flag("ask")
        call = self.ask if ask else self.read
        return await call(lambda manager: about(manager)(name, revision=revision, ask=ask, stop=has_left))


class DetailsHandler(AboutHandler):
    """What is known of one model."""

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with its files, its copies and the rest."""
        speaker, shown = self.speaker, self.shown_folder

        def about(manager: ModelManager) -> Callable[..., Mapping[str, object]]:
            return lambda *name, **given: _say_details(manager.details(*name, **given), speaker, shown)

        self.answer(await self.ask_about(about))


class CardHandler(AboutHandler):
    """The card of one model."""

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with the card."""
        self.answer((await self.ask_about(lambda manager: manager.card)).to_dict())


class UpdatesHandler(AskingHandler):
    """Newer commits of what is cached."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (Field("sizes", "flag"),)}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with what hubs said within a day; none is asked."""
        self.given()
        self.answer(_say_news(await self.read(lambda manager: manager.known_updates()), self.speaker))

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Ask the hubs, and answer with what they say."""
        sizes = self.given().flag("sizes")
        news = await self.ask(lambda manager: manager.check_updates(sizes=sizes, stop=self.has_left))
        self.answer(_say_news(news, self.speaker))


def _say_all(speaker: Speaker, rows: Sequence[ModelRow]) -> Mapping[str, object]:
    return {"models": [say.model_answer(row, speaker) for row in rows]}


def _say_details(details: ModelDetails, speaker: Speaker, shown: ShownFolder | None) -> Mapping[str, object]:
    said = {
        "about": say.model_answer(details.about, speaker),
        "copies": [say_copy(copy, speaker, shown) for copy in details.copies],
    }
    return {**details.to_dict(), **said}


def _say_news(news: Sequence[ModelNews], speaker: Speaker) -> Mapping[str, object]:
    return {"models": [speaker.say_within(one.to_dict()) for one in news]}


def _plan(manager: ModelManager, given: Given, stop: threading.Event) -> Mapping[str, object]:
    return manager.plan(given.text("model_name"), **_options(given), stop=stop).to_dict()


def _say_cached(
    manager: ModelManager, given: Given, speaker: Speaker, shown: ShownFolder | None
) -> Mapping[str, object] | None:
    cached = _find_cached(manager, given)
    return None if cached is None else say_copy(cached, speaker, shown)


def _find_cached(manager: ModelManager, given: Given) -> CachedModel | None:
    """Return the model or data set if it is here and nothing has to be asked or checked for it.

    An unverified folder goes through the job, which checks it and fetches what is missing. A branch or tag may have
    moved on, which the job asks; a commit never does.
    """
    if given.flag("force") or given.flag("update"):
        return None
    if as_dataset(given.text("model_name")) is not None:
        return _find_cached_dataset(manager, given)
    repo_id, revision = parse_model(given.text("model_name"), given.text("revision"))
    for model in manager.cached_models():
        if model.repo_id == repo_id and model.is_sound and revision in (None, model.commit):
            return model
    return None


def _find_cached_dataset(manager: ModelManager, given: Given) -> CachedModel | None:
    """Return the data set, by its whole name, if it is here. Raises BadInput: what only models have is asked for."""
    wanted = {name: value for name, value in _options(given).items() if name != "max_speed"}
    request = DownloadRequest.of(given.text("model_name"), **wanted)
    folder = manager.finder()(request.model_name)
    kept = (one.kept for one in manager.cached_datasets() if one.kept.folder == folder)
    return next((replace(model, repo_id=request.model_name) for model in kept), None)


def _start(manager: ModelManager, given: Given) -> JobSnapshot:
    return manager.download(given.text("model_name"), **_options(given)).snapshot()


def _options(given: Given) -> dict[str, Any]:
    """Return the arguments of `ModelManager.download` and `plan` beside the name; Any as their types differ."""
    options = {name: value for name, value in given.values.items() if name not in ("model_name", "dry_run")}
    return {**options, "max_speed": given.count("max_speed") or None}


ROUTES = (
    ("/models", ModelsHandler),
    ("/models/download", DownloadHandler),
    ("/models/name", NameHandler),
    ("/models/details", DetailsHandler),
    ("/models/card", CardHandler),
    ("/models/updates", UpdatesHandler),
)
