"""What is in the cache, and the requests to delete from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado import web

from qwen3ft_jupyter.server.base import Qwen3FTHandler, authorized

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager import ModelManager

AUTH_RESOURCE = "qwen3ft_jupyter:cache"


class CacheListHandler(Qwen3FTHandler):
    """The cached models and their size."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def get(self) -> None:
        """Answer with every cached model."""
        self.fields()
        self.answer(await self.read(_list))


class CacheAllHandler(Qwen3FTHandler):
    """The whole cache. Its route comes before the one for a slug, so that *all* is never taken for a model."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self) -> None:
        """Delete every model and answer with what was freed."""
        self.fields()
        self.answer(await self.act(_evict_all))


class CachedModelHandler(Qwen3FTHandler):
    """One cached model."""

    auth_resource = AUTH_RESOURCE

    @web.authenticated
    @authorized(AUTH_RESOURCE)
    async def delete(self, slug: str) -> None:
        """Delete the model and answer with what was freed."""
        self.fields()
        self.answer(await self.act(lambda manager: _evict(manager, slug)))


def _list(manager: ModelManager) -> dict[str, Any]:
    models = manager.list_cached_models()
    return {
        "models": models,
        "total": len(models),
        "total_size": sum(model["size"] for model in models),
        "cache_dir": str(manager.settings.cache_dir),
    }


def _evict(manager: ModelManager, slug: str) -> dict[str, Any]:
    """Delete the one folder of this name: the same model may lie in the cache under other names, too."""
    return {"evicted": [slug], "freed": manager.evict_slug(slug)}


def _evict_all(manager: ModelManager) -> dict[str, Any]:
    evicted = manager.evict_all()
    return {"evicted": [model.slug for model in evicted], "freed": sum(model.freed_bytes for model in evicted)}


ROUTES = (
    ("/models/cache/list", CacheListHandler),
    ("/models/cache/all", CacheAllHandler),
    ("/models/cache/{slug}", CachedModelHandler),
)
