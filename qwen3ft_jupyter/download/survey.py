"""Looks at what is on this disk of the files that a hub lists. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.models import SharedFile
from qwen3ft_jupyter.cache.others.candidates import find_candidates
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.manifest import file_state
from qwen3ft_jupyter.cache.own.partials import partial_spans
from qwen3ft_jupyter.cache.own.repair import right_ranges
from qwen3ft_jupyter.cache.own.verify import right_files
from qwen3ft_jupyter.hubs.names import is_wanted
from qwen3ft_jupyter.transfer.objects import object_key, split_copies
from qwen3ft_jupyter.transfer.pieces import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.others.candidates import Candidate
    from qwen3ft_jupyter.cache.own.manifest import Manifest, ManifestFile
    from qwen3ft_jupyter.cache.own.piece_sums import PieceSum
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.transfer.pieces import SpanSet
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Found:
    """What is on this disk of the files that are wanted."""

    wanted: Sequence[RemoteFile]
    kept: Mapping[SafePath, ManifestFile] = field(default_factory=dict)
    """Those that are at their place and right."""
    lent: Mapping[SafePath, SharedFile] = field(default_factory=dict)
    """Those that another model of this cache has, too: they need no room where the volume has hard links."""
    candidates: Mapping[SafePath, Sequence[Candidate]] = field(default_factory=dict)
    """What else on this disk probably has the bytes of a file."""
    partial_bytes: Mapping[str, int] = field(default_factory=dict)
    """Bytes by object key that are in partials, or will be when `salvage` is."""
    salvage: Mapping[SafePath, Sequence[PieceSum]] = field(default_factory=dict)
    """The ranges of damaged files that are right all the same."""
    previous: Manifest | None = None
    """What the folder holds now."""

    @property
    def salvaged_bytes(self) -> int:
        """Return the size of all ranges that are salvaged."""
        return sum(end - start for pieces in self.salvage.values() for start, end, _ in pieces)

    def without(self, lenders: Collection[str]) -> Found:
        """Return what is left of it when some models of this cache, named by their slugs, are gone."""
        lent = {path: file for path, file in self.lent.items() if file.lender not in lenders}
        candidates = {
            path: rest
            for path, some in self.candidates.items()
            if (rest := [candidate for candidate in some if candidate.lender not in lenders])
        }
        return replace(self, lent=lent, candidates=candidates)


class Survey:
    """One model's files on this disk. What has to be read is read once, however often one looks."""

    def __init__(self, cache: ModelCache, request: DownloadRequest, listing: Listing, folder: Path, work: Work) -> None:
        """Read those files in `folder` that no stamp vouches for. Raises Stopped."""
        self._cache = cache
        self._request = request
        self._folder = folder
        self._work = work
        self.wanted = tuple(file for file in listing.files if is_wanted(file.path))
        self._previous = cache.trusted(folder)
        self._kept = {} if request.force else right_files(folder, self._previous, self.wanted, work)
        self._missing = split_copies(self.wanted, self._kept)[0]
        self._right_ranges: dict[SafePath, tuple[PieceSum, ...]] = {}

    def look(self) -> Found:
        """Return what is here now: others may have gone or come since the last look. Raises Stopped."""
        own = [] if self._request.force or not self._missing else self._recorded()
        lent = _lent(self._missing, own)
        partials = partial_spans(incoming_folder(self._cache.root, self._folder.name))
        rest = [file for file in self._missing if file.path not in lent]
        candidates = self._candidates([file for file in rest if not _is_whole(file, partials)], own)
        rest = [file for file in rest if file.path not in candidates]
        salvage = self._salvage(rest, partials) if self._request.may_use_disk else {}
        return Found(
            self.wanted,
            kept=self._kept,
            lent=lent,
            candidates=candidates,
            partial_bytes=_partial_bytes(rest, partials, salvage),
            salvage=salvage,
            previous=self._previous,
        )

    def _recorded(self) -> list[tuple[CachedModel, Manifest]]:
        """Return the other models of the cache and its shared caches, with their records."""
        models = [model for model in self._cache.kept() if model.is_verified and model.folder != self._folder]
        return [(model, manifest) for model in models if (manifest := self._cache.manifest(model)) is not None]

    def _candidates(
        self, files: Sequence[RemoteFile], own: Sequence[tuple[CachedModel, Manifest]]
    ) -> Mapping[SafePath, Sequence[Candidate]]:
        if not files or not self._request.may_use_disk:
            return {}
        cache = self._cache
        return find_candidates(
            files, repo_id=self._request.model_name, places=cache.places, own=own, exclude=cache.folders
        )

    def _salvage(
        self, files: Sequence[RemoteFile], partials: Mapping[str, SpanSet]
    ) -> dict[SafePath, tuple[PieceSum, ...]]:
        """Return the right ranges of damaged files that no partial has, or has a part of."""
        unread = [file for file in files if file.path not in self._right_ranges]
        found = right_ranges(self._folder, self._previous, unread, self._work)
        self._right_ranges |= {file.path: found.get(file.path, ()) for file in unread}
        salvage = {
            file.path: tuple(
                piece for piece in self._right_ranges[file.path] if _is_new(piece, partials.get(object_key(file)))
            )
            for file in files
        }
        return {path: pieces for path, pieces in salvage.items() if pieces}


def _lent(files: Sequence[RemoteFile], own: Sequence[tuple[CachedModel, Manifest]]) -> dict[SafePath, SharedFile]:
    """Return those of `files` that another model of our own folder has, unchanged."""
    wanted = {file.sha256: file.path for file in files if file.sha256}
    return {
        wanted[entry.sha256]: SharedFile(model.folder / entry.path, entry, model.slug)
        for model, manifest in own
        if not model.is_shared
        for entry in manifest.files
        if entry.sha256 in wanted and file_state(model.folder, entry) == "same"
    }


def _is_whole(file: RemoteFile, partials: Mapping[str, SpanSet]) -> bool:
    """Return whether an earlier attempt left all of a file, so that reading it is all there is to do."""
    spans = partials.get(object_key(file))
    return file.size > 0 and spans is not None and spans.total >= file.size


def _is_new(piece: PieceSum, there: SpanSet | None) -> bool:
    start, end, _ = piece
    return there is None or list(there.gaps(start, end)) == [Span(start, end)]


def _partial_bytes(
    files: Sequence[RemoteFile], partials: Mapping[str, SpanSet], salvage: Mapping[SafePath, Sequence[PieceSum]]
) -> dict[str, int]:
    counts = {key: spans.total for key, spans in partials.items()}
    for file in files:
        kept = sum(end - start for start, end, _ in salvage.get(file.path, ()))
        counts[object_key(file)] = counts.get(object_key(file), 0) + kept
    return counts
