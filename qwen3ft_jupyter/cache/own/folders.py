"""Looks for models in the own cache folder and in the shared caches, which are only read."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.own.layout import (
    BESIDE,
    beside_names,
    check_readable,
    folders_in,
    guess_repo_id,
    incoming_folder,
    incoming_folders,
    is_revision,
    other_slug,
    plain_names,
)
from qwen3ft_jupyter.cache.own.lease import LeaseState
from qwen3ft_jupyter.cache.own.manifest import (
    MANIFEST_NAME,
    RECORD_FOLDER,
    Manifest,
    file_state,
    is_marked_incomplete,
    marked_repo_id,
    read_manifest,
    walk_all,
    walk_files,
)
from qwen3ft_jupyter.cache.own.remains import has_remains
from qwen3ft_jupyter.cache.own.stamps import with_copies_trusted, with_local_stamps
from qwen3ft_jupyter.cache.own.state import (
    are_same,
    changes_in,
    model_from,
    plain_problems,
    recorded_problems,
    stamps_of,
)
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.hubs.names import RepoId, slug
from qwen3ft_jupyter.paths import is_folder, is_link, is_there

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import ModelOwner
    from qwen3ft_jupyter.cache.own.state import Stamps
    from qwen3ft_jupyter.cache.quota import Blobs


class _Known(NamedTuple):
    """What a manifest says, for as long as the file is the same."""

    identity: tuple[int, ...]
    model: CachedModel
    blobs: Blobs
    stamps: Stamps


class ModelFolders:
    """The own folder `root` and the shared caches `shared_dirs`. Safe to use from several threads."""

    holds_models = True
    """Whether what lies here is to be loaded; else nothing is said of what it lacks for that."""

    def __init__(
        self, root: Path, shared_dirs: Sequence[Path], *, trust_manifests: bool, trust_copies: bool = False
    ) -> None:
        self.root = root
        self.shared_dirs = tuple(shared_dirs)
        self.trust_manifests = trust_manifests
        self.trust_copies = trust_copies and trust_manifests
        self._known: dict[str, _Known] = {}
        """By record folder; replaced whenever the manifest file is."""

    def own(self) -> list[CachedModel]:
        """Return the models of the own folder, by name. Raises CacheError if it cannot be looked into."""
        models = sorted(self._scan(self.root), key=_by_name)
        if not models:
            check_readable(self.root)
        return models

    def shared(self) -> list[CachedModel]:
        """Return the models of the shared caches, by name; one that cannot be read is empty."""
        found = [model for folder in self.shared_dirs for model in self._scan(folder)]
        return sorted(found, key=_by_name)

    def kept(self) -> list[CachedModel]:
        """Return our own models and those of the shared caches."""
        return [*self.own(), *self.shared()]

    def best_copies(self, repo_id: RepoId, revision: str | None) -> Iterator[CachedModel]:
        """Yield the best copy of each cache, our own first."""
        for root in (self.root, *self.shared_dirs):
            model = self._find_in(root, repo_id, revision)
            if model is not None:
                yield model

    def trusted(self, folder: Path) -> Manifest | None:
        """Return the manifest of a model folder if there is one that is trusted, see `ModelCache`."""
        manifest = read_manifest(folder)
        if manifest is None or self.trust_manifests:
            return manifest
        files = with_local_stamps(self.root, folder, manifest).files
        return manifest if files and all(file_state(folder, file) == "same" for file in files) else None

    def stamped(self, folder: Path, manifest: Manifest) -> Manifest:
        """Return a manifest with the stamps that hold here; those of read-only folders are kept in the own one."""
        manifest = with_local_stamps(self.root, folder, manifest)
        return with_copies_trusted(folder, manifest) if self.trust_copies else manifest

    def blobs(self, model: CachedModel) -> Blobs:
        """Return the files of a model of the own folder by what the disk holds once."""
        known = self._known.get(_record_prefix(model.folder))
        whole = {(str(model.folder), 0): model.size_bytes}
        return known.blobs if known is not None and known.model == model else whole

    def other_bytes(self) -> int:
        """Return what lies beside models in the folders of the own cache; without a model a folder is none of ours."""
        return sum(_other_bytes(model.folder, self._paths_of(model)) for model in self.own())

    def _paths_of(self, model: CachedModel) -> set[str]:
        """Return the files of a model of the own folder that has just been looked at."""
        known = self._known.get(_record_prefix(model.folder)) if model.is_verified else None
        if known is not None:
            return {path for path, _ in known.stamps}
        return set(walk_files(model.folder))  # of a folder that somebody made, all that is in it counts as the model

    def unfinished(self, repo_id: RepoId, *, everything: bool) -> Iterator[Path]:
        """Yield where the model folders are, or would be, of which only partials or a remainder is here.

        With `everything` also those in which an eviction has left what is not the model's.
        """
        own = self.own()
        taken = {model.slug for model in own}
        rest = [folder for folder in folders_in(self.root) if folder.name not in taken]
        yield from (folder for folder in rest if marked_repo_id(folder) == repo_id)
        left = filter(has_remains, rest) if everything else ()
        names = {folder.name for folder in (*incoming_folders(self.root), *left)} - taken
        mains = _main_names(repo_id, own)
        yield from (self.root / name for name in sorted(names) if name.partition(BESIDE)[0] in mains)

    def main_folder(self, repo_id: RepoId) -> Path:
        """Return the own folder of a model's first revision, there or not. Raises CacheError if none is left for it."""
        names = dict.fromkeys((*plain_names(repo_id), other_slug(repo_id)))
        for name in names:  # also one that is being changed just now
            manifest = self.trusted(self.root / name)
            if manifest is not None and manifest.repo_id == repo_id and not is_link(self.root / name):
                return self.root / name
        mains = [model for model in self._copies(self.root, repo_id, None) if not _is_beside(model)]
        if mains:
            return next((model for model in mains if model.is_verified), mains[0]).folder
        return self._free((slug(repo_id), other_slug(repo_id)), repo_id, None)

    def folder_for(self, repo_id: RepoId, revision: str | None = None, commit: str = "") -> Path:
        """Return the own folder that holds a model or will; known without asking a hub.

        The first revision lies in the folder of the repo's slug (or another name if a different repo has that), and so
        does every later state of it. A revision asked for by name lies beside it, in ``slug@revision``, unless it is
        what the first folder holds: by its name, by the digits of its commit, or because the hub resolved it to the
        same `commit`.

        Raises:
            CacheError: Every name it could have is taken by something else.
        """
        main = self.main_folder(repo_id)
        if revision is None:
            return main
        found = self._find_in(self.root, repo_id, revision)
        if found is not None and found.is_verified:
            return found.folder
        record = self.trusted(main)
        if record is None or is_revision(record, revision) or record.commit == commit != "":
            return main
        return self._free(beside_names(repo_id, revision), repo_id, revision)

    # Looking

    def _scan(self, root: Path) -> Iterator[CachedModel]:
        for folder in folders_in(root):
            model = self.at(folder)
            if model is not None:
                yield model

    def _find_in(self, root: Path, repo_id: RepoId, revision: str | None) -> CachedModel | None:
        """Return the copy in a cache: a verified one before an unverified, which has no revision anyone knows."""
        second = None
        for model in self._copies(root, repo_id, revision):
            if model.is_verified and (revision is None or revision in {model.revision, model.commit}):
                return model
            if revision is None or (model.is_verified and is_revision(model, revision)):
                second = second or model  # unverified, or a branch may be called what a commit begins with
        return second

    def _copies(self, root: Path, repo_id: RepoId, revision: str | None) -> Iterator[CachedModel]:
        """Yield the copies in a cache: where they should be, then in folders someone renamed, other revisions last."""
        beside = () if revision is None else beside_names(repo_id, revision)
        for name in dict.fromkeys((*plain_names(repo_id), other_slug(repo_id), *beside)):
            model = self.at(root / name)
            if model is not None and model.repo_id == repo_id:
                yield model
        renamed = (model for model in self._scan(root) if model.is_verified)
        yield from sorted((model for model in renamed if model.repo_id == repo_id), key=_is_beside)

    def at(self, folder: Path) -> CachedModel | None:
        """Return the model in a folder of the own cache or of a shared one, or None.

        A symlink is no model: it may lead anywhere.
        """
        owner: ModelOwner = "qwen3ft" if folder.parent == self.root else "shared"
        record = _record_prefix(folder)
        try:
            status = os.lstat(record + MANIFEST_NAME)
        except OSError:
            return plain_model(folder, owner)
        if is_link(folder) or is_marked_incomplete(record):
            return None
        identity = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        known = self._known.get(record)
        if known is not None and known.identity == identity and self.trust_manifests:
            return self._as_it_is(known)
        manifest = self.trusted(folder)
        if manifest is None:
            return plain_model(folder, owner)
        model = model_from(folder, manifest, owner)
        model = model if self.holds_models else replace(model, problems=())
        known = self._known[record] = _Known(identity, model, _blobs_of(folder, manifest), stamps_of(manifest))
        return self._as_it_is(known)

    def _as_it_is(self, known: _Known) -> CachedModel:
        """Return a recorded model with what is not as recorded any more."""
        model, folder = known.model, known.model.folder
        if are_same(str(folder), known.stamps):
            return model
        changes = changes_in(folder, known.stamps)
        manifest = read_manifest(folder) if changes.changed or changes.wrong else None
        if manifest is not None:  # of a model that cannot be written, the stamps are kept elsewhere
            changes = changes_in(folder, stamps_of(self.stamped(folder, manifest)))
            if self.holds_models:  # its index may have come back
                model = replace(model, problems=recorded_problems(folder, manifest))
        return replace(model, changes=changes.words)

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
        if is_link(folder) or not is_folder(folder):
            return not is_there(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            return (marked_repo_id(folder) or repo_id) == repo_id
        is_right = revision is None or is_revision(manifest, revision)
        return manifest.repo_id == repo_id and is_right


def plain_model(folder: Path, owner: ModelOwner) -> CachedModel | None:
    """Return the model in a folder without our manifest, if it looks like one and its name tells which."""
    repo_id = guess_repo_id(folder.name)
    if repo_id is None or is_link(folder) or is_marked_incomplete(_record_prefix(folder)):
        return None
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
        if "config.json" not in names and not any(name.endswith(".safetensors") for name in names):
            return None
        paths = list(walk_files(folder))
        size = sum(_size((folder / path).lstat()) for path in paths)
        created = folder.stat().st_mtime
    except OSError:
        return None
    problems = plain_problems(folder, paths)
    return CachedModel(repo_id, folder.name, folder, size, owner, created=created, problems=problems)


def _main_names(repo_id: RepoId, own: Iterable[CachedModel]) -> set[str]:
    """Return the names that the folder of a repo has here, where another repo does not hold the first."""
    holders = {model.repo_id for model in own if model.slug == slug(repo_id)}
    return {other_slug(repo_id), slug(repo_id)} if holders <= {repo_id} else {other_slug(repo_id)}


def _record_prefix(folder: Path) -> str:
    return f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"


def _blobs_of(folder: Path, manifest: Manifest) -> Blobs:
    return {("", f.stamp.inode) if f.stamp else (f"{folder}/{f.path}", 0): f.size for f in manifest.files}


def _other_bytes(folder: Path, listed: Collection[str]) -> int:
    record = folder / RECORD_FOLDER
    if is_link(record) or not is_folder(record):
        return 0
    total = 0
    for path in walk_all(folder):
        if path not in listed:
            with contextlib.suppress(OSError):
                total += _size((folder / path).lstat())
    return total


def _size(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _is_beside(model: CachedModel) -> bool:
    return model.slug.startswith(f"{slug(model.repo_id)}{BESIDE}")


def _by_name(model: CachedModel) -> tuple[str, str]:
    return model.repo_id.lower(), model.slug
