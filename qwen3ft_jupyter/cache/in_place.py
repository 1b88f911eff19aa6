"""Uses a model of another tool where it is: reads every byte of it, and keeps a record, see `in_place_records`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.digests import Digest, digest_open
from qwen3ft_jupyter.cache.foreign import find_copy
from qwen3ft_jupyter.cache.foreign_files import blob_name, is_complete, listing_of
from qwen3ft_jupyter.cache.in_place_records import as_verified, forget, write
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.cache.reports import VerifyReport
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import CacheDamaged, CacheError, NotCached
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import is_wanted
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from qwen3ft_jupyter.cache.foreign import ForeignCopy
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.places import Place
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.work import Work

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
        listing: What the model consists of; None believes the digests that the tool itself keeps, which Hugging Face's
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
        said.repo_id, said.hub, said.revision, said.commit, created=now, last_used=now, files=tuple(files)
    )
    write(root, copy, manifest, disk)
    return as_verified(model, manifest)


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
    files = tuple(file.as_remote() for file in manifest.files)
    listing = Listing(manifest.repo_id, manifest.hub, manifest.revision, manifest.commit, files)
    read = _read(copy, listing, work)
    if read.missing or read.wrong:
        forget(root, model.folder, disk=disk)
    else:
        write(root, copy, replace(manifest, files=tuple(read.right)), disk)
    checked = len(files) - len(read.missing)
    missing, wrong = tuple(read.missing), tuple(read.wrong)
    return VerifyReport(model.repo_id, checked, read.bytes_read, missing, wrong, ())


def _found(model: CachedModel, places: Collection[Place]) -> ForeignCopy:
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


def _check_usable(model: CachedModel, copy: ForeignCopy, listing: Listing, right: Collection[SafePath]) -> None:
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
    if not is_complete(copy, set(right)):
        raise CacheDamaged(
            "{repo_id} is not whole in the {label}.", hint=_CURE, repo_id=model.repo_id, label=copy.place.label
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading a copy has shown."""

    right: list[ManifestFile]
    missing: list[SafePath]
    wrong: list[SafePath]
    bytes_read: int


def _read(copy: ForeignCopy, listing: Listing, work: Work) -> _Read:
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
            right.append(ManifestFile(file.path, digest.size, digest.sha256, digest.stamp))
        else:
            (missing if status is None else wrong).append(file.path)
    reading.finish()
    return _Read(right, missing, wrong, reading.done)


def _may_be(copy: ForeignCopy, file: RemoteFile) -> bool:
    """Return whether a file of a copy has the listed size, and the listed digest if its tool named it by one."""
    status = copy.place.status(copy.folder / file.path)
    named = blob_name(copy, file.path)
    digest = file.sha256 if len(named) == 64 else file.git_sha1
    return status is not None and status.st_size == file.size and (not named or digest in {None, named})


def _is_needed(path: SafePath) -> bool:
    return path.endswith(_NEEDED) and path not in _NOT_NEEDED


def _digest(copy: ForeignCopy, file: RemoteFile, reading: Reading) -> Digest | None:
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
