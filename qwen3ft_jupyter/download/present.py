"""Which copy on this disk is the one that was asked for, and whether it is whole and right."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.others.evict import folders_of
from qwen3ft_jupyter.cache.others.in_place import use_in_place
from qwen3ft_jupyter.cache.own.verify import check_files
from qwen3ft_jupyter.errors import (
    BadSetting,
    CacheDamaged,
    CacheError,
    HubError,
    HubUnreachable,
    NotCached,
    Stopped,
)
from qwen3ft_jupyter.messages import Command, Message, Names, Texts
from qwen3ft_jupyter.work import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.work import Work

NEWS_S = 10.0
"""Nobody waits longer to hear whether a model that is here, and will do, has a newer commit."""


def whole_model(
    downloader: Downloader, request: DownloadRequest, work: Work, *, is_dry: bool = False
) -> CachedModel | None:
    """Return the cached model if it is verified, of the right commit, and all its files are there and right.

    Only what no stamp vouches for is read; the new stamps are kept, unless it `is_dry`.
    """
    model = _wanted(downloader, request, work)
    manifest = downloader.cache.manifest(model) if model is not None else None
    if model is None or manifest is None:
        return None
    cache = downloader.cache
    stale = cache.stale_files(model, manifest)
    if not stale:
        return model
    check = check_files(model.folder, stale, phase="checking", work=work)
    if not is_dry and not cache.record(model, manifest.with_stamps(check.stamps)):
        return whole_model(downloader, request, work)  # replaced meanwhile: what was read is not what is there now
    damaged = (*check.missing, *check.wrong)
    if damaged:
        work.notice(
            "{model_name}: {damaged} in the cache: missing or changed.",
            model_name=request.model_name,
            damaged=Names(damaged),
        )
        return None
    return cache.at(model.folder)


def _wanted(downloader: Downloader, request: DownloadRequest, work: Work) -> CachedModel | None:
    """Return the copy whose record names the wanted commit. A hub is asked if only that knows which commit it is.

    A copy that follows the branch is what is brought up to date, even where another copy has the commit already:
    whoever asks next, or asks offline, gets the one that follows the branch.
    """
    cache, name = downloader.cache, request.model_name
    model = cache.find(name, request.revision)
    if downloader.offline or not request.may_have_moved:
        return model
    known = model or cache.find(name)
    enough = model if model is not None and will_do(request, model) else None
    try:
        with patience_for_news(enough, work) as briefly:
            commit = _commit(downloader, request, known, briefly) if known is not None else ""
    except (HubError, BadSetting) as error:
        if enough is not None:
            tell_no_news(request, error, work)
        return enough  # if it is none, the listing, which is asked for next, says what is wrong
    if not commit or (model is not None and model.commit != commit):
        return None
    return model or cache.find(name, commit)


def _commit(downloader: Downloader, request: DownloadRequest, known: CachedModel, work: Work) -> str:
    """Ask, with one request, which commit is meant; return "" if nobody can be asked. Raises HubError, BadSetting.

    The hub of what is cached is asked, for commits differ between hubs.
    """
    name = known.hub
    if name is None or name not in downloader.order_for(request) or not known.commit:
        return ""
    return downloader.hubs[name].commit(request.model_name, request.revision, stop=work.stop)


def will_do(request: DownloadRequest, model: CachedModel) -> bool:
    """Return whether a cached model is enough for a request if no hub says whether there is a newer commit."""
    return model.is_verified and not request.update and not request.force


@contextlib.contextmanager
def patience_for_news(enough: CachedModel | None, work: Work) -> Iterator[Work]:
    """Yield the work of asking a hub. Where a model is here that is `enough`, it ends soon, with HubUnreachable."""
    if enough is None:
        yield work
        return
    try:
        yield replace(work, stop=Patience(work.stop, NEWS_S))
    except Stopped as error:
        work.check()
        raise HubUnreachable(
            "No hub has given an answer of use within {seconds} seconds.", seconds=round(NEWS_S)
        ) from error


def tell_no_news(request: DownloadRequest, error: Qwen3ftError, work: Work) -> None:
    """Say that what is here is used although no hub could be asked for news."""
    work.notice(
        "{why} {name} is used as it is here, without news of {revision}.",
        why=error.message,
        name=request.model_name,
        revision=request.revision,
    )


def model_without_network(downloader: Downloader, request: DownloadRequest, work: Work) -> CachedModel:
    """Return what there is, as far as it can be used.

    Raises:
        NotCached: There is no such model here.
        CacheDamaged: Files are missing or wrong.
    """
    cache, name = downloader.cache, request.model_name
    hint = Message("Allow the network (QWEN3FT_OFFLINE=0) and download it.")
    model = cache.find(name, request.revision)
    if model is None:
        if request.revision is not None and cache.find(name) is not None:
            raise NotCached(
                "{name} is cached, but not at revision {revision}.", hint=hint, name=name, revision=request.revision
            )
        raise _not_cached(cache, request, cache.hint_at(name, hint))
    manifest = cache.manifest(model)
    if manifest is None:
        return unverified_model(cache, request, model, work, Message("the network is switched off"))
    damaged = [file.path for file in cache.stale_files(model, manifest)]
    if damaged:
        raise CacheDamaged(
            "{name}: {damaged} in the cache: missing or changed.", hint=hint, name=name, damaged=Names(damaged)
        )
    return model


def _not_cached(cache: ModelCache, request: DownloadRequest, hint: str) -> NotCached:
    folders = cache.guessed(request.model_name)
    if folders:
        names = Names(model.folder.name for model in folders)
        hint = Message("{names} is called like it, but was never compared with a hub. {hint}", names=names, hint=hint)
    return NotCached(
        "{name} is not in the cache, and the network is switched off.",
        hint=hint,
        details=folders_of(folders),
        name=request.model_name,
    )


def unverified_model(
    cache: ModelCache, request: DownloadRequest, model: CachedModel, work: Work, reason: str
) -> CachedModel:
    """Return a folder nobody has compared with a hub, with a warning. Raises CacheDamaged if files are missing."""
    name = request.model_name
    if model.is_others:
        try:
            return model_in_place(cache, model, None, work)
        except CacheDamaged:
            raise
        except CacheError:  # its tool keeps no digests, or our folder cannot be written
            pass
    elif request.revision is not None:
        raise NotCached("{name} is there, but nobody knows its revision, and {reason}.", name=name, reason=reason)
    if model.problems:
        raise CacheDamaged(
            "{name} cannot be used as it is: {problems}, and {reason}.",
            hint="Once a hub can be asked, this fetches what is missing or wrong: {command}",
            name=name,
            problems=Texts(model.problems),
            reason=reason,
            command=Command("download", name),
        )
    work.notice(
        "{name} was not compared with a hub ({reason}): it is used as it is, unverified.", name=name, reason=reason
    )
    return model


def model_in_place(cache: ModelCache, model: CachedModel, listing: Listing | None, work: Work) -> CachedModel:
    """Return another tool's model where it is, after reading all of it; raises like `use_in_place`."""
    return use_in_place(model, root=cache.root, places=cache.places, listing=listing, work=work, disk=cache.disk)
