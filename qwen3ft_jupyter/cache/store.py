"""What is cached: one own folder that is written to, and read-only layers below it."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache import stamps
from qwen3ft_jupyter.cache.audit import VerifyReport, verify_model, walk_files
from qwen3ft_jupyter.cache.evict import remove_incoming, remove_model
from qwen3ft_jupyter.cache.layout import (
    INCOMING_FOLDER,
    guess_repo_id,
    incoming_folder,
    is_marked_incomplete,
    marked_repo_id,
    other_slug,
    plain_names,
)
from qwen3ft_jupyter.cache.lease import LeaseState
from qwen3ft_jupyter.cache.manifest import MANIFEST_NAME, RECORD_FOLDER, Manifest, read_manifest, write_manifest
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id, slug
from qwen3ft_jupyter.reporting import SILENT, Reporter
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.hubs.listing import HubName

TOUCH_S = 300.0
"""A last use younger than this is not written again: the record is for choosing what to evict, in days."""


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model on this disk."""

    repo_id: RepoId
    slug: str
    """The name of its folder; unique within a layer."""
    folder: Path
    size_bytes: int
    hub: HubName | None
    """None for a folder without our manifest, like `commit` and `revision` ""."""
    commit: str
    revision: str
    created: float | None
    """Unix seconds."""
    last_used: float | None
    """Unix seconds."""
    pinned: bool
    is_verified: bool
    """Whether our manifest vouches for every byte; else the folder was found, and its repo id guessed from its name."""
    is_shared: bool
    """Whether it lies in a layer that is only read."""

    def to_dict(self) -> dict[str, Any]:
        """Return what faces show of it."""
        return {
            "model_name": self.repo_id,
            "size": self.size_bytes,
            "path": str(self.folder),
            "slug": self.slug,
            "hub": self.hub,
            "commit": self.commit,
            "revision": self.revision,
            "created": self.created,
            "last_used": self.last_used,
            "pinned": self.pinned,
            "verified": self.is_verified,
            "shared": self.is_shared,
        }


@dataclass(frozen=True, slots=True)
class EvictedModel:
    """A model that was deleted."""

    repo_id: RepoId
    slug: str
    freed_bytes: int


class ModelCache:
    """The models in `cache_dir`, and those in the read-only layers `shared_dirs`. Safe to use from several threads."""

    def __init__(self, cache_dir: Path, shared_dirs: Sequence[Path] = ()) -> None:
        self.root = Path(cache_dir)
        self.shared_dirs = tuple(Path(folder) for folder in shared_dirs)
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
        self.record(model, verified)
        return report

    def pin(self, repo_id: str, pinned: bool = True) -> None:  # noqa: FBT001, FBT002 - reads as pin(name, False)
        """Protect a model from automatic eviction, or stop protecting it.

        Raises:
            NotCached: There is no such model of our own with a manifest.
            CacheNotWritable, NoSpace, CacheError: The manifest cannot be written.
        """
        model = self.find(repo_id)
        manifest = self.manifest(model) if model is not None and not model.is_shared else None
        if model is None or manifest is None:
            raise NotCached(f"{repo_id} has not been downloaded into this cache.", hint="Download it, then pin it.")
        try:
            write_manifest(model.folder, replace(manifest, pinned=pinned))
        except OSError as error:
            raise disk_error(error, "The cache") from error

    def touch(self, repo_id: str) -> None:
        """Note that a model was used now. Never raises: a cache that cannot be written can still be used."""
        model = self.find(repo_id)
        if model is None or model.is_shared or not model.is_verified:
            return
        now = time.time()
        manifest = self.manifest(model)
        if manifest is None or 0 <= now - manifest.last_used < TOUCH_S:
            return
        with contextlib.suppress(OSError):
            write_manifest(model.folder, replace(manifest, last_used=now))

    def manifest(self, model: CachedModel) -> Manifest | None:
        """Return the record of a model, with the stamps this cache keeps for layers it cannot write."""
        manifest = read_manifest(model.folder) if model.is_verified else None
        return stamps.overlaid(self.root, model.folder, manifest) if manifest is not None else None

    def record(self, model: CachedModel, manifest: Manifest) -> None:
        """Keep the stamps of `manifest` in the model's folder, or in our own if that is read-only. Never raises."""
        if not model.is_shared:
            with contextlib.suppress(OSError):
                write_manifest(model.folder, manifest)
                stamps.forget(self.root, model.folder)
                return
        with contextlib.suppress(OSError):  # then the files are read again next time
            stamps.save(self.root, model.folder, manifest)

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
            return _plain_model(folder, is_shared=is_shared)
        if os.path.islink(folder) or is_marked_incomplete(record):  # noqa: PTH114 - a thousand times in a listing
            return None
        identity = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        known = self._known.get(record)
        if known is not None and known[0] == identity:
            return known[1]
        manifest = read_manifest(folder)
        if manifest is None:
            return _plain_model(folder, is_shared=is_shared)
        model = _model_from(folder, manifest, is_shared=is_shared)
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


def _model_from(folder: Path, manifest: Manifest, *, is_shared: bool) -> CachedModel:
    return CachedModel(
        manifest.repo_id,
        folder.name,
        folder,
        manifest.size_bytes,
        manifest.hub,
        manifest.commit,
        manifest.revision,
        manifest.created,
        manifest.last_used,
        manifest.pinned,
        is_verified=True,
        is_shared=is_shared,
    )


def _plain_model(folder: Path, *, is_shared: bool) -> CachedModel | None:
    """Return the model in a folder without our manifest, if it looks like one and its name tells which."""
    repo_id = guess_repo_id(folder.name)
    if repo_id is None or folder.is_symlink():
        return None
    if is_marked_incomplete(f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"):
        return None
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
        if "config.json" not in names and not any(name.endswith(".safetensors") for name in names):
            return None
        statuses = [(folder / path).lstat() for path in walk_files(folder)]
        created = folder.stat().st_mtime
    except OSError:
        return None
    size = sum(status.st_size for status in statuses if stat.S_ISREG(status.st_mode))
    return CachedModel(
        repo_id, folder.name, folder, size, None, "", "", created, None, False, is_verified=False, is_shared=is_shared
    )


def _by_name(model: CachedModel) -> tuple[str, str]:
    return model.repo_id.lower(), model.slug
