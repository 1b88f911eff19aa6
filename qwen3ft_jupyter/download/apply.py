"""Carries a plan out: makes the cache hold exactly what a hub lists."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.others.import_partials import import_partials
from qwen3ft_jupyter.cache.own.commit import Content, commit_model
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.partials import note_download
from qwen3ft_jupyter.cache.own.repair import keep_ranges, right_ranges
from qwen3ft_jupyter.cache.own.state import model_from
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.errors import CacheError, TransferError
from qwen3ft_jupyter.paths import is_file
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel, SharedFile
    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.work import Work


class LenderGone(Exception):
    """A model of this cache that was to lend files was evicted meanwhile: plan again."""


@dataclass(frozen=True, slots=True)
class Ensured:
    """A model that is on this disk, and what that took."""

    model: CachedModel
    shares: Mapping[str, int] = field(default_factory=dict)
    """Bytes that travelled, by the name of their source."""
    adopted: Mapping[str, int] = field(default_factory=dict)
    """Bytes that were on this disk already, by where."""
    evicted: Sequence[str] = ()
    """Models that made room for it."""
    was_cached: bool = False
    """Whether it was there and right when it was asked for."""
    seconds: float = 0.0

    @property
    def bytes_fetched(self) -> int:
        """Return the bytes that travelled."""
        return sum(self.shares.values())

    @property
    def hub(self) -> HubName | None:
        """Return where the model came from, now or earlier; None for a folder nobody has compared with a hub."""
        return self.model.hub

    def result(self) -> DownloadResult:
        """Return what a download job keeps of it."""
        return DownloadResult(
            str(self.model.folder),
            self.model.repo_id,
            bytes=self.bytes_fetched,
            size=self.model.size_bytes,
            seconds=self.seconds,
            hub=self.hub,
            was_cached=self.was_cached,
            verified=self.model.is_sound,
            sources=self.shares,
            adopted=sum(self.adopted.values()),
            evicted=self.evicted,
        )


def apply(plan: DownloadPlan, downloader: Downloader, work: Work) -> Ensured:
    """Make the folder of a plan hold exactly its files; the caller holds the lease.

    A copy on this disk that turns out to have other bytes than the hub lists is said so, and its file fetched: that
    takes the same room.

    Raises:
        LenderGone: A model that was to lend files was evicted meanwhile.
        TransferError, HubError: Bytes did not arrive; what did is kept.
        CacheError: The folder cannot be written, or was changed meanwhile.
    """
    lent = plan.found.lent
    ready: list[FetchedFile] = []
    application = _Application(plan, downloader, downloader.cache, work)
    application.note()
    try:
        ready += application.adopted()
        missing = application.missing({file.file.path for file in ready})
        application.resume(missing)
        ready += application.fetched(missing)
        manifest = application.committed(ready)
    except BaseException as error:
        for file in ready:
            file.release()
        if isinstance(error, (CacheError, TransferError)) and not all(is_file(file.path) for file in lent.values()):
            raise LenderGone from error
        raise
    return Ensured(model_from(plan.folder, manifest, "qwen3ft"), *_shares(ready, lent))


@dataclass(frozen=True, slots=True)
class _Application:
    """The steps of carrying out one plan."""

    plan: DownloadPlan
    downloader: Downloader
    cache: ModelCache
    work: Work

    @property
    def incoming(self) -> Path:
        return incoming_folder(self.cache.root, self.plan.folder.name)

    def note(self) -> None:
        """Write down what is to come, for whoever finds the partial files."""
        if self.plan.of("adopted", "resumed", "fetched"):
            note_download(self.incoming, self.plan.repo_id, self.plan.request.revision, disk=self.cache.disk)

    def adopted(self) -> list[FetchedFile]:
        """Return what was cloned from another place on this disk and is right."""
        candidates = self.plan.found.candidates
        found = [(file, candidates[file.path]) for file in self.plan.of("adopted") if file.path in candidates]
        if not found:
            return []
        from qwen3ft_jupyter.cache.others.adopt import adopt

        return adopt(found, incoming=self.incoming, work=self.work, disk=self.cache.disk)

    def missing(self, adopted: Collection[SafePath]) -> list[RemoteFile]:
        """Return what travels, given what was adopted."""
        here = {*adopted, *self.plan.found.lent, *self.plan.copies()}
        return [file for file in self.plan.of("adopted", "resumed", "fetched") if file.path not in here]

    def resume(self, missing: Sequence[RemoteFile]) -> None:
        """Put what is right of damaged files, and what other tools have begun, where a download goes on from them."""
        found, folder, cache = self.plan.found, self.plan.folder, self.cache
        if not missing or not self.plan.request.may_use_disk:
            return
        failed = [file for file in missing if file.path in found.candidates]
        salvage = {**found.salvage, **right_ranges(folder, found.previous, failed, self.work)}
        keep_ranges(folder, salvage, missing, self.incoming, self.work, disk=cache.disk)
        import_partials(
            missing,
            repo_id=self.plan.repo_id,
            places=cache.places,
            exclude=cache.folders,
            incoming=self.incoming,
            work=self.work,
            disk=cache.disk,
        )

    def fetched(self, missing: Sequence[RemoteFile]) -> list[FetchedFile]:
        """Return what has travelled."""
        if not missing:
            return []
        downloader, there = self.downloader, self.plan.found.partial_bytes
        to_fetch = sum(max(0, file.size - there.get(object_key(file), 0)) for file in missing)
        with downloader.sources(self.plan, to_fetch, self.work) as sources:
            return fetch(
                missing,
                sources=sources,
                folder=self.incoming,
                work=replace(self.work, controls=self.work.controls.within(downloader.max_speed)),
                max_connections=downloader.max_connections,
                policy=downloader.policy,
                disk=self.cache.disk,
            )

    def committed(self, ready: Sequence[FetchedFile]) -> Manifest:
        """Put everything at its place."""
        plan, found = self.plan, self.plan.found
        count = len(found.wanted)
        self.work.progress(Progress("committing", 0, count, "files"))
        manifest = commit_model(
            plan.folder,
            plan.listing,
            Content(found.kept, ready, plan.copies(), found.lent, found.previous),
            now=time.time(),
            reporter=self.work.reporter,
            disk=self.cache.disk,
        )
        self.work.progress(Progress("committing", count, count, "files"))
        return manifest


def _shares(
    files: Sequence[FetchedFile], lent: Mapping[SafePath, SharedFile]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    travelled: Counter[str] = Counter()
    adopted: Counter[str] = Counter({"cache": sum(file.entry.size for file in lent.values())} if lent else {})
    for file in files:
        travelled.update(file.shares)
        if file.adopted_from:
            adopted[file.adopted_from] += file.file.size
    return dict(travelled), dict(adopted)
