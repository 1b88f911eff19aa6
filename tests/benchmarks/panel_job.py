"""The job that `panel` watches: it tells of a download as often as one does, and moves no byte."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.jobs import worker
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.kinds import JobContext

TOTAL = 8_060_000_000


def download(params: Plain, context: JobContext) -> Plain:
    """Tell of progress until stopped."""
    done = 0
    while not context.work.stop.wait(0.1):
        done = (done + 5_000_000) % TOTAL
        detail = Message("{count} connections", count=8 + done // 50_000_000 % 4)
        progress = Progress("transferring", done, TOTAL, rate=5e7, eta_s=(TOTAL - done) / 5e7, detail=detail)
        context.work.reporter.progress(progress)
    raise Stopped(params.values.get("model_name", ""))


KINDS = {"download": JobKind("download", Plain, Plain.from_dict, title=lambda _: "", run=download, can_pause=True)}

if __name__ == "__main__":
    sys.exit(worker.run(Path(sys.argv[2]), KINDS))
