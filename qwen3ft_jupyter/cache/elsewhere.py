"""Lists the models that other tools keep on this disk, and deletes one of them when asked to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.foreign import ForeignCopy, copies, entries_of, folder_identity, is_settled
from qwen3ft_jupyter.cache.foreign_files import is_complete, walk
from qwen3ft_jupyter.cache.models import CachedModel, is_model_file
from qwen3ft_jupyter.cache.places import Owner, Place, known_places
from qwen3ft_jupyter.errors import CacheError, NotCached
from qwen3ft_jupyter.hubs.names import slug
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from qwen3ft_jupyter.hubs.names import RepoId

__all__ = ["Owner", "Place", "evict_elsewhere", "find_copy", "known_places", "scan"]

MAX_REMEMBERED: Final = 10_000
"""Models whose description is remembered."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_Identity = tuple[int, ...] | None
_remembered: dict[Path, tuple[ForeignCopy, list[str], list[_Identity], CachedModel | None]] = {}


def scan(places: Collection[Place], *, exclude: Collection[Path] = ()) -> list[CachedModel]:
    """Return the complete models of other tools: those with a config and all their safetensors weights; by name.

    What was found is remembered until one of its folders changes, so that a listing costs a few calls of `stat` per
    model. No pickle is read, nor anything else but names, sizes and the index of the weights.

    Args:
        places: Where to look, see `known_places`.
        exclude: Folders that are not looked into: our own cache and its layers.
    """
    found = ((copy.repo_id, _model_of(copy, copy.repo_id)) for copy in copies(places, exclude=exclude) if copy.repo_id)
    models = _told_apart([model for _, model in found if model is not None])
    return sorted(models, key=lambda model: (model.repo_id.lower(), model.slug))


def find_copy(model: CachedModel, places: Collection[Place]) -> ForeignCopy | None:
    """Return where a listed model lies, or None if it is not there any more, or never was in one of `places`."""
    holding = [place for place in places if place.holds(model.folder) or place.root == model.folder]
    return next((copy for copy in copies(holding) if copy.folder == model.folder), None)


def _model_of(copy: ForeignCopy, repo_id: RepoId) -> CachedModel | None:
    """Return the model in a folder, or None if it is not complete."""
    known = _remembered.get(copy.folder)
    if known is not None and known[0] == copy and list(map(folder_identity, known[1])) == known[2]:
        return known[3]
    files, folders = walk(copy)
    if copy.blobs is not None:
        folders.append(str(copy.blobs))  # a symlink may lose its blob
    identities = list(map(folder_identity, folders))
    sizes = {file.inode: file.size for file in files}
    is_whole = is_complete(copy, {file.path for file in files})
    model = _described(copy, repo_id, sizes, identities[0]) if is_whole else None
    if all(identity is not None and is_settled(identity) for identity in identities):
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[copy.folder] = copy, folders, identities, model
    return model


def _described(
    copy: ForeignCopy, repo_id: RepoId, sizes: dict[tuple[int, int], int], identity: _Identity
) -> CachedModel:
    created = identity[0] / 1e9 if identity is not None else None
    return CachedModel(
        repo_id,
        f"{copy.place.owner}:{slug(repo_id)}",
        copy.folder,
        sum(sizes.values()),
        None,
        copy.commit,
        copy.revision,
        created,
        None,
        False,
        is_verified=False,
        is_shared=False,
        owner=copy.place.owner,
        is_guessed=copy.is_guessed,
    )


def _told_apart(models: Iterable[CachedModel]) -> Iterator[CachedModel]:
    """Give models of one owner and one name different slugs: with their commit or revision, else with their folder."""
    models = list(models)
    counts = Counter(model.slug for model in models)
    named = [
        _renamed(model, model.commit[:8] or model.revision) if counts[model.slug] > 1 else model for model in models
    ]
    counts = Counter(model.slug for model in named)
    for model in named:
        mark = hashlib.sha256(str(model.folder).encode(errors="surrogateescape")).hexdigest()[:8]
        yield _renamed(model, mark) if counts[model.slug] > 1 else model


def _renamed(model: CachedModel, suffix: str) -> CachedModel:
    return replace(model, slug=f"{model.slug}@{_UNSAFE.sub('-', suffix)}") if suffix else model


