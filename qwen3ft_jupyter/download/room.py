"""Makes the room that a plan needs within the quota: evicts what it names, and plans again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import quota
from qwen3ft_jupyter.cache.evict import as_of_now, nobody_uses
from qwen3ft_jupyter.download.plan import Volume, check_room
from qwen3ft_jupyter.errors import ModelInUse, NotCached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from qwen3ft_jupyter.cache.evict import InUse
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.work import Work


def volume_of(cache: ModelCache, quota_bytes: int | None, is_used: InUse = nobody_uses) -> Volume:
    """Return what is known of the room in a cache."""
    used = cache.used_bytes() if quota_bytes is not None else 0
    return Volume(cache.free_bytes(), used, quota_bytes, cache.holdings(is_used), time.time())


def make_room(
    cache: ModelCache,
    plan_within: Callable[[Volume], DownloadPlan],
    *,
    quota_bytes: int | None,
    is_used: InUse,
    work: Work,
) -> tuple[DownloadPlan, list[str]]:
    """Evict what a plan says, after saying so; return the plan that needs nothing more to go, and what has gone.

    Args:
        cache: The cache.
        plan_within: Makes the plan, given the room there is.
        quota_bytes: What the cache may hold.
        is_used: Says which models are in use; they stay, as do pinned ones.
        work: Is told before anything is deleted.

    Raises:
        NoSpace: It does not fit. Then nothing was evicted, unless a model came into use in the same moment.
        CacheNotWritable, TransferError: A model cannot be deleted.
    """
    if quota_bytes is not None:
        cache.finish_evictions()
    plan = plan_within(volume_of(cache, quota_bytes))
    if plan.has_room and not plan.evictions:
        return plan, []  # what is in use matters to nobody then
    evicted: list[str] = []
    taken: set[RepoId] = set()  # came into use since they were chosen: others go instead

    while True:
        plan = plan_within(volume_of(cache, quota_bytes, _or_taken(as_of_now(is_used), taken)))
        check_room(plan)
        if not plan.evictions or plan.quota is None:
            return plan, evicted
        work.notice(quota.announcement(plan.evictions, plan.quota))
        for model in plan.evictions:
            try:
                cache.evict_for_room(model.slug, is_used=is_used)
                evicted.append(quota.title(model))
            except ModelInUse:  # noqa: PERF203 - there are a few models
                taken.add(model.repo_id)
            except NotCached:  # somebody else has just deleted it
                continue


def _or_taken(is_used: InUse, taken: Collection[RepoId]) -> InUse:
    return lambda repo_id: repo_id in taken or is_used(repo_id)
