from __future__ import annotations

from typing import Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.arguments import filtered, total_steps
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.precision import Precision, choose_precision
from qwen3ft_jupyter.loading.machine import Gpu, Machine

GB = 10**9
A100 = Machine(64 * GB, 64 * GB, gpus=(Gpu("A100", (8, 0), 40 * GB, 40 * GB),))
T4 = Machine(64 * GB, 64 * GB, gpus=(Gpu("T4", (7, 5), 16 * GB, 16 * GB),))
MAC = Machine(16 * GB, 16 * GB, has_mps=True)
CPU = Machine(16 * GB, 16 * GB)


def config(**fields: Any) -> FineTuneConfig:
    return FineTuneConfig.from_dict({"model": "Qwen/Qwen3-0.6B", "data": "a.json", **fields})


@pytest.mark.parametrize(
    ("machine", "fields", "expected"),
    [
        (A100, {}, Precision("cuda", "bfloat16", "bfloat16")),
        (A100, {"method": "full"}, Precision("cuda", "float32", "bfloat16")),
        (A100, {"method": "full", "dtype": "bfloat16"}, Precision("cuda", "bfloat16", None)),
        (T4, {}, Precision("cuda", "float16", "float16")),
        (T4, {"method": "full"}, Precision("cuda", "float32", "float16")),
        (MAC, {}, Precision("mps", "float32", None)),
        (CPU, {}, Precision("cpu", "float32", None)),
    ],
)
def test_training_computes_in_types_that_learn(machine: Machine, fields: dict[str, Any], expected: Precision) -> None:
    """Pure float16 overflows without scaled gradients; pure bfloat16 loses a full fine-tune's small steps."""
    assert choose_precision(machine, config(**fields), 600_000_000) == expected


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(BadConfig, match="float16 trains on CUDA only"):
        choose_precision(CPU, config(dtype="float16"), 1)


@pytest.mark.parametrize(
    ("fields", "samples", "steps"),
    [
        ({}, 8, 1),
        ({}, 9, 2),
        ({"epochs": 3}, 100, 39),
        ({"epochs": 0.5}, 80, 5),
        ({"max_steps": 7, "epochs": 3}, 100, 7),
        ({}, 1, 1),
    ],
)
def test_steps_are_counted_from_samples_and_batches(fields: dict[str, Any], samples: int, steps: int) -> None:
    assert total_steps(config(**fields), samples) == steps


def test_arguments_go_under_the_name_this_version_knows() -> None:
    known = {"gradient_checkpointing": None, "seed": None}

    assert filtered({"activation_checkpointing": True, "seed": 1, "logging_nan_inf_filter": False}, known) == {
        "gradient_checkpointing": True,
        "seed": 1,
    }


def test_an_argument_that_matters_is_not_dropped_silently() -> None:
    with pytest.raises(TypeError, match="report_to"):
        filtered({"report_to": "none"}, {})
