"""Makes sure that a model is on this disk, whole and right, with as little traffic as possible."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.audit import check_files
from qwen3ft_jupyter.cache.commit import commit_model
from qwen3ft_jupyter.cache.compare import looks_complete, right_files, split_copies
from qwen3ft_jupyter.cache.evict import remove_incoming
from qwen3ft_jupyter.cache.layout import incoming_folder
from qwen3ft_jupyter.cache.lease import Lease, hold_lease
from qwen3ft_jupyter.cache.manifest import file_state
from qwen3ft_jupyter.errors import (
    CacheDamaged,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelNotFound,
    NotCached,
    SourceFailed,
    WrongBytes,
)
from qwen3ft_jupyter.hubs import resolve
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Listing
from qwen3ft_jupyter.hubs.names import is_wanted, parse_repo_id
from qwen3ft_jupyter.reporting import SILENT, Progress
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.patience import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.cache.manifest import Manifest
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.hubs.listing import Hub, HubName
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.reporting import Reporter
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.transfer.patience import RetryPolicy

_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_ELSEWHERE = (HubUnreachable, HubBusy, ModelNotFound, SourceFailed, WrongBytes)
"""Failures of a transfer that another hub may not share."""


@dataclass(frozen=True, slots=True)
class Ensured:
    """A model that is on this disk, and what that took."""

    model: CachedModel
    bytes_fetched: int
    """Bytes that travelled."""
    seconds: float
    hub: HubName | None
    """Where the model came from, now or earlier; None for a folder nobody has compared with a hub."""
    was_cached: bool
    """Whether it was there and right when it was asked for."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for."""

    cache: ModelCache
    hubs: Mapping[HubName, Hub]
    repo_id: RepoId
    revision: str | None
    force: bool
    order: Sequence[HubName]
    max_connections: int
    policy: RetryPolicy
    stop: threading.Event
    began: float
    """Unix seconds."""

    def accepts(self, manifest: Manifest) -> bool:
        """Return whether a cached commit is what was asked for, without asking a hub: a branch may have moved on."""
        if self.revision is None:
            return True
        return bool(_ABBREVIATED_COMMIT.fullmatch(self.revision)) and manifest.commit.startswith(self.revision)


def ensure_model(
    cache: ModelCache,
    hubs: Mapping[HubName, Hub],
    repo_id: str,
    *,
    revision: str | None = None,
    force: bool = False,
    offline: bool = False,
    order: Sequence[HubName],
    max_connections: int = 16,
    policy: RetryPolicy = DEFAULT_POLICY,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
) -> Ensured:
    """Return `repo_id` on this disk, downloading what is missing or wrong.

    A verified model whose files have their stamps costs no request and no reading. Files whose stamps differ (the
    cache was moved or copied) are read once. A folder that something else put there is compared with the hub's
    listing, and only what is missing or wrong is fetched. If another process is downloading the model, it is waited
    for and its progress shown.

    Args:
        cache: Where models are.
        hubs: Whom to ask.
        repo_id: ``owner/name``.
        revision: A branch, tag or commit; None takes what is cached, else the hub's default branch.
        force: Fetch every file again, whatever is there.
        offline: Ask nobody.
        order: The hubs that may be asked, the preferred one first.
        max_connections: At most so many connections at once.
        policy: How patient to be with a hub that fails.
        reporter: Is told of phases, progress, and everything a person should know.
        stop: Ends the work within a second when set; what arrived is kept.

    Raises:
        BadName: `repo_id` is malformed.
        HubError: No hub lists the model, or lets us have it.
        NotCached: `offline`, and there is no such model here.
        CacheDamaged: `offline`, and files are missing or wrong.
        TransferError: The bytes did not arrive: `NoSpace`, `WrongBytes`, `SourceFailed` or `Stopped`.
        CacheNotWritable: The cache folder is only readable.
    """
    clock = time.monotonic()
    wish = _Wish(
        cache,
        hubs,
        parse_repo_id(repo_id),
        revision,
        force,
        tuple(order),
        max_connections,
        policy,
        stop or threading.Event(),
        time.time(),
    )
    model, bytes_fetched, was_cached = _bring(wish, reporter, offline=offline)
    cache.touch(model.repo_id)
    return Ensured(model, bytes_fetched, time.monotonic() - clock, model.hub, was_cached)


def _bring(wish: _Wish, reporter: Reporter, *, offline: bool) -> tuple[CachedModel, int, bool]:
    model = None if wish.force and not offline else _ready(wish, reporter)
    if model is not None:
        return model, 0, True
    if offline:
        return _without_network(wish, reporter), 0, True
    folder = wish.cache.folder_for(wish.repo_id)
    incoming = incoming_folder(wish.cache.root, folder.name)
    with hold_lease(incoming, wish.repo_id, reporter=reporter, stop=wish.stop) as lease:
        if lease.has_waited and (model := _ready(wish, lease)) is not None:
            is_new = model.created is not None and model.created >= wish.began
            if is_new or not wish.force:
                return model, 0, False
        model, bytes_fetched = _download(wish, lease)
    remove_incoming(incoming)
    return model, bytes_fetched, False


def _ready(wish: _Wish, reporter: Reporter) -> CachedModel | None:
    """Return the cached model if it is verified, of the right commit, and all its files are there and right."""
    model = wish.cache.find(wish.repo_id)
    manifest = wish.cache.manifest(model) if model is not None else None
    if model is None or manifest is None or not wish.accepts(manifest):
        return None
    stale = [file for file in manifest.files if file_state(model.folder, file) != "same"]
    if not stale:
        return model
    check = check_files(model.folder, stale, phase="checking", reporter=reporter, stop=wish.stop)
    if not wish.cache.record(model, manifest.with_stamps(check.stamps)):
        return _ready(wish, reporter)  # replaced or evicted meanwhile: what was read is not what is there now
    damaged = (*check.missing, *check.wrong)
    if damaged:
        reporter.notice(f"{wish.repo_id}: {_named(damaged)} in the cache: missing or changed.")
        return None
    return wish.cache.find(wish.repo_id)


