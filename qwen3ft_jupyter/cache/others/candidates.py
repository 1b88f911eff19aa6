"""Finds files on this disk that are probably what a hub lists; only hashing a clone of one tells."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.others.files import may_have
from qwen3ft_jupyter.cache.others.find import blob_folders, copies
from qwen3ft_jupyter.cache.others.places import Place, entries_of
from qwen3ft_jupyter.cache.own.manifest import RECORD_FOLDER, read_manifest
from qwen3ft_jupyter.transfer.objects import SMALL_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.places import OtherCopy
    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath

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


def find_candidates(
    files: Iterable[RemoteFile],
    *,
    repo_id: RepoId,
    places: Collection[Place],
    own: Iterable[tuple[CachedModel, Manifest]] = (),
    exclude: Collection[Path] = (),
) -> dict[SafePath, tuple[Candidate, ...]]:
    """Return what on this disk may have the bytes of `files`, by path, the likeliest first; looks, and reads nothing.

    Args:
        files: What a hub lists.
        repo_id: Whose files they are.
        places: Where other tools keep models.
        own: The models of our own cache and the shared ones.
        exclude: Folders that are not looked into as places: our own cache and the shared ones.
    """
    candidates = Candidates(repo_id, places=places, own=own, exclude=exclude)
    return {file.path: some for file in files if (some := tuple(candidates.of(file)))}


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
        self._by_path: dict[str, list[Candidate]] = defaultdict(list)
        """Files of our own copies of the repo."""
        for model, manifest in own:
            place = Place("folder", Path(os.path.realpath(model.folder)))
            label, lender = ("shared cache", "") if model.is_shared else ("cache", model.slug)
            for file in manifest.files:
                candidate = Candidate(place, place.root / file.path, label, is_expected=True, lender=lender)
                self._by_digest[file.sha256].append(candidate)
                if model.repo_id == repo_id:
                    self._by_path[file.path].append(replace(candidate, label="cache", is_expected=False))
        self._blobs = list(blob_folders(places))
        found = ((copy, _distance(copy, repo_id)) for copy in copies(places, exclude=exclude))
        self._copies = sorted(found, key=lambda one: one[1])
        for copy, _ in self._copies:
            record = read_manifest(copy.folder) if RECORD_FOLDER in entries_of(copy.folder).folders else None
            for file in record.files if record is not None else ():
                path = copy.folder / file.path
                self._by_digest[file.sha256].append(Candidate(copy.place, path, copy.place.label, is_expected=True))

    def of(self, file: RemoteFile) -> Iterator[Candidate]:
        """Yield the files that may be `file`, the likeliest first, no file twice."""
        seen: set[tuple[int, int]] = set()
        for candidates, limit in ((self._claims(file), MAX_CLAIMS), (self._guesses(file), MAX_GUESSES)):
            yield from islice(_usable(candidates, file.size, seen), limit)

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
            yield from self._by_path.get(file.path, ())
        for copy, distance in self._copies:
            if distance > SAME_NAME and copy.repo_id is not None and file.size > SMALL_BYTES:
                continue  # large files of equal size in other repos are other weights of one shape
            if may_have(copy, file):
                path = copy.folder / file.path
                yield Candidate(copy.place, path, copy.place.label, is_expected=distance == SAME_REPO)


SAME_REPO: Final = 0
SAME_NAME: Final = 1
"""Another owner's repo of the same name: the same model, more often than not."""


def _distance(copy: OtherCopy, repo_id: RepoId) -> int:
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
        status = candidate.place.status(candidate.path, is_compared=True)
        if status is not None and status.st_size == size and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield candidate
