"""Finds models on disk for those who ask, and opens their files only when the bytes are the listed ones."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.layout import is_marked_incomplete
from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, Stamp, manifest_path, read_manifest
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs.names import check_paths, is_wanted, path_problem
from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel, derived_commit, from_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.hubs.names import RepoId, Sha256

RESCAN_S: Final = 0.25
"""A model that is not known is looked for on disk this often at most; so long a new one may stay unseen."""


class Library:
    """Models of one cache folder, and folders registered under a name.

    A model appears as soon as its manifest does, and goes with it. Thread-safe.
    """

    def __init__(
        self,
        folders: Mapping[RepoId, Path],
        cache_dir: Path | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Read what has to be read first: the files of registered folders without a manifest.

        Raises:
            NotCached: A registered folder has no file that could be served.
            BadListing: Names in a registered folder clash on some platform.
            OSError: It cannot be read.
            Stopped: `stop` was set.
        """
        self._digests = _Digests(stop or threading.Event())
        self._folders: dict[str, _PlainFolder] = {
            repo_id: _PlainFolder(repo_id, folder, self._digests) for repo_id, folder in folders.items()
        }
        self._cache = _CacheFolder(cache_dir) if cache_dir is not None else None
        for repo_id, folder in self._folders.items():
            if folder.current() is None:
                raise NotCached(f"{repo_id}: its folder holds no file that could be served.")

    def find(self, repo_id: str) -> ServedModel | None:
        """Return the model called `repo_id`, or None."""
        folder = self._folders.get(repo_id)
        if folder is not None:
            return folder.current()
        return self._cache.find(repo_id) if self._cache is not None else None

    def find_whole(self, repo_id: str) -> ServedModel | None:
        """Return the model if nothing shows that a file of it is missing or changed: what is listed can be had."""
        model = self.find(repo_id)
        return model if model is not None and all(self._may_be_had(model, f) for f in model.files.values()) else None

    def all(self) -> list[ServedModel]:
        """Return every model that is here, by name."""
        models = [model for folder in self._folders.values() if (model := folder.current()) is not None]
        known = {model.repo_id for model in models}
        if self._cache is not None:
            models += [model for model in self._cache.all() if model.repo_id not in known]
        return sorted(models, key=lambda model: model.repo_id)

    def open(self, model: ServedModel, file: ServedFile) -> tuple[FileIO, Stamp] | None:
        """Return the file, open for reading, and its stamp; None if its bytes are no longer the listed ones.

        Under an unknown stamp the file is read and digested first, once.
        """
        try:
            opened = _open(_place(model, file))
        except OSError:
            return None
        is_good = False
        try:
            status = os.fstat(opened.fileno())
            stamp = Stamp.of(status)
            is_good = stat.S_ISREG(status.st_mode) and self._is_good(model, file, stamp)
        finally:
            if not is_good:
                opened.close()
        return (opened, stamp) if is_good else None

    def has(self, model: ServedModel, file: ServedFile) -> bool:
        """Return whether nothing shows that the file is missing or changed, without reading it."""
        return self._may_be_had(model, file)

    def _is_good(self, model: ServedModel, file: ServedFile, stamp: Stamp) -> bool:
        if stamp.size != file.size:
            return False
        try:
            return stamp == file.stamp or self._digests.of(_place(model, file), stamp) == file.sha256
        except OSError:
            return False

    def _may_be_had(self, model: ServedModel, file: ServedFile) -> bool:
        place = _place(model, file)
        try:
            status = os.lstat(place)
        except OSError:
            return False
        stamp = Stamp.of(status)
        if not stat.S_ISREG(status.st_mode) or stamp.size != file.size:
            return False
        return stamp == file.stamp or self._digests.known(place, stamp) in {None, file.sha256}


