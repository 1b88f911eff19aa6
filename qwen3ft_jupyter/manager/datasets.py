"""Data sets that a fine-tune's `data` names by their repo on a hub: fetched into the cache, then files like any other.

They lie in ``MODEL_CACHE_DIR/.datasets``, each as a model does: real files and a manifest. One that is there and right
costs no request; see `qwen3ft_jupyter.cache.datasets`. What is not there is never fetched unasked: see `absent_data`.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.datasets import recorded_dataset
from qwen3ft_jupyter.cache.own.evict import nobody_uses
from qwen3ft_jupyter.errors import BadInput, HubBusy, HubUnreachable, Stopped
from qwen3ft_jupyter.hubs.datasets import DatasetHub, as_dataset, parse_dataset
from qwen3ft_jupyter.work import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.evict import InUse
    from qwen3ft_jupyter.cache.reports import RepairReport
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.hubs.datasets import DatasetName
    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.settings.declared import HubName, Settings
    from qwen3ft_jupyter.work import Work

ASKED_S = 10.0
"""So long a hub is asked how large a data set is; a plan can do without."""


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
    """Return what brings the data set of a name here and returns its folder; see `ensure_dataset`."""

    def fetch(name: str) -> Path:
        settings = jobs.settings
        done = ensure_dataset(_parsed(name), cache, settings, work, is_used=jobs, max_speed=settings.max_speed)
        return done.model.folder

    return fetch


def finder(cache: ModelCache, settings: Settings) -> Callable[[str], Path | None]:
    """Return what gives the folder of the data set of a name, None where it is not here in whole; no hub is asked."""
    return lambda name: found[1] if (found := _find_whole(_parsed(name), cache, settings)) else None


def _find_whole(dataset: DatasetName, cache: ModelCache, settings: Settings) -> tuple[HubName, Path] | None:
    """Return in which hub's folder a data set is in whole, and where; of several, that of the hub asked first."""
    from qwen3ft_jupyter.cache.datasets import dataset_cache

    for hub in (dataset.hub,) if dataset.hub else settings.hubs:
        model = dataset_cache(cache, dataset, hub).find(dataset.repo_id)
        if model is not None and model.is_verified and not model.changes:
            return hub, model.folder
    return None


def _with_hub(
    dataset: DatasetName, cache: ModelCache, settings: Settings, work: Work
) -> tuple[DatasetName, Listing | None]:
    """Return a data set with its hub; where none is named, that of the copy here, else the first one that lists it.

    Its folder and its name are those of that hub, so that it is found, and fetched anew, by them. What a hub has listed
    for that comes with it. Raises HubError, BadInput.
    """
    if dataset.hub is not None:
        return dataset, None
    found = _find_whole(dataset, cache, settings)
    if found is not None or settings.offline:
        return replace(dataset, hub=found[0] if found is not None else settings.hub), None
    listing = _listing(dataset, cache, settings, work)
    return replace(dataset, hub=listing.hub), listing


def _listing(dataset: DatasetName, cache: ModelCache, settings: Settings, work: Work) -> Listing:
    """Return what the first hub that has a data set lists of it. Raises HubError, BadInput, UnsafeModel."""
    from qwen3ft_jupyter.hubs.routes import resolve

    with downloading(dataset, cache, settings) as downloader:
        return resolve(downloader.hubs, downloader.order, dataset.repo_id, work=work)


def absent_name(name: str, cache: ModelCache, settings: Settings) -> str | None:
    """Return the data set on a hub that `name` means, by its name; None if it is here in whole, or is none.

    No hub is asked, so that a name without one stays so: `dataset_on_hub` knows which has it.
    """
    dataset = parse_dataset(name)
    return None if dataset is None or finder(cache, settings)(name) is not None else str(dataset)


def dataset_on_hub(name: str, cache: ModelCache, settings: Settings, work: Work) -> AbsentData:
    """Return a data set by the name that downloads it, and how large it is: the hubs are asked in their order.

    Raises:
        HubError: No hub has it, or lets us have it, or the network is switched off.
        BadInput, UnsafeModel: It has no such subset or split, several and none was named, or no rows.
    """
    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.manager.details import switched_off

    dataset = _parsed(name)
    if settings.offline:
        raise switched_off()
    listing = _listing(dataset, cache, settings, work)
    return AbsentData(str(replace(dataset, hub=listing.hub)), listing.size)


def dataset_names(items: Sequence[str]) -> dict[str, str]:
    """Return the data sets on a hub that these items of a config's data are, by their paths.

    They are those that are named and those that lie in a cache: once deleted, the path of those may not tell the owner.
    """
    from qwen3ft_jupyter.finetune.sources import named_repo, path_of

    found = {}
    for item in items:
        path, repo = path_of(item), named_repo(item)
        kept = recorded_dataset(path) if repo is None else None
        if name := repo[0] if repo is not None else str(kept or ""):
            found[str(path)] = name
    return found


