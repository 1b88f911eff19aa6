"""Numbers agree, whichever method learns whichever objective."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work
from tests.finetune.lessons import pair_rows, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "qlora": {"method": "qlora"},
    "full": {"method": "full", "learning_rate": 1e-3},
    "layers": {"method": "full", "trainable_layers": 1, "learning_rate": 1e-3},
}
OBJECTIVES: dict[str, list[dict[str, Any]]] = {
    "sft": rows(12),
    "pretrain": [{"text": " ".join(turn["content"] for turn in row["messages"])} for row in rows(12)],
    "dpo": pair_rows(12),
    "orpo": pair_rows(12),
}


MATRIX = [
    *(("lora", objective) for objective in OBJECTIVES),
    ("qlora", "sft"), ("qlora", "dpo"), ("full", "pretrain"), ("full", "dpo"), ("layers", "orpo"),
]  # fmt: skip
"""Each method, each objective, and each way in which a method bears on an objective: where the reference comes from."""


class StoppingReporter(Reporter):
    def __init__(self, step: int) -> None:
        self.step, self.stop = step, threading.Event()

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.step:
            self.stop.set()


@pytest.mark.parametrize(("method", "objective"), MATRIX)
def test_layout_and_interruption_change_nothing(
    tiny: Path, fields: dict[str, Any], tmp_path: Path, method: str, objective: str
) -> None:
    """Accumulated and packed: the losses of a padded batch, to 1e-5. Resumed: those of a run never stopped."""
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, OBJECTIVES[objective])), encoding="utf-8")
    quiet = {"lora": {"r": 4, "alpha": 8}, "schedule": "constant", "max_steps": 3, "save_steps": None}
    fields |= {**quiet, **METHODS[method], "objective": objective, "data": str(data), "packing": True}

    def config(name: str, **more: Any) -> FineTuneConfig:
        return FineTuneConfig.from_dict({**fields, "output_dir": str(tmp_path / name), **more})

    packed, padded = config("packed"), config("padded", packing=False, batch_size=4, gradient_accumulation=1)
    for one in (packed, padded):
        train(one, model_folder=tiny)
    stopped, reporter = config("stopped"), StoppingReporter(1)
    with pytest.raises(Stopped):
        train(stopped, model_folder=tiny, work=Work(reporter, reporter.stop))
    train(stopped, model_folder=tiny, resume=True)

    losses = loss_of(packed)
    assert len(losses) == 3
    assert loss_of(padded) == pytest.approx(losses, rel=1e-5)
    assert loss_of(stopped) == losses
    assert weights_of(stopped) == weights_of(packed)


def loss_of(config: FineTuneConfig) -> list[float]:
    return [row["loss"] for row in read_metrics(Path(config.output_dir) / "metrics.jsonl")]


def weights_of(config: FineTuneConfig) -> bytes:
    out = Path(config.output_dir)
    (path,) = [*out.glob("adapter/*.safetensors"), *out.glob("model/*.safetensors")]
    return path.read_bytes()
