"""What a download would do, said before the first byte: what travels, what is here, and whether it fits. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.cache import quota as quotas
from qwen3ft_jupyter.cache.compare import split_copies
from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.format import size
from qwen3ft_jupyter.transfer.plan import RESERVE_BYTES, object_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.cache.manifest import Manifest
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.hubs.listing import HubName, Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath

Action = Literal["kept", "adopted", "resumed", "fetched", "removed"]
"""Is there and right; comes from elsewhere on this disk; was begun; travels; belongs to the old revision only."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What would happen to one file of the model."""

    path: str
    size: int
    action: Action
    source: str
    """Where its bytes come from, for a person; "" for a file that is kept or removed."""
    bytes_to_fetch: int


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What a download would do. All sizes are bytes."""

    repo_id: RepoId
    hub: HubName
    revision: str
    commit: str
    files: tuple[PlannedFile, ...]
    bytes_to_fetch: int
    """What travels."""
    bytes_reused: int
    """What does not, because it is on this disk: kept, adopted, or begun."""
    room_bytes: int
    """What the volume of the cache has to have free."""
    free_bytes: int
    """What it has."""
    missing_bytes: int
    """What it lacks, even after `to_evict` is gone; 0 if it fits."""
    quota: int | None
    over_quota_bytes: int
    """By how much the cache would exceed its quota although everything was evicted that may be; 0 if it fits."""
    to_evict: tuple[str, ...]
    """What would be evicted to stay within the quota."""
    evictable: tuple[tuple[str, int], ...]
    """What could be evicted by hand, the least recently used first, and what each alone would free."""
    rate: float | None
    """Bytes a second, by a probe; None if there was none."""
    seconds: float | None
    """What the transfer would take at that rate."""
    sources: tuple[str, ...]
    """Where bytes would come from, for a person."""
    is_update: bool
    """Whether another commit of the model is in the folder."""

    @property
    def has_room(self) -> bool:
        """Return whether the model fits on the volume and into the quota."""
        return not self.missing_bytes and not self.over_quota_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, with `model_name` for the repo and `has_room` beside the fields."""
        fields = asdict(self)
        return {"model_name": fields.pop("repo_id"), **fields, "has_room": self.has_room}


@dataclass(frozen=True, slots=True)
class Volume:
    """What is known of the room for a model."""

    free_bytes: int
    used_bytes: int
    """What our own cache holds, see `ModelCache.used_bytes`."""
    quota: int | None
    """What it may hold; None for no limit."""
    holdings: Sequence[quotas.Holding]
    now: float
    """Unix seconds."""


def make_download_plan(
    listing: Listing,
    wanted: Sequence[RemoteFile],
    volume: Volume,
    *,
    kept: Collection[SafePath] = (),
    adopted: Mapping[SafePath, str] | None = None,
    linked: Collection[SafePath] = (),
    begun: Mapping[str, int] | None = None,
    previous: Manifest | None = None,
    sources: Sequence[str] = (),
    rate: float | None = None,
) -> DownloadPlan:
    """Return what making the cache hold the `wanted` files of `listing` would do.

    Args:
        listing: What the hub says.
        wanted: The files of it that are downloaded.
        volume: The room there is.
        kept: Paths that are at their place and right.
        adopted: Paths whose digest lies elsewhere on this disk, and what to call that place.
        linked: Those of them that need no room, because another revision in this cache has them.
        begun: Bytes by object key that earlier attempts left, see `incoming.begun_bytes`.
        previous: What the folder holds now.
        sources: Where bytes would come from, the first being the hub that listed them.
        rate: Bytes a second by a probe.
    """
    files = list(_planned(wanted, kept, adopted or {}, begun or {}, sources[0] if sources else ""))
    removed = [file for file in (previous.files if previous else ()) if file.path not in {f.path for f in wanted}]
    to_fetch = sum(file.bytes_to_fetch for file in files)
    cloned = _size_of(file for file in files if file.action == "adopted" and file.path not in linked)
    growth = to_fetch + cloned - quotas.replaced_bytes(volume.holdings, previous, kept)
    room = to_fetch + cloned + (RESERVE_BYTES if to_fetch or cloned else 0)
    evicted, over = _making_way(volume, growth, listing.repo_id)
    free = volume.free_bytes + quotas.freed_bytes(volume.holdings, evicted)
    candidates = quotas.evictable(volume.holdings, now=volume.now, keep=listing.repo_id)
    return DownloadPlan(
        listing.repo_id,
        listing.hub,
        listing.revision,
        listing.commit,
        (*files, *(PlannedFile(file.path, file.size, "removed", "", 0) for file in removed)),
        to_fetch,
        _size_of(files) - to_fetch,
        room,
        volume.free_bytes,
        max(0, room - free),
        volume.quota,
        over,
        tuple(map(quotas.title, evicted)),
        tuple((quotas.title(model), quotas.freed_bytes(volume.holdings, [model])) for model in candidates),
        rate,
        to_fetch / rate if rate else None,
        tuple(sources),
        previous is not None and previous.commit != listing.commit,
    )


