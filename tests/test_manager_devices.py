"""A fine-tune on several devices is a job like any other; here its devices are two processes on the CPU."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.manager import ModelManager, get_model_manager

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs.store import Job

pytestmark = pytest.mark.train
STEPS = 40


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelManager:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"What is {number}?", "answer": f"It is {number}."} for number in range(20)]
    Path("train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    manager = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    manager.ensure_model_cached(PRACTICE_REPO_ID)
    return manager


def wait_for_steps(job: Job, folder: Path, count: int) -> None:
    while len(read_metrics(folder / "metrics.jsonl")) < count:
        assert job.status().is_active, job.status()
        time.sleep(0.1)


def test_it_is_stopped_and_resumed_as_any_other(manager: ModelManager) -> None:
    job = manager.fine_tune(
        model=PRACTICE_REPO_ID,
        data="train.jsonl",
        output_dir="run",
        device="cpu",
        devices=2,
        max_steps=STEPS,
        report=False,
    )
    wait_for_steps(job, Path("run"), 2)

    job.stop()
    stopped = job.wait(240)
    done_by_then = len(read_metrics(Path("run/metrics.jsonl")))
    finished = job.resume().wait(240)

    assert stopped.state == "stopped"
    assert 2 <= done_by_then < STEPS
    assert finished.state == "succeeded", finished.error
    assert finished.result is not None
    assert (finished.result["steps"], finished.result["processes"]) == (STEPS, 2)
    assert [row["step"] for row in read_metrics(Path("run/metrics.jsonl"))] == list(range(1, STEPS + 1))
    assert any("2 processes train together" in str(notice) for notice in finished.notices)
    assert hasattr(manager.load_model_and_tokenizer(job.id).model, "peft_config")
