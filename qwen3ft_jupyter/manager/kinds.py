"""The kinds of jobs: what each does by means of a `ModelManager`, and what it gives; `params` has what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from qwen3ft_jupyter.cache.reports import MoveReport, RepairReport, VerifyReport
from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.jobs.kinds import JobKind
from qwen3ft_jupyter.manager.params import (
    CheckParams,
    DownloadParams,
    EvaluateParams,
    ExportParams,
    FineTuneParams,
    MergeParams,
    MoveParams,
    PushParams,
)
from qwen3ft_jupyter.manager.turns import DOWNLOADS, turns_on
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.download.request import Wanted
    from qwen3ft_jupyter.finetune.merged import ExportResult, MergeResult
    from qwen3ft_jupyter.finetune.report.evaluating import Evaluation
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.jobs.kinds import JobContext, Kinds
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager.manager import ModelManager
    from qwen3ft_jupyter.upload.plan import PushResult

    JobResult: TypeAlias = (
        DownloadResult
        | VerifyReport
        | RepairReport
        | MoveReport
        | Outcome
        | MergeResult
        | ExportResult
        | Evaluation
        | PushResult
    )
    """What jobs give."""


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


def _move(params: MoveParams, context: JobContext) -> MoveReport:
    """Move the cache; a job that is resumed goes on where the earlier attempts ended."""
    manager = params.starter.open_manager()
    return manager.move_cache(params.target, job_id=context.folder.name, **context.work.parts())


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
    if config.launcher == "pai-dlc":
        from qwen3ft_jupyter.dlc.run import run as run_there

        return run_there(config, model.folder, context)
    gpus = _gpus_at_last(params, manager, context)
    earlier, datasets = manager.run_folders(), dataset_names(config.data)
    return run(
        config,
        model.folder,
        context,
        base_commit=model.commit,
        earlier=earlier,
        datasets=datasets,
        gpus=gpus,
        goes_on=params.goes_on,
    )


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


def _move_title(params: MoveParams) -> str:
    return Message("Move the cache → {folder}", folder=params.target.name)


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
MOVE = JobKind("move", MoveParams, MoveReport.from_dict, _move_title, _move, can_pause=True)
FINETUNE = JobKind("finetune", FineTuneParams, _outcome, _fine_tune_title, _fine_tune)
MERGE = JobKind("merge", MergeParams, _merge_result, _merge_title, _merge, can_pause=True)
EXPORT = JobKind("export", ExportParams, _export_result, _export_title, _export)
EVALUATE = JobKind("evaluate", EvaluateParams, _evaluation, _evaluate_title, _evaluate)
PUSH = JobKind("push", PushParams, _push_result, _push_title, _push, can_pause=True)

KINDS: Kinds = {kind.name: kind for kind in (DOWNLOAD, VERIFY, REPAIR, MOVE, FINETUNE, MERGE, EXPORT, EVALUATE, PUSH)}
"""By name."""
