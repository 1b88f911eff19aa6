"""What a fine-tune takes, beside what was planned: whole runs of tiny models on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.train

ROOT = Path(__file__).parent.parent.parent
CASES: list[dict[str, Any]] = [
    {"method": "full", "dtype": "float32", "vocab": 8000, "gradient_accumulation": 1},
    {"method": "lora", "dtype": "bfloat16", "vocab": 8000},
    {"method": "lora", "dtype": "float32", "activation_checkpointing": True},
    {"method": "lora", "dtype": "bfloat16", "activation_checkpointing": False},
    {"quantization": "4bit", "dtype": "float32", "activation_checkpointing": True},
    {"method": "full", "dtype": "float32", "activation_checkpointing": True},
    {"method": "full", "dtype": "bfloat16", "activation_checkpointing": False},
    {"method": "full", "dtype": "float32", "activation_checkpointing": False, "trainable_layers": 2},
    {"method": "lora", "dtype": "bfloat16", "quantization": "4bit"},
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, int]]:
    """What each case was planned to take, and what torch kept alive."""
    folder = tmp_path_factory.mktemp("peaks")
    done = subprocess.run(
        [sys.executable, "-m", "tests.finetune.peak_child", str(folder), json.dumps(CASES)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(CASES)
    return found


def errors_of(measured: list[dict[str, int]], name: str, low: float, high: float) -> dict[str, float]:
    """Return the errors outside of the bounds."""
    found = [(json.dumps(case), one[name], one["peak"]) for case, one in zip(CASES, measured, strict=True)]
    errors = {case: told / peak - 1 for case, told, peak in found if told}
    return {case: round(error, 3) for case, error in errors.items() if not low < error < high}


def test_the_formula_is_near_what_torch_keeps_alive(measured: list[dict[str, int]]) -> None:
    """At most 8 % too little, or 12 % too much.

    What one operator takes for itself (the sum of a chunk of the loss) is planned, but not seen here.
    """
    assert errors_of(measured, "planned", -0.08, 0.12) == {}


def test_a_dry_run_of_fewer_layers_comes_to_what_torch_keeps_alive(measured: list[dict[str, int]]) -> None:
    """For LoRA, QLoRA and full, with activations kept or computed again, in both number types: within 1 %."""
    assert errors_of(measured, "tried", -0.01, 0.01) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory of a process")
def test_what_torch_keeps_alive_is_what_the_process_grows_by(measured: list[dict[str, int]]) -> None:
    """Of the first and largest, whose weights are there before: so that the measure itself means something."""
    first = measured[0]
    weights = first["peak"] // 10

    assert 0.7 * (first["peak"] - weights) < first["grown"] < 1.5 * first["peak"]
