"""Puts verified files at their place: rename, read-only, fsync of the folders, the manifest last.

A kill or a power cut at any moment leaves the model as it was, or marked incomplete, which is absent, or new and whole.
The data of the files was synced before it was judged; what lies between is the order of names in folders.
"""

from __future__ import annotations

import contextlib
import secrets
import stat
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.clone import clone
from qwen3ft_jupyter.cache.own.manifest import (
    RECORD_FOLDER,
    REPLACED_FOLDER,
    Manifest,
    ManifestFile,
    Stamp,
    make_record_folder,
    mark_incomplete,
    read_manifest,
    unmark_incomplete,
    write_manifest,
)
from qwen3ft_jupyter.cache.own.piece_sums import piece_sums
from qwen3ft_jupyter.cache.own.stamps import stamps_kept
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.disk import LOCAL, age_s, make_folders, make_own_folder
from qwen3ft_jupyter.errors import CacheDamaged
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_folder, is_link, is_there, matching
from qwen3ft_jupyter.transfer.journal import ORPHAN_S
from qwen3ft_jupyter.transfer.volume import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import SharedFile
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.hubs.names import SafePath, Sha256
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.work import Reporter

ATTEMPTS: Final = 3
"""So often a file is read that another process touches at the same moment."""
MAX_TEXT_BYTES: Final = 64 << 20
"""Nobody edits a longer file by hand; the largest tokenizers have 20 MB."""
COPY_SUFFIX: Final = ".copy"
"""Ends the name of a copy under way, in the record folder."""


@dataclass(frozen=True, slots=True)
class Content:
    """Where the files of a model come from; together they are those of its listing."""

    kept: Mapping[SafePath, ManifestFile]
    """The files that are at their place and right."""
    fetched: Sequence[FetchedFile]
    """Those that travelled."""
    copies: Mapping[SafePath, SafePath]
    """The rest, and which of the others has the same bytes."""
    shared: Mapping[SafePath, SharedFile] = field(default_factory=dict)
    """Those that another model of this cache has, too: they get a second name where the volume can."""
    previous: Manifest | None = None
    """The manifest until now. Files it names and the listing does not are deleted, but for texts that somebody has
    edited; without a manifest the folder is somebody else's work. What has to make way, and is none of what was
    downloaded, is moved to ``.qwen3ft/replaced``."""

    @property
    def inodes(self) -> set[int]:
        """Return those that get or lose a name: of files that other models lend, or may have been lent."""
        entries = [*(self.previous.files if self.previous else ()), *(file.entry for file in self.shared.values())]
        return {entry.stamp.inode for entry in entries if entry.stamp is not None}


def commit_model(
    folder: Path, listing: Listing, content: Content, *, now: float, reporter: Reporter, disk: Disk = LOCAL
) -> Manifest:
    """Make `folder` hold exactly the files of `listing` and return its manifest.

    Args:
        folder: The model's folder; made if it is not there.
        listing: What the model consists of.
        content: Where its files come from.
        now: Unix seconds.
        reporter: Is told what was moved away.
        disk: What is written to.

    Raises:
        WrongBytes, NoSpace, CacheNotWritable, CacheDamaged, TransferError: Nothing wrong is visible then, and nothing
            is lost.
    """
    ours: dict[str, ManifestFile] = {file.path: file for file in content.previous.files} if content.previous else {}
    place = _Place(folder, ours, disk, reporter)
    try:
        make_folders(folder, disk=disk)
        mark_incomplete(folder, listing.repo_id, disk=disk)
        entries = _put_all(place, listing, content)
        place.sync(file.path for file in listing.files)
        for file in content.fetched:
            file.forget(disk=disk)
        newest = read_manifest(folder)  # a pin may have been made while the files arrived
        manifest = Manifest(
            listing.repo_id,
            listing.hub,
            listing.revision,
            listing.commit,
            created=now,
            last_used=now,
            files=tuple(sorted(entries.values(), key=lambda file: file.path)),
            pinned=newest is not None and newest.pinned,
            left_out=listing.left_out,
        )
        write_manifest(folder, manifest, disk=disk)
        unmark_incomplete(folder, disk=disk)
        _clear_rests(folder / RECORD_FOLDER, disk)
        disk.fsync_folder(folder / RECORD_FOLDER)  # else a power cut brings the mark back
    except OSError as error:
        raise disk_error(error, listing.repo_id) from error
    return manifest


