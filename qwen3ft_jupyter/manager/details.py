"""What is known of one model: its files with their digests, and its card; from the cache, or from a hub when asked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import HubUnreachable
from qwen3ft_jupyter.hubs.spelling import parse_model

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.manager.cached import CachedModels
    from qwen3ft_jupyter.settings.declared import HubName
else:
    CachedModels = object  # `ModelManager` is one: what stands beside it here keeps the chain of imports short


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """The files of a model."""

    model_name: RepoId
    is_cached: bool
    hub: HubName | None = None
    """Who lists the files; None if nobody was asked and none are here."""
    revision: str = ""
    commit: str = ""
    files: Sequence[RemoteFile] | None = None
    """None if they are not known."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "model_name": self.model_name,
            "cached": self.is_cached,
            "hub": self.hub or "",
            "revision": self.revision,
            "commit": self.commit,
            "files": None if self.files is None else [_file(file) for file in self.files],
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
        """Return the files of a model with sizes and digests: those in the cache, else those that a hub lists.

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
        model = self._recorded(repo_id, revision)
        manifest = self.cache.manifest(model) if model is not None else None
        if manifest is not None:
            listing = manifest.as_listing()
            return ModelDetails(repo_id, True, listing.hub, listing.revision, listing.commit, listing.files)
        if not ask:
            return ModelDetails(repo_id, is_cached=False)
        with self._asking(repo_id, revision, stop) as (_, listing):
            return ModelDetails(repo_id, False, listing.hub, listing.revision, listing.commit, listing.files)

    def card(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        ask: bool = False,
        stop: threading.Event | None = None,
    ) -> ModelCard:
        """Return the card of a model: the cached one, else that of a hub. Takes and raises what `details` does."""
        from qwen3ft_jupyter.hubs.cards import fetch_card, shown_card

        repo_id, revision = parse_model(model_name, revision)
        model = self._recorded(repo_id, revision)
        if model is not None:
            card = shown_card(_card_in(model))
            return ModelCard(repo_id, card.text, card.license)
        if not ask:
            return ModelCard(repo_id, None)
        with self._asking(repo_id, revision, stop) as (downloader, listing):
            if downloader.client is None:  # never so: whoever makes one gives it a client
                return ModelCard(repo_id, None)
            card = shown_card(fetch_card(downloader.hubs[listing.hub], downloader.client, listing, stop=stop))
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


def _card_in(model: CachedModel) -> bytes:
    """Return the card in the folder of a model; nothing if there is none that can be read."""
    from qwen3ft_jupyter.disk import read_regular
    from qwen3ft_jupyter.hubs.cards import CARD, MAX_CARD_BYTES

    try:
        return read_regular(model.folder / CARD, MAX_CARD_BYTES)
    except OSError:
        return b""


def _file(file: RemoteFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256 or "", "git_sha1": file.git_sha1 or ""}
