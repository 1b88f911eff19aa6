"""Compares what is on disk with what a hub lists."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, file_state
from qwen3ft_jupyter.cache.piece_sums import piece_sums
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.catalog.weights import INDEX_NAME, MAX_INDEX_BYTES, indexed_files
from qwen3ft_jupyter.transfer.journal import Record
from qwen3ft_jupyter.transfer.objects import object_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.work import Work


def right_files(
    folder: Path, manifest: Manifest | None, files: Sequence[RemoteFile], work: Work
) -> dict[SafePath, ManifestFile]:
    """Return those of `files` that are in `folder` and right, reading only what no stamp vouches for.

    Raises:
        Stopped: Someone wants the work to stop.
    """
    known = {file.path: file for file in manifest.files} if manifest else {}
    right: dict[SafePath, ManifestFile] = {}
    doubtful = []
    for file in files:
        own = known.get(file.path)
        if own is not None and file.sha256 and file_state(folder, own) == "same":
            if own.sha256 == file.sha256:
                right[file.path] = own
        elif _size(folder, file.path) == file.size:
            doubtful.append(file)
    reading = Reading(work, "checking", sum(file.size for file in doubtful))
    for file in doubtful:
        reading.name = file.path
        try:
            path, with_git = folder / file.path, not file.sha256
            digest = digest_file(path, with_git=with_git, on_bytes=reading.advance, with_pieces=True)
        except OSError:  # cannot be read, so it is fetched
            continue
        if digest is not None and digest.is_of(file):
            sums = piece_sums((Record(*piece) for piece in digest.pieces), digest.size)
            right[file.path] = ManifestFile(file.path, digest.size, digest.sha256, digest.stamp, sums)
    return right


def split_copies(
    files: Sequence[RemoteFile], present: Collection[SafePath]
) -> tuple[list[RemoteFile], dict[SafePath, SafePath]]:
    """Return which files have to travel so that all are here, and by path which other one each of the rest equals."""
    here = {object_key(file): file.path for file in files if file.path in present}
    travelling, copies = [], {}
    for file in files:
        if file.path in present:
            continue
        source = here.setdefault(object_key(file), file.path)
        if source == file.path:
            travelling.append(file)
        else:
            copies[file.path] = source
    return travelling, copies


def looks_complete(folder: Path) -> bool:
    """Return whether a folder nobody vouches for has a config and all the weights its index names."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / INDEX_NAME
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    try:
        with index.open("rb") as file:
            names = indexed_files(file.read(MAX_INDEX_BYTES))
        return all((folder / name).is_file() for name in names)
    except (OSError, ValueError):
        return False


def _size(folder: Path, path: str) -> int:
    try:
        status = (folder / path).lstat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
