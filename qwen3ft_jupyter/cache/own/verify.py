"""Reads models again and says which files are right, and what is wrong."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.manifest import ManifestFile, Stamp, file_state, walk_files
from qwen3ft_jupyter.cache.own.piece_sums import piece_sums
from qwen3ft_jupyter.cache.own.state import recorded_problems
from qwen3ft_jupyter.cache.reading import Reading, digest_file
from qwen3ft_jupyter.cache.reports import VerifyReport
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.messages import Command, Texts
from qwen3ft_jupyter.transfer.journal import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.cache.own.piece_sums import PieceSum
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Check:
    """What reading some files of a model has shown."""

    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    stamps: Mapping[str, Stamp | None]
    """The new stamp of every file that was checked; None for those that are not right."""
    pieces: Mapping[str, tuple[PieceSum, ...]]
    """The check sums of right files that had none, by which later damage is located."""
    checked_bytes: int


def check_files(folder: Path, files: Sequence[ManifestFile], *, phase: str, work: Work) -> Check:
    """Read `files` of the model in `folder` and compare them with their digests. Raises Stopped."""
    reading = Reading(work, phase, sum(file.size for file in files))
    missing, wrong, right = [], [], {}
    for file in files:
        if file_state(folder, file) == "missing":
            missing.append(file.path)
            continue
        entry = read_file(folder, file.as_remote(), reading, with_pieces=file.pieces is None)
        if entry is None:
            wrong.append(file.path)
        else:
            right[file.path] = entry
    reading.finish()
    stamps: dict[str, Stamp | None] = {
        file.path: right[file.path].stamp if file.path in right else None for file in files
    }
    pieces: dict[str, tuple[PieceSum, ...]] = {path: entry.pieces for path, entry in right.items() if entry.pieces}
    return Check(tuple(missing), tuple(wrong), stamps, pieces, reading.done)


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
        if own is None or not file.sha256 or file_state(folder, own) != "same":
            doubtful += [file] if _size(folder, file.path) == file.size else []
        elif own.sha256 == file.sha256:
            right[file.path] = own
    return right | _read_doubtful(folder, doubtful, work)


def _read_doubtful(folder: Path, doubtful: Sequence[RemoteFile], work: Work) -> dict[SafePath, ManifestFile]:
    right = {}
    reading = Reading(work, "checking", sum(file.size for file in doubtful))
    for file in doubtful:
        entry = read_file(folder, file, reading, with_pieces=True)
        if entry is not None:
            right[file.path] = entry
    return right


def read_file(folder: Path, file: RemoteFile, reading: Reading, *, with_pieces: bool) -> ManifestFile | None:
    """Return the entry of a file of a model folder that has the listed bytes, or None. Raises Stopped."""
    reading.name = file.path
    try:
        digest = digest_file(
            folder / file.path, with_git=not file.sha256, on_bytes=reading.advance, with_pieces=with_pieces
        )
    except OSError:  # unreadable sectors are wrong bytes, too
        return None
    if digest is None or not digest.is_of(file):
        return None
    sums = piece_sums((Record(*piece) for piece in digest.pieces), digest.size)
    return ManifestFile(file.path, digest.size, digest.sha256, Stamp.of(digest.status), sums)


def no_record(model: CachedModel) -> CacheError:
    """Return the error for a model that is to be verified, and was never compared with a hub."""
    return CacheError(
        "{repo_id} was put into the cache by something else: there is no record to compare it with. {problems}"
        if model.problems
        else "{repo_id} was put into the cache by something else: there is no record to compare it with.",
        hint="`{command}` compares it with the hub and fetches only what is not right.",
        command=Command("download", model.repo_id),
        repo_id=model.repo_id,
        problems=Texts(model.problems),
    )


def verify_model(
    folder: Path, manifest: Manifest, work: Work, *, holds_models: bool = True
) -> tuple[VerifyReport, Manifest]:
    """Read every file of a model; return the report, and the manifest with the stamps and check sums that follow.

    Args:
        folder: Where it is.
        manifest: Its record.
        work: Is told of the progress.
        holds_models: Whether it is to be loaded, so that what it lacks for that is told.

    Raises:
        Stopped: Someone wants the work to stop.
    """
    check = check_files(folder, manifest.files, phase="verifying", work=work)
    known = {file.path for file in manifest.files}
    report = VerifyReport(
        manifest.repo_id,
        len(manifest.files) - len(check.missing),
        check.checked_bytes,
        check.missing,
        check.wrong,
        tuple(path for path in walk_files(folder) if path not in known),
        recorded_problems(folder, manifest) if holds_models and not (check.missing or check.wrong) else (),
    )
    files = tuple(
        replace(file, stamp=check.stamps[file.path], pieces=check.pieces.get(file.path, file.pieces))
        for file in manifest.files
    )
    return report, replace(manifest, files=files)


def _size(folder: Path, path: str) -> int:
    try:
        status = (folder / path).lstat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
