"""Makes sure that a model is on this disk, whole and right."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.audit import check_files
from qwen3ft_jupyter.cache.compare import looks_complete
from qwen3ft_jupyter.cache.complete import Completed, complete
from qwen3ft_jupyter.cache.evict import nobody_uses, remove_empty, remove_incoming
from qwen3ft_jupyter.cache.evict_foreign import folders_of
from qwen3ft_jupyter.cache.in_place import use_in_place
from qwen3ft_jupyter.cache.layout import incoming_folder, is_revision
from qwen3ft_jupyter.cache.lease import Lease, hold_lease
from qwen3ft_jupyter.cache.wish import make_wish
from qwen3ft_jupyter.errors import (
    CacheDamaged,
    CacheError,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelNotFound,
    NotCached,
    SourceFailed,
    WrongBytes,
)
from qwen3ft_jupyter.format import first_names
from qwen3ft_jupyter.hubs import resolve
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Listing
from qwen3ft_jupyter.transfer.patience import DEFAULT_POLICY
from qwen3ft_jupyter.work import SILENT, Controls, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.evict import InUse
    from qwen3ft_jupyter.cache.manifest import Manifest
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.cache.wish import Wish
    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub, HubName
    from qwen3ft_jupyter.transfer.patience import RetryPolicy
    from qwen3ft_jupyter.work import Reporter

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
    shares: Mapping[str, int] = field(default_factory=dict)
    """Bytes that travelled, by the name of their source."""
    adopted: Mapping[str, int] = field(default_factory=dict)
    """Bytes that were on this disk already, by where."""
    evicted: Sequence[str] = ()
    """Models that made room for it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, as a download job's result has it."""
        return {
            "model_name": self.model.repo_id,
            "folder": str(self.model.folder),
            "bytes": self.bytes_fetched,
            "size": self.model.size_bytes,
            "seconds": self.seconds,
            "hub": self.hub,
            "was_cached": self.was_cached,
            "verified": self.model.is_verified,
            "sources": [{"name": name, "bytes": count} for name, count in self.shares.items()],
            "adopted": sum(self.adopted.values()),
            "evicted": list(self.evicted),
        }


def ensure_model(
    cache: ModelCache,
    hubs: Mapping[HubName, Hub],
    repo_id: str,
    *,
    revision: str | None = None,
    force: bool = False,
    update: bool = False,
    offline: bool = False,
    in_place: bool = False,
    order: Sequence[HubName],
    mirrors: Sequence[Hub] = (),
    sources: Sequence[str] | None = None,
    quota: int | None = None,
    is_used: InUse = nobody_uses,
    max_connections: int = 16,
    client: HttpClient | None = None,
    controls: Controls | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
) -> Ensured:
    """Return `repo_id` on this disk, downloading what is missing or wrong.

    A verified model whose files have their stamps costs no request and no reading; one asked for by a branch or tag,
    or to be brought up to date, costs one request. Files whose stamps differ (the cache was moved or copied) are read
    once. A folder that something else put there is compared with the hub's listing, and only what is missing or wrong
    is fetched; what other tools have on this disk is copied, not fetched. If another process is downloading the model,
    it is waited for and its progress shown.

    Args:
        cache: Where models are.
        hubs: Whom to ask.
        repo_id: ``owner/name``.
        revision: A branch, tag or commit; None takes what is cached, else the hub's default branch.
        force: Fetch every file again, whatever is there.
        update: Have the newest commit of the branch that is cached, or of `revision`.
        offline: Ask nobody.
        in_place: Use another tool's complete copy where it is, after comparing it with the hub's listing.
        order: The hubs that may be asked, the preferred one first.
        mirrors: More places to fetch from.
        sources: The only places to fetch from, see `check_sources`; None for all.
        quota: Bytes the cache may hold; least recently used models make room.
        is_used: Says which models must not make room.
        max_connections: At most so many connections at once.
        client: Carries the bytes; one of its own if left out.
        controls: Pause the transfer, or limit its speed, also while it runs.
        policy: How patient to be with a hub that fails.
        reporter: Is told of phases, progress, and everything a person should know.
        stop: Ends the work within a second when set; what arrived is kept.

    Raises:
        BadName, BadInput: `repo_id` is malformed, or one of `sources` is none.
        HubError: No hub lists the model, or lets us have it.
        NotCached: `offline`, and there is no such model here.
        CacheDamaged: `offline`, and files are missing or wrong.
        TransferError: The bytes did not arrive: `NoSpace`, `WrongBytes`, `SourceFailed` or `Stopped`.
        CacheNotWritable: The cache folder is only readable.
    """
    clock = time.monotonic()
    wish = make_wish(
        cache,
        repo_id,
        hubs=hubs,
        order=order,
        stop=stop or threading.Event(),
        revision=revision,
        force=force,
        update=update,
        offline=offline,
        in_place=in_place,
        mirrors=mirrors,
        sources=sources,
        quota=quota,
        is_used=is_used,
        max_connections=max_connections,
        client=client,
        controls=controls,
        policy=policy,
    )
    done, was_cached = _bring(wish, reporter)
    cache.touch(done.model.repo_id, done.model.revision or None)
    return Ensured(
        done.model,
        done.bytes_fetched,
        time.monotonic() - clock,
        done.model.hub,
        was_cached,
        done.shares,
        done.adopted,
        done.evicted,
    )


