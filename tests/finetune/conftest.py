from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from tests.finetune.lessons import rows

if TYPE_CHECKING:
    from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    return path


@pytest.fixture
def fields(data: Path, tmp_path: Path) -> dict[str, Any]:
    """A fine-tune of a dozen quick steps, with dropout so that the random state matters."""
    return {
        "model": "Qwen/Tiny-Qwen3",
        "data": str(data),
        "output_dir": str(tmp_path / "run"),
        "max_steps": 12,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "learning_rate": 1e-2,
        "lora": {"r": 4, "alpha": 8, "dropout": 0.2},
        "save_steps": 5,
        "report": False,  # it has tests of its own, and takes time
        "device": "cpu",
    }


@pytest.fixture
def config(fields: dict[str, Any]) -> FineTuneConfig:
    return FineTuneConfig.from_dict(fields)
