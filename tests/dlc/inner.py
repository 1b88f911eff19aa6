"""The job that runs in the containers, played: its folder on the mount as `jobs` writes it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.folder import JobSpec, begin_attempt, write_spec
from qwen3ft_jupyter.jobs.reporter import JobReporter
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from pathlib import Path

RESULT: dict[str, Any] = {
    "method": "lora",
    "steps": 2,
    "first_loss": 3.0,
    "last_loss": 1.0,
    "seconds": 1.0,
    "parameters": 10,
    "trainable_parameters": 1,
    "dtype": "float32",
    "device": "cpu",
    "tokens": 9,
}


class InnerJob:
    """A job at work on the mount."""

    def __init__(self, state: Path, number: int = 1) -> None:
        self.folder = state / "jobs" / f"20260101-00000{number}-finetune-0a1b"
        self.folder.mkdir(parents=True)
        spec = JobSpec(self.folder.name, "finetune", "Fine-tune", {}, time.time(), "python", "/", 60.0)
        write_spec(self.folder, spec)
        begin_attempt(self.folder, 1)
        supervisor.write_status(self.folder, {"attempt": 1, "state": "queued"})
        self.reporter = JobReporter(self.folder, 1)

    def step(self, number: int, total: int = 2) -> None:
        self.reporter.metrics({"step": number, "loss": 4.0 - number})
        self.reporter.progress(Progress("training", number, total, "steps"))
        self.reporter.flush()

    @property
    def is_asked_to_stop(self) -> bool:
        return supervisor.stop_requested(self.folder, 1)

    def succeed(self, output_dir: str) -> None:
        self.reporter.end("succeeded", result={**RESULT, "output_dir": output_dir})

    def end(self, state: str, error: dict[str, Any] | None = None) -> None:
        self.reporter.end(state, error=error)
