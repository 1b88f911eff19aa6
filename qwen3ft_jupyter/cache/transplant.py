"""Copies a model folder to another volume: bytes first, marked incomplete; read again; then the record."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.audit import walk_all, walk_files
from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.layout import mark_incomplete, marked_repo_id, unmark_incomplete
from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, Manifest, Stamp, file_state, read_manifest, write_manifest
from qwen3ft_jupyter.disk import READ_FLAGS, make_folders, make_own_folder
from qwen3ft_jupyter.errors import CacheDamaged, Stopped
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.names import RepoId

COPY_BYTES: Final = 1 << 20
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class NotMovable(Exception):
    """A folder has to stay where it is; the reason follows its name in a sentence."""


@dataclass(slots=True)
class Ground:
    """What the folders that are copied in one go have in common."""

    disk: Disk
    stop: threading.Event
    on_bytes: Callable[[int], None]
    linked: dict[tuple[int, int], Path] = field(default_factory=dict)
    """By source inode: where a file with several names was copied to."""
    digests: dict[tuple[int, int], tuple[str, Stamp]] = field(default_factory=dict)
    """By target inode: what was read, so that a file with several names is read once."""


class Transplant:
    """One model folder on its way from `source` to `target`; they never share a file."""

    def __init__(self, source: Path, target: Path, repo_id: RepoId, manifest: Manifest | None, ground: Ground) -> None:
        self.source = source
        self.target = target
        self.repo_id = repo_id
        self.manifest = manifest
        """What says which bytes are right; without it the copy is compared with the source."""
        self.is_incomplete = marked_repo_id(source) is not None
        """Whether the source is a download that was cut short while it was put in place; it stays one."""
        self.is_new = False
        """Whether the target was made by this very object."""
        self._ground = ground
        self._record = read_manifest(source)
        self._read: dict[str, str] = {}
        """The sha256 of what was copied, by path."""
        self._may_write = True

    def size_bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(status.st_size for _, status in self._files() if stat.S_ISREG(status.st_mode))

    def missing_bytes(self, seen: set[tuple[int, int]]) -> int:
        """Return the bytes that the target has yet to take; a file whose inode is in `seen` is there already."""
        missing = 0
        for path, status in self._files():
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISREG(status.st_mode) and identity not in seen and _size(self.target / path) != status.st_size:
                missing += status.st_size
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
        if self._is_settled():
            self._ground.on_bytes(self.size_bytes())
            return
        self.is_new = not os.path.lexists(self.target)
        make_folders(self.target, disk=self._ground.disk)
        mark_incomplete(self.target, self.repo_id, disk=self._ground.disk)
        for path, status in self._files():
            goal = self.target / path
            self._make_parents(path)
            if not stat.S_ISREG(status.st_mode):
                self._copy_symlink(path)
            elif _size(goal) == status.st_size:
                self._ground.on_bytes(status.st_size)
            else:
                self._copy_file(path, status)

    def complete(self) -> None:
        """Read every copy again and make the target a model.

        Raises:
            NotMovable: The source is damaged, or the target is another model.
            CacheDamaged: The target does not give back what was written.
            OSError, Stopped: As `copy`.
        """
        is_recorded = self.manifest is not None and not self.is_incomplete
        right: dict[str, str] = {}
        if self.manifest is not None and is_recorded:
            right.update((file.path, file.sha256) for file in self.manifest.files)
        stamps: dict[str, Stamp | None] = {}
        if self._is_settled() and self._has_right_stamps():
            self._ground.on_bytes(self.size_bytes())
            return
        for path, status in self._files():
            if stat.S_ISREG(status.st_mode):
                stamps[path] = self._checked(path, right.get(path) or self._read.get(path), status)
        if not self._may_write:
            return
        for folder in {(self.target / path).parent for path, _ in self._files()}:
            self._ground.disk.fsync_folder(folder)
        if self.manifest is not None:
            files = (replace(f, stamp=stamps.get(f.path) if is_recorded else None) for f in self.manifest.files)
            write_manifest(self.target, replace(self.manifest, files=tuple(files)), disk=self._ground.disk)
        if self.is_incomplete:
            return
        unmark_incomplete(self.target, disk=self._ground.disk)
        if self.manifest is None:
            with contextlib.suppress(OSError):  # it holds something that was copied
                self._ground.disk.remove_folder(self.target / RECORD_FOLDER)

    def is_unchanged(self) -> bool:
        """Return whether the source is still what was copied."""
        now = read_manifest(self.source)
        if now is None or self._record is None:
            return now is self._record
        return now.with_stamps_of(self._record) is not None

    def _is_settled(self) -> bool:
        """Return whether the target is there under no mark of ours: then it is not written to, only compared.

        Raises NotMovable if it is something else.
        """
        if not os.path.lexists(self.target):
            return False
        if self.target.is_symlink() or not self.target.is_dir():
            raise NotMovable("something else has its name there")
        mark = marked_repo_id(self.target)
        if mark is not None and mark != self.repo_id:
            raise NotMovable("another model has its name there")
        there = read_manifest(self.target)
        is_empty = there is None and next(walk_files(self.target), None) is None  # a kill came before the mark
        if mark is not None or is_empty:
            return False
        is_same = _contents(there) == _contents(self.manifest) if there or self.manifest else self._has_same_sizes()
        if not is_same:
            raise NotMovable("another model, or another state of it, has its name there")
        self._may_write = False
        return True

    def _has_same_sizes(self) -> bool:
        return all(_size(self.target / path) == status.st_size for path, status in self._files())

    def _has_right_stamps(self) -> bool:
        there = read_manifest(self.target)
        return there is not None and all(file_state(self.target, file) == "same" for file in there.files)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the files and symlinks, those of our record that are no record of the model included."""
        for path in walk_all(self.source):
            status = (self.source / path).lstat()
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status

    def _make_parents(self, path: str) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            make_own_folder(self.target.joinpath(*parts[:depth]), disk=self._ground.disk)

    def _copy_symlink(self, path: str) -> None:
        leads_to, goal = (self.source / path).readlink(), self.target / path
        if os.path.lexists(goal):
            self._ground.disk.unlink(goal)
        try:
            goal.symlink_to(leads_to)
        except OSError as error:
            raise NotMovable("the other volume cannot hold its symlinks") from error

    def _copy_file(self, path: str, status: os.stat_result) -> None:
        goal, ground = self.target / path, self._ground
        if os.path.lexists(goal):
            ground.disk.unlink(goal)  # half a copy of an earlier attempt
        twin = ground.linked.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if twin is not None:
            with contextlib.suppress(OSError):
                ground.disk.link(twin, goal)
                ground.on_bytes(status.st_size)
                return
        self._read[path] = self._copy_bytes(self.source / path, goal)
        with contextlib.suppress(OSError):  # a volume without permissions or times
            ground.disk.chmod(goal, stat.S_IMODE(status.st_mode))
            os.utime(goal, ns=(status.st_atime_ns, status.st_mtime_ns))
        if status.st_nlink > 1:
            ground.linked[status.st_dev, status.st_ino] = goal

    def _copy_bytes(self, source: Path, goal: Path) -> str:
        sha256, position, disk = hashlib.sha256(), 0, self._ground.disk
        with os.fdopen(os.open(source, READ_FLAGS), "rb", buffering=0) as reader:
            descriptor = disk.open(goal, _WRITE)
            try:
                while data := reader.read(COPY_BYTES):
                    if self._ground.stop.is_set():
                        raise Stopped("The move was stopped.", hint="Nothing was deleted; start it again to go on.")
                    disk.write_at(descriptor, memoryview(data), position)
                    sha256.update(data)
                    position += len(data)
                    self._ground.on_bytes(len(data))
                disk.fsync(descriptor)
            finally:
                disk.close(descriptor)
        return sha256.hexdigest()

    def _checked(self, path: str, right: str | None, status: os.stat_result) -> Stamp:
        """Return the stamp of a copy that has the right bytes; what has not is copied once more."""
        if right is None:
            right, _ = self._digest(self.source / path)
        found, stamp = self._digest(self.target / path, counts=True)
        if found == right:
            return stamp
        if not self._may_write:
            raise NotMovable("another state of it has its name there")
        if self._digest(self.source / path)[0] != right:
            raise NotMovable("it is damaged, so repair it first")
        self._ground.linked.clear()  # of a wrong copy no second name is made
        self._ground.disk.unlink(self.target / path)
        self._copy_file(path, status)
        found, stamp = self._digest(self.target / path)
        if found != right:
            raise CacheDamaged(
                f"{self.repo_id}: {path} was copied twice and reads differently from what was written.",
                hint="The other volume is broken. Nothing was deleted from this one.",
            )
        return stamp

    def _digest(self, path: Path, *, counts: bool = False) -> tuple[str, Stamp]:
        def on_bytes(count: int) -> None:
            Work(stop=self._ground.stop).check()
            if counts:
                self._ground.on_bytes(count)

        status = path.lstat()
        known = self._ground.digests.get((status.st_dev, status.st_ino))
        if known is not None and known[1] == Stamp.of(status):
            on_bytes(status.st_size)
            return known
        digest = digest_file(path, with_git=False, on_bytes=on_bytes)
        if digest is None:
            raise NotMovable("it changed while it was moved")
        self._ground.digests[status.st_dev, status.st_ino] = digest.sha256, digest.stamp
        return digest.sha256, digest.stamp


def _contents(manifest: Manifest | None) -> object:
    return manifest and (manifest.repo_id, {(file.path, file.sha256) for file in manifest.files})


def _size(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:
        return -1
    return status.st_size if not stat.S_ISDIR(status.st_mode) else -1
