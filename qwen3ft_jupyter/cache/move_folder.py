"""Copies a model folder to another volume: bytes first, marked incomplete; read again; then the record."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.clone import clone
from qwen3ft_jupyter.cache.own.manifest import (
    RECORD_FOLDER,
    Manifest,
    Stamp,
    file_state,
    mark_incomplete,
    marked_repo_id,
    read_manifest,
    unmark_incomplete,
    walk_all,
    write_manifest,
)
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.disk import make_folders, make_own_folder
from qwen3ft_jupyter.errors import CacheDamaged
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_folder, is_link, is_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.reading import Reading
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.work import Work


class NotMovable(Exception):
    """A folder has to stay where it is; the reason follows its name in a sentence."""


@dataclass(slots=True)
class MoveWork:
    """What the folders that are copied in one go have in common."""

    disk: Disk
    work: Work
    reading: Reading
    """The phase under way."""
    linked: dict[tuple[int, int], Path] = field(default_factory=dict)
    """By source inode: where a file with several names was copied to."""
    digests: dict[tuple[int, int], tuple[str, Stamp]] = field(default_factory=dict)
    """By inode: what was read, so that a file with several names is read once."""

    def digest(self, path: Path, *, counts: bool = False) -> tuple[str, Stamp]:
        """Return what a file holds; `counts` whether that is progress. Raises NotMovable, OSError, Stopped."""
        on_bytes = self.reading.advance if counts else self._look
        status = path.lstat()
        known = self.digests.get((status.st_dev, status.st_ino))
        if known is not None and known[1] == Stamp.of(status):
            on_bytes(status.st_size)
            return known
        digest = digest_file(path, with_git=False, on_bytes=on_bytes)
        if digest is None:
            raise NotMovable(Message("it changed while it was moved"))
        found = digest.sha256, Stamp.of(digest.status)
        self.digests[status.st_dev, status.st_ino] = found
        return found

    def _look(self, _count: int) -> None:
        self.work.check()


class FolderMove:
    """One model folder on its way from `source` to `target`; they never share a file."""

    def __init__(self, source: Path, target: Path, repo_id: RepoId, manifest: Manifest | None, work: MoveWork) -> None:
        self.source = source
        self.target = target
        self.repo_id = repo_id
        self.manifest = manifest
        """What says which bytes are right; without it the copy is compared with the source."""
        self.is_incomplete = marked_repo_id(source) is not None
        """Whether the source is a download that was cut short while it was put in place; it stays one."""
        self.is_new = False
        """Whether the target was made by this very object."""
        self.was_there = False
        """Whether the target was complete before: then it is not written to, only compared."""
        self._work = work
        self._record = read_manifest(source)
        self._files = _list_files(source)

    def size_bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(_bytes_of(status) for status in self._files.values())

    def missing_bytes(self, seen: set[tuple[int, int]]) -> int:
        """Return the bytes that the target has yet to take; a file whose inode is in `seen` is there already."""
        missing = 0
        for path, status in self._files.items():
            identity = (status.st_dev, status.st_ino)
            if identity not in seen and _size(self.target / path) != status.st_size:
                missing += _bytes_of(status)
            if status.st_nlink > 1:
                seen.add(identity)
        return missing

    def copy(self) -> None:
        """Copy what is not in the target yet, under a mark that makes it no model. Goes on where an earlier one ended.

        Raises:
            NotMovable: The name is taken in the target by something else.
            OSError: Reading or writing failed.
            Stopped: The stop signal was set; what was copied stays.
        """
        self.was_there = self._is_there()
        if self.was_there:
            self._work.reading.advance(self.size_bytes())
            return
        self.is_new = not is_there(self.target)
        make_folders(self.target, disk=self._work.disk)
        mark_incomplete(self.target, self.repo_id, disk=self._work.disk)
        for path, status in self._files.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                make_own_folder(self.target.joinpath(*parts[:depth]), disk=self._work.disk)
            if stat.S_ISLNK(status.st_mode):
                self._copy_symlink(path)
            elif _size(self.target / path) != status.st_size:
                self._copy_file(path, status)
            else:
                self._work.reading.advance(status.st_size)

    def complete(self) -> None:
        """Read every copy again and make the target a model.

        Raises:
            NotMovable: The source is damaged, or the target is another model.
            CacheDamaged: The target does not give back what was written.
            OSError, Stopped: As `copy`.
        """
        record = self.manifest if not self.is_incomplete else None
        right: dict[str, str] = {file.path: file.sha256 for file in record.files} if record is not None else {}
        if self.was_there:
            self._compare(right)
            return
        stamps = {path: self._checked(path, right.get(path)) for path in self._regular()}
        for folder in {(self.target / path).parent for path in self._files}:
            self._work.disk.fsync_folder(folder)
        self._write_record(stamps if record is not None else {})

    def _write_record(self, stamps: Mapping[str, Stamp]) -> None:
        """Write what makes the target a model, with the stamps of its files, unless it is to stay incomplete."""
        disk = self._work.disk
        if self.manifest is not None:
            files = tuple(replace(file, stamp=stamps.get(file.path)) for file in self.manifest.files)
            write_manifest(self.target, replace(self.manifest, files=files), disk=disk)
        if self.is_incomplete:
            return
        unmark_incomplete(self.target, disk=disk)
        if self.manifest is None:
            with contextlib.suppress(OSError):  # it holds something that was copied
                disk.remove_folder(self.target / RECORD_FOLDER)

    def _regular(self) -> list[str]:
        return [path for path, status in self._files.items() if stat.S_ISREG(status.st_mode)]

    def is_unchanged(self) -> bool:
        """Return whether the source is still what was copied."""
        now = read_manifest(self.source)
        if now is None or self._record is None:
            is_same = now is self._record
        else:
            is_same = now.with_stamps_of(self._record) is not None
        return is_same and _identities(_list_files(self.source)) == _identities(self._files)

    def _is_there(self) -> bool:
        """Return whether the target is there under no mark of ours. Raises NotMovable if it is something else."""
        if not is_there(self.target):
            return False
        if is_link(self.target) or not is_folder(self.target):
            raise NotMovable(Message("something else has its name there"))
        mark = marked_repo_id(self.target)
        if mark is not None and mark != self.repo_id:
            raise NotMovable(Message("another model has its name there"))
        there = read_manifest(self.target)
        is_empty = there is None and next(walk_all(self.target), None) is None  # a kill came before the mark
        if mark is not None or is_empty:
            return False
        if not self._is_same(there):
            raise NotMovable(Message("another model, or another state of it, has its name there"))
        return True

    def _is_same(self, there: Manifest | None) -> bool:
        """Return whether the target seems to hold the same files."""
        if there or self.manifest:
            return _contents(there) == _contents(self.manifest)
        return all(_size(self.target / path) == status.st_size for path, status in self._files.items())

    def _compare(self, right: dict[str, str]) -> None:
        """Read a target that was there, unless its stamps vouch for it. Raises NotMovable if it is another model."""
        there = read_manifest(self.target)
        if there is None or any(file_state(self.target, file) != "same" for file in there.files):
            for path in right or self._regular():
                expected = right.get(path) or self._work.digest(self.source / path)[0]
                if self._work.digest(self.target / path, counts=True)[0] != expected:
                    raise NotMovable(Message("another state of it has its name there"))
        else:
            self._work.reading.advance(self.size_bytes())

    def _copy_symlink(self, path: str) -> None:
        goal = self.target / path
        if is_there(goal):
            self._work.disk.unlink(goal)
        try:
            goal.symlink_to((self.source / path).readlink())
        except OSError as error:
            raise NotMovable(Message("the other volume cannot hold its symlinks")) from error

    def _copy_file(self, path: str, status: os.stat_result) -> None:
        goal, work = self.target / path, self._work
        if is_there(goal):
            work.disk.unlink(goal)  # half a copy of an earlier attempt
        twin = work.linked.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if twin is not None:
            with contextlib.suppress(OSError):
                work.disk.link(twin, goal)
                work.reading.advance(status.st_size)
                return
        clone(self.source / path, goal, on_bytes=work.reading.advance, disk=work.disk)
        with contextlib.suppress(OSError):  # a volume without permissions or times
            work.disk.chmod(goal, stat.S_IMODE(status.st_mode))
            os.utime(goal, ns=(status.st_atime_ns, status.st_mtime_ns))
        if status.st_nlink > 1:
            work.linked[status.st_dev, status.st_ino] = goal

    def _checked(self, path: str, recorded: str | None) -> Stamp:
        """Return the stamp of a copy that has the right bytes; what has not is copied once more."""
        right = recorded or self._work.digest(self.source / path)[0]
        found, stamp = self._work.digest(self.target / path, counts=True)
        if found == right:
            return stamp
        if self._work.digest(self.source / path)[0] != right:
            raise NotMovable(Message("it is damaged, so repair it first"))
        self._work.linked.clear()  # of a wrong copy no second name is made
        self._work.disk.unlink(self.target / path)
        self._copy_file(path, self._files[path])
        found, stamp = self._work.digest(self.target / path)
        if found != right:
            raise CacheDamaged(
                "{repo_id}: {path} was copied twice and reads differently from what was written.",
                hint="The other volume is broken. Nothing was deleted from this one.",
                repo_id=self.repo_id,
                path=path,
            )
        return stamp


def _list_files(folder: Path) -> dict[str, os.stat_result]:
    """Return the files and symlinks of a folder, without those that our record consists of."""
    found = ((path, (folder / path).lstat()) for path in walk_all(folder))
    return {path: status for path, status in found if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)}


def _identities(files: dict[str, os.stat_result]) -> dict[str, tuple[int, ...]]:
    """Return what a change of a file's bytes changes; the number of its names does not."""
    return {path: (status.st_size, status.st_mtime_ns, status.st_ino) for path, status in files.items()}


def _bytes_of(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _contents(manifest: Manifest | None) -> object:
    return manifest and (manifest.repo_id, {(file.path, file.sha256) for file in manifest.files})


def _size(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:
        return -1
    return status.st_size if not stat.S_ISDIR(status.st_mode) else -1
