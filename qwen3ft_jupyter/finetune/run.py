"""What a fine-tune job runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.train import train

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from qwen3ft_jupyter.reporting import Reporter


class Context(Protocol):
    """What a job gives its function."""

    @property
    def reporter(self) -> Reporter:
        """Return where to tell."""

    @property
    def stop(self) -> threading.Event:
        """Return what says that the work should end."""

    @property
    def attempt(self) -> int:
        """Return 1 for the first try, more for a resumed one."""


def run(config: FineTuneConfig | Mapping[str, Any], model_folder: Path, context: Context) -> dict[str, Any]:
    """Train as `config` says, in this process; a second attempt goes on from the last complete checkpoint.

    Returns what `train` returns, and raises what it raises.
    """
    checked = config if isinstance(config, FineTuneConfig) else FineTuneConfig.from_dict(config)
    return train(
        checked,
        model_folder=model_folder,
        output_dir=Path(checked.output_dir),
        reporter=context.reporter,
        stop=context.stop,
        resume=context.attempt > 1,
    )
