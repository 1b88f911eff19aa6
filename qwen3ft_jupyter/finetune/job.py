"""What a fine-tune job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.finetune.devices import computed_on, pick_gpus
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.machine import machine_without_torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.work import Work


class Context(Protocol):
    """What a job gives its function."""

    @property
    def folder(self) -> Path:
        """Return the job's folder; its name is the job's id, and names the run."""

    @property
    def work(self) -> Work:
        """Return where to report, and what says that the work should end."""

    @property
    def attempt(self) -> int:
        """Return 1 for the first try, more for a resumed one."""


def run(
    config: FineTuneConfig,
    model_folder: Path,
    context: Context,
    *,
    base_commit: str | None = None,
    datasets: Mapping[str, str] | None = None,
    earlier: Iterable[Path] = (),
    gpus: tuple[str, ...] = (),
) -> Outcome:
    """Train as `config` says, in this process, or in one for each of several devices.

    A second attempt goes on from the job's own last complete checkpoint.

    Args:
        config: What to do.
        model_folder: The cached model.
        context: The job's.
        base_commit: The commit of that model, for the record. None: not known.
        datasets: Which data sets on a hub its data is, by the path, for the record.
        earlier: Output folders of earlier runs, the newest first: one like this tells how long it will take.
        gpus: Those that the job was given; none for one that takes no turns.

    Returns what `train` returns, and raises what it raises.
    """
    devices = computed_on(config.device, config.devices, gpus or _gpus(config))
    if len(devices) > 1:
        from qwen3ft_jupyter.finetune.launch import train_together

        start = Start(
            model_folder, context.attempt > 1, context.folder.name, base_commit, datasets or {}, tuple(earlier)
        )
        return train_together(config, start, devices, context.work)
    return train(
        config.model_copy(update={"device": devices[0]}),
        model_folder=model_folder,
        work=context.work,
        resume=context.attempt > 1,
        run_id=context.folder.name,
        base_commit=base_commit,
        datasets=datasets,
        earlier=earlier,
    )


def _gpus(config: FineTuneConfig) -> tuple[str, ...]:
    """Return the GPUs of a fine-tune for several that was given none. Raises BadConfig."""
    if config.devices == 1:
        return ()
    return pick_gpus(config.device, config.devices, len(machine_without_torch().gpus))
