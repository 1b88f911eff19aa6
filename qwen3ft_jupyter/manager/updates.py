"""Whether hubs have newer commits of what is cached: asked when somebody wants to know, and remembered for a day."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from qwen3ft_jupyter.cache.own.layout import BESIDE
from qwen3ft_jupyter.errors import BadInput, HubError, HubUnreachable, Qwen3ftError, Stopped
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.details import switched_off
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.manager.cached import CachedModels
    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.work import Work
else:
    CachedModels = object  # `ModelManager` is one: what stands beside it here keeps the chain of imports short

REMEMBERED_S: Final = 86_400.0
"""News older than a day are none: a model is published, or mended, on any day."""
NEWS_NAME: Final = "updates.json"
"""In the state folder."""
PATIENCE_S: Final = 12.0
"""Nobody waits longer for a hub to say which commit a model has, and for that hub no more. Longer than it takes to give
up a connection, so that this is told; shorter than the silence (`hubs.http.QUESTION_IDLE_S`) after which ModelScope
counts as one that cannot say."""


@dataclass(frozen=True, slots=True)
class ModelNews:
    """What a hub said of a cached model."""

    model_name: RepoId
    slug: str
    hub: HubName
    revision: str
    """The branch or tag that the copy follows."""
    commit: str
    """What is cached."""
    latest: str = ""
    """What the hub has; "" if it was not asked within a day, or did not say."""
    checked: float | None = None
    """When it said so: Unix seconds."""
    problem: str = ""
    """Why it could not be asked, for a person."""
    created: float | None = None
    """When the copy was made: Unix seconds."""
    bytes_to_fetch: int | None = None
    """What of an update would travel; None where that was not asked for, or there is none."""

    @property
    def beside(self) -> str | None:
        """Return the revision to name to mean this copy; None for the one in the model's main folder."""
        return self.revision if BESIDE in self.slug else None

    @property
    def has_update(self) -> bool:
        """Return whether the hub has another commit."""
        return self.latest not in ("", self.commit)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "model_name": self.model_name,
            "slug": self.slug,
            "hub": self.hub,
            "revision": self.revision,
            "commit": self.commit,
            "latest": self.latest,
            "has_update": self.has_update,
            "checked": self.checked,
            "problem": self.problem,
            "bytes_to_fetch": self.bytes_to_fetch,
        }


class Updates(CachedModels):
    """The part of `ModelManager` that knows of newer commits."""

    def _downloader(
        self, request: DownloadRequest, *, max_speed: float | None
    ) -> contextlib.AbstractContextManager[Downloader]:
        raise NotImplementedError

    def known_updates(self) -> list[ModelNews]:
        """Return what is remembered of the models in the cache that follow a branch or tag; no hub is asked."""
        said = _read(self.settings.state_dir / NEWS_NAME, time.time())
        return [_with(news, said.get(_key(news))) for news in _followed(self.cached_models())]

    def check_updates(
        self, model_names: Sequence[str] = (), *, sizes: bool = False, stop: threading.Event | None = None
    ) -> list[ModelNews]:
        """Ask the hub of each cached model that follows a branch or tag which commit it has now; remember that.

        Args:
            model_names: ask about these alone; of one with several revisions about all, unless one is named.
            sizes: of each that has an update, also find out how much would travel.
            stop: ends the asking; what was said until then is remembered.

        Raises:
            HubUnreachable: the network is switched off, or no hub could be reached and none has said anything.
            NotCached: one of the models is not in the cache.
            BadInput: it is, and follows no branch or tag.
            Stopped: `stop` was set.
        """
        from qwen3ft_jupyter.hubs.http import HttpClient
        from qwen3ft_jupyter.hubs.routes import make_hubs

        if self.settings.offline:
            raise switched_off()
        followed, work = self._followed(model_names), self._work(None, stop)
        client = HttpClient(max_connections=self.settings.max_connections)
        asked: list[ModelNews] = []
        with contextlib.closing(client):
            asking = _Asking(make_hubs(self.settings, client=client), self.settings.hubs, work.stop)
            try:
                asked.extend(map(asking.ask, followed))  # one by one: a stop keeps what was said
            finally:
                self._remember(asked)
        if asked and all(not news.latest and asking.is_dead(news.hub) for news in asked):
            raise asking.dead[asked[0].hub]
        return [self._with_size(news, work) if sizes and news.has_update else news for news in asked]

    def _followed(self, model_names: Sequence[str]) -> list[ModelNews]:
        """Return the copies to ask about, each once. Raises as `check_updates`."""
        followed = _followed(self.cached_models())
        if not model_names:
            return followed
        wanted: dict[str, ModelNews] = {}
        for name in model_names:
            repo_id, revision = parse_model(name)
            found = [one for one in followed if one.model_name == repo_id and revision in (None, one.revision)]
            if not found:
                self._refuse(repo_id, revision)
            wanted |= {one.slug: one for one in found}
        return list(wanted.values())

    def _refuse(self, repo_id: RepoId, revision: str | None) -> NoReturn:
        """Say why there can be no news of a model."""
        if self.cache.find(repo_id, revision) is None:
            raise self.not_cached(repo_id, revision)
        raise BadInput(
            "{name} is here, but no copy of it in this cache follows a branch or tag of a hub.",
            hint="Only of those there are updates: a commit does not change.",
            name=repo_id,
        )

    def _with_size(self, news: ModelNews, work: Work) -> ModelNews:
        """Return news with what an update would fetch, or with why that is not known. Raises Stopped."""
        from qwen3ft_jupyter.download.request import DownloadRequest

        request = DownloadRequest(news.model_name, news.beside, update=True)
        try:
            with self._downloader(request, max_speed=None) as downloader:
                return replace(news, bytes_to_fetch=downloader.plan(request, work, is_timed=False).bytes_to_fetch)
        except Stopped:
            raise
        except Qwen3ftError as error:  # whatever is wrong with one model, the others have their answers
            return replace(news, problem=error.message)

    def _remember(self, asked: Sequence[ModelNews]) -> None:
        """Keep what was said; what cannot be written is asked again."""
        from qwen3ft_jupyter.disk import write_json

        path, now = self.settings.state_dir / NEWS_NAME, time.time()
        said = {**_read(path, now), **{_key(news): (news.latest, news.checked) for news in asked if news.latest}}
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {" ".join(key): list(value) for key, value in said.items()})


