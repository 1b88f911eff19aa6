"""Which files another tool's copy of a model has, whether they are a model, and what the tool says of their digests."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.cache.others.places import entries_of, folder_identity
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.catalog.usable import ModelFiles, problems_of
from qwen3ft_jupyter.catalog.weights import MAX_INDEX_BYTES
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile, is_commit
from qwen3ft_jupyter.hubs.names import check_paths, is_wanted, parse_sha256, path_problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.places import OtherCopy
    from qwen3ft_jupyter.catalog.usable import Problem
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath

MAX_FILES: Final = 20_000
"""More files than this are no model: hubs list 3,000 at most."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of another tool's model."""

    path: str
    """Below the model's folder, with ``/`` between its parts."""
    size: int
    inode: tuple[int, int]
    """Device and number: two names of one file count once."""


def walk(copy: OtherCopy) -> tuple[list[FoundFile], list[str]]:
    """Return the files of a copy, as far as they may be used, and the folders that were looked into.

    Dotfiles are no part of a model; nor, in a plain folder, is what lies deeper: it may be anything of the user's.
    """
    files: list[FoundFile] = []
    folders: list[str] = []
    pending = [""]
    while pending and len(files) < MAX_FILES:
        prefix = pending.pop()
        folders.append(os.path.normpath(f"{copy.folder}{os.sep}{prefix}"))
        entries = entries_of(folders[-1])
        for name in entries.files:
            path = f"{prefix}{name}"
            if not name.startswith(".") and not path_problem(path):
                status = _status(copy, f"{folders[-1]}{os.sep}{name}")
                if status is not None:
                    files.append(FoundFile(path, status.st_size, (status.st_dev, status.st_ino)))
        if copy.place.owner != "folder":
            pending += [f"{prefix}{name}/" for name in entries.folders if not name.startswith(".")]
    return files, folders


def _status(copy: OtherCopy, path: str) -> os.stat_result | None:
    """Like `Place.status`, in fewer calls, for a name in a folder that is known to be no symlink."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode) and copy.blobs is not None:
            folder, name = _link_target(path)
            if folder == str(copy.blobs) and folder_identity(folder) is not None:
                status = os.lstat(f"{folder}{os.sep}{name}")
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return copy.place.status(path)
    return status if copy.place.may_use(status) else None


def problems_in(copy: OtherCopy, sizes: Mapping[str, int], *, is_vouched: bool = False) -> tuple[Problem, ...]:
    """Return what keeps these files of a copy from being a model that can be loaded, see `catalog.usable`."""
    return problems_of(ModelFiles(sizes, lambda name: copy.place.open(copy.folder / name), is_vouched=is_vouched))


def listing_of(copy: OtherCopy) -> Listing | None:
    """Return what the tool itself says a copy consists of, or None if it keeps no digests.

    The Hugging Face client names its blobs by digest and keeps the hub's listings; our own caches have manifests. That
    is enough to verify a copy without asking a hub.
    """
    if copy.repo_id is None:
        return None
    manifest = read_manifest(copy.folder) if copy.place.owner == "folder" else None
    if manifest is not None:
        return manifest.as_listing()
    try:
        return _client_listing(copy, copy.repo_id)
    except Qwen3ftError:  # a name or digest that no hub of ours would list
        return None


def _client_listing(copy: OtherCopy, repo_id: RepoId) -> Listing | None:
    """Return what the Hugging Face client says a copy consists of, or None. Raises BadListing, BadName."""
    tree = _tree_file(copy)
    files = _from_tree(copy, tree) if tree is not None else _from_blobs(copy)
    commit = copy.commit or (tree.stem if tree is not None else "")
    known = commit if is_commit(commit) else ""
    return Listing(repo_id, "huggingface", copy.revision or known, known, files) if files else None


def blob_name(copy: OtherCopy, path: str) -> str:
    """Return the digest that Hugging Face's client has named the bytes of a file by, or "" if it has not."""
    folder, name = _link_target(f"{copy.folder}{os.sep}{path}")
    return name if folder == str(copy.blobs) else ""


def may_have(copy: OtherCopy, file: RemoteFile) -> bool:
    """Return whether nothing says that a file of a copy is another one: its tool may have named it by its digest."""
    named = blob_name(copy, file.path) if copy.blobs is not None else ""
    digest = file.sha256 if len(named) == 64 else file.git_sha1
    return not named or digest in {None, named}


def _link_target(path: str) -> tuple[str, str]:
    """Return the folder and the name that a symlink leads to, one step; two empty texts if it is none."""
    try:
        target = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH115, PTH118, PTH120 - see `_status`
    except (OSError, ValueError):
        return "", ""
    folder, name = os.path.split(os.path.normpath(target))
    return folder, name


def _tree_file(copy: OtherCopy) -> Path | None:
    """Return where the Hugging Face client keeps the hub's listing of a copy."""
    if copy.blobs is not None:
        tree = copy.blobs.parent / "trees" / f"{copy.commit}.json"
        return tree if tree.name in entries_of(tree.parent).files else None
    if copy.place.owner != "folder":
        return None
    trees = copy.folder / ".cache" / "huggingface" / "trees"
    names = [name for name in entries_of(trees).files if name.endswith(".json")]
    return trees / names[0] if len(names) == 1 else None


def _from_tree(copy: OtherCopy, tree: Path) -> tuple[RemoteFile, ...]:
    data = _json(copy, tree)
    files = data.get("files") if isinstance(data, dict) else None
    wanted = {path: entry for path, entry in files.items() if is_wanted(path)} if isinstance(files, dict) else {}
    paths = check_paths(wanted)
    return tuple(_remote(path, entry) for path, entry in zip(paths, wanted.values(), strict=True))


def _remote(path: SafePath, entry: Any) -> RemoteFile:  # Any: as another tool wrote it; RemoteFile judges the values
    given: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    sha256 = parse_sha256(str(given.get("lfs_sha256") or ""))
    git_sha1 = None if sha256 else str(given.get("blob_id") or "")  # of an LFS file, git has only a pointer
    return RemoteFile(path, given.get("size", -1), sha256, git_sha1)


def _from_blobs(copy: OtherCopy) -> tuple[RemoteFile, ...]:
    """Return the files of a snapshot, each with the digest that its blob is named by. Raises BadListing without one."""
    files = [file for file in walk(copy)[0] if is_wanted(file.path)] if copy.blobs is not None else []
    paths = check_paths(file.path for file in files)
    return tuple(_remote_by_blob(copy, path, file.size) for path, file in zip(paths, files, strict=True))


def _remote_by_blob(copy: OtherCopy, path: SafePath, size: int) -> RemoteFile:
    name = blob_name(copy, path)
    sha256 = parse_sha256(name)
    return RemoteFile(path, size, sha256, None if sha256 else name or None)


def _json(copy: OtherCopy, path: Path) -> Any:  # Any: the caller looks at what it is
    try:
        return json.loads(copy.place.read(path, MAX_INDEX_BYTES) or b"null")
    except (ValueError, RecursionError):
        return None
