"""Finds files on this disk that are probably what a hub lists; only hashing a clone of one tells."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.folders import entries_of
from qwen3ft_jupyter.cache.foreign import blob_folders, copies
from qwen3ft_jupyter.cache.foreign_files import blob_name
from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, read_manifest
from qwen3ft_jupyter.cache.places import Place
from qwen3ft_jupyter.transfer.objects import SMALL_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from qwen3ft_jupyter.cache.foreign import ForeignCopy
    from qwen3ft_jupyter.cache.manifest import Manifest
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId

MAX_CLAIMS: Final = 8
"""Files that are said to have the digest; the first is nearly always right."""

MAX_GUESSES: Final = 3
"""Files that only have the name and the size: each wrong one costs as long as reading it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may have the bytes of a listed one."""

    place: Place
    path: Path
    label: str
    """Where it lies, for a person, after "the"."""
    is_expected: bool
    """Whether it is said to be that file, by its digest or by repo and path: then a person should know if it is not."""
    lender: str = ""
    """The slug of the model of our own that has it; "" if it is not ours to delete."""


class Candidates:
    """What was found on this disk, looked through once for all files of a listing."""

    def __init__(
        self,
        repo_id: RepoId,
        *,
        places: Collection[Place],
        own: Iterable[tuple[CachedModel, Manifest]] = (),
        exclude: Collection[Path] = (),
    ) -> None:
        self._by_digest: dict[str, list[Candidate]] = defaultdict(list)
        self._own: list[tuple[CachedModel, Manifest]] = list(own)
        for model, manifest in self._own:
            place = Place("folder", Path(os.path.realpath(model.folder)))
            lender = "" if model.is_shared else model.slug
            self._note(place, manifest, "shared cache" if model.is_shared else "cache", lender=lender)
        found = list(copies(places, exclude=exclude))
        self._blobs = list(blob_folders(places))
        self._copies = sorted(found, key=lambda copy: _distance(copy, repo_id))
        self._distances = {copy.folder: _distance(copy, repo_id) for copy in found}
        for copy in found:
            record = read_manifest(copy.folder) if RECORD_FOLDER in entries_of(copy.folder).folders else None
            if record is not None:
                self._note(copy.place, record, copy.place.label, folder=copy.folder)
        self._repo_id = repo_id

    def of(self, file: RemoteFile) -> Iterator[Candidate]:
        """Yield the files that may be `file`, the likeliest first, no file twice."""
        seen: set[tuple[int, int]] = set()
        for candidates, limit in ((self._claims(file), MAX_CLAIMS), (self._guesses(file), MAX_GUESSES)):
            yield from islice(_usable(candidates, file.size, seen), limit)

    def _note(
        self, place: Place, manifest: Manifest, label: str, *, folder: Path | None = None, lender: str = ""
    ) -> None:
        for file in manifest.files:
            path = (folder or place.root) / file.path
            self._by_digest[file.sha256].append(Candidate(place, path, label, is_expected=True, lender=lender))

    def _claims(self, file: RemoteFile) -> Iterator[Candidate]:
        if file.sha256:
            yield from self._by_digest.get(file.sha256, ())
        for place, folder in self._blobs:
            known = entries_of(folder).files
            for name in (file.sha256, file.git_sha1):
                if name and name in known:
                    yield Candidate(place, folder / name, place.label, is_expected=True)

    def _guesses(self, file: RemoteFile) -> Iterator[Candidate]:
        if not file.sha256:  # our records know no git digests
            for model, manifest in self._own:
                if model.repo_id == self._repo_id and any(known.path == file.path for known in manifest.files):
                    place = Place("folder", Path(os.path.realpath(model.folder)))
                    path, lender = place.root / file.path, "" if model.is_shared else model.slug
                    yield Candidate(place, path, "cache", is_expected=False, lender=lender)
        for copy in self._copies:
            distance = self._distances[copy.folder]
            if distance > SAME_NAME and copy.repo_id is not None and file.size > SMALL_BYTES:
                continue  # large files of equal size in other repos are other weights of one shape
            named = blob_name(copy, file.path) if copy.blobs is not None else ""
            digest = file.sha256 if len(named) == 64 else file.git_sha1
            if not named or digest is None or named == digest:
                path = copy.folder / file.path
                yield Candidate(copy.place, path, copy.place.label, is_expected=distance == SAME_REPO)


SAME_REPO: Final = 0
SAME_NAME: Final = 1
"""Another owner's repo of the same name: the same model, more often than not."""


def _distance(copy: ForeignCopy, repo_id: RepoId) -> int:
    """Return how far a copy is from being of this repo: the further, the later it is looked at."""
    if copy.repo_id is None:
        return 2
    if copy.repo_id.lower() == repo_id.lower():
        return SAME_REPO
    return SAME_NAME if copy.name == repo_id.partition("/")[2].lower() else 3


def _usable(candidates: Iterable[Candidate], size: int, seen: set[tuple[int, int]]) -> Iterator[Candidate]:
    """Yield those that are readable files of this size and were not seen before."""
    for candidate in candidates:
        try:  # before the costlier look at where the path ends
            if os.stat(candidate.path).st_size != size:  # noqa: PTH116 - thousands of times
                continue
        except (OSError, ValueError):
            continue
        status = candidate.place.status(candidate.path)
        if status is not None and status.st_size == size and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield candidate
