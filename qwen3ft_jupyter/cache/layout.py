"""Where things lie in a cache folder.

Qwen_Qwen3-0.6B/                  a model, in a folder named by its slug
    config.json …                 real files, read-only once committed
    .qwen3ft/manifest.json        see `manifest`
    .qwen3ft/incomplete           there while files are being put in or taken out
    .qwen3ft/replaced/            files of an unverified folder that were not the hub's; kept, never loaded
.incoming/Qwen_Qwen3-0.6B/        partial files, see `qwen3ft_jupyter.transfer.partial`
    lease.json                    who is downloading it, see `lease`
.stamps/                          stamps of models in layers that cannot be written
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, make_record_folder
from qwen3ft_jupyter.disk import read_json, write_json
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id, slug

if TYPE_CHECKING:
    from pathlib import Path

INCOMING_FOLDER: Final = ".incoming"
STAMPS_FOLDER: Final = ".stamps"
INCOMPLETE_NAME: Final = "incomplete"
REPLACED_FOLDER: Final = "replaced"


def other_slug(repo_id: RepoId | str) -> str:
    """Return the folder name of a repo whose slug another repo has taken.

    >>> other_slug("a/b_c") == other_slug("a_b/c")
    False
    """
    return f"{slug(repo_id)}-{hashlib.sha256(repo_id.encode()).hexdigest()[:8]}"


def incoming_folder(root: Path, name: str) -> Path:
    """Return where the partial files of the model folder `name` lie."""
    return root / INCOMING_FOLDER / name


def mark_incomplete(folder: Path, repo_id: RepoId) -> None:
    """Say in a model folder that it is being changed: it is no model until the mark is gone. Raises OSError."""
    write_json(make_record_folder(folder) / INCOMPLETE_NAME, {"repo_id": repo_id})


def unmark_incomplete(folder: Path) -> None:
    """Say that the change is complete. Raises OSError."""
    (folder / RECORD_FOLDER / INCOMPLETE_NAME).unlink(missing_ok=True)


def is_marked_incomplete(record_prefix: str) -> bool:
    """Return whether a change was begun and not completed; takes the path of the record folder with its separator."""
    return os.path.lexists(record_prefix + INCOMPLETE_NAME)


def marked_repo_id(folder: Path) -> str | None:
    """Return the repo whose change was begun and not completed in a folder, or None."""
    try:
        return str(read_json(folder / RECORD_FOLDER / INCOMPLETE_NAME)["repo_id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def guess_repo_id(folder_name: str) -> RepoId | None:
    """Return the repo id a folder without a manifest probably holds, or None.

    >>> guess_repo_id("Qwen--Qwen3-0.6B"), guess_repo_id("Qwen_Qwen3-0.6B"), guess_repo_id("notes")
    ('Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', None)
    """
    owner, _, name = folder_name.partition("--" if "--" in folder_name else "_")
    try:
        return parse_repo_id(f"{owner}/{name}")
    except Qwen3ftError:
        return None


def plain_names(repo_id: RepoId) -> tuple[str, ...]:
    """Return the folder names under which other programs and people keep a repo."""
    return (slug(repo_id), repo_id.replace("/", "--"))
