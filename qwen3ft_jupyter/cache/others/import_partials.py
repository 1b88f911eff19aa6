"""Goes on from what other tools have begun: the bytes of their partial files become ranges of ours, on suspicion.

Hugging Face    blobs/{digest}.incomplete, {digest}.{8 hex}.incomplete; of a folder, in its .cache/huggingface/download
ModelScope      {file}.incomplete, {file}.parallel_tmp, {file}_{first}_{last}; before 1.38 below ._____temp
others          {file}.part, or a {file} that is too short, unless aria2 says in a file beside it that it has holes
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32

from qwen3ft_jupyter.cache.others.find import TEMPORARY, blob_folders, copies, partial_folders
from qwen3ft_jupyter.cache.others.places import entries_of
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claimed
from qwen3ft_jupyter.transfer.pieces import spans_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.places import Place
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.transfer.partial import Partial
    from qwen3ft_jupyter.work import Work

MIN_BYTES: Final = 1 << 20
"""A shorter file is fetched before it is looked for."""

COPY_BYTES: Final = 4 << 20
"""What is copied at a time, and one range in the journal: as long as those that a download notes."""

_HOLE: Final = bytes(64 << 10)
"""So many zeros are taken for a hole that nothing was written to yet; weights seldom have them."""

_BLOB = re.compile(r"(?:.*\.)?([0-9a-f]{64}|[0-9a-f]{40})(?:\.[0-9a-f]{8})?\.incomplete")
_WHOLE_SUFFIXES = (".incomplete", ".parallel_tmp", ".part")


@dataclass(frozen=True, slots=True)
class OthersPartial:
    """A partial file of another tool."""

    place: Place
    path: Path
    start: int
    """Where in the finished file its first byte belongs."""
    end: int
    """Where its last byte can belong at most, plus one; -1 for the end of the file."""


def import_partials(
    files: Sequence[RemoteFile],
    *,
    repo_id: RepoId,
    places: Collection[Place],
    exclude: Collection[Path] = (),
    incoming: Path,
    work: Work,
    disk: Disk = LOCAL,
) -> int:
    """Copy what other tools have of `files` into our partials in `incoming`; return how many bytes that were.

    Ranges that our own partials have already are not touched. Whether the bytes are right is seen when the whole file
    is hashed; the journal names them `ANOTHER_TOOL`, so that they are the first to be fetched again if it is not.

    Args:
        files: What is to be fetched; those that were adopted are not among them.
        repo_id: Whose files they are.
        places: Where other tools keep models.
        exclude: Folders that are not looked into: our own cache and the shared ones.
        incoming: The folder for partial files; made if something is found.
        work: Is told the phase "adopting"; what was copied before a stop is kept.
        disk: What `incoming` lies on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The partials cannot be written.
        Stopped: Someone wants the work to stop.
    """
    found = _find(files, repo_id, places, exclude)
    if not found:
        return 0
    reading = Reading(work, "adopting", sum(max(one.end - one.start for one in some) for _, some in found))
    copied = 0
    for file, some in found:
        with claimed(incoming, object_key(file), file.size, name=file.path, disk=disk) as partial:
            copied += sum(_copy_gaps(one, partial, reading, work) for one in some)
    reading.finish()
    return copied


def _copy_gaps(theirs: OthersPartial, partial: Partial, reading: Reading, work: Work) -> int:
    """Copy what `partial` lacks; return how many bytes that were."""
    work.check()
    reading.name = Message("{file} from the {label}", file=partial.name, label=theirs.place.label)
    try:
        descriptor = theirs.place.open(theirs.path)
    except OSError:  # gone meanwhile: its tool has gone on
        return 0
    copied = 0
    try:
        for gap in list(spans_of(partial.records).gaps(theirs.start, theirs.end)):
            for start in range(gap.start, gap.end, COPY_BYTES):
                data = _read(descriptor, min(COPY_BYTES, gap.end - start), start - theirs.start)
                if data and _HOLE not in data:
                    partial.write(memoryview(data), start)
                    partial.record(start, start + len(data), crc32(data), ANOTHER_TOOL)
                    copied += len(data)
                    reading.advance(len(data))
    finally:
        os.close(descriptor)
    return copied


def _read(descriptor: int, length: int, offset: int) -> bytes:
    try:
        return LOCAL.read_at(descriptor, length, offset)
    except OSError:  # an unreadable sector of theirs: fetched like everything else
        return b""


def _find(
    files: Sequence[RemoteFile], repo_id: RepoId, places: Collection[Place], exclude: Collection[Path]
) -> list[tuple[RemoteFile, list[OthersPartial]]]:
    """Return the files of which other tools have a part, with their partial files, the longest first."""
    wanted = [file for file in files if file.size >= MIN_BYTES]
    if not wanted:
        return []
    by_digest = _by_digest(places)
    folders = _folders_of(repo_id.partition("/")[2].lower(), places, exclude)
    found = ((file, _partials_of(file, by_digest, folders)) for file in wanted)
    return [(file, some) for file, some in found if some]


def _folders_of(name: str, places: Collection[Place], exclude: Collection[Path]) -> list[tuple[Place, Path]]:
    """Return the folders in which other tools keep files of a repo of this name, whole or not."""
    found = (copy for copy in (*copies(places, exclude=exclude), *partial_folders(places)) if copy.name == name)
    return [(copy.place, folder) for copy in found for folder in (copy.folder, copy.folder / TEMPORARY)]


def _partials_of(
    file: RemoteFile, by_digest: Mapping[str, list[OthersPartial]], folders: Sequence[tuple[Place, Path]]
) -> list[OthersPartial]:
    found = [*by_digest.get(file.sha256 or "", ()), *by_digest.get(file.git_sha1 or "", ())]
    for place, folder in folders:
        found += _beside(place, folder / PurePosixPath(file.path), file.size)
    sized = filter(None, (_measured(one, file.size) for one in found))
    return sorted(sized, key=lambda one: one.start - one.end)


def _by_digest(places: Collection[Place]) -> dict[str, list[OthersPartial]]:
    """Return what Hugging Face's client has begun, in its cache and below the folders the user named."""
    found: dict[str, list[OthersPartial]] = {}
    folders = list(blob_folders(places))
    for copy in copies([place for place in places if place.owner == "folder"]):
        below = copy.folder / ".cache" / "huggingface" / "download"
        folders += [(copy.place, below), *((copy.place, below / name) for name in entries_of(below).folders)]
    for place, folder in folders:
        for match in filter(None, map(_BLOB.fullmatch, entries_of(folder).files)):
            found.setdefault(match[1], []).append(OthersPartial(place, folder / match[0], 0, -1))
    return found


def _beside(place: Place, target: Path, size: int) -> Iterator[OthersPartial]:
    """Yield the files beside `target`, and under its name, that may hold parts of it."""
    names = entries_of(target.parent).files
    if f"{target.name}.aria2" in names:
        return
    yield OthersPartial(place, target, 0, size - 1)  # as long as it should be, it is no part but a wrong file
    yield from (OthersPartial(place, target.with_name(target.name + suffix), 0, size) for suffix in _WHOLE_SUFFIXES)
    part = re.compile(rf"{re.escape(target.name)}_([0-9]{{1,16}})_([0-9]{{1,16}})")
    for match in filter(None, map(part.fullmatch, names)):
        first, last = int(match[1]), int(match[2])
        if first <= last < size:
            yield OthersPartial(place, target.with_name(match[0]), first, last + 1)


def _measured(theirs: OthersPartial, size: int) -> OthersPartial | None:
    """Return the partial file with its true end, or None if it is not there, empty, or longer than it can be."""
    status = theirs.place.status(theirs.path)
    limit = (theirs.end if theirs.end >= 0 else size) - theirs.start
    if status is None or not 0 < status.st_size <= limit:
        return None
    return replace(theirs, end=theirs.start + status.st_size)
