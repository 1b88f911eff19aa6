"""Brings back what is damaged, and only that: the right ranges of a damaged file need not travel again."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32

from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.cache.reports import RepairReport
from qwen3ft_jupyter.disk import LOCAL, READ_FLAGS, read_blocks
from qwen3ft_jupyter.errors import CacheDamaged
from qwen3ft_jupyter.messages import Names, Size, Texts
from qwen3ft_jupyter.paths import is_there
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claimed
from qwen3ft_jupyter.transfer.pieces import spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.manifest import Manifest, ManifestFile
    from qwen3ft_jupyter.cache.own.piece_sums import PieceSum
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.transfer.partial import Partial
    from qwen3ft_jupyter.work import Work

SOURCE: Final = "the damaged file"
"""Whom the journal names for ranges that were kept."""


def repair_model(
    cache: ModelCache,
    repo_id: str,
    fetch: Callable[[CachedModel], int],
    *,
    revision: str | None = None,
    work: Work,
) -> RepairReport:
    """Read a model again and fetch what is damaged.

    Args:
        cache: Where it is.
        repo_id: The model.
        fetch: Makes the model whole by the ordinary download, which keeps what is right (`keep_right_ranges`), and
            returns the bytes that travelled.
        revision: Which copy, if not the one that `ModelCache.find` takes.
        work: Is told of progress, and of what is damaged.

    Raises:
        NotCached, CacheError: As `ModelCache.verify`.
        HubError, TransferError: The missing bytes cannot be had; nothing that was right is lost.
        CacheDamaged: The disk does not give back what was written to it.
        Stopped: Someone wants the work to stop.
    """
    report = cache.verify(repo_id, revision, work)
    damaged = (*report.missing, *report.wrong)
    model = cache.find(repo_id, revision)
    if not damaged or model is None:
        if model is not None:
            _check_loadable(model)
        return RepairReport(report.repo_id, (), 0, report.checked_bytes)
    work.notice(
        "{repo_id}: {damaged}: missing or wrong; fetching what is damaged.", repo_id=repo_id, damaged=Names(damaged)
    )
    fetched = fetch(model)
    again = cache.find(repo_id, revision)
    if again is None or not again.is_verified:
        raise CacheDamaged("{repo_id}: its folder changed while it was repaired.", hint="Start again.", repo_id=repo_id)
    _check_loadable(again)
    return RepairReport(report.repo_id, damaged, fetched, report.checked_bytes)


def _check_loadable(model: CachedModel) -> None:
    """Raise CacheDamaged for a model that no repair makes whole."""
    if model.problems:
        raise CacheDamaged(
            "{repo_id} is as the hub has it, and cannot be loaded: {problems}.",
            hint="Use another revision or another repo.",
            repo_id=model.repo_id,
            problems=Texts(model.problems),
        )


def right_ranges(
    folder: Path, previous: Manifest | None, missing: Sequence[RemoteFile], work: Work
) -> dict[SafePath, tuple[PieceSum, ...]]:
    """Return by path the ranges of damaged files that are right all the same. Writes nothing.

    Only a file whose manifest entry tells the check sums of its pieces, and that is still about the same digest, has
    ranges that can be told right from wrong.

    Args:
        folder: The model's folder.
        previous: Its manifest.
        missing: The files about to be fetched.
        work: Is told of progress, in the phase "checking".

    Raises:
        Stopped: Someone wants the work to stop.
    """
    damaged = list(_locatable(folder, previous, missing))
    reading = Reading(work, "checking", sum(file.size for file in damaged))
    found: dict[SafePath, tuple[PieceSum, ...]] = {}
    for file in damaged:
        reading.name = file.path
        with opened(folder / file.path) as descriptor:
            if descriptor >= 0:
                pieces = file.pieces or ()
                found[file.path] = tuple(piece for piece in pieces if _is_right(descriptor, piece, reading.advance))
    return found


def keep_ranges(
    folder: Path,
    ranges: Mapping[SafePath, Sequence[PieceSum]],
    files: Sequence[RemoteFile],
    incoming: Path,
    work: Work,
    *,
    disk: Disk = LOCAL,
) -> None:
    """Put ranges of damaged files that are right where a download goes on from them.

    They are copied, so the damaged file stays until the whole one takes its place. The digest of the whole file still
    decides in the end.

    Args:
        folder: The model's folder.
        ranges: By path, see `right_ranges`.
        files: The files about to be fetched.
        incoming: Where their partials lie, see `layout.incoming_folder`.
        work: Is told of progress, in the phase "checking"; what was kept before a stop stays kept.
        disk: What `incoming` lies on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The incoming folder cannot be written.
        Stopped: Someone wants the work to stop.
    """
    damaged = [file for file in files if ranges.get(file.path)]
    reading = Reading(work, "checking", sum(end - start for file in damaged for start, end, _ in ranges[file.path]))
    kept = 0
    for file in damaged:
        reading.name = file.path
        with opened(folder / file.path) as descriptor:
            if descriptor >= 0:
                with claimed(incoming, object_key(file), file.size, name=file.path, disk=disk) as partial:
                    kept += keep_pieces(descriptor, ranges[file.path], partial, on_bytes=reading.advance)
    if kept:
        work.notice("{kept} of the damaged files are right and need not travel again.", kept=Size(kept))


def _is_right(descriptor: int, piece: PieceSum, on_bytes: Callable[[int], None]) -> bool:
    position, end, right = piece
    crc = 0
    for data in _readable(read_blocks(descriptor, position, end, on_bytes)):
        crc = crc32(data, crc)
        position += len(data)
    return position == end and crc == right


def keep_pieces(
    descriptor: int,
    pieces: Iterable[PieceSum],
    partial: Partial,
    *,
    on_bytes: Callable[[int], None],
    source: str = SOURCE,
) -> int:
    """Copy those of `pieces` that are right from an open file, where the partial has nothing; return their bytes.

    The journal tells of a piece only when it is there. Raises what writing to the partial and `on_bytes` raise.
    """
    there = spans_of(partial.records)
    kept = 0
    for start, end, right in pieces:
        if list(there.gaps(start, end)) != [(start, end)]:
            continue  # an earlier attempt has it, or a part of it
        crc = 0
        position = start
        for data in _readable(read_blocks(descriptor, start, end, on_bytes)):
            partial.write(memoryview(data), position)
            crc = crc32(data, crc)
            position += len(data)
        if position == end and crc == right:
            partial.record(start, end, crc, source)
            kept += end - start
    return kept


def _locatable(folder: Path, previous: Manifest | None, missing: Iterable[RemoteFile]) -> Iterator[ManifestFile]:
    known = {file.path: file for file in previous.files} if previous else {}
    for file in missing:
        own = known.get(file.path)
        if own is not None and own.pieces and own.sha256 == file.sha256 and is_there(folder / own.path):
            yield own


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a file that may be damaged; -1 stands for one that cannot be read or is no regular file."""
    descriptor = -1
    try:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, READ_FLAGS)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                descriptor = -1
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _readable(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the blocks of a damaged file up to where the disk fails, which is why files are repaired."""
    with contextlib.suppress(OSError):
        yield from blocks