class _Digests:
    """Digests of files that had to be read here, each kept as long as the file's stamp stays."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()  # one file is read at a time: it is the disk that takes the time
        self._known: dict[str, tuple[Stamp, Sha256]] = {}

    def known(self, place: str, stamp: Stamp) -> Sha256 | None:
        """Return the digest if the file was read under this stamp."""
        entry = self._known.get(place)
        return entry[1] if entry is not None and entry[0] == stamp else None

    def of(self, place: str, stamp: Stamp) -> Sha256 | None:
        """Return the digest of the file under this stamp, or None if it has another by now."""
        with self._lock:
            known = self.known(place, stamp)
            if known is None:
                digest = digest_file(Path(place), with_git=False, on_bytes=lambda _: None, stop=self._stop)
                if digest is not None:
                    self._known[place] = (digest.stamp, digest.sha256)
                known = self.known(place, stamp)
            return known


class _PlainFolder:
    """A folder registered under a name: by its manifest if it is a cached model, else by what lies in it."""

    def __init__(self, repo_id: RepoId, folder: Path, digests: _Digests) -> None:
        self._repo_id = repo_id
        self._folder = folder
        self._digests = digests
        self._manifest = _Record(folder)
        self._lock = threading.Lock()
        self._seen: dict[str, Stamp] = {}
        self._model: ServedModel | None = None

    def current(self) -> ServedModel | None:
        """Return the model as it is now; what changed is read again and gets another commit."""
        recorded = self._manifest.current()
        if recorded is not None:
            return recorded if recorded.repo_id == self._repo_id else None
        with self._lock:
            seen = dict(_walk(self._folder))
            if seen != self._seen or self._model is None:
                self._model = self._read(seen)
                self._seen = seen
            return self._model

    def _read(self, seen: Mapping[str, Stamp]) -> ServedModel | None:
        files = []
        for path in check_paths(sorted(seen)):
            digest = self._digests.of(f"{self._folder}{os.sep}{path}", seen[path])
            if digest is not None:  # else it is being written: listed once it rests
                files.append(ServedFile(path, seen[path].size, digest, seen[path]))
        if not files:
            return None
        created = max(stamp.mtime_ns for stamp in seen.values()) / 1e9
        by_path = {str(file.path): file for file in files}
        return ServedModel(self._repo_id, self._folder, derived_commit(files), "", created, by_path)


class _Record:
    """The manifest of one folder, parsed again only when it is another file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = str(manifest_path(folder))
        self._marks = f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"
        self._kept: tuple[Stamp, ServedModel | None] | None = None

    def current(self) -> ServedModel | None:
        """Return the cached model in this folder, or None if it is none or just being changed."""
        try:
            stamp = Stamp.of(os.lstat(self._path))
        except OSError:
            return None
        if is_marked_incomplete(self._marks):
            return None
        kept = self._kept
        if kept is None or kept[0] != stamp:
            manifest = read_manifest(self._folder)
            kept = (stamp, from_manifest(self._folder, manifest) if manifest is not None else None)
            self._kept = kept
        return kept[1]


class _CacheFolder:
    """The models of a cache folder, by the names in their manifests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._places: dict[str, _Record] = {}
        self._scanned = float("-inf")

    def find(self, repo_id: str) -> ServedModel | None:
        record = self._places.get(repo_id)
        model = record.current() if record is not None else None
        if model is not None and model.repo_id == repo_id:
            return model
        with self._lock:
            if time.monotonic() - self._scanned >= RESCAN_S:
                self._scan()
            record = self._places.get(repo_id)
        model = record.current() if record is not None else None
        return model if model is not None and model.repo_id == repo_id else None

    def all(self) -> list[ServedModel]:
        with self._lock:
            self._scan()
            return [model for record in self._places.values() if (model := record.current()) is not None]

    def _scan(self) -> None:
        names = set(_model_folders(self._folder))
        self._records = {name: self._records.get(name) or _Record(self._folder / name) for name in sorted(names)}
        places: dict[str, _Record] = {}
        for record in self._records.values():
            model = record.current()
            if model is not None:
                places.setdefault(model.repo_id, record)
        self._places = places
        self._scanned = time.monotonic()


def _model_folders(root: Path) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(root) as entries:  # the cache may not exist yet
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield entry.name


def _walk(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Yield the files below `root` that may be served, with their stamps; nothing hidden, no symlink."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        with contextlib.suppress(OSError), os.scandir(root / prefix) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.name.startswith(".") or entry.is_symlink() or path_problem(path):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                elif entry.is_file(follow_symlinks=False) and is_wanted(path):
                    yield path, Stamp.of(os.lstat(entry.path))


def _place(model: ServedModel, file: ServedFile) -> str:
    return f"{model.folder}{os.sep}{file.path}"


def _open(path: str) -> FileIO:
    """Open a file unless it is a symlink; a pipe is not waited for. Raises OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, flags), "rb")
