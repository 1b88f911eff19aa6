"""Brings back what is damaged, and only that: the right ranges of a damaged file need not travel again."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.disk import LOCAL, READ_FLAGS, make_folders
from qwen3ft_jupyter.errors import CacheDamaged, Stopped
from qwen3ft_jupyter.format import first_names, size
from qwen3ft_jupyter.transfer.meter import Meter
from qwen3ft_jupyter.transfer.partial import Partial, claim
from qwen3ft_jupyter.transfer.pieces import Span, SpanSet
from qwen3ft_jupyter.transfer.plan import object_key
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, PieceSum
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.work import Controls, Reporter

SOURCE: Final = "the damaged file"
"""Whom the journal names for ranges that were kept."""
READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair has done."""

    repo_id: RepoId
    repaired: tuple[str, ...]
    """Paths that were missing or wrong, and are right now."""
    bytes_fetched: int
    """What travelled for that."""
    checked_bytes: int
    """What was read to find the damage."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; `ok` is always true: a repair that fails raises."""
        return {**asdict(self), "ok": True}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RepairReport:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored."""
        return cls(data["repo_id"], tuple(data["repaired"]), data["bytes_fetched"], data["checked_bytes"])


def repair_model(
    cache: ModelCache,
    repo_id: str,
    fetch: Callable[[CachedModel], int],
    *,
    revision: str | None = None,
    controls: Controls | None = None,
    reporter: Reporter,
    stop: threading.Event,
) -> RepairReport:
    """Read a model again and fetch what is damaged.

    Args:
        cache: Where it is.
        repo_id: The model.
        fetch: Makes the model whole by the ordinary download, which keeps what is right (`keep_right_ranges`), and
            returns the bytes that travelled.
        revision: Which copy, if not the one that `ModelCache.find` takes.
        controls: Pause or limit the reading.
        reporter: Is told of progress, and of what is damaged.
        stop: Ends the work within a second when set.

    Raises:
        NotCached, CacheError: As `ModelCache.verify`.
        HubError, TransferError: The missing bytes cannot be had; nothing that was right is lost.
        CacheDamaged: The disk does not give back what was written to it.
        Stopped: `stop` was set.
    """
    report = cache.verify(repo_id, revision, controls=controls, reporter=reporter, stop=stop)
    damaged = (*report.missing, *report.wrong)
    model = cache.find(repo_id, revision)
    if not damaged or model is None:
        return RepairReport(report.repo_id, (), 0, report.checked_bytes)
    reporter.notice(f"{repo_id}: {first_names(damaged)}: missing or wrong; fetching what is damaged.")
    fetched = fetch(model)
    again = cache.find(repo_id, revision)
    if again is None or not again.is_verified:
        raise CacheDamaged(f"{repo_id}: its folder changed while it was repaired.", hint="Start again.")
    return RepairReport(report.repo_id, damaged, fetched, report.checked_bytes)


def keep_right_ranges(
    folder: Path,
    previous: Manifest | None,
    missing: Sequence[RemoteFile],
    incoming: Path,
    *,
    reporter: Reporter,
    stop: threading.Event,
    disk: Disk = LOCAL,
) -> int:
    """Put the right ranges of damaged files where a download goes on from them; return how many bytes that are.

    Only a file whose manifest entry tells the check sums of its pieces, and that is still about the same digest, has
    ranges that can be told right from wrong. They are copied, so the damaged file stays until the whole one takes its
    place. The digest of the whole file still decides in the end.

    Args:
        folder: The model's folder.
        previous: Its manifest.
        missing: The files about to be fetched.
        incoming: Where their partials lie, see `layout.incoming_folder`.
        reporter: Is told of progress, in the phase "checking".
        stop: Ends the work when set; what was kept so far stays kept.
        disk: What `incoming` lies on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The incoming folder cannot be written.
        Stopped: `stop` was set.
    """
    damaged = list(_locatable(folder, previous, missing))
    meter = Meter(reporter, "checking", sum(file.size for file in damaged), clock=time.monotonic)
    kept = done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        meter.update(done, detail=file.path)
        if stop.is_set():
            raise Stopped("The repair was stopped.", hint="What is right was kept; start it again to go on.")

    for file in damaged:
        key = object_key(file.as_remote())
        with opened(folder / file.path) as descriptor:
            if descriptor < 0:
                continue
            with claimed(incoming, key, file.size, name=file.path, disk=disk) as partial:
                kept += keep_pieces(descriptor, file.pieces or (), partial, on_bytes=on_bytes)
    if kept:
        reporter.notice(f"{size(kept)} of the damaged files are right and need not travel again.")
    return kept


def right_ranges(
    folder: Path,
    previous: Manifest | None,
    missing: Sequence[RemoteFile],
    *,
    reporter: Reporter,
    stop: threading.Event,
) -> dict[str, int]:
    """Return by object key how many bytes `keep_right_ranges` would keep, for the same arguments. Writes nothing."""
    damaged = list(_locatable(folder, previous, missing))
    meter = Meter(reporter, "checking", sum(file.size for file in damaged), clock=time.monotonic)
    found: dict[str, int] = {}
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        meter.update(done, detail=file.path)
        if stop.is_set():
            raise Stopped("Checking was stopped.", hint="Nothing was changed.")

    for file in damaged:
        with opened(folder / file.path) as descriptor:
            if descriptor >= 0:
                pieces = [piece for piece in file.pieces or () if _is_right(descriptor, piece, on_bytes)]
                found[object_key(file.as_remote())] = sum(end - start for start, end, _ in pieces)
    return found


def _is_right(descriptor: int, piece: PieceSum, on_bytes: Callable[[int], None]) -> bool:
    position, end, right = piece
    crc = 0
    while position < end and (data := _read_at(descriptor, min(READ_BYTES, end - position), position)):
        crc = zlib.crc32(data, crc)
        position += len(data)
        on_bytes(len(data))
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
    there = SpanSet(Span(record.start, record.end) for record in partial.records)
    kept = 0
    for start, end, right in pieces:
        if list(there.gaps(start, end)) != [(start, end)]:
            continue  # an earlier attempt has it, or a part of it
        crc = 0
        position = start
        while position < end and (data := _read_at(descriptor, min(READ_BYTES, end - position), position)):
            partial.write(memoryview(data), position)
            crc = zlib.crc32(data, crc)
            position += len(data)
            on_bytes(len(data))
        if position == end and crc == right:
            partial.record(start, end, crc, source)
            kept += end - start
    return kept


@contextlib.contextmanager
def claimed(incoming: Path, key: str, size: int, *, name: str, disk: Disk) -> Iterator[Partial]:
    """Own the partial of an object for the length of the block, then leave it to whoever goes on.

    Raises:
        NoSpace, CacheNotWritable, TransferError: The folder cannot be written.
    """
    try:
        make_folders(incoming, disk=disk)
    except OSError as error:
        raise disk_error(error, "The cache") from error
    partial = claim(incoming, key, size, disk=disk, name=name)
    try:
        partial.open()
        yield partial
    finally:
        partial.close(release=True)


def _locatable(folder: Path, previous: Manifest | None, missing: Iterable[RemoteFile]) -> Iterator[ManifestFile]:
    known = {file.path: file for file in previous.files} if previous else {}
    for file in missing:
        own = known.get(file.path)
        if own is not None and own.pieces and own.sha256 == file.sha256 and os.path.lexists(folder / own.path):
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


def _read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Return bytes of a damaged file; none where the disk fails, which is why files are repaired."""
    try:
        return LOCAL.read_at(descriptor, length, offset)
    except OSError:
        return b""
