"""Puts verified files at their place: rename, read-only, fsync of the folder, the manifest last."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.layout import REPLACED_FOLDER, mark_incomplete, unmark_incomplete
from qwen3ft_jupyter.cache.manifest import (
    Manifest,
    ManifestFile,
    Stamp,
    make_record_folder,
    read_manifest,
    write_manifest,
)
from qwen3ft_jupyter.disk import fsync_folder
from qwen3ft_jupyter.errors import CacheDamaged
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.reporting import Reporter
    from qwen3ft_jupyter.transfer.partial import FetchedFile

COPY_BYTES: Final = 1 << 20


def commit_model(
    folder: Path,
    listing: Listing,
    *,
    kept: Mapping[SafePath, ManifestFile],
    fetched: Sequence[FetchedFile],
    copies: Mapping[SafePath, SafePath],
    previous: Manifest | None,
    now: float,
    reporter: Reporter,
) -> Manifest:
    """Make `folder` hold exactly the files of `listing` and return its manifest.

    Args:
        folder: The model's folder; made if it is not there.
        listing: What the model consists of.
        kept: The files that are at their place and right.
        fetched: Those that travelled.
        copies: The rest, and which of the others has the same bytes.
        previous: The manifest until now. Files it names and the listing does not are deleted; without a manifest the
            folder is somebody else's work, and what has to make way is moved to ``.qwen3ft/replaced``.
        now: Unix seconds.
        reporter: Is told what was moved away.

    Raises:
        WrongBytes, NoSpace, CacheNotWritable, TransferError: Nothing wrong is visible then, and nothing is lost.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark_incomplete(folder, listing.repo_id)
        ours = {file.path for file in previous.files} if previous else set()
        for file in fetched:
            _make_way(folder, file.file.path, is_ours=file.file.path in ours, reporter=reporter)
            file.move_to(folder / file.file.path)
        for path, source in copies.items():
            _make_way(folder, path, is_ours=path in ours, reporter=reporter)
            _copy(folder / source, folder / path)
        _remove_outdated(folder, ours - {file.path for file in listing.files})
        for parent in sorted({(folder / file.path).parent for file in listing.files}):
            fsync_folder(parent)
        fresh = [_manifest_file(folder, file) for file in fetched]
        fresh += [_made_read_only(folder, file) for file in kept.values()]
        by_path = {file.path: file for file in fresh}
        fresh += [_copied_entry(folder, path, by_path[source]) for path, source in copies.items()]
        newest = read_manifest(folder)  # a pin may have been made while the files arrived
        manifest = Manifest(
            listing.repo_id,
            listing.hub,
            listing.revision,
            listing.commit,
            created=now,
            last_used=now,
            files=tuple(sorted(fresh, key=lambda file: file.path)),
            pinned=newest is not None and newest.pinned,
        )
        write_manifest(folder, manifest)
        unmark_incomplete(folder)
    except OSError as error:
        raise disk_error(error, listing.repo_id) from error
    return manifest


def _make_way(folder: Path, path: SafePath, *, is_ours: bool, reporter: Reporter) -> None:
    """Make the parents of a file, and move away what has its name; a planted symlink is removed, never followed."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        parent = folder.joinpath(*parts[:depth])
        if os.path.lexists(parent) and (parent.is_symlink() or not parent.is_dir()):
            _move_aside(folder, parent, reporter)
        parent.mkdir(exist_ok=True)
    target = folder / path
    if not os.path.lexists(target):
        return
    status = target.lstat()
    if not (is_ours and stat.S_ISREG(status.st_mode)):
        _move_aside(folder, target, reporter)


def _move_aside(folder: Path, path: Path, reporter: Reporter) -> None:
    if path.is_symlink():
        path.unlink()
        return
    name = path.relative_to(folder).as_posix()
    aside = make_record_folder(folder) / REPLACED_FOLDER
    aside.mkdir(exist_ok=True)
    for number in range(1000):
        target = aside / (name.replace("/", "_") + (f".{number}" if number else ""))
        if not os.path.lexists(target):
            os.replace(path, target)
            reporter.notice(f"{name} is not the hub's file; it was moved to .qwen3ft/{REPLACED_FOLDER}.")
            return
    raise CacheDamaged(f"{name}: too many replaced files are kept.", hint=f"Empty .qwen3ft/{REPLACED_FOLDER}.")


def _remove_outdated(folder: Path, paths: Iterable[SafePath]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            _unlink(folder / path)


def _copy(source: Path, target: Path) -> None:
    """Copy a file of ours; one that a crash leaves half is no part of a model yet, and its size tells."""
    _unlink(target)
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, COPY_BYTES)
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(stat.S_IMODE(source.lstat().st_mode) & ~0o222)


def _unlink(path: Path) -> None:
    if os.name == "nt" and path.exists():
        path.chmod(stat.S_IWRITE)  # Windows deletes no read-only file
    path.unlink(missing_ok=True)


def _manifest_file(folder: Path, file: FetchedFile) -> ManifestFile:
    stamp = Stamp.of((folder / file.file.path).lstat())
    return ManifestFile(file.file.path, file.file.size, file.sha256, stamp)


def _copied_entry(folder: Path, path: SafePath, source: ManifestFile) -> ManifestFile:
    return ManifestFile(path, source.size, source.sha256, Stamp.of((folder / path).lstat()))


def _made_read_only(folder: Path, file: ManifestFile) -> ManifestFile:
    """Return the entry of a kept file after taking the right to write; where that fails, the file is kept as it is."""
    path = folder / file.path
    before = path.lstat()
    if not before.st_mode & 0o222 or file.stamp != Stamp.of(before):
        return file
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IMODE(before.st_mode) & ~0o222)
    return ManifestFile(file.path, file.size, file.sha256, Stamp.of(path.lstat()))
