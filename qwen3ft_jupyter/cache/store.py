"""What is cached: one own folder that is written to, and read-only layers below it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import stamps
from qwen3ft_jupyter.cache.audit import VerifyReport, verify_model
from qwen3ft_jupyter.cache.evict import remove_incoming, remove_model
from qwen3ft_jupyter.cache.layout import (
    INCOMING_FOLDER,
    incoming_folder,
    is_marked_incomplete,
    marked_repo_id,
    other_slug,
    plain_names,
)
from qwen3ft_jupyter.cache.lease import LeaseState
from qwen3ft_jupyter.cache.manifest import (
    MANIFEST_NAME,
    RECORD_FOLDER,
    Manifest,
    file_state,
    read_manifest,
    update_manifest,
)
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel, model_from, plain_model
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id, slug
from qwen3ft_jupyter.reporting import SILENT, Reporter
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOUCH_S = 300.0
"""A last use younger than this is not written again: the record is for choosing what to evict, in days."""


class ModelCache:
    """The models in `cache_dir`, and those in the read-only layers `shared_dirs`. Safe to use from several threads.

    A manifest says which bytes are right, and normally it is believed wherever it comes from: a cache may be moved or
    copied. Without `trust_manifests` one is believed only if it was written here: a folder that came with its manifest
    (in a cloned repository, say) has other inodes and times of change than the manifest's stamps, which nobody can
    foresee, and counts as a folder without one.
    """

    def __init__(self, cache_dir: Path, shared_dirs: Sequence[Path] = (), *, trust_manifests: bool = True) -> None:
        self.root = Path(cache_dir)
        self.shared_dirs = tuple(Path(folder) for folder in shared_dirs)
        self.trust_manifests = trust_manifests
        self._known: dict[str, tuple[tuple[int, ...], CachedModel]] = {}
        """By folder: the identity of a manifest file, and what it says; replaced whenever the file is."""

    def list(self) -> list[CachedModel]:
        """Return every model, our own first, then those of the shared layers; by name. Unreadable layers are empty."""
        own = [model for model in self._scan(self.root, is_shared=False) if model is not None]
        shared = [model for folder in self.shared_dirs for model in self._scan(folder, is_shared=True)]
        return sorted(own, key=_by_name) + sorted(shared, key=_by_name)

    def find(self, repo_id: str) -> CachedModel | None:
        """Return the best copy of a model: a verified one before an unverified, our own before a shared one."""
        name = parse_repo_id(repo_id)
        found = []
        for root, is_shared in self._layers():
            model = self._find_in(root, name, is_shared=is_shared)
            if model is not None and model.is_verified:
                return model
            found.append(model)
        return next((model for model in found if model is not None), None)

    def by_slug(self, name: str) -> CachedModel:
        """Return the model whose folder has this name.

        The name is looked up, never decoded or joined to a path, so nothing outside the cache can be meant.

        Raises:
            NotCached: There is none.
        """
        for model in self.list():
            if model.slug == name:
                return model
        raise NotCached("There is no such model in the cache.", hint="See `%qwen3ft cache` for those there are.")

    def evict(self, repo_id: str) -> int:
        """Delete every own copy of a model, and what was begun of it; return the bytes freed.

        Raises:
            NotCached: There is no copy.
            CacheNotWritable: It lies in a shared layer, or our own folder cannot be written.
            ModelInUse: Another process is downloading it right now.
        """
        name = parse_repo_id(repo_id)
        models = [model for model in self._scan(self.root, is_shared=False) if model.repo_id == name]
        begun = [folder for folder in self._begun(name) if folder.name not in {model.slug for model in models}]
        if not models and not begun:
            self._raise_not_evictable(name)
        return sum(self._evict(model) for model in models) + sum(remove_incoming(folder) for folder in begun)

    def evict_slug(self, name: str) -> EvictedModel:
        """Delete the one own model whose folder has this name; raises like `evict`."""
        model = self.by_slug(name)
        if model.is_shared:
            self._raise_not_evictable(model.repo_id)
        return EvictedModel(model.repo_id, model.slug, self._evict(model))

    def evict_all(self, *, include_pinned: bool = False, include_unverified: bool = False) -> Sequence[EvictedModel]:
        """Delete all own models and everything begun; return what was deleted.

        Folders without our manifest are somebody else's work until someone names them, so they stay unless asked for,
        as do pinned models, models being downloaded, and the shared layers.
        """
        evicted = []
        for model in self.list():
            wanted = (include_pinned or not model.pinned) and (include_unverified or model.is_verified)
            if model.is_shared or not wanted:
                continue
            with contextlib.suppress(ModelInUse):
                evicted.append(EvictedModel(model.repo_id, model.slug, self._evict(model)))
        kept = {model.slug for model in self.list()}
        for folder in _folders(self.root / INCOMING_FOLDER):
            if folder.name not in kept and not _is_leased(folder):
                remove_incoming(folder)
        return evicted

    def verify(self, repo_id: str, *, reporter: Reporter = SILENT, stop: threading.Event | None = None) -> VerifyReport:
        """Read every byte of a model again and say what is wrong; the next use of the model fetches that anew.

        Raises:
            NotCached: There is no such model.
            CacheError: It has no manifest to compare it with.
            Stopped: `stop` was set.
        """
        model = self.find(repo_id)
        if model is None:
            raise NotCached(f"{repo_id} is not in the cache.", hint=f"Download it: %qwen3ft download {repo_id}")
        manifest = self.manifest(model)
        if manifest is None:
            raise CacheError(
                f"{repo_id} was put into the cache by something else: there is no record to compare it with.",
                hint=f"`%qwen3ft download {repo_id}` compares it with the hub and fetches only what is not right.",
            )
        report, verified = verify_model(model.folder, manifest, reporter=reporter, stop=stop or threading.Event())
        if not self.record(model, verified):  # replaced or evicted meanwhile: the report is about what is gone
            return self.verify(repo_id, reporter=reporter, stop=stop)
        return report

    def pin(self, repo_id: str, pinned: bool = True) -> None:  # noqa: FBT001, FBT002 - reads as pin(name, False)
        """Protect a model from automatic eviction, or stop protecting it.

        Raises:
            NotCached: There is no such model of our own with a manifest.
            CacheNotWritable, NoSpace, CacheError: The manifest cannot be written.
        """
        model = self.find(repo_id)
        if model is None or model.is_shared or not model.is_verified:
            raise NotCached(f"{repo_id} has not been downloaded into this cache.", hint="Download it, then pin it.")
        try:
            update_manifest(model.folder, lambda manifest: replace(manifest, pinned=pinned))
        except OSError as error:
            raise disk_error(error, "The cache") from error

    def touch(self, repo_id: str) -> None:
        """Note that a model was used now. Never raises: a cache that cannot be written can still be used."""
        model = self.find(repo_id)
        if model is None or model.is_shared or not model.is_verified:
            return
        now = time.time()
        with contextlib.suppress(OSError):
            update_manifest(
                model.folder,
                lambda manifest: None if 0 <= now - manifest.last_used < TOUCH_S else replace(manifest, last_used=now),
            )

    def manifest(self, model: CachedModel) -> Manifest | None:
        """Return the record of a model, with the stamps this cache keeps for layers it cannot write."""
        manifest = self.believed(model.folder) if model.is_verified else None
        return stamps.overlaid(self.root, model.folder, manifest) if manifest is not None else None

    def believed(self, folder: Path) -> Manifest | None:
        """Return the manifest of a model folder if there is one that is believed, see the class."""
        manifest = read_manifest(folder)
        if manifest is None or self.trust_manifests:
            return manifest
        files = stamps.overlaid(self.root, folder, manifest).files
        return manifest if files and all(file_state(folder, file) == "same" for file in files) else None

    def record(self, model: CachedModel, manifest: Manifest) -> bool:
        """Keep the stamps of `manifest` in the model's folder, or in our own if that is read-only. Never raises.

        Returns False, and keeps nothing, if the model is not the one any more that `manifest` was read from.
        """
        now = read_manifest(model.folder)
        if now is None or now.with_stamps_of(manifest) is None:
            return False
        if not model.is_shared:
            with contextlib.suppress(OSError):
                update_manifest(model.folder, lambda now: now.with_stamps_of(manifest))
                stamps.forget(self.root, model.folder)
                return True
        with contextlib.suppress(OSError):  # then the files are read again next time
            stamps.save(self.root, model.folder, manifest)
        return True

    def folder_for(self, repo_id: RepoId) -> Path:
        """Return the own folder that holds `repo_id` or will: its slug, or another name if a different repo has it."""
        model = self._find_in(self.root, repo_id, is_shared=False)
        if model is not None:
            return model.folder
        for name in (slug(repo_id), other_slug(repo_id)):
            if self._is_free(name, repo_id):
                return self.root / name
        raise CacheError(f"The cache has no folder left for {repo_id}.", hint="Look at the folders named like it.")

    # Looking

    def _layers(self) -> Iterator[tuple[Path, bool]]:
        yield self.root, False
        for folder in self.shared_dirs:
            yield folder, True

    def _scan(self, root: Path, *, is_shared: bool) -> Iterator[CachedModel]:
        for folder in _folders(root):
            model = self._model_at(folder, is_shared=is_shared)
            if model is not None:
                yield model

    def _find_in(self, root: Path, repo_id: RepoId, *, is_shared: bool) -> CachedModel | None:
        plain = None
        for name in dict.fromkeys((*plain_names(repo_id), other_slug(repo_id))):
            model = self._model_at(root / name, is_shared=is_shared)
            if model is None or model.repo_id != repo_id:
                continue
            if model.is_verified:
                return model
            plain = plain or model
        renamed = (m for m in self._scan(root, is_shared=is_shared) if m.is_verified and m.repo_id == repo_id)
        return next(renamed, plain)

    def _model_at(self, folder: Path, *, is_shared: bool) -> CachedModel | None:
        """Return the model in a folder of a layer, or None; a symlink is no model: it may lead anywhere."""
        record = f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"
        try:
            status = os.lstat(record + MANIFEST_NAME)
        except OSError:
            return plain_model(folder, is_shared=is_shared)
        if os.path.islink(folder) or is_marked_incomplete(record):  # noqa: PTH114 - a thousand times in a listing
            return None
        identity = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        known = self._known.get(record)
        if known is not None and known[0] == identity and self.trust_manifests:
            return known[1]
        manifest = self.believed(folder)
        if manifest is None:
            return plain_model(folder, is_shared=is_shared)
        model = model_from(folder, manifest, is_shared=is_shared)
        self._known[record] = (identity, model)
        return model

    def _is_free(self, name: str, repo_id: RepoId) -> bool:
        lease = LeaseState.read(incoming_folder(self.root, name))
        if lease is not None and lease.repo_id != repo_id and not lease.owner.is_surely_dead:
            return False
        folder = self.root / name
        if not os.path.lexists(folder):
            return True
        if folder.is_symlink() or not folder.is_dir():
            return False
        manifest = read_manifest(folder)
        return (manifest.repo_id if manifest else marked_repo_id(folder) or repo_id) == repo_id

    # Deleting

    def _begun(self, repo_id: RepoId) -> Sequence[Path]:
        folders = [incoming_folder(self.root, name) for name in (slug(repo_id), other_slug(repo_id))]
        taken = {model.slug for model in self._scan(self.root, is_shared=False) if model.repo_id != repo_id}
        return [folder for folder in folders if folder.is_dir() and folder.name not in taken]

    def _evict(self, model: CachedModel) -> int:
        incoming = incoming_folder(self.root, model.slug)
        if _is_leased(incoming):
            raise ModelInUse(f"{model.repo_id} is being downloaded.", hint="Stop the download first.")
        return remove_model(self.root, model.folder, model.repo_id) + remove_incoming(incoming)

    def _raise_not_evictable(self, repo_id: RepoId) -> None:
        if self.find(repo_id) is not None:
            raise CacheNotWritable(f"{repo_id} lies in a shared cache, which is only read.")
        raise NotCached(f"{repo_id} is not in the cache.", hint="See `%qwen3ft cache` for what is.")


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [root / name for name in names]


def _is_leased(incoming: Path) -> bool:
    lease = LeaseState.read(incoming)
    return lease is not None and lease.is_live


def _by_name(model: CachedModel) -> tuple[str, str]:
    return model.repo_id.lower(), model.slug
