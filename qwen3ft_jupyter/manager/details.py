"""What is known of one model: what it is, its files and digests, its card; from the cache, or from a hub when asked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import HubError, HubUnreachable
from qwen3ft_jupyter.hubs.cards import CARD, MAX_CARD_BYTES, fetch_card, shown_card
from qwen3ft_jupyter.hubs.spelling import parse_model

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.manager.cached import CachedModels
    from qwen3ft_jupyter.manager.overview import ModelRow
    from qwen3ft_jupyter.manager.rates import SourceRate
    from qwen3ft_jupyter.settings.declared import HubName
else:
    CachedModels = object  # `ModelManager` is one: what stands beside it here keeps the chain of imports short


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What is known of a model, but for its card."""

    about: ModelRow
    """What the catalogue has, and whether it is on this disk."""
    copies: Sequence[CachedModel] = ()
    """Those on this disk, our own first."""
    unfinished: Sequence[Unfinished] = ()
    """Downloads of it that have not ended."""
    sources: Sequence[SourceRate] = ()
    """How fast sources of models were in downloads, the fastest first; none for a model that comes from no hub."""
    is_cached: bool = False
    """Whether the files are those in the cache."""
    hub: HubName | None = None
    """Who lists the files; None if nobody was asked and none are here."""
    revision: str = ""
    commit: str = ""
    files: Sequence[RemoteFile] | None = None
    """None if they are not known."""
    license: str = ""
    """As the catalogue or else the card names it."""

    @property
    def model_name(self) -> str:
        """Return which model it is."""
        return self.about.model_name

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "model_name": self.model_name,
            "cached": self.is_cached,
            "hub": self.hub or "",
            "revision": self.revision,
            "commit": self.commit,
            "license": self.license,
            "files": None if self.files is None else [_file(file) for file in self.files],
            "copies": [copy.to_dict() for copy in self.copies],
            "unfinished": [one.to_dict() for one in self.unfinished],
            "sources": [source.to_dict() for source in self.sources],
            "about": self.about.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The card of a model, as Markdown without its front matter. A stranger wrote it."""

    model_name: RepoId
    text: str | None
    """None if it is not here and nobody was asked; "" if the model has none."""
    license: str = ""
    """As its front matter names it."""
    hub: HubName | None = None
    """Who gave it; None for one in the cache."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"model_name": self.model_name, "text": self.text, "license": self.license, "hub": self.hub or ""}


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What a person means by a text."""

    model_name: RepoId
    revision: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-ready dict."""
        return {"model_name": self.model_name, "revision": self.revision or ""}


