"""What the own cache holds in all, data sets included, and how room is made in it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import quota
from qwen3ft_jupyter.cache.models import EvictedModel
from qwen3ft_jupyter.cache.own.evict import (
    InUse,
    as_of_now,
    is_leased,
    nobody_uses,
    remove_model,
    remove_shell,
    remove_unfinished,
)
from qwen3ft_jupyter.cache.own.folders import ModelFolders
from qwen3ft_jupyter.cache.own.layout import folders_in, incoming_folder
from qwen3ft_jupyter.cache.own.manifest import is_half_evicted, marked_repo_id
from qwen3ft_jupyter.cache.own.partials import allocated_bytes, unfinished_in
from qwen3ft_jupyter.cache.own.remains import clear_notes
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.paths import nearest_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.evict import Extent
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.disk import Disk


class HeldModels(ModelFolders):
    """The part of `ModelCache` that is about room.

    A cache holds others: those of data sets, see `datasets`. They have one quota, and make room for each other.
    """

    disk: Disk = LOCAL

    def within(self) -> Sequence[HeldModels]:
        """Return the caches of data sets within this one."""
        return ()

    def free_bytes(self) -> int | None:
        """Return how many bytes the volume of the own folder has left for this user; None if nobody knows."""
        return self.disk.free_bytes(nearest_folder(self.root))

    def holdings(self, is_used: InUse = nobody_uses) -> Sequence[quota.Holding]:
        """Return our own models and data sets, and what was begun of others, as the quota sees them."""
        is_used = as_of_now(is_used)
        return [holding for cache in (self, *self.within()) for holding in cache.own_holdings(is_used)]

    def own_holdings(self, is_used: InUse) -> Sequence[quota.Holding]:
        """Return those that lie directly in this cache."""
        models = [quota.Holding(model, self.blobs(model), self._is_in_use(model, is_used)) for model in self.own()]
        return [*models, *map(quota.unfinished_holding, self.unfinished_downloads())]

    def unfinished_downloads(self) -> Sequence[Unfinished]:
        """Return the downloads that have not ended, of which bytes are here, the longest unattended first."""
        return unfinished_in(self.root)

    def used_bytes(self) -> int:
        """Return what our own cache holds, partials and what others put beside a model included; shared files once."""
        return quota.held_bytes(self.holdings()) + sum(cache.other_bytes() for cache in (self, *self.within()))

    def incoming_bytes(self) -> int:
        """Return what partial files take on the disk."""
        return sum(allocated_bytes(cache.root) for cache in (self, *self.within()))

    def evict_for_room(self, name: str, *, is_used: InUse = nobody_uses) -> EvictedModel:
        """Delete what was downloaded of the one of `holdings` with this slug, which nobody named.

        Raises:
            NotCached: There is none.
            ModelInUse, CacheNotWritable, TransferError: As `ModelCache.evict`.
        """
        for cache in (self, *self.within()):
            for holding in cache.own_holdings(nobody_uses):
                if holding.model.slug == name:
                    return replace(cache.evict_held(holding, is_used), slug=name)
        raise NotCached("There is no such model in the cache.")

    def evict_held(self, holding: quota.Holding, is_used: InUse) -> EvictedModel:
        """Delete one of `own_holdings`."""
        model = holding.model
        if not model.is_unfinished:
            return self._evict(model.folder, model.repo_id, "recorded", is_used)
        freed = remove_unfinished(model.folder, model.repo_id, disk=self.disk)
        return EvictedModel(model.repo_id, model.slug, freed, is_unfinished=True)

    def finish_evictions(self) -> None:
        """Delete the rest of models and data sets whose eviction a crash cut short."""
        for cache in (self, *self.within()):
            cache.finish_own_evictions()

    def finish_own_evictions(self) -> None:
        """Do that for what lies directly in this cache."""
        clear_notes(self.root, disk=self.disk)
        for folder in folders_in(self.root):
            if is_half_evicted(folder):
                with contextlib.suppress(ModelInUse):
                    self._evict(folder, RepoId(marked_repo_id(folder) or folder.name), "recorded", nobody_uses)
            elif not is_leased(incoming_folder(self.root, folder.name)):
                remove_shell(folder, disk=self.disk)

    def _evict(self, folder: Path, repo_id: RepoId, extent: Extent, is_used: InUse) -> EvictedModel:
        return remove_model(self.root, folder, repo_id, extent=extent, is_used=is_used, disk=self.disk)

    def _is_in_use(self, model: CachedModel, is_used: InUse) -> bool:
        try:
            return is_leased(incoming_folder(self.root, model.slug)) or is_used(model.repo_id)
        except ModelInUse:
            return True
