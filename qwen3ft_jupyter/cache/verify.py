"""Re-reads a cached model and says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.manifest import Stamp, file_state
from qwen3ft_jupyter.cache.piece_sums import piece_sums
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.cache.reports import VerifyReport
from qwen3ft_jupyter.cache.walk import walk_files
from qwen3ft_jupyter.transfer.journal import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, PieceSum
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Check:
    """What reading some files of a model has shown."""

    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    stamps: dict[str, Stamp | None]
    """The new stamp of every file that was checked; None for those that are not right."""
    pieces: dict[str, tuple[PieceSum, ...]]
    """The check sums of right files that had none, by which later damage is located."""
    checked_bytes: int


def check_files(folder: Path, files: Sequence[ManifestFile], *, phase: str, work: Work) -> Check:
    """Read `files` of the model in `folder` and compare them with their digests. Raises Stopped."""
    reading = Reading(work, phase, sum(file.size for file in files))
    missing: list[str] = []
    wrong: list[str] = []
    stamps: dict[str, Stamp | None] = {}
    pieces: dict[str, tuple[PieceSum, ...]] = {}
    for file in files:
        stamps[file.path] = None
        if file_state(folder, file) == "missing":
            missing.append(file.path)
            continue
        reading.name = file.path
        try:
            path, is_new = folder / file.path, file.pieces is None
            digest = digest_file(path, with_git=False, on_bytes=reading.advance, with_pieces=is_new)
        except OSError:  # unreadable sectors are wrong bytes, too
            digest = None
        if digest is not None and digest.is_of(file.as_remote()):
            stamps[file.path] = digest.stamp
            if sums := piece_sums((Record(*piece) for piece in digest.pieces), file.size):
                pieces[file.path] = sums
        else:
            wrong.append(file.path)
    reading.finish()
    return Check(tuple(missing), tuple(wrong), stamps, pieces, reading.done)


def verify_model(folder: Path, manifest: Manifest, work: Work) -> tuple[VerifyReport, Manifest]:
    """Read every file of a model; return the report, and the manifest with the stamps and check sums that follow.

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
    )
    files = tuple(
        replace(file, stamp=check.stamps[file.path], pieces=check.pieces.get(file.path, file.pieces))
        for file in manifest.files
    )
    return report, replace(manifest, files=files)
