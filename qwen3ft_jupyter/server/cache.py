"""What is in the cache, and the requests to delete, protect, check and repair models in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from tornado import web

from qwen3ft_jupyter.cache.others.places import LABELS
from qwen3ft_jupyter.faces.actions import Notices
from qwen3ft_jupyter.faces.views import OWNERS, check_owner
from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized
from qwen3ft_jupyter.server.fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.messages import Speaker

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
        speaker, kept = self.speaker, self.services.answers

        def list_all(manager: ModelManager) -> str:
            found = manager.cached_models(), kept.summaries.read(manager)
            return kept.cache.to_json(found, speaker, lambda found: _say_all(*found, speaker))

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


def _say_all(models: Sequence[CachedModel], summary: Mapping[str, object], speaker: Speaker) -> Mapping[str, object]:
    return {"models": [say_copy(model, speaker) for model in models], **summary}


def say_copy(model: CachedModel, speaker: Speaker) -> dict[str, object]:
    """Return a cached model, as `ModelManager.list_cached_models` gives it, with the words for whose copy it is."""
    said: dict[str, object] = {**speaker.say_within(model.to_dict())}
    return {**said, "owner_words": speaker.say_alone(_OWNER_WORDS[model.owner])}


def _evicted(models: Sequence[EvictedModel]) -> Mapping[str, object]:
    """Return what was deleted, by the names of folders: a model may lie in the cache under several."""
    left = [f"{model.slug}/{name}" for model in models for name in model.left]
    freed = sum(model.freed_bytes for model in models)
    slugs = [model.slug for model in models if not model.is_unfinished]
    return {"evicted": slugs, "freed": freed, **({"left": left} if left else {})}


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
    ("/models/cache/{slug}", CachedModelHandler),
    ("/models/cache/{slug}/pin", PinHandler),
    ("/models/cache/{slug}/verify", VerifyHandler),
    ("/models/cache/{slug}/repair", RepairHandler),
)
