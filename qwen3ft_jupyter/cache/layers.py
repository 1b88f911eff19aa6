"""Looks for models in the own cache folder and in the read-only layers below it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from qwen3ft_jupyter.cache import stamps
from qwen3ft_jupyter.cache.incoming import incoming_folders
from qwen3ft_jupyter.cache.layout import (
    BESIDE,
    beside_names,
    folders_in,
    guess_repo_id,
    incoming_folder,
    is_revision,
    other_slug,
    plain_names,
)
from qwen3ft_jupyter.cache.lease import LeaseState
from qwen3ft_jupyter.cache.manifest import MANIFEST_NAME, RECORD_FOLDER, Manifest, file_state, read_manifest
from qwen3ft_jupyter.cache.marks import is_marked_incomplete, marked_repo_id
from qwen3ft_jupyter.cache.models import CachedModel, model_from
from qwen3ft_jupyter.cache.walk import walk_all, walk_files
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.hubs.names import RepoId, slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.quota import Blobs


class _Known(NamedTuple):
    """What a manifest says, for as long as the file is the same."""

    identity: tuple[int, ...]
    model: CachedModel
    blobs: Blobs


class Layers:
    """The own folder `root` and the layers `shared_dirs`. Safe to use from several threads."""

    def __init__(self, root: Path, shared_dirs: Sequence[Path], *, trust_manifests: bool) -> None:
        self.root = root
        self.shared_dirs = tuple(shared_dirs)
        self.trust_manifests = trust_manifests
        self._known: dict[str, _Known] = {}
        """By record folder; replaced whenever the manifest file is."""

    def own(self) -> list[CachedModel]:
        """Return the models of the own folder, by name."""
        return sorted(self._scan(self.root, is_shared=False), key=_by_name)

    def shared(self) -> list[CachedModel]:
        """Return the models of the layers, by name; a layer that cannot be read is empty."""
        found = [model for folder in self.shared_dirs for model in self._scan(folder, is_shared=True)]
        return sorted(found, key=_by_name)

    def find(self, repo_id: RepoId, revision: str | None) -> Iterator[CachedModel]:
        """Yield the best copy of each layer, our own first."""
        for root, is_shared in ((self.root, False), *((folder, True) for folder in self.shared_dirs)):
            model = self._find_in(root, repo_id, revision, is_shared=is_shared)
            if model is not None:
                yield model

    def at(self, folder: Path) -> CachedModel | None:
        """Return the model in a folder of the own folder or of a layer, or None."""
        return self._model_at(folder, is_shared=folder.parent != self.root)

    def believed(self, folder: Path) -> Manifest | None:
        """Return the manifest of a model folder if there is one that is believed, see `ModelCache`."""
        manifest = read_manifest(folder)
        if manifest is None or self.trust_manifests:
            return manifest
        files = stamps.overlaid(self.root, folder, manifest).files
        return manifest if files and all(file_state(folder, file) == "same" for file in files) else None

    def blobs(self, model: CachedModel) -> Blobs:
        """Return the files of a model of the own folder by what the disk holds once."""
        known = self._known.get(_record_prefix(model.folder))
        whole = {(str(model.folder), 0): model.size_bytes}
        return known.blobs if known is not None and known.model == model else whole

    def other_bytes(self) -> int:
        """Return what lies in the own folder beside the models and what was begun, where a record of ours is or was."""
        models = {model.folder: model for model in self.own()}
        return sum(_other_bytes(folder, models.get(folder)) for folder in folders_in(self.root))

    def begun(self, repo_id: RepoId, *, everything: bool) -> Iterator[Path]:
        """Yield where the model folders are, or would be, of which only a beginning or a remainder is here.

        With `everything` also those in which an eviction has left what is not the model's.
        """
        taken = {model.slug for model in self.own()}
        marked = (folder for folder in folders_in(self.root) if folder.name not in taken)
        yield from (folder for folder in marked if marked_repo_id(folder) == repo_id)
        if any(model.slug == slug(repo_id) and model.repo_id != repo_id for model in self.own()):
            names = {other_slug(repo_id)}
        else:
            names = {slug(repo_id), other_slug(repo_id)}
        begun = [folder.name for folder in incoming_folders(self.root)]
        if everything:
            begun += [folder.name for folder in folders_in(self.root) if (folder / RECORD_FOLDER).is_dir()]
        found = dict.fromkeys(name for name in begun if name.partition(BESIDE)[0] in names and name not in taken)
        yield from (self.root / name for name in found)

    def main_folder(self, repo_id: RepoId) -> Path:
        """Return the own folder of a model's first revision, there or not. Raises CacheError if none is left for it."""
        names = dict.fromkeys((*plain_names(repo_id), other_slug(repo_id)))
        for name in names:  # also one that is being changed just now
            manifest = self.believed(self.root / name)
            if manifest is not None and manifest.repo_id == repo_id and not (self.root / name).is_symlink():
                return self.root / name
        mains = [model for model in self._copies(self.root, repo_id, None, is_shared=False) if not _is_beside(model)]
        if mains:
            return next((model for model in mains if model.is_verified), mains[0]).folder
        return self._free((slug(repo_id), other_slug(repo_id)), repo_id, None)

    def folder_for(self, repo_id: RepoId, revision: str | None, commit: str) -> Path:
        """Return the own folder that holds a revision or will, see `ModelCache.folder_for`."""
        main = self.main_folder(repo_id)
        if revision is None:
            return main
        found = self._find_in(self.root, repo_id, revision, is_shared=False)
        if found is not None and found.is_verified:
            return found.folder
        record = self.believed(main)
        if record is None or is_revision(record.commit, record.revision, revision) or record.commit == commit != "":
            return main
        return self._free(beside_names(repo_id, revision), repo_id, revision)

    # Looking

    def _scan(self, root: Path, *, is_shared: bool) -> Iterator[CachedModel]:
        for folder in folders_in(root):
            model = self._model_at(folder, is_shared=is_shared)
            if model is not None:
                yield model

    def _find_in(self, root: Path, repo_id: RepoId, revision: str | None, *, is_shared: bool) -> CachedModel | None:
        """Return the copy in a layer: a verified one before an unverified, which has no revision anyone knows."""
        second = None
        for model in self._copies(root, repo_id, revision, is_shared=is_shared):
            if model.is_verified and (revision is None or revision in {model.revision, model.commit}):
                return model
            if revision is None or (model.is_verified and is_revision(model.commit, model.revision, revision)):
                second = second or model  # unverified, or a branch may be called what a commit begins with
        return second

    def _copies(self, root: Path, repo_id: RepoId, revision: str | None, *, is_shared: bool) -> Iterator[CachedModel]:
        """Yield the copies in a layer: where they should be, then in folders someone renamed, other revisions last."""
        beside = () if revision is None else beside_names(repo_id, revision)
        for name in dict.fromkeys((*plain_names(repo_id), other_slug(repo_id), *beside)):
            model = self._model_at(root / name, is_shared=is_shared)
            if model is not None and model.repo_id == repo_id:
                yield model
        renamed = (model for model in self._scan(root, is_shared=is_shared) if model.is_verified)
        yield from sorted((model for model in renamed if model.repo_id == repo_id), key=_is_beside)

    def _model_at(self, folder: Path, *, is_shared: bool) -> CachedModel | None:
        """Return the model in a folder of a layer, or None; a symlink is no model: it may lead anywhere."""
        record = _record_prefix(folder)
        try:
            status = os.lstat(record + MANIFEST_NAME)
        except OSError:
            return plain_model(folder, is_shared=is_shared)
        if os.path.islink(folder) or is_marked_incomplete(record):  # noqa: PTH114 - a thousand times in a listing
            return None
        identity = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        known = self._known.get(record)
        if known is not None and known.identity == identity and self.trust_manifests:
            return known.model
        manifest = self.believed(folder)
        if manifest is None:
            return plain_model(folder, is_shared=is_shared)
        model = model_from(folder, manifest, is_shared=is_shared)
        self._known[record] = _Known(identity, model, _blobs_of(folder, manifest))
        return model

    # Finding room

    def _free(self, names: Sequence[str], repo_id: RepoId, revision: str | None) -> Path:
        for name in names:
            if self._is_free(name, repo_id, revision):
                return self.root / name
        raise CacheError(
            "The cache has no folder left for {repo_id}.", hint="Look at the folders named like it.", repo_id=repo_id
        )

    def _is_free(self, name: str, repo_id: RepoId, revision: str | None) -> bool:
        """Return whether a folder name is nobody's, or already this repo's and, with `revision`, this revision's."""
        lease = LeaseState.read(incoming_folder(self.root, name))
        if lease is not None and lease.repo_id != repo_id and not lease.owner.is_surely_dead:
            return False
        folder = self.root / name
        if not os.path.lexists(folder):
            return True
        if folder.is_symlink() or not folder.is_dir():
            return False
        manifest = read_manifest(folder)
        if manifest is None:
            return (marked_repo_id(folder) or repo_id) == repo_id
        is_right = revision is None or is_revision(manifest.commit, manifest.revision, revision)
        return manifest.repo_id == repo_id and is_right


