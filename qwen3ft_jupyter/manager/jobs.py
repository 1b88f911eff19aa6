"""The jobs about models: which are at work on a cache, what they use, and how one is started."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qwen3ft_jupyter.cache.own.datasets import dataset_at
from qwen3ft_jupyter.errors import BadConfig, JobNotFound, ModelInUse
from qwen3ft_jupyter.hubs.datasets import parse_dataset
from qwen3ft_jupyter.manager.kinds import DOWNLOAD, EVALUATE, FINETUNE
from qwen3ft_jupyter.manager.params import (
    CheckParams,
    DownloadParams,
    EvaluateParams,
    FineTuneParams,
    MergeParams,
    MoveParams,
    PushParams,
    Starter,
    model_params,
)
from qwen3ft_jupyter.manager.turns import gpu_names
from qwen3ft_jupyter.settings.declared import HUB_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.devices import Devices
    from qwen3ft_jupyter.jobs.kinds import JobKind, Params
    from qwen3ft_jupyter.jobs.store import Job, JobStore
    from qwen3ft_jupyter.manager.params import ModelParams
    from qwen3ft_jupyter.settings.declared import Settings


class ActiveJob(NamedTuple):
    """A job at work, or about to be, and what it was started with."""

    job: Job
    params: ModelParams


@dataclass(frozen=True, slots=True)
class ModelJobs:
    """The jobs on the cache of some settings; called with a model or data set, it refuses one that is in use."""

    store: JobStore
    settings: Settings
    is_trusted: bool

    def active(self) -> Iterator[ActiveJob]:
        """Yield the jobs at work on this cache; other kernels may work on another one."""
        for job, snapshot in self.store.read_all():
            if snapshot.status.is_active:
                params = model_params(job.params)
                if params.starter.uses_cache(self.settings.cache_dir):
                    yield ActiveJob(job, params)

    def downloads(self) -> dict[str, str]:
        """Return the ids of the active downloads by the names of their models."""
        return {params.model_name: job.id for job, params in self.active() if isinstance(params, DownloadParams)}

    def __call__(self, repo_id: str) -> bool:
        """Return False if no active job uses a model. Raises ModelInUse, naming the job."""
        return self.snapshot()(repo_id)

    def snapshot(self) -> Callable[[str], bool]:
        """Return the same answer for any of them as of now: a plan asks for each, and a listing reads every job."""
        job_ids = {name: job.id for job, params in self.active() for name in self._used_by(params)}

        def is_used(repo_id: str) -> bool:
            if repo_id in job_ids:
                raise ModelInUse(
                    "{name} is used by the running job {id}.",
                    hint="Stop the job first.",
                    name=repo_id,
                    id=job_ids[repo_id],
                )
            return False

        return is_used

    def _used_by(self, params: ModelParams) -> Iterator[str]:
        """Yield the names of the model and the data sets that a job uses."""
        yield params.model_name
        if isinstance(params, FineTuneParams | EvaluateParams):
            for path in params.config.get("data") or ():
                if (dataset := dataset_at(self.settings.cache_dir, Path(path))) is not None:
                    yield str(dataset)
            # those that the job finds or fetches itself are named, and lie nowhere yet as far as its config says
            for name in params.datasets.values():
                if (dataset := parse_dataset(name)) is not None:
                    yield from (str(replace(dataset, hub=hub)) for hub in ([dataset.hub] if dataset.hub else HUB_NAMES))

    def refuse_any(self, but: str = "") -> None:
        """Raise ModelInUse, naming the job, if any is at work on this cache; `but` is the id of one that may be."""
        for job in (job for job, _ in self.active() if job.id != but):
            raise ModelInUse("The running job {id} uses the cache.", hint="Stop the job first.", id=job.id)

    def output_dir_of(self, job_id: str) -> Path | None:
        """Return where the fine-tune with this id writes; None if there is no such job."""
        with contextlib.suppress(JobNotFound):
            params = self.store.get(job_id).params
            return params.output_dir if isinstance(params, FineTuneParams) else None
        return None

    def merged_dir_of(self, job_id: str) -> Path | None:
        """Return where the merge with this id writes; None if there is no such job."""
        with contextlib.suppress(JobNotFound):
            params = self.store.get(job_id).params
            return params.output_dir if isinstance(params, MergeParams) else None
        return None

    def output_dirs(self) -> Iterator[tuple[str, Path]]:
        """Yield id and folder of each fine-tune and each merge, the newest first."""
        for job in self.store.list():
            if isinstance(job.params, FineTuneParams | MergeParams):
                yield job.id, job.params.output_dir

    def download(self, request: DownloadRequest, max_speed: int | None) -> Job:
        """Start a download, or return the same one already under way; a `max_speed` counts for that one, too."""
        for job, params in self.active():
            is_same = isinstance(params, DownloadParams) and params.request == request
            with contextlib.suppress(JobNotFound):
                if is_same and job.status().state != "stopping":
                    if max_speed is not None:
                        job.limit(max_speed)
                    return job
        params = DownloadParams(self.starter(), request)
        return self.start(DOWNLOAD, params, self.settings.max_speed if max_speed is None else max_speed)

    def start(self, kind: JobKind[Params, Any], params: Params, max_speed: int | None) -> Job:
        """Start a job that can be paused and limited, in a folder that is no stranger's."""
        return self.store.start(kind, params, max_speed=max_speed, cwd=self.settings.state_dir)

    def fine_tune(self, config: FineTuneConfig, *, at_once: bool, goes_on: bool = False) -> Job:
        """Start a fine-tune in the folder we are in; unless `at_once`, it waits for what is on the same GPUs here."""
        from qwen3ft_jupyter.manager.datasets import dataset_names

        is_here = config.launcher == "local"
        gpu = "" if at_once or not is_here else self._pick_gpus(config.device, config.devices)
        params = FineTuneParams(self.starter(), config.to_dict(), gpu, dataset_names(config.data), goes_on)
        if is_here:
            return self.store.start(FINETUNE, params)
        from qwen3ft_jupyter.dlc.follow import GRACE_S

        return self.store.start(FINETUNE, params, grace_s=GRACE_S)

    def evaluate(self, params: EvaluateParams, *, at_once: bool) -> Job:
        """Start an evaluation; unless `at_once`, it waits for what is on the same GPUs."""
        gpu = "" if at_once else self._pick_gpus(str(params.config.get("device", "auto")))
        return self.start(EVALUATE, replace(params, gpu=gpu), None)

    def _pick_gpus(self, device: str, devices: Devices = 1) -> str:
        """Return the GPUs for a job that takes turns, with commas; "" if it is to use none. Raises BadConfig."""
        from qwen3ft_jupyter.finetune.devices import pick_gpus
        from qwen3ft_jupyter.loading.machine import machine_without_torch

        jobs = (params.gpu for _, params in self.active() if isinstance(params, FineTuneParams | EvaluateParams))
        taken = [gpu for gpus in jobs for gpu in gpu_names(gpus)]
        return ",".join(pick_gpus(device, devices, len(machine_without_torch().gpus), taken))

    def refuse_if_written_to(self, config: FineTuneConfig) -> None:
        """Raise BadConfig, naming the job, if an active one writes to the output_dir of this fine-tune."""
        self.refuse_written_to(Path(config.output_dir))

    def refuse_written_to(self, output_dir: Path) -> None:
        """Raise BadConfig, naming the job, if an active one writes to this folder."""
        for job, params in self.active():
            if isinstance(params, DownloadParams | CheckParams | MoveParams | EvaluateParams | PushParams):
                continue
            taken = params.output_dir
            if taken is not None and os.path.realpath(taken) == os.path.realpath(output_dir):
                raise BadConfig(
                    "output_dir: the running job {id} writes to {folder}.",
                    hint="Stop it first, or give another output_dir.",
                    id=job.id,
                    folder=output_dir.name,
                )

    def starter(self) -> Starter:
        """Return who starts jobs here."""
        return Starter(self.settings.shareable(), self.is_trusted)
