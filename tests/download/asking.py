"""Asks for a model as the manager does: a request, the means, and the work, from keywords."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.download.downloader import Downloader
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.work import SILENT, Controls, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.settings.declared import HubName

REQUESTED = {"revision", "force", "update", "sources", "in_place"}


def make_work(
    reporter: Reporter | None = None, stop: threading.Event | None = None, controls: Controls | None = None
) -> Work:
    return Work(reporter or SILENT, stop or threading.Event(), controls or Controls())


def ensure_model(cache: ModelCache, hubs: Mapping[HubName, Hub], repo_id: str, **given: Any) -> Ensured:
    downloader, request, work = asked(cache, hubs, repo_id, given)
    return downloader.ensure(request, work)


def plan_model(cache: ModelCache, hubs: Mapping[HubName, Hub], repo_id: str, **given: Any) -> DownloadPlan:
    downloader, request, work = asked(cache, hubs, repo_id, given)
    return downloader.plan(request, work)


def asked(
    cache: ModelCache, hubs: Mapping[HubName, Hub], repo_id: str, given: dict[str, Any]
) -> tuple[Downloader, DownloadRequest, Work]:
    work = make_work(given.pop("reporter", None), given.pop("stop", None), given.pop("controls", None))
    wanted = {name: given.pop(name) for name in REQUESTED & given.keys()}
    return Downloader(cache, hubs, **given), DownloadRequest.of(repo_id, **wanted), work
