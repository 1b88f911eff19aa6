"""The kinds of jobs: what each is given, what it does by means of a `ModelManager`, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from qwen3ft_jupyter.cache.reports import RepairReport, VerifyReport
from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.jobs.kinds import JobKind
from qwen3ft_jupyter.manager.turns import DOWNLOADS, turns_on
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.download.request import Wanted
    from qwen3ft_jupyter.finetune.merged import ExportResult, MergeResult
    from qwen3ft_jupyter.finetune.report.evaluating import Evaluation
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.jobs.kinds import JobContext, Kinds, Stored
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager.manager import ModelManager
    from qwen3ft_jupyter.upload.plan import PushResult

    JobResult: TypeAlias = (
        DownloadResult | VerifyReport | RepairReport | Outcome | MergeResult | ExportResult | Evaluation | PushResult
    )
    """What jobs give."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Who started a job, as far as its process has to be the same: the settings without secrets, as JSON."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    is_trusted: bool = True

    def open_manager(self) -> ModelManager:
        """Return a manager under these settings."""
        from qwen3ft_jupyter.manager.manager import get_model_manager

        return get_model_manager(**self.settings, is_trusted=self.is_trusted)

    def uses_cache(self, cache_dir: Path) -> bool:
        """Say whether jobs of this starter work on the cache there."""
        return str(self.settings.get("cache_dir", cache_dir)) == str(cache_dir)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, which is part of every job's params."""
        return {"settings": dict(self.settings), "is_trusted": self.is_trusted}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Starter:
        """Rebuild from `to_dict`; what else is in `data` is ignored."""
        settings = data.get("settings")
        return cls(dict(settings) if isinstance(settings, dict) else {}, bool(data.get("is_trusted", True)))


@dataclass(frozen=True, slots=True)
class DownloadParams:
    """What a download is given."""

    starter: Starter
    request: DownloadRequest

    @property
    def model_name(self) -> str:
        """Return the model that is downloaded."""
        return self.request.model_name

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**self.request.to_dict(), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DownloadParams:
        """Rebuild from `to_dict`."""
        return cls(Starter.from_dict(data), DownloadRequest.from_dict(data))


@dataclass(frozen=True, slots=True)
class CheckParams:
    """What a check or a repair of a cached model is given."""

    starter: Starter
    model_name: str
    revision: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"model_name": self.model_name, "revision": self.revision, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CheckParams:
        """Rebuild from `to_dict`."""
        return cls(Starter.from_dict(data), str(data["model_name"]), data.get("revision"))


