"""Says which models of other tools a name may delete, and deletes them: never on a guess."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.case import check_case
from qwen3ft_jupyter.cache.models import EvictedModel, is_model_file
from qwen3ft_jupyter.cache.others.find import find_copy
from qwen3ft_jupyter.cache.others.places import entries_of
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, NotCached
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.messages import Command, Message, Names
from qwen3ft_jupyter.paths import is_link, is_there
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.places import OtherCopy, Place
    from qwen3ft_jupyter.hubs.names import RepoId

_CLIENTS_OWN: Final = frozenset({".msc", ".mdl", ".mv"})
"""What ModelScope's client keeps in the folder of a model about it."""


def named_copies(name: str, models: Iterable[CachedModel]) -> Sequence[CachedModel]:
    """Return those of the models, all of one other owner, that may be deleted as `name`.

    That is the one in the folder of this path, or those of this repo. Of folders that the user named it is only one,
    whose bytes were compared with a hub's.

    Raises:
        BadName: `name` is neither a path nor the name of a repo.
        UnknownModel: It is spelled otherwise there.
        NotCached: There is none.
        CacheError: Several folders may be meant, or one that is only called like the repo.
    """
    models = list(models)
    if os.path.isabs(name):  # noqa: PTH117 - the name of a repo is text
        folder = Path(os.path.realpath(name))
        found = [model for model in models if model.folder == folder]
    else:
        repo_id = parse_repo_id(name)
        found = [model for model in models if model.repo_id == repo_id]
        _check_certain(repo_id, found)
        check_case(repo_id, models)
    if not found:
        raise not_kept_by_them()
    return found


def not_kept_by_them() -> NotCached:
    """Return the error for a model of which the owner that was named has no copy."""
    return NotCached(
        "This model is not among what that owner keeps.",
        hint="See `{command}` for what is.",
        command=Command("list"),
    )


def ours_not_theirs(theirs: Iterable[CachedModel]) -> NotCached:
    """Return the error for a slug of our own copy beside an owner who has one too, perhaps by a guess alone."""
    return NotCached(
        "This is the name of the copy in this cache, not of what that owner keeps.",
        hint="Theirs: {names}.",
        names=", ".join(one.slug for one in theirs),
    )


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


def evict_copy(model: CachedModel, places: Collection[Place], recorded: Collection[str] | None = None) -> EvictedModel:
    """Delete one model of another tool, after someone asked for it by its owner.

    What goes are the files that are `recorded` as the model's or, where nothing is, those directly in its folder that
    models have; what the tool itself keeps of it; and of a Hugging Face cache the one revision's symlinks, with the
    blobs that no other revision needs. What else lies there stays, and is in the answer. Nothing is deleted through a
    symlink, nor if a symlink lies where the tool would have made none.

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
        if copy.place.owner == "huggingface":
            freed = _delete_revision(copy, recorded)
        else:
            freed = _delete_files(copy, recorded)
            _delete_names(copy)
    except OSError as error:
        raise disk_error(error, Message("{repo_id} cannot be deleted", repo_id=model.repo_id)) from error
    left = sorted({path.relative_to(copy.folder).parts[0] for path, _ in _tree(copy.folder)})
    return EvictedModel(model.repo_id, model.slug, freed, tuple(left), owner=model.owner)


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


def _delete_revision(copy: OtherCopy, recorded: Collection[str] | None) -> int:
    """Delete a snapshot of a Hugging Face cache, what names it, and the blobs that only it needs."""
    blobs, name = copy.blobs or copy.folder, copy.folder.name
    repo = blobs.parent
    snapshots = [repo / "snapshots" / other for other in entries_of(repo / "snapshots").folders]
    needed = {target for folder in snapshots if folder != copy.folder for target in _link_targets(folder)}
    unneeded = _link_targets(copy.folder) - needed
    freed = _delete_files(copy, recorded)
    for blob in sorted(unneeded):
        with contextlib.suppress(FileNotFoundError):
            freed += _delete_file(blob)
    _delete_refs(repo / "refs", copy)
    (repo / "trees" / f"{name}.json").unlink(missing_ok=True)
    _delete_marks(repo / ".no_exist" / name)
    for below in ("snapshots", "blobs", "refs", "trees", ".no_exist", ""):
        with contextlib.suppress(OSError):  # what is not empty stays
            (repo / below).rmdir()
    return freed


def _delete_marks(folder: Path) -> None:
    """Delete the empty files by which Hugging Face's client remembers what a repo has not."""
    for path, status in list(_tree(folder)):
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            path.unlink(missing_ok=True)
    _remove_empty(folder)


def _delete_refs(refs: Path, copy: OtherCopy) -> None:
    """Delete the names of a snapshot."""
    for path, status in list(_tree(refs)):
        if stat.S_ISREG(status.st_mode) and (copy.place.read(path, 64) or b"").strip() == os.fsencode(copy.folder.name):
            path.unlink(missing_ok=True)


def _link_targets(folder: Path) -> set[Path]:
    return {_target(path) for path, status in _tree(folder) if stat.S_ISLNK(status.st_mode)}


def _delete_files(copy: OtherCopy, recorded: Collection[str] | None) -> int:
    """Delete what of a folder is the model's, and what is empty then; return the bytes freed."""
    freed = 0
    for path, status in list(_tree(copy.folder)):
        name = path.relative_to(copy.folder).as_posix()
        if stat.S_ISLNK(status.st_mode):
            is_models = copy.blobs is not None  # `_is_as_made`: it leads to a blob
        else:
            is_models = stat.S_ISREG(status.st_mode) and _is_models(name, copy, recorded)
        if is_models:
            freed += _delete_file(path)
    _remove_empty(copy.folder)
    return freed


def _is_models(name: str, copy: OtherCopy, recorded: Collection[str] | None) -> bool:
    if copy.place.owner == "modelscope" and name in _CLIENTS_OWN:
        return True
    return name in recorded if recorded is not None else is_model_file(name) and "/" not in name


def _delete_names(copy: OtherCopy) -> None:
    """Delete the symlink with the dots of a model's name, and the folders above it that are empty then."""
    if copy.place.owner == "folder" or is_there(copy.folder):
        return
    for name in entries_of(copy.folder.parent).files:
        path = copy.folder.parent / name
        if is_link(path) and _target(path) == copy.folder:
            path.unlink(missing_ok=True)
    parent = copy.folder.parent
    with contextlib.suppress(OSError):  # what is not empty stays
        while parent != copy.place.root and parent.name not in {"models", "hub"}:
            parent.rmdir()
            parent = parent.parent


def _remove_empty(folder: Path) -> None:
    """Delete a folder and those in it, as far as they are empty."""
    below = [path for path, status in _tree(folder) if stat.S_ISDIR(status.st_mode)]
    for path in (*sorted(below, key=lambda path: len(path.parts), reverse=True), folder):
        with contextlib.suppress(OSError):  # what is not empty stays
            path.rmdir()


def _tree(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything below a folder with what `lstat` says of it; nothing below a symlink."""
    if is_link(folder):
        return
    for parent, folders, names in os.walk(folder, followlinks=False):
        for name in folders + names:
            with contextlib.suppress(FileNotFoundError):
                yield (path := Path(parent, name)), path.lstat()


def _target(link: Path) -> Path:
    """Return where a symlink leads to, one step, in the form of a path without dots."""
    return Path(os.path.normpath(link.parent / os.readlink(link)))  # noqa: PTH115 - normpath makes a string


def _delete_file(path: Path) -> int:
    freed = _bytes_of(path.lstat())
    path.unlink()
    return freed


def _bytes_of(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 else 0
