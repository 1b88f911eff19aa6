"""What a download will do, decided before the first byte: file by file, from whom, and whether it fits. Pure.

The plan that a person is shown is the plan that is executed, see `apply`; a dry run ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypedDict

from qwen3ft_jupyter.cache import quota as quotas
from qwen3ft_jupyter.catalog.usable import ModelFiles, problems_of, words_of
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.transfer.objects import RESERVE_BYTES, object_key, split_copies
from qwen3ft_jupyter.work import seconds_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.download.room import Volume
    from qwen3ft_jupyter.download.survey import Found
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath
    from qwen3ft_jupyter.settings.declared import HubName

Action = Literal["kept", "adopted", "resumed", "fetched", "removed"]
"""Is there and right; comes from another place on this disk; was begun; travels; belongs to the old revision only."""


class FileJson(TypedDict):
    """What happens to one file, see `PlannedFile`."""

    path: str
    size: int
    action: str
    source: str
    bytes_to_fetch: int


class LeftOutJson(TypedDict):
    """A file that stays on the hub."""

    path: str
    size: int


class PlanJson(TypedDict):
    """What a person is shown of a plan, see `DownloadPlan`; sizes in bytes."""

    model_name: str
    hub: HubName
    revision: str
    commit: str
    files: list[FileJson]
    bytes_to_fetch: int
    bytes_reused: int
    room_bytes: int
    free_bytes: int | None
    missing_bytes: int
    quota: int | None
    over_quota_bytes: int
    to_evict: Sequence[str]
    evictable: Sequence[tuple[str, int]]
    rate: float | None
    seconds: float | None
    sources: Sequence[str]
    left_out: list[LeftOutJson]
    problems: Sequence[str]
    is_update: bool
    has_room: bool


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What happens to one file of the model."""

    path: SafePath
    size: int
    action: Action
    source: str
    """Where its bytes come from, for a person; "" for a file that is kept or removed."""
    bytes_to_fetch: int

    def to_dict(self) -> FileJson:
        """Return a JSON-ready dict."""
        return {
            "path": self.path,
            "size": self.size,
            "action": self.action,
            "source": self.source,
            "bytes_to_fetch": self.bytes_to_fetch,
        }


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What a download does. All sizes are bytes."""

    request: DownloadRequest
    listing: Listing
    """What the hub says."""
    folder: Path
    """Where the files go."""
    found: Found
    """What is used of what is here."""
    volume: Volume
    """The room there is."""
    files: tuple[PlannedFile, ...] = ()
    bytes_to_fetch: int = 0
    """What travels."""
    bytes_reused: int = 0
    """What does not, because it is on this disk: kept, adopted, or begun."""
    room_bytes: int = 0
    """What the volume of the cache has to have free."""
    missing_bytes: int = 0
    """What it lacks, even after `evictions` are gone; 0 if it fits."""
    over_quota_bytes: int = 0
    """By how much the cache would exceed its quota although everything was evicted that may be; 0 if it fits."""
    evictions: tuple[CachedModel, ...] = ()
    """What is evicted to stay within the quota."""
    sources: tuple[str, ...] = ()
    """Where bytes come from, for a person."""
    rate: float | None = None
    """Bytes a second, by a probe; None if there was none."""
    in_place: CachedModel | None = None
    """Another tool's copy that is used where it is, instead of bringing any file here."""
    is_model: bool = True
    """Whether it is to be loaded; else it is a data set."""

    @property
    def repo_id(self) -> RepoId:
        """Return whose files they are."""
        return self.listing.repo_id

    @property
    def hub(self) -> HubName:
        """Return who listed them."""
        return self.listing.hub

    @property
    def commit(self) -> str:
        """Return the commit they are of."""
        return self.listing.commit

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what will keep the model from being loaded although every listed file is here, for a person."""
        if not self.is_model:
            return ()
        sizes: dict[str, int] = {file.path: file.size for file in self.found.wanted}
        left_out = tuple(map(str, self.listing.left_out))
        return words_of(problems_of(ModelFiles(sizes, is_vouched=True, left_out=left_out)))

    @property
    def free_bytes(self) -> int | None:
        """Return what the volume has free now; None if it does not tell."""
        return self.volume.free_bytes

    @property
    def quota(self) -> int | None:
        """Return what the cache may hold; None for no limit."""
        return self.volume.quota

    @property
    def evictable(self) -> tuple[tuple[str, int], ...]:
        """Return what could be evicted by hand, the least recently used first, and what each alone would free."""
        holdings = self.volume.holdings
        models = quotas.evictable(holdings, now=self.volume.now, keep=self.repo_id)
        return tuple((quotas.title(model), quotas.freed_bytes(holdings, [model])) for model in models)

    @property
    def to_evict(self) -> tuple[str, ...]:
        """Return what is evicted to stay within the quota, for a person."""
        return tuple(map(quotas.title, self.evictions))

    @property
    def seconds(self) -> float | None:
        """Return what the transfer takes at the rate that was probed, if that can be reckoned with."""
        return seconds_left(self.bytes_to_fetch, self.rate)

    @property
    def is_update(self) -> bool:
        """Return whether another commit of the model is in the folder."""
        return self.found.previous is not None and self.found.previous.commit != self.commit

    @property
    def has_room(self) -> bool:
        """Return whether the model fits on the volume and into the quota."""
        return not self.missing_bytes and not self.over_quota_bytes

    def of(self, *actions: Action) -> list[RemoteFile]:
        """Return the files that have one of these actions."""
        paths = {file.path for file in self.files if file.action in actions}
        return [file for file in self.found.wanted if file.path in paths]

    def copies(self) -> dict[SafePath, SafePath]:
        """Return the files that equal another file of the model, by path, and which one."""
        return split_copies(self.found.wanted, self.found.kept)[1]

    def forecast(self, sources: Sequence[str], rate: float | None) -> DownloadPlan:
        """Return the plan with the sources that have answered, the first of them first, and their rate."""
        first = sources[0] if sources else ""
        files = tuple(
            replace(file, source=first) if file.action in {"resumed", "fetched"} else file for file in self.files
        )
        return replace(self, sources=tuple(sources), rate=rate, files=files)

    def to_dict(self) -> PlanJson:
        """Return a JSON-ready dict: what a person is shown of it."""
        return {
            "model_name": self.repo_id,
            "hub": self.hub,
            "revision": self.listing.revision,
            "commit": self.commit,
            "files": [file.to_dict() for file in self.files],
            "bytes_to_fetch": self.bytes_to_fetch,
            "bytes_reused": self.bytes_reused,
            "room_bytes": self.room_bytes,
            "free_bytes": self.free_bytes,
            "missing_bytes": self.missing_bytes,
            "quota": self.quota,
            "over_quota_bytes": self.over_quota_bytes,
            "to_evict": self.to_evict,
            "evictable": self.evictable,
            "rate": self.rate,
            "seconds": self.seconds,
            "sources": self.sources,
            "left_out": [{"path": file.path, "size": file.size} for file in self.listing.left_out],
            "problems": list(self.problems),
            "is_update": self.is_update,
            "has_room": self.has_room,
        }


def make_plan(
    request: DownloadRequest,
    listing: Listing,
    folder: Path,
    found: Found,
    volume: Volume,
    *,
    sources: Sequence[str] = (),
) -> DownloadPlan:
    """Return how to make `folder` hold the wanted files of `listing`.

    A model that makes room lends no file, so that there is more to make room for.

    Args:
        request: What was asked for.
        listing: What the hub says.
        folder: Where the files go.
        found: What is here.
        volume: The room there is.
        sources: Where bytes come from, the first being the hub that listed them.
    """
    base = DownloadPlan(request, listing, folder, found, volume, sources=tuple(sources))
    while True:
        plan = _filled(replace(base, found=found))
        rest = found.without({model.slug for model in plan.evictions})
        if (rest.lent, rest.candidates) == (found.lent, found.candidates):
            return plan
        found = rest


def _filled(plan: DownloadPlan) -> DownloadPlan:
    """Return the plan with what follows from what was found and the room there is."""
    found, volume = plan.found, plan.volume
    files = list(_planned(found, next(iter(plan.sources), "")))
    arriving = [file for file in files if file.action != "kept" and file.path not in found.lent]
    to_fetch = sum(file.bytes_to_fetch for file in files)
    copied = _size_of(file for file in arriving if file.action == "adopted")
    growth = to_fetch + copied - quotas.replaced_bytes(volume.holdings, found.previous, found.kept)
    evictions, over = _making_way(volume, growth, plan.repo_id) if arriving else ((), 0)
    room = _with_reserve(to_fetch + copied + found.salvaged_bytes)
    free = room if volume.free_bytes is None else volume.free_bytes + quotas.freed_bytes(volume.holdings, evictions)
    return replace(
        plan,
        files=(*files, *_removed(found)),
        bytes_to_fetch=to_fetch,
        bytes_reused=_size_of(files) - to_fetch,
        room_bytes=room,
        missing_bytes=max(0, room - free),
        over_quota_bytes=over,
        evictions=evictions,
        sources=plan.sources if any(file.action in {"resumed", "fetched"} for file in files) else (),
    )


def _with_reserve(needed: int) -> int:
    return needed + RESERVE_BYTES if needed else 0


def _removed(found: Found) -> Iterator[PlannedFile]:
    """Yield the files that only the old revision has."""
    wanted = {file.path for file in found.wanted}
    for file in found.previous.files if found.previous else ():
        if file.path not in wanted:
            yield PlannedFile(file.path, file.size, "removed", "", 0)


def _planned(found: Found, source: str) -> Iterator[PlannedFile]:
    _, copies = split_copies(found.wanted, found.kept)
    for file in found.wanted:
        present = min(file.size, found.partial_bytes.get(object_key(file), 0))
        if file.path in found.kept:
            yield PlannedFile(file.path, file.size, "kept", "", 0)
        elif file.path in copies:
            yield PlannedFile(file.path, file.size, "adopted", copies[file.path], 0)
        elif file.path in found.lent:
            yield PlannedFile(file.path, file.size, "adopted", Message("cache"), 0)
        elif file.path in found.candidates:
            yield PlannedFile(file.path, file.size, "adopted", found.candidates[file.path][0].label, 0)
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


def _size_of(files: Iterable[PlannedFile]) -> int:
    return sum(file.size for file in files)