def _parsed(name: str) -> DatasetName:
    dataset = parse_dataset(name)
    if dataset is None:
        raise BadInput("{name} is no data set on a hub.", hint="Write owner/name.", name=name)
    return dataset


def absent_data(
    names: Sequence[str], cache: ModelCache, settings: Settings, work: Work, *, is_rough: bool = False
) -> tuple[AbsentData, ...]:
    """Return which data sets these are that are not here, and how large; a hub is asked, in no more than seconds.

    Where an answer will do that `is_rough`, none is: sizes are not known, and of a name without a hub it is the
    preferred one.

    Raises:
        HubError: No hub has one of them, or lets us have it.
        BadInput, UnsafeModel: One has no such subset or split, several and none was named, or no rows.
        Stopped: The work was to stop.
    """
    briefly = None if is_rough or settings.offline else replace(work, stop=Patience(work.stop, ASKED_S))
    return tuple(_absent(_parsed(name), cache, settings, work, briefly) for name in names)


def _absent(
    dataset: DatasetName, cache: ModelCache, settings: Settings, work: Work, briefly: Work | None
) -> AbsentData:
    from qwen3ft_jupyter.finetune.absent import AbsentData

    size, hub = None, dataset.hub or settings.hub
    if briefly is not None:
        try:
            briefly.check()
            listing = _listing(dataset, cache, settings, briefly)
            size, hub = listing.size, listing.hub
        except (HubUnreachable, HubBusy, Stopped):
            work.check()
    return AbsentData(str(replace(dataset, hub=hub)), size)


def ensure_dataset(
    dataset: DatasetName,
    cache: ModelCache,
    settings: Settings,
    work: Work,
    *,
    is_used: InUse = nobody_uses,
    max_speed: float | None = None,
) -> Ensured:
    """Return a data set in the cache, downloading what is missing; within the quota others make room for it.

    Without a hub in its name, it is that of the copy here, else that of the first hub that lists it. Where the controls
    of the work set no speed, at most `max_speed` bytes a second travel.

    Raises:
        HubError: No hub has it, or lets us have it.
        BadInput: It has no such subset or split, or several and none was named.
        NotCached: The network is switched off, and it is not here.
        TransferError, CacheError: The bytes did not arrive, or cannot be kept.
    """
    from qwen3ft_jupyter.download.request import DownloadRequest

    dataset, listed = _with_hub(dataset, cache, settings, work)
    with downloading(dataset, cache, settings, listed=listed, is_used=is_used, max_speed=max_speed) as downloader:
        return downloader.ensure(DownloadRequest(dataset.repo_id), work)


def plan_dataset(
    dataset: DatasetName,
    cache: ModelCache,
    settings: Settings,
    work: Work,
    *,
    is_used: InUse = nobody_uses,
    max_speed: float | None = None,
) -> DownloadPlan:
    """Return what `ensure_dataset` would do, at that speed. Raises what `Downloader.plan` raises, and BadInput."""
    from qwen3ft_jupyter.download.request import DownloadRequest

    dataset, listed = _with_hub(dataset, cache, settings, work)
    with downloading(dataset, cache, settings, listed=listed, is_used=is_used, max_speed=max_speed) as downloader:
        return downloader.plan(DownloadRequest(dataset.repo_id), work)


@contextlib.contextmanager
def downloading(
    dataset: DatasetName,
    cache: ModelCache,
    settings: Settings,
    *,
    listed: Listing | None = None,
    is_used: InUse = nobody_uses,
    max_speed: float | None = None,
) -> Iterator[Downloader]:
    """Yield what brings a data set, for the length of the block; `listed` is what its hub has just listed."""
    from qwen3ft_jupyter.cache.datasets import dataset_cache
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.finetune.encoding import SUFFIXES
    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.routes import make_hubs

    order = (dataset.hub,) if dataset.hub else settings.hubs
    with contextlib.closing(HttpClient(max_connections=settings.max_connections)) as client:
        hubs = make_hubs(settings, client=client, kind="datasets")
        yield Downloader(
            dataset_cache(cache, dataset, order[0]),
            {
                name: DatasetHub(
                    hub, client, dataset, SUFFIXES, listed if listed is not None and listed.hub == name else None
                )
                for name, hub in hubs.items()
            },
            order,
            client=client,
            offline=settings.offline,
            quota=settings.quota,
            is_used=is_used,
            max_connections=settings.max_connections,
            max_speed=max_speed,
        )


def repair_dataset(dataset: DatasetName, cache: ModelCache, jobs: ModelJobs, work: Work) -> RepairReport:
    """Read a data set again and fetch what is damaged. Raises as `cache.own.repair.repair_model`."""
    from qwen3ft_jupyter.cache.datasets import find_dataset
    from qwen3ft_jupyter.cache.own.repair import repair_model

    def fetch(_: CachedModel) -> int:
        settings = jobs.settings
        done = ensure_dataset(dataset, cache, settings, work, is_used=jobs, max_speed=settings.max_speed)
        return done.bytes_fetched

    return repair_model(find_dataset(cache, dataset), dataset.repo_id, fetch, work=work)
