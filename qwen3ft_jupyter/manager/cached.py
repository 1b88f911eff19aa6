"""What there is: models, those on this disk, and jobs; and what `ModelManager` offers about the cache."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.case import check_known
from qwen3ft_jupyter.cache.others.places import known_places
from qwen3ft_jupyter.cache.unseen import OTHERS, unseen, unseen_clients, unseen_folders
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.manager.datasets import absent_name, dataset_on_hub, fetcher, finder, named_dataset
from qwen3ft_jupyter.manager.ends import tells_end
from qwen3ft_jupyter.manager.jobs import ModelJobs
from qwen3ft_jupyter.manager.kinds import KINDS
from qwen3ft_jupyter.messages import Command, Message, Texts
from qwen3ft_jupyter.settings.declared import STRANGERS_ORIGINS, Settings
from qwen3ft_jupyter.work import SILENT, Controls, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.cache.datasets import CachedDataset, DatasetCache, DatasetRow
    from qwen3ft_jupyter.cache.models import CachedModel, CachedRow, EvictedModel
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.hubs.datasets import DatasetName
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.loading.machine import Room
    from qwen3ft_jupyter.manager import overview


def warn_unless_sound(ensured: Ensured, reporter: Reporter) -> Ensured:
    """Return it; where nobody is told of notices, let Python warn that it is used unverified, or cannot be loaded."""
    model = ensured.model
    if reporter is not SILENT or (model.is_verified and not model.problems):
        return ensured
    text = Message(
        "{repo_id} cannot be loaded as it is: {problems}."
        if model.problems
        else "{repo_id} was not compared with a hub: it is used as it is, unverified.",
        repo_id=model.repo_id,
        problems=Texts(model.problems),
    )
    frame, level = sys._getframe(), 1  # noqa: SLF001 - the way to the line that asked, whichever method it called
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("qwen3ft_jupyter"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level)
    return ensured


class CachedModels:
    """The part of `ModelManager` that lists what there is, jobs included, and evicts and pins what is cached."""

    def __init__(
        self, settings: Settings, *, reporter: Callable[[], Reporter] | None = None, is_trusted: bool = True
    ) -> None:
        self.settings = settings
        # A cloned repository can bring a .env, a cache and manifests that vouch for exchanged weights.
        self._is_trusted = is_trusted and settings.origins.get("cache_dir") not in STRANGERS_ORIGINS
        from qwen3ft_jupyter.cache.store import ModelCache

        self.cache = ModelCache(
            settings.cache_dir,
            settings.shared_dirs,
            places=lambda: known_places(os.environ, settings.other_dirs),
            unseen=lambda: (*unseen_folders(OTHERS, settings.other_dirs), *unseen_clients(os.environ)),
            trust_manifests=self._is_trusted,
            trust_copies=settings.trust_copies,
        )
        self.job_store = JobStore(settings.state_dir, KINDS, environ=settings.secrets_given())
        self.make_reporter = reporter or (lambda: SILENT)

    @property
    def _model_jobs(self) -> ModelJobs:
        return ModelJobs(self.job_store, self.settings, self._is_trusted)

    def _work(self, reporter: Reporter | None, stop: threading.Event | None, controls: Controls | None = None) -> Work:
        return Work(reporter or self.make_reporter(), stop or threading.Event(), controls or Controls())

    def _find_dataset(self, dataset: DatasetName) -> DatasetCache:
        """Return where a data set is. Raises NotCached."""
        from qwen3ft_jupyter.cache.datasets import find_dataset

        return find_dataset(self.cache, dataset)

    def fetcher(self, work: Work) -> Callable[[str], Path]:
        """Return what brings a data set on a hub here, by its name, and returns its folder."""
        return fetcher(self.cache, self._model_jobs, work)

    def finder(self) -> Callable[[str], Path | None]:
        """Return what gives the folder of a data set on a hub, by its name; None where it is not here."""
        return finder(self.cache, self.settings)

    def absent_dataset(self, name: str) -> str | None:
        """Return the data set on a hub that a name means; None if it is here, or is none. No hub is asked."""
        return absent_name(name, self.cache, self.settings)

    def find_dataset(self, name: str, *, stop: threading.Event | None = None) -> AbsentData:
        """Ask the hubs which has a data set; return it by the name that `download` takes, with its size in bytes.

        >>> manager.find_dataset("owner/name").name  # doctest: +SKIP
        'hf:owner/name'

        Args:
            name: ``owner/name:subset:split``, as a fine-tune's `data` has it; with its hub, that alone is asked.
            stop: ends the asking.

        Raises:
            HubError: no hub has it, or lets us have it, or can be asked.
            BadInput, UnsafeModel: it has no such subset or split, several and none was named, or no rows.
        """
        return dataset_on_hub(name, self.cache, self.settings, self._work(None, stop))

    def list_cached_models(self) -> list[CachedRow]:
        """Return one dict per model on this disk: `model_name`, `size` in bytes, `path`, `owner`, `commit` and more.

        Our own come first, then those of shared caches, then those other tools keep.
        """
        return [model.to_dict() for model in self.cached_models()]

    def cached_models(self) -> list[CachedModel]:
        """Return the same as values."""
        return self.cache.list()

    def list_cached_datasets(self) -> list[DatasetRow]:
        """Return one dict per data set in the cache: `name` as a fine-tune's `data` has it, `size` in bytes, `path`."""
        return [dataset.to_dict() for dataset in self.cached_datasets()]

    def cached_datasets(self) -> list[CachedDataset]:
        """Return the same as values."""
        from qwen3ft_jupyter.cache.datasets import list_datasets

        return list_datasets(self.cache)

    def cache_summary(self) -> dict[str, Any]:
        """Return how full the cache is: `total` models; `total_size`, `used`, `free`, `quota`, `incoming` in bytes.

        `datasets` is how many data sets there are, `datasets_size` what they take of `used`.
        """
        return self.summarize_cache().to_dict()

    def unseen(self) -> list[str]:
        """Return a line for each folder that a setting names and that cannot be looked into."""
        return unseen(self.cache)

    def summarize_cache(self) -> overview.CacheSummary:
        """Return the same as a value."""
        from qwen3ft_jupyter.manager import overview  # most who open a manager ask for none of it

        models, unfinished = self.cache.kept(), tuple(self.cache.unfinished_downloads())
        datasets = self.cached_datasets()
        return overview.CacheSummary(
            str(self.settings.cache_dir),
            total=len(models),
            total_size=sum(model.size_bytes for model in models),
            used=self.cache.used_bytes(),
            free=self.cache.free_bytes(),
            quota=self.settings.quota,
            incoming=self.cache.incoming_bytes(),
            unfinished=unfinished,
            datasets=len(datasets),
            datasets_size=sum(one.kept.size_bytes for one in datasets),
        )

    def models(self) -> list[dict[str, Any]]:
        """Return the catalogue joined with the cache and the running downloads, cached but uncatalogued models last."""
        return [row.to_dict() for row in self.model_rows()]

    def model_rows(self) -> list[overview.ModelRow]:
        """Return the same as values."""
        from qwen3ft_jupyter.manager import overview

        return overview.model_rows(self.cached_models(), self._model_jobs.downloads())

    def jobs(self) -> list[Job]:
        """Return every job, newest first."""
        return self.job_store.list()

    def job(self, job_id: str) -> Job:
        """Return one job. Raises JobNotFound."""
        return self.job_store.get(job_id)

    def job_snapshots(self) -> list[JobSnapshot]:
        """Return how every job stands, newest first; the next call reads only what has changed since."""
        return [listed.snapshot for listed in self.job_store.read_all()]

    def check_name(self, model_name: str) -> None:
        """Raise what loading `model_name` would raise before a hub is asked, for example for a folder that is none.

        Raises:
            UnknownModel, BadName, LoadError: as `ModelManager.load_model_and_tokenizer`.
        """
        from qwen3ft_jupyter.manager.locate import check_name

        check_name(model_name, self._model_jobs, self.cache)

    def not_cached(self, repo_id: RepoId, revision: str | None = None) -> NotCached:
        """Return the error for a model that is not in the cache. Raises UnknownModel: nobody published such a name."""
        check_known(repo_id, self.cache)
        command = Command("download", f"{repo_id}@{revision}" if revision else repo_id)
        return NotCached(
            "{name} is not in the cache at revision {revision}." if revision else "{name} is not in the cache.",
            hint=self.cache.hint_at(repo_id, Message("Download it: {command}", command=command)),
            name=repo_id,
            revision=revision,
        )

    def describe(self) -> overview.Description:
        """Answer "which hub am I using, which cache, and why", and name what of it cannot be looked into."""
        from qwen3ft_jupyter.manager import overview

        return overview.describe(
            self.settings, [*self.unseen(), *([fault.message] if (fault := self.job_store.fault) is not None else [])]
        )

    def room(self) -> Room:
        """Return the memory that a fine-tune can have here: that of the largest GPU, else the host's."""
        from qwen3ft_jupyter.loading.machine import room

        return room()

    @tells_end
    def evict_model(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        owner: str | None = None,
        everything: bool = False,
        reporter: Reporter | None = None,
    ) -> int:
        """Delete a model, or a data set by its name in the cache, and return the bytes freed.

        What is not of it stays in its folder: notes, checkpoints, files that were there before the download.

        Args:
            model_name: the model; or a data set as `list_cached_datasets` names it, such as ``ms:owner/name``.
            revision: only the copy of this branch, tag or commit.
            owner: "huggingface", "modelscope" or "folder": delete that tool's copy instead of ours.
            everything: delete whatever lies in the model's folder.
            reporter: is told what stays.

        Raises:
            NotCached: there is no such model in the cache.
            CacheNotWritable: it is another tool's, or lies in a shared cache.
            ModelInUse: a running job uses it.
            BadInput: it is a data set, and `revision` or `owner` is given.
        """
        cache, dataset = self.cache, named_dataset(model_name, revision, owner)
        if dataset is not None:
            cache, model_name = self._find_dataset(dataset), dataset.repo_id
        elif owner != "folder":  # else it may be the path of one
            model_name, revision = parse_model(model_name, revision)
        return cache.evict(
            model_name,
            revision=revision,
            owner=owner,
            everything=everything,
            is_used=self._model_jobs,
            reporter=reporter or self.make_reporter(),
        )

    def evict_slug(self, name: str, *, owner: str | None = None, everything: bool = False) -> EvictedModel:
        """Delete the model whose folder is called `name`, for example ``Qwen_Qwen3-0.6B``; raises as above."""
        return self.cache.evict_slug(name, owner=owner, everything=everything, is_used=self._model_jobs)

    @tells_end
    def evict_all(self, *, reporter: Reporter | None = None) -> list[EvictedModel]:
        """Delete every model we downloaded and return what went.

        Pinned models, shared caches and whatever something else put there stay: those need to be named.

        Args:
            reporter: is told which of the models in the cache stay, and why.

        Raises:
            ModelInUse: a running job uses one of them; nothing is deleted then.
        """
        is_used = self._model_jobs.snapshot()
        for model in self.cache.kept():
            if model.is_verified and not model.pinned and model.owner == "qwen3ft":
                is_used(model.repo_id)
        return list(self.cache.evict_all(is_used=self._model_jobs, reporter=reporter or self.make_reporter()))

    def clear_cache(self, model_name: str | None = None) -> None:
        """Delete one model, or all of them."""
        if model_name is None:
            self.evict_all()
        else:
            self.evict_model(model_name)

    def pin(
        self,
        model_name: str,
        pinned: bool = True,  # noqa: FBT001, FBT002 - reads as pin(name, False)
        *,
        revision: str | None = None,
    ) -> None:
        """Protect a model or data set from being evicted with all others or to make room, or stop protecting it.

        Raises:
            NotCached: we have not downloaded it, or not at this `revision`.
        """
        dataset = named_dataset(model_name, revision)
        if dataset is not None:
            self._find_dataset(dataset).pin(dataset.repo_id, pinned=pinned)
            return
        repo_id, revision = parse_model(model_name, revision)
        self.cache.pin(repo_id, pinned=pinned, revision=revision)

    def by_slug(self, slug: str) -> tuple[str, str | None]:
        """Return the name of the model whose folder is called `slug`, and its revision if known. Raises NotCached."""
        model = self.cache.by_slug(slug)
        return model.repo_id, self._revision_of(model)

    def _revision_of(self, model: CachedModel) -> str | None:
        """Return by what to ask for this copy: its commit, or its branch where another copy is at that commit, too."""
        names = [name for name in (model.commit, model.revision) if name]
        for name in names:
            found = self.cache.find(model.repo_id, name)
            if found is not None and found.folder == model.folder:
                return name
        return names[0] if names else None
