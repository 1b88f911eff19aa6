"""Finds models in folders: a cache, the layers below it, and folders registered under a name."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.own import stamps
from qwen3ft_jupyter.cache.own.layout import BESIDE
from qwen3ft_jupyter.cache.own.manifest import (
    RECORD_FOLDER,
    Manifest,
    Stamp,
    is_marked_incomplete,
    manifest_path,
    read_manifest,
)
from qwen3ft_jupyter.catalog.usable import (
    ADAPTER_WEIGHTS,
    OTHER_SUFFIXES,
    WEIGHTS_NAME,
    ModelFiles,
    opener,
    problems_of,
)
from qwen3ft_jupyter.catalog.weights import INDEX_NAME
from qwen3ft_jupyter.hubs.names import check_paths, is_wanted, path_problem
from qwen3ft_jupyter.mirror.models import Copy, ServedFile, ServedModel, derived_commit, from_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.mirror.digests import Digests

Read = Callable[[Path], Manifest | None]
"""Returns the manifest of a model folder if it is believed."""
RESCAN_S: Final = 0.25
"""What is not known is looked for on disk this often at most; so long a new model may stay unseen."""
REFRESH_S: Final = 10.0
"""What is known is looked for again after this, too: another folder may hold a version that is to be preferred."""
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, getattr(errno, "ENOBUFS", errno.ENOMEM)})
"""What the machine lacks just now. It says nothing about a file."""
_WEIGHTS: Final = (".safetensors", *OTHER_SUFFIXES)
_USUAL_NAMES: Final = frozenset({WEIGHTS_NAME, ADAPTER_WEIGHTS, INDEX_NAME})
"""That a repo lacks one of these is its own way; that it lacks a file which another one names is a gap."""

logger = logging.getLogger(__name__)


class Record:
    """The manifest of one folder, parsed again only when it is another file."""

    def __init__(self, folder: Path, stamps_root: Path | None = None, read: Read = read_manifest) -> None:
        """Args: the model folder, the cache that keeps stamps for it if it lies in a layer, what reads its manifest."""
        self._folder = folder
        self._read_manifest = read
        self._stamps_root = stamps_root
        self._path = str(manifest_path(folder))
        self._marks = f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}"
        self._kept: tuple[Stamp, ServedModel] | None = None

    @property
    def is_beside(self) -> bool:
        """Return whether the folder's name is that of a further revision."""
        return BESIDE in self._folder.name

    def current(self) -> ServedModel | None:
        """Return the cached model in this folder, or None if it is none or just being changed."""
        try:
            stamp = Stamp.of(os.lstat(self._path))
        except OSError:
            return None
        if is_marked_incomplete(self._marks):
            return None
        kept = self._kept
        if kept is not None and kept[0] == stamp:
            return kept[1]
        model = self._read()
        self._kept = (stamp, model) if model is not None else None
        return model

    def _read(self) -> ServedModel | None:
        manifest = self._read_manifest(self._folder)
        if manifest is None:
            return None
        if self._stamps_root is not None:
            manifest = stamps.with_local_stamps(self._stamps_root, self._folder, manifest)
        return from_manifest(self._folder, manifest, has_weights=_has_weights(self._folder, manifest))


class CacheFolder:
    """The models of a cache, or of a layer below one, by the names in their manifests. Thread-safe."""

    def __init__(
        self, folder: Path, *, layer: int = 0, stamps_root: Path | None = None, read: Read = read_manifest
    ) -> None:
        self._folder = folder
        self._read_manifest = read
        self._layer = layer
        self._stamps_root = stamps_root
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._by_repo: dict[str, list[Record]] = {}
        self._scanned = float("-inf")

    def copies(self, repo_id: str, *, max_age_s: float) -> list[Copy]:
        """Return every version of a repo, having looked on disk again if the last look was longer ago.

        The repo is found by its id in any case, as both hubs do it.

        Raises:
            OSError: The machine is exhausted, see `EXHAUSTED`.
        """
        with self._lock:
            if time.monotonic() - self._scanned >= max_age_s:
                self._scan()
            records = self._by_repo.get(repo_id.lower(), ())
        models = [(record, record.current()) for record in records]
        return [
            Copy(self._layer, record.is_beside, model)
            for record, model in models
            if model is not None and model.repo_id.lower() == repo_id.lower()
        ]

    def repo_ids(self) -> list[str]:
        """Return the repos that are here, as they are spelled. Raises OSError as `copies` does."""
        with self._lock:
            self._scan()
            models = [record.current() for records in self._by_repo.values() for record in records]
        return list({model.repo_id for model in models if model is not None})

    def _scan(self) -> None:
        names = self._names()
        self._records = {
            name: self._records.get(name) or Record(self._folder / name, self._stamps_root, self._read_manifest)
            for name in sorted(names)
        }
        by_repo: dict[str, list[Record]] = {}
        for record in self._records.values():
            model = record.current()
            if model is not None:
                by_repo.setdefault(model.repo_id.lower(), []).append(record)
        self._by_repo = by_repo
        self._scanned = time.monotonic()

    def _names(self) -> list[str]:
        try:
            return list(model_folders(self._folder))
        except FileNotFoundError:  # the cache may not exist yet
            return []
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            logger.warning("the mirror cannot list %s: %s", self._folder, error)
            return []


class PlainFolder:
    """A folder registered under a name: by its manifest if it is a cached model, else by what lies in it."""

    def __init__(self, repo_id: RepoId, folder: Path, digests: Digests) -> None:
        self._repo_id = repo_id
        self._folder = folder
        self._digests = digests
        self._manifest = Record(folder)
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
            known = self._digests.of(f"{self._folder}{os.sep}{path}", seen[path])
            if known is not None:  # else it is being written: listed once it rests
                files.append(ServedFile(path, seen[path].size, known.sha256, seen[path]))
        if not files:
            return None
        created = max(stamp.mtime_ns for stamp in seen.values()) / 1e9
        by_path = {str(file.path): file for file in files}
        return ServedModel(self._repo_id, self._folder, derived_commit(files), "", "", created, by_path)


def _has_weights(folder: Path, manifest: Manifest) -> bool:
    """Return whether none of a model's weights is missing.

    That it cannot be loaded by this package says nothing: its weights may be for other programs, or it has none.
    """
    have_stayed = any(file.path.lower().endswith(OTHER_SUFFIXES) for file in manifest.left_out)
    if have_stayed and not any(file.path.lower().endswith(_WEIGHTS) for file in manifest.files):
        return False
    sizes: dict[str, int] = {file.path: file.size for file in manifest.files}
    for problem in problems_of(ModelFiles(sizes, opener(str(folder)), is_vouched=True)):
        if problem.kind == "damaged" or (problem.kind == "missing" and problem.name not in _USUAL_NAMES):
            return False
    return True


def model_folders(root: Path) -> Iterator[str]:
    """Yield the names of the folders in a cache that may hold a model: none hidden, no symlink. Raises OSError."""
    with os.scandir(root) as entries:
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
