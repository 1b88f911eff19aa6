"""Data sets that a fine-tune's `data` names by their repo on a hub: fetched into the cache, then files like any other.

They lie in ``MODEL_CACHE_DIR/.datasets``, each as a model does: real files and a manifest. One that is there and right
costs no request; see `qwen3ft_jupyter.cache.datasets`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.datasets import as_dataset
from qwen3ft_jupyter.cache.own.evict import nobody_uses
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.hubs.datasets import DatasetHub, parse_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.evict import InUse
    from qwen3ft_jupyter.cache.reports import RepairReport
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.hubs.datasets import DatasetName
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.settings.declared import Settings
    from qwen3ft_jupyter.work import Work


def named_dataset(name: str, revision: str | None = None, owner: str | None = None) -> DatasetName | None:
    """Return the data set that a name means where a model's could stand; see `as_dataset`.

    Raises:
        BadInput: Something else is asked for that only models have.
    """
    found = as_dataset(name)
    if found is not None and (revision or owner):
        raise BadInput(
            "{name} is a data set: revision and owner are about models.", hint="Leave them out.", name=str(found)
        )
    return found


def fetcher(cache: ModelCache, jobs: ModelJobs, work: Work) -> Callable[[str], Path]:
    """Return what brings the data set of a name here and returns its folder; see `fetch_dataset`."""

    def fetch(name: str) -> Path:
        dataset = parse_dataset(name)
        if dataset is None:
            raise BadInput("{name} is no data set on a hub.", hint="Write owner/name.", name=name)
        return ensure_dataset(dataset, cache, jobs.settings, work, is_used=jobs).model.folder

    return fetch


def ensure_dataset(
    dataset: DatasetName, cache: ModelCache, settings: Settings, work: Work, *, is_used: InUse = nobody_uses
) -> Ensured:
    """Return a data set in the cache, downloading what is missing; within the quota others make room for it.

    Raises:
        HubError: No hub has it, or lets us have it.
        BadInput: It has no such subset or split, or several and none was named.
        NotCached: The network is switched off, and it is not here.
        TransferError, CacheError: The bytes did not arrive, or cannot be kept.
    """
    from qwen3ft_jupyter.cache.datasets import dataset_cache
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.finetune.encoding import SUFFIXES
    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.routes import make_hubs

    order = (dataset.hub,) if dataset.hub else settings.hubs
    with contextlib.closing(HttpClient(max_connections=settings.max_connections)) as client:
        hubs = make_hubs(settings, client=client, kind="datasets")
        downloader = Downloader(
            dataset_cache(cache, dataset, order[0]),
            {name: DatasetHub(hub, client, dataset, SUFFIXES) for name, hub in hubs.items()},
            order,
            client=client,
            offline=settings.offline,
            quota=settings.quota,
            is_used=is_used,
            max_connections=settings.max_connections,
            max_speed=settings.max_speed,
        )
        return downloader.ensure(DownloadRequest(dataset.repo_id), work)


def repair_dataset(dataset: DatasetName, cache: ModelCache, jobs: ModelJobs, work: Work) -> RepairReport:
    """Read a data set again and fetch what is damaged. Raises as `cache.own.repair.repair_model`."""
    from qwen3ft_jupyter.cache.datasets import find_dataset
    from qwen3ft_jupyter.cache.own.repair import repair_model

    def fetch(_: CachedModel) -> int:
        return ensure_dataset(dataset, cache, jobs.settings, work, is_used=jobs).bytes_fetched

    return repair_model(find_dataset(cache, dataset), dataset.repo_id, fetch, work=work)
