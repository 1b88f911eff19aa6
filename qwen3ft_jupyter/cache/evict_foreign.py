"""Says which models of other tools a name may delete, and deletes them: never on a guess."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache import in_place
from qwen3ft_jupyter.cache.elsewhere import evict_elsewhere
from qwen3ft_jupyter.cache.layout import is_revision
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.messages import Command, Message, Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qwen3ft_jupyter.cache.evict import InUse
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
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
        path, repo_id = Path(os.path.realpath(name)), None
    else:
        path, repo_id = None, parse_repo_id(name)
    found = [model for model in models if path == model.folder or repo_id == model.repo_id]
    if not found:
        raise NotCached(
            "This model is not among what that owner keeps.",
            hint="See `{command}` for what is.",
            command=Command("list"),
        )
    if repo_id is not None and found[0].owner == "folder" and len(found) > 1:
        raise several_folders(repo_id, found)
    if repo_id is not None and found[0].is_guessed:
        raise CacheError(
            "{name} is only called like {repo_id}: nobody has compared it with a hub.",
            hint=_GIVE_PATH,
            details=folders_of(found),
            name=found[0].folder.name,
            repo_id=repo_id,
        )
    return found


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


def evict_foreign(cache: ModelCache, model: CachedModel, is_used: InUse) -> int:
    """Delete a model of another tool and our record of it; return the bytes freed. Raises like `evict_elsewhere`."""
    if is_used(model.repo_id):
        raise ModelInUse("{repo_id} is used by a running job.", hint="Stop the job first.", repo_id=model.repo_id)
    record = cache.manifest(model)
    recorded = {file.path for file in record.files} if record is not None else None
    in_place.forget(cache.root, model.folder, disk=cache.disk)
    return evict_elsewhere(model, cache.places, recorded)


def is_at(model: CachedModel, revision: str | None) -> bool:
    """Return whether a copy is recorded as a revision; None is any."""
    return revision is None or is_revision(model.commit, model.revision, revision)


def not_evictable(cache: ModelCache, repo_id: RepoId, revision: str | None) -> CacheError:
    """Return the error for a model of which our own folder has no copy."""
    model = cache.find(repo_id, revision) or next(iter(cache.guessed(repo_id)), None)
    if model is not None:
        return not_ours(model)
    return NotCached(
        "{repo_id} is not in the cache.", hint="See `{command}` for what is.", repo_id=repo_id, command=Command("list")
    )


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
