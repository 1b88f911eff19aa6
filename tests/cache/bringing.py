"""Brings a model into a cache as a download does, from memory, with every write going to a given disk."""

from __future__ import annotations

import hashlib
import time
import zlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.commit import Content, commit_model
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.own.verify import right_files
from qwen3ft_jupyter.disk import LOCAL, make_folders
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import Sha256, slug
from qwen3ft_jupyter.transfer.objects import split_copies
from qwen3ft_jupyter.transfer.partial import FetchedFile, claim, clear_partials
from qwen3ft_jupyter.transfer.pieces import Span
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import SILENT, Work
from tests.transfer.origin import COMMIT, REPO, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.partial import Partial
    from qwen3ft_jupyter.work import Reporter

PIECE_BYTES = 3


def listing_of(files: Mapping[str, bytes], commit: str = COMMIT) -> Listing:
    return Listing(REPO, "modelscope", "master", commit, tuple(remote(path, data) for path, data in files.items()))


def model_folder(root: Path) -> Path:
    return root / slug(REPO)


def bring(
    root: Path,
    files: Mapping[str, bytes],
    *,
    disk: Disk = LOCAL,
    commit: str = COMMIT,
    on_bytes: Callable[[int], None] = lambda _: None,
    reporter: Reporter = SILENT,
) -> int:
    """Make the cache `root` hold `files`; return how many bytes came from memory, of which `on_bytes` is told first."""
    listing, folder = listing_of(files, commit), model_folder(root)
    incoming = incoming_folder(root, folder.name)
    previous = read_manifest(folder)
    kept = right_files(folder, previous, listing.files, Work())
    missing, copies = split_copies(listing.files, kept)
    try:
        make_folders(incoming, disk=disk)
    except OSError as error:
        raise disk_error(error, "The cache") from error
    fetched = [_fetch(incoming, file, files[file.path], disk, on_bytes) for file in missing]
    commit_model(
        folder,
        listing,
        Content(kept, fetched, copies, previous=previous),
        now=time.time(),
        reporter=reporter,
        disk=disk,
    )
    clear_partials(incoming, disk=disk)
    return sum(file.bytes_fetched for file in fetched)


def _fetch(folder: Path, file: RemoteFile, data: bytes, disk: Disk, on_bytes: Callable[[int], None]) -> FetchedFile:
    assert file.sha256 is not None
    partial = claim(folder, file.sha256, file.size, disk=disk, name=file.path)
    partial.open()
    count = _write_missing(partial, data, on_bytes)
    if hashlib.sha256(partial.read(file.size, 0)).hexdigest() != file.sha256:  # a power cut took what was noted
        for record in list(partial.wrong_records()):
            partial.forget(record.start, record.end)
        count += _write_missing(partial, data, on_bytes)
    assert partial.read(file.size, 0) == data
    partial.sync()
    partial.close(release=False)
    return FetchedFile(file, Sha256(file.sha256), partial, count)


def _write_missing(partial: Partial, data: bytes, on_bytes: Callable[[int], None]) -> int:
    present = {position for record in partial.records for position in range(record.start, record.end)}
    count = 0
    for start in range(0, len(data), PIECE_BYTES):
        piece = Span(start, min(start + PIECE_BYTES, len(data)))
        if not present.issuperset(range(piece.start, piece.end)):
            on_bytes(piece.length)
            partial.write(memoryview(data)[piece.start : piece.end], piece.start)
            partial.record(piece.start, piece.end, zlib.crc32(data[piece.start : piece.end]), "memory")
            count += piece.length
    return count
