"""What a fine-tune job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.finetune.training import train

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
) -> Outcome:
    """Train as `config` says, in this process; a second attempt goes on from the job's own last complete checkpoint.

    Args:
        config: What to do.
        model_folder: The cached model.
        context: The job's.
        base_commit: The commit of that model, for the record. None: not known.
        datasets: Which data sets on a hub its data is, by the path, for the record.
        earlier: Output folders of earlier runs, the newest first: one like this tells how long it will take.

    Returns what `train` returns, and raises what it raises.
    """
    return train(
        config,
        model_folder=model_folder,
        work=context.work,
        resume=context.attempt > 1,
        run_id=context.folder.name,
        base_commit=base_commit,
        datasets=datasets,
        earlier=earlier,
    )
