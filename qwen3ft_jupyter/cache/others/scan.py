"""Lists the models that other tools keep on this disk."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.others.files import problems_in, walk
from qwen3ft_jupyter.cache.others.find import copies
from qwen3ft_jupyter.cache.others.places import Memory, OtherCopy, folder_identity, is_settled
from qwen3ft_jupyter.hubs.names import slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.places import Place
    from qwen3ft_jupyter.hubs.names import RepoId

MAX_REMEMBERED: Final = 10_000
"""Models whose description is remembered."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_Identity = tuple[int, ...] | None
_Found = tuple[list[str], list[_Identity], list[str], list[_Identity], CachedModel | None]
_remembered: Final = Memory[_Found](MAX_REMEMBERED)


def scan(places: Collection[Place], *, exclude: Collection[Path] = ()) -> list[CachedModel]:
    """Return the usable models of other tools, see `catalog.usable`, by name.

    What was found is remembered until one of its folders or files changes, so that a listing costs some calls of `stat`
    per model. No pickle is read, nor more of weights than their header.

    Args:
        places: Where to look, see `known_places`.
        exclude: Folders that are not looked into: our own cache and the shared ones.
    """
    found = ((copy.repo_id, _model_of(copy, copy.repo_id)) for copy in copies(places, exclude=exclude) if copy.repo_id)
    models = _told_apart([model for _, model in found if model is not None])
    return sorted(models, key=lambda model: (model.repo_id.lower(), model.slug))


def _model_of(copy: OtherCopy, repo_id: RepoId) -> CachedModel | None:
    """Return the model in a folder, or None if it is not complete."""
    known = _remembered.get(str(copy.folder), copy)
    if known is not None:
        folders, identities, paths, stamps, model = known[0]
        if list(map(folder_identity, folders)) == identities and list(map(_stamp, paths)) == stamps:
            return model
    files, folders = walk(copy)
    if copy.blobs is not None:
        folders.append(str(copy.blobs))  # a symlink may lose its blob
    identities = list(map(folder_identity, folders))
    paths = [f"{copy.folder}{os.sep}{file.path}" for file in files]
    stamps = list(map(_stamp, paths))
    is_whole = not problems_in(copy, {file.path: file.size for file in files})
    sizes = {file.inode: file.size for file in files}
    model = _described(copy, repo_id, sizes, identities[0]) if is_whole else None
    if all(identity is not None and is_settled(identity) for identity in identities):
        _remembered.keep(str(copy.folder), copy, (folders, identities, paths, stamps, model))
    return model


def _stamp(path: str) -> _Identity:
    """Return what changes when a file does; of a symlink, the file in which it ends."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for each file of each model
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _described(copy: OtherCopy, repo_id: RepoId, sizes: dict[tuple[int, int], int], identity: _Identity) -> CachedModel:
    created = identity[0] / 1e9 if identity is not None else None
    return CachedModel(
        repo_id,
        f"{copy.place.owner}:{slug(repo_id)}",
        copy.folder,
        sum(sizes.values()),
        copy.place.owner,
        commit=copy.commit,
        revision=copy.revision,
        created=created,
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