class Details(CachedModels):
    """The part of `ModelManager` that tells what one model is."""

    def _downloader(
        self, request: DownloadRequest, *, max_speed: float | None
    ) -> contextlib.AbstractContextManager[Downloader]:
        raise NotImplementedError

    def read_name(self, text: str) -> NamedModel:
        """Return the model that a name or an address means, as every method that takes one understands it.

        >>> manager.read_name("https://hf-mirror.com/Qwen/Qwen3-8B/tree/main").revision  # doctest: +SKIP
        'main'

        Raises:
            BadName: it means no model; the hint names what works.
            BadInput: no revision can be called so.
            UnknownModel: nobody published such a name.
        """
        from qwen3ft_jupyter.cache.case import check_known

        repo_id, revision = parse_model(text)
        check_known(repo_id, self.cache)
        return NamedModel(repo_id, revision)

    def details(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        ask: bool = False,
        stop: threading.Event | None = None,
    ) -> ModelDetails:
        """Return what is known of a model, its files with sizes and digests among it.

        They are those in the cache, else those that a hub lists.

        Args:
            model_name: a repo id, or the address of a model's page.
            revision: a branch, tag or commit.
            ask: ask a hub if our cache has no record of the model; without, its files are None then.
            stop: ends the asking.

        Raises:
            UnknownModel, BadName: nobody published such a name.
            HubError: no hub can be asked, or none has it.
        """
        repo_id, revision = parse_model(model_name, revision)
        found, model = self._known(repo_id), self._recorded(repo_id, revision)
        manifest = self.cache.manifest(model) if model is not None else None
        if model is not None and manifest is not None:
            found = replace(found, is_cached=True, license=found.license or shown_card(_card_in(model)).license)
            return _with_files(found, manifest.as_listing())
        if not ask:
            return found
        with self._asking(repo_id, revision, stop) as (downloader, listing):
            if not found.license:
                with contextlib.suppress(HubError):  # the files are what was asked for
                    found = replace(found, license=shown_card(_fetch_card(downloader, listing, stop)).license)
            return _with_files(found, listing)

    def _known(self, repo_id: RepoId) -> ModelDetails:
        """Return what is known of a model without its files; no hub is asked."""
        from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
        from qwen3ft_jupyter.manager.overview import model_row
        from qwen3ft_jupyter.manager.rates import read_rates

        copies = [*(one for one in self.cache.kept() if one.repo_id == repo_id), *self.cache.others(repo_id)]
        row = model_row(repo_id, copies, self._model_jobs.downloads().get(repo_id))
        unfinished = [one for one in self.cache.unfinished_downloads() if one.repo_id == repo_id]
        sources = read_rates(self.settings.state_dir) if repo_id != PRACTICE_REPO_ID else []
        return ModelDetails(row, copies, unfinished, sources, license=row.license)

    def card(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        ask: bool = False,
        stop: threading.Event | None = None,
    ) -> ModelCard:
        """Return the card of a model: the cached one, else that of a hub. Takes and raises what `details` does."""
        repo_id, revision = parse_model(model_name, revision)
        model = self._recorded(repo_id, revision)
        if model is not None:
            card = shown_card(_card_in(model))
            return ModelCard(repo_id, card.text, card.license)
        if not ask:
            return ModelCard(repo_id, None)
        with self._asking(repo_id, revision, stop) as (downloader, listing):
            card = shown_card(_fetch_card(downloader, listing, stop))
            return ModelCard(repo_id, card.text, card.license, listing.hub)

    def _recorded(self, repo_id: RepoId, revision: str | None) -> CachedModel | None:
        """Return the copy in our cache, or in a shared one, of which there is a record."""
        model = self.cache.find(repo_id, revision)
        return model if model is not None and model.is_verified and not model.is_others else None

    @contextlib.contextmanager
    def _asking(
        self, repo_id: RepoId, revision: str | None, stop: threading.Event | None
    ) -> Iterator[tuple[Downloader, Listing]]:
        """Yield the listing of a model, and who can ask for more of it."""
        from qwen3ft_jupyter.download.request import DownloadRequest
        from qwen3ft_jupyter.hubs.routes import resolve

        request = DownloadRequest(repo_id, revision)
        with self._downloader(request, max_speed=None) as downloader:
            if downloader.offline:
                raise switched_off()
            order, work = downloader.order_for(request), self._work(None, stop)
            yield downloader, resolve(downloader.hubs, order, repo_id, revision, work=work)


def switched_off() -> HubUnreachable:
    """Return the error for what only a hub knows while none may be asked."""
    return HubUnreachable(
        "No hub is asked: the network is switched off.",
        hint="Allow the network (QWEN3FT_OFFLINE=0); what is in the cache can be used as it is.",
    )


def _with_files(found: ModelDetails, listing: Listing) -> ModelDetails:
    return replace(found, hub=listing.hub, revision=listing.revision, commit=listing.commit, files=listing.files)


def _fetch_card(downloader: Downloader, listing: Listing, stop: threading.Event | None) -> bytes:
    """Return the card as the hub of a listing gives it. Raises HubError, Stopped."""
    if downloader.client is None:  # never so: whoever makes one gives it a client
        return b""
    return fetch_card(downloader.hubs[listing.hub], downloader.client, listing, stop=stop)


def _card_in(model: CachedModel) -> bytes:
    """Return the card in the folder of a model; nothing if there is none that can be read."""
    from qwen3ft_jupyter.disk import read_regular

    try:
        return read_regular(model.folder / CARD, MAX_CARD_BYTES)
    except OSError:
        return b""


def _file(file: RemoteFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256 or "", "git_sha1": file.git_sha1 or ""}
