"""What job processes run: one function for each kind of job, given the manager its starter had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.cache import RepairReport, VerifyReport
    from qwen3ft_jupyter.jobs import JobContext
    from qwen3ft_jupyter.manager import ModelManager


def download(manager: ModelManager, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
    """Download a model."""
    from qwen3ft_jupyter.download import DownloadRequest

    wanted = DownloadRequest.from_dict(params).to_dict()
    ensured = manager.ensure(controls=context.controls, reporter=context.reporter, stop=context.stop, **wanted)
    return ensured.to_dict()


def verify(manager: ModelManager, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
    """Read every byte of a cached model again."""
    return _read_again(manager.verify, params, context)


def repair(manager: ModelManager, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
    """Read every byte of a cached model again and fetch the pieces that are wrong."""
    return _read_again(manager.repair, params, context)


def _read_again(
    work: Callable[..., VerifyReport | RepairReport], params: Mapping[str, Any], context: JobContext
) -> dict[str, Any]:
    report = work(
        params["model_name"],
        revision=params.get("revision"),
        controls=context.controls,
        reporter=context.reporter,
        stop=context.stop,
    )
    return report.to_dict()


def finetune(manager: ModelManager, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
    """Fine-tune, continuing from the last complete checkpoint if the job was interrupted."""
    from qwen3ft_jupyter.finetune import FineTuneConfig, run

    config = FineTuneConfig.from_dict(params["config"])
    context.reporter.progress(Progress("preparing", detail=config.model))
    model = manager.ensure(config.model, reporter=context.reporter, stop=context.stop).model
    return run(config, model.folder, context, base_commit=model.commit)


JOB_FUNCTIONS: Mapping[str, Callable[[ModelManager, Mapping[str, Any], JobContext], dict[str, Any]]] = {
    "download": download,
    "verify": verify,
    "repair": repair,
    "finetune": finetune,
}
"""By kind."""
