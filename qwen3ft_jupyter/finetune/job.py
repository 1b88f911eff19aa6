"""What a fine-tune job runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.finetune.devices import devices_here
from qwen3ft_jupyter.finetune.holding import holding
from qwen3ft_jupyter.finetune.output import replaced_fields, unfinished_run
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.training import lead
from qwen3ft_jupyter.finetune.wire import leave_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    goes_on: bool = False,
) -> Outcome:
    """Train as `config` says, in this process, or in one for each of several devices, on one host or several.

    A second attempt goes on from the job's own last complete checkpoint.

    Args:
        config: What to do.
        model_folder: The cached model.
        context: The job's.
        base_commit: The commit of that model, for the record. None: not known.
        datasets: Which data sets on a hub its data is, by the path, for the record.
        earlier: Output folders of earlier runs, the newest first: one like this tells how long it will take.
        gpus: Those that the job was given; none for one that takes no turns.
        goes_on: Whether an unfinished run in the output folder is gone on with, whichever job began it.

    Returns what `train` returns, and raises what it raises; also BadConfig if another job is writing to the folder.
    """
    leave_places()
    with holding(Path(config.output_dir), context.folder.name, context.work):
        resume, run_id = context.attempt > 1, context.folder.name
        if goes_on and (begun := unfinished_run(Path(config.output_dir))):
            if changed := replaced_fields(config):
                context.work.notice(
                    "output_dir holds an unfinished fine-tune with another {names}. overwrite is true: it begins anew.",
                    names=", ".join(changed),
                )
            else:
                resume, run_id = True, begun
        overwrites = config.overwrite and resume and goes_on
        start = Start(model_folder, resume, run_id, base_commit, datasets or {}, tuple(earlier), overwrites)
        devices = devices_here(config.device, config.devices, gpus)
        if config.hosts > 1:
            from qwen3ft_jupyter.finetune.hosts import train_on_hosts

            return train_on_hosts(config, start, devices, context.work)
        if len(devices) > 1:
            from qwen3ft_jupyter.finetune.launch import train_together

            return train_together(config, start, devices, context.work)
        return lead(config.model_copy(update={"device": devices[0]}), start, context.work)
