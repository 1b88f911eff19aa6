"""Makes the cache hold exactly what a hub lists, with as little traffic as possible."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.adopt import adopt
from qwen3ft_jupyter.cache.commit import SharedFile, commit_model
from qwen3ft_jupyter.cache.compare import right_files, split_copies
from qwen3ft_jupyter.cache.incoming import begun_bytes
from qwen3ft_jupyter.cache.layout import incoming_folder
from qwen3ft_jupyter.cache.manifest import file_state
from qwen3ft_jupyter.cache.models import model_from
from qwen3ft_jupyter.cache.quota import replaced_bytes, title
from qwen3ft_jupyter.cache.repair import keep_right_ranges
from qwen3ft_jupyter.cache.room import make_room
from qwen3ft_jupyter.cache.seed import seed
from qwen3ft_jupyter.errors import CacheError, TransferError
from qwen3ft_jupyter.hubs.names import is_wanted
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.plan import object_key
from qwen3ft_jupyter.transfer.sources import gather_sources
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.manifest import Manifest
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.cache.wish import Wish
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.work import Reporter


@dataclass(frozen=True, slots=True)
class Completed:
    """A model that is whole now, and what that took."""

    model: CachedModel
    shares: Mapping[str, int]
    """Bytes that travelled, by the name of their source."""
    adopted: Mapping[str, int]
    """Bytes that were on this disk already, by where."""
    evicted: Sequence[str]
    """Models that made room."""

    @property
    def bytes_fetched(self) -> int:
        """Return the bytes that travelled."""
        return sum(self.shares.values())


def complete(wish: Wish, listing: Listing, folder: Path, reporter: Reporter) -> Completed:
    """Make `folder` hold exactly the wanted files of `listing`; the caller holds the lease.

    Raises:
        TransferError, HubError: Bytes did not arrive; what did is kept.
        CacheError: The folder cannot be written, or was changed meanwhile.
    """
    cache, stop = wish.cache, wish.stop
    incoming = incoming_folder(cache.root, folder.name)
    previous = cache.believed(folder)
    wanted = tuple(file for file in listing.files if is_wanted(file.path))
    kept = {} if wish.force else right_files(folder, previous, wanted, reporter=reporter, stop=stop)
    missing, copies = split_copies(wanted, kept)

    def growth(files: Sequence[RemoteFile]) -> int:  # what was begun counts as held already
        copied = sum(file.size for file in wanted if file.path in copies)
        return _to_fetch(files, incoming) + copied - replaced_bytes(cache.holdings(), previous, kept)

    own, shared, evicted = _borrow(wish, missing, folder, growth, reporter)
    missing = [file for file in missing if file.path not in shared]
    ready: list[FetchedFile] = []
    try:
        if wish.may_use_disk and missing:
            where: Any = {"incoming": incoming, "disk": cache.disk, "reporter": reporter, "stop": stop}
            there: Any = {"repo_id": wish.repo_id, "places": cache.places, "exclude": cache.folders}
            ready += adopt(missing, own=own, **there, **where)
            taken = {file.file.path for file in ready}
            missing = [file for file in missing if file.path not in taken]
            keep_right_ranges(folder, previous, missing, **where)
            seed(missing, **there, **where)
        ready += _fetched(wish, listing, missing, incoming, reporter)
        reporter.progress(Progress("committing", 0, len(wanted), "files"))
        manifest = commit_model(
            folder,
            listing,
            kept=kept,
            fetched=ready,
            copies=copies,
            shared=shared,
            previous=previous,
            now=time.time(),
            reporter=reporter,
            disk=cache.disk,
        )
        reporter.progress(Progress("committing", len(wanted), len(wanted), "files"))
    except BaseException as error:
        for file in ready:
            file.release()
        if not isinstance(error, (CacheError, TransferError)) or all(lent.path.exists() for lent in shared.values()):
            raise
        return complete(wish, listing, folder, reporter)  # what lent files was evicted meanwhile, and lends no more
    return Completed(model_from(folder, manifest, is_shared=False), *_shares(ready, shared), evicted)


def recorded(cache: ModelCache, *, but: Path) -> list[tuple[CachedModel, Manifest]]:
    """Return the other models of the cache and its layers, with their records."""
    models = [model for model in cache.kept() if model.is_verified and model.folder != but]
    return [(model, manifest) for model in models if (manifest := cache.manifest(model)) is not None]


def own_files(files: Sequence[RemoteFile], own: Sequence[tuple[CachedModel, Manifest]]) -> dict[SafePath, SharedFile]:
    """Return those of `files` that another model of our own folder has, unchanged."""
    wanted = {file.sha256: file.path for file in files if file.sha256}
    return {
        wanted[entry.sha256]: SharedFile(model.folder / entry.path, entry)
        for model, manifest in own
        if not model.is_shared
        for entry in manifest.files
        if entry.sha256 in wanted and file_state(model.folder, entry) == "same"
    }


def _borrow(
    wish: Wish,
    missing: Sequence[RemoteFile],
    folder: Path,
    growth: Callable[[Sequence[RemoteFile]], int],
    reporter: Reporter,
) -> tuple[list[tuple[CachedModel, Manifest]], dict[SafePath, SharedFile], list[str]]:
    """Return the models here that can lend, which files they lend, and the names of those that made room for the rest.

    One that makes room lends no more, so that there is more to make room for. `growth` tells by how much the cache
    grows if these files are not lent.
    """
    evicted: list[str] = []
    while True:
        own = [] if wish.force or not missing else recorded(wish.cache, but=folder)
        shared = own_files(missing, own)
        rest = [file for file in missing if file.path not in shared]
        gone = _make_room(wish, wish.quota, growth(rest), reporter) if rest and wish.quota is not None else []
        evicted += gone
        if not gone:
            return own, shared, evicted


def _make_room(wish: Wish, quota: int, growth: int, reporter: Reporter) -> list[str]:
    """Evict what has to make way so that the cache can grow within its quota; return what to call those models."""
    cache = wish.cache
    titles = {holding.model.slug: title(holding.model) for holding in cache.holdings()}
    evicted = make_room(cache, growth, quota_bytes=quota, keep=wish.repo_id, is_used=wish.is_used, reporter=reporter)
    return [titles.get(model.slug, model.repo_id) for model in evicted]


def _to_fetch(files: Sequence[RemoteFile], incoming: Path) -> int:
    begun = begun_bytes(incoming)
    return sum(max(0, file.size - begun.get(object_key(file), 0)) for file in files)


def _fetched(
    wish: Wish, listing: Listing, files: Sequence[RemoteFile], incoming: Path, reporter: Reporter
) -> list[FetchedFile]:
    if not files:
        return []
    with (
        wish.connecting() as client,
        gather_sources(
            listing,
            hubs=wish.hubs,
            order=wish.order,
            mirrors=wish.mirrors,
            client=client,
            wanted=wish.sources,
            bytes_to_fetch=_to_fetch(files, incoming),
            reporter=reporter,
            stop=wish.stop,
        ) as sources,
    ):
        return fetch(
            files,
            sources=sources,
            folder=incoming,
            max_connections=wish.max_connections,
            controls=wish.controls,
            policy=wish.policy,
            reporter=reporter,
            stop=wish.stop,
            disk=wish.cache.disk,
        )


def _shares(
    files: Sequence[FetchedFile], shared: Mapping[SafePath, SharedFile]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    travelled: Counter[str] = Counter()
    adopted: Counter[str] = Counter({"cache": sum(file.entry.size for file in shared.values())} if shared else {})
    for file in files:
        travelled.update(file.shares)
        if file.adopted_from:
            adopted[file.adopted_from] += file.file.size
    return dict(travelled), dict(adopted)
