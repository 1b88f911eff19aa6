"""Says which models of other tools a name may delete, and deletes them: never on a guess."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.models import is_model_file
from qwen3ft_jupyter.cache.others.find import find_copy
from qwen3ft_jupyter.cache.others.places import entries_of
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, NotCached
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.messages import Command, Message, Names
from qwen3ft_jupyter.paths import is_folder, is_link
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.places import OtherCopy, Place
    from qwen3ft_jupyter.hubs.names import RepoId


def named_copies(name: str, models: Iterable[CachedModel]) -> Sequence[CachedModel]:
    """Return those of the models, all of one other owner, that may be deleted as `name`.

    That is the one in the folder of this path, or those of this repo. Of folders that the user named it is only one,
    whose bytes were compared with a hub's.

    Raises:
        BadName: `name` is neither a path nor the name of a repo.
        NotCached: There is none.
        CacheError: Several folders may be meant, or one that is only called like the repo.
    """
    if os.path.isabs(name):  # noqa: PTH117 - the name of a repo is text
        folder = Path(os.path.realpath(name))
        found = [model for model in models if model.folder == folder]
    else:
        repo_id = parse_repo_id(name)
        found = [model for model in models if model.repo_id == repo_id]
        _check_certain(repo_id, found)
    if not found:
        raise NotCached(
            "This model is not among what that owner keeps.",
            hint="See `{command}` for what is.",
            command=Command("list"),
        )
    return found


def _check_certain(repo_id: RepoId, found: Sequence[CachedModel]) -> None:
    """Raise CacheError if it takes a guess to know which folder a name means."""
    if len(found) > 1 and found[0].owner == "folder":
        raise several_folders(repo_id, found)
    if found and found[0].is_guessed:
        raise CacheError(
            "{name} is only called like {repo_id}: nobody has compared it with a hub.",
            hint=_GIVE_PATH,
            details=folders_of(found),
            name=found[0].folder.name,
            repo_id=repo_id,
        )


_GIVE_PATH: Final = Message("Nothing was deleted. Give the path of a folder in place of the name.")


def several_folders(repo_id: RepoId, models: Sequence[CachedModel]) -> CacheError:
    """Return the error for a name that several folders answer to."""
    return CacheError(
        "{count} folders may hold {repo_id}: {names}.",
        hint=_GIVE_PATH,
        details=folders_of(models),
        count=len(models),
        repo_id=repo_id,
        names=Names(model.folder.name for model in models),
    )


def folders_of(models: Sequence[CachedModel]) -> dict[str, str]:
    """Return where models lie, as the details of an error."""
    return {f"folder {number}": str(model.folder) for number, model in enumerate(models, start=1)}


def not_ours(model: CachedModel) -> CacheNotWritable:
    """Return the error for a model that is another's and was not named as that."""
    if model.is_shared:
        return CacheNotWritable("{repo_id} lies in a shared cache, which is only read.", repo_id=model.repo_id)
    if model.is_guessed:
        return CacheNotWritable(
            "{name} is kept by another tool (folder) and only called like {repo_id}.",
            hint="To delete it all the same, give its path: {command}",
            command=Command("evict", "FOLDER", "--owner", "folder"),
            details={"folder": str(model.folder)},
            name=model.folder.name,
            repo_id=model.repo_id,
        )
    return CacheNotWritable(
        "{repo_id} is kept by another tool ({owner}), which may still need it.",
        hint="To delete it there: {command}",
        command=Command("evict", model.repo_id, "--owner", model.owner),
        repo_id=model.repo_id,
        owner=model.owner,
    )


def evict_copy(model: CachedModel, places: Collection[Place], recorded: Collection[str] | None = None) -> int:
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
        raise disk_error(error, Message("{repo_id} cannot be deleted", repo_id=model.repo_id)) from error


def _is_as_made(copy: OtherCopy) -> bool:
    """Return whether a folder holds nothing but what its tool makes: files, folders, and symlinks to its own blobs."""
    if copy.blobs is not None and is_link(copy.blobs):
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


def _delete_revision(copy: OtherCopy) -> int:
    """Delete a snapshot of a Hugging Face cache, what names it, and the blobs that only it needs."""
    blobs, name = copy.blobs or copy.folder, copy.folder.name
    repo = blobs.parent
    snapshots = [repo / "snapshots" / other for other in entries_of(repo / "snapshots").folders]
    needed = {target for folder in snapshots if folder != copy.folder for target in _link_targets(folder)}
    unneeded = _link_targets(copy.folder) - needed
    freed = _delete_tree(copy.folder)
    for blob in sorted(unneeded):
        with contextlib.suppress(FileNotFoundError):
            freed += _delete_file(blob)
    _delete_refs(repo / "refs", copy)
    (repo / "trees" / f"{name}.json").unlink(missing_ok=True)
    _delete_tree(repo / ".no_exist" / name)
    for below in ("snapshots", "blobs", "refs", "trees", ".no_exist", ""):
        with contextlib.suppress(OSError):  # what is not empty stays
            (repo / below).rmdir()
    return freed


def _delete_refs(refs: Path, copy: OtherCopy) -> None:
    """Delete the names of a snapshot."""
    for path, status in list(_tree(refs)):
        if stat.S_ISREG(status.st_mode) and (copy.place.read(path, 64) or b"").strip() == os.fsencode(copy.folder.name):
            path.unlink(missing_ok=True)


def _link_targets(folder: Path) -> set[Path]:
    return {_target(path) for path, status in _tree(folder) if stat.S_ISLNK(status.st_mode)}


def _delete_folder(copy: OtherCopy) -> int:
    """Delete a model folder of a ModelScope cache, the symlink with the dots of its name, and what is empty then."""
    freed = _delete_tree(copy.folder)
    for name in entries_of(copy.folder.parent).files:
        path = copy.folder.parent / name
        if is_link(path) and _target(path) == copy.folder:
            path.unlink(missing_ok=True)
    parent = copy.folder.parent
    with contextlib.suppress(OSError):  # what is not empty stays
        while parent != copy.place.root and parent.name not in {"models", "hub"}:
            parent.rmdir()
            parent = parent.parent
    return freed


def _delete_model_files(copy: OtherCopy, recorded: Collection[str] | None) -> int:
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
    if is_link(folder) or not is_folder(folder):
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