class _Asking:
    """Asks hubs for commits, and no hub again that could not be reached."""

    def __init__(self, hubs: Mapping[HubName, Hub], allowed: Sequence[HubName], stop: threading.Event) -> None:
        self._hubs, self._allowed, self._stop = hubs, allowed, stop
        self.dead: dict[HubName, HubUnreachable] = {}

    def is_dead(self, hub: HubName) -> bool:
        return hub in self.dead

    def ask(self, news: ModelNews) -> ModelNews:
        """Return the news of a model with what its hub says. Raises Stopped."""
        if news.hub not in self._allowed:
            return replace(news, problem=Message("The settings leave out the hub that it came from."))
        if self.is_dead(news.hub):
            return replace(news, problem=self.dead[news.hub].message)
        try:
            latest = self._commit(self._hubs[news.hub], news)
        except HubUnreachable as error:
            self.dead[news.hub] = error
            return replace(news, problem=error.message)
        except HubError as error:
            return replace(news, problem=error.message)
        if not latest:
            return replace(news, problem=Message("The hub does not say which commit it has."))
        return replace(news, latest=latest, checked=time.time())

    def _commit(self, hub: Hub, news: ModelNews) -> str:
        """Return what the hub says; "" if it cannot say. Raises HubError, of a silent one as well, and Stopped."""
        from qwen3ft_jupyter.hubs.failures import unreachable
        from qwen3ft_jupyter.work import Patience

        stop = Patience(self._stop, PATIENCE_S)
        try:
            latest = hub.commit(news.model_name, news.revision, stop=stop)
        except Stopped as error:
            if self._stop.is_set():
                raise
            raise unreachable(hub.endpoint, error, cause="silent") from error
        if not latest and stop.is_set() and not self._stop.is_set():
            raise unreachable(hub.endpoint, TimeoutError(), cause="silent")
        return latest


def _followed(models: Iterable[CachedModel]) -> list[ModelNews]:
    """Return the copies of our cache of which there can be news: those that follow a branch or tag of a hub."""
    from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
    from qwen3ft_jupyter.hubs.listing import is_commit

    return [
        ModelNews(model.repo_id, model.slug, model.hub, model.revision, model.commit, created=model.created)
        for model in models
        if model.owner == "qwen3ft"
        and model.is_verified
        and model.repo_id != PRACTICE_REPO_ID  # it comes with this package
        and model.hub is not None
        and model.commit
        and model.revision
        and not is_commit(model.revision)
    ]


_Said = tuple[str, "float | None"]


def _key(news: ModelNews) -> tuple[str, str, str]:
    return news.hub, news.model_name, news.revision


def _with(news: ModelNews, said: _Said | None) -> ModelNews:
    """Return the news with what was said since the copy was made: what was said before may be older than the copy."""
    if said is None or said[1] is None or (news.created is not None and said[1] < news.created):
        return news
    return replace(news, latest=said[0], checked=said[1])


def _read(path: Path, now: float) -> dict[tuple[str, str, str], _Said]:
    """Return what hubs said within a day, by hub, model and revision; nothing where the file is none of ours."""
    from qwen3ft_jupyter.disk import read_json
    from qwen3ft_jupyter.hubs.listing import is_commit

    try:
        stored = read_json(path)
    except (OSError, ValueError):
        return {}
    found: dict[tuple[str, str, str], _Said] = {}
    for key, value in stored.items() if isinstance(stored, dict) else ():
        parts = key.split(" ")
        if len(parts) != 3 or not isinstance(value, list) or len(value) != 2:
            continue
        latest, checked = value
        is_fresh = isinstance(checked, (int, float)) and 0 <= now - checked < REMEMBERED_S
        if is_fresh and isinstance(latest, str) and is_commit(latest):
            found[parts[0], parts[1], parts[2]] = latest, float(checked)
    return found
