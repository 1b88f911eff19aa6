"""Which models make way when a cache may not grow beyond its quota. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.own.layout import BESIDE, INCOMING_FOLDER
from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.messages import Message, Size, Texts, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.hubs.names import RepoId

Blobs = Mapping[tuple[str, int], int]
"""Bytes by file. Hard-linked files of two models are one file on the disk, so they have the same key."""


@dataclass(frozen=True, slots=True)
class Holding:
    """An own model as the quota sees it."""

    model: CachedModel
    blobs: Blobs
    is_in_use: bool = False


def unfinished_holding(download: Unfinished) -> Holding:
    """Return an unfinished download as the quota sees it."""
    model = CachedModel(
        download.repo_id,
        f"{INCOMING_FOLDER}/{download.slug}",
        download.folder,
        download.size_bytes,
        "qwen3ft",
        last_used=download.last_active,
        is_unfinished=True,
    )
    return Holding(model, {(str(download.folder), 0): download.size_bytes}, download.is_active)


def held_bytes(holdings: Iterable[Holding]) -> int:
    """Return what the disk holds for these models, each file counted once."""
    return sum({key: bytes_ for holding in holdings for key, bytes_ in holding.blobs.items()}.values())


def freed_bytes(holdings: Collection[Holding], evicted: Collection[CachedModel]) -> int:
    """Return what deleting some of the models frees: what the others share stays."""
    return held_bytes(holdings) - held_bytes(holding for holding in holdings if holding.model not in evicted)


def replaced_bytes(holdings: Iterable[Holding], previous: Manifest | None, kept: Collection[str]) -> int:
    """Return what goes when of a model as it was only the `kept` files stay; what other models share goes not."""
    if previous is None:
        return 0
    shared = {inode for one in holdings if not _is_of(one.model, previous) for _, inode in one.blobs}
    gone = [file for file in previous.files if file.path not in kept]
    sizes = {file.stamp.inode if file.stamp else file.path: file.size for file in gone}
    return sum(sizes[inode] for inode in sizes.keys() - shared)


def _is_of(model: CachedModel, record: Manifest) -> bool:
    return (model.repo_id, model.commit, model.created) == (record.repo_id, record.commit, record.created)


def evictable(holdings: Iterable[Holding], *, now: float, keep: RepoId | None = None) -> list[CachedModel]:
    """Return the models that may be evicted without being named, the least recently used first.

    Those are our own downloads, finished or not, that are not pinned, not in use and not of the repo `keep`. A time
    of use after `now` (unix seconds: some clock was wrong) counts as `now`, so that it protects no model for ever.
    """
    models = [
        holding.model
        for holding in holdings
        if (holding.model.is_verified or holding.model.is_unfinished)
        and not (holding.model.pinned or holding.is_in_use or holding.model.repo_id == keep)
    ]
    return sorted(models, key=lambda model: (min(now, model.last_used or model.created or 0.0), model.slug))


def to_evict(
    holdings: Collection[Holding], over_bytes: int, *, now: float, keep: RepoId | None = None
) -> tuple[CachedModel, ...]:
    """Return the models to delete so that `over_bytes` are freed; none if all that may go would not be enough.

    The least recently used go first; one that turns out to be needless, because a later one is large, stays.
    """
    chosen: list[CachedModel] = []
    candidates = iter(evictable(holdings, now=now, keep=keep))
    while freed_bytes(holdings, chosen) < over_bytes:
        model = next(candidates, None)
        if model is None:
            return ()
        chosen.append(model)
    for model in reversed(chosen[:-1]):  # the last one was needed, or it would not have been taken
        fewer = [other for other in chosen if other is not model]
        if freed_bytes(holdings, fewer) >= over_bytes:
            chosen = fewer
    return tuple(chosen)


def shortfall(holdings: Collection[Holding], over_bytes: int, *, now: float, keep: RepoId | None = None) -> int:
    """Return by how much a cache stays too large even if everything is evicted that may be; 0 if that is enough."""
    return max(0, over_bytes - freed_bytes(holdings, evictable(holdings, now=now, keep=keep)))


def title(model: CachedModel) -> str:
    """Return what to call one of possibly several revisions of a model in front of a person."""
    if model.is_unfinished:
        return Message("the unfinished download of {name}", name=model.dataset or model.repo_id)
    if model.dataset:
        return model.dataset
    if BESIDE not in model.slug:
        return model.repo_id
    return Message("{name} at {revision}", name=model.repo_id, revision=model.revision)


def announcement(models: Sequence[CachedModel], quota: int) -> str:
    """Return what to say before models are evicted."""
    names = (
        Message(
            "{name} ({size}, last used {moment})",
            name=title(model),
            size=Size(model.size_bytes),
            moment=moment(model.last_used or model.created),
        )
        for model in models
    )
    return Message(
        "To stay within the quota of {quota}, the least recently used models are evicted: {names}.",
        quota=Size(quota),
        names=Texts(names, ", "),
    )


def refusal(repo_id: RepoId, missing_bytes: int, quota: int) -> NoSpace:
    """Return the error for a model that does not fit into the quota, whatever is evicted."""
    return NoSpace(
        "{repo_id} does not fit into the quota of {quota}: {missing} ({missing_bytes:,} bytes) are missing"
        " even if every model goes that is neither pinned nor in use.",
        hint="Raise MODEL_CACHE_QUOTA, or unpin or evict a model.",
        repo_id=repo_id,
        quota=Size(quota),
        missing=Size(missing_bytes),
        missing_bytes=missing_bytes,
    )