def _bring(wish: Wish, reporter: Reporter) -> tuple[Completed, bool]:
    model = None if wish.force else _ready(wish, reporter)
    if model is not None:
        return _as_it_is(model), True
    if wish.offline:
        return _as_it_is(_without_network(wish, reporter)), True
    while True:
        folder = wish.cache.folder_for(wish.repo_id, wish.revision)
        incoming = incoming_folder(wish.cache.root, folder.name)
        try:
            with hold_lease(incoming, wish.repo_id, reporter=reporter, stop=wish.stop, disk=wish.cache.disk) as lease:
                if lease.has_waited and (model := _ready(wish, lease)) is not None:
                    is_new = model.created is not None and model.created >= wish.began
                    if is_new or not wish.force:
                        return _as_it_is(model), False
                if wish.cache.folder_for(wish.repo_id, wish.revision) != folder:
                    continue  # another revision was put there meanwhile
                done = _download(wish, folder, lease)
        except HubError:  # nothing was begun by one that no hub knows
            remove_empty(incoming)
            raise
        remove_incoming(incoming, disk=wish.cache.disk)
        return done, False


def _as_it_is(model: CachedModel) -> Completed:
    return Completed(model, {}, {}, ())


def _ready(wish: Wish, reporter: Reporter) -> CachedModel | None:
    """Return the cached model if it is verified, of the right commit, and all its files are there and right."""
    model = wish.cached()
    manifest = wish.cache.manifest(model) if model is not None else None
    return _checked(wish, model, manifest, reporter) if model is not None and manifest is not None else None


def _checked(wish: Wish, model: CachedModel, manifest: Manifest, reporter: Reporter) -> CachedModel | None:
    """Return the model if all its files are there and right, reading only what no stamp vouches for."""
    stale = wish.cache.stale_files(model, manifest)
    if not stale:
        return model
    check = check_files(model.folder, stale, phase="checking", reporter=reporter, stop=wish.stop)
    if not wish.cache.record(model, manifest.with_stamps(check.stamps)):
        return _ready(wish, reporter)  # replaced or evicted meanwhile: what was read is not what is there now
    damaged = (*check.missing, *check.wrong)
    if damaged:
        reporter.notice(f"{wish.repo_id}: {first_names(damaged)} in the cache: missing or changed.")
        return None
    return wish.cache.at(model.folder)


def _without_network(wish: Wish, reporter: Reporter) -> CachedModel:
    """Return what there is, as far as it can be used."""
    hint = "Allow the network (QWEN3FT_OFFLINE=0) and download it."
    model = wish.cache.find(wish.repo_id, wish.revision)
    if model is None:
        if wish.revision is not None and wish.cache.find(wish.repo_id) is not None:
            raise NotCached(f"{wish.repo_id} is cached, but not at revision {wish.revision}.", hint=hint)
        raise _not_cached(wish, hint)
    manifest = wish.cache.manifest(model)
    if manifest is None:
        return _unverified(wish, model, reporter, "the network is switched off")
    damaged = [file.path for file in wish.cache.stale_files(model, manifest)]
    if damaged:
        raise CacheDamaged(f"{wish.repo_id}: {first_names(damaged)} in the cache: missing or changed.", hint=hint)
    return model


def _not_cached(wish: Wish, hint: str) -> NotCached:
    folders = wish.cache.guessed(wish.repo_id)
    if folders:
        names = first_names([model.folder.name for model in folders])
        hint = f"{names} is called like it, but was never compared with a hub. {hint}"
    message = f"{wish.repo_id} is not in the cache, and the network is switched off."
    return NotCached(message, hint=hint, details=folders_of(folders))


