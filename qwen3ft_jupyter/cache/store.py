"""What is cached: one own folder that is written to, shared caches that are only read, and what other tools keep."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.absent import hint_at
from qwen3ft_jupyter.cache.held import HeldModels
from qwen3ft_jupyter.cache.others import in_place
from qwen3ft_jupyter.cache.others.evict import (
    evict_copy,
    named_copies,
    not_kept_by_them,
    not_ours,
    ours_not_theirs,
    several_folders,
)
from qwen3ft_jupyter.cache.others.scan import scan
from qwen3ft_jupyter.cache.own import stamps
from qwen3ft_jupyter.cache.own.evict import (
    InUse,
    nobody_uses,
)
from qwen3ft_jupyter.cache.own.layout import check_readable, is_revision
from qwen3ft_jupyter.cache.own.manifest import file_state, update_manifest
from qwen3ft_jupyter.cache.own.verify import no_record, verify_model
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import BadInput, CacheError, ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id
from qwen3ft_jupyter.messages import Command, Message
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import SILENT, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from qwen3ft_jupyter.cache.datasets import DatasetCache
    from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
    from qwen3ft_jupyter.cache.others.places import Place
    from qwen3ft_jupyter.cache.own.evict import Extent
    from qwen3ft_jupyter.cache.own.manifest import Manifest, ManifestFile
    from qwen3ft_jupyter.cache.reports import VerifyReport
    from qwen3ft_jupyter.disk import Disk

TOUCH_S = 300.0
"""A last use younger than this is not written again: the record is for choosing what to evict, in days."""


class ModelCache(HeldModels):
    """The models in `cache_dir`, those in the shared caches `shared_dirs`, and those other tools keep in `places`.

    Safe to use from several threads. A manifest says which bytes are right, and normally it is trusted wherever it
    comes from: a cache may be moved or copied. Without `trust_manifests` one is trusted only if it was written here:
    a folder that came with its manifest (in a cloned repository, say) has other inodes and times of change than the
    manifest's stamps, which nobody can foresee, and counts as a folder without one. With `trust_copies` a
    file that was copied with its time of change is not read again, see `stamps`. `unseen` is about `places`.
    """

    def __init__(
        self,
        cache_dir: Path,
        shared_dirs: Sequence[Path] = (),
        *,
        places: Sequence[Place] | Callable[[], Sequence[Place]] = (),
        unseen: Callable[[], Iterable[str]] = tuple,
        trust_manifests: bool = True,
        trust_copies: bool = False,
        disk: Disk = LOCAL,
    ) -> None:
        root = Path(cache_dir)
        folders = {os.path.realpath(folder): Path(folder) for folder in (root, *shared_dirs)}
        shared = [*folders.values()][1:]  # not shared with itself
        super().__init__(root, shared, trust_manifests=trust_manifests, trust_copies=trust_copies)
        self._places = places
        self.unseen_places = unseen
        self.disk = disk
        self._inner: dict[Path, DatasetCache] = {}

    def within(self) -> Sequence[HeldModels]:
        """Return the caches of data sets within this one."""
        from qwen3ft_jupyter.cache.datasets import dataset_caches

        return dataset_caches(self)

    def inner(self, root: Path) -> DatasetCache:
        """Return the cache of data sets in a folder of this one, the same each time, for it knows its manifests."""
        from qwen3ft_jupyter.cache.datasets import DatasetCache

        known = self._inner.get(root)
        return known if known is not None else self._inner.setdefault(root, DatasetCache(self, root))

    @property
    def places(self) -> Sequence[Place]:
        """Return where other tools keep models, now: some appear while a server runs."""
        return self._places() if callable(self._places) else self._places

    def list(self) -> list[CachedModel]:
        """Return every model: our own, those of the shared caches, those of other tools; each by name.

        What cannot be looked into is empty, see `unseen`. Raises CacheError for our own folder.
        """
        return [*self.kept(), *self._others()]

    def find(self, repo_id: str, revision: str | None = None) -> CachedModel | None:
        """Return the best copy of a model, or None.

        A verified one comes before an unverified, our own before a shared one, another tool's last. With a `revision`
        (branch, tag, or 7 to 40 digits of a commit) only a copy recorded as that counts. A folder that is only called
        like the model is none, see `guessed`. Raises CacheError if our own folder cannot be looked into.
        """
        name = parse_repo_id(repo_id)
        found = None
        for model in self._candidates(name, revision):
            found = found or model
            if model.is_verified:
                return model
        if found is None:
            check_readable(self.root)
        return found

    def _candidates(self, name: RepoId, revision: str | None) -> Iterator[CachedModel]:
        yield from self.best_copies(name, revision)
        yield from (one for one in _at(self._others(name), revision) if not one.is_guessed)

    def others(self, repo_id: str) -> Sequence[CachedModel]:
        """Return the copies of a model that other tools keep, and the folders that are called like it."""
        return self._others(parse_repo_id(repo_id))

    def guessed(self, repo_id: RepoId) -> Sequence[CachedModel]:
        """Return the folders that are called like a model, but were never compared with it."""
        return [model for model in self._others(repo_id) if model.is_guessed]

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the own folder and the shared caches."""
        return (self.root, *self.shared_dirs)

    def by_slug(self, name: str) -> CachedModel:
        """Return the model whose slug is this.

        The name is looked up, never decoded or joined to a path, so nothing outside the cache can be meant.

        Raises:
            NotCached: There is none.
        """
        for model in self.list():
            if model.slug == name:
                return model
        hint = Message("See `{command}` for those there are.", command=Command("list"))
        raise NotCached(
            "There is no such model in the cache.", hint=hint_at(name, [one.slug for one in self.list()], hint)
        )

    def evict(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        owner: str | None = None,
        everything: bool = False,
        is_used: InUse = nobody_uses,
        reporter: Reporter = SILENT,
    ) -> int:
        """Delete every own copy of a model, and the partials of it; return the bytes freed.

        The files go that were downloaded, or, in a folder that somebody else made, those that models have. What else
        lies in the folder stays and is named.

        Args:
            repo_id: The model; with the owner "folder" also the path of a folder in which one is listed.
            revision: Delete only the copy recorded as this.
            owner: "huggingface", "modelscope" or "folder": delete what that tool keeps instead of our own.
            everything: Delete whatever lies in the folders of our own copies.
            is_used: Asked once more when nobody can find the model any longer.
            reporter: Is told what stays.

        Raises:
            NotCached: There is no copy.
            CacheError: With the owner "folder": several folders may be meant, or one that is only called like it.
            CacheNotWritable: It lies in a shared cache or is another tool's, or our own folder cannot be written.
            ModelInUse: It is being downloaded, or in use.
        """
        if owner not in {None, "qwen3ft"}:
            if everything:
                raise BadInput(
                    "everything is about our own copies, not about those of another tool.",
                    hint="Delete the rest of that folder yourself.",
                )
            found = _at([one for one in self._others() if one.owner == owner], revision)
            evicted = [self._evict_other(one, is_used) for one in named_copies(repo_id, found)]
        else:
            name = parse_repo_id(repo_id)
            folders = self._folders_to_evict(name, revision, everything=everything)
            evicted = [self._evict(folder, name, _extent(everything=everything), is_used) for folder in folders]
        for one in evicted:
            if one.left:
                reporter.notice(one.left_words)
        return sum(one.freed_bytes for one in evicted)

    def _folders_to_evict(self, name: RepoId, revision: str | None, *, everything: bool) -> Sequence[Path]:
        """Return the folders of own copies, and of what is left of some; raises like `evict`."""
        copies = self._certain_copies(name, revision)
        unfinished = self.unfinished(name, everything=everything) if revision is None else ()
        folders = dict.fromkeys([*(one.folder for one in copies), *unfinished])
        if not folders:
            raise self._not_evictable(name, revision)
        return tuple(folders)

    def _certain_copies(self, name: RepoId, revision: str | None) -> Sequence[CachedModel]:
        """Return our own verified copies, else the only other one. Raises CacheError if there are several others."""
        copies = _at([one for one in self.own() if one.repo_id == name], revision)
        verified = [one for one in copies if one.is_verified]
        if len(copies) > 1 and not verified:
            raise several_folders(name, copies)
        return verified or copies

    def _not_evictable(self, name: RepoId, revision: str | None) -> CacheError:
        """Return the error for a model of which our own folder has no copy."""
        model = self.find(name, revision) or next(iter(self.guessed(name)), None)
        if model is not None:
            return not_ours(model)
        return NotCached(
            "{name} is not in the cache at revision {revision}." if revision else "{name} is not in the cache.",
            hint=self.hint_at(name, Message("See `{command}` for what is.", command=Command("list"))),
            name=name,
            revision=revision,
        )

    def hint_at(self, repo_id: str, otherwise: Message) -> Message:
        """Return the hint for a model that is not here: the one that may be meant, else `otherwise`."""
        from qwen3ft_jupyter.cache.datasets import list_datasets

        names = [str(one.name) for one in list_datasets(self) if one.name.repo_id == repo_id]
        if names:
            return Message("A data set is called so: {names}.", names=", ".join(names))
        return hint_at(repo_id, [one.repo_id for one in self.list()], otherwise)

    def _evict_other(self, model: CachedModel, is_used: InUse) -> EvictedModel:
        """Delete a model of another tool and our record of it."""
        if is_used(model.repo_id):
            raise ModelInUse("{repo_id} is used by a running job.", hint="Stop the job first.", repo_id=model.repo_id)
        record = self.manifest(model)
        in_place.forget(self.root, model.folder, disk=self.disk)
        return evict_copy(model, self.places, {file.path for file in record.files} if record is not None else None)

    def evict_slug(
        self, name: str, *, owner: str | None = None, everything: bool = False, is_used: InUse = nobody_uses
    ) -> EvictedModel:
        """Delete the one model with this slug; raises like `evict`. Another tool's goes only if `owner` names it."""
        model = self.by_slug(name)
        if model.folder.parent == self.root:
            if owner not in {None, "qwen3ft"}:  # theirs was meant, not ours of that name
                theirs = [one for one in self._others() if (one.owner, one.repo_id) == (owner, model.repo_id)]
                raise ours_not_theirs(theirs) if theirs else not_kept_by_them()
            return self._evict(model.folder, model.repo_id, _extent(everything=everything), is_used)
        if owner is None or owner != model.owner:
            raise not_ours(model)
        return self._evict_other(model, is_used)

    def evict_all(self, *, is_used: InUse = nobody_uses, reporter: Reporter = SILENT) -> Sequence[EvictedModel]:
        """Delete all that was downloaded, as `evictions.evict_all` says."""
        from qwen3ft_jupyter.cache.evictions import evict_all

        return evict_all(self, is_used=is_used, reporter=reporter)

    def verify(self, repo_id: str, revision: str | None = None, work: Work | None = None) -> VerifyReport:
        """Read every byte of a model again and say what is wrong; the next use of the model fetches that anew.

        Args:
            repo_id: The model.
            revision: Which copy, if not the one that `find` takes.
            work: Is told of the progress.

        Raises:
            NotCached: There is no such model.
            CacheError: It has no manifest to compare it with.
            Stopped: Someone wants the work to stop.
        """
        model = self.find(repo_id, revision)
        if model is None:
            raise NotCached(
                "{repo_id} is not in the cache.",
                hint=self.hint_at(repo_id, Message("Download it: {command}", command=Command("download", repo_id))),
                repo_id=repo_id,
            )
        manifest = self.manifest(model)
        if manifest is None:
            raise no_record(model)
        work = work or Work()
        if model.is_others:
            return in_place.verify_in_place(
                model, manifest, root=self.root, places=self.places, work=work, disk=self.disk
            )
        report, verified = verify_model(model.folder, manifest, work, holds_models=self.holds_models)
        if not self.record(model, verified):  # replaced or evicted meanwhile: the report is about what is gone
            return self.verify(repo_id, revision, work)
        stamps.untrust(
            self.root, {file.stamp.inode for file in manifest.files if file.path in report.wrong and file.stamp}
        )
        return report

    def pin(self, repo_id: str, pinned: bool = True, *, revision: str | None = None) -> None:  # noqa: FBT001, FBT002 - reads as pin(name, False)
        """Protect a model from automatic eviction, or stop protecting it.

        Raises:
            NotCached: There is no such model of our own with a manifest.
            CacheNotWritable, NoSpace, CacheError: The manifest cannot be written.
        """
        model = self.find(repo_id, revision)
        if model is None or not self._is_recorded(model):
            raise NotCached(
                "{repo_id} has not been downloaded into this cache.",
                hint=self.hint_at(repo_id, Message("Download it, then pin it.")),
                repo_id=repo_id,
            )
        try:
            update_manifest(model.folder, lambda manifest: replace(manifest, pinned=pinned), disk=self.disk)
        except OSError as error:
            raise disk_error(error, Message("The cache")) from error

    def touch(self, repo_id: str, revision: str | None = None) -> None:
        """Note that a model was used now. Never raises: a cache that cannot be written can still be used."""
        model = self.find(repo_id, revision)
        if model is None or not self._is_recorded(model):
            return
        now = time.time()
        with contextlib.suppress(OSError):
            update_manifest(
                model.folder,
                lambda manifest: None if 0 <= now - manifest.last_used < TOUCH_S else replace(manifest, last_used=now),
            )

    def manifest(self, model: CachedModel) -> Manifest | None:
        """Return the record of a model, with the stamps this cache keeps for shared caches it cannot write.

        That of a model used in place, in another tool's cache, holds only while all its stamps do.
        """
        if model.is_others:
            return in_place.manifest_of(self.root, model)
        manifest = self.trusted(model.folder) if model.is_verified else None
        return self.stamped(model.folder, manifest) if manifest is not None else None

    def stale_files(self, model: CachedModel, manifest: Manifest) -> Sequence[ManifestFile]:
        """Return the files of a model that have to be read before they are trusted, or are not there."""
        if model.is_others:
            return ()  # `manifest` looked at them through the other tool's symlinks
        return [file for file in manifest.files if file_state(model.folder, file) != "same"]

    def record(self, model: CachedModel, manifest: Manifest) -> bool:
        """Keep the stamps of `manifest` in the model's folder, or in our own if that is read-only. Never raises.

        Returns False, and keeps nothing, if the model is not the one any more that `manifest` was read from.
        """
        return stamps.keep(self.root, model.folder, manifest, is_writable=not model.is_shared, disk=self.disk)

    def _is_recorded(self, model: CachedModel) -> bool:
        return model.is_verified and model.folder.parent == self.root

    def _others(self, repo_id: RepoId | None = None) -> Sequence[CachedModel]:
        """Return the models of other tools, of one repo or all."""
        places = self.places
        if not places:
            return ()
        found = scan(places, exclude=self.folders)
        return in_place.with_records(self.root, [model for model in found if repo_id in {None, model.repo_id}])


def _extent(*, everything: bool) -> Extent:
    return "everything" if everything else "named"


def _at(models: Iterable[CachedModel], revision: str | None) -> Sequence[CachedModel]:
    """Return the copies that are recorded as a revision; None is any."""
    return [one for one in models if revision is None or is_revision(one, revision)]
