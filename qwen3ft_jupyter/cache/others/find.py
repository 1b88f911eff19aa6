"""Finds the folders in which other tools keep models, by the layouts those tools have had.

Hugging Face    models--{owner}--{name}/snapshots/{commit}/…      symlinks into ../../blobs/, where a volume has them
ModelScope      models/{owner}--{name}/snapshots/{revision}/…     since 1.38
                models/{owner}/{name}/…                           1.2x to 1.37
                {owner}/{name}/…                                  before; all of them also below hub/
others          {owner}/{name}, {owner}--{name} or {name}, down to three folders deep

ModelScope before 1.38 wrote ``___`` for each dot in a name, and a symlink with the dots beside it.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.others.places import Memory, OtherCopy, entries_of, is_settled
from qwen3ft_jupyter.cache.own.manifest import RECORD_FOLDER, read_manifest
from qwen3ft_jupyter.catalog import find as find_in_catalog
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.places import Entries, Place

MAX_DEPTH: Final = 3
"""How deep below a named folder models are looked for."""

MAX_FOLDERS: Final = 5000
"""How many folders below a named one are looked at: someone may name a whole disk."""

TEMPORARY: Final = "._____temp"
"""What ModelScope's client before 1.38 called the folder for what had not arrived in whole."""

_NO_OWNERS = frozenset({"models", "hub", "datasets", "skills", "spaces", "studios", "ast_indexer", "agent"})

MAX_REFS: Final = 50_000
"""Refs whose content is remembered."""

_commits: Final = Memory[str](MAX_REFS)


def copies(places: Collection[Place], *, exclude: Collection[Path] = ()) -> Iterator[OtherCopy]:
    """Yield every folder that holds a model, or part of one, each once.

    Args:
        places: Where to look.
        exclude: Folders that are not looked into: our own cache and the shared ones.
    """
    closed = {os.path.realpath(folder) for folder in exclude}
    seen: set[Path] = set()
    for place in places:
        if place.owner != "huggingface" and any(place.root.is_relative_to(folder) for folder in closed):
            continue  # what Hugging Face's client makes has names that nothing of ours has
        for copy in _FINDERS[place.owner](place, closed):
            if copy.folder not in seen:
                seen.add(copy.folder)
                yield copy


def find_copy(model: CachedModel, places: Collection[Place]) -> OtherCopy | None:
    """Return where a listed model lies, or None if it is not there any more, or never was in one of `places`."""
    holding = [place for place in places if place.holds(model.folder) or place.root == model.folder]
    return next((copy for copy in copies(holding) if copy.folder == model.folder), None)


def blob_folders(places: Collection[Place]) -> Iterator[tuple[Place, Path]]:
    """Yield the folders in which Hugging Face's client keeps bytes by their digests, also those of no snapshot yet."""
    for place in places:
        if place.owner == "huggingface":
            names = entries_of(place.root).folders
            yield from ((place, place.root / name / "blobs") for name in names if name.startswith("models--"))


def partial_folders(places: Collection[Place]) -> Iterator[OtherCopy]:
    """Yield the folders in which ModelScope's client before 1.38 kept what had not arrived in whole."""
    for place in places:
        if place.owner == "modelscope":
            for below in ("models", "", "hub/models", "hub"):
                parent = str(place.root / below / TEMPORARY)
                for owner in entries_of(parent).folders:
                    yield from _by_owner(place, parent, owner, ())


def _hugging_face(place: Place, closed: Collection[str]) -> Iterator[OtherCopy]:  # noqa: ARG001 - one signature
    for name in entries_of(place.root).folders:
        kind, *parts = name.split("--")
        if kind != "models":
            continue
        repo = f"{place.root}{os.sep}{name}"  # paths are made of text here: there may be hundreds of models
        repo_id = _repo_id("/".join(parts))  # a repo of the first days has no owner
        names = _revision_names(place, f"{repo}{os.sep}refs") if repo_id else {}
        blobs = Path(f"{repo}{os.sep}blobs")
        for commit in entries_of(f"{repo}{os.sep}snapshots").folders:
            folder = Path(f"{repo}{os.sep}snapshots{os.sep}{commit}")
            known = commit if is_commit(commit) else ""
            yield OtherCopy(place, folder, repo_id, names.get(commit, commit), known, blobs)


