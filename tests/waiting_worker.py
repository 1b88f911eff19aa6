"""A job process for tests: whatever its kind, it waits until it is told to stop, and says what it was given."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.jobs import worker
from qwen3ft_jupyter.manager.kinds import KINDS
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.kinds import JobContext


def wait(_params: object, context: JobContext) -> Any:
    context.work.reporter.progress(Progress("waiting", detail="HF_TOKEN" if "HF_TOKEN" in os.environ else ""))
    context.work.stop.wait()
    raise Stopped("stopped")


if __name__ == "__main__":
    sys.exit(worker.run(Path(sys.argv[-1]), {name: replace(kind, run=wait) for name, kind in KINDS.items()}))
