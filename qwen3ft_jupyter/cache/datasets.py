"""Data sets in a cache: ``.datasets/HUB/CHOICE/owner_name``. Each choice of subset and split is laid out as a cache.

They are kept, verified, evicted and moved as models are, and listed apart from them, by the names that a fine-tune's
`data` has for them: ``ms:owner/name:subset:split``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from qwen3ft_jupyter.cache.own.datasets import dataset_roots
from qwen3ft_jupyter.cache.own.evict import nobody_uses
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs.datasets import DatasetName
from qwen3ft_jupyter.hubs.names import DATASETS_FOLDER, RepoId, slug
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import is_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache import quota
    from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
    from qwen3ft_jupyter.cache.own.evict import Extent, InUse
    from qwen3ft_jupyter.settings.declared import HubName


class DatasetRow(TypedDict):
    """A cached data set as the faces and ``GET /qwen3ft/datasets/list`` have it, see `CachedDataset`."""

    name: str
    repo_id: str
    subset: str
    split: str
    size: int
    path: str
    hub: HubName | None
    commit: str
    created: float | None
    last_used: float | None
    pinned: bool
    verified: bool
    unfinished: bool
    """Whether only a part of it is here; it goes on when it is asked for again."""
    problems: list[str]


@dataclass(frozen=True, slots=True)
class CachedDataset:
    """A data set on this disk, or what is here of one."""

    name: DatasetName
    """With its hub."""
    kept: CachedModel
    """Its folder, size, commit and times."""

    def to_dict(self) -> DatasetRow:
        """Return what faces show of it."""
        kept = self.kept
        return {
            "name": str(self.name),
            "repo_id": self.name.repo_id,
            "subset": self.name.subset,
            "split": self.name.split,
            "size": kept.size_bytes,
            "path": str(kept.folder),
            "hub": self.name.hub,
            "commit": kept.commit,
            "created": kept.created,
            "last_used": kept.last_used,
            "pinned": kept.pinned,
            "verified": kept.is_sound and not kept.is_unfinished,
            "unfinished": kept.is_unfinished,
            "problems": [*kept.problems, *kept.changes],
        }


class DatasetCache(ModelCache):
    """The data sets of one hub and choice; their room is that of the cache they lie in."""

    holds_models = False

    def __init__(self, cache: ModelCache, root: Path) -> None:
        """Args: the cache, and the folder in it."""
        super().__init__(root, trust_manifests=cache.trust_manifests, trust_copies=cache.trust_copies, disk=cache.disk)
        self._cache = cache

    def name_of(self, repo_id: str) -> DatasetName:
        """Return what `data` calls a data set of this folder."""
        return DatasetName.of_choice(self.root.parent.name, self.root.name, RepoId(repo_id))

    def datasets(self) -> list[CachedDataset]:
        """Return what is here, finished or not, by name."""
        held = [holding.model for holding in self.own_holdings(nobody_uses)]
        return [CachedDataset(self.name_of(model.repo_id), model) for model in sorted(held, key=lambda one: one.slug)]

    # The room is that of the whole cache

    def holdings(self, is_used: InUse = nobody_uses) -> Sequence[quota.Holding]:
        """Return what the whole cache holds."""
        return self._cache.holdings(is_used)

    def used_bytes(self) -> int:
        """Return what the whole cache holds."""
        return self._cache.used_bytes()

    def evict_for_room(self, name: str, *, is_used: InUse = nobody_uses) -> EvictedModel:
        """Delete what makes room, wherever in the cache it is."""
        return self._cache.evict_for_room(name, is_used=is_used)

    def finish_evictions(self) -> None:
        """Finish all of the whole cache."""
        self._cache.finish_evictions()

    def own_holdings(self, is_used: InUse) -> Sequence[quota.Holding]:
        """Return the data sets here; their slugs say where they lie, for models may be called alike."""
        prefix = self.root.relative_to(self._cache.root).as_posix()
        return [
            replace(
                one,
                model=replace(
                    one.model, slug=f"{prefix}/{one.model.slug}", dataset=str(self.name_of(one.model.repo_id))
                ),
            )
            for one in super().own_holdings(is_used)
        ]

    def _evict(self, folder: Path, repo_id: RepoId, extent: Extent, is_used: InUse) -> EvictedModel:
        evicted = super()._evict(folder, repo_id, extent, self._by_name(repo_id, is_used))
        return replace(evicted, repo_id=RepoId(str(self.name_of(repo_id))))

    def _is_in_use(self, model: CachedModel, is_used: InUse) -> bool:
        return super()._is_in_use(model, self._by_name(model.repo_id, is_used))

    def _by_name(self, repo_id: RepoId, is_used: InUse) -> InUse:
        """Return what asks for the data set, not for a model that is called alike."""
        name = RepoId(str(self.name_of(repo_id)))
        return lambda _: is_used(name)


def dataset_caches(cache: ModelCache) -> list[DatasetCache]:
    """Return the caches of data sets within a cache."""
    return [cache.inner(root) for root in dataset_roots(cache.root)]


def dataset_cache(cache: ModelCache, name: DatasetName, hub: HubName) -> DatasetCache:
    """Return the one that a data set lies in or will."""
    return cache.inner(cache.root / DATASETS_FOLDER / hub / name.choice)


def list_datasets(cache: ModelCache) -> list[CachedDataset]:
    """Return the data sets in a cache, by name."""
    found = [one for inner in dataset_caches(cache) for one in inner.datasets()]
    return sorted(found, key=lambda one: str(one.name).lower())


def find_dataset(cache: ModelCache, name: DatasetName) -> DatasetCache:
    """Return where the data set of a name with its hub is. Raises NotCached, which names those there are."""
    known = list_datasets(cache)
    if name.hub is not None:
        inner = dataset_cache(cache, name, name.hub)
        is_left = inner.root in dataset_roots(cache.root) and is_folder(inner.root / slug(name.repo_id))
        if is_left or any(one.name == name for one in known):  # what an eviction has left can still be named
            return inner
    names = [str(one.name) for one in known]
    raise NotCached(
        "{name} is not in the cache.",
        hint="Data sets in the cache: {names}." if names else "See `{command}` for what is.",
        name=str(name),
        names=", ".join(names[:12]),
        command=Command("list"),
    )
