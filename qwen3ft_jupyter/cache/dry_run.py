"""Looks at what a download would do, and does none of it."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.adopt import adoptable
from qwen3ft_jupyter.cache.audit import check_files
from qwen3ft_jupyter.cache.compare import right_files, split_copies
from qwen3ft_jupyter.cache.complete import own_files, recorded
from qwen3ft_jupyter.cache.ensure import listing_of_cached
from qwen3ft_jupyter.cache.in_place import probable_files
from qwen3ft_jupyter.cache.incoming import begun_bytes
from qwen3ft_jupyter.cache.layout import incoming_folder
from qwen3ft_jupyter.cache.preflight import DownloadPlan, Volume, make_download_plan
from qwen3ft_jupyter.cache.repair import right_ranges
from qwen3ft_jupyter.cache.wish import make_wish
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs import resolve
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import is_wanted
from qwen3ft_jupyter.transfer.plan import SMALL_BYTES, object_key
from qwen3ft_jupyter.transfer.probe import measure_rate
from qwen3ft_jupyter.transfer.sources import gather_sources
from qwen3ft_jupyter.work import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.cache.wish import Wish
    from qwen3ft_jupyter.hubs.listing import Hub, HubName, RemoteFile
    from qwen3ft_jupyter.work import Reporter


def plan_model(
    cache: ModelCache,
    hubs: Mapping[HubName, Hub],
    repo_id: str,
    *,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
    **wanted: Any,
) -> DownloadPlan:
    """Return what `ensure_model` would do for the same arguments.

    A hub is asked where the download would ask one, files here that no stamp vouches for are read, and the speed of
    the link is measured for a second; nothing is written. What other tools keep on this disk is not read: it may turn
    out to be wrong, or to have a part of a file that the plan has travel whole.

    Args:
        cache: Where models are.
        hubs: Whom to ask.
        repo_id: ``owner/name``.
        reporter: Is told of progress.
        stop: Ends the work within a second when set.
        wanted: As in `ensure_model`.

    Raises:
        BadName, BadInput, HubError: As there.
        NotCached: `offline`: what a hub lists cannot be known then.
        Stopped: `stop` was set.
    """
    wish = make_wish(cache, repo_id, hubs=hubs, stop=stop or threading.Event(), **wanted)
    if wish.offline:
        raise NotCached(
            f"{wish.repo_id}: what a download would fetch cannot be known, for the network is switched off.",
            hint="Allow the network (QWEN3FT_OFFLINE=0).",
        )
    reporter.progress(Progress("resolving"))
    ready = _ready(wish, reporter)
    if ready is not None:
        return _nothing_to_do(wish, ready)
    folder = cache.folder_for(wish.repo_id, wish.revision)
    listing = listing_of_cached(wish, folder) or resolve(
        wish.hubs, wish.order, wish.repo_id, wish.revision, reporter=reporter, stop=wish.stop
    )
    in_place = _in_place(wish, listing)
    if in_place:
        return _nothing_to_do(wish, replace(listing, files=in_place))
    files = tuple(file for file in listing.files if is_wanted(file.path))
    previous = cache.believed(folder)
    kept = {} if wish.force else right_files(folder, previous, files, reporter=reporter, stop=wish.stop)
    missing, _ = split_copies(files, kept)
    own = [] if wish.force else recorded(cache, but=folder)
    linked = own_files(missing, own)
    adopted = dict.fromkeys(linked, "cache")
    begun = begun_bytes(incoming_folder(cache.root, folder.name))
    if wish.may_use_disk:
        rest = [file for file in missing if file.path not in linked]
        adopted |= adoptable(rest, repo_id=wish.repo_id, places=cache.places, own=own, exclude=cache.folders)
        rest = [file for file in rest if file.path not in adopted]
        found = right_ranges(folder, previous, rest, reporter=reporter, stop=wish.stop)
        begun |= {key: max(count, begun.get(key, 0)) for key, count in found.items()}
    travelling = [file for file in missing if file.path not in adopted]
    sources, rate = _asked(wish, listing, travelling, reporter)
    return make_download_plan(
        listing,
        files,
        _volume(wish),
        kept=kept,
        adopted=adopted,
        linked=linked,
        begun=begun,
        previous=previous,
        sources=sources,
        rate=rate,
    )


def _ready(wish: Wish, reporter: Reporter) -> Listing | None:
    """Return what the cached model consists of if the download would find it whole and right, wherever it lies."""
    model = None if wish.force else wish.cached()
    manifest = wish.cache.manifest(model) if model is not None else None
    if model is None or manifest is None:
        return None
    stale = wish.cache.stale_files(model, manifest)
    check = check_files(model.folder, stale, phase="checking", reporter=reporter, stop=wish.stop)
    if check.missing or check.wrong:
        return None
    files = tuple(file.as_remote() for file in manifest.files)
    return Listing(manifest.repo_id, manifest.hub, manifest.revision, manifest.commit, files)


def _in_place(wish: Wish, listing: Listing) -> tuple[RemoteFile, ...]:
    """Return the files of another tool's copy that would probably be used where it is; none if there is no such."""
    if not wish.in_place or wish.force:
        return ()
    cache = wish.cache
    found = (probable_files(model, cache.places, listing) for model in cache.elsewhere(wish.repo_id))
    return next(filter(None, found), ())


def _nothing_to_do(wish: Wish, listing: Listing) -> DownloadPlan:
    return make_download_plan(listing, listing.files, _volume(wish), kept={file.path for file in listing.files})


def _volume(wish: Wish) -> Volume:
    cache = wish.cache
    return Volume(cache.free_bytes(), cache.used_bytes(), wish.quota, cache.holdings(wish.is_used), time.time())


def _asked(
    wish: Wish, listing: Listing, files: Sequence[RemoteFile], reporter: Reporter
) -> tuple[list[str], float | None]:
    """Return whence the files would come, and how fast; small ones come too quickly to tell."""
    if not files:
        return [], None
    largest = max(files, key=lambda file: file.size)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(wish.connecting())
        sources = stack.enter_context(
            gather_sources(
                listing,
                hubs=wish.hubs,
                order=wish.order,
                mirrors=wish.mirrors,
                client=client,
                wanted=wish.sources,
                bytes_to_fetch=sum(file.size for file in {object_key(file): file for file in files}.values()),
                reporter=reporter,
                stop=wish.stop,
            )
        )
        rate = None
        if largest.size > SMALL_BYTES:
            reporter.progress(Progress("probing"))
            rate = measure_rate(largest, sources, connections=wish.max_connections, stop=wish.stop)
            if rate is not None and wish.controls.max_speed is not None:
                rate = min(rate, wish.controls.max_speed)
        return [source.name for source in sources if any(source.has(file) for file in files)], rate
