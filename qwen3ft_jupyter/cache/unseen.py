"""What a cache passes over, and why: what cannot be looked into, and what is not followed. Each is a line for people.

A line names a setting and the last part of a path, never all of it: it may be shown in a browser.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.others.places import LABELS, client_folders
from qwen3ft_jupyter.cache.own.layout import check_readable, other_slug, plain_names
from qwen3ft_jupyter.cache.own.manifest import manifest_path
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import fault_of, is_link, is_there, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.cache.others.places import Place
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.hubs.names import RepoId

SHARED: Final = "MODEL_CACHE_SHARED_DIRS"
OTHERS: Final = "MODEL_CACHE_OTHER_DIRS"
_LONGEST_NAME = 40


def unseen(cache: ModelCache, repo_id: RepoId | None = None) -> list[str]:
    """Return a line for all that cannot be looked into; with a model also for what is called like it and not used."""
    lines: list[str] = []
    try:
        check_readable(cache.root)
    except CacheError as error:
        lines.append(error.message)
    lines += unseen_folders(SHARED, cache.shared_dirs)
    lines += cache.unseen_places()
    if repo_id is not None:
        lines += unseen_copies(repo_id, cache.root, cache.shared_dirs, cache.places)
    return lines


def unseen_folders(variable: str, folders: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each folder that a setting of ours names and that is not there or cannot be looked into."""
    for folder in folders:
        fault = fault_of(folder)
        if fault is not None or not is_there(folder):
            yield Message(
                "{variable}: {name} cannot be looked into ({reason}), so what it holds is not used."
                " Check its permissions and drive, or change the setting.",
                variable=variable,
                name=_name_of(folder),
                reason=reason_of(fault) if fault is not None else os.strerror(2),
            )
            if ";" in str(folder) and os.pathsep != ";":
                yield Message("{variable}: here a colon stands between two folders, no semicolon.", variable=variable)


def unseen_clients(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each folder of the hubs' own clients that is there and cannot be looked into."""
    told = set()
    for owner, variable, folder in client_folders(environ):
        fault = fault_of(folder)
        if fault is not None and folder not in told:
            told.add(folder)
            yield Message(
                "{variable}: the {label} cannot be looked into ({reason}), so what it holds is not used."
                " Check its permissions and drive, or change the variable.",
                variable=variable,
                label=LABELS[owner],
                reason=reason_of(fault),
            )


def unseen_copies(repo_id: RepoId, root: Path, shared_dirs: Sequence[Path], places: Sequence[Place]) -> Iterator[str]:
    """Yield a line for each folder that is called like a model and is passed over, and what to do about it."""
    seen = [folder for folder in shared_dirs if fault_of(folder) is None]
    for folder, variable in [(root, "MODEL_CACHE_DIR"), *((one, SHARED) for one in seen)]:
        for name in dict.fromkeys((*plain_names(repo_id), other_slug(repo_id))):
            if is_link(folder / name):
                yield Message(
                    "{name} in {variable} is a link, which is not followed. To use what it leads to, add the folder"
                    " that holds it to MODEL_CACHE_SHARED_DIRS.",
                    name=name,
                    variable=variable,
                )
            elif (fault := fault_of(folder / name) or _record_fault(folder / name)) is not None:
                yield Message(
                    "{name} in {variable} cannot be read ({reason}), so it is not used. Its owner can allow that with"
                    " chmod -R a+rX."
                    if isinstance(fault, PermissionError)
                    else "{name} in {variable} is not as the cache makes it ({reason}), so it is not used."
                    " Move it away."
                    if isinstance(fault, (NotADirectoryError, IsADirectoryError))
                    else "{name} in {variable} cannot be read ({reason}), so it is not used. Check its drive.",
                    name=name,
                    variable=variable,
                    reason=reason_of(fault),
                )
    yield from _unfollowed(repo_id, places)


def _record_fault(folder: Path) -> OSError | None:
    """Return why the manifest of a folder cannot be read, if there is one."""
    path = manifest_path(folder)
    if not is_there(path):
        return fault_of(path.parent)
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return error


def _unfollowed(repo_id: RepoId, places: Iterable[Place]) -> Iterator[str]:
    """Yield a line for each symlink that is called like a model and leads out of another tool's cache."""
    dashed = repo_id.replace("/", "--")
    names = {
        "huggingface": (f"models--{dashed}",),
        "modelscope": (f"models/{dashed}", f"models/{repo_id}", repo_id, f"hub/models/{repo_id}", f"hub/{repo_id}"),
        "folder": (dashed, repo_id, repo_id.partition("/")[2]),
    }
    for place in places:
        for name in names[place.owner]:
            if is_link(place.root / name) and place.resolve(place.root / name) is None:
                yield Message(
                    "{name} in the {label} is a link that leads out of it, which is not followed. To use what it leads"
                    " to, add the folder that holds it to MODEL_CACHE_OTHER_DIRS.",
                    name=Path(name).name,
                    label=place.label,
                )


def _name_of(folder: Path) -> str:
    name = folder.name or str(folder)
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