def _revision_names(place: Place, refs: str) -> dict[str, str]:
    """Return by commit the branch or tag that was asked for; the default branch before others."""
    names: dict[str, str] = {}
    for name in sorted(entries_of(refs).files, key=lambda name: (name != "main", name)):
        names.setdefault(_commit_in(place, f"{refs}{os.sep}{name}"), name)
    return names


def _commit_in(place: Place, path: str) -> str:
    """Return what a ref says. Remembered until the file changes; the client overwrites it in place."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    identity = (status.st_mtime_ns, status.st_size, status.st_ino)
    known = _commits.get(path, identity)
    if known is not None:
        return known[0]
    commit = (place.read(path, 64) or b"").decode("ascii", "replace").strip()
    if is_settled(identity):
        _commits.keep(path, identity, commit)
    return commit


def _modelscope(place: Place, closed: Collection[str]) -> Iterator[OtherCopy]:
    for base in (str(place.root), f"{place.root}{os.sep}hub"):
        models = f"{base}{os.sep}models"
        for name in entries_of(models).folders:
            if "--" in name:
                snapshots = f"{models}{os.sep}{name}{os.sep}snapshots"
                for revision in entries_of(snapshots).folders:
                    repo_id = _repo_id(name.replace("--", "/", 1))
                    yield OtherCopy(place, Path(f"{snapshots}{os.sep}{revision}"), repo_id, revision)
            else:
                yield from _by_owner(place, models, name, closed)
        for name in entries_of(base).folders:
            if name not in _NO_OWNERS and "--" not in name:
                yield from _by_owner(place, base, name, closed)


def _by_owner(place: Place, parent: str, owner: str, closed: Collection[str]) -> Iterator[OtherCopy]:
    folder = f"{parent}{os.sep}{owner}"
    if owner.startswith(".") or folder in closed:
        return
    for name in entries_of(folder).folders:
        repo_id = _repo_id(f"{owner}/{name.replace('___', '.')}")
        path = f"{folder}{os.sep}{name}"
        if repo_id is not None and path not in closed:
            yield OtherCopy(place, Path(path), repo_id)


def _plain(place: Place, closed: Collection[str]) -> Iterator[OtherCopy]:
    pending = [(place.root, 0)]
    for folder, depth in islice(pending, MAX_FOLDERS):  # grows on the way: nearer folders come first
        entries = entries_of(folder)
        if "config.json" in entries.files or any(".safetensors" in name for name in entries.files):
            yield _plain_copy(place, folder, entries)
        elif depth < MAX_DEPTH:
            below = [folder / name for name in entries.folders if not name.startswith((".", "models--"))]
            pending += [(path, depth + 1) for path in below if str(path) not in closed]


def _plain_copy(place: Place, folder: Path, entries: Entries) -> OtherCopy:
    manifest = read_manifest(folder) if RECORD_FOLDER in entries.folders else None
    if manifest is not None:
        return OtherCopy(place, folder, manifest.repo_id, manifest.revision, manifest.commit)
    return OtherCopy(place, folder, _guess_repo_id(folder, has_owner=folder.parent != place.root), is_guessed=True)


def _guess_repo_id(folder: Path, *, has_owner: bool) -> RepoId | None:
    """Return the repo that a folder probably holds: people leave the owner away, or make it a folder of its own."""
    name = folder.name.replace("___", ".")
    owner, _, rest = name.partition("--")
    if rest:
        return _repo_id(f"{owner}/{rest}")
    if find_in_catalog(f"Qwen/{name}") is not None:
        return RepoId(f"Qwen/{name}")
    owner, _, rest = name.partition("_")
    if owner and rest and not has_owner:
        return _repo_id(f"{owner}/{rest}")
    return _repo_id(f"{folder.parent.name}/{name}") if has_owner else None


def _repo_id(text: str) -> RepoId | None:
    try:
        return parse_repo_id(text)
    except Qwen3ftError:
        return None


_FINDERS = {"huggingface": _hugging_face, "modelscope": _modelscope, "folder": _plain}
