"""Marks in a model's folder: it is being changed, or deleted, and is no model until the mark is gone."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.cache.manifest import (
    MAX_MANIFEST_BYTES,
    RECORD_FOLDER,
    Manifest,
    make_record_folder,
    manifest_path,
    read_manifest,
)
from qwen3ft_jupyter.disk import LOCAL, Disk, read_regular, write_json
from qwen3ft_jupyter.transfer.volume import FULL

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.hubs.names import RepoId

INCOMPLETE_NAME: Final = "incomplete"


def mark_incomplete(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being changed: it is no model until the mark is gone. Raises OSError."""
    write_json(make_record_folder(folder, disk=disk) / INCOMPLETE_NAME, {"repo_id": repo_id}, disk=disk)


def unmark_incomplete(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Say that the change is complete. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(folder / RECORD_FOLDER / INCOMPLETE_NAME)


def mark_evicting(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being deleted: whoever finds the mark may go on. Raises OSError.

    The mark names the files of the manifest, which is the first to go. A full volume, which is when models are
    evicted, may not take one more file: then the manifest becomes the mark.
    """
    mark = make_record_folder(folder, disk=disk) / INCOMPLETE_NAME
    manifest = read_manifest(folder)
    if manifest is None and _mark(folder).get("evicting") is True:
        return  # it names what the manifest did
    files = manifest.to_dict() if manifest is not None else {}
    try:
        write_json(mark, {**files, "repo_id": repo_id, "evicting": True}, disk=disk)
    except OSError as error:
        if error.errno not in FULL:
            raise
        with contextlib.suppress(FileNotFoundError):  # no manifest, so it was nobody's verified model
            disk.replace(manifest_path(folder), mark)


def unmark_evicting(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Take back `mark_evicting`: the model is one again. Raises OSError."""
    if "files" in _mark(folder) and not os.path.lexists(manifest_path(folder)):
        disk.replace(folder / RECORD_FOLDER / INCOMPLETE_NAME, manifest_path(folder))
    else:
        unmark_incomplete(folder, disk=disk)


def is_marked_incomplete(record_prefix: str) -> bool:
    """Return whether a change was begun and not completed; takes the path of the record folder with its separator."""
    return os.path.lexists(record_prefix + INCOMPLETE_NAME)


def is_half_evicted(folder: Path) -> bool:
    """Return whether a deletion went beyond asking, so that anyone may finish it: the manifest is the first to go."""
    is_marked = _mark(folder).get("evicting") is True and not os.path.lexists(manifest_path(folder))
    return is_marked and marked_manifest(folder) is not None


def marked_manifest(folder: Path) -> Manifest | None:
    """Return the manifest that a deletion of the folder has put into its mark, or None."""
    try:
        return Manifest.from_dict(_mark(folder))
    except ValueError:
        return None


def marked_repo_id(folder: Path) -> str | None:
    """Return the repo whose change was begun and not completed in a folder, or None."""
    repo_id = _mark(folder).get("repo_id")
    return repo_id if isinstance(repo_id, str) else None


def _mark(folder: Path) -> dict[str, Any]:
    """Return what the mark of a folder says; nothing if there is none that can be read."""
    try:
        mark = json.loads(read_regular(folder / RECORD_FOLDER / INCOMPLETE_NAME, MAX_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}
