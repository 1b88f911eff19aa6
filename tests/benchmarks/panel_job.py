"""The jobs that `panel` and `views` watch: they tell of a download and of a fine-tune as often as those do."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.metrics import MetricsFile
from qwen3ft_jupyter.finetune.results import CONFIG, METRICS, Record
from qwen3ft_jupyter.jobs import worker
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.kinds import JobContext

TOTAL = 8_060_000_000
STEPS = 5000
"""Of the fine-tune; so many that it does not end while it is watched."""
BEFORE = 400
"""Steps that lie behind it when it begins."""
EVALUATED = 50


def download(params: Plain, context: JobContext) -> Plain:
    """Tell of progress until stopped, and move no byte."""
    done = 0
    while not context.work.stop.wait(0.1):
        done = (done + 5_000_000) % TOTAL
        detail = Message("{count} connections", count=8 + done // 50_000_000 % 4)
        progress = Progress("transferring", done, TOTAL, rate=5e7, eta_s=(TOTAL - done) / 5e7, detail=detail)
        context.work.reporter.progress(progress)
    raise Stopped(params.values.get("model_name", ""))


def fine_tune(params: Plain, context: JobContext) -> Plain:
    """Write a run's folder and tell of its steps until stopped, and train nothing."""
    config, step_s = params.values["config"], params.values["step_s"]
    folder = Path(config["output_dir"])
    folder.mkdir(parents=True)
    plan = {"steps": {"total": STEPS}, "memory": {"total": 2_800_000_000}}
    write_json(folder / CONFIG, Record(config, context.folder.name, None, (), {}, plan).to_json())
    with MetricsFile(folder / METRICS, last_step=0) as metrics:
        for step in range(1, STEPS):
            for row in rows(step):
                metrics.add(row)
                context.work.metrics(row)
            left_s = (STEPS - step) * step_s
            context.work.progress(Progress("training", step, STEPS, unit="steps", eta_s=left_s))
            if step > BEFORE and context.work.stop.wait(step_s):
                break
    raise Stopped(config["model"])


def rows(step: int) -> list[dict[str, float]]:
    """Return what a step writes: its metrics, and now and then what was measured on held-out rows."""
    loss = 1.2 + 2 * math.exp(-step / 300) + 0.2 * math.sin(step * 12.9898)
    rate = 2e-4 * min(1, step / 100) * (1 - step / STEPS)
    told = {"step": step, "loss": loss, "grad_norm": 1 + math.sin(step * 7.1), "epoch": step / 1000}
    told |= {"learning_rate": rate, "tokens": step * 2048, "tokens_per_s": 20_000 + 900 * math.sin(step * 3.7)}
    told |= {"memory_bytes": 2_600_000_000 + step % 7 * 4_000_000, "mfu": 0.3 + 0.02 * math.sin(step * 1.3)}
    measured = {"step": step, "eval_loss": 1.3 + 2 * math.exp(-step / 300)}
    return [told] if step % EVALUATED else [told, measured]


KINDS = {
    name: JobKind(name, Plain, Plain.from_dict, title=lambda _: "", run=run, can_pause=name == "download")
    for name, run in (("download", download), ("finetune", fine_tune))
}

if __name__ == "__main__":
    sys.exit(worker.run(Path(sys.argv[2]), KINDS))
