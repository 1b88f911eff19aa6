"""Data sets that a fine-tune's `data` names by their repo on a hub: fetched into the cache, then files like any other.

They lie in ``MODEL_CACHE_DIR/.datasets/HUB/SUBSET/owner_name``, each as a model does: real files and a manifest. One
that is there and right costs no request.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.hubs.datasets import DatasetHub, parse_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.hubs.datasets import DatasetName
    from qwen3ft_jupyter.settings.declared import Settings
    from qwen3ft_jupyter.work import Work

FOLDER: Final = ".datasets"
DEFAULT: Final = "default"


def fetcher(settings: Settings, work: Work) -> Callable[[str], Path]:
    """Return what brings the data set of a name here and returns its folder; see `fetch_dataset`."""

    def fetch(name: str) -> Path:
        dataset = parse_dataset(name)
        if dataset is None:
            raise BadInput("{name} is no data set on a hub.", hint="Write owner/name.", name=name)
        return fetch_dataset(dataset, settings, work)

    return fetch


def fetch_dataset(dataset: DatasetName, settings: Settings, work: Work) -> Path:
    """Return the folder of a data set, downloading what is missing.

    Raises:
        HubError: No hub has it, or lets us have it.
        BadInput: It has no such subset, or several and none was named.
        NotCached: The network is switched off, and it is not here.
        TransferError, CacheError: The bytes did not arrive, or cannot be kept.
    """
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.finetune.encoding import SUFFIXES
    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.routes import make_hubs

    order = (dataset.hub,) if dataset.hub else settings.hubs
    root = settings.cache_dir / FOLDER / order[0] / (dataset.subset or DEFAULT)
    with contextlib.closing(HttpClient(max_connections=settings.max_connections)) as client:
        hubs = make_hubs(settings, client=client, kind="datasets")
        downloader = Downloader(
            ModelCache(root),
            {name: DatasetHub(hub, client, dataset.subset, SUFFIXES) for name, hub in hubs.items()},
            order,
            client=client,
            offline=settings.offline,
            max_connections=settings.max_connections,
            max_speed=settings.max_speed,
            holds_models=False,
        )
        return downloader.ensure(DownloadRequest(dataset.repo_id), work).model.folder
