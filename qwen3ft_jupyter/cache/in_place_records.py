"""Our records of models that are used where another tool keeps them.

They lie in our own cache folder, in ``.in-place/``. One holds as long as each file it names has its stamp, looked at
through the symlinks of the other tool; once that tool changes one, the model is found, but not verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from qwen3ft_jupyter.cache.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestFile, Stamp
from qwen3ft_jupyter.cache.places import Owner, Place
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.cache.foreign import ForeignCopy
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.disk import Disk

IN_PLACE_FOLDER: Final = ".in-place"
VERSION: Final = 1


def with_records(root: Path, models: Iterable[CachedModel]) -> list[CachedModel]:
    """Return the models, each of another tool's that was verified and has not changed since as verified.

    Args:
        root: Our own cache folder, which holds the records.
        models: What `scan` has found.
    """
    try:
        recorded = set(os.listdir(root / IN_PLACE_FOLDER))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return list(models)
    return [
        as_verified(model, manifest)
        if _name(model.folder) in recorded and (manifest := manifest_of(root, model)) is not None
        else model
        for model in models
    ]


def manifest_of(root: Path, model: CachedModel) -> Manifest | None:
    """Return the record of a model that is used where it is, or None if there is none or a file has changed.

    Its stamps are of the files in which the tool's symlinks end.
    """
    try:
        data = json.loads(read_regular(_path(root, model.folder), MAX_MANIFEST_BYTES))
        place, manifest = _place(data), Manifest.from_dict(data["manifest"])
        if data["version"] != VERSION or Path(data["folder"]) != model.folder or not place.holds(model.folder):
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return manifest if all(_is_same(place, model.folder, file) for file in manifest.files) else None


def forget(root: Path, folder: Path, *, disk: Disk = LOCAL) -> None:
    """Drop the record of a model that is not to be used where it is any more. Never raises."""
    with contextlib.suppress(OSError):
        disk.unlink(_path(root, folder))


def _is_same(place: Place, folder: Path, file: ManifestFile) -> bool:
    status = place.status(f"{folder}{os.sep}{file.path}")
    return status is not None and Stamp.of(status) == file.stamp


def as_verified(model: CachedModel, manifest: Manifest) -> CachedModel:
    """Return a model of another tool as its record vouches for it."""
    return replace(
        model,
        repo_id=manifest.repo_id,
        hub=manifest.hub,
        commit=manifest.commit,
        revision=manifest.revision,
        created=manifest.created,
        last_used=manifest.last_used,
        is_verified=True,
        is_guessed=False,
    )


def write(root: Path, copy: ForeignCopy, manifest: Manifest, disk: Disk) -> None:
    """Write the record of a model. Raises CacheNotWritable, NoSpace, TransferError."""
    path = _path(root, copy.folder)
    record = {
        "version": VERSION,
        "owner": copy.place.owner,
        "root": str(copy.place.root),
        "folder": str(copy.folder),
        "manifest": manifest.to_dict(),
    }
    try:
        make_own_folder(path.parent, disk=disk)
        write_json(path, record, disk=disk)
    except OSError as error:
        raise disk_error(error, "The cache") from error


def _place(data: Any) -> Place:  # Any: JSON as read; what does not fit raises
    if data["owner"] not in get_args(Owner):
        raise ValueError("an unknown owner")
    return Place(data["owner"], Path(data["root"]))


def _path(root: Path, folder: Path) -> Path:
    return root / IN_PLACE_FOLDER / _name(folder)


def _name(folder: Path) -> str:
    return f"{hashlib.sha256(str(folder).encode(errors='surrogateescape')).hexdigest()[:24]}.json"
