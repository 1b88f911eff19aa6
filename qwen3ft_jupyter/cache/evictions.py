"""Deletes what nobody named one by one: all that was downloaded. Says what stays, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import quota
from qwen3ft_jupyter.cache.own.evict import nobody_uses, remove_incoming
from qwen3ft_jupyter.cache.own.layout import incoming_folders
from qwen3ft_jupyter.errors import ModelInUse
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
    from qwen3ft_jupyter.cache.own.evict import InUse
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.work import Reporter


def evict_all(
    cache: ModelCache, *, is_used: InUse = nobody_uses, reporter: Reporter = SILENT
) -> Sequence[EvictedModel]:
    """Delete what was downloaded of all own models, and all unfinished downloads; return what was deleted.

    What is pinned, in use or on its way, data sets, shared caches, other tools' models, and what no manifest lists
    stay.

    Args:
        cache: The cache.
        is_used: Says which models are in use.
        reporter: Is told which of our own models stay, and why.
    """
    cache.finish_evictions()
    evicted: list[EvictedModel] = []
    for model in cache.own():
        _evict(cache, model, _why_kept(model), evicted, is_used=is_used, reporter=reporter)
    kept = {model.slug for model in cache.own()}
    for one in cache.unfinished_downloads():
        model = quota.unfinished_holding(one).model
        _evict(cache, model, _why_waited_for(one, kept), evicted, is_used=nobody_uses, reporter=reporter)
    for folder in incoming_folders(cache.root):  # what is left of downloads that never had a byte
        if folder.name not in kept:
            remove_incoming(folder, disk=cache.disk)
    for holding in (one for inner in cache.within() for one in inner.own_holdings(nobody_uses)):
        name = quota.title(holding.model)
        reporter.notice(Message("{name} stays: it is a data set, which goes only by its name.", name=name))
    return evicted


def _evict(
    cache: ModelCache,
    model: CachedModel,
    reason: str,
    evicted: list[EvictedModel],
    *,
    is_used: InUse,
    reporter: Reporter,
) -> None:
    if not reason:
        try:
            evicted.append(cache.evict_for_room(model.slug, is_used=is_used))
        except ModelInUse as error:
            reporter.notice(Message("{name} stays. {reason}", name=quota.title(model), reason=error.message))
        return
    reporter.notice(Message("{name} stays: {reason}.", name=quota.title(model), reason=reason))


def _why_kept(model: CachedModel) -> str:
    if not model.is_verified:
        return Message("it was not downloaded into this cache, so it goes only by its name")
    return Message("it is pinned") if model.pinned else ""


def _why_waited_for(one: Unfinished, kept: set[str]) -> str:
    if one.is_active:
        return Message("it is being downloaded")
    return Message("its model stays") if one.slug in kept else ""