def _record_prefix(folder: Path) -> str:
    return f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"


def _blobs_of(folder: Path, manifest: Manifest) -> Blobs:
    return {("", f.stamp.inode) if f.stamp else (f"{folder}/{f.path}", 0): f.size for f in manifest.files}


def _other_bytes(folder: Path, model: CachedModel | None) -> int:
    record = folder / RECORD_FOLDER
    if record.is_symlink() or not record.is_dir():
        return 0
    manifest = read_manifest(folder) if model is not None and model.is_verified else None
    listed: set[str] = {file.path for file in manifest.files} if manifest is not None else set()
    if model is not None and manifest is None:
        listed = set(walk_files(folder))  # of a folder that somebody made, all that is in it counts as the model
    return sum(_size(folder / path) for path in walk_all(folder) if path not in listed)


def _size(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _is_beside(model: CachedModel) -> bool:
    return model.slug.startswith(f"{slug(model.repo_id)}{BESIDE}")


def _by_name(model: CachedModel) -> tuple[str, str]:
    return model.repo_id.lower(), model.slug


def plain_model(folder: Path, *, is_shared: bool) -> CachedModel | None:
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
        repo_id,
        folder.name,
        folder,
        size,
        None,
        "",
        "",
        created,
        None,
        False,
        is_verified=False,
        is_shared=is_shared,
        owner="shared" if is_shared else "qwen3ft",
    )