def check_room(plan: DownloadPlan) -> None:
    """Raise NoSpace if the model does not fit, naming the missing bytes and what could be evicted."""
    if plan.over_quota_bytes and plan.quota is not None:
        raise quotas.refusal(plan.repo_id, plan.over_quota_bytes, plan.quota)
    if not plan.missing_bytes:
        return
    named = " and ".join(f"{name} ({size(bytes_)})" for name, bytes_ in _enough(plan.evictable, plan.missing_bytes))
    cure = f"Evict {named}" if named else "Free some room"
    raise NoSpace(
        f"Not enough room in the cache for {plan.repo_id}: {size(plan.room_bytes)} are needed,"
        f" {size(plan.free_bytes)} are free; {size(plan.missing_bytes)} ({plan.missing_bytes:,} bytes) are missing.",
        hint=f"{cure}, or set MODEL_CACHE_DIR to a larger volume.",
    )


def _planned(
    wanted: Sequence[RemoteFile],
    kept: Collection[SafePath],
    adopted: Mapping[SafePath, str],
    begun: Mapping[str, int],
    source: str,
) -> Iterator[PlannedFile]:
    _, copies = split_copies(wanted, {*kept, *adopted})
    for file in wanted:
        present = min(file.size, begun.get(object_key(file), 0))
        if file.path in kept:
            yield PlannedFile(file.path, file.size, "kept", "", 0)
        elif file.path in adopted or file.path in copies:
            yield PlannedFile(file.path, file.size, "adopted", adopted.get(file.path) or copies[file.path], 0)
        elif present:
            yield PlannedFile(file.path, file.size, "resumed", source, file.size - present)
        else:
            yield PlannedFile(file.path, file.size, "fetched", source, file.size)


def _making_way(volume: Volume, growth: int, repo_id: RepoId) -> tuple[tuple[CachedModel, ...], int]:
    """Return what has to go because of the quota, and by how much it is exceeded all the same."""
    over = volume.used_bytes + growth - volume.quota if volume.quota is not None else 0
    if over <= 0:
        return (), 0
    evicted = quotas.to_evict(volume.holdings, over, now=volume.now, keep=repo_id)
    return evicted, quotas.shortfall(volume.holdings, over, now=volume.now, keep=repo_id)


def _enough(evictable: Sequence[tuple[str, int]], missing_bytes: int) -> Sequence[tuple[str, int]]:
    """Return the first of the models that together free what is missing; none if all of them would not."""
    total = 0
    for number, (_, bytes_) in enumerate(evictable, start=1):
        total += bytes_
        if total >= missing_bytes:
            return evictable[:number]
    return ()


def _size_of(files: Iterable[PlannedFile]) -> int:
    return sum(file.size for file in files)
