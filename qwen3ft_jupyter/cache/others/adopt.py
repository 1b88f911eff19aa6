"""Takes over what is on this disk already, instead of downloading it: cloned, then hashed in full, then trusted."""

from __future__ import annotations

import logging
import os
import secrets
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.clone import clone_open
from qwen3ft_jupyter.cache.reading import Digest, Reading, digest_file
from qwen3ft_jupyter.disk import LOCAL, make_folders
from qwen3ft_jupyter.messages import Message, Size
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import FetchedFile, claim
from qwen3ft_jupyter.transfer.volume import FULL, REFUSED, disk_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.candidates import Candidate
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.work import Work

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Adoption:
    """What all files of one adoption share."""

    incoming: Path
    disk: Disk
    work: Work
    reading: Reading


def adopt(
    found: Sequence[tuple[RemoteFile, Sequence[Candidate]]], *, incoming: Path, work: Work, disk: Disk = LOCAL
) -> list[FetchedFile]:
    """Return those files that are on this disk already, cloned into partials in `incoming` and verified.

    A file of another tool is only read. What it holds is trusted after the clone was read in full and has the listed
    digest; one that has not is left out, and named if it was expected to have. The caller moves the files to their
    place or releases them, like those of `fetch`, which brings the rest.

    Args:
        found: Files that a hub lists, each object once, with what may have their bytes; see `find_candidates`.
        incoming: The folder for partial files; made if there is anything to adopt.
        work: Is told the phase "adopting", what was adopted, and what was found wrong. What was adopted before a stop
            is kept as partials.
        disk: What `incoming` lies on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The clones cannot be written.
        Stopped: Someone wants the work to stop.
    """
    if not found:
        return []
    reading = Reading(work, "adopting", sum(file.size for file, _ in found))
    adoption = _Adoption(incoming, disk, work, reading)
    adopted: list[FetchedFile] = []
    done = 0
    try:
        make_folders(incoming, disk=disk)
        for file, some in found:
            fetched = _adopt_one(adoption, file, some, done)
            adopted += [fetched] if fetched is not None else []
            done += file.size
            reading.reach(done)
        reading.finish()
    except BaseException as error:
        for fetched in adopted:
            fetched.release()
        if isinstance(error, OSError):
            raise disk_error(error, Message("The cache")) from error
        raise
    _tell(adopted, work)
    return adopted


def _adopt_one(adoption: _Adoption, file: RemoteFile, some: Iterable[Candidate], done: int) -> FetchedFile | None:
    """Return the first candidate that is right, as a verified partial, or None."""
    for candidate in some:
        clone = adoption.incoming / f"{object_key(file)}.{secrets.token_hex(8)}.part"
        try:
            digest = _cloned(adoption, file, candidate, clone, done)
            if digest is not None and digest.is_of(file):
                return _as_partial(adoption, file, digest, clone, candidate.label)
        finally:
            with suppress(OSError):
                adoption.disk.unlink(clone)
        logger.info("%s in the %s is not the listed file", candidate.path.name, candidate.label)
        if candidate.is_expected:
            adoption.work.notice(
                "{path}: the copy in the {label} has other bytes than the hub lists; it is not used.",
                path=file.path,
                label=candidate.label,
            )
    return None


def _cloned(adoption: _Adoption, file: RemoteFile, candidate: Candidate, clone: Path, done: int) -> Digest | None:
    """Clone a candidate and return what the clone's bytes are, or None if it cannot be read. Progress is half each."""
    reading, moved = adoption.reading, 0
    reading.name = Message("{file} from the {label}", file=file.path, label=candidate.label)

    def on_bytes(count: int) -> None:
        nonlocal moved
        moved += count
        reading.advance(count, done=done + moved // 2)

    try:
        descriptor = candidate.place.open(candidate.path, is_compared=True)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_size != file.size:
            return None
        clone_open(descriptor, clone, on_bytes=on_bytes, disk=adoption.disk)
        return digest_file(clone, with_git=not file.sha256, on_bytes=on_bytes, with_pieces=True)
    except OSError as error:
        if error.errno in FULL | REFUSED:  # then the download would not fit or be let in, either
            raise disk_error(error, file.path) from error
        logger.info("%s in the %s cannot be read: %s", candidate.path.name, candidate.label, error)
        return None
    finally:
        os.close(descriptor)


def _as_partial(adoption: _Adoption, file: RemoteFile, digest: Digest, clone: Path, label: str) -> FetchedFile:
    """Make the verified clone the data of a partial of ours, so that a later attempt can go on from it."""
    partial = claim(adoption.incoming, object_key(file), file.size, disk=adoption.disk, name=file.path)
    try:
        adoption.disk.replace(clone, partial.path)
        partial.open()
        if partial.records:
            partial.forget(0, file.size)
        for start, end, crc in digest.pieces:
            partial.record(start, end, crc, label)
    except BaseException as error:
        partial.close(release=True)
        if isinstance(error, OSError):
            raise disk_error(error, file.path) from error
        raise
    partial.close(release=False)
    return FetchedFile(file, digest.sha256, partial, 0, adopted_from=label)


def _tell(adopted: Iterable[FetchedFile], work: Work) -> None:
    by_label: dict[str, list[int]] = defaultdict(list)
    for fetched in adopted:
        by_label[fetched.adopted_from].append(fetched.file.size)
    for label, sizes in by_label.items():
        work.notice(
            "Copied {size} in {count} file from the {label} on this disk instead of downloading."
            if len(sizes) == 1
            else "Copied {size} in {count} files from the {label} on this disk instead of downloading.",
            size=Size(sum(sizes)),
            count=len(sizes),
            label=label,
        )
