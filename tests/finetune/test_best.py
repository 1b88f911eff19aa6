"""Runs that are measured on held-out rows: which step the result is of, and that measuring changes no run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune.check import check_fine_tune
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import evaluations, read_metrics
from qwen3ft_jupyter.finetune.results import read_run
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train

WEIGHTS = {"lora": Path("adapter/adapter_model.safetensors"), "full": Path("model/model.safetensors")}


class Stopper(Reporter):
    """Stops the work at a step."""

    def __init__(self, at: int) -> None:
        self.at, self.stop = at, threading.Event()

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.at:
            self.stop.set()


def settings(fields: dict[str, Any], **more: Any) -> FineTuneConfig:
    """A run whose loss jumps about: its rate is far too high."""
    return FineTuneConfig.from_dict(
        {
            **fields,
            "learning_rate": 1.0,
            "max_grad_norm": 1000,
            "schedule": "constant",
            "eval_fraction": 0.25,
            "eval_steps": 2,
            "max_steps": 14,
            "keep_checkpoints": 1,
            "save_steps": None,
            **more,
        }
    )


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_result_is_the_best_when_asked_and_its_checkpoint_is_kept(
    tiny: Path, fields: dict[str, Any], method: str
) -> None:
    from safetensors.torch import load_file

    config = settings(fields, method=method, load_best_model_at_end=True)

    result = train(config, model_folder=tiny)

    out = Path(config.output_dir)
    measured = evaluations(read_metrics(out / "metrics.jsonl"))
    best = min(measured, key=lambda step: measured[step])
    assert list(measured) == [2, 4, 6, 8, 10, 12, 14]
    assert best < 14
    assert (result.result_step, result.steps, result.eval_loss) == (best, 14, measured[best])
    saved = load_file(out / WEIGHTS[method])
    kept = load_file(out / "checkpoints" / f"checkpoint-{best}" / WEIGHTS[method].name)
    assert saved.keys() == kept.keys()
    assert all(saved[name].equal(kept[name]) for name in saved)
    assert f"the result is that of step {best}" in (out / "README.md").read_text(encoding="utf-8")


def test_an_early_end_is_the_same_for_a_run_that_was_stopped_and_resumed(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    """With dropout, stopped between two measurements of which the second ends it; the weights are the same bytes."""
    patient = {"early_stopping": 2, "max_steps": 40, "learning_rate": 0.3, "max_grad_norm": 1}
    whole = settings(fields, **patient, output_dir=str(tmp_path / "whole"))
    first = train(whole, model_folder=tiny)
    assert 6 < first.steps < 40
    halves = settings(fields, **patient)
    stopper = Stopper(first.steps - 2)
    with pytest.raises(Stopped):
        train(halves, model_folder=tiny, work=Work(stopper, stopper.stop))

    second = train(halves, model_folder=tiny, resume=True)

    rows = [read_metrics(Path(config.output_dir) / "metrics.jsonl") for config in (whole, halves)]
    timeless = [[{name: row.get(name) for name in ("step", "loss", "eval_loss")} for row in each] for each in rows]
    assert timeless[0] == timeless[1]
    assert second.steps == first.steps == second.result_step
    assert (tmp_path / "whole" / WEIGHTS["lora"]).read_bytes() == (
        Path(halves.output_dir) / WEIGHTS["lora"]
    ).read_bytes()
    assert read_run(Path(halves.output_dir)).result["steps"] == first.steps


def test_measuring_changes_no_step(tiny: Path, fields: dict[str, Any], tmp_path: Path) -> None:
    losses = []
    for name, every in (("often", 1), ("once", 100)):
        config = settings(fields, eval_steps=every, max_steps=5, output_dir=str(tmp_path / name))
        train(config, model_folder=tiny)
        rows = read_metrics(tmp_path / name / "metrics.jsonl")
        assert list(evaluations(rows)) == ([1, 2, 3, 4, 5] if every == 1 else [5])
        losses.append([row["loss"] for row in rows])

    assert losses[0] == losses[1]


@pytest.mark.parametrize("field", ["early_stopping", "load_best_model_at_end"])
def test_what_needs_held_out_rows_is_refused_without(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadConfig, match=f"{field} needs rows to measure on"):
        check_fine_tune({**fields, field: 3 if field == "early_stopping" else True}, {})
