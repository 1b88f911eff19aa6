"""What is in the cache, and the requests to delete, protect, check and repair models in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from tornado import web

from qwen3ft_jupyter.cache.others.places import LABELS
from qwen3ft_jupyter.errors import BadInput, BadSetting
from qwen3ft_jupyter.faces.actions import Notices
from qwen3ft_jupyter.faces.views import OWNERS, check_owner
from qwen3ft_jupyter.paths import at_home
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import Field, fields_of
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.messages import Speaker
    from qwen3ft_jupyter.server.shown import ShownFolder

AUTH_RESOURCE = "qwen3ft_jupyter:cache"
_OWNER_WORDS = {**OWNERS, "huggingface": LABELS["huggingface"], "modelscope": LABELS["modelscope"]}


class StartJob(Protocol):
    """A method of the manager that starts a job about a model."""

    def __call__(self, model_name: str, *, revision: str | None, max_speed: int | None) -> Job:
        """Start it. Raises NotCached."""


class CacheListHandler(Qwen3FTHandler):
    """The cached models, their size, and the room there is."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every model on this disk."""
        self.given()
        speaker, kept, shown = self.speaker, self.services.answers, self.shown_folder

        def list_all(manager: ModelManager) -> str:
            found = manager.cached_models(), kept.summaries.read(manager)
            return kept.cache.to_json(found, speaker, lambda found: _say_all(*found, speaker, shown))

        self.finish(await self.read(list_all))


class CacheAllHandler(Qwen3FTHandler):
    """The whole cache. Its route comes before the one for a slug, so that *all* is never taken for a model."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self) -> None:
        """Delete every model and answer with what was freed."""
        self.given()
        told = Notices()
        evicted = await self.act(lambda manager: _evicted(manager.evict_all(reporter=told)))
        self.answer({**evicted, "kept": [self.speaker.say(sentence) for sentence in told.said]})


class MoveHandler(Qwen3FTHandler):
    """The place of the whole cache. Its route comes before the one for a slug, as that for all does."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": (Field("folder", "text", is_required=True), *fields_of("move"))}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self) -> None:
        """Start a job that moves the cache, and answer with that; or say what it would do."""
        given = self.given()
        folder = _new_folder(given.text("folder"))
        if given.flag("dry_run"):
            self.answer(self.speaker.say_within((await self.ask(lambda manager: manager.plan_move(folder))).to_dict()))
        else:
            self.answer_job(await self.act(lambda manager: manager.start_move(folder).snapshot()))


class CachedModelHandler(Qwen3FTHandler):
    """One cached model."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"DELETE": fields_of("evict")}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self, slug: str) -> None:
        """Delete the model and answer with what was freed; another tool's copy only if its owner is named."""
        given = self.given()
        owner, everything = check_owner(given.text("owner") or None), given.flag("everything")
        self.answer(
            await self.act(lambda manager: _evicted([manager.evict_slug(slug, owner=owner, everything=everything)]))
        )


class PinHandler(Qwen3FTHandler):
    """Protects one cached model."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, slug: str) -> None:
        """Protect the model from being deleted to make room."""
        self.given()
        self.answer(await self.act(lambda manager: _pin(manager, slug, is_pinned=True)))

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self, slug: str) -> None:
        """Protect it no longer."""
        self.given()
        self.answer(await self.act(lambda manager: _pin(manager, slug, is_pinned=False)))


class VerifyHandler(Qwen3FTHandler):
    """Checks one cached model."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": fields_of("verify")}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, slug: str) -> None:
        """Start a job that reads every byte of the model again, and answer with that."""
        speed = self.given().count("max_speed") or None
        self.answer_job(await self.act(lambda manager: _start(manager, manager.start_verify, slug, speed)))


class RepairHandler(Qwen3FTHandler):
    """Repairs one cached model."""

    auth_resource = AUTH_RESOURCE
    accepts: ClassVar = {"POST": fields_of("repair")}

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def post(self, slug: str) -> None:
        """Start a job that reads every byte of the model again and fetches what is wrong, and answer with that."""
        speed = self.given().count("max_speed") or None
        self.answer_job(await self.act(lambda manager: _start(manager, manager.start_repair, slug, speed)))


def _say_all(
    models: Sequence[CachedModel], summary: Mapping[str, object], speaker: Speaker, shown: ShownFolder | None
) -> Mapping[str, object]:
    return {"models": [say_copy(model, speaker, shown) for model in models], **summary}


def say_copy(model: CachedModel, speaker: Speaker, shown: ShownFolder | None) -> dict[str, object]:
    """Return a cached model, as `ModelManager.list_cached_models` gives it, with the words for whose copy it is.

    Where Jupyter's file browser shows its folder, what that calls it is there, too.
    """
    said: dict[str, object] = {**speaker.say_within(model.to_dict())}
    words = speaker.say_alone(_OWNER_WORDS[model.owner])
    return {**said, "owner_words": words, "browser_path": shown and shown.name_of(model.folder)}


def _evicted(models: Sequence[EvictedModel]) -> Mapping[str, object]:
    """Return what was deleted, by the names of folders: a model may lie in the cache under several."""
    left = [f"{model.slug}/{name}" for model in models for name in model.left]
    freed = sum(model.freed_bytes for model in models)
    slugs = [model.slug for model in models if not model.is_unfinished]
    return {"evicted": slugs, "freed": freed, **({"left": left} if left else {})}


def _new_folder(text: str) -> Path:
    """Return where a cache is to go. Raises BadInput: a path that is not whole would begin wherever the server does."""
    try:
        folder = parse_folder("folder", text)
    except BadSetting as error:
        raise BadInput(error.message, hint=error.hint) from None
    if not at_home(text.strip()).is_absolute():
        raise BadInput("The folder {folder} is not a whole path.", hint="Begin it with / or ~.", folder=text)
    return folder


def _start(manager: ModelManager, start: StartJob, slug: str, speed: int | None) -> JobSnapshot:
    """Start a job about the one of possibly several revisions that has this slug."""
    name, revision = manager.by_slug(slug)
    return start(name, revision=revision, max_speed=speed).snapshot()


def _pin(manager: ModelManager, slug: str, *, is_pinned: bool) -> Mapping[str, object]:
    name, revision = manager.by_slug(slug)
    manager.pin(name, is_pinned, revision=revision)
    return {"model_name": name, "pinned": is_pinned}


ROUTES = (
    ("/models/cache/list", CacheListHandler),
    ("/models/cache/all", CacheAllHandler),
    ("/models/cache/move", MoveHandler),
    ("/models/cache/{slug}", CachedModelHandler),
    ("/models/cache/{slug}/pin", PinHandler),
    ("/models/cache/{slug}/verify", VerifyHandler),
    ("/models/cache/{slug}/repair", RepairHandler),
)
