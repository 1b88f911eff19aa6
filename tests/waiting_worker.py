"""A job process for tests: whatever its kind, it waits until it is told to stop, and says what it was given."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.jobs import worker
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs import JobContext


def wait(_params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    context.reporter.progress(Progress("waiting", detail="HF_TOKEN" if "HF_TOKEN" in os.environ else ""))
    context.stop.wait()
    raise Stopped("stopped")


if __name__ == "__main__":
    sys.exit(worker.run(Path(sys.argv[-1]), dict.fromkeys(("download", "verify", "repair", "finetune"), wait)))
