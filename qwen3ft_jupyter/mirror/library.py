"""Everything that is served, and the one place that opens its files: only when the bytes are the listed ones."""

from __future__ import annotations

import os
import stat
import threading
from io import FileIO
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.folders import ModelFolders
from qwen3ft_jupyter.cache.own.manifest import Stamp, read_manifest
from qwen3ft_jupyter.disk import READ_FLAGS
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.mirror import folders
from qwen3ft_jupyter.mirror.digests import Digests
from qwen3ft_jupyter.mirror.folders import EXHAUSTED, CacheFolder, PlainFolder
from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel, pick, pick_of, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.names import RepoId


class Library:
    """Models of one cache folder and the layers below it, and folders registered under a name.

    A model appears as soon as its manifest does, and goes with it. Thread-safe.
    """

    def __init__(
        self,
        registered: Mapping[RepoId, Path],
        cache_dir: Path | None = None,
        shared_dirs: Sequence[Path] = (),
        *,
        trust_manifests: bool = True,
        stop: threading.Event | None = None,
    ) -> None:
        """Read what has to be read first: the files of registered folders without a manifest.

        Raises:
            NotCached: A registered folder has no file that could be served.
            BadListing: Names in a registered folder clash on some platform.
            OSError: It cannot be read.
            Stopped: `stop` was set.
        """
        self._digests = Digests(stop or threading.Event())
        self._folders: dict[str, PlainFolder] = {
            repo_id.lower(): PlainFolder(repo_id, folder, self._digests) for repo_id, folder in registered.items()
        }
        self._layers: list[CacheFolder] = []
        read = read_manifest
        if cache_dir is not None:
            read = ModelFolders(cache_dir, shared_dirs, trust_manifests=trust_manifests).trusted
            self._layers.append(CacheFolder(cache_dir, read=read))
        self._layers += [
            CacheFolder(folder, layer=number, stamps_root=cache_dir, read=read)
            for number, folder in enumerate(shared_dirs, start=1)
        ]
        for repo_id in registered:
            if self._folders[repo_id.lower()].current() is None:
                raise NotCached("{name}: its folder holds no file that could be served.", name=repo_id)

    def versions(self, repo_id: str, revision: str = "") -> list[ServedModel]:
        """Return the versions of `repo_id`, the default one first; none if the repo is not here.

        Args:
            repo_id: As the client writes it; one in another case is found as long as none is spelled like that.
            revision: What will be looked for among them.

        Raises:
            OSError: The machine is exhausted, see `EXHAUSTED`.
        """
        folder = self._folders.get(repo_id.lower())
        if folder is not None:
            model = folder.current()
            return [model] if model is not None else []
        found = self._cached(repo_id, folders.REFRESH_S)
        is_known = pick(found, revision) or pick_of(found, revision)
        return found if is_known is not None else self._cached(repo_id, folders.RESCAN_S)

    def whole_versions(self, repo_id: str, revision: str = "") -> list[ServedModel]:
        """Return the versions that can be had whole, as far as can be seen without reading a file.

        No weights are missing, and nothing shows that a file is gone or changed. Raises as `versions`.
        """
        return [
            model
            for model in self.versions(repo_id, revision)
            if model.has_weights and all(self.has(model, file) for file in model.files.values())
        ]

    def all(self) -> list[ServedModel]:
        """Return the default version of every repo that is here whole, by name. Raises as `versions`."""
        repo_ids = {*self._folders, *(repo_id for layer in self._layers for repo_id in layer.repo_ids())}
        models = [pick(self.whole_versions(repo_id), "") for repo_id in sorted(repo_ids)]
        return list({model.repo_id: model for model in models if model is not None}.values())

    def git_sha1(self, model: ServedModel, file: ServedFile) -> str | None:
        """Return git's digest of a small file, which is read for it once; None if its bytes are not the listed ones.

        Raises:
            OSError: The machine is exhausted, see `EXHAUSTED`.
            Stopped: The mirror is closing.
        """
        try:
            known = self._digests.of(_place(model, file), Stamp.of(os.lstat(_place(model, file))))
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            return None
        return known.git_sha1 if known is not None and known.sha256 == file.sha256 else None

    def open(self, model: ServedModel, file: ServedFile) -> tuple[FileIO, Stamp] | None:
        """Return the file, open for reading, and its stamp; None if its bytes are no longer the listed ones.

        Under an unknown stamp the file is read and digested first, once.

        Raises:
            OSError: The machine is exhausted, see `EXHAUSTED`.
            Stopped: The mirror is closing.
        """
        try:
            opened = _open(_place(model, file))
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
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
        place = _place(model, file)
        try:
            status = os.lstat(place)
        except OSError:
            return False
        stamp = Stamp.of(status)
        if not stat.S_ISREG(status.st_mode) or stamp.size != file.size:
            return False
        known = self._digests.known(place, stamp)
        return known is None or known.sha256 == file.sha256

    def _cached(self, repo_id: str, max_age_s: float) -> list[ServedModel]:
        copies = [copy for layer in self._layers for copy in layer.copies(repo_id, max_age_s=max_age_s)]
        spellings = {copy.model.repo_id for copy in copies}
        spelled = repo_id if repo_id in spellings else min(spellings, default="")
        return versions(copy for copy in copies if copy.model.repo_id == spelled)

    def _is_good(self, model: ServedModel, file: ServedFile, stamp: Stamp) -> bool:
        if stamp.size != file.size:
            return False
        place = _place(model, file)
        known = self._digests.known(place, stamp)
        if known is None and stamp == file.stamp:
            return True
        if known is None and model not in self.versions(model.repo_id, model.commit):
            return False  # replaced since it was looked up: not worth reading
        try:
            known = known or self._digests.of(place, stamp)
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            return False
        return known is not None and known.sha256 == file.sha256


def _place(model: ServedModel, file: ServedFile) -> str:
    return f"{model.folder}{os.sep}{file.path}"


def _open(path: str) -> FileIO:
    """Open a file unless it is a symlink; a pipe is not waited for. Raises OSError."""
    return FileIO(os.open(path, READ_FLAGS), "rb")