def _unverified(wish: Wish, model: CachedModel, reporter: Reporter, reason: str) -> CachedModel:
    """Return a folder nobody has compared with a hub, with a warning. Raises CacheDamaged if files are missing."""
    if model.is_elsewhere:
        try:
            return _in_place(wish, model, None, reporter)
        except CacheDamaged:
            raise
        except CacheError:  # its tool keeps no digests, or our folder cannot be written
            pass
    elif wish.revision is not None:
        raise NotCached(f"{wish.repo_id} is there, but nobody knows its revision, and {reason}.")
    if not looks_complete(model.folder):
        raise CacheDamaged(
            f"{wish.repo_id}: files are missing from its folder, and {reason}.", hint="Download it when you are online."
        )
    reporter.notice(f"{wish.repo_id} was not compared with a hub ({reason}): it is used as it is, unverified.")
    return model


def _download(wish: Wish, folder: Path, lease: Lease) -> Completed:
    """Fetch what is missing or wrong: of the cached commit if that is what is wanted, else of the hub's listing."""
    listing = listing_of_cached(wish, folder)
    if listing is not None:
        try:
            return _complete_from_all(wish, listing, folder, lease)
        except (HubError, SourceFailed, WrongBytes) as error:
            lease.notice(f"{error.message} Asking for the present state of the model.")
    lease.progress(Progress("resolving"))
    try:
        listing = resolve(wish.hubs, wish.order, wish.repo_id, wish.revision, reporter=lease, stop=wish.stop)
    except (HubUnreachable, HubBusy):
        model = wish.cache.find(wish.repo_id, wish.revision)
        if model is None or model.is_verified or wish.force or not looks_complete(model.folder):
            raise
        return _as_it_is(_unverified(wish, model, lease, "no hub can be reached"))
    if wish.in_place and not wish.force:
        for model in wish.cache.elsewhere(wish.repo_id):
            try:
                return _as_it_is(_in_place(wish, model, listing, lease))
            except CacheError as error:  # noqa: PERF203 - there are one or two copies
                lease.notice(error.message)
    return _complete_from_any(wish, listing, folder, lease)


def _in_place(wish: Wish, model: CachedModel, listing: Listing | None, reporter: Reporter) -> CachedModel:
    cache = wish.cache
    return use_in_place(
        model,
        root=cache.root,
        places=cache.places,
        listing=listing,
        reporter=reporter,
        stop=wish.stop,
        disk=cache.disk,
    )


def listing_of_cached(wish: Wish, folder: Path) -> Listing | None:
    """Return the listing that the manifest of a damaged model amounts to, if it is what is wanted."""
    if wish.force or wish.may_have_moved:
        return None
    manifest = wish.cache.believed(folder)
    if manifest is None or manifest.hub not in wish.order:
        return None
    if wish.revision is not None and not is_revision(manifest.commit, manifest.revision, wish.revision):
        return None
    files = tuple(file.as_remote() for file in manifest.files)
    return Listing(manifest.repo_id, manifest.hub, manifest.revision, manifest.commit, files)


def _complete_from_all(wish: Wish, listing: Listing, folder: Path, lease: Lease) -> Completed:
    """Complete the model from the hub that listed it; if its bytes do not come, from whoever has the same ones."""
    try:
        return complete(wish, listing, folder, lease)
    except (HubError, SourceFailed, WrongBytes) as error:
        if wish.sources is not None or (len(wish.order) < 2 and not wish.mirrors):
            raise
        lease.notice(f"{error.message} Asking others for the same bytes.")
        return complete(replace(wish, sources=(*wish.order, "mirrors", "disk")), listing, folder, lease)


def _complete_from_any(wish: Wish, listing: Listing, folder: Path, lease: Lease) -> Completed:
    """Complete the model from the hub that listed it; if its bytes do not come, from the next hub in order."""
    try:
        return complete(wish, listing, folder, lease)
    except _ELSEWHERE as error:
        others = list(wish.order)[list(wish.order).index(listing.hub) + 1 :]
        if not others:
            raise
        lease.notice(f"{error.message} Trying {HUB_LABELS[others[0]]}.")
        try:
            other = resolve(wish.hubs, others, wish.repo_id, wish.revision, reporter=lease, stop=wish.stop)
        except HubError:
            raise error from None
        return _complete_from_any(wish, other, folder, lease)