def _put_all(place: _Place, listing: Listing, content: Content) -> dict[SafePath, ManifestFile]:
    """Put every file at its place and return the entries by path."""
    entries = {path: _made_read_only(place.folder, file, place.disk) for path, file in content.kept.items()}
    with stamps_kept(place.folder.parent, content.inodes, but=place.folder, disk=place.disk):
        place.remove(place.ours.keys() - {file.path for file in listing.files}, but=content.kept)
        entries |= {file.file.path: place.put(file) for file in content.fetched}
        entries |= {path: place.copy(f.path, path, f.entry, may_link=True) for path, f in content.shared.items()}
    copies = content.copies.items()
    return entries | {path: place.copy(place.folder / source, path, entries[source]) for path, source in copies}


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder of a model while files are put in and taken out."""

    folder: Path
    ours: Mapping[str, ManifestFile]
    """What the manifest named until now, by path."""
    disk: Disk
    reporter: Reporter

    def make_way(self, path: SafePath, sha256: Sha256) -> None:
        """Make the parents of a file, and move away what has its name; a planted symlink is removed, never followed.

        A file with the very bytes that are to come, `sha256`, is replaced: another process, at the same work because
        the volume's exclusive creation lies, was faster.
        """
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = self.folder.joinpath(*parts[:depth])
            if is_there(parent) and (is_link(parent) or not is_folder(parent)):
                self._move_aside(parent)
            make_folders(parent, disk=self.disk)
        target = self.folder / path
        if not is_there(target):
            return
        own = self.ours.get(path)
        if not stat.S_ISREG(target.lstat().st_mode) or (own is None and not _has_bytes(target, sha256)):
            self._move_aside(target)
        elif own is not None and _is_edited(target, own, but=sha256):
            self._move_aside(target, is_edited=True)

    def put(self, file: FetchedFile) -> ManifestFile:
        """Move a file to its place and return its entry."""
        path, size = file.file.path, file.file.size
        self.make_way(path, file.sha256)
        file.move_to(self.folder / path, disk=self.disk)
        stamp = Stamp.of((self.folder / path).lstat())
        return ManifestFile(path, size, file.sha256, stamp, piece_sums(file.partial.records, size))

    def copy(self, source: Path, path: SafePath, entry: ManifestFile, *, may_link: bool = False) -> ManifestFile:
        """Copy a file, or give it a second name, and return its entry, given that of the source.

        Half a copy never has the name.
        """
        self.make_way(path, entry.sha256)
        half = make_record_folder(self.folder, disk=self.disk) / f"{secrets.token_hex(8)}{COPY_SUFFIX}"
        clone(source, half, may_link=may_link, disk=self.disk)
        self.disk.replace(half, self.folder / path)
        with contextlib.suppress(FileNotFoundError):  # POSIX leaves both names if they were of one file already
            self.disk.unlink(half)
        _take_write_permission(self.folder / path, self.disk)
        return replace(entry, path=path, stamp=Stamp.of((self.folder / path).lstat()))

    def remove(self, paths: Iterable[str], *, but: Collection[str]) -> None:
        """Delete files that are no part of the model any more, and folders that are empty then.

        Before anything is put in, for a file may become a folder. Where case does not tell names apart, one may be a
        file of `but` that is spelled otherwise now.
        """
        spellings = {path.casefold(): self.folder / path for path in but}
        for path in paths:
            same = spellings.get(path.casefold())
            with contextlib.suppress(OSError):
                if same is not None and same.samefile(self.folder / path):
                    continue
                if _is_edited(self.folder / path, self.ours[path]):
                    self._move_aside(self.folder / path, is_edited=True)
                else:
                    self.disk.unlink(self.folder / path)
                for parent in PurePosixPath(path).parents[:-1]:
                    self.disk.remove_folder(self.folder / parent)

    def sync(self, paths: Iterable[SafePath]) -> None:
        """Make the names of the files survive a power cut, with those of the folders they lie in."""
        folders = {
            self.folder.joinpath(*path.split("/")[:depth]) for path in paths for depth in range(path.count("/") + 1)
        }
        for folder in sorted(folders):
            self.disk.fsync_folder(folder)

    def _move_aside(self, path: Path, *, is_edited: bool = False) -> None:
        if is_link(path):
            self.disk.unlink(path)
            return
        name = path.relative_to(self.folder).as_posix()
        aside = make_record_folder(self.folder, disk=self.disk) / REPLACED_FOLDER
        make_own_folder(aside, disk=self.disk)
        for number in range(1000):
            target = aside / (name.replace("/", "_") + (f".{number}" if number else ""))
            if not is_there(target):
                _move(path, target, self.disk)
                self.reporter.notice(_moved(name, is_edited=is_edited))
                return
        raise CacheDamaged(
            "{name}: too many replaced files are kept.",
            hint="Empty .qwen3ft/{replaced_folder}.",
            name=name,
            replaced_folder=REPLACED_FOLDER,
        )


def _moved(name: str, *, is_edited: bool) -> Message:
    if is_edited:
        return Message(
            "{name} was edited here; the edited file was moved to .qwen3ft/{replaced_folder}.",
            name=name,
            replaced_folder=REPLACED_FOLDER,
        )
    return Message(
        "{name} is not the hub's file; it was moved to .qwen3ft/{replaced_folder}.",
        name=name,
        replaced_folder=REPLACED_FOLDER,
    )


def _move(source: Path, target: Path, disk: Disk) -> None:
    """Rename a file or, name by name, a folder: not every volume renames folders."""
    if is_link(source) or not is_folder(source):
        disk.replace(source, target)
        return
    make_folders(target, disk=disk)
    for path in matching(source, "*"):
        _move(path, target / path.name, disk)
    disk.remove_folder(source)


def _has_bytes(path: Path, sha256: Sha256) -> bool:
    for _ in range(ATTEMPTS):
        digest = digest_file(path, with_git=False, on_bytes=lambda _: None)
        if digest is not None:
            return digest.sha256 == sha256
    return False


def _is_edited(path: Path, own: ManifestFile, *, but: Sha256 | None = None) -> bool:
    """Return whether a file that was downloaded is a text with other bytes now, and not those of `but`.

    Weights are never kept: there it is damage, and repairing it may not cost their room once more.
    """
    status = path.lstat()
    if own.stamp == Stamp.of(status) or not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= MAX_TEXT_BYTES:
        return False
    if path.name.endswith(".safetensors") or any(_has_bytes(path, digest) for digest in (own.sha256, but) if digest):
        return False
    try:
        return "\0" not in path.read_text("utf-8")
    except ValueError:
        return False


def _clear_rests(record: Path, disk: Disk) -> None:
    """Delete what kills left in the record folder, if it is old enough not to be in use."""
    for path in [*matching(record, "*.tmp"), *matching(record, f"*{COPY_SUFFIX}")]:
        with contextlib.suppress(OSError):
            if age_s(path, disk=disk) > ORPHAN_S:
                disk.unlink(path)


def _made_read_only(folder: Path, file: ManifestFile, disk: Disk) -> ManifestFile:
    """Return the entry of a kept file after taking the right to write; where that fails, the file is kept as it is."""
    path = folder / file.path
    before = path.lstat()
    if not before.st_mode & 0o222 or file.stamp != Stamp.of(before):
        return file
    _take_write_permission(path, disk)
    return replace(file, stamp=Stamp.of(path.lstat()))


def _take_write_permission(path: Path, disk: Disk) -> None:
    """Protect a file from accidents, where the volume has permissions."""
    with contextlib.suppress(OSError):
        disk.chmod(path, stat.S_IMODE(path.lstat().st_mode) & ~0o222)
