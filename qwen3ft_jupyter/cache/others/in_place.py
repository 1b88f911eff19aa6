"""Uses a model of another tool where it is: our record of it, with the stamps under which every byte was read.

The records lie in our own cache folder, in ``.in-place/``. One holds as long as each file it names has its stamp,
looked at through the symlinks of the other tool; once that tool changes one, the model is found, but not verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from qwen3ft_jupyter.cache.others.files import listing_of, may_have, problems_in
from qwen3ft_jupyter.cache.others.find import find_copy
from qwen3ft_jupyter.cache.others.places import Owner, Place
from qwen3ft_jupyter.cache.own.layout import IN_PLACE_FOLDER
from qwen3ft_jupyter.cache.own.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestFile, Stamp
from qwen3ft_jupyter.cache.reading import Digest, Reading, digest_open
from qwen3ft_jupyter.cache.reports import VerifyReport
from qwen3ft_jupyter.catalog.usable import words_of
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json
from qwen3ft_jupyter.errors import CacheDamaged, CacheError, NotCached
from qwen3ft_jupyter.hubs.names import is_wanted
from qwen3ft_jupyter.messages import Message, Names, Texts
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.places import OtherCopy
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.work import Work

VERSION: Final = 1
_NEEDED: Final = (".json", ".safetensors", ".txt", ".model", ".jinja", ".tiktoken")
"""Endings of what a model is loaded from; the rest, such as a README, may be missing or another hub's."""
_NOT_NEEDED: Final = frozenset({"configuration.json"})
"""ModelScope's own description of a repo, which Hugging Face's lack."""


def use_in_place(
    model: CachedModel,
    *,
    root: Path,
    places: Collection[Place],
    listing: Listing | None = None,
    work: Work,
    disk: Disk = LOCAL,
) -> CachedModel:
    """Read every file of another tool's model and, if all are right, return it as verified, where it is.

    Args:
        model: One that `scan` has found.
        root: Our own cache folder, which gets the record.
        places: Where other tools keep models.
        listing: What the model consists of; None trusts the digests that the tool itself keeps, which Hugging Face's
            does and ModelScope's does not.
        work: Is told the phase "verifying".
        disk: What `root` lies on.

    Raises:
        NotCached: It is not there any more.
        CacheError: Without a listing: its tool keeps no digests.
        CacheDamaged: Files are missing, or are not those of the listing; named in the message.
        CacheNotWritable, NoSpace, TransferError: The record cannot be written.
        Stopped: Someone wants the work to stop.
    """
    copy = _found(model, places)
    said = listing or listing_of(copy)
    if said is None:
        raise CacheError(
            "{repo_id}: nobody here knows the digests of its files in the {label}.",
            hint="Once a hub can be asked, they can be compared.",
            repo_id=model.repo_id,
            label=copy.place.label,
        )
    _check_usable(model, copy, said, [file.path for file in _wanted(said) if _may_be(copy, file)])
    read = _read(copy, said, work)
    files = read.right
    _check_usable(model, copy, said, [file.path for file in files])
    now = time.time()
    manifest = Manifest(
        said.repo_id,
        said.hub,
        said.revision,
        said.commit,
        created=now,
        last_used=now,
        files=tuple(files),
        left_out=said.left_out,
    )
    _write(root, copy, manifest, disk)
    return _as_verified(model, manifest)


def probable_files(model: CachedModel, places: Collection[Place], listing: Listing) -> tuple[RemoteFile, ...]:
    """Return the files that `use_in_place` would probably find right; none if it would refuse. Reads nothing."""
    copy = find_copy(model, places)
    there = tuple(file for file in _wanted(listing) if copy is not None and _may_be(copy, file))
    try:
        if copy is not None:
            _check_usable(model, copy, listing, [file.path for file in there])
    except CacheDamaged:
        return ()
    return there


def verify_in_place(
    model: CachedModel,
    manifest: Manifest,
    *,
    root: Path,
    places: Collection[Place],
    work: Work,
    disk: Disk = LOCAL,
) -> VerifyReport:
    """Read every file of a model that is used in place again; if one is missing or wrong, it is used so no more.

    Args:
        model: A verified one of another tool.
        manifest: Our record of it, which is renewed or dropped.
        root: Our own cache folder, which has the record.
        places: Where other tools keep models.
        work: Is told the phase "verifying".
        disk: What `root` lies on.

    Raises:
        NotCached: It is not there any more.
        CacheNotWritable, NoSpace, TransferError: The record cannot be written.
        Stopped: Someone wants the work to stop.
    """
    copy = _found(model, places)
    read = _read(copy, manifest.as_listing(), work)
    if read.missing or read.wrong:
        forget(root, model.folder, disk=disk)
    else:
        _write(root, copy, replace(manifest, files=tuple(read.right)), disk)
    checked = len(manifest.files) - len(read.missing)
    missing, wrong = tuple(read.missing), tuple(read.wrong)
    return VerifyReport(model.repo_id, checked, read.bytes_read, missing, wrong, ())


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
        _as_verified(model, manifest)
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


