"""Makes the room that a plan needs within the quota: evicts what it names, and plans again, or says what is missing."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import quota as quotas
from qwen3ft_jupyter.cache.own.evict import as_of_now, nobody_uses
from qwen3ft_jupyter.errors import ModelInUse, NoSpace, NotCached
from qwen3ft_jupyter.messages import Message, Size, size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from qwen3ft_jupyter.cache.own.evict import InUse
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Volume:
    """What is known of the room for a model."""

    free_bytes: int | None
    """None if the volume does not tell."""
    used_bytes: int
    """What our own cache holds, see `ModelCache.used_bytes`."""
    quota: int | None
    """What it may hold; None for no limit."""
    holdings: Sequence[quotas.Holding]
    now: float
    """Unix seconds."""


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
        work.notice(quotas.announcement(plan.evictions, plan.quota))
        for model in plan.evictions:
            try:
                cache.evict_for_room(model.slug, is_used=is_used)
                evicted.append(quotas.title(model))
            except ModelInUse:  # noqa: PERF203 - there are a few models
                taken.add(model.repo_id)
            except NotCached:  # somebody else has just deleted it
                continue


def _or_taken(is_used: InUse, taken: Collection[RepoId]) -> InUse:
    return lambda repo_id: repo_id in taken or is_used(repo_id)


def check_room(plan: DownloadPlan) -> None:
    """Raise NoSpace if the model does not fit, naming the missing bytes and what could be evicted."""
    if plan.over_quota_bytes and plan.quota is not None:
        raise quotas.refusal(plan.repo_id, plan.over_quota_bytes, plan.quota)
    if not plan.missing_bytes or plan.free_bytes is None:
        return
    enough = [f"{name} ({size(bytes_)})" for name, bytes_ in _enough(plan.evictable, plan.missing_bytes)]
    raise NoSpace(
        "Not enough room in the cache for {repo_id}: {room} are needed, {free} are free;"
        " {missing} ({missing_bytes:,} bytes) are missing.",
        hint="Evict {names}, or set MODEL_CACHE_DIR to a larger volume."
        if enough
        else "Free some room, or set MODEL_CACHE_DIR to a larger volume.",
        repo_id=plan.repo_id,
        room=Size(plan.room_bytes),
        free=Size(plan.free_bytes),
        missing=Size(plan.missing_bytes),
        missing_bytes=plan.missing_bytes,
        names=functools.reduce(_and, enough, ""),
    )


def _enough(evictable: Sequence[tuple[str, int]], missing_bytes: int) -> Sequence[tuple[str, int]]:
    """Return the first of the models that together free what is missing; none if all of them would not."""
    total = 0
    for number, (_, bytes_) in enumerate(evictable, start=1):
        total += bytes_
        if total >= missing_bytes:
            return evictable[:number]
    return ()


def _and(first: str, second: str) -> str:
    return Message("{first} and {second}", first=first, second=second) if first else second
