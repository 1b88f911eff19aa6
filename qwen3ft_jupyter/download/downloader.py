"""Makes sure that a model is on this disk, whole and right."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.others.in_place import probable_files
from qwen3ft_jupyter.cache.own.evict import InUse, as_of_now, nobody_uses, remove_empty, remove_incoming
from qwen3ft_jupyter.cache.own.layout import INCOMING_FOLDER, incoming_folder, is_revision
from qwen3ft_jupyter.cache.own.lease import Lease, hold_lease
from qwen3ft_jupyter.cache.own.manifest import ManifestFile
from qwen3ft_jupyter.cache.unseen import unseen
from qwen3ft_jupyter.download.apply import Ensured, LenderGone, apply
from qwen3ft_jupyter.download.plan import DownloadPlan, make_plan
from qwen3ft_jupyter.download.present import (
    model_in_place,
    model_without_network,
    patience_for_news,
    tell_no_news,
    unverified_model,
    whole_model,
    will_do,
)
from qwen3ft_jupyter.download.room import make_room, volume_of
from qwen3ft_jupyter.download.survey import Found, Survey
from qwen3ft_jupyter.errors import (
    BadSetting,
    CacheError,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelNotFound,
    NotCached,
    Qwen3ftError,
    SourceFailed,
    Stopped,
    WrongBytes,
)
from qwen3ft_jupyter.hubs.git_refs import DEFAULT_BRANCHES
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, is_commit
from qwen3ft_jupyter.hubs.names import Sha256, without_twins
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY
from qwen3ft_jupyter.hubs.routes import resolve
from qwen3ft_jupyter.messages import Message, Names, Texts
from qwen3ft_jupyter.paths import folds_case
from qwen3ft_jupyter.transfer.objects import SMALL_BYTES
from qwen3ft_jupyter.transfer.sources import gather_sources
from qwen3ft_jupyter.transfer.volume import refuse_too_large
from qwen3ft_jupyter.work import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.download.room import Volume
    from qwen3ft_jupyter.hubs.listing import Hub, Listing
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.hubs.retry import RetryPolicy
    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.transfer.source import Source

_ANOTHER_HUB_MAY_DO = (HubUnreachable, HubBusy, ModelNotFound, SourceFailed, WrongBytes)
"""Failures of a transfer that another hub may not share."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """Brings models into a cache; has the means to do so, and their limits."""

    cache: ModelCache
    """Where models are."""
    hubs: Mapping[HubName, Hub]
    """Whom to ask."""
    order: Sequence[HubName]
    """The hubs that may be asked, the preferred one first."""
    mirrors: Sequence[Hub] = ()
    """More places to fetch from."""
    client: HttpClient | None = None
    """Carries the bytes; one of its own for each download if left out."""
    offline: bool = False
    """Ask nobody."""
    quota: int | None = None
    """Bytes the cache may hold; least recently used models make room."""
    is_used: InUse = nobody_uses
    """Says which models must not make room."""
    max_connections: int = 16
    """At most so many connections at once."""
    max_speed: float | None = None
    """At most so many bytes a second travel where the controls of the work set no speed."""
    policy: RetryPolicy = DEFAULT_POLICY
    """How patient to be with a hub that fails."""

    def ensure(self, request: DownloadRequest, work: Work) -> Ensured:
        """Return the model on this disk, downloading what is missing or wrong.

        A verified model whose files have their stamps costs no request and no reading; one asked for by a branch or
        tag, or to be brought up to date, costs one request. Files whose stamps differ (the cache was moved or copied)
        are read once. A folder that something else put there is compared with the hub's listing, and only what is
        missing or wrong is fetched; what other tools have on this disk is copied, not fetched. If another process is
        downloading the model, it is waited for and its progress shown.

        Raises:
            HubError: No hub lists the model, or lets us have it.
            NotCached: `offline`, and there is no such model here.
            CacheDamaged: `offline`, and files are missing or wrong.
            TransferError: The bytes did not arrive: `NoSpace`, `WrongBytes`, `SourceFailed` or `Stopped`.
            CacheNotWritable: The cache folder is only readable.
        """
        began = time.monotonic()
        try:
            done = self._bring(self._settled(request), work)
        except Stopped as error:
            raise Stopped("The download was stopped.", hint="What arrived is kept; start it again to go on.") from error
        if done.was_cached and self.cache.holds_models:
            _tell_problems(done.model.repo_id, done.model.problems, work)
        self.cache.touch(done.model.repo_id, done.model.revision or None)
        return replace(done, seconds=time.monotonic() - began)

    def plan(self, request: DownloadRequest, work: Work, *, is_timed: bool = True) -> DownloadPlan:
        """Return what `ensure` would do for the same request.

        A hub is asked where the download would ask one, files here that no stamp vouches for are read, and the speed
        of the link is measured for a second; nothing is written. What other tools keep on this disk is not read: it
        may turn out to be wrong, or to have a part of a file that the plan has travel whole.

        Raises:
            HubError: As there.
            NotCached: `offline`: what a hub lists cannot be known then.
            Stopped: Someone wants the work to stop.
        """
        request = self._settled(request)
        if self.offline:
            raise NotCached(
                "{model_name}: what a download would fetch cannot be known, for the network is switched off.",
                hint="Allow the network (QWEN3FT_OFFLINE=0).",
                model_name=request.model_name,
            )
        work.progress(Progress("resolving"))
        folder = self.cache.folder_for(request.model_name, request.revision)
        whole = None if request.force else whole_model(self, request, work, is_dry=True)
        listing = whole or self._listing_of_cached(request, folder) or self._news(request, work)
        if isinstance(listing, CachedModel):
            manifest = self.cache.manifest(listing)
            if manifest is None:  # deleted meanwhile
                return self.plan(request, work, is_timed=is_timed)
            found = Found(manifest.as_listing().files, kept={file.path: file for file in manifest.files})
            return self._plan(request, manifest.as_listing(), listing.folder, found, self._volume())
        plan = self._plan_in_place(request, listing)
        if plan is not None:
            return plan
        found = Survey(self.cache, request, listing, folder, work).look()
        refuse_too_large(self.cache.root, found.wanted, self.cache.disk)
        plan = self._plan(request, listing, folder, found, self._volume())
        return self._forecast(plan, work) if is_timed else plan

    def order_for(self, request: DownloadRequest) -> Sequence[HubName]:
        """Return the hubs that may be asked what the model is, the preferred one first."""
        wanted = request.sources or ()
        order = [hub for hub in self.order if hub in wanted] or list(self.order)
        return sorted(order, key=lambda hub: hub != request.hub)

    @contextlib.contextmanager
    def sources(self, plan: DownloadPlan, bytes_to_fetch: int, work: Work) -> Iterator[Sequence[Source]]:
        """Yield where the bytes of a plan come from, for the length of the block."""
        with contextlib.ExitStack() as stack:
            client = self.client
            if client is None:
                client = stack.enter_context(contextlib.closing(HttpClient(max_connections=self.max_connections)))
            yield stack.enter_context(
                gather_sources(
                    plan.listing,
                    hubs=self.hubs,
                    order=self.order_for(plan.request),
                    mirrors=self.mirrors,
                    client=client,
                    wanted=plan.request.sources,
                    bytes_to_fetch=bytes_to_fetch,
                    work=work,
                )
            )

    # Deciding

    def _settled(self, request: DownloadRequest) -> DownloadRequest:
        """Return the request as it is carried out: an update follows the branch that is cached."""
        if self.offline and request.force:
            request = replace(request, force=False)
        if request.update and request.revision is None:
            return replace(request, revision=_branch(self.cache.find(request.model_name)))
        return request

    def _resolved(self, request: DownloadRequest, work: Work, order: Sequence[HubName] = ()) -> Listing:
        """Return what of the listing of the first hub in `order` that has one this volume can hold."""
        order = order or self.order_for(request)
        if request.hub is not None and request.hub not in self.order:
            work.notice(
                "The settings leave out {hub}: {other} is asked.",
                hub=HUB_LABELS[request.hub],
                other=HUB_LABELS[order[0]],
            )
        listing = resolve(self.hubs, order, request.model_name, request.revision, work=work)
        if not folds_case(self.cache.root, INCOMING_FOLDER):
            return listing
        fitted = without_twins(listing)
        for note in fitted.notes[len(listing.notes) :]:
            work.notice(note)
        return fitted

    def _news(self, request: DownloadRequest, work: Work) -> Listing | CachedModel:
        """Return what a hub lists now or, if none can be asked, a cached model that will do without."""
        model = self.cache.find(request.model_name, request.revision)
        manifest = self.cache.manifest(model) if model is not None and will_do(request, model) else None
        enough = None if model is None or manifest is None or self.cache.stale_files(model, manifest) else model
        try:
            with patience_for_news(enough, work) as briefly:
                return self._resolved(request, briefly)
        except (HubError, BadSetting) as error:
            if enough is None:
                raise
            tell_no_news(request, error, work)
            return enough

    def _listing_of_cached(self, request: DownloadRequest, folder: Path) -> Listing | None:
        """Return the listing that the manifest of a damaged model amounts to, if it is what is wanted."""
        if request.force or request.may_have_moved:
            return None
        manifest = self.cache.trusted(folder)
        if manifest is None or manifest.hub not in self.order_for(request):
            return None
        if request.revision is not None and not is_revision(manifest, request.revision):
            return None
        return manifest.as_listing()

    def _plan(
        self, request: DownloadRequest, listing: Listing, folder: Path, found: Found, volume: Volume
    ) -> DownloadPlan:
        is_own_wanted = request.sources is None or listing.hub in request.sources
        sources = (HUB_LABELS[listing.hub],) if is_own_wanted else ()
        plan = make_plan(request, listing, folder, found, volume, sources=sources)
        return replace(plan, is_model=self.cache.holds_models)

    def _plan_in_place(self, request: DownloadRequest, listing: Listing) -> DownloadPlan | None:
        """Return the plan to use another tool's copy where it is, if one would probably do."""
        for model in self._others(request):
            files = probable_files(model, self.cache.places, listing)
            if files:
                kept = [ManifestFile(file.path, file.size, Sha256(file.sha256 or ""), None) for file in files]
                found = Found(files, kept={file.path: file for file in kept})
                return replace(self._plan(request, listing, model.folder, found, self._volume()), in_place=model)
        return None

    def _volume(self) -> Volume:
        return volume_of(self.cache, self.quota, as_of_now(self.is_used))

    def _forecast(self, plan: DownloadPlan, work: Work) -> DownloadPlan:
        """Return the plan with whence the files would come, and how fast; small ones come too quickly to tell."""
        from qwen3ft_jupyter.transfer.probe import measure_rate

        files = plan.of("resumed", "fetched")
        if not files:
            return plan.forecast((), None)
        largest = max(files, key=lambda file: file.size)
        with self.sources(plan, sum(file.size for file in files), work) as sources:
            rate = None
            if largest.size > SMALL_BYTES:
                work.progress(Progress("probing"))
                rate = measure_rate(largest, sources, connections=self.max_connections, stop=work.stop)
                limit = work.controls.within(self.max_speed).max_speed
                rate = rate if rate is None or limit is None else min(rate, limit)
            names = [source.name for source in sources if any(source.has(file) for file in files)]
        return plan.forecast(names, rate)

    # Carrying out

    def _bring(self, request: DownloadRequest, work: Work) -> Ensured:
        began = time.time()
        model = None if request.force else whole_model(self, request, work)
        if model is not None:
            return Ensured(model, was_cached=True)
        if self.offline:
            return Ensured(model_without_network(self, request, work), was_cached=True)
        cache, name = self.cache, request.model_name
        for line in unseen(cache, name):
            work.notice(line)
        while True:
            folder = cache.folder_for(name, request.revision)
            incoming = incoming_folder(cache.root, folder.name)
            try:
                with hold_lease(incoming, name, work, disk=cache.disk) as lease:
                    leased = replace(work, reporter=lease)
                    model = self._of_another(request, lease, leased, began)
                    if model is not None:
                        return Ensured(model)
                    if cache.folder_for(name, request.revision) != folder:
                        continue  # another revision was put there meanwhile
                    done = self._download(request, folder, leased)
            except HubError:  # nothing was begun by one that no hub knows
                remove_empty(incoming)
                raise
            remove_incoming(incoming, disk=cache.disk)
            return done

    def _of_another(self, request: DownloadRequest, lease: Lease, work: Work, began: float) -> CachedModel | None:
        """Return the model if the process that held the lease before has brought it."""
        model = whole_model(self, request, work) if lease.has_waited else None
        is_new = model is not None and model.created is not None and model.created >= began
        return model if is_new or not request.force else None

    def _download(self, request: DownloadRequest, folder: Path, work: Work) -> Ensured:
        """Fetch what is missing or wrong: of the cached commit if that is what is wanted, else of the hub's listing."""
        listing = self._listing_of_cached(request, folder)
        if listing is not None:
            try:
                return self._complete_from_all(request, listing, folder, work)
            except (HubError, SourceFailed, WrongBytes) as error:
                work.notice("{why} Asking for the present state of the model.", why=error.message)
                return Downloader._download_anew(self._after(error), request, folder, work)
        return self._download_anew(request, folder, work)

    def _download_anew(self, request: DownloadRequest, folder: Path, work: Work) -> Ensured:
        """Fetch what is missing or wrong of what a hub lists now."""
        work.progress(Progress("resolving"))
        try:
            listing = self._news(request, work)
        except (HubUnreachable, HubBusy):
            model = self._unverified(request, work)
            if model is None:
                raise
            return Ensured(model)
        if isinstance(listing, CachedModel):
            return Ensured(listing, was_cached=True)
        for model in self._others(request):
            try:
                return Ensured(model_in_place(self.cache, model, listing, work))
            except CacheError as error:  # noqa: PERF203 - there are one or two copies
                work.notice(error.message)
        return self._complete_from_any(request, listing, folder, work)

    def _unverified(self, request: DownloadRequest, work: Work) -> CachedModel | None:
        """Return a usable folder that nobody has compared with a hub, if there is one and it may be used."""
        model = self.cache.find(request.model_name, request.revision)
        if model is None or model.is_verified or request.force or model.problems:
            return None
        return unverified_model(self.cache, request, model, work, Message("no hub can be reached"))

    def _others(self, request: DownloadRequest) -> Sequence[CachedModel]:
        """Return other tools' copies that the request wants to use where they are."""
        return self.cache.others(request.model_name) if request.in_place and not request.force else ()

    def _complete_from_all(self, request: DownloadRequest, listing: Listing, folder: Path, work: Work) -> Ensured:
        """Complete the model from the hub that listed it; if its bytes do not come, from whoever has the same ones."""
        try:
            return self._complete(request, listing, folder, work)
        except (HubError, SourceFailed, WrongBytes) as error:
            order = self.order_for(request)
            if request.sources is not None or (len(order) < 2 and not self.mirrors):
                raise
            work.notice("{why} Asking others for the same bytes.", why=error.message)
            request = replace(request, sources=(*order, "mirrors", "disk"))
            return Downloader._complete(self._after(error), request, listing, folder, work)

    def _complete_from_any(self, request: DownloadRequest, listing: Listing, folder: Path, work: Work) -> Ensured:
        """Complete the model from the hub that listed it; if its bytes do not come, from the next hub in order."""
        try:
            return self._complete(request, listing, folder, work)
        except _ANOTHER_HUB_MAY_DO as error:
            order = self.order_for(request)
            others = order[order.index(listing.hub) + 1 :]
            if not others:
                raise
            work.notice("{why} Trying {hub}.", why=error.message, hub=HUB_LABELS[others[0]])
            try:
                other = self._resolved(request, work, others)
            except HubError:
                raise error from None
            return Downloader._complete_from_any(self._after(error), request, other, folder, work)

    def _after(self, error: Qwen3ftError) -> Downloader:
        """Return who goes on after a failure: with less patience if that has cost the usual one."""
        return replace(self, policy=self.policy.after_an_outage()) if error.is_transient else self

    def _complete(self, request: DownloadRequest, listing: Listing, folder: Path, work: Work) -> Ensured:
        """Plan, and carry the plan out; plan again when a model of this cache on which it counted is gone."""
        survey = Survey(self.cache, request, listing, folder, work)
        refuse_too_large(self.cache.root, survey.wanted, self.cache.disk)
        evicted: list[str] = []
        is_told = False

        def plan_within(volume: Volume) -> DownloadPlan:
            return self._plan(request, listing, folder, survey.look(), volume)

        while True:
            plan, gone = make_room(self.cache, plan_within, quota_bytes=self.quota, is_used=self.is_used, work=work)
            evicted += gone
            if not is_told:
                _tell_left_out(plan, work)
                if self.cache.holds_models:
                    _tell_problems(plan.repo_id, plan.problems, work)
            is_told = True
            try:
                done = replace(apply(plan, self, work), evicted=evicted)
            except LenderGone:
                continue
            if self.cache.holds_models and not plan.problems:  # what only the index told
                _tell_problems(plan.repo_id, done.model.problems, work)
            return done


def _tell_left_out(plan: DownloadPlan, work: Work) -> None:
    if left_out := [file for file in plan.listing.left_out if not file.problem]:  # those with one were told of
        work.notice("Left on the hub: {names}.", names=Names(left_out))


def _tell_problems(repo_id: RepoId, problems: Sequence[str], work: Work) -> None:
    if problems:
        work.notice("{repo_id} cannot be loaded as it is: {problems}.", repo_id=repo_id, problems=Texts(problems))


def _branch(known: CachedModel | None) -> str | None:
    """Return the branch that a cached model follows, or None for the hub's default branch."""
    revision = known.revision if known is not None else ""
    return None if not revision or is_commit(revision) or revision in DEFAULT_BRANCHES.values() else revision
