"""Keeps a cache within its quota: says which models go, and lets them go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import quota
from qwen3ft_jupyter.cache.evict import InUse, as_of_now, nobody_uses
from qwen3ft_jupyter.errors import ModelInUse, NotCached
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qwen3ft_jupyter.cache.models import EvictedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.work import Reporter


def make_room(
    cache: ModelCache,
    growth_bytes: int,
    *,
    quota_bytes: int,
    keep: RepoId,
    is_used: InUse = nobody_uses,
    reporter: Reporter = SILENT,
) -> Sequence[EvictedModel]:
    """Evict the least recently used models, after saying so, until the cache can grow within its quota.

    Args:
        cache: The cache.
        growth_bytes: By how much it is about to grow.
        quota_bytes: What it may hold.
        keep: The repo for which room is made.
        is_used: Says which models are in use; they stay, as do pinned ones.
        reporter: Is told before anything is deleted.

    Raises:
        NoSpace: It cannot. Then nothing was evicted, unless a model came into use in the same moment.
        CacheNotWritable, TransferError: A model cannot be deleted.
    """
    cache.finish_evictions()
    evicted: list[EvictedModel] = []
    taken: set[RepoId] = set()  # came into use since they were chosen: others go instead
    while (over := cache.used_bytes() + growth_bytes - quota_bytes) > 0:
        holdings, now = cache.holdings(_or_taken(as_of_now(is_used), taken)), time.time()
        chosen = quota.to_evict(holdings, over, now=now, keep=keep)
        if not chosen:
            raise quota.refusal(keep, quota.shortfall(holdings, over, now=now, keep=keep), quota_bytes)
        reporter.notice(quota.announcement(chosen, quota_bytes))
        for model in chosen:
            try:
                evicted.append(cache.evict_for_room(model.slug, is_used=is_used))
            except ModelInUse:  # noqa: PERF203 - there are a few models
                taken.add(model.repo_id)
            except NotCached:  # somebody else has just deleted it
                continue
    return evicted


def _or_taken(is_used: InUse, taken: Collection[RepoId]) -> InUse:
    return lambda repo_id: repo_id in taken or is_used(repo_id)