def _found(model: CachedModel, places: Collection[Place]) -> OtherCopy:
    copy = find_copy(model, places)
    if copy is None:
        raise NotCached(
            "{repo_id} is not in the place it was listed in any more.",
            hint="Look at the list again.",
            repo_id=model.repo_id,
        )
    return copy


_CURE = Message("Download it: what is right there is copied, not downloaded.")


def _wanted(listing: Listing) -> list[RemoteFile]:
    return [file for file in listing.files if is_wanted(file.path)]


def _check_usable(model: CachedModel, copy: OtherCopy, listing: Listing, right: Collection[SafePath]) -> None:
    """Raise CacheDamaged if the files that are right, or may be, are not enough to load the model."""
    bad = [file.path for file in _wanted(listing) if _is_needed(file.path) and file.path not in right]
    if bad:
        raise CacheDamaged(
            "{repo_id} cannot be used in the {label}: {bad} missing or not the listed bytes.",
            hint=_CURE,
            repo_id=model.repo_id,
            label=copy.place.label,
            bad=Names(bad),
        )
    sizes: dict[str, int] = {file.path: file.size for file in listing.files if file.path in right}
    problems = problems_in(copy, sizes, is_vouched=True)
    if problems:
        raise CacheDamaged(
            "{repo_id} is not whole in the {label}: {problems}.",
            hint=_CURE,
            repo_id=model.repo_id,
            label=copy.place.label,
            problems=Texts(words_of(problems)),
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading a copy has shown."""

    right: list[ManifestFile]
    missing: list[SafePath]
    wrong: list[SafePath]
    bytes_read: int


def _read(copy: OtherCopy, listing: Listing, work: Work) -> _Read:
    """Read the wanted files of a listing where another tool keeps them."""
    wanted = _wanted(listing)
    reading = Reading(work, "verifying", sum(file.size for file in wanted))
    right: list[ManifestFile] = []
    missing: list[SafePath] = []
    wrong: list[SafePath] = []
    for file in wanted:
        reading.name = file.path
        status = copy.place.status(copy.folder / file.path)
        digest = _digest(copy, file, reading) if status is not None and status.st_size == file.size else None
        if digest is not None and digest.is_of(file):
            right.append(ManifestFile(file.path, digest.size, digest.sha256, Stamp.of(digest.status)))
        else:
            (missing if status is None else wrong).append(file.path)
    reading.finish()
    return _Read(right, missing, wrong, reading.done)


def _may_be(copy: OtherCopy, file: RemoteFile) -> bool:
    """Return whether a file of a copy has the listed size, and the listed digest if its tool named it by one."""
    status = copy.place.status(copy.folder / file.path)
    return status is not None and status.st_size == file.size and may_have(copy, file)


def _is_needed(path: SafePath) -> bool:
    return path.endswith(_NEEDED) and path not in _NOT_NEEDED


def _digest(copy: OtherCopy, file: RemoteFile, reading: Reading) -> Digest | None:
    try:
        descriptor = copy.place.open(copy.folder / file.path)
    except OSError:
        return None
    try:
        return digest_open(descriptor, with_git=not file.sha256, on_bytes=reading.advance)
    except OSError:  # unreadable sectors are wrong bytes, too
        return None
    finally:
        os.close(descriptor)


def _is_same(place: Place, folder: Path, file: ManifestFile) -> bool:
    status = place.status(f"{folder}{os.sep}{file.path}")
    return status is not None and Stamp.of(status) == file.stamp


def _as_verified(model: CachedModel, manifest: Manifest) -> CachedModel:
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


def _write(root: Path, copy: OtherCopy, manifest: Manifest, disk: Disk) -> None:
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
        raise disk_error(error, Message("The cache")) from error


def _place(data: Any) -> Place:  # Any: JSON as read; what does not fit raises
    if data["owner"] not in get_args(Owner):
        raise ValueError("an unknown owner")
    return Place(data["owner"], Path(data["root"]))


def _path(root: Path, folder: Path) -> Path:
    return root / IN_PLACE_FOLDER / _name(folder)


def _name(folder: Path) -> str:
    return f"{hashlib.sha256(str(folder).encode(errors='surrogateescape')).hexdigest()[:24]}.json"