def _without_network(wish: _Wish, reporter: Reporter) -> CachedModel:
    """Return what there is, as far as it can be used."""
    hint = "Allow the network (QWEN3FT_OFFLINE=0) and download it."
    model = wish.cache.find(wish.repo_id)
    if model is None:
        raise NotCached(f"{wish.repo_id} is not in the cache, and the network is switched off.", hint=hint)
    manifest = wish.cache.manifest(model)
    if manifest is None:
        return _unverified(wish, model, reporter, "the network is switched off")
    if not wish.accepts(manifest) and wish.revision != manifest.revision:
        raise NotCached(f"{wish.repo_id} is cached, but not at revision {wish.revision}.", hint=hint)
    damaged = [file.path for file in manifest.files if file_state(model.folder, file) != "same"]
    if damaged:
        raise CacheDamaged(f"{wish.repo_id}: {_named(damaged)} in the cache: missing or changed.", hint=hint)
    return model


def _unverified(wish: _Wish, model: CachedModel, reporter: Reporter, reason: str) -> CachedModel:
    """Return a folder nobody has compared with a hub, with a warning. Raises CacheDamaged if files are missing."""
    if wish.revision is not None:
        raise NotCached(f"{wish.repo_id} is there, but nobody knows its revision, and {reason}.")
    if not looks_complete(model.folder):
        raise CacheDamaged(
            f"{wish.repo_id}: files are missing from its folder, and {reason}.", hint="Download it when you are online."
        )
    reporter.notice(f"{wish.repo_id} was not compared with a hub ({reason}): it is used as it is, unverified.")
    return model


def _download(wish: _Wish, lease: Lease) -> tuple[CachedModel, int]:
    """Fetch what is missing or wrong: of the cached commit if that is what is wanted, else of the hub's listing."""
    listing = None if wish.force else _listing_of_cached(wish)
    if listing is not None:
        try:
            return _complete(wish, listing, lease)
        except (HubError, SourceFailed, WrongBytes) as error:
            lease.notice(f"{error.message} Asking for the present state of the model.")
    lease.progress(Progress("resolving"))
    try:
        listing = resolve(wish.hubs, wish.order, wish.repo_id, wish.revision, reporter=lease, stop=wish.stop)
    except (HubUnreachable, HubBusy):
        model = wish.cache.find(wish.repo_id)
        if model is None or model.is_verified or wish.force or not looks_complete(model.folder):
            raise
        return _unverified(wish, model, lease, "no hub can be reached"), 0
    return _complete_from_any(wish, listing, lease)


def _listing_of_cached(wish: _Wish) -> Listing | None:
    """Return the listing that the manifest of a damaged model amounts to, if it is what is wanted."""
    model = wish.cache.find(wish.repo_id)
    manifest = wish.cache.manifest(model) if model is not None else None
    if manifest is None or not wish.accepts(manifest) or manifest.hub not in wish.order:
        return None
    files = tuple(file.as_remote() for file in manifest.files)
    return Listing(manifest.repo_id, manifest.hub, manifest.revision, manifest.commit, files)


def _complete_from_any(wish: _Wish, listing: Listing, lease: Lease) -> tuple[CachedModel, int]:
    """Complete the model from the hub that listed it; if its bytes do not come, from the next hub in order."""
    try:
        return _complete(wish, listing, lease)
    except _ELSEWHERE as error:
        others = list(wish.order)[list(wish.order).index(listing.hub) + 1 :]
        if not others:
            raise
        lease.notice(f"{error.message} Trying {HUB_LABELS[others[0]]}.")
        try:
            other = resolve(wish.hubs, others, wish.repo_id, wish.revision, reporter=lease, stop=wish.stop)
        except HubError:
            raise error from None
        return _complete_from_any(wish, other, lease)


def _complete(wish: _Wish, listing: Listing, lease: Lease) -> tuple[CachedModel, int]:
    """Make the cache hold exactly `listing`."""
    folder = wish.cache.folder_for(wish.repo_id)
    previous = wish.cache.believed(folder)
    wanted = tuple(file for file in listing.files if is_wanted(file.path))
    kept = {} if wish.force else right_files(folder, previous, wanted, reporter=lease, stop=wish.stop)
    missing, copies = split_copies(wanted, kept)
    fetched: list[FetchedFile] = []
    try:
        if missing:
            client = HttpClient(max_connections=wish.max_connections)
            try:
                fetched = fetch(
                    missing,
                    sources=[HubSource(wish.hubs[listing.hub], listing, client)],
                    folder=incoming_folder(wish.cache.root, folder.name),
                    max_connections=wish.max_connections,
                    policy=wish.policy,
                    reporter=lease,
                    stop=wish.stop,
                )
            finally:
                client.close()
        lease.progress(Progress("committing", 0, len(wanted), "files"))
        commit_model(
            folder,
            listing,
            kept=kept,
            fetched=fetched,
            copies=copies,
            previous=previous,
            now=time.time(),
            reporter=lease,
        )
        lease.progress(Progress("committing", len(wanted), len(wanted), "files"))
    except BaseException:
        for file in fetched:
            file.release()
        raise
    model = wish.cache.find(wish.repo_id)
    if model is None:
        raise CacheDamaged(f"{wish.repo_id}: its folder changed while it was put in place.", hint="Start again.")
    return model, sum(file.bytes_fetched for file in fetched)


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