def _named(datasets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return how data sets on a hub are written; nothing where there are none, as earlier versions write it."""
    return {"datasets": dict(datasets)} if datasets else {}


@dataclass(frozen=True, slots=True)
class FineTuneParams:
    """What a fine-tune is given."""

    starter: Starter
    config: Mapping[str, Any]
    """As `FineTuneConfig.to_dict` gives it; only the job's process checks all of it again."""
    gpu: str = ""
    """What it computes on when its turn has come, such as "cuda:0" or "cuda:0,cuda:1"; "": it takes no turns."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Which data sets on a hub its data is, by the path; see `datasets.dataset_names`."""

    @property
    def model_name(self) -> str:
        """Return the base model."""
        return str(self.config["model"])

    @property
    def output_dir(self) -> Path:
        """Return where the results go."""
        return Path(self.config["output_dir"])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"config": dict(self.config), "gpu": self.gpu, **_named(self.datasets)}
        return {**given, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FineTuneParams:
        """Rebuild from `to_dict`."""
        gpu, datasets = str(data.get("gpu") or ""), data.get("datasets") or {}
        params = cls(Starter.from_dict(data), data["config"], gpu, datasets)
        if not (params.model_name and params.output_dir.name):
            raise ValueError("a fine-tune without a model or a folder")
        return params


@dataclass(frozen=True, slots=True)
class MergeParams:
    """What a merge is given."""

    starter: Starter
    source: Path
    """The output folder of a fine-tune, or a folder with an adapter."""
    model_name: str
    """The base model."""
    output_dir: Path
    overwrite: bool = False
    base: str = "original"
    """Which weights of the base are merged into."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        folders = {"source": str(self.source), "output_dir": str(self.output_dir)}
        given = {"overwrite": self.overwrite, "base": self.base}
        return {"model_name": self.model_name, **folders, **given, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MergeParams:
        """Rebuild from `to_dict`."""
        source, output_dir = Path(data["source"]), Path(data["output_dir"])
        name, base = str(data["model_name"]), str(data.get("base") or "original")
        return cls(Starter.from_dict(data), source, name, output_dir, bool(data.get("overwrite")), base)


@dataclass(frozen=True, slots=True)
class ExportParams:
    """What an export is given."""

    starter: Starter
    source: str
    """The folder of a fine-tune, an adapter or a model, or the repo id of a cached one."""
    model_name: str
    """The model that is used, or its base; "" for a folder that belongs to none."""
    to: str
    output_dir: Path | None = None
    overwrite: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": self.source, "to": self.to, "overwrite": self.overwrite}
        folder = str(self.output_dir) if self.output_dir else None
        return {"model_name": self.model_name, **given, "output_dir": folder, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportParams:
        """Rebuild from `to_dict`."""
        folder = Path(data["output_dir"]) if data.get("output_dir") else None
        source, name = str(data["source"]), str(data["model_name"])
        return cls(Starter.from_dict(data), source, name, str(data["to"]), folder, bool(data.get("overwrite")))


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """What an evaluation is given."""

    starter: Starter
    source: str
    """As it was named: the folder or job of a fine-tune, a folder with a model, the repo id of a cached one."""
    model_name: str
    """The model that is used, or its base; "" for a folder that belongs to none."""
    config: Mapping[str, Any]
    """As `FineTuneConfig.to_dict` gives it: names the data."""
    is_held_out: bool = False
    """Whether only the rows that the run kept out of training are measured."""
    gpu: str = ""
    """As in `FineTuneParams`."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """As in `FineTuneParams`."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": self.source, "config": dict(self.config), "is_held_out": self.is_held_out, "gpu": self.gpu}
        return {"model_name": self.model_name, **given, **_named(self.datasets), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EvaluateParams:
        """Rebuild from `to_dict`."""
        source, name = str(data["source"]), str(data["model_name"])
        is_held_out, gpu = bool(data.get("is_held_out")), str(data.get("gpu") or "")
        return cls(Starter.from_dict(data), source, name, data["config"], is_held_out, gpu, data.get("datasets") or {})


@dataclass(frozen=True, slots=True)
class PushParams:
    """What a push is given. The token is none of it: the job's process finds that where this one did."""

    starter: Starter
    source: Path
    """The folder of a fine-tune, an adapter or a model."""
    hub: str
    repo_id: str
    is_private: bool = True

    @property
    def model_name(self) -> str:
        """Return "": what is published is a folder, and no model of the cache."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": str(self.source), "hub": self.hub, "repo_id": self.repo_id, "private": self.is_private}
        return {"model_name": self.model_name, **given, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PushParams:
        """Rebuild from `to_dict`; what does not say that it is public is private."""
        hub, repo_id, is_private = str(data["hub"]), str(data["repo_id"]), data.get("private") is not False
        return cls(Starter.from_dict(data), Path(data["source"]), hub, repo_id, is_private)


ModelParams = DownloadParams | CheckParams | FineTuneParams | MergeParams | ExportParams | EvaluateParams | PushParams
"""All of them name a model and a starter."""


def model_params(params: Stored) -> ModelParams:
    """Return the params of any job; of those of another version, only model and starter are known."""
    if isinstance(params, ModelParams):
        return params
    values = params.to_dict()
    return CheckParams(Starter.from_dict(values), str(values.get("model_name", "")))


def read_result(kind: str, result: Mapping[str, Any] | None) -> JobResult | None:
    """Return what a job of a kind gave; None if it gave nothing yet, or if it is of another version."""
    return KINDS[kind].read_result(result) if kind in KINDS else None


def _download(params: DownloadParams, context: JobContext) -> DownloadResult:
    manager = params.starter.open_manager()
    if params.model_name != PRACTICE_REPO_ID:  # comes from this machine
        DOWNLOADS.wait(manager.job_store, context)
    return manager.ensure(**context.work.parts(), **params.request.to_dict()).result()


def _verify(params: CheckParams, context: JobContext) -> VerifyReport:
    manager = params.starter.open_manager()
    return manager.verify(params.model_name, revision=params.revision, **context.work.parts())


def _repair(params: CheckParams, context: JobContext) -> RepairReport:
    manager = params.starter.open_manager()
    return manager.repair(params.model_name, revision=params.revision, **context.work.parts())


def _fine_tune(params: FineTuneParams, context: JobContext) -> Outcome:
    """Fine-tune, continuing from the last complete checkpoint if the job was interrupted."""
    from qwen3ft_jupyter.finetune.check import with_fetched
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.job import run
    from qwen3ft_jupyter.manager.datasets import dataset_names

    config, work, manager = FineTuneConfig.from_dict(params.config), context.work, params.starter.open_manager()
    work.progress(Progress("preparing", detail=config.model))
    wanted: Wanted = {"revision": config.revision} if config.revision else {}
    # Before the model, which may be large: a wrong name is told at once. What has been deleted since comes again.
    config = with_fetched(config, manager.fetcher(work), params.datasets)
    model = manager.ensure(config.model, reporter=work.reporter, stop=work.stop, **wanted).model
    gpus = _gpus_at_last(params, manager, context)
    earlier, datasets = manager.run_folders(), dataset_names(config.data)
    return run(config, model.folder, context, base_commit=model.commit, earlier=earlier, datasets=datasets, gpus=gpus)


def _gpus_at_last(
    params: FineTuneParams | EvaluateParams, manager: ModelManager, context: JobContext
) -> tuple[str, ...]:
    """Return the GPUs that a job was given, once its turn has come; none if it takes no turns."""
    if not params.gpu:
        return ()
    context.work.progress(Progress("queued"))  # who looks now sees that we are not on the GPU yet
    turns_on(params.gpu, _gpu_of).wait(manager.job_store, context)
    return tuple(params.gpu.split(","))


def _gpu_of(job: JobSnapshot) -> str:
    takes_turns = job.kind in {FINETUNE.name, EVALUATE.name}
    params = KINDS[job.kind].read_params(job.params) if takes_turns else None
    return params.gpu if isinstance(params, FineTuneParams | EvaluateParams) else ""


def _merge(params: MergeParams, context: JobContext) -> MergeResult:
    """Merge; a job that is resumed after it had written everything finds that done."""
    from qwen3ft_jupyter.finetune.merge import merge

    merging = params.starter.open_manager().find_merging(str(params.source), params.output_dir, base=params.base)
    done = merging.done() if context.attempt > 1 else None
    return done or merge(merging.plan(overwrite=params.overwrite), context.work)


def _export(params: ExportParams, context: JobContext) -> ExportResult:
    exporting = params.starter.open_manager().find_exporting(
        params.source, params.to, params.output_dir, overwrite=params.overwrite or context.attempt > 1
    )
    return exporting.run(context.work)


def _evaluate(params: EvaluateParams, context: JobContext) -> Evaluation:
    from qwen3ft_jupyter.finetune.check import with_fetched
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.report.evaluating import evaluate

    config, work, manager = FineTuneConfig.from_dict(params.config), context.work, params.starter.open_manager()
    work.progress(Progress("preparing", detail=params.model_name))
    config = with_fetched(config, manager.fetcher(work), params.datasets)
    for gpu in _gpus_at_last(params, manager, context):
        config = config.model_copy(update={"device": gpu})
    work.progress(Progress("preparing", detail=params.model_name))
    found = manager.find_evaluated(params.source)
    name = params.source if params.source == params.model_name else Path(params.source).name
    return evaluate(name, config, found.folder, found.adapter, is_held_out=params.is_held_out, work=work)


def _push(params: PushParams, context: JobContext) -> PushResult:
    """Push; a job that is resumed finds at the hub what the earlier attempts left there."""
    manager = params.starter.open_manager()
    pushing = manager.find_pushing(params.source, params.repo_id, hub=params.hub, private=params.is_private)
    return pushing.run(context.work)


def _download_title(params: DownloadParams) -> str:
    name = _with_revision(params.model_name, params.request.revision)
    return Message("Update {name}" if params.request.update else "Download {name}", name=name)


def _verify_title(params: CheckParams) -> str:
    return Message("Verify {name}", name=_with_revision(params.model_name, params.revision))


def _repair_title(params: CheckParams) -> str:
    return Message("Repair {name}", name=_with_revision(params.model_name, params.revision))


def _with_revision(name: str, revision: str | None) -> str:
    """Return what to call a revision of a model; a commit by its first digits.

    >>> _with_revision("a/b", None), _with_revision("a/b", "v1.1"), _with_revision("a/b", "c0ffee42" * 5)
    ('a/b', 'a/b (v1.1)', 'a/b (c0ffee42)')
    """
    if not revision:
        return name
    return f"{name} ({revision[:8] if is_commit(revision) else revision})"


def _fine_tune_title(params: FineTuneParams) -> str:
    return Message("Fine-tune {name} → {folder}", name=params.model_name, folder=params.output_dir.name)


def _merge_title(params: MergeParams) -> str:
    return Message("Merge {name} → {folder}", name=params.source.name, folder=params.output_dir.name)


def _export_title(params: ExportParams) -> str:
    name = params.source if params.source == params.model_name else Path(params.source).name
    return Message("Export {name} → {target}", name=name, target=params.to)


def _evaluate_title(params: EvaluateParams) -> str:
    name = params.source if params.source == params.model_name else Path(params.source).name
    return Message("Evaluate {name}", name=name)


def _push_title(params: PushParams) -> str:
    return Message("Push {name} → {target}", name=params.source.name, target=params.repo_id)


def _outcome(data: Mapping[str, Any]) -> Outcome:
    from qwen3ft_jupyter.finetune.results import Outcome  # here, as below: a download starts the sooner without it

    return Outcome.from_dict(data)


def _merge_result(data: Mapping[str, Any]) -> MergeResult:
    from qwen3ft_jupyter.finetune.merged import MergeResult

    return MergeResult.from_dict(data)


def _export_result(data: Mapping[str, Any]) -> ExportResult:
    from qwen3ft_jupyter.finetune.merged import ExportResult

    return ExportResult.from_dict(data)


def _evaluation(data: Mapping[str, Any]) -> Evaluation:
    from qwen3ft_jupyter.finetune.report.evaluating import Evaluation

    return Evaluation.from_dict(data)


def _push_result(data: Mapping[str, Any]) -> PushResult:
    from qwen3ft_jupyter.upload.plan import PushResult

    return PushResult.from_dict(data)


DOWNLOAD = JobKind("download", DownloadParams, DownloadResult.from_dict, _download_title, _download, can_pause=True)
VERIFY = JobKind("verify", CheckParams, VerifyReport.from_dict, _verify_title, _verify, can_pause=True)
REPAIR = JobKind("repair", CheckParams, RepairReport.from_dict, _repair_title, _repair, can_pause=True)
FINETUNE = JobKind("finetune", FineTuneParams, _outcome, _fine_tune_title, _fine_tune)
MERGE = JobKind("merge", MergeParams, _merge_result, _merge_title, _merge, can_pause=True)
EXPORT = JobKind("export", ExportParams, _export_result, _export_title, _export)
EVALUATE = JobKind("evaluate", EvaluateParams, _evaluation, _evaluate_title, _evaluate)
PUSH = JobKind("push", PushParams, _push_result, _push_title, _push, can_pause=True)

KINDS: Kinds = {kind.name: kind for kind in (DOWNLOAD, VERIFY, REPAIR, FINETUNE, MERGE, EXPORT, EVALUATE, PUSH)}
"""By name."""