def evict_elsewhere(model: CachedModel, places: Collection[Place], recorded: Collection[str] | None = None) -> int:
    """Delete one model of another tool, after someone asked for it by its owner; return the bytes freed.

    Of a Hugging Face cache goes the one revision, with the blobs that no other revision needs; of a ModelScope cache
    the model's folder; of a folder that the user named, the files directly in it that are `recorded` as the model's,
    or that models have where nothing is. Nothing is deleted through a symlink, nor if a symlink lies where the tool
    would have made none.

    Raises:
        NotCached: It is not there any more, or in none of `places`.
        CacheError: Its folder is not as its tool makes them.
        CacheNotWritable, TransferError: It cannot be deleted.
    """
    copy = find_copy(model, places)
    if copy is None:
        raise NotCached(
            "{repo_id} is not in the place it was listed in any more.",
            hint="Look at the list again.",
            repo_id=model.repo_id,
        )
    if not _is_as_made(copy):
        raise CacheError(
            "{repo_id}: its folder in the {label} holds links or names that do not belong there.",
            hint="Nothing was deleted. Look at the folder, and delete it yourself.",
            details={"path": str(copy.folder)},
            repo_id=model.repo_id,
            label=copy.place.label,
        )
    try:
        if copy.place.owner == "folder":
            return _delete_model_files(copy, recorded)
        return _delete_revision(copy) if copy.place.owner == "huggingface" else _delete_folder(copy)
    except OSError as error:
        raise disk_error(error, f"{model.repo_id} cannot be deleted") from error


def _is_as_made(copy: ForeignCopy) -> bool:
    """Return whether a folder holds nothing but what its tool makes: files, folders, and symlinks to its own blobs."""
    if copy.blobs is not None and copy.blobs.is_symlink():
        return False
    if copy.place.owner == "folder":
        return True  # what is no file of a model is left alone there
    for path, status in _tree(copy.folder):
        if stat.S_ISLNK(status.st_mode):
            if copy.blobs is None or _target(path).parent != copy.blobs:
                return False
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return False
    return True


def _delete_revision(copy: ForeignCopy) -> int:
    """Delete a snapshot of a Hugging Face cache, what names it, and the blobs that only it needs."""
    blobs = copy.blobs or copy.folder
    repo = blobs.parent
    snapshots = {name: repo / "snapshots" / name for name in entries_of(repo / "snapshots").folders}
    needed = {
        _target(path)
        for folder in snapshots.values()
        if folder != copy.folder
        for path, status in _tree(folder)
        if stat.S_ISLNK(status.st_mode)
    }
    links = {_target(path) for path, status in _tree(copy.folder) if stat.S_ISLNK(status.st_mode)}
    freed = _delete_tree(copy.folder)
    for blob in sorted(links - needed):
        with contextlib.suppress(FileNotFoundError):
            freed += _delete_file(blob)
    for path, status in list(_tree(repo / "refs")):
        if stat.S_ISREG(status.st_mode) and (copy.place.read(path, 64) or b"").strip() == copy.folder.name.encode():
            path.unlink(missing_ok=True)
    (repo / "trees" / f"{copy.folder.name}.json").unlink(missing_ok=True)
    _delete_tree(repo / ".no_exist" / copy.folder.name)
    for name in ("snapshots", "blobs", "refs", "trees", ".no_exist", ""):
        with contextlib.suppress(OSError):  # what is not empty stays
            (repo / name).rmdir()
    return freed


def _delete_folder(copy: ForeignCopy) -> int:
    """Delete a model folder of a ModelScope cache, the symlink with the dots of its name, and what is empty then."""
    freed = _delete_tree(copy.folder)
    for name in entries_of(copy.folder.parent).files:
        path = copy.folder.parent / name
        if path.is_symlink() and _target(path) == copy.folder:
            path.unlink(missing_ok=True)
    parent = copy.folder.parent
    with contextlib.suppress(OSError):  # what is not empty stays
        while parent != copy.place.root and parent.name not in {"models", "hub"}:
            parent.rmdir()
            parent = parent.parent
    return freed


def _delete_model_files(copy: ForeignCopy, recorded: Collection[str] | None) -> int:
    """Delete the files of a model in a plain folder; the user's other files stay, and so does the folder then."""
    names = entries_of(copy.folder).files
    names = tuple(name for name in names if (is_model_file(name) if recorded is None else name in recorded))
    paths = [copy.folder / name for name in names if stat.S_ISREG((copy.folder / name).lstat().st_mode)]
    freed = sum(map(_delete_file, paths))
    with contextlib.suppress(OSError):  # what is not empty stays
        copy.folder.rmdir()
    return freed


def _tree(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything below a folder with what `lstat` says of it."""
    for parent, folders, names in os.walk(folder, followlinks=False):
        for name in folders + names:
            with contextlib.suppress(FileNotFoundError):
                yield (path := Path(parent, name)), path.lstat()


def _target(link: Path) -> Path:
    """Return where a symlink leads to, one step, in the form of a path without dots."""
    return Path(os.path.normpath(link.parent / os.readlink(link)))  # noqa: PTH115 - normpath makes a string


def _delete_tree(folder: Path) -> int:
    """Delete a folder, never through a symlink; return the bytes freed."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    freed = sum(_bytes_of(status) for _, status in _tree(folder))
    shutil.rmtree(folder)
    return freed


def _delete_file(path: Path) -> int:
    freed = _bytes_of(path.lstat())
    path.unlink()
    return freed


def _bytes_of(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 else 0
